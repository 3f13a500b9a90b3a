# ruff: noqa: PLR2004, T201 - a program, which prints; its numbers are the data's
"""Writes the data that reading is measured on: many sessions, through the product's own handlers.

``OUT/root`` holds the sessions as SessionFileHandler and FileSpanExporter write them: four services,
nested spans, tracebacks, extras; the large ones rotated, the oldest ones compressed, half of those as
gzip and half as Zstandard. ``OUT/all.jsonl`` holds the same records in one file, in the order of
time, for tools that know no sessions. ``OUT/manifest.json`` says what there is: sessions of 100 lines,
the rare word and the sessions that hold it. ``OUT/READY`` appears last.

The same options give the same records on every machine, apart from the paths in tracebacks. 50,000
sessions are about 1 GB.

Usage: ``python benchmarks/reading_data.py OUT [--sessions N] [--seed N] [--jobs N] [--no-combined]``
"""

from __future__ import annotations

import argparse
import heapq
import json
import logging
import os
import random
import shutil
import sys
import time
import uuid
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import IdGenerator, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tracectrl.exporter import FileSpanExporter
from tracectrl.files import log_path, span_path
from tracectrl.files.retention.compress import compress
from tracectrl.processor import SessionSpanProcessor
from tracectrl.session import session
from tracectrl_logging import SessionFileHandler

if TYPE_CHECKING:
    from collections.abc import Iterator

WORD = "quokka"
"""In the messages of few sessions: one in :data:`WORD_EVERY`."""
WORD_EVERY = 2500
HUNDRED_EVERY = 50  # one session in so many has exactly 100 lines
LARGE_EVERY = 500  # one in so many is large enough to be rotated
LARGE_LINES = 1500
MAX_BYTES = 100_000  # of the files that are rotated
COMPRESSED_PART = 0.1
END = datetime(2026, 11, 1, tzinfo=timezone.utc)
PERIOD_NS = 7 * 86_400 * 10**9
MS = 1_000_000
SERVICES = ("gateway", "planner", "search", "billing")
LOGGERS = ("app.http", "app.agent", "app.llm.client", "app.tools", "app.db.pool")
LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
LEVEL_WEIGHTS = (25, 62, 9, 3.6, 0.4)
TOOLS = ("search", "calculator", "browser", "sql", "mail")
MODELS = ("small-1", "large-2", "embed-3")
WORDS = [
    "plan",
    "step",
    "answer",
    "token",
    "budget",
    "retry",
    "upstream",
    "cache",
    "miss",
    "hit",
    "user",
    "question",
    "document",
    "chunk",
    "vector",
    "score",
    "rank",
    "prompt",
    "context",
    "window",
    "tool",
    "call",
    "result",
    "timeout",
    "partial",
    "stream",
    "delta",
    "final",
    "summary",
    "invoice",
    "order",
    "customer",
    "balance",
    "region",
    "shard",
    "lease",
    "worker",
    "queue",
    "batch",
    "commit",
    "rollback",
    "index",
    "segment",
    "page",
]


class Ids(IdGenerator):
    """Trace and span IDs from the random numbers of the session being written."""

    def __init__(self) -> None:
        self.random = random.Random(0)  # noqa: S311 - data, not secrets

    def generate_trace_id(self) -> int:
        """Return 128 bits."""
        return self.random.getrandbits(128) or 1

    def generate_span_id(self) -> int:
        """Return 64 bits."""
        return self.random.getrandbits(64) or 1


class Writer:
    """Writes sessions, one after another, in one process."""

    def __init__(self, root: str, seed: int, total: int) -> None:
        self.root, self.seed, self.total = root, seed, total
        self.ids = Ids()
        self.tracers: dict[str, dict[bool, trace.Tracer]] = {}
        self.handlers: dict[str, dict[bool, SessionFileHandler]] = {}
        rotation = {False: {}, True: {"max_bytes": MAX_BYTES, "backup_count": 99}}
        for service in SERVICES:
            self.tracers[service], self.handlers[service] = {}, {}
            for is_large, options in rotation.items():
                resource = Resource.create(
                    {
                        "service.name": service,
                        "service.instance.id": f"{service}-1",
                        "service.version": "2.1.0",
                        "deployment.environment.name": "benchmark",
                    }
                )
                provider = TracerProvider(resource=resource, id_generator=self.ids)
                provider.add_span_processor(SessionSpanProcessor())
                exporter = FileSpanExporter(root, max_open_files=16, **options)
                provider.add_span_processor(SimpleSpanProcessor(exporter))
                self.tracers[service][is_large] = provider.get_tracer("benchmark.app", "1.0")
                self.handlers[service][is_large] = SessionFileHandler(
                    root, service_name=service, max_open_files=16, **options
                )
        self.loggers = [logging.getLogger(name) for name in LOGGERS]

    def write(self, index: int) -> None:
        """Write session *index*."""
        plan = Plan(index, self.seed, self.total)
        self.ids.random = rng = plan.random
        self.now = plan.start_ns
        self.plan = plan
        # A span for every eight lines or so, the request's own first.
        spans = max(2, plan.lines // 8)
        logs = plan.lines - spans
        with session(plan.sid), self.span("gateway", "POST /v1/chat", trace.SpanKind.SERVER) as top:
            top.set_attribute("http.request.method", "POST")
            top.set_attribute("http.route", "/v1/chat")
            top.set_attribute("url.path", "/v1/chat")
            top.set_attribute("user.id", f"user-{rng.randrange(5000)}")
            share = [logs * (step + 1) // spans - logs * step // spans for step in range(spans)]
            for number in range(share[0]):
                self.log("gateway", number)
            for step in range(1, spans):
                self.step(step, share[step])
        end_s = (self.now + MS) / 1e9
        for path in files_of(plan.sid, self.root):
            os.utime(path, (end_s, end_s))

    def step(self, step: int, logs: int) -> None:
        """Write one step of the session: a span and the lines in it."""
        rng = self.plan.random
        service = rng.choice(SERVICES)
        tool = rng.choice(TOOLS)
        with self.span(service, f"tool {tool}", trace.SpanKind.CLIENT) as span:
            span.set_attribute("gen_ai.tool.name", tool)
            span.set_attribute("gen_ai.request.model", rng.choice(MODELS))
            span.set_attribute("gen_ai.usage.input_tokens", rng.randrange(20, 8000))
            span.set_attribute("step", step)
            span.set_attribute("cached", rng.random() < 0.3)
            for number in range(logs):
                self.log(service, number, tool)
            if rng.random() < 0.05:
                error = failure(rng)
                span.record_exception(error, timestamp=self.now)
                span.set_status(trace.StatusCode.ERROR, str(error))

    def log(self, service: str, number: int, tool: str | None = None) -> None:
        """Write one log line, a few microseconds to some milliseconds after the one before."""
        plan = self.plan
        rng = plan.random
        self.now += 1000 * rng.randrange(50, 40_000)
        logger = rng.choice(self.loggers)
        (level,) = rng.choices(LEVELS, LEVEL_WEIGHTS)
        text = " ".join(rng.choices(WORDS, k=rng.randrange(4, 14)))
        if plan.has_word and number == 1:
            text += f" {WORD}"
        extra: dict[str, Any] = {"attempt": rng.randrange(1, 4)}
        if tool is not None:
            extra["tool"] = tool
            extra["took_ms"] = round(rng.expovariate(1 / 40), 3)
        if rng.random() < 0.2:
            extra["request"] = {"path": f"/v1/{tool}", "size": rng.randrange(10**6), "tls": True}
        error = failure(rng) if level >= logging.ERROR and rng.random() < 0.6 else None
        record = logger.makeRecord(
            logger.name,
            level,
            __file__,
            1,
            "%s (%d)",
            (text, number),
            (type(error), error, error.__traceback__) if error else None,
            "log",
            extra,
        )
        record.created = self.now / 1e9
        self.handlers[service][plan.is_large].handle(record)

    def span(self, service: str, name: str, kind: trace.SpanKind) -> OpenSpan:
        """Return a span to be entered, which starts and ends by the session's own clock."""
        return OpenSpan(self, self.tracers[service][self.plan.is_large], name, kind)


class OpenSpan:
    """A span that is current while it is entered."""

    def __init__(
        self, writer: Writer, tracer: trace.Tracer, name: str, kind: trace.SpanKind
    ) -> None:
        self.writer, self.tracer, self.name, self.kind = writer, tracer, name, kind

    def __enter__(self) -> trace.Span:
        self.writer.now += 1000 * self.writer.plan.random.randrange(10, 2000)
        self.span = self.tracer.start_span(self.name, kind=self.kind, start_time=self.writer.now)
        self.current = trace.use_span(self.span)
        self.current.__enter__()
        return self.span

    def __exit__(self, *_: object) -> None:
        self.current.__exit__(None, None, None)
        self.writer.now += 1000 * self.writer.plan.random.randrange(10, 5000)
        self.span.end(self.writer.now)


class Plan:
    """What session *index* of *total* is to be."""

    def __init__(self, index: int, seed: int, total: int) -> None:
        self.random = rng = random.Random(f"{seed}/{index}")  # noqa: S311 - data, not secrets
        self.sid = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        step_ns = PERIOD_NS // total
        begin_ns = int(END.timestamp()) * 10**9 - PERIOD_NS
        self.start_ns = begin_ns + index * step_ns + 1000 * rng.randrange(max(1, step_ns // 1000))
        self.is_large = index % LARGE_EVERY == LARGE_EVERY // 2
        self.has_word = index % WORD_EVERY == min(WORD_EVERY, total) // 2
        if self.is_large:
            self.lines = LARGE_LINES
        elif index % HUNDRED_EVERY == 1:
            self.lines = 100
        else:
            self.lines = rng.choice((rng.randrange(8, 40), rng.randrange(20, 110)))
        if self.has_word:
            self.lines = max(self.lines, 40)


def failure(rng: random.Random) -> Exception:
    """Return an exception that was raised, with the traceback that this gives."""
    try:
        fetch(rng.randrange(1, 5), rng)
    except Exception as error:  # noqa: BLE001 - one of several kinds
        return error
    raise AssertionError


def fetch(depth: int, rng: random.Random) -> None:
    """Raise, some calls further down."""
    if depth > 1:
        fetch(depth - 1, rng)
    kind = rng.choice((TimeoutError, ValueError, KeyError, ConnectionResetError))
    msg = f"{rng.choice(TOOLS)} gave no answer within {rng.randrange(1, 30)} s"
    raise kind(msg)


def files_of(sid: str, root: str) -> list[str]:
    """Return the files of a session, log files first, each kind in the order of writing."""
    found = []
    for path in (str(log_path(sid, root)), str(span_path(sid, root))):
        number = 1
        while os.path.exists(f"{path}.{number}"):
            number += 1
        found += [f"{path}.{backup}" for backup in range(number - 1, 0, -1)]
        found += [path] if os.path.exists(path) else []
    return found


WRITER: list[Writer] = []


def start(root: str, seed: int, total: int) -> None:
    """Begin a process of the pool."""
    WRITER.append(Writer(root, seed, total))


def write_some(indices: range) -> int:
    """Write the sessions *indices* in a process of the pool."""
    for index in indices:
        WRITER[0].write(index)
    return len(indices)


def in_time_order(root: str, plans: Iterator[Plan]) -> Iterator[bytes]:
    """Yield all lines by their times; sessions come in the order of their starts."""
    waiting: list[tuple[str, int, bytes]] = []
    count = 0
    for plan in plans:
        start_text = datetime.fromtimestamp(plan.start_ns / 1e9, timezone.utc).strftime(
            "%Y-%m-%dT%H:%M:%S"
        )
        while waiting and waiting[0][0] < start_text:
            yield heapq.heappop(waiting)[2]
        for path in files_of(plan.sid, root):
            key = b'"timestamp":"' if ".logs." in path else b'"start_time":"'
            with open(path, "rb") as file:
                for line in file:
                    at = line.index(key) + len(key)
                    count += 1
                    heapq.heappush(waiting, (line[at : at + 27].decode(), count, line))
    while waiting:
        yield heapq.heappop(waiting)[2]


def main() -> None:
    """Write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--sessions", type=int, default=50_000, metavar="N")
    parser.add_argument("--seed", type=int, default=6, metavar="N")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N")
    parser.add_argument("--no-combined", action="store_true", help="write no all.jsonl")
    options = parser.parse_args()
    total, out = options.sessions, options.out
    root = str(out / "root")
    if out.exists() and any(out.iterdir()):
        sys.exit(f"{out} is there already and not empty: give another, or remove it")
    out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {what}", file=sys.stderr, flush=True)

    chunks = [range(first, min(first + 250, total)) for first in range(0, total, 250)]
    with ProcessPoolExecutor(
        options.jobs, initializer=start, initargs=(root, options.seed, total)
    ) as pool:
        written = sum(pool.map(write_some, chunks))
    say(f"{written} sessions")

    plan_of = partial(Plan, seed=options.seed, total=total)
    if not options.no_combined:
        size = 0
        with open(out / "all.jsonl", "wb", buffering=1 << 20) as combined:
            for line in in_time_order(root, map(plan_of, range(total))):
                size += combined.write(line)
        say(f"all.jsonl, {size / 1e9:.2f} GB")

    plain = sum(entry.stat().st_size for entry in os.scandir(root))
    for part, packed in ((COMPRESSED_PART / 2, "gz"), (COMPRESSED_PART, "zst")):
        before_s = plan_of(int(total * part)).start_ns / 1e9
        done = compress(root, packed=packed, idle_s=time.time() - before_s)
        say(f"{done.compressed} sessions compressed as {packed}")

    sizes = [entry.stat().st_size for entry in os.scandir(root)]
    compressed = int(total * COMPRESSED_PART) + 1
    plain_plans = [plan_of(index) for index in range(compressed, total)]
    manifest = {
        "sessions": total,
        "seed": options.seed,
        "lines": sum(plan_of(index).lines for index in range(total)),
        "files": len(sizes),
        "bytes_plain": plain,
        "bytes": sum(sizes),
        "sessions_of_100_lines": [p.sid for p in plain_plans if p.lines == 100][:20],
        "large_sessions": [p.sid for p in plain_plans if p.is_large][:5],
        "word": WORD,
        "word_sessions": sorted(p.sid for p in map(plan_of, range(total)) if p.has_word),
        "compressed_sessions": [plan_of(0).sid, plan_of(max(0, compressed - 2)).sid],
    }
    (out / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    free = shutil.disk_usage(out).free
    say(f"{len(sizes)} files, {sum(sizes) / 1e9:.2f} GB; {free / 1e9:.0f} GB are free")
    (out / "READY").touch()


if __name__ == "__main__":
    main()

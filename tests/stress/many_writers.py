"""8 processes x 4 threads x 10,000 lines into 3 sessions, with rotation: each is there once.

    python tests/stress/many_writers.py [--short]

Lines of 100 B to 400 KB, most of them small; every tenth process writes as another face of the
package does: a handler, two handlers, background mode, structlog, few descriptors. Beside each
hundredth line goes a span. The number of backups is high enough for nothing to be deleted: rotation
is to lose nothing here.

The files are read twice: as they are, and by the reader.
"""

from __future__ import annotations

import collections
import functools
import multiprocessing
import os
import random
import sys
from typing import TYPE_CHECKING, Any

import structlog

from tracectrl.exporter import FileSpanExporter
from tracectrl_logging import (
    SessionFileHandler,
    SessionFileLoggerFactory,
    SessionJSONRenderer,
    add_session_context,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.stress import common
else:
    import common  # this file is a program: its directory is where it imports from

PROCESSES, THREADS, SESSIONS = 8, 4, 3
FULL = {"lines": 10_000, "max_bytes": 10_000_000}
SHORT = {"lines": 120, "max_bytes": 200_000}
BACKUPS = 100_000
SKEW = 5.0
SPAN_EVERY = 100


def main() -> int:
    """Run it all; return the exit status."""
    verdict = common.Verdict(str(__doc__))
    plan = SHORT if verdict.is_short else FULL
    context = multiprocessing.get_context("spawn")
    with common.home() as home:
        root = os.path.join(home, "traces")
        processes = [
            context.Process(target=write, args=(home, root, number, plan))
            for number in range(PROCESSES)
        ]
        for process in processes:
            process.start()
        for number, process in enumerate(processes):
            process.join()
            verdict.expect(0, process.exitcode, f"the exit status of process {number}")
            said = common.heard(os.path.join(home, f"process-{number}"))
            verdict.expect({"lost": 0, "raised": []}, said, f"what process {number} says")
        names = os.listdir(root)
        total = sum(os.stat(os.path.join(root, name)).st_size for name in names)
        verdict.done(f"{PROCESSES} x {THREADS} x {plan['lines']} lines are written")
        verdict.done(f"{total / 1e6:.0f} MB in {len(names)} files of {SESSIONS} sessions")
        if len(names) < SESSIONS * 4:
            verdict.wrong.append("hardly anything was rotated")
        read_plainly(root, verdict, plan["lines"])
        read_by_reader(root, verdict, plan["lines"])
    return verdict.status()


def write(home: str, root: str, process: int, plan: dict[str, int]) -> None:
    """Be a process of four writers."""
    options: dict[str, Any] = {"max_bytes": plan["max_bytes"], "backup_count": BACKUPS}
    exporter = FileSpanExporter(root, **options)
    closers: list[Any] = [exporter.shutdown]
    emits: list[Callable[..., None]] = []
    kind = process % 4
    if kind == 3:
        emits, closer = structlog_emits(root, options)
        closers.append(closer)
    else:
        more = ({}, {"background": True}, {"max_open_files": 1})[kind]
        handlers = [SessionFileHandler(root, **options, **more) for _ in range(1 + process // 4)]
        emits = [functools.partial(emit, handler) for handler in handlers]
        closers += [handler.close for handler in handlers]
    counters = closers[1:]
    raised = common.run_threads(
        functools.partial(
            be_writer,
            process * THREADS + thread,
            plan["lines"],
            emits[thread % len(emits)],
            exporter,
        )
        for thread in range(THREADS)
    )
    for close in closers:
        close()
    lost = exporter.lost + sum(close.__self__.lost for close in counters)
    common.say(os.path.join(home, f"process-{process}"), {"lost": lost, "raised": raised})


def emit(handler: SessionFileHandler, sid: str, text: str, **fields: Any) -> None:
    """Log through *handler*."""
    handler.handle(common.record(sid, text, **fields))


def structlog_emits(
    root: str, options: dict[str, Any]
) -> tuple[list[Callable[..., None]], Callable[[], None]]:
    """Return what logs through structlog, and what ends that."""
    factory = SessionFileLoggerFactory(root, **options)
    logger = structlog.wrap_logger(
        factory("stress"), processors=[add_session_context, SessionJSONRenderer()]
    )

    def emit_event(sid: str, text: str, **fields: Any) -> None:
        logger.info(text, session_id=sid, **fields)

    return [emit_event], factory.close


def be_writer(
    writer: int, count: int, emit_line: Callable[..., None], exporter: FileSpanExporter
) -> None:
    """Write *count* lines into random sessions, and a span now and then."""
    rng = random.Random(writer)  # noqa: S311 - no secret
    for number in range(count):
        sid = f"session-{rng.randrange(SESSIONS)}"
        size = common.size_of(rng, SKEW)
        text = common.text_of(writer, number, size)
        emit_line(sid, text, writer=writer, number=number, size=size)
        if number % SPAN_EVERY == 0:
            exporter.export([common.span(sid, writer=writer, number=number)])


def read_plainly(root: str, verdict: common.Verdict, count: int) -> None:
    """Look at each line of each file as it is."""
    found: collections.Counter[tuple[int, int]] = collections.Counter()
    sizes: list[int] = []
    for name, line in common.plain_lines(root):
        row = common.strict(line)
        if row is None or row["session_id"] != name.partition(".")[0]:
            verdict.wrong.append(f"{name}: not a line of its session: {line[:60]!r}")
            continue
        found[row["writer"], row["number"]] += 1
        sizes.append(len(line))
        if row["message"] != common.text_of(row["writer"], row["number"], row["size"]):
            verdict.wrong.append(f"{name}: another text than was written: {line[:60]!r}")
    check(found, verdict, count, 1, "in the files")
    if sizes:
        sizes.sort()
        verdict.done(
            f"read plainly: lines of {sizes[0]} to {sizes[-1]} B, the median is"
            f" {sizes[len(sizes) // 2]} B, the mean {sum(sizes) // len(sizes)} B;"
            f" {sum(size > 100_000 for size in sizes)} are longer than 100 KB"
        )


def read_by_reader(root: str, verdict: common.Verdict, count: int) -> None:
    """Look at what the reader returns."""
    logs: collections.Counter[tuple[int, int]] = collections.Counter()
    spans: collections.Counter[tuple[int, int]] = collections.Counter()
    for number in range(SESSIONS):
        for row in common.rows(root, f"session-{number}", verdict.wrong):
            if "start_time" in row:
                spans[row["attributes"]["writer"], row["attributes"]["number"]] += 1
            else:
                logs[row["writer"], row["number"]] += 1
    check(logs, verdict, count, 1, "by the reader")
    check(spans, verdict, count, SPAN_EVERY, "spans")
    verdict.done(f"read by the reader: {logs.total()} lines, {spans.total()} spans")


def check(
    found: collections.Counter[tuple[int, int]],
    verdict: common.Verdict,
    count: int,
    step: int,
    what: str,
) -> None:
    """Note what is not there exactly once."""
    expected = {
        (writer, number)
        for writer in range(PROCESSES * THREADS)
        for number in range(0, count, step)
    }
    missing = sorted(expected - set(found))
    doubled = [key for key, times in found.items() if times > 1]
    unknown = sorted(set(found) - expected)
    verdict.expect([], missing[:5], f"missing {what}, {len(missing)} of {len(expected)}")
    verdict.expect([], doubled[:5], f"doubled {what}, {len(doubled)}")
    verdict.expect([], unknown[:5], f"never written {what}, {len(unknown)}")


if __name__ == "__main__":
    sys.exit(main())

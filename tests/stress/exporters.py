# ruff: noqa: T201 - a program, which prints
"""Exporters that log, raise or block, with the local files beside them.

    python tests/stress/exporters.py [--short]

Each scene is a process of its own: four threads log lines and end spans, which go to the files and
to a foreign exporter, processor or logging handler that misbehaves. The files are read while the
foreigner is still at it, and once more in the end: each line and each span is to be there once, and
the lines that the foreigner logs as often as it has logged them. A process that takes too long
hangs.

With ``opentelemetry-exporter-otlp-proto-http`` installed there are the real OTLP exporters, against
receivers that answer 500, never answer, reset the connection or are not there.

Prints what was done and what was found wrong; the exit status is 1 where anything was.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import importlib.util
import json
import logging
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import opentelemetry.sdk._logs
from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import (
    BatchLogRecordProcessor,
    LogRecordExporter,
    LogRecordExportResult,
    SimpleLogRecordProcessor,
)
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)

from tracectrl.session import session
from tracectrl_logging import configure
from tracectrl_logging.reader import read, sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

THREADS = 4
SESSIONS = 7
PATIENCE_S = 120
OTLP_TIMEOUT_S = 0.3
TRACES_AT_MOST = 100  # a batch processor is given what its own exporter makes, for ever


def is_installed(name: str) -> bool:
    """Tell whether there is a module called *name*."""
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # its package is not there
        return False


HAS_OTLP = is_installed("opentelemetry.exporter.otlp.proto.http")
HAS_HANDLER = hasattr(opentelemetry.sdk._logs, "LoggingHandler")  # deprecated in 2026


class Foreign:
    """What misbehaves, and how often it has logged."""

    def __init__(self, manner: str) -> None:
        self.manner = manner
        self.said = 0
        self.made = 0
        self.deepest = 0
        self.free = threading.Event()
        self._here = threading.local()
        self._lock = threading.Lock()

    def act(self) -> None:
        """Log, raise, block, or several of these."""
        depth = getattr(self._here, "depth", 0) + 1
        self._here.depth = depth
        self.deepest = max(depth, self.deepest)
        try:
            self._act(depth)
        finally:
            self._here.depth = depth - 1

    def _act(self, depth: int) -> None:
        if "logs" in self.manner and depth == 1:
            with self._lock:
                self.said += 1
            logging.getLogger("foreign").error("this did not work", extra={"foreign": True})
        if "traces" in self.manner and depth == 1 and self.made < TRACES_AT_MOST:
            with self._lock:
                self.made += 1
            trace.get_tracer("foreign").start_span("foreign").end()
        if "blocks" in self.manner:
            self.free.wait(PATIENCE_S)
        if "dawdles" in self.manner:
            time.sleep(0.002)
        if "raises" in self.manner:
            msg = "foreign"
            raise LookupError(msg)


class ForeignSpanExporter(SpanExporter):
    """A span exporter that misbehaves."""

    def __init__(self, foreign: Foreign) -> None:
        self._foreign = foreign

    def export(self, spans: object) -> SpanExportResult:
        """Do what it does."""
        del spans
        self._foreign.act()
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Do nothing."""


class ForeignSpanProcessor(SpanProcessor):
    """A span processor that misbehaves at the end of each span."""

    def __init__(self, foreign: Foreign) -> None:
        self._foreign = foreign

    def on_end(self, span: object) -> None:
        """Do what it does."""
        del span
        self._foreign.act()


class ForeignLogExporter(LogRecordExporter):
    """An exporter of log records that misbehaves, and so is given what it logs, again."""

    def __init__(self, foreign: Foreign) -> None:
        self._foreign = foreign

    def export(self, batch: object) -> LogRecordExportResult:
        """Do what it does."""
        del batch
        self._foreign.act()
        return LogRecordExportResult.FAILURE

    def shutdown(self) -> None:
        """Do nothing."""

    def force_flush(self, timeout_millis: int = 0) -> bool:
        """Do nothing."""
        del timeout_millis
        return True


class ForeignHandler(logging.Handler):
    """A logging handler that misbehaves, as far as a logging handler may."""

    def __init__(self, foreign: Foreign) -> None:
        super().__init__()
        self._foreign = foreign

    def emit(self, record: logging.LogRecord) -> None:
        """Do what it does, for others' records."""
        if record.name != "foreign":
            self._foreign.act()


MANNERS = ("logs", "raises", "logs, raises", "traces, raises", "dawdles")
SCENES = [
    *(f"span exporter/{kind}/{manner}" for kind in ("simple", "batch") for manner in MANNERS),
    *(f"span exporter/{kind}/logs, blocks" for kind in ("simple", "batch")),
    *(f"span processor/-/{manner}" for manner in ("logs", "raises", "blocks")),
    *(f"log exporter/{kind}/{manner}" for kind in ("simple", "batch") for manner in MANNERS[:3]),
    "log exporter/batch/logs, blocks",
    *(f"handler/-/{manner}" for manner in ("logs", "dawdles")),
    "attribute limit/-/-",
]
OTLP_SCENES = [
    f"otlp {what}/{kind}/{answer}"
    for what in ("spans", "logs")
    for kind in ("simple", "batch")
    for answer in ("500", "silence", "reset", "refused")
]
SHORT = [
    "span exporter/simple/logs, raises",
    "span exporter/simple/logs, blocks",
    "span exporter/batch/logs, blocks",
    "span processor/-/raises",
    "log exporter/batch/logs, raises",
    "attribute limit/-/-",
    "otlp spans/batch/500",
    "otlp logs/batch/reset",
]


def main() -> int:
    """Run it all, or one scene; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="few lines in each scene")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        scene, root, count, url = options.child
        play(scene, root, int(count), url)
        return 0
    count = 40 if options.short else 4000
    scenes = SHORT if options.short else SCENES + OTLP_SCENES
    if not HAS_OTLP:
        scenes = [scene for scene in scenes if not scene.startswith("otlp ")]
    if not HAS_HANDLER:
        scenes = [scene for scene in scenes if not scene.startswith(("log ", "otlp logs"))]
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(prefix="tracectrl-stress-") as home, receivers() as urls:

        def run(scene: str) -> str:
            root = os.path.join(home, scene.replace("/", "-").replace(" ", "-"))
            url = urls.get(scene.rpartition("/")[2], "")
            few = "blocks" in scene or scene.startswith(("otlp spans/simple", "otlp logs/simple"))
            return run_scene(scene, root, min(count, 8) if few else count, url, wrong)

        with ThreadPoolExecutor(4) as pool:
            for said in pool.map(run, scenes):
                print(said)
    if not HAS_OTLP:
        print("without opentelemetry-exporter-otlp-proto-http: no real OTLP exporters")
    if not HAS_HANDLER:
        print("without LoggingHandler in the SDK: no exporters of log records")
    for text in wrong[:40]:
        print(f"WRONG: {text}")
    print("no recursion, no hang, files complete" if not wrong else f"{len(wrong)} are wrong")
    return 1 if wrong else 0


def run_scene(scene: str, root: str, count: int, url: str, wrong: list[str]) -> str:
    """Play *scene* in a process of its own; return what is to be said about it."""
    command = [sys.executable, __file__, "--child", scene, root, str(count), url]
    start = time.monotonic()
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        wrong.append(f"{scene}: hangs; {str(error.stderr or '')[-2000:]}")
        return f"{scene}: hangs"
    took = time.monotonic() - start
    try:
        said = json.loads(done.stdout)
    except ValueError:
        wrong.append(f"{scene}: says {done.stdout!r}, {done.stderr[-2000:]}")
        return f"{scene}: fails"
    if done.returncode:
        wrong.append(f"{scene}: ended with {done.returncode}: {done.stderr[-2000:]}")
    wrong.extend(f"{scene}: {text}" for text in said["wrong"])
    wrong.extend(f"{scene}: {text}" for text in verify(root, said))
    return (
        f"{scene}: {count} lines and spans, {said['said']} lines of the foreigner's,"
        f" {said['others']} of others; {took:.1f} s"
    )


# --- a scene --------------------------------------------------------------------------------------


def play(scene: str, root: str, count: int, url: str) -> None:
    """Set up what the *scene* is about, log, and say what was found."""
    what, kind, manner = scene.split("/")
    foreign = Foreign(manner)
    # Before ours, where it can do the most harm; so nobody can say that the order was lucky.
    provider = TracerProvider(shutdown_on_exit=False)
    trace.set_tracer_provider(provider)
    closers: list[Callable[[], object]] = []
    SETUPS[what](foreign, provider, kind, url, closers)
    configuration = configure(root, console=None, level="DEBUG")
    threads = start_threads(count, limit=what == "attribute limit")
    wrong = []
    if "blocks" in manner:  # each thread at its first span, or nobody, for a batch
        wrong += await_lines(root, count if kind == "batch" else THREADS)
        foreign.free.set()
    for thread in threads:
        thread.join(PATIENCE_S / 2)
    wrong += [f"{thread.name} hangs" for thread in threads if thread.is_alive()]
    wrong += [f"meanwhile: {text}" for text in verify(root, {"count": count})]
    provider.force_flush(5000)
    for close in closers:
        close()
    wrong += [f"{foreign.deepest} calls deep"] * (foreign.deepest > 2)
    others = len(lines_of(root)[2])
    configuration.shutdown()
    print(
        json.dumps(
            {
                "count": count,
                "said": foreign.said,
                "made": foreign.made,
                "others": others,
                "wrong": wrong,
            }
        )
    )


def work(at: int, count: int, *, limit: bool) -> None:
    """Be a thread of the application: log lines and end spans."""
    tracer = trace.get_tracer("stress")
    logger = logging.getLogger("stress")
    for number in range(at, count, THREADS):
        with session(f"s{number % SESSIONS}"):
            span = tracer.start_span(f"span {number}")
            with trace.use_span(span), contextlib.suppress(LookupError):
                logger.info("line %d", number, extra={"number": number})
            for each in range(300 if limit else 0):
                span.set_attribute(f"a{each}", each)  # past 128 it warns, with its locks held
            with contextlib.suppress(LookupError):
                span.end()


def start_threads(count: int, *, limit: bool) -> list[threading.Thread]:
    """Have the application's threads start their work, and return them."""
    threads = [
        threading.Thread(
            target=work, args=(at, count), kwargs={"limit": limit}, name=f"work {at}", daemon=True
        )
        for at in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    return threads


def await_lines(root: str, count: int) -> list[str]:
    """Wait for the first *count* lines and spans, which are there while the foreigner blocks."""
    expected = [f"span {number}" for number in range(count)]
    until = time.monotonic() + PATIENCE_S / 10
    while time.monotonic() < until:
        numbers, names, _ = lines_of(root)
        if sorted(numbers) == list(range(count)) and sorted(names) == expected:
            return []
        time.sleep(0.05)
    return [f"while it blocks: lines {sorted(numbers)}, spans {sorted(names)} of {count}"]


def lines_of(root: str) -> tuple[list[int], list[str], list[dict[str, Any]]]:
    """Return the numbers of the lines, the names of the spans, and the lines of others."""
    numbers, names, others = [], [], []
    for summary in sessions(root):
        for line in read(summary.session_id, root):
            if line.kind == "span":
                names.append(line.row["name"])
            elif "number" in line.row:
                numbers.append(line.row["number"])
            else:
                others.append(line.row)
    return numbers, names, others


def verify(root: str, said: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the files; "meanwhile" the foreigner has not said its last."""
    numbers, names, others = lines_of(root)
    expected = list(range(said["count"]))
    if sorted(numbers) != expected:
        yield f"{len(numbers)} lines, not {len(expected)}"
    spans = collections.Counter(names)
    made = spans.pop("foreign", 0)
    if spans != collections.Counter(f"span {number}" for number in expected):
        yield f"{sum(spans.values())} spans, not {len(expected)}"
    if "said" in said:
        heard = sum(row["logger"] == "foreign" for row in others)
        if heard != said["said"]:
            yield f"the foreigner logged {said['said']} lines, {heard} are there"
        if made != said["made"]:
            yield f"the foreigner made {said['made']} spans, {made} are there"


# --- how the foreigner gets there -----------------------------------------------------------------


def add_span_exporter(
    foreign: Foreign, provider: TracerProvider, kind: str, url: str, closers: list[Any]
) -> None:
    """Add the span exporter."""
    del url, closers
    provider.add_span_processor(span_processor(kind, ForeignSpanExporter(foreign)))


def add_span_processor(
    foreign: Foreign, provider: TracerProvider, kind: str, url: str, closers: list[Any]
) -> None:
    """Add the span processor."""
    del kind, url, closers
    provider.add_span_processor(ForeignSpanProcessor(foreign))


def add_log_exporter(
    foreign: Foreign, provider: TracerProvider, kind: str, url: str, closers: list[Any]
) -> None:
    """Add OpenTelemetry's own logging handler, and the exporter behind it."""
    del provider, url
    add_logging_handler(kind, ForeignLogExporter(foreign), closers)


def add_handler(
    foreign: Foreign, provider: TracerProvider, kind: str, url: str, closers: list[Any]
) -> None:
    """Add the logging handler."""
    del provider, kind, url, closers
    logging.root.addHandler(ForeignHandler(foreign))


def add_otlp_spans(
    foreign: Foreign, provider: TracerProvider, kind: str, url: str, closers: list[Any]
) -> None:
    """Add the real span exporter."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )

    del foreign
    processor = span_processor(kind, OTLPSpanExporter(url, timeout=OTLP_TIMEOUT_S))
    provider.add_span_processor(processor)
    closers.append(processor.shutdown)


def add_otlp_logs(
    foreign: Foreign, provider: TracerProvider, kind: str, url: str, closers: list[Any]
) -> None:
    """Add the real exporter of log records."""
    from opentelemetry.exporter.otlp.proto.http._log_exporter import (  # noqa: PLC0415
        OTLPLogExporter,
    )

    del foreign, provider
    add_logging_handler(kind, OTLPLogExporter(url, timeout=OTLP_TIMEOUT_S), closers)


def add_nothing(*_: object) -> None:
    """Let the SDK be the foreigner."""


def span_processor(kind: str, exporter: SpanExporter) -> SpanProcessor:
    """Return the processor of this *kind*."""
    if kind == "simple":
        return SimpleSpanProcessor(exporter)
    return BatchSpanProcessor(exporter, schedule_delay_millis=5, max_export_batch_size=8)


def add_logging_handler(kind: str, exporter: LogRecordExporter, closers: list[Any]) -> None:
    """Add OpenTelemetry's logging handler, with a processor of this *kind* for *exporter*."""
    from opentelemetry.sdk._logs import LoggingHandler  # noqa: PLC0415 - deprecated, still there

    logs = LoggerProvider(shutdown_on_exit=False)
    if kind == "simple":
        logs.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    else:
        logs.add_log_record_processor(
            BatchLogRecordProcessor(exporter, schedule_delay_millis=5, max_export_batch_size=8)
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        handler = LoggingHandler(logger_provider=logs)
    logging.root.addHandler(handler)
    closers += [lambda: logging.root.removeHandler(handler), logs.shutdown]


SETUPS: dict[str, Callable[[Foreign, TracerProvider, str, str, list[Any]], None]] = {
    "span exporter": add_span_exporter,
    "span processor": add_span_processor,
    "log exporter": add_log_exporter,
    "handler": add_handler,
    "attribute limit": add_nothing,
    "otlp spans": add_otlp_spans,
    "otlp logs": add_otlp_logs,
}


# --- receivers ------------------------------------------------------------------------------------


@contextlib.contextmanager
def receivers() -> Iterator[dict[str, str]]:
    """Listen on 127.0.0.1; yield the address of each receiver by what it answers."""
    servers = {name: socket.create_server(("127.0.0.1", 0), backlog=512) for name in ANSWERS}
    for name, server in servers.items():
        threading.Thread(target=serve, args=(server, ANSWERS[name]), daemon=True).start()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        ports = {name: server.getsockname()[1] for name, server in servers.items()}
        ports["refused"] = unused.getsockname()[1]
        yield {name: f"http://127.0.0.1:{port}/v1/x" for name, port in ports.items()}
    for server in servers.values():
        server.close()


def serve(server: socket.socket, answer: Callable[[socket.socket], None]) -> None:
    """Take connections until the *server* is closed."""
    with contextlib.suppress(OSError):
        while True:
            connection, _ = server.accept()
            with contextlib.suppress(OSError):
                answer(connection)


def answer_500(connection: socket.socket) -> None:
    """Take what comes first, and answer that it went wrong."""
    connection.settimeout(0.2)
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    connection.shutdown(socket.SHUT_WR)


def keep_silent(connection: socket.socket) -> None:
    """Never answer, and keep the connection."""
    SILENT.append(connection)


def reset(connection: socket.socket) -> None:
    """Reset the connection."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


SILENT: list[socket.socket] = []
ANSWERS = {"500": answer_500, "silence": keep_silent, "reset": reset}


if __name__ == "__main__":
    sys.exit(main())

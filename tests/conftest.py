"""Fixtures for all tests: each one starts clean, so that order never matters.

What a test may use:

- ``root``: the trace directory (it does not exist yet).
- ``parse_line``: one line, bytes or str, to its dict; strict JSON.
- ``read_lines``: all lines of a file, by ``parse_line``; the file must end in a newline.
- ``tracer``: a tracer of an SDK provider of the test's own; nothing is exported.
- ``run_python``: run source code in a new process, and get its stdout.
- ``collector``: what takes OTLP over HTTP, on 127.0.0.1, and keeps what came.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import structlog
from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.util._once import Once

from tracectrl import session

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

# No database in the working directory, no deadline on a busy machine, the same examples each run.
# To look for more: pytest --hypothesis-profile=explore
hypothesis.settings.register_profile(
    "gate", max_examples=50, deadline=None, database=None, derandomize=True
)
hypothesis.settings.register_profile("explore", max_examples=2000, deadline=None, database=None)
hypothesis.settings.load_profile("gate")

# What a shell runs in the background ignores it, and so do all its children.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# --- what tests write -----------------------------------------------------------------------------


_has_failed = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note which tests fail."""
    report = yield
    if report.failed:
        item.stash[_has_failed] = True
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """Remove what a test that passed has written, after all else: together it is gigabytes.

    pytest's own option for that does so while what the test has patched is not as it was yet.
    """
    yield
    path = getattr(item, "funcargs", {}).get("tmp_path")
    if path is not None and not item.stash.get(_has_failed, False):
        shutil.rmtree(path, ignore_errors=True)


# --- each test starts clean -----------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the variables of OpenTelemetry and of this project that the machine may set."""
    for name in list(os.environ):
        if name.startswith(("TRACECTRL_", "OTEL_")):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _clean_context() -> Iterator[None]:
    """Start and leave with no session, no span, no baggage and no bound structlog variables."""
    _clear_context()
    yield
    _clear_context()


def _clear_context() -> None:
    session._session_id.set(None)
    session._known.set(None)
    otel_context.attach(otel_context.Context())
    structlog.contextvars.clear_contextvars()


@pytest.fixture(autouse=True)
def _clean_opentelemetry() -> Iterator[None]:
    """Let a test set the process's tracer provider and propagator as if it were the first."""
    propagator = propagate.get_global_textmap()
    _forget_tracer_provider()
    yield
    propagate.set_global_textmap(propagator)
    provider = trace._TRACER_PROVIDER
    if isinstance(provider, TracerProvider):
        provider.shutdown()
    _forget_tracer_provider()


def _forget_tracer_provider() -> None:
    trace._TRACER_PROVIDER = None
    trace._TRACER_PROVIDER_SET_ONCE = Once()


@pytest.fixture(autouse=True)
def _clean_logging() -> Iterator[None]:
    """Undo what a test does to logging and structlog; pytest's own handlers stay."""
    manager = logging.root.manager
    root_level = logging.root.level
    root_handlers = list(logging.root.handlers)
    record_factory = logging.getLogRecordFactory()
    logger_class = logging.getLoggerClass()
    raise_exceptions = logging.raiseExceptions
    names, numbers = dict(logging._levelToName), dict(logging._nameToLevel)
    yield
    config = sys.modules.get("tracectrl_logging.config")  # where a test has loaded it
    if config is not None and config._current is not None:
        config._current.shutdown()
    factory = sys.modules.get("tracectrl_logging.stdlib.record_factory")
    if factory is not None:
        factory.uninstall_record_factory()
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    logging.setLogRecordFactory(record_factory)
    logging.setLoggerClass(logger_class)
    logging.disable(logging.NOTSET)
    logging.raiseExceptions = raise_exceptions
    logging._levelToName.clear()
    logging._levelToName.update(names)
    logging._nameToLevel.clear()
    logging._nameToLevel.update(numbers)
    for handler in list(logging.root.handlers):
        if handler not in root_handlers and not _is_of_pytest(handler):
            logging.root.removeHandler(handler)
            handler.close()
    logging.root.filters.clear()
    logging.root.setLevel(root_level)
    for logger in list(manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            for handler in list(logger.handlers):
                if not _is_of_pytest(handler):
                    logger.removeHandler(handler)
                    handler.close()
            logger.filters.clear()
            logger.setLevel(logging.NOTSET)
            logger.propagate = True
            logger.disabled = False


def _is_of_pytest(handler: logging.Handler) -> bool:
    return type(handler).__module__.startswith("_pytest.")


# --- what tests use -------------------------------------------------------------------------------


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the trace directory of this test; it does not exist yet."""
    return tmp_path / "traces"


def _strict_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    assert len(pairs) == len(row), f"duplicate keys: {[key for key, _ in pairs]}"
    return row


def _no_constant(name: str) -> Any:
    msg = f"{name} is not JSON"
    raise AssertionError(msg)


def _parse_line(line: bytes | str) -> dict[str, Any]:
    text = line.decode("utf-8") if isinstance(line, bytes) else line
    row = json.loads(text, object_pairs_hook=_strict_object, parse_constant=_no_constant)
    assert isinstance(row, dict), f"not a JSON object: {text!r}"
    return row


def _read_lines(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    with open(path, "rb") as file:
        data = file.read()
    assert data.endswith(b"\n") or not data, f"half a line at the end: {data[-80:]!r}"
    rows = [_parse_line(line) for line in data.split(b"\n")[:-1]]
    # On a machine that has more to do any span may be open for long enough to have a line before its end.
    ended = {row.get("span_id") for row in rows if "end_time" in row}
    return [row for row in rows if row.get("state") != "open" or row.get("span_id") not in ended]


@pytest.fixture
def parse_line() -> Callable[[bytes | str], dict[str, Any]]:
    """Return the function that parses one line as strict JSON.

    It fails for NaN and infinities, for duplicate keys at any depth, for bytes that are no UTF-8
    and for anything but an object. The order of the keys is the line's.
    """
    return _parse_line


@pytest.fixture
def read_lines() -> Callable[[str | os.PathLike[str]], list[dict[str, Any]]]:
    """Return the function that reads all lines of a file; it fails for half a line at the end."""
    return _read_lines


@pytest.fixture
def tracer() -> Iterator[trace.Tracer]:
    """Return a tracer of a provider that exports nothing; its spans are real and sampled."""
    provider = TracerProvider(shutdown_on_exit=False)
    yield provider.get_tracer("tests")
    provider.shutdown()


@pytest.fixture
def zstd() -> Any:
    """Return the module for Zstandard: the standard library's, or the package for before."""
    return import_module(f"{'compression' if sys.version_info >= (3, 14) else 'backports'}.zstd")


@pytest.fixture
def run_python() -> Callable[..., str]:
    """Return the function that runs source code in a new process and returns its stdout.

    ``run_python(source, *args, **environment)``; it fails where the process does, and where it
    writes to stderr.
    """

    def run(source: str, *args: str, **environment: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", source, *args],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (0, "") == (done.returncode, done.stderr)
        return done.stdout

    return run


# --- a collector ----------------------------------------------------------------------------------


class Collector(ThreadingHTTPServer):
    """Takes OTLP over HTTP, in protobuf, and keeps each log record and span as a dict."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taker)
        self.status = 200
        """What it answers; where that is no success, it keeps nothing."""
        self.requests: list[tuple[str, dict[str, str]]] = []
        """The path and headers of each request."""
        self.logs: list[dict[str, Any]] = []
        self.spans: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        """The value for ``OTEL_EXPORTER_OTLP_ENDPOINT``."""
        return f"http://127.0.0.1:{self.server_port}"

    def take(self, path: str, body: bytes) -> None:
        """Keep what a request holds."""
        signal, name = {"/v1/logs": ("logs", "Logs"), "/v1/traces": ("trace", "Trace")}[path]
        messages = import_module(f"opentelemetry.proto.collector.{signal}.v1.{signal}_service_pb2")
        message = getattr(messages, f"Export{name}ServiceRequest")()
        message.ParseFromString(body)
        for _, origins in message.ListFields():
            for origin in origins:
                resource = _plain(origin.resource.attributes)
                for scope in origin.scope_logs if signal == "logs" else origin.scope_spans:
                    for item in scope.log_records if signal == "logs" else scope.spans:
                        row = {
                            "scope": scope.scope.name,
                            "service": resource.get("service.name"),
                            "resource": resource,
                            "attributes": _plain(item.attributes),
                            "trace_id": item.trace_id.hex(),
                            "span_id": item.span_id.hex(),
                        }
                        if signal == "logs":
                            body_of, level = _value(item.body), item.severity_text
                            more = {"body": body_of, "level": level, "event": item.event_name}
                            self.logs.append({**row, **more, "time_ns": item.time_unix_nano})
                        else:
                            events = [_plain(event.attributes) for event in item.events]
                            links = [_plain(link.attributes) for link in item.links]
                            more = {"name": item.name, "events": events, "links": links}
                            self.spans.append({**row, **more})


class _Taker(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server: Any = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        server.requests.append((self.path, {**self.headers}))
        if server.status == 200:
            server.take(self.path, body)
        self.send_response(server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing on stderr."""


class Rotel:
    """A real collector, of which *args* say where it sends what it gets.

    It is linked against the interpreter's library, which is where the interpreter is.
    """

    def __init__(self, log: Path, *args: str) -> None:
        rotel = pytest.importorskip(
            "rotel", reason="the collector, rotel, cannot be installed here"
        )
        with socket.socket() as one, socket.socket() as other:
            for free in (one, other):
                free.bind(("127.0.0.1", 0))
            grpc, http = one.getsockname()[1], other.getsockname()[1]
        self.url = f"http://127.0.0.1:{http}"
        """The value for ``OTEL_EXPORTER_OTLP_ENDPOINT``."""
        self.grpc_url = f"http://127.0.0.1:{grpc}"
        agent = os.path.join(os.path.dirname(rotel.__file__), "rotel-agent")
        places = ("--otlp-grpc-endpoint", self.grpc_url[7:], "--otlp-http-endpoint", self.url[7:])
        env = {**os.environ, "LD_LIBRARY_PATH": str(sysconfig.get_config_var("LIBDIR"))}
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [agent, "start", *places, *args], env=env, stdout=file, stderr=file
            )
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError):
                for port in (grpc, http):
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            said = log.read_text() if self._process.poll() is not None else ""
            if "shared libraries" in said:
                pytest.skip("there is no library of the interpreter for rotel")
            assert self._process.poll() is None, said
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def stop(self) -> None:
        """End it; what it has is sent by then."""
        self._process.terminate()
        self._process.wait()


@pytest.fixture
def rotel(tmp_path: Path) -> Iterator[Callable[..., Rotel]]:
    """Return what starts a real collector with arguments; it ends with the test."""
    started: list[Rotel] = []

    def start(*args: str) -> Rotel:
        started.append(Rotel(tmp_path / f"rotel-{len(started)}.log", *args))
        return started[-1]

    yield start
    for it in started:
        it.stop()


def _plain(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "kvlist_value":
        return _plain(value.kvlist_value.values)
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return None if kind is None else getattr(value, kind)


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Return a running :class:`Collector`."""
    pytest.importorskip("opentelemetry.proto.collector", reason="it reads OTLP by that")
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()

"""configure(otlp=True): lines and spans at a collector, beside the files."""

from __future__ import annotations

import gc
import logging
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from opentelemetry import trace

from tracectrl.errors import MissingExtraError
from tracectrl.files import log_path, span_path
from tracectrl.session import session
from tracectrl_logging import configure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Lines = Callable[..., list[dict[str, Any]]]

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra otlp")

log = logging.getLogger("app")

NOBODY = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _endpoint(collector: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Send to the collector, which answers at once, and soon."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_BLRP_SCHEDULE_DELAY", "20")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")


def until(condition: Callable[[], object], bound_s: float = 30) -> None:
    """Wait until *condition* holds."""
    end = time.monotonic() + bound_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("background", [False, True])
def test_what_is_sent(background: bool, root: Path, lines: Lines, collector: Any) -> None:  # noqa: FBT001
    """Each record is its line, redacted as that is, with its session and its span."""
    options: Any = {"redact": ["password"], "callsite": True, "background": background}
    with configure(root, service_name="shop", console=None, otlp=True, **options):
        with session("s", user_id="u-1"), trace.get_tracer("t").start_as_current_span("work"):
            extra = {"password": "p", "n": {"big": 2**64 - 1, "none": None, "list": [1, 2.5]}}
            logging.getLogger("a").warning("stdlib", extra=extra)
            structlog.get_logger("b").info("structlog", password="p")  # noqa: S106
            try:
                int("card")
            except ValueError:
                logging.getLogger("a").exception("failed", stack_info=True)
        logging.getLogger("a").info("outside", extra={"event.name": "shop.closed"})

    sent = {row["body"]: row for row in sorted(collector.logs, key=lambda row: row["time_ns"])}
    stored = {row["message"]: row for row in [*lines("s"), *lines()]}
    assert ["stdlib", "structlog", "failed", "outside"] == list(sent)
    assert {*sent} == {*stored}
    for message, row in stored.items():
        found = sent[message]
        for key, name in (("logger", "scope"), ("level", "level"), ("service", "service")):
            assert row[key] == found[name]
        for key in ("trace_id", "span_id"):
            assert row.get(key, "") == found[key]
        assert row["code.line.number"] == found["attributes"]["code.line.number"]
        assert row.get("user.id") == found["attributes"].get("user.id")
    assert ["s", "s", "s", None] == [row["attributes"].get("session.id") for row in sent.values()]
    assert "[redacted]" == sent["stdlib"]["attributes"]["password"]
    assert "[redacted]" == sent["structlog"]["attributes"]["password"]
    kept = {"big": str(2**64 - 1), "none": None, "list": [1, 2.5]}
    assert kept == sent["stdlib"]["attributes"]["n"]
    failed = sent["failed"]["attributes"]
    assert stored["failed"]["exception"] == {
        key: failed[f"exception.{key}"] for key in ("type", "message", "stacktrace")
    }
    assert stored["failed"]["stack"] == failed["code.stacktrace"]
    assert "shop.closed" == sent["outside"]["event"]


def test_spans(root: Path, collector: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans carry the session and its attributes; what is redacted is, wherever it is."""
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "token=t,zone=z")
    with configure(root, console=None, otlp=True, redact=["password", "token"]):
        tracer = trace.get_tracer("t")
        with session("s", user_id="u-1"), tracer.start_as_current_span("outer") as outer:
            link = trace.Link(outer.get_span_context(), {"password": "p", "kept": 1})
            with tracer.start_as_current_span("inner", links=[link]) as inner:
                inner.set_attributes({"password": "p", "kept": [1, 2]})
                inner.add_event("e", {"password": "p", "kept": True})

    sent = {row["name"]: row for row in collector.spans}
    assert {"outer", "inner"} == {*sent}
    for row in sent.values():
        known = [row["attributes"][name] for name in ("session.id", "user.id")]
        assert ["s", "u-1"] == known
        assert ("t", "[redacted]", "z") == (
            row["scope"],
            row["resource"]["token"],
            row["resource"]["zone"],
        )
    row = sent["inner"]
    assert f"{inner.get_span_context().span_id:016x}" == row["span_id"]
    assert ("[redacted]", [1, 2]) == (row["attributes"]["password"], row["attributes"]["kept"])
    assert [{"password": "[redacted]", "kept": True}] == row["events"]
    assert [{"password": "[redacted]", "kept": 1}] == row["links"]
    assert {"[redacted]"} == {it["resource"]["token"] for it in collector.logs} | {"[redacted]"}


def test_the_variables(root: Path, collector: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers and endpoints are read as the SDK reads them; without spans, log records alone go out."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{NOBODY}/v1/traces")
    with configure(root, console=None, otlp=True, spans=False):
        log.warning("x")

    ((path, headers),) = collector.requests
    assert ("/v1/logs", "secret") == (path, headers["x-key"])
    assert ["x"] == [row["body"] for row in collector.logs]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "smoke"),
    ],
)
def test_a_variable_that_is_wrong(
    name: str, value: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It raises at once, and nothing is set up."""
    monkeypatch.setenv(name, value)
    before = list(logging.root.handlers)
    with pytest.raises(ValueError, match=value):
        configure(root, otlp=True)
    assert before == logging.root.handlers


def test_grpc_without_its_package(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the package, which no extra of ours brings."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.grpc", None)
    monkeypatch.delitem(
        sys.modules, "opentelemetry.exporter.otlp.proto.grpc._log_exporter", raising=False
    )
    with pytest.raises(
        MissingExtraError, match=r"pip install opentelemetry-exporter-otlp-proto-grpc$"
    ):
        configure(root, otlp=True)


def test_background(root: Path, collector: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for the writer's thread at the end is sent, too."""
    monkeypatch.setenv("OTEL_BLRP_MAX_QUEUE_SIZE", "100000")
    with configure(root, console=None, otlp=True, background=True, spans=False):
        for number in range(3000):
            log.info("%d", number)

    assert list(map(str, range(3000))) == sorted((row["body"] for row in collector.logs), key=int)


def test_called_again(root: Path, collector: Any) -> None:
    """The later set-up sends, and what it replaces has sent what it had."""
    configure(root, console=None, otlp=True)
    log.warning("first")
    with configure(root, console=None, otlp=True):
        log.warning("second")
        with session("s"), trace.get_tracer("t").start_as_current_span("span"):
            pass
    with configure(root, console=None), trace.get_tracer("t").start_as_current_span("unsent"):
        log.warning("third")

    assert ["first", "second"] == [row["body"] for row in collector.logs]
    assert ["span"] == [row["name"] for row in collector.spans]


def test_a_collector_that_refuses(
    root: Path, lines: Lines, collector: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """One warning is given until it takes them again; what the SDK and its client say goes nowhere."""
    collector.status = 400
    shown: list[str] = []

    def has_said_so() -> bool:
        shown.extend(capsys.readouterr().err.splitlines())
        stored = [row["message"] for row in lines()]
        return all(any("sent by OTLP again" in it for it in place) for place in (shown, stored))

    with configure(root, level="DEBUG", console="text", otlp=True, spans=False):
        for number in range(3):  # each a request of its own
            before = len(collector.requests)
            logging.getLogger("a").debug("lost %d", number)
            until(lambda: len(collector.requests) > before)  # noqa: B023 - waited for here
        until(lambda: len(lines()) == 4)
        collector.status = 200
        logging.getLogger("a").debug("sent")
        until(has_said_so)

    messages = [row["message"] for row in lines()]
    assert 6 == len(messages), messages
    (warning,) = (it for it in messages if it.startswith("log records are not sent by OTLP"))
    assert "400" in warning
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in warning
    assert 6 == len(shown)
    assert "sent" in [row["body"] for row in collector.logs]


def test_a_full_queue(
    root: Path, lines: Lines, collector: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits: what finds no room is in the file alone, and that is said once."""
    monkeypatch.setenv("OTEL_BLRP_MAX_QUEUE_SIZE", "10")
    monkeypatch.setenv("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "10")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", NOBODY)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
    with configure(root, console=None, otlp=True, spans=False), session("s"):
        for number in range(500):
            logging.getLogger("a").info("line %d", number)
    assert [] == collector.requests
    assert [f"line {number}" for number in range(500)] == [row["message"] for row in lines("s")]
    assert ["tracectrl_logging.otlp"] == [row["logger"] for row in lines()]


def test_in_the_middle_of_sending(
    root: Path, collector: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What finalizers and signal handlers log there waits for nobody, and is sent once, as all is."""
    monkeypatch.setenv("OTEL_BLRP_MAX_QUEUE_SIZE", "100000")
    signals = 0

    finalized = 0

    class Cycle:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            nonlocal finalized
            log.info("finalized")
            finalized += 1

    def handle(*_: Any) -> None:
        nonlocal signals
        signals += 1
        log.info("signalled")

    thresholds, before = gc.get_threshold(), signal.signal(signal.SIGALRM, handle)
    gc.collect()
    with configure(root, console=None, otlp=True, spans=False):
        try:
            gc.set_threshold(50)
            signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
            for _ in range(500):
                Cycle()
                log.info("logged")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            gc.set_threshold(*thresholds)
            signal.signal(signal.SIGALRM, before)
        # Another thread may be in the middle of collecting: then collect() does nothing.
        while finalized < 500:
            gc.collect()
            time.sleep(0.001)

    expected = Counter(logged=500, finalized=500, signalled=signals)
    assert expected == Counter(row["body"] for row in collector.logs)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is nothing to fork by")
def test_a_forked_child(root: Path, collector: Any) -> None:
    """It sends its own lines by a connection of its own, and none of its parent's again."""
    configure(root, console=None, otlp=True)
    log.warning("before")
    until(lambda: collector.logs)
    log.warning("while it forks")
    child = os.fork()
    if not child:
        try:
            log.warning("child")
            logging.shutdown()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    log.warning("parent")
    until(lambda: len(collector.logs) >= 4)

    expected = ["before", "child", "parent", "while it forks"]
    assert expected == sorted(row["body"] for row in collector.logs)


PROGRAM = """
import atexit, logging, sys, time
from opentelemetry import trace
from tracectrl.session import session
from tracectrl_logging import configure

atexit.register(logging.getLogger("shop").warning, "at exit")
configure(sys.argv[1], otlp=True, level="DEBUG")
began = time.monotonic()
with session("s"):
    for number in range(100):
        with trace.get_tracer("t").start_as_current_span("span"):
            logging.getLogger("shop").debug("line %d", number)
    print(time.monotonic() - began, flush=True)
    raise SystemError("crash")
"""


def run(root: Path, endpoint: str) -> tuple[float, float, list[str]]:
    """Run PROGRAM; return the seconds that its loop, and all of it, took, and what it wrote to stderr."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(root)],
        env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert 1 == done.returncode
    return float(done.stdout), time.monotonic() - began, done.stderr.splitlines()


@pytest.mark.one_python
def test_the_end_of_a_program(root: Path, collector: Any) -> None:
    """What waits is sent: the crash, and what is logged at exit, too."""
    run(root, collector.url)

    bodies = [row["body"] for row in collector.logs]
    assert [f"line {number}" for number in range(100)] == bodies[:100]
    assert "at exit" in bodies
    assert any("SystemError" in str(row["attributes"]) for row in collector.logs)
    assert 100 == len(collector.spans)


@pytest.mark.one_python
def test_the_end_of_a_program_without_a_collector(root: Path, read_lines: Lines) -> None:
    """It takes a few seconds more at most, which the loop does not; the files are whole."""
    loop_s, all_s, errors = run(root, NOBODY)

    assert (100, 100) == (
        len(read_lines(span_path("s", root))),
        len([row for row in read_lines(log_path("s", root)) if row["logger"] == "shop"]),
    )
    assert 2 > loop_s
    assert 10 > all_s
    told = [line for line in errors if "are not sent by OTLP" in line]
    assert 1 <= len(told) <= 2
    assert [] == [line for line in errors if " opentelemetry." in line or " urllib3." in line]

"""What any library emits as OpenTelemetry log records and events is in its session's log file."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import (
    BatchLogRecordProcessor,
    LogRecordExportResult,
    SimpleLogRecordProcessor,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from tracectrl.files import log_path
from tracectrl.log_exporter import FileLogRecordExporter
from tracectrl.processor import SessionLogRecordProcessor
from tracectrl.session import session

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from pathlib import Path

    ReadLines = Callable[[str | os.PathLike[str]], list[dict[str, Any]]]

NS = 1_767_225_600_123_456_789


@pytest.fixture
def exporter(root: Path) -> FileLogRecordExporter:
    """Return an exporter on ``root``."""
    return FileLogRecordExporter(root, redact=["password"])


@pytest.fixture
def emit(exporter: FileLogRecordExporter) -> Callable[..., None]:
    """Return the function that emits a record by the SDK, on this thread."""
    provider = LoggerProvider(Resource({"service.name": "shop"}))
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    logger = provider.get_logger("shop.cards")

    def call(**fields: Any) -> None:
        logger.emit(LogRecord(timestamp=NS, **fields))

    return call


def test_a_record(emit: Callable[..., None], root: Path, read_lines: ReadLines) -> None:
    """The line has the keys of a line of stdlib logging, in their order, and the attributes behind."""
    span = TracerProvider().get_tracer("t").start_span("pay").get_span_context()
    with session("order-1"):
        emit(
            body="declined",
            severity_number=SeverityNumber.ERROR,
            trace_id=span.trace_id,
            span_id=span.span_id,
            trace_flags=span.trace_flags,
            attributes={"card": 7, "level": "high", "password": "x", "tags": ["a"]},
        )

    (row,) = read_lines(log_path("order-1", root))
    password = row.pop("password")
    assert password != "x"  # noqa: S105
    assert {
        "timestamp": "2026-01-01T00:00:00.123456Z",
        "level": "ERROR",
        "logger": "shop.cards",
        "message": "declined",
        "session_id": "order-1",
        "trace_id": f"{span.trace_id:032x}",
        "span_id": f"{span.span_id:016x}",
        "trace_flags": f"{span.trace_flags:02x}",
        "service": "shop",
        "card": 7,
        "extra_level": "high",
        "tags": ["a"],
    } == row
    assert list(row)[:3] == ["timestamp", "level", "logger"]


def test_an_event(emit: Callable[..., None], root: Path, read_lines: ReadLines) -> None:
    """An event is called by its name; a structured body stays what it is."""
    with session("order-1"):
        emit(event_name="user.signed_in", attributes={"user.id": "ada"})
        emit(event_name="gen_ai.choice", body={"message": {"content": "hello"}, "index": 0})

    first, second = read_lines(log_path("order-1", root))
    assert ("user.signed_in", "user.signed_in", "ada") == (
        first["message"],
        first["event.name"],
        first["user.id"],
    )
    assert {"message": {"content": "hello"}, "index": 0} == second["message"]
    assert "gen_ai.choice" == second["event.name"]


@pytest.mark.parametrize(
    ("number", "text", "expected"),
    [
        (SeverityNumber.INFO, "info", ("INFO", None)),
        (SeverityNumber.WARN, None, ("WARNING", None)),
        (SeverityNumber.FATAL, "FATAL", ("CRITICAL", None)),
        (SeverityNumber.INFO4, "SUCCESS", ("SUCCESS", 12)),
        (SeverityNumber.TRACE, None, ("TRACE", 1)),
        (None, "warn", ("WARNING", None)),
        (None, None, ("", None)),
    ],
)
def test_levels(
    emit: Callable[..., None],
    root: Path,
    read_lines: ReadLines,
    number: SeverityNumber | None,
    text: str | None,
    expected: tuple[str, int | None],
) -> None:
    """The five have our names; others keep theirs and their numbers."""
    emit(body="m", severity_number=number, severity_text=text)

    (row,) = read_lines(log_path("unknown", root))
    assert expected == (row["level"], row.get("severity_number"))


def test_an_exception(emit: Callable[..., None], root: Path, read_lines: ReadLines) -> None:
    """The attributes of an exception are the line's ``exception``."""
    emit(
        body="failed",
        attributes={
            "exception.type": "KeyError",
            "exception.message": "'card'",
            "exception.stacktrace": "Traceback",
        },
    )

    (row,) = read_lines(log_path("unknown", root))
    assert {"type": "KeyError", "message": "'card'", "stacktrace": "Traceback"} == row["exception"]


def test_on_the_batch_thread(
    exporter: FileLogRecordExporter, root: Path, read_lines: ReadLines
) -> None:
    """Behind our processor a record has its session on any thread."""
    provider = LoggerProvider()
    provider.add_log_record_processor(SessionLogRecordProcessor())
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    for sid in ("a", "b"):
        with session(sid):
            provider.get_logger("t").emit(LogRecord(timestamp=NS, body=sid))
    provider.shutdown()

    assert [["a"], ["b"]] == [
        [row["message"] for row in read_lines(log_path(sid, root))] for sid in ("a", "b")
    ]


def test_on_the_batch_thread_alone(
    exporter: FileLogRecordExporter,
    root: Path,
    read_lines: ReadLines,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without our processor, what would have kept the session is told, once."""
    provider = LoggerProvider()
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    with session("a"):
        for body in ("1", "2"):
            provider.get_logger("t").emit(LogRecord(timestamp=NS, body=body))
    provider.shutdown()

    assert ["1", "2"] == [row["message"] for row in read_lines(log_path("unknown", root))]
    (message,) = caplog.messages
    assert "a log record without a session comes from a batch processor's thread" in message
    assert message.endswith("(tracectrl.processor.SessionLogRecordProcessor())")


def test_outside_any_session(
    exporter: FileLogRecordExporter, emit: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    """A record whose call was in no session is told of nowhere: our processor, or this thread, says so."""
    emit(body="on the thread of the call")
    provider = LoggerProvider()
    provider.add_log_record_processor(SessionLogRecordProcessor())
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    provider.get_logger("t").emit(LogRecord(timestamp=NS, body="behind our processor"))
    provider.shutdown()

    assert [] == caplog.messages


def test_a_session_of_its_own(emit: Callable[..., None], root: Path, read_lines: ReadLines) -> None:
    """A record that was given a session keeps it."""
    with session("order-1"):
        emit(body="m", attributes={"session.id": "order-2"})

    (row,) = read_lines(log_path("order-2", root))
    assert "order-2" == row["session_id"]
    assert "session.id" not in row


def test_what_cannot_be_written(
    exporter: FileLogRecordExporter, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A record that is none, or whose file cannot be opened, is counted and raises nothing."""
    log_path("unknown", root).mkdir()
    broken: Any = object()
    with caplog.at_level(logging.ERROR):
        result = exporter.export([broken])

    assert LogRecordExportResult.FAILURE == result
    assert 1 == exporter.lost


def test_values_that_json_has_none_for(
    emit: Callable[..., None], root: Path, read_lines: ReadLines
) -> None:
    """A strange body costs no line."""
    emit(body={"nan": float("nan"), "bytes": b"\xff", "deep": [1, {"a": None}]})

    (row,) = read_lines(log_path("unknown", root))
    assert None is row["message"]["nan"]
    assert [1, {"a": None}] == row["message"]["deep"]

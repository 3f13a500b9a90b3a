"""The last processor of a structlog chain."""

from __future__ import annotations

import io
import json
import logging
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from structlog.processors import CallsiteParameter
from structlog.stdlib import ExtraAdder, ProcessorFormatter

from tracectrl.session import session
from tracectrl_logging import (
    SessionContextFilter,
    SessionFileLoggerFactory,
    SessionJSONRenderer,
    add_session_context,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from opentelemetry import trace

    from tracectrl_logging import SessionFileHandler

    Row = dict[str, Any]


def render(event: dict[str, Any], method: str = "info", **options: Any) -> Row:
    """Return what a renderer with *options* makes of *event*."""
    rendered = SessionJSONRenderer(**options)(None, method, event)
    assert isinstance(rendered, str)
    row: Row = json.loads(rendered)
    return row


def test_str_without_newline() -> None:
    """The result is a str on one line, for any logger."""
    rendered = SessionJSONRenderer()(structlog.PrintLogger(), "info", {"event": "a\nb"})
    assert isinstance(rendered, str)
    assert "\n" not in rendered


def test_bytes_logger() -> None:
    """structlog's BytesLogger gets bytes."""
    file = io.BytesIO()
    log = structlog.wrap_logger(structlog.BytesLogger(file), processors=[SessionJSONRenderer()])
    log.info("hello")
    assert "hello" == json.loads(file.getvalue())["message"]
    assert file.getvalue().endswith(b"}\n")


def test_print_logger() -> None:
    """structlog's PrintLogger gets text, stamped."""
    file = io.StringIO()
    log = structlog.wrap_logger(structlog.PrintLogger(file), processors=[SessionJSONRenderer()])
    with session("s1"):
        log.warning("hello", x=1)
    row = json.loads(file.getvalue())
    assert ["WARNING", "root", "hello", "s1", 1] == list(row.values())[1:]


def test_line_and_file_agree(root: Path, lines: Callable[..., list[Row]]) -> None:
    """With SessionFileLogger a line lands in the file of the session that is in it."""
    factory = SessionFileLoggerFactory(root)
    log = structlog.wrap_logger(factory(), processors=[add_session_context, SessionJSONRenderer()])
    with session("ambient"):
        log.bind(session_id="bound").info("one")
        log.info("two", session_id=7)
        log.info("three", session_id=None)
        log.info("four")
    assert [["one"], ["two"], ["three"], ["four"]] == [
        [row["message"] for row in lines(sid)] for sid in ("bound", "7", "unknown", "ambient")
    ]


@pytest.mark.parametrize(
    ("method", "level"),
    [
        ("warn", "WARNING"),
        ("exception", "ERROR"),
        ("err", "ERROR"),
        ("failure", "CRITICAL"),
        ("fatal", "CRITICAL"),
        ("msg", "INFO"),
        ("log", "INFO"),
        ("notice", "NOTICE"),
    ],
)
def test_level_of_method(method: str, level: str) -> None:
    """The level is logging's name for the method; a method of one's own is its own level."""
    assert level == render({"event": "x"}, method)["level"]


def test_service_option() -> None:
    """The service may be given."""
    assert "shop" == render({"event": "x"}, service_name="shop")["service"]


def test_redact_option() -> None:
    """What is to be left out is left out, at any depth."""
    row = render({"event": "x", "a": [{"Password": "p"}], "password": "p"}, redact=["password"])
    assert [{"Password": "[redacted]"}] == row["a"]
    assert "[redacted]" == row["password"]


# --- structlog's own processors before it ---------------------------------------------------------


def test_add_log_level() -> None:
    """``add_log_level`` is the level, not an extra."""
    for method in ("info", "warn", "exception", "critical", "notice"):
        event = structlog.processors.add_log_level(None, method, {"event": "x"})
        assert render(dict(event), method) | {"timestamp": 0} == (
            render({"event": "x"}, method) | {"timestamp": 0}
        )


def test_add_logger_name() -> None:
    """``add_logger_name`` is the logger, not an extra."""
    event = structlog.stdlib.add_logger_name(logging.getLogger("app"), "info", {"event": "x"})
    row = render(dict(event))
    assert ("app", 5) == (row["logger"], len(row))


@pytest.mark.parametrize("fmt", ["iso", None])
def test_time_stamper(fmt: str | None) -> None:
    """TimeStamper's UTC times, ISO and UNIX, are the timestamp."""
    event = structlog.processors.TimeStamper(fmt=fmt)(None, "info", {"event": "x"})
    row = render(dict(event))
    assert 5 == len(row)
    assert ("Z", 27) == (row["timestamp"][-1], len(row["timestamp"]))


def test_time_stamper_values() -> None:
    """A time that a processor set is the line's time, to the microsecond."""
    for value in ("2024-01-02T03:04:05.000006Z", 1704164645.000006):
        assert (
            "2024-01-02T03:04:05.000006Z" == render({"event": "x", "timestamp": value})["timestamp"]
        )


@pytest.mark.parametrize(
    "value", ["2024-01-02T03:04:05Z", "2024-01-02 03:04", "later", [1], None, True], ids=str
)
def test_time_in_another_form(value: object) -> None:
    """A time in a form that is not the line's is kept beside the timestamp, or is it."""
    row = render({"event": "x", "timestamp": value})
    assert ("Z", 27) == (row["timestamp"][-1], len(row["timestamp"]))
    if row["timestamp"] != "2024-01-02T03:04:05.000000Z":
        assert value == row["extra_timestamp"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300, -1e300, 10**400])
def test_time_that_no_calendar_holds(value: float) -> None:
    """A time that no calendar holds loses no line."""
    assert 27 == len(render({"event": "x", "timestamp": value})["timestamp"])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime(2024, 1, 2, 3, 4, 5, 6, timezone.utc), "2024-01-02T03:04:05.000006Z"),
        (
            datetime(2024, 1, 2, 3, 4, 5, 6, timezone(timedelta(hours=2))),
            "2024-01-02T01:04:05.000006Z",
        ),
        (datetime.max.replace(tzinfo=timezone(timedelta(hours=-9))), None),
        (datetime.min.replace(tzinfo=timezone(timedelta(hours=9))), None),
        (datetime.max, None),  # noqa: DTZ901 - without a zone
        (datetime.min, None),  # noqa: DTZ901
    ],
    ids=["utc", "+2", "max", "min", "max local", "min local"],
)
def test_datetime_as_timestamp(value: datetime, text: str | None) -> None:
    """A datetime is the time, whatever its zone; none of them raises into the application."""
    file = io.StringIO()
    log = structlog.wrap_logger(structlog.PrintLogger(file), processors=[SessionJSONRenderer()])
    log.info("hello", timestamp=value)
    row = json.loads(file.getvalue())
    assert ("Z", 27) == (row["timestamp"][-1], len(row["timestamp"]))
    if text is not None:
        assert (text, 5) == (row["timestamp"], len(row))


def test_event_renamer() -> None:
    """EventRenamer's ``message`` is the message."""
    event = structlog.processors.EventRenamer("message")(logging.root, "info", {"event": "x"})
    row = render(dict(event))
    assert ("x", 5) == (row["message"], len(row))


def test_event_renamer_with_another_event() -> None:
    """EventRenamer's replacement for the event is an extra or a message, and nothing is lost."""
    renamer = structlog.processors.EventRenamer("message", "_event")
    event = renamer(logging.root, "info", {"event": "x", "_event": {"action": "login"}})
    row = render(dict(event))
    assert "x" in row.values()
    assert {"action": "login"} in row.values() or "{'action': 'login'}" in row.values()


def test_callsite_parameters() -> None:
    """CallsiteParameterAdder's parameters are extras."""
    file = io.StringIO()
    log = structlog.wrap_logger(
        structlog.PrintLogger(file),
        processors=[
            structlog.processors.CallsiteParameterAdder(
                {CallsiteParameter.MODULE, CallsiteParameter.FUNC_NAME}
            ),
            SessionJSONRenderer(),
        ],
    )
    log.info("hello")
    row = json.loads(file.getvalue())
    assert ("test_renderer", "test_callsite_parameters") == (row["module"], row["func_name"])


@pytest.mark.parametrize(
    "processor",
    [None, structlog.processors.format_exc_info, structlog.processors.dict_tracebacks],
    ids=["none", "format_exc_info", "dict_tracebacks"],
)
@pytest.mark.parametrize("message", ["one line", "two\nlines: here"])
def test_exception_processors(processor: Any, message: str) -> None:
    """Whichever processor took the exception, the line says the same of it."""
    chain = [SessionJSONRenderer()] if processor is None else [processor, SessionJSONRenderer()]
    file = io.StringIO()
    log = structlog.wrap_logger(structlog.PrintLogger(file), processors=chain)
    try:
        raise ValueError(message)  # noqa: TRY301 - to be caught
    except ValueError:
        log.exception("hello")
    row = json.loads(file.getvalue())
    assert ["exception"] == list(row)[5:]
    assert ("ValueError", message) == (row["exception"]["type"], row["exception"]["message"])
    assert "Traceback (most recent call last):" == row["exception"]["stacktrace"].split("\n")[0]
    assert row["exception"]["stacktrace"].endswith(f"ValueError: {message}")


def test_stack_info_renderer() -> None:
    """StackInfoRenderer's stack is the stack."""
    file = io.StringIO()
    log = structlog.wrap_logger(
        structlog.PrintLogger(file),
        processors=[structlog.processors.StackInfoRenderer(), SessionJSONRenderer()],
    )
    log.info("hello", stack_info=True)
    row = json.loads(file.getvalue())
    assert ["stack"] == list(row)[5:]
    assert "test_stack_info_renderer" in row["stack"]


async def test_async_methods(
    root: Path, lines: Callable[..., list[Row]], tracer: trace.Tracer
) -> None:
    """``ainfo`` and ``aexception`` keep the session, the span and the exception."""
    structlog.configure(
        processors=[add_session_context, SessionJSONRenderer()],
        logger_factory=SessionFileLoggerFactory(root),
    )
    log = structlog.get_logger("app")
    with session("s1"), tracer.start_as_current_span("work") as span:
        await log.ainfo("one", x=1)
        try:
            raise KeyError("x")  # noqa: EM101, TRY301
        except KeyError:
            await log.aexception("two")
    one, two = lines("s1")
    span_id = f"{span.get_span_context().span_id:016x}"
    assert [("one", span_id), ("two", span_id)] == [
        (row["message"], row["span_id"]) for row in (one, two)
    ]
    assert (1, "KeyError") == (one["x"], two["exception"]["type"])


# --- behind ProcessorFormatter --------------------------------------------------------------------


@pytest.mark.parametrize("default", [None, "-"])
@pytest.mark.parametrize("meta", [True, False], ids=["meta removed", "meta kept"])
@pytest.mark.parametrize("adder", [True, False], ids=["ExtraAdder", "no adder"])
def test_processor_formatter(
    logger: logging.Logger,
    handler: SessionFileHandler,
    lines: Callable[..., list[Row]],
    default: str | None,
    meta: bool,  # noqa: FBT001
    adder: bool,  # noqa: FBT001
) -> None:
    """Set up as structlog's documentation says, too, a stdlib record is the contract's line."""
    remove = [ProcessorFormatter.remove_processors_meta] if meta else []
    add = [ExtraAdder()] if adder else []
    handler.addFilter(SessionContextFilter(default=default))
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_logger_name,
                structlog.stdlib.add_log_level,
                structlog.processors.TimeStamper(fmt="iso"),
                *add,
                add_session_context,
            ],
            processors=[*remove, SessionJSONRenderer()],
        )
    )
    logger.warning("outside %d", 1, extra={"x": 1})
    with session("s1"):
        logger.warning("inside %d", 2, extra={"x": 1})
    (outside,), (inside,) = lines(), lines("s1")
    extras = {"x": 1} if adder or not meta else {}
    assert ["WARNING", "app", "outside 1", "unknown", *extras.values()] == (
        list(outside.values())[1:]
    )
    assert ["WARNING", "app", "inside 2", "s1", *extras.values()] == list(inside.values())[1:]


def test_rendered_once(
    logger: logging.Logger, handler: SessionFileHandler, lines: Callable[..., list[Row]]
) -> None:
    """What structlog hands over is rendered once: the line holds no line."""
    handler.setFormatter(ProcessorFormatter(processors=[SessionJSONRenderer()]))
    structlog.configure(
        processors=[add_session_context, ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    structlog.get_logger("app").info("hello", x={"y": 1})
    logger.info("hello", extra={"x": {"y": 1}})
    one, two = lines()
    assert one | {"timestamp": 0} == two | {"timestamp": 0}
    assert ["hello", "unknown", {"y": 1}] == list(one.values())[3:]


def test_rendered_by_the_renderer_alone(
    logger: logging.Logger, handler: SessionFileHandler, lines: Callable[..., list[Row]]
) -> None:
    """A line that structlog renders before it hands it to stdlib is not lost behind a handler."""
    del handler
    log = structlog.wrap_logger(logger, processors=[SessionJSONRenderer()])
    log.info("hello %d%%")
    (row,) = lines()
    assert "hello %d%%" in row["message"]

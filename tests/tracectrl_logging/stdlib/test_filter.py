"""The filter: the stamp as attributes of a record."""

from __future__ import annotations

import copy
import logging
import logging.handlers
import pickle
import queue
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.session import session, set_session_id
from tracectrl_logging import SessionContextFilter

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry import trace

    from tracectrl_logging import SessionFileHandler

    Row = dict[str, Any]

KEYS = ("session_id", "trace_id", "span_id", "trace_flags")


def stamped(record: logging.LogRecord) -> list[object]:
    """Return the values of the stamp on *record*; each must be there."""
    return [getattr(record, key) for key in KEYS]


def record_of(**fields: object) -> logging.LogRecord:
    """Return a record with *fields*, as ``extra=`` sets them."""
    return logging.makeLogRecord({"name": "app", "levelno": 20, "msg": "hello", **fields})


def test_stamp(tracer: trace.Tracer) -> None:
    """The four keys are on the record."""
    record = record_of()
    with session("s1"), tracer.start_as_current_span("work") as span:
        assert SessionContextFilter().filter(record)
    ids = span.get_span_context()
    assert [
        "s1",
        f"{ids.trace_id:032x}",
        f"{ids.span_id:016x}",
        f"{ids.trace_flags:02x}",
    ] == stamped(record)


@pytest.mark.parametrize("default", [None, "-", ""])
def test_default(default: str | None) -> None:
    """IDs that do not exist become the default, so that a text format can name them."""
    record = record_of()
    assert SessionContextFilter(default=default).filter(record)
    assert [default] * 4 == stamped(record)


def test_text_format() -> None:
    """A text format can name the keys."""
    record = record_of()
    SessionContextFilter(default="-").filter(record)
    form = logging.Formatter("[%(session_id)s %(trace_id)s] %(message)s")
    assert "[- -] hello" == form.format(record)


def test_default_is_an_option_by_name_alone() -> None:
    """``logging.Filter``'s own positional argument, a logger's name, is not the default."""
    with pytest.raises(TypeError):
        SessionContextFilter("-")  # type: ignore[call-arg]


@pytest.mark.parametrize("given", ["given", None, 7], ids=str)
def test_extra_stays(given: object) -> None:
    """What ``extra=`` set stays, also where it is None."""
    record = record_of(session_id=given)
    with session("ambient"):
        SessionContextFilter(default="-").filter(record)
    assert [given, "-", "-", "-"] == stamped(record)


@pytest.mark.parametrize("key", KEYS)
def test_each_key_alone_stays(key: str, tracer: trace.Tracer) -> None:
    """Each of the keys, set alone, stays; the others are stamped."""
    record = record_of(**{key: "given"})
    with session("ambient"), tracer.start_as_current_span("work"):
        SessionContextFilter().filter(record)
    assert [key == name for name in KEYS] == [value == "given" for value in stamped(record)]
    assert None not in stamped(record)


def test_earlier_filter_stays() -> None:
    """A second filter, in another context, changes nothing."""
    record = record_of()
    with session("first"):
        SessionContextFilter().filter(record)
    with session("second"):
        SessionContextFilter(default="-").filter(record)
    assert "first" == record.__dict__["session_id"]


@pytest.mark.parametrize("default", [None, "-", "unknown"])
def test_line_behind_the_filter(
    logger: logging.Logger,
    handler: SessionFileHandler,
    lines: Callable[..., list[Row]],
    default: str | None,
) -> None:
    """The default is never taken for an ID: the line is that of no session and no span."""
    handler.addFilter(SessionContextFilter(default=default))
    logger.info("hello", extra={"x": 1})
    (row,) = lines()
    assert ["unknown", 1] == list(row.values())[4:]


def test_two_filters_with_different_defaults(
    logger: logging.Logger, handler: SessionFileHandler, lines: Callable[..., list[Row]]
) -> None:
    """The first filter's default is not taken for an ID because a second has another."""
    handler.addFilter(SessionContextFilter(default="-"))
    handler.addFilter(SessionContextFilter(default="none"))
    logger.info("hello")
    (row,) = lines()
    assert ["unknown"] == list(row.values())[4:]


def test_default_set_outside_stays_outside(
    logger: logging.Logger, handler: SessionFileHandler, lines: Callable[..., list[Row]]
) -> None:
    """A record that was stamped outside a session stays outside, whoever handles it."""
    record = record_of(levelname="INFO")
    SessionContextFilter(default="-").filter(record)
    with session("ambient"):
        handler.handle(copy.copy(record))
        handler.handle(pickle.loads(pickle.dumps(record)))  # noqa: S301 - our own
        logger.handle(record)
    assert ["unknown"] * 3 == [row["session_id"] for row in lines()]


def test_on_a_logger_children_pass_it_by(
    logger: logging.Logger, lines: Callable[..., list[Row]]
) -> None:
    """A filter on a logger does not see its children's records; the handler stamps them itself."""
    logger.addFilter(SessionContextFilter())
    with session("s1"):
        logging.getLogger("app.child").info("hello")
    assert ["app.child"] == [row["logger"] for row in lines("s1")]


@pytest.mark.parametrize("default", [None, "-"])
def test_queue(
    handler: SessionFileHandler,
    lines: Callable[..., list[Row]],
    tracer: trace.Tracer,
    default: str | None,
) -> None:
    """On a QueueHandler the IDs are the caller's, whatever session the listener's thread is in."""
    records: queue.SimpleQueue[Any] = queue.SimpleQueue()
    before = logging.handlers.QueueHandler(records)
    before.addFilter(SessionContextFilter(default=default))
    logger = logging.getLogger("queued")
    logger.setLevel(logging.INFO)
    logger.addHandler(before)
    logger.propagate = False

    class Listener(logging.handlers.QueueListener):
        def handle(self, record: logging.LogRecord) -> None:
            set_session_id("listener")
            with tracer.start_as_current_span("listening"):
                super().handle(record)

    listener = Listener(records, handler)
    listener.start()
    with session("s1"), tracer.start_as_current_span("work") as span:
        logger.info("hello %s", "queue", extra={"x": 1})
    logger.info("outside")
    listener.stop()
    (inside,), (outside,) = lines("s1"), lines()
    assert ("hello queue", f"{span.get_span_context().span_id:016x}", 1) == (
        inside["message"],
        inside["span_id"],
        inside["x"],
    )
    assert ["outside", "unknown"] == list(outside.values())[3:]

"""The structlog processor: the stamp on an event."""

from __future__ import annotations

import logging
from inspect import signature
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from tracectrl.session import session
from tracectrl_logging import SessionContextFilter, add_session_context

if TYPE_CHECKING:
    from opentelemetry import trace


def test_absent_ids_are_left_out() -> None:
    """Outside a session and a span the event stays as it is."""
    assert {"event": "hello"} == add_session_context(None, "info", {"event": "hello"})


def test_stamp(tracer: trace.Tracer) -> None:
    """Inside both the event has all four keys."""
    with session("s1"), tracer.start_as_current_span("work") as span:
        event = add_session_context(None, "info", {"event": "hello"})
    ids = span.get_span_context()
    assert {
        "event": "hello",
        "session_id": "s1",
        "trace_id": f"{ids.trace_id:032x}",
        "span_id": f"{ids.span_id:016x}",
        "trace_flags": f"{ids.trace_flags:02x}",
    } == event


@pytest.mark.parametrize("key", ["session_id", "trace_id", "span_id", "trace_flags"])
def test_bound_values_stay(key: str, tracer: trace.Tracer) -> None:
    """What is bound or passed already stays."""
    with session("ambient"), tracer.start_as_current_span("work"):
        event = add_session_context(None, "info", {"event": "hello", key: "given"})
    assert ("given", 5) == (event[key], len(event))


def test_capture_logs() -> None:
    """``structlog.testing.capture_logs`` with the processor shows the session."""
    if not signature(structlog.testing.capture_logs).parameters:
        pytest.skip("this structlog's capture_logs takes no processors")
    with session("s1"), structlog.testing.capture_logs([add_session_context]) as captured:
        structlog.get_logger().info("hello", x=1)
    assert [{"event": "hello", "x": 1, "session_id": "s1", "log_level": "info"}] == captured


@pytest.mark.parametrize("default", [None, "-"])
def test_foreign_pre_chain(default: str | None) -> None:
    """For a record from stdlib the IDs on the record win over the present ones."""
    record = logging.makeLogRecord({"msg": "hello"})
    with session("first"):
        SessionContextFilter(default=default).filter(record)
    seen: list[dict[str, Any]] = []

    def keep(_: object, __: str, event: Any) -> str:
        seen.append(dict(event))
        return ""

    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[add_session_context],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, keep],
    )
    with session("second"):
        formatter.format(record)
    assert [{"event": "hello", "session_id": "first"}] == seen


@pytest.mark.parametrize("default", [None, "-"])
def test_foreign_record_without_a_session(default: str | None) -> None:
    """A record that was stamped outside a session does not join the present one."""
    record = logging.makeLogRecord({"msg": "hello"})
    SessionContextFilter(default=default).filter(record)
    with session("second"):
        event = add_session_context(None, "info", {"event": "hello", "_record": record})
    assert {"event", "_record"} == set(event)

"""What the library offers to tests of others: lines as dicts, fixed IDs, a clock."""

from __future__ import annotations

import logging
import threading
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest
import structlog
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

import tracectrl_logging
from tracectrl.session import new_session, session
from tracectrl_logging.testing import captured, fixed_ids, fixed_time

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger("app")


def test_captured() -> None:
    """Lines of logging and structlog are there as soon as they are logged, and after the block."""
    structlog.configure(processors=[structlog.processors.JSONRenderer()])
    with captured() as lines:
        with session("order-1"):
            logging.getLogger("shop").info("paid", extra={"parcels": 3})
        assert [("shop", "paid", 3, "order-1")] == [
            (row["logger"], row["message"], row["parcels"], row["session_id"]) for row in lines
        ]
        structlog.get_logger().warning("late", by=2)
    logging.getLogger("shop").error("after the block")

    assert ["paid", "late"] == [row["message"] for row in lines]
    assert ("unknown", 2) == (lines[-1]["session_id"], lines[1:][0]["by"])
    assert 2 == len(lines)


def test_captured_beside_other_handlers() -> None:
    """Handlers that are there get what they get without."""
    shown: list[str] = []

    class Showing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            shown.append(record.getMessage())

    logging.root.addHandler(Showing())
    with captured() as lines:
        log.info("held back by the root's level")
        log.warning("shown")

    assert ["held back by the root's level", "shown"] == [row["message"] for row in lines]
    assert ["shown"] == shown


def test_levels() -> None:
    """A level leaves out what is below it."""
    with captured(level="WARNING") as lines:
        log.info("below")
        log.warning("at")

    assert ["at"] == [row["message"] for row in lines]


def test_nested() -> None:
    """An outer block has the lines of an inner one, too."""
    with captured() as outer:
        with captured() as inner:
            log.warning("both")
        log.warning("outer")

    assert (["both"], ["both", "outer"]) == (
        [row["message"] for row in inner],
        [row["message"] for row in outer],
    )


def test_captured_where_configure_is_called(root: Path) -> None:
    """The code under test may write session files of its own."""
    with (
        captured() as lines,
        tracectrl_logging.configure(root, console=None),
        session("order-1"),
        trace.get_tracer("t").start_as_current_span("pay"),
    ):
        log.warning("paid")

    assert ["paid"] == [row["message"] for row in lines]
    assert ["pay"] == [row["name"] for row in lines.spans]
    assert lines[0]["span_id"] == lines.spans[0]["span_id"]
    assert (root / "order-1.logs.jsonl").exists()


def test_captured_threads() -> None:
    """Lines of other threads are there, in time order."""
    with captured() as lines:
        for name in ("1", "2"):
            thread = threading.Thread(target=log.warning, args=(name,))
            thread.start()
            thread.join()

    assert ["1", "2"] == [row["message"] for row in lines]


def test_fixed_ids() -> None:
    """Sessions, traces and spans are numbered in the block, and random again behind it."""
    tracer = TracerProvider().get_tracer("t")
    for _ in range(2):
        with fixed_ids(), session() as sid, tracer.start_as_current_span("pay") as span:
            with tracer.start_as_current_span("inner") as inner:
                pass
            second = new_session()
        assert "00000000-0000-4000-8000-000000000001" == sid
        assert "00000000-0000-4000-8000-000000000002" == second
        assert (1, 1) == (span.get_span_context().trace_id, span.get_span_context().span_id)
        assert (1, 2) == (inner.get_span_context().trace_id, inner.get_span_context().span_id)
    with session() as sid:
        assert not sid.startswith("00000000")


def test_fixed_time() -> None:
    """Lines and spans have the times of the clock, in the order of the calls; waiting is as ever."""
    tracer = TracerProvider().get_tracer("t")
    start = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)
    with captured() as lines, fixed_time(start, step_s=1):
        log.warning("one")
        with tracer.start_as_current_span("pay") as span:
            pass
        log.warning("two")
    before = time.time()

    times = [row["timestamp"] for row in lines]
    assert times == sorted(times)
    assert all(each.startswith("2026-05-01T12:00:") for each in times)
    assert 1 <= (span.end_time - span.start_time) / 1_000_000_000 < 60  # type: ignore[attr-defined]
    assert before > start.timestamp()


def test_a_clock_without_a_zone() -> None:
    """A time that may be any of 38 is refused."""
    with pytest.raises(ValueError, match="start must have a time zone, got datetime"):
        fixed_time(datetime(2026, 1, 1)).__enter__()  # noqa: DTZ001

"""What every contender writes, and the stamp as people write it by hand.

One line of JSON with the time, the level, a message with one argument, two extras, and the IDs of
the session, the trace and the span. The stamp by hand is the recipe of python-json-logger's
cookbook ("Request / Trace IDs") and of structlog's ("OpenTelemetry"): one context variable, and the
two IDs formatted.
"""

from __future__ import annotations

import contextlib
import logging
from contextvars import ContextVar
from itertools import repeat
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from tracectrl.session import session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SESSION_ID = "a1b2c3d4-e5f6-7890-abcd-ef1234567890"
MESSAGE, ARGUMENT = "user %s logged in", "ann"

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
provider = TracerProvider(shutdown_on_exit=False)
tracer = provider.get_tracer("benchmarks")


class FilterByHand(logging.Filter):
    """The usual one."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Set the three IDs on *record*."""
        record.session_id = request_id.get()
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            record.trace_id = format(context.trace_id, "032x")
            record.span_id = format(context.span_id, "016x")
        return True


class SessionByHand(logging.Filter):
    """The session alone, for what adds the span by itself."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Set the session ID on *record*."""
        record.session_id = request_id.get()
        return True


class SpanByHand(logging.Filter):
    """The span alone, for what adds the session by itself."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Set the IDs of the trace and the span on *record*."""
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            record.trace_id = format(context.trace_id, "032x")
            record.span_id = format(context.span_id, "016x")
        return True


def add_by_hand(logger: object, method: str, event: dict[str, Any]) -> dict[str, Any]:
    """Set the three IDs on *event*; a structlog processor."""
    del logger, method
    event["session_id"] = request_id.get()
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = format(context.trace_id, "032x")
        event["span_id"] = format(context.span_id, "016x")
    return event


def add_span_by_hand(logger: object, method: str, event: dict[str, Any]) -> dict[str, Any]:
    """Set the IDs of the trace and the span on *event*; a structlog processor."""
    del logger, method
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = format(context.trace_id, "032x")
        event["span_id"] = format(context.span_id, "016x")
    return event


@contextlib.contextmanager
def in_session_and_span(sid: str = SESSION_ID) -> Iterator[trace.Span]:
    """Run a block in the session *sid*, as ours and as filters by hand know it, and in a live span."""
    token = request_id.set(sid)
    with session(sid), tracer.start_as_current_span("benchmark") as span:
        yield span
    request_id.reset(token)


def stdlib_calls(logger: logging.Logger) -> Callable[[int], None]:
    """Return what makes so many calls of *logger*."""

    def run(calls: int) -> None:
        info = logger.info
        for _ in repeat(None, calls):
            info(MESSAGE, ARGUMENT, extra={"tool": "search", "attempt": 3})

    return run


def keyword_calls(logger: Any, message: str = MESSAGE) -> Callable[[int], None]:
    """Return the same for structlog and loguru, which take extras as keywords."""

    def run(calls: int) -> None:
        info = logger.info
        for _ in repeat(None, calls):
            info(message, ARGUMENT, tool="search", attempt=3)

    return run


def stdlib_logger(name: str, *handlers: logging.Handler) -> logging.Logger:
    """Return the logger *name*, at INFO, with *handlers* alone."""
    logger = logging.getLogger(f"benchmarks.{name}")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    logger.handlers = list(handlers)
    return logger

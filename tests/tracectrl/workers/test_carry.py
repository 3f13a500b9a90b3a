"""tracectrl.workers.carry: in another process, and where there is nothing to carry."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from tracectrl.session import current_session_id, session
from tracectrl.workers import carry

if TYPE_CHECKING:
    from collections.abc import Callable


def correlation() -> tuple[str | None, int]:
    """Return the current session ID and trace ID."""
    return current_session_id(), trace.get_current_span().get_span_context().trace_id


async def later() -> tuple[str | None, int]:
    """Return them when it is awaited."""
    return correlation()


def elsewhere(fn: Callable[[], tuple[str | None, int]]) -> Callable[[], tuple[str | None, int]]:
    """Return what *fn* becomes in another process."""
    other: Callable[[], tuple[str | None, int]] = pickle.loads(pickle.dumps(fn))  # noqa: S301
    return other


def _current() -> str | None:
    return current_session_id()


class TestNothingToCarry:
    """Outside any session, a function is bound to being outside any session."""

    def test_in_another_process(self, tracer: trace.Tracer) -> None:
        """A forked process has the session of whoever started it: it does not count."""
        carried = pickle.dumps(carry(current_session_id))
        again = pickle.dumps(pickle.loads(carried))  # noqa: S301
        with session("of the pool's first task"), tracer.start_as_current_span("start"):
            assert None is pickle.loads(carried)()  # noqa: S301
            assert None is pickle.loads(again)()  # noqa: S301
            assert "of the pool's first task" == current_session_id()

    async def test_a_coroutine_function(self, tracer: trace.Tracer) -> None:
        """As a plain function."""
        carried = carry(later)
        with session("elsewhere"), tracer.start_as_current_span("start"):
            assert (None, 0) == await carried()
            assert "elsewhere" == current_session_id()

    def test_a_plain_function(self, tracer: trace.Tracer) -> None:
        """In this process."""
        carried = carry(correlation)
        with session("elsewhere"), tracer.start_as_current_span("start"):
            assert (None, 0) == carried()


class TestSomethingToCarry:
    """What is current where the function runs does not count, and is there afterwards."""

    def test_in_another_process(self, tracer: trace.Tracer) -> None:
        """The session and the trace go on, twice handed on too."""
        with session("s\u00e9"), tracer.start_as_current_span("start") as span:
            carried = pickle.dumps(carry(current_session_id))
            trace_id = span.get_span_context().trace_id
            headers: Any = carry(current_session_id).__reduce__()[1][1]
        assert f"{trace_id:032x}" in headers["traceparent"]
        with session("elsewhere"):
            assert "s\u00e9" == pickle.loads(carried)()  # noqa: S301
            assert "s\u00e9" == pickle.loads(pickle.dumps(pickle.loads(carried)))()  # noqa: S301
            assert "elsewhere" == current_session_id()

    async def test_a_coroutine_function(self, tracer: trace.Tracer) -> None:
        """It stays one, and may be awaited in any task."""
        with session("s"), tracer.start_as_current_span("start"):
            expected = correlation()
            carried = carry(later)
        with session("elsewhere"):
            assert expected == await carried()
            assert ("elsewhere", 0) == correlation()

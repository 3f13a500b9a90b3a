"""The stamp: session and span of this very moment."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NonRecordingSpan, SpanContext

from tracectrl.processor import stamp_span
from tracectrl.propagation import SessionPropagator
from tracectrl.schema import STAMP_KEYS
from tracectrl.session import detached, session, set_default_session, set_session_id
from tracectrl_logging.stamp import stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


def ids_of(span: trace.Span) -> Mapping[str, str]:
    """Return what the stamp is to say of *span*."""
    ids = span.get_span_context()
    return {
        "trace_id": f"{ids.trace_id:032x}",
        "span_id": f"{ids.span_id:016x}",
        "trace_flags": f"{ids.trace_flags:02x}",
    }


def test_nothing() -> None:
    """Outside a session and a span the stamp is empty."""
    assert {} == stamp()


def test_keys(tracer: trace.Tracer) -> None:
    """Inside both it has all four keys, in the contract's order."""
    with session("s1"), tracer.start_as_current_span("work") as span:
        assert {"session_id": "s1", **ids_of(span)} == stamp()
        assert list(STAMP_KEYS) == list(stamp())


def test_session_alone() -> None:
    """A session without a span leaves the span's keys out."""
    with session("s1"):
        assert {"session_id": "s1"} == stamp()
    assert {} == stamp()


def test_session_changes_within_a_span(tracer: trace.Tracer) -> None:
    """What was looked up for a span is not what is said once the session is another."""
    with tracer.start_as_current_span("work") as span:
        assert ids_of(span) == stamp()
        for sid in ("s1", "s2", "s1"):
            set_session_id(sid)
            assert {"session_id": sid, **ids_of(span)} == stamp()


def test_a_span_whose_session_is_known_late(tracer: trace.Tracer) -> None:
    """A server's span, in front of what reads the headers: what was said before does not stay."""
    with tracer.start_as_current_span("work") as span:
        assert ids_of(span) == stamp()
        with session("other"):
            assert {"session_id": "other", **ids_of(span)} == stamp()
        assert ids_of(span) == stamp() == stamp()
        stamp_span(span, "s1")
        assert {"session_id": "s1", **ids_of(span)} == stamp()
        with session("other"):
            assert {"session_id": "other", **ids_of(span)} == stamp()
        assert {"session_id": "s1", **ids_of(span)} == stamp()
        assert stamp() is stamp()


def test_nested_spans(tracer: trace.Tracer) -> None:
    """The stamp follows the current span, inwards and out again."""
    with tracer.start_as_current_span("outer") as outer:
        with tracer.start_as_current_span("inner") as inner:
            assert ids_of(inner) == stamp()
        assert ids_of(outer) == stamp()
        with detached():
            assert {} == stamp()


def test_many_spans(tracer: trace.Tracer) -> None:
    """More spans than are remembered: each has its own IDs."""
    for _ in range(3000):
        with tracer.start_as_current_span("work") as span:
            assert ids_of(span) == stamp()


def test_many_contexts() -> None:
    """More contexts than are remembered, all alive: each says its own."""
    contexts = [otel_context.set_value("number", number) for number in range(1100)]
    with session("s1"):
        for context in (*contexts, *contexts):
            token = otel_context.attach(context)
            assert {"session_id": "s1"} == stamp()
            otel_context.detach(token)


def test_unsampled() -> None:
    """A span that is not recorded is stamped all the same."""
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    with provider.get_tracer("tests").start_as_current_span("work") as span:
        assert not span.is_recording()
        assert ids_of(span) == stamp()


@pytest.mark.parametrize(("trace_id", "span_id"), [(0, 0), (1, 0), (0, 1)])
def test_invalid_span(trace_id: int, span_id: int) -> None:
    """An invalid span is no span."""
    with trace.use_span(NonRecordingSpan(SpanContext(trace_id, span_id, is_remote=False))):
        assert {} == stamp()


def test_leading_zeros() -> None:
    """The IDs have their full width."""
    with trace.use_span(NonRecordingSpan(SpanContext(1, 2, is_remote=True))):
        assert {
            "trace_id": "0" * 31 + "1",
            "span_id": "0" * 15 + "2",
            "trace_flags": "00",
        } == stamp()


def test_foreign_span_that_raises() -> None:
    """A span that cannot say its IDs has none; the session stays."""

    class Broken(NonRecordingSpan):
        def get_span_context(self) -> SpanContext:
            raise RuntimeError

    with session("s1"), trace.use_span(Broken(trace.INVALID_SPAN_CONTEXT)):
        assert {"session_id": "s1"} == stamp()


def test_session_of_a_propagator() -> None:
    """A session that a propagator put into the OpenTelemetry context counts."""
    carried = SessionPropagator().extract({"X-TraceCtrl-Session": "remote"})
    token = otel_context.attach(carried)
    try:
        assert {"session_id": "remote"} == stamp()
        with session("local"):
            assert {"session_id": "local"} == stamp()
    finally:
        otel_context.detach(token)


def test_new_thread(tracer: trace.Tracer) -> None:
    """A new thread has neither session nor span."""
    seen: list[Mapping[str, str]] = []
    with session("s1"), tracer.start_as_current_span("work"):
        thread = threading.Thread(target=lambda: seen.append(stamp()))
        thread.start()
        thread.join()
    assert [{}] == seen


async def test_tasks() -> None:
    """Each task has its own."""

    async def one(sid: str) -> str:
        set_session_id(sid)
        await asyncio.sleep(0)
        return stamp()["session_id"]

    sids = [f"s{number}" for number in range(100)]
    assert sids == await asyncio.gather(*map(one, sids))
    assert {} == stamp()


@pytest.fixture
def default_session() -> Iterator[Callable[[str | None], None]]:
    """Return what sets the default session of the process; afterwards there is none."""
    yield set_default_session
    set_default_session(None)


def test_default_of_the_process(
    tracer: trace.Tracer, default_session: Callable[[str | None], None]
) -> None:
    """It is stamped where no session is current, and at once where there is another or none any more."""
    assert {} == stamp()
    for sid in ("notebook", "another"):
        default_session(sid)
        assert {"session_id": sid} == stamp()
        with tracer.start_as_current_span("work") as span:
            assert {"session_id": sid, **ids_of(span)} == stamp()
            with session("s1"):
                assert {"session_id": "s1", **ids_of(span)} == stamp()
        assert {"session_id": sid} == stamp()
    default_session(None)
    assert {} == stamp()


def test_default_of_the_process_and_a_span(
    tracer: trace.Tracer, default_session: Callable[[str | None], None]
) -> None:
    """The session of a span goes before the default, also where the span gets it late."""
    default_session("notebook")
    with tracer.start_as_current_span("work") as span:
        assert "notebook" == stamp()["session_id"]
        stamp_span(span, "s1")
        assert {"session_id": "s1", **ids_of(span)} == stamp()

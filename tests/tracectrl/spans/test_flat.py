"""tracectrl.spans.flat: a span's line in one pass, and to the byte what the general way gives."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)

from tracectrl._json import timestamp_ns
from tracectrl.redaction import Redactor
from tracectrl.spans import flat
from tracectrl.spans.flat import FlatLines

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest


def held(values: dict[Any, Any]) -> BoundedAttributes:
    """Return the SDK's mapping of *values*, none of them turned into something else."""
    mapping = BoundedAttributes(immutable=True)
    mapping._dict.update(values)
    mapping.dropped = len(values) // 2
    return mapping


def bounded(items: list[Any]) -> Any:
    """Return the SDK's list of *items*."""
    return BoundedList.from_seq(None, items)


texts = st.one_of(st.text(max_size=6), st.sampled_from(["\ud800", "a\x00b", '"\\\n', "tool"]))
values: st.SearchStrategy[Any] = st.one_of(
    texts,
    st.booleans(),
    st.integers(),
    st.floats(),
    st.lists(st.integers(0, 9), max_size=2).map(tuple),
    st.sampled_from([2**70, math.nan, b"\xff", None, {1}, {"tool": "secret"}]),
)
plain = st.dictionaries(st.one_of(texts, st.sampled_from(["tool", 1, None])), values, max_size=3)
# As the SDK holds them, and as anybody may hand them to a span that is made by hand.
attributes = st.one_of(st.none(), plain, plain.map(held))
times: st.SearchStrategy[Any] = st.one_of(
    st.integers(0, 2**62),
    st.integers(10**18, 10**18 + 3 * 10**9),  # an event in the second in which its span begins
    st.floats(10**18, 10**18 + 3 * 10**9),
    st.sampled_from(
        [None, 0, 1, 999, 10**9, -1, 253402300799 * 10**9, 10**30, -(10**30), 1.5, True]
    ),
)
contexts = st.one_of(
    st.none(),
    st.builds(
        SpanContext,
        st.integers(0, 2**128 - 1),
        st.integers(0, 2**64 - 1),
        st.booleans(),
        st.integers(0, 255).map(TraceFlags),
        st.sampled_from([TraceState(), TraceState([("vendor", "value")])]),
    ),
)
events = st.lists(st.builds(Event, texts, attributes, times), max_size=2)
links = st.lists(st.builds(Link, contexts.filter(bool), attributes), max_size=2)
spans = st.builds(
    ReadableSpan,
    name=texts,
    context=contexts,
    parent=contexts,
    resource=st.one_of(
        st.just(Resource.get_empty()),
        st.builds(Resource, st.dictionaries(texts, texts, max_size=2)),
        st.just(Resource({"a": 1}, "https://opentelemetry.io/schemas/1.40.0")),
        texts.map(lambda name: Resource({"service.name": name})),
    ),
    attributes=attributes,
    events=st.one_of(events, events.map(bounded)),
    links=st.one_of(links, links.map(bounded)),
    kind=st.sampled_from(SpanKind),
    status=st.one_of(
        st.builds(Status, st.sampled_from(StatusCode)),
        st.builds(Status, st.just(StatusCode.ERROR), texts),
    ),
    start_time=times,
    end_time=times,
    instrumentation_scope=st.one_of(
        st.none(),
        st.builds(InstrumentationScope, texts),
        st.builds(InstrumentationScope, texts, texts, texts, st.just({"tool": (1, 2.5, True)})),
    ),
)


@given(
    found=st.lists(spans, min_size=1, max_size=3),
    sid=texts,
    service=st.one_of(st.none(), texts),
    redact=st.sampled_from([None, ["tool"], lambda _, value: value == 1]),
)
def test_both_ways(found: Sequence[Any], sid: str, service: str | None, redact: Any) -> None:
    """One line, to the byte, whoever is asked; or the same failure."""
    redactor = None if redact is None else Redactor(redact)
    lines, others = (FlatLines(service, redactor) for _ in range(2))
    for span in found:
        try:
            expected: Any = others._in_general(span, sid)
        except Exception as error:  # noqa: BLE001 - an event's time may be anything here
            expected = type(error)
        try:
            actual: Any = lines(span, sid)
        except Exception as error:  # noqa: BLE001 - as above
            actual = type(error)

        assert expected == actual


def test_a_plain_one_goes_one_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the speed would be gone, and nobody would see it."""
    found: list[ReadableSpan] = []

    class Keeping(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            found.extend(spans)
            return SpanExportResult.SUCCESS

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(Keeping()))
    tracer = provider.get_tracer("scope")
    with (
        tracer.start_as_current_span("parent") as parent,
        tracer.start_as_current_span("child", links=[Link(parent.get_span_context())]) as child,
    ):
        child.set_attributes({"tool": "search", "tokens": 120, "names": ("a", "b")})
        child.add_event("event", {"index": 0})
    monkeypatch.setattr(FlatLines, "_in_general", None)
    lines = FlatLines("shop", Redactor(["password"]))

    assert 2 == len([lines(span, "s") for span in found])


def test_what_is_kept_of_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """A span may begin in one and end in the next, and spans come in any order."""
    made: list[int] = []

    def counting(nanoseconds: int) -> str:
        made.append(nanoseconds)
        return timestamp_ns(nanoseconds)

    monkeypatch.setattr(flat, "timestamp_ns", counting)
    lines = FlatLines(None, None)
    context = SpanContext(1, 2, is_remote=False)
    for start, end in ((1_000_001_000, 1_999_999_999), (1_500_000_000, 2_000_000_000)) * 2:
        span = ReadableSpan(
            "s",
            context,
            attributes=held({}),
            events=bounded([]),
            links=bounded([]),
            start_time=start,
            end_time=end,
        )
        line = lines(span, "s").decode()

        assert f'"start_time":"{timestamp_ns(start)}","end_time":"{timestamp_ns(end)}"' in line
        assert f'"duration_ns":{end - start},' in line
    assert [10**9, 2 * 10**9, 10**9, 2 * 10**9] == made

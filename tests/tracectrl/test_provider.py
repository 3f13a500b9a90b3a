"""tracectrl.provider: span files on the process's tracer provider, attached and detached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tracectrl.exporter import FileSpanExporter
from tracectrl.files import span_path
from tracectrl.provider import attach
from tracectrl.session import session

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from pathlib import Path

    ReadLines = Callable[[str | os.PathLike[str]], list[dict[str, Any]]]


def spans_named(*names: str) -> None:
    """Make spans in the session ``s`` with the process's provider."""
    with session("s"):
        for name in names:
            trace.get_tracer("t").start_span(name).end()


@pytest.fixture
def names(root: Path, read_lines: ReadLines) -> Callable[..., list[str]]:
    """Return the function that lists the spans in the file of ``s`` under a root."""

    def of(where: Path = root) -> list[str]:
        path = span_path("s", where)
        return [row["name"] for row in read_lines(path)] if path.exists() else []

    return of


def test_sets_a_provider_where_none_is(root: Path, read_lines: ReadLines) -> None:
    """For the service that was named."""
    attach(FileSpanExporter(root), "svc")
    spans_named("span")

    assert isinstance(trace.get_tracer_provider(), TracerProvider)
    (row,) = read_lines(span_path("s", root))
    assert ("svc", "svc") == (row["service"], row["resource"]["service.name"])


def test_without_a_service(root: Path, read_lines: ReadLines) -> None:
    """OpenTelemetry's own placeholder is no service."""
    attach(FileSpanExporter(root), None)
    spans_named("span")

    (row,) = read_lines(span_path("s", root))
    assert "service" not in row


def test_uses_the_provider_that_is_set(root: Path, names: Callable[..., list[str]]) -> None:
    """Its resource, and its other processors, stay."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "theirs"}))
    provider.add_span_processor(SimpleSpanProcessor(memory))
    trace.set_tracer_provider(provider)
    attach(FileSpanExporter(root), "ours")
    spans_named("span")

    assert provider is trace.get_tracer_provider()
    assert ["span"] == names() == [span.name for span in memory.get_finished_spans()]


def test_detach_stops_it(root: Path, names: Callable[..., list[str]]) -> None:
    """The provider stays, and goes on without files; detaching twice is no error."""
    detach = attach(FileSpanExporter(root), None)
    spans_named("before")
    detach()
    detach()
    spans_named("after")

    assert ["before"] == names()
    assert trace.get_tracer_provider().force_flush()  # type: ignore[attr-defined]


def test_a_second_attach_replaces_the_first(
    root: Path, tmp_path: Path, names: Callable[..., list[str]]
) -> None:
    """Nothing is written twice, and the first one's detach does not stop the second."""
    other = tmp_path / "other"
    first = attach(FileSpanExporter(root), None)
    spans_named("one")
    second = attach(FileSpanExporter(other), None)
    spans_named("two")
    first()
    spans_named("three")
    second()
    spans_named("four")

    assert ["one"] == names()
    assert ["two", "three"] == names(other)


def test_attaching_again_and_again_adds_no_processors(root: Path) -> None:
    """The SDK takes none off again: there are the two of the first time."""
    for _ in range(5):
        attach(FileSpanExporter(root), None)()
    attach(FileSpanExporter(root), None)

    provider: Any = trace.get_tracer_provider()
    assert 2 == len(provider._active_span_processor._span_processors)


@pytest.mark.parametrize("order", ["before", "after"])
def test_a_processor_that_raises(order: str, root: Path, names: Callable[..., list[str]]) -> None:
    """Whichever was there first, the span is in the file before the other is asked."""

    class Broken(SpanProcessor):
        """A processor that raises at the end of a span."""

        def on_end(self, span: object) -> None:
            """Raise, and say what was in the file by then."""
            raise LookupError(span, *names())

    provider = TracerProvider(shutdown_on_exit=False)
    trace.set_tracer_provider(provider)
    if order == "before":
        provider.add_span_processor(Broken())
    attach(FileSpanExporter(root), None)
    if order == "after":
        provider.add_span_processor(Broken())

    with pytest.raises(LookupError, match="one"):
        spans_named("one")
    assert ["one"] == names()


def test_a_session_that_another_processor_gives(
    root: Path, names: Callable[..., list[str]]
) -> None:
    """At the start of the span, as those do that copy baggage: it is the span's."""

    class Giving(SpanProcessor):
        """A processor that knows the session."""

        def on_start(self, span: Any, parent_context: object = None) -> None:
            """Give it."""
            del parent_context
            span.set_attribute("session.id", "s")

    provider = TracerProvider(shutdown_on_exit=False)
    trace.set_tracer_provider(provider)
    provider.add_span_processor(Giving())
    attach(FileSpanExporter(root), None)
    with session("another"):
        trace.get_tracer("t").start_span("one").end()

    assert ["one"] == names()


def test_a_span_that_runs_over_both(
    root: Path, tmp_path: Path, names: Callable[..., list[str]]
) -> None:
    """It ends with whoever is attached then, in its session."""
    other = tmp_path / "other"
    detach = attach(FileSpanExporter(root), None)
    with session("s"):
        span = trace.get_tracer("t").start_span("long")
    detach()
    attach(FileSpanExporter(other), None)
    span.end()

    assert ([], ["long"]) == (names(), names(other))


def test_the_session_survives_the_limits(root: Path, read_lines: ReadLines) -> None:
    """The switch passes on what the processor needs."""
    trace.set_tracer_provider(TracerProvider(span_limits=SpanLimits(max_span_attributes=1)))
    attach(FileSpanExporter(root), None)
    with session("s"), trace.get_tracer("t").start_as_current_span("span") as span:
        span.set_attribute("other", 1)

    (row,) = read_lines(span_path("s", root))
    assert {"other": 1, "session.id": "s"} == row["attributes"]


@pytest.mark.parametrize("detached", [False, True])
def test_flushing_reaches_the_processors_of_others(root: Path, *, detached: bool) -> None:
    """``force_flush`` asks those before and behind the switches, also when these lead nowhere."""
    exporters = InMemorySpanExporter(), InMemorySpanExporter()
    batches = [BatchSpanProcessor(exporter) for exporter in exporters]
    provider = TracerProvider(shutdown_on_exit=False)
    trace.set_tracer_provider(provider)
    provider.add_span_processor(batches[0])
    detach = attach(FileSpanExporter(root), None)
    provider.add_span_processor(batches[1])
    if detached:
        detach()
    spans_named("span")

    assert provider.force_flush()
    for exporter in exporters:
        assert ["span"] == [span.name for span in exporter.get_finished_spans()]
    provider.shutdown()


def test_the_provider_shuts_down_and_flushes(root: Path, names: Callable[..., list[str]]) -> None:
    """The application's own shutdown closes the files."""
    attach(FileSpanExporter(root), None)
    spans_named("span")
    provider: Any = trace.get_tracer_provider()

    assert provider.force_flush()
    provider.shutdown()
    assert ["span"] == names()


def test_a_provider_that_is_not_the_sdks(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A warning names it; nothing breaks, and it stays."""
    foreign = trace.NoOpTracerProvider()
    trace.set_tracer_provider(foreign)
    detach = attach(FileSpanExporter(root), None)
    spans_named("span")
    detach()

    assert foreign is trace.get_tracer_provider()
    (record,) = caplog.records
    assert ("WARNING", True) == (record.levelname, "NoOpTracerProvider" in record.getMessage())
    assert [] == list(root.iterdir())


class Foreign(TracerProvider):
    """Stands before another provider; has no hash, and raises when it is compared."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, provider: TracerProvider) -> None:
        self.provider = provider

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    def set_provider(self, provider: TracerProvider) -> None:
        """Stand before another one from here on."""
        self.provider.shutdown()
        self.provider = provider

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        """Return one of the provider behind."""
        return self.provider.get_tracer(*args, **kwargs)

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """Add it to the provider behind."""
        self.provider.add_span_processor(span_processor)

    def shutdown(self) -> None:
        """Shut down the provider behind."""
        self.provider.shutdown()


def test_a_provider_that_stands_before_another(root: Path, names: Callable[..., list[str]]) -> None:
    """It is told by identity; the next one behind it writes, and has each processor once."""
    provider = Foreign(TracerProvider())
    trace.set_tracer_provider(provider)
    attach(FileSpanExporter(root), None)()
    attach(FileSpanExporter(root), None)
    spans_named("first")
    for name in ("second", "third"):
        provider.set_provider(TracerProvider())
        spans_named(name)

    assert ["first", "second", "third"] == names()


def test_a_provider_that_is_set_later(
    root: Path, names: Callable[..., list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    """It takes the place of the one that was set because none was, and writes; a third one does not."""
    attach(FileSpanExporter(root), None)
    early = trace.get_tracer("early")
    provider = TracerProvider()
    trace.set_tracer_provider(provider)
    spans_named("late")
    with session("s"):
        early.start_span("early").end()
    assert provider is trace.get_tracer_provider()
    assert ([], ["late", "early"]) == (caplog.records, names())

    trace.set_tracer_provider(TracerProvider())
    assert provider is trace.get_tracer_provider()
    assert ["Overriding of current TracerProvider is not allowed"] == [
        record.message for record in caplog.records
    ]


def test_a_provider_that_raises(
    root: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A warning says so, and the application goes on."""

    def fails(*_: Any) -> None:
        msg = "no"
        raise RuntimeError(msg)

    trace.set_tracer_provider(Foreign(TracerProvider()))
    monkeypatch.setattr(Foreign, "add_span_processor", fails)
    attach(FileSpanExporter(root), None)()

    (record,) = caplog.records
    assert "no span files: the tracer provider Foreign takes no span processors" in record.message


def test_a_span_whose_attributes_were_replaced(
    root: Path, names: Callable[..., list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    """A processor that puts something else in their place has no span raise; the log tells of it."""

    class Attributes(BoundedAttributes):
        @property
        def max_value_len(self) -> Any:
            raise ValueError

        @max_value_len.setter
        def max_value_len(self, value: Any) -> None:
            del value

    class Replaces(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            del parent_context
            span._attributes = Attributes(immutable=False)

    provider = TracerProvider()
    provider.add_span_processor(Replaces())
    trace.set_tracer_provider(provider)
    attach(FileSpanExporter(root), None)
    spans_named("span")

    assert "a span may have no session" in caplog.text
    assert ["span"] == names()

"""The tests of :mod:`tracectrl.autoconfigure`."""

from __future__ import annotations

import gc
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

from tracectrl.exporter import FileSpanExporter
from tracectrl.files import span_path
from tracectrl.session import session

if TYPE_CHECKING:
    from pathlib import Path


def exporter_of_the_environment() -> FileSpanExporter:
    """Make the exporter as the SDK's configuration does."""
    (found,) = entry_points(group="opentelemetry_traces_exporter", name="tracectrl_file")
    made = found.load()()
    assert isinstance(made, FileSpanExporter)
    return made


def test_the_environment_says_where_to(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OTEL_TRACES_EXPORTER=tracectrl_file finds it; without a provider it only writes."""
    monkeypatch.setenv("TRACECTRL_TRACE_DIR", str(root))
    exporter_of_the_environment().export([ReadableSpan("x")])
    assert 1 == len(span_path("unknown", root).read_text().splitlines())


def test_spans_know_their_session_on_the_batch_thread(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order of the SDK's configuration: the provider, the exporter, the batch processor."""
    monkeypatch.setenv("TRACECTRL_TRACE_DIR", str(root))
    provider = TracerProvider()
    trace.set_tracer_provider(provider)
    provider.add_span_processor(BatchSpanProcessor(exporter_of_the_environment()))
    with session("s1"), provider.get_tracer("t").start_as_current_span("x"):
        pass
    provider.shutdown()
    assert 1 == len(span_path("s1", root).read_text().splitlines())


@pytest.mark.parametrize("processor", [SimpleSpanProcessor, BatchSpanProcessor])
def test_exporter_before_its_provider(root: Path, processor: type[SpanProcessor]) -> None:
    """In the order of the SDK's declarative file: the exporter, by options, its provider, the global."""
    (found,) = entry_points(group="opentelemetry_traces_exporter", name="tracectrl_file")
    provider = TracerProvider()
    exporter = found.load()(root=str(root), format="flat")
    provider.add_span_processor(processor(exporter))  # type: ignore[call-arg]
    trace.set_tracer_provider(provider)
    with session("s1"), trace.get_tracer("t").start_as_current_span("x"):
        pass
    provider.shutdown()
    assert ["s1.spans.jsonl"] == [path.name for path in root.iterdir()]


def test_option_that_does_not_exist(root: Path) -> None:
    """What the file misspells is an error that names it."""
    (found,) = entry_points(group="opentelemetry_traces_exporter", name="tracectrl_file")
    with pytest.raises(TypeError, match="rooot"):
        found.load()(rooot=str(root))


def test_provider_of_an_exporter_that_is_gone(root: Path) -> None:
    """An exporter that nobody kept leaves no mark on a provider that is set later."""
    (found,) = entry_points(group="opentelemetry_traces_exporter", name="tracectrl_file")
    found.load()(root=str(root))
    gc.collect()
    provider = TracerProvider()
    trace.set_tracer_provider(provider)
    assert () == provider._active_span_processor._span_processors

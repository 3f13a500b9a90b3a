"""The tests of :mod:`tracectrl.autoconfigure`."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from tracectrl.exporter import FileSpanExporter
from tracectrl.files import span_path
from tracectrl.session import session

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


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

"""What OpenTelemetry's own configuration by environment variables loads, by entry point."""

from __future__ import annotations

from opentelemetry import trace

from tracectrl.exporter import FileSpanExporter
from tracectrl.processor import SessionSpanProcessor


class EnvironmentSpanExporter(FileSpanExporter):
    """The exporter that ``OTEL_TRACES_EXPORTER=tracectrl_file`` stands for.

    A :class:`~tracectrl.exporter.FileSpanExporter` with the defaults. There is no entry point for
    span processors, and without :class:`~tracectrl.processor.SessionSpanProcessor` no span would
    know its session on the thread that exports it: so the exporter adds one to the tracer provider,
    which the SDK has set by the time it makes its exporters.

    Raises:
        OSError: the root cannot be made or written to.
    """

    def __init__(self) -> None:
        super().__init__()
        provider = trace.get_tracer_provider()
        if hasattr(provider, "add_span_processor"):
            provider.add_span_processor(SessionSpanProcessor())

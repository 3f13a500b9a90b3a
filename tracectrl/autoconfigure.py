"""What OpenTelemetry's own configuration loads by entry point: by environment variables, or by its file."""

from __future__ import annotations

from typing import Any
from weakref import ref

from tracectrl.exporter import FileSpanExporter
from tracectrl.processor import SessionSpanProcessor
from tracectrl.provider import when_set


class EnvironmentSpanExporter(FileSpanExporter):
    """The exporter that ``tracectrl_file`` stands for, in OpenTelemetry's variables and file.

    There is no entry point for span processors, and without
    :class:`~tracectrl.processor.SessionSpanProcessor` no span would know its session on the thread
    that exports it: so the exporter adds one to the tracer provider that is set, or is set next. By
    ``OTEL_TRACES_EXPORTER`` the SDK sets the provider before it makes its exporters, by
    ``OTEL_CONFIG_FILE`` afterwards.

    Args:
        options: those of :class:`~tracectrl.exporter.FileSpanExporter`, which the file may give.

    Raises:
        TypeError: there is no such option.
        ValueError: an option is out of range.
        OSError: the root cannot be made or written to.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        exporter = ref(self)

        def stamp(provider: Any) -> None:
            if exporter() is not None and hasattr(provider, "add_span_processor"):
                provider.add_span_processor(SessionSpanProcessor())

        when_set(stamp)

"""The part of the capture that needs the OpenTelemetry SDK."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider

from tracectrl.exporter import FileSpanExporter
from tracectrl.processor import SessionSpanProcessor, session_of
from tracectrl.provider import WritingProcessor
from tracectrl.session import session

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

    from tracectrl_logging.program.capture import Capture


class CapturingProcessor(SessionSpanProcessor):
    """Stamps and writes spans; those outside any session belong to the session of the process.

    Never raises: the SDK hands on what its processors raise to the code that starts or ends a span.
    """

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        exporter = FileSpanExporter(capture.root, service_name=capture.service_name)
        self._writer = WritingProcessor(exporter)
        super().__init__(exporter)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Stamp *span*."""
        if self._capture.spans_wanted:
            with contextlib.suppress(Exception):
                super().on_start(span, parent_context)

    def _stamp(self, span: Span, parent_context: Context | None) -> None:
        super()._stamp(span, parent_context)
        if session_of(span) is None:
            with session(self._capture.sid):
                super()._stamp(span, parent_context)

    def _on_ending(self, span: Span) -> None:
        with contextlib.suppress(Exception):
            super()._on_ending(span)

    def on_end(self, span: ReadableSpan) -> None:
        """Write *span*."""
        if self._capture.spans_wanted:
            with contextlib.suppress(Exception):
                self._writer.on_end(span)

    def shutdown(self) -> None:
        """Close the files."""
        self._writer.shutdown()


def bare_provider(service_name: str | None) -> TracerProvider:
    """Return a provider without processors."""
    attributes = {SERVICE_NAME: service_name} if service_name else {}
    # Its processor is closed with the capture, after the program's own exit handlers.
    return TracerProvider(resource=Resource.create(attributes), shutdown_on_exit=False)

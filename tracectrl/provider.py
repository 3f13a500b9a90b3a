"""Span files on the process's tracer provider, attached and detached.

The SDK takes no processor off a provider again, and OpenTelemetry accepts one provider per process:
so one switch is attached to whichever provider is there, once, and what it switches to changes.
"""

from __future__ import annotations

import logging
import weakref
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import SpanProcessor, SynchronousMultiSpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tracectrl.processor import SessionSpanProcessor

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

    from tracectrl.exporter import FileSpanExporter

_logger = logging.getLogger(__name__)


class _Switch(SpanProcessor):
    """Passes everything on to :attr:`target`, while there is one."""

    def __init__(self) -> None:
        self.target: SpanProcessor | None = None

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        if self.target is not None:
            self.target.on_start(span, parent_context)

    def _on_ending(self, span: Span) -> None:
        if self.target is not None:
            self.target._on_ending(span)  # noqa: SLF001 - the SDK's hook has no public name

    def on_end(self, span: ReadableSpan) -> None:
        if self.target is not None:
            self.target.on_end(span)

    def shutdown(self) -> None:
        if self.target is not None:
            self.target.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self.target is None or self.target.force_flush(timeout_millis)


_switches: weakref.WeakKeyDictionary[Any, _Switch] = weakref.WeakKeyDictionary()


def attach(exporter: FileSpanExporter, service_name: str | None) -> Callable[[], None]:
    """Send the spans of the process to *exporter*; return what stops that.

    Uses the tracer provider that is set, and sets one of the SDK, for *service_name*, where none
    is. With a provider that is not the SDK's, says so in a warning and does nothing.
    """
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider):  # none is set
        attributes = {SERVICE_NAME: service_name} if service_name else {}
        provider = TracerProvider(resource=Resource.create(attributes))
        trace.set_tracer_provider(provider)
    if not hasattr(provider, "add_span_processor"):
        _logger.warning(
            "no span files: the tracer provider %s takes no span processors",
            type(provider).__name__,
        )
        return exporter.shutdown
    switch = _switches.get(provider)
    if switch is None:
        switch = _switches[provider] = _Switch()
        provider.add_span_processor(switch)
    target = SynchronousMultiSpanProcessor()  # type: ignore[no-untyped-call]
    target.add_span_processor(SessionSpanProcessor())
    target.add_span_processor(SimpleSpanProcessor(exporter))
    switch.target = target

    def detach() -> None:
        if switch.target is target:
            switch.target = None
        target.shutdown()

    return detach

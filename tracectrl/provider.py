"""Span files on the process's tracer provider, attached and detached.

The SDK takes no processor off a provider again, and OpenTelemetry accepts one provider per process:
so switches are attached to whichever provider is there, once, and what they switch to changes.

There are two. The one that writes goes before the processors that are there already: these call
exporters that may block, or raise, at the end of a span. The one that stamps comes after them, for a
session that one of them sets at the start of a span is the span's.
"""

from __future__ import annotations

import logging
import weakref
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tracectrl.processor import SessionSpanProcessor

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

    from tracectrl.exporter import FileSpanExporter

_logger = logging.getLogger(__name__)


class _Switch(SpanProcessor):
    """Passes everything on to :attr:`target`, while there is one; another thread may take it away."""

    def __init__(self) -> None:
        self.target: SpanProcessor | None = None

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        if (target := self.target) is not None:
            target.on_start(span, parent_context)

    def _on_ending(self, span: Span) -> None:
        if (target := self.target) is not None:
            target._on_ending(span)  # noqa: SLF001 - the SDK's hook has no public name

    def on_end(self, span: ReadableSpan) -> None:
        if (target := self.target) is not None:
            target.on_end(span)

    def shutdown(self) -> None:
        if (target := self.target) is not None:
            target.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return (target := self.target) is None or target.force_flush(timeout_millis)


_switches: weakref.WeakKeyDictionary[Any, tuple[_Switch, _Switch]] = weakref.WeakKeyDictionary()


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
    known = _switches.get(provider)
    if known is None:
        known = _switches[provider] = (_Switch(), _Switch())
        for switch in known:
            provider.add_span_processor(switch)
        _put_first(known[0], provider)
    targets = (SimpleSpanProcessor(exporter), SessionSpanProcessor())
    for switch, target in zip(known, targets, strict=True):
        switch.target = target

    def detach() -> None:
        for switch, target in zip(known, targets, strict=True):
            if switch.target is target:
                switch.target = None
            target.shutdown()

    return detach


def _put_first(switch: _Switch, provider: Any) -> None:
    """Have *provider* ask *switch* before its other processors, for which the SDK has no call."""
    processors = getattr(provider, "_active_span_processor", None)
    present = getattr(processors, "_span_processors", None)
    lock = getattr(processors, "_lock", None)
    if processors is not None and isinstance(present, tuple) and lock is not None:
        with lock:
            others = (each for each in processors._span_processors if each is not switch)  # noqa: SLF001
            processors._span_processors = (switch, *others)  # noqa: SLF001

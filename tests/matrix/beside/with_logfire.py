"""``logfire.configure()`` and its ``LogfireLoggingHandler``; a span processor keeps its spans."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import logfire
import shop
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan


class Kept(SpanExporter):
    """Keeps each span."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Keep *spans*."""
        for span in spans:
            shop.emit(json.loads(span.to_json()))
        return SpanExportResult.SUCCESS


logfire.configure(
    send_to_logfire=False,
    console=False,
    inspect_arguments=False,
    additional_span_processors=[SimpleSpanProcessor(Kept())],
)
shop.set_up({"class": "logfire.LogfireLoggingHandler"})
with shop.session(), logfire.span("orders"):
    shop.all_orders()
logfire.force_flush()
shop.done()

"""``opentelemetry-instrument``, log records too; processors keep its spans and records."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import shop
from opentelemetry import trace
from opentelemetry._logs import get_logger_provider
from opentelemetry.sdk._logs.export import (
    LogRecordExporter,
    LogRecordExportResult,
    SimpleLogRecordProcessor,
)
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.trace import ReadableSpan


class KeptSpans(SpanExporter):
    """Keeps each span."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Keep *spans*."""
        for span in spans:
            shop.emit(json.loads(span.to_json()))
        return SpanExportResult.SUCCESS


class KeptRecords(LogRecordExporter):
    """Keeps each log record."""

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Keep *batch*."""
        for record in batch:
            shop.emit(json.loads(record.to_json()))
        return LogRecordExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 0) -> bool:  # noqa: ARG002 - the SDK's name
        """Return that nothing waits."""
        return True

    def shutdown(self) -> None:
        """Do nothing."""


cast("Any", trace.get_tracer_provider()).add_span_processor(SimpleSpanProcessor(KeptSpans()))
cast("Any", get_logger_provider()).add_log_record_processor(SimpleLogRecordProcessor(KeptRecords()))
shop.set_up({"class": "opentelemetry.instrumentation.logging.handler.LoggingHandler"})
with shop.session(), trace.get_tracer("shop").start_as_current_span("orders"):
    shop.all_orders()
shop.done()

"""A line to the log record of OpenTelemetry that says the same."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context

from tracectrl._time import ns_of
from tracectrl.schema import LOG_KEYS, SESSION_ATTRIBUTE, UNKNOWN, severity

if TYPE_CHECKING:
    from typing import Final

_EXCEPTION: Final = {
    "type": "exception.type",
    "message": "exception.message",
    "stacktrace": "exception.stacktrace",
}
_STACK: Final = "code.stacktrace"
_EVENT_NAME: Final = "event.name"
_INT64: Final = 2**63


def record_of(row: dict[str, Any]) -> tuple[LogRecord, str]:
    """Return the log record that the line *row* makes, and its scope."""
    context = Context()
    if "trace_id" in row and "span_id" in row:
        span_context = trace.SpanContext(
            int(row["trace_id"], 16),
            int(row["span_id"], 16),
            is_remote=False,
            trace_flags=trace.TraceFlags(int(row.get("trace_flags", "0"), 16)),
        )
        context = trace.set_span_in_context(trace.NonRecordingSpan(span_context), context)
    error = row.get("exception")
    told = {name: error[key] for key, name in _EXCEPTION.items() if key in error} if error else {}
    if "stack" in row:
        told[_STACK] = row["stack"]
    sid = row.get("session_id", UNKNOWN)
    if sid != UNKNOWN:
        told[SESSION_ATTRIBUTE] = sid
    extras = {key: _within_64_bits(it) for key, it in row.items() if key not in LOG_KEYS}
    moment = ns_of(row.get("timestamp")) or time.time_ns()
    record = LogRecord(
        timestamp=moment,
        observed_timestamp=moment,
        context=context,
        severity_text=str(row.get("level", "")),
        severity_number=SeverityNumber(severity(row)),
        body=row.get("message"),
        event_name=extras.pop(_EVENT_NAME, None),
        attributes={**extras, **told},
    )
    return record, str(row.get("logger", ""))


def _within_64_bits(value: Any) -> Any:
    """Return *value* with each number as text that OTLP has no room for."""
    if isinstance(value, int):
        return value if -_INT64 <= value < _INT64 else str(value)
    if isinstance(value, dict):
        return {key: _within_64_bits(item) for key, item in value.items()}
    return [_within_64_bits(item) for item in value] if isinstance(value, list) else value

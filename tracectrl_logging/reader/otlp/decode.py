"""OTLP/JSON to flat lines: the one place that knows its shape when it is read.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding: IDs are hexadecimal, 64-bit
integers are strings, enumerations are numbers; other writers spell them out, so both are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracectrl._json import timestamp_ns
from tracectrl.schema import severity_of_name, text_of_severity
from tracectrl.session import SESSION_ATTRIBUTE

if TYPE_CHECKING:
    from typing import Final

NOT_OTLP = (ValueError, TypeError, LookupError, AttributeError, RecursionError, OverflowError)
"""What :func:`flat_spans` and :func:`flat_logs` raise for a line of another shape."""

_KINDS = ("INTERNAL", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
_STATUSES = ("UNSET", "OK", "ERROR")
_LEVELS: Final = {5: "DEBUG", 9: "INFO", 13: "WARNING", 17: "ERROR", 21: "CRITICAL"}
_EXCEPTION: Final = {
    "type": "exception.type",
    "message": "exception.message",
    "stacktrace": "exception.stacktrace",
}
_STACK: Final = "code.stacktrace"
_SEVERITY: Final = "SEVERITY_NUMBER_"
_MOST_SEVERE: Final = 24


def flat_spans(request: dict[str, Any], sid: str) -> list[dict[str, Any]]:
    """Return the spans of an ``ExportTraceServiceRequest`` with the keys of a span line.

    *sid* is the session of a span that carries none.

    Raises:
        NOT_OTLP: *request* is something else.
    """
    spans: list[dict[str, Any]] = []
    for resource_spans in request["resourceSpans"]:
        resource = _attributes(resource_spans.get("resource") or {})
        for scope_spans in resource_spans.get("scopeSpans") or ():
            scope = (scope_spans.get("scope") or {}).get("name", "")
            spans.extend(
                _span(span, sid, scope, resource) for span in scope_spans.get("spans") or ()
            )
    return spans


def flat_logs(request: dict[str, Any], sid: str) -> list[dict[str, Any]]:
    """Return the records of an ``ExportLogsServiceRequest`` with the keys of a log line.

    *sid* is the session of a record that carries none.

    Raises:
        NOT_OTLP: *request* is something else.
    """
    records: list[dict[str, Any]] = []
    for resource_logs in request["resourceLogs"]:
        resource = _attributes(resource_logs.get("resource") or {})
        for scope_logs in resource_logs.get("scopeLogs") or ():
            scope = (scope_logs.get("scope") or {}).get("name", "")
            records.extend(
                _record(record, sid, scope, resource)
                for record in scope_logs.get("logRecords") or ()
            )
    return records


def _record(
    record: dict[str, Any], sid: str, scope: str, resource: dict[str, Any]
) -> dict[str, Any]:
    attributes = _attributes(record)
    own = attributes.pop(SESSION_ATTRIBUTE, None)
    number = _severity_number(record.get("severityNumber", 0))
    text = record.get("severityText") or (text_of_severity(number) if number else "")
    level = _LEVELS.get(number, text)
    ns = int(record.get("timeUnixNano", 0)) or int(record.get("observedTimeUnixNano", 0))
    row: dict[str, Any] = {"timestamp": timestamp_ns(ns)} if ns else {}
    row["level"] = level
    if number and level not in _LEVELS.values():
        row["severity_number"] = number
    row["logger"] = scope
    body = _value(record.get("body"))
    row["message"] = body
    row["session_id"] = own if isinstance(own, str) and own else sid
    row.update(_ids(record))
    service = resource.get("service.name")
    if isinstance(service, str) and not service.startswith("unknown_service"):
        row["service"] = service
    exception = {
        key: attributes.pop(name) for key, name in _EXCEPTION.items() if name in attributes
    }
    if exception:
        row["exception"] = exception
    if _STACK in attributes:
        row["stack"] = attributes.pop(_STACK)
    return {**row, **{f"extra_{key}" if key in row else key: attributes[key] for key in attributes}}


def _severity_number(value: int | str) -> int:
    """Return a severity, 0 for none, from its number or the name of it in the protocol."""
    if isinstance(value, str):
        return int(value) if value.isdigit() else severity_of_name(value.removeprefix(_SEVERITY))
    return value if 0 <= value <= _MOST_SEVERE else 0


def _span(span: dict[str, Any], sid: str, scope: str, resource: dict[str, Any]) -> dict[str, Any]:
    attributes = _attributes(span)
    own = attributes.get(SESSION_ATTRIBUTE)
    row: dict[str, Any] = {
        "name": span.get("name", ""),
        "kind": _enumerated(span.get("kind", 0), _KINDS, "SPAN_KIND_"),
        "session_id": own if isinstance(own, str) and own else sid,
    }
    row.update(_ids(span))
    if span.get("parentSpanId"):
        row["parent_span_id"] = span["parentSpanId"].lower()
    start = int(span.get("startTimeUnixNano", 0))
    end = int(span.get("endTimeUnixNano", start))
    row["start_time"] = timestamp_ns(start)
    row["end_time"] = timestamp_ns(end)
    row["duration_ns"] = end - start
    status = span.get("status") or {}
    row["status"] = _enumerated(status.get("code", 0), _STATUSES, "STATUS_CODE_")
    row["status_message"] = status.get("message")
    service = resource.get("service.name")
    if isinstance(service, str) and not service.startswith("unknown_service"):
        row["service"] = service
    row["scope"] = scope
    row["attributes"] = attributes
    row["events"] = [
        {
            "name": event.get("name", ""),
            "timestamp": timestamp_ns(int(event.get("timeUnixNano", 0))),
            "attributes": _attributes(event),
        }
        for event in span.get("events") or ()
    ]
    row["links"] = [
        {**_ids(link, with_flags=False), "attributes": _attributes(link)}
        for link in span.get("links") or ()
    ]
    row["resource"] = resource
    return row


def _ids(holder: dict[str, Any], *, with_flags: bool = True) -> dict[str, str]:
    ids = {}
    if holder.get("traceId") and holder.get("spanId"):
        ids["trace_id"] = holder["traceId"].lower()
        ids["span_id"] = holder["spanId"].lower()
        # OpenTelemetry's encoder leaves the trace flags zero and sets bits above them alone.
        flags = int(holder.get("flags", 0)) & 0xFF
        if flags and with_flags:
            ids["trace_flags"] = f"{flags:02x}"
    return ids


def _enumerated(value: int | str, names: tuple[str, ...], prefix: str) -> str:
    if isinstance(value, int):
        return names[value] if 0 <= value < len(names) else names[0]
    name = value.removeprefix(prefix)
    return name if name in names else names[0]


def _attributes(holder: dict[str, Any]) -> dict[str, Any]:
    return {item["key"]: _value(item.get("value")) for item in holder.get("attributes") or ()}


def _value(value: dict[str, Any] | None) -> Any:
    """Return what an ``AnyValue`` holds."""
    for kind, held in (value or {}).items():
        if kind == "intValue":
            return int(held)
        if kind == "arrayValue":
            return [_value(item) for item in held.get("values") or ()]
        if kind == "kvlistValue":
            return {item["key"]: _value(item.get("value")) for item in held.get("values") or ()}
        return held
    return None

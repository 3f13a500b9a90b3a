"""OTLP/JSON to flat lines: the one place that knows its shape when it is read.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding: IDs are hexadecimal, 64-bit
integers are strings, enumerations are numbers, names are in lowerCamelCase. Other writers spell
enumerations out, write IDs as base64 and names in snake_case, as protobuf's own JSON does; until
OTLP 0.15 a scope was an instrumentation library. All of it is read.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

from tracectrl._json import timestamp_ns
from tracectrl.schema import (
    LEVELS,
    OPEN,
    OTLP_KEY,
    SESSION_ATTRIBUTE,
    STATE_KEY,
    UNKNOWN,
    level_of_severity,
    severity_of_name,
)
from tracectrl_logging.reader.otlp import encode
from tracectrl_logging.reader.otlp.values import plain, plain_attributes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

NOT_OTLP = (ValueError, TypeError, LookupError, AttributeError, RecursionError, OverflowError)
"""What :func:`flat_spans` and :func:`flat_logs` raise for a line of another shape."""

_SEVERITY: Final = "SEVERITY_NUMBER_"
_MOST_SEVERE: Final = 24

_SPANS: Final = ("resourceSpans", "scopeSpans", "instrumentationLibrarySpans", "spans")
_LOGS: Final = ("resourceLogs", "scopeLogs", "instrumentationLibraryLogs", "logRecords")
_SPAN_NAMES: Final = frozenset({"traceId", "startTimeUnixNano"})
_LOG_NAMES: Final = frozenset({"timeUnixNano", "observedTimeUnixNano"})
_ANOTHER_TIME: Final = "2000-01-01T00:00:00.000000Z"
_LIBRARY: Final = "instrumentationLibrary"
_ID_BYTES: Final = {"traceId": 16, "spanId": 8, "parentSpanId": 8}
_HEX = re.compile(r"[0-9a-fA-F]*", re.ASCII)
_SNAKE = re.compile(r"_([a-z0-9])")


class OtherSignalError(ValueError):
    """A line is OTLP/JSON of something else than its file is for; the text says so."""


def flat_spans(
    request: dict[str, Any], sid: str, *, with_rest: bool = True
) -> list[dict[str, Any]]:
    """Return the spans of an ``ExportTraceServiceRequest`` with the keys of a span line.

    Args:
        request: the request or a part of one: ``ResourceSpans``, ``ScopeSpans`` or a ``Span``.
        sid: the session of a span that carries none.
        with_rest: keep what these keys do not say under :data:`~tracectrl.schema.OTLP_KEY`, which
            takes most of the time.

    Raises:
        NOT_OTLP: *request* is something else.
    """
    return [
        _with_rest(stored, _span(stored, sid), encode.span) if with_rest else _span(stored, sid)
        for stored in _messages(request, _SPANS, _SPAN_NAMES, _normal_span)
    ]


def flat_logs(request: dict[str, Any], sid: str, *, with_rest: bool = True) -> list[dict[str, Any]]:
    """Return the records of an ``ExportLogsServiceRequest`` with the keys of a log line.

    Args:
        request: the request or a part of one: ``ResourceLogs``, ``ScopeLogs`` or a ``LogRecord``.
        sid: the session of a record that carries none.
        with_rest: as for :func:`flat_spans`.

    Raises:
        NOT_OTLP: *request* is something else.
    """
    return [
        _with_rest(_without_session(stored), _record(stored, sid), _encoded_record)
        if with_rest
        else _record(stored, sid)
        for stored in _messages(request, _LOGS, _LOG_NAMES, _normal_record)
    ]


def _messages(
    request: dict[str, Any],
    levels: tuple[str, str, str, str],
    names: frozenset[str],
    normal: Callable[[dict[str, Any]], dict[str, Any]],
) -> Iterator[encode.Message]:
    """Yield what is in *request*, whose levels have these names, as the protocol spells it now.

    Raises:
        NOT_OTLP: *request* is something else; a level that is missing is no empty one.
    """
    origins, scopes, libraries, items = levels
    for origin in _origins(request, levels, names):
        below = _camel(origin)
        several = [*(below.pop(scopes, None) or ()), *(below.pop(libraries, None) or ())]
        _check(below, {"resource", "schemaUrl"}, origins)
        for each in several:
            scope = _camel(each)
            found = scope.pop(items, None) or ()
            if _LIBRARY in scope:
                scope.setdefault("scope", scope.pop(_LIBRARY))
            _check(scope, {"scope", "schemaUrl"}, scopes)
            for item in found:
                yield encode.Message(below, scope, normal(_camel(item)))


def _origins(
    request: dict[str, Any], levels: tuple[str, str, str, str], names: frozenset[str]
) -> list[dict[str, Any]]:
    """Return the ``ResourceSpans`` or ``ResourceLogs`` of *request*, or the one that it is or is of."""
    origins, scopes, libraries, items = levels
    request = _camel(request)
    if origins in request:
        _check(request, {origins}, "a request")
        return list(request[origins] or ())
    if scopes in request or libraries in request:
        return [request]
    if items in request:
        return [{scopes: [request]}]
    if request.keys() & names:
        return [{scopes: [{items: [request]}]}]
    msg = f"OTLP/JSON, but no {origins}"
    raise OtherSignalError(msg)


def _check(message: dict[str, Any], known: set[str], name: str) -> None:
    """Raise where *message* has a list that is not *known*, for what is in it would be lost."""
    for key, value in message.items():
        if key not in known and isinstance(value, list) and key != "entityRefs":
            msg = f"{name} must not have {key!r}"
            raise ValueError(msg)


def _camel(message: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of *message* with names in lowerCamelCase, in all that is in it where it has others."""
    if "_" in "".join(message):
        return {_camel_name(key): _camel_value(value) for key, value in message.items()}
    return dict(message)


def _camel_value(value: Any) -> Any:
    if isinstance(value, dict):
        return {_camel_name(key): _camel_value(held) for key, held in value.items()}
    return [_camel_value(item) for item in value] if isinstance(value, list) else value


def _camel_name(name: str) -> str:
    return _SNAKE.sub(lambda letter: letter[1].upper(), name)


def _normal_span(span: dict[str, Any]) -> dict[str, Any]:
    """Return *span*, its own to change, with IDs and enumerations as the protocol has them."""
    _set_ids(span)
    if span.get("links"):
        span["links"] = [_set_ids(_camel(link)) for link in span["links"]]
    if isinstance(span.get("kind"), str):
        span["kind"] = _number(span["kind"], encode.KINDS, "SPAN_KIND_")
    status = span.get("status")
    if status and isinstance(status.get("code"), str):
        span["status"] = {
            **status,
            "code": _number(status["code"], encode.STATUSES, "STATUS_CODE_"),
        }
    return span


def _normal_record(record: dict[str, Any]) -> dict[str, Any]:
    """Return *record* likewise."""
    _set_ids(record)
    number = record.get("severityNumber")
    if isinstance(number, str):
        record["severityNumber"] = (
            int(number) if number.isdigit() else severity_of_name(number.removeprefix(_SEVERITY))
        )
    return record


def _set_ids(message: dict[str, Any]) -> dict[str, Any]:
    for name, size in _ID_BYTES.items():
        value = message.get(name)
        if value:
            message[name] = _id(value, size)
    return message


def _id(value: str, size: int) -> str:
    """Return an ID of *size* bytes in lower-case hexadecimal digits, from these or from base64."""
    if _HEX.fullmatch(value):
        return value.lower()
    decoded = base64.b64decode(value, validate=True)
    if len(decoded) != size:
        msg = f"an ID must have {size} bytes, got {len(decoded)}"
        raise ValueError(msg)
    return decoded.hex()


def _number(name: str, names: tuple[str, ...], prefix: str) -> int:
    short = name.removeprefix(prefix)
    if name.isdigit():
        return int(name)
    return names.index(short) if short in names else 0


def _with_rest(
    stored: encode.Message,
    row: dict[str, Any],
    encoded: Callable[[dict[str, Any]], encode.Message],
) -> dict[str, Any]:
    """Return *row*, and under a key of its own what it does not say of what was *stored*."""
    more = encode.rest(stored, encoded(row))
    if more:
        row[OTLP_KEY] = more
    return row


def _encoded_record(row: dict[str, Any]) -> encode.Message:
    """Return the message of *row*, which has the time of a line before it if it has none itself."""
    return encode.record(row, _ANOTHER_TIME)


def _without_session(stored: encode.Message) -> encode.Message:
    """Return the record *stored* without the attribute that its line has a key of its own for."""
    attributes = stored.item.get("attributes")
    if not attributes:
        return stored
    kept = [each for each in attributes if not _is_session(each)]
    return stored._replace(item={**stored.item, "attributes": kept})


def _is_session(attribute: dict[str, Any]) -> bool:
    return (
        attribute["key"] == SESSION_ATTRIBUTE
        and _own_session(plain(attribute.get("value"))) is not None
    )


def _own_session(value: Any) -> str | None:
    return value if isinstance(value, str) and value not in {"", UNKNOWN} else None


def _record(stored: encode.Message, sid: str) -> dict[str, Any]:
    record = stored.item
    attributes = plain_attributes(record.get("attributes"))
    own = attributes.pop(SESSION_ATTRIBUTE, None)
    number = record.get("severityNumber") or 0
    number = number if 0 <= number <= _MOST_SEVERE else 0
    level = level_of_severity(number, record.get("severityText") or "")
    ns = int(record.get("timeUnixNano") or 0) or int(record.get("observedTimeUnixNano") or 0)
    # A key of ours that is there, also as null, is taken from no attribute: the row is final.
    row: dict[str, Any] = {"timestamp": timestamp_ns(ns) if ns else None, "level": level}
    if number and level not in LEVELS:
        row["severity_number"] = number
    row["logger"] = _scope_name(stored)
    row["message"] = plain(record.get("body"))
    row["session_id"] = own if isinstance(own, str) and own else sid
    row.update(_ids(record))
    resource = plain_attributes((stored.origin.get("resource") or {}).get("attributes"))
    row.update(_service(resource))
    exception = {
        key: attributes.pop(name) for key, name in encode.EXCEPTION.items() if name in attributes
    }
    if exception:
        row["exception"] = exception
    if encode.STACK in attributes:
        row["stack"] = attributes.pop(encode.STACK)
    for key, value in attributes.items():
        row[f"extra_{key}" if key in row or key == OTLP_KEY else key] = value
    return row


def _span(stored: encode.Message, sid: str) -> dict[str, Any]:
    span = stored.item
    attributes = plain_attributes(span.get("attributes"))
    own = attributes.get(SESSION_ATTRIBUTE)
    row: dict[str, Any] = {
        "name": span.get("name") or "",
        "kind": _named(span.get("kind"), encode.KINDS, encode.KINDS[1]),
        "session_id": own if isinstance(own, str) and own else sid,
    }
    row.update(_ids(span))
    if span.get("parentSpanId"):
        row["parent_span_id"] = span["parentSpanId"]
    start = int(span.get("startTimeUnixNano") or 0)
    end = int(span.get("endTimeUnixNano") or 0)
    row["start_time"] = timestamp_ns(start)
    if not end and attributes.get(encode.STATE_ATTRIBUTE) == OPEN:
        row[STATE_KEY] = attributes.pop(encode.STATE_ATTRIBUTE)
    else:
        row["end_time"] = timestamp_ns(end or start)
        row["duration_ns"] = (end or start) - start
        status = span.get("status") or {}
        row["status"] = _named(status.get("code"), encode.STATUSES, encode.STATUSES[0])
        row["status_message"] = status.get("message")
    resource = plain_attributes((stored.origin.get("resource") or {}).get("attributes"))
    row.update(_service(resource))
    row["scope"] = _scope_name(stored)
    row["attributes"] = attributes
    row["events"] = [
        {
            "name": event.get("name") or "",
            "timestamp": timestamp_ns(int(event.get("timeUnixNano") or 0)),
            "attributes": plain_attributes(event.get("attributes")),
        }
        for event in span.get("events") or ()
    ]
    row["links"] = [
        {**_ids(link, with_flags=False), "attributes": plain_attributes(link.get("attributes"))}
        for link in span.get("links") or ()
    ]
    row["resource"] = resource
    return row


def _service(resource: dict[str, Any]) -> dict[str, str]:
    service = resource.get("service.name")
    if isinstance(service, str) and not service.startswith("unknown_service"):
        return {"service": service}
    return {}


def _scope_name(stored: encode.Message) -> Any:
    return (stored.scope.get("scope") or {}).get("name") or ""


def _ids(holder: dict[str, Any], *, with_flags: bool = True) -> dict[str, str]:
    ids = {}
    if holder.get("traceId") and holder.get("spanId"):
        ids["trace_id"] = holder["traceId"]
        ids["span_id"] = holder["spanId"]
        # OpenTelemetry's encoder leaves the trace flags zero and sets bits above them alone.
        flags = int(holder.get("flags") or 0) & 0xFF
        if flags and with_flags:
            ids["trace_flags"] = f"{flags:02x}"
    return ids


def _named(number: int | None, names: tuple[str, ...], default: str) -> str:
    return names[number] if number and 0 < number < len(names) else default

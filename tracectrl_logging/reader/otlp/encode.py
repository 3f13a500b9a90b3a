"""Flat lines to the messages of OTLP/JSON, and what these do not say of a message that was stored.

A line that was stored as OTLP/JSON keeps under :data:`tracectrl.schema.OTLP_KEY` each field whose
value its other keys do not give again: the difference between what was stored and what
:func:`span` or :func:`record` makes of the line. With it the message is again what was stored.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from tracectrl._time import ns_of
from tracectrl.schema import LOG_KEYS, OPEN, OTLP_KEY, severity
from tracectrl.spans.values import any_value, key_values, text
from tracectrl_logging.reader.otlp.values import are_same_attributes, are_same_values
from tracectrl_logging.reader.timeline.open_spans import is_open

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

KINDS: Final = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
STATUSES: Final = ("UNSET", "OK", "ERROR")
EXCEPTION: Final = {
    "type": "exception.type",
    "message": "exception.message",
    "stacktrace": "exception.stacktrace",
}
STACK: Final = "code.stacktrace"
"""The attributes of a record that a line has keys of its own for."""

STATE_ATTRIBUTE: Final = "tracectrl.span.state"
"""The attribute of a span that is open, which OTLP has no field for; such a one has no end."""

_HEX = re.compile(r"[0-9a-fA-F]+", re.ASCII)
_MAX_NS: Final = 2**64 - 1
_US_NS: Final = 1000
_PLACED: Final = frozenset((*LOG_KEYS, OTLP_KEY))
_LISTS: Final = frozenset({"events", "links"})
_NOTHING: Final[tuple[Any, ...]] = (None, "", 0, [], {})


class Message(NamedTuple):
    """A span or log record, and where it comes from."""

    origin: dict[str, Any]
    """``ResourceSpans`` or ``ResourceLogs``, without its scopes."""
    scope: dict[str, Any]
    """``ScopeSpans`` or ``ScopeLogs``, without its items."""
    item: dict[str, Any]
    """``Span`` or ``LogRecord``."""


def span(row: Mapping[str, Any]) -> Message:
    """Return the span line *row* as a message."""
    start, end = start_and_end(row)
    attributes = row.get("attributes")
    if is_open(row):
        end, attributes = None, {**_dict(attributes), STATE_ATTRIBUTE: OPEN}
    ids = _ids(row)
    parent = row.get("parent_span_id")
    kind, status = row.get("kind"), row.get("status")
    item = {
        **ids,
        "parentSpanId": str(parent).lower() if ids and _is_id(parent, 16) else None,
        "flags": _flags(row),
        "name": text(row.get("name")),
        "kind": KINDS.index(kind) if kind in KINDS[1:] else 1,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": None if end is None else str(end),
        "attributes": key_values(attributes),
        "events": [
            {
                "timeUnixNano": str(_ns(event.get("timestamp"))),
                "name": text(event.get("name")),
                "attributes": key_values(event.get("attributes")),
            }
            for event in dicts(row.get("events"))
        ],
        "links": [
            {**_ids(link), "attributes": key_values(link.get("attributes"))}
            for link in dicts(row.get("links"))
        ],
        "status": _said(
            {
                "code": STATUSES.index(status) if status in STATUSES else 0,
                "message": text(row.get("status_message")),
            }
        ),
    }
    scope = {"scope": _said({"name": text(row.get("scope"))})}
    return Message(_origin(resource_of(row)), scope, _said(item))


def resource_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of where the span line *row* comes from."""
    resource = _dict(row.get("resource"))
    if isinstance(row.get("service"), str) and "service.name" not in resource:
        return {"service.name": row["service"], **resource}
    return resource


def record(
    row: Mapping[str, Any], time: str = "", resource: dict[str, Any] | None = None
) -> Message:
    """Return the log line *row* as a message.

    Args:
        row: the line.
        time: its time, where it says none itself.
        resource: the attributes of where it comes from; ``None`` for its service alone.
    """
    attributes = dict(_exception(row.get("exception")))
    if row.get("stack") is not None:
        attributes[STACK] = row["stack"]
    for key, value in row.items():
        if key not in _PLACED:
            attributes.setdefault(key, value)
    own = row.get("timestamp")
    moment = str(_ns(time if ns_of(own) is None else own))
    level, service, logger = row.get("level"), row.get("service"), row.get("logger")
    item = {
        "timeUnixNano": moment,
        "observedTimeUnixNano": moment,
        "severityNumber": severity(row),
        "severityText": level if isinstance(level, str) else None,
        "body": any_value(row.get("message")),
        "attributes": key_values(attributes),
        **(ids := _ids(row)),
        "flags": _flags(row) if ids else 0,
    }
    scope = {"scope": _said({"name": logger if isinstance(logger, str) else ""})}
    if resource is None:
        resource = {"service.name": service} if isinstance(service, str) else {}
    return Message(_origin(resource), scope, _said(item))


def rest(stored: Message, ours: Message) -> dict[str, Any]:
    """Return what *stored* says and *ours* does not, for :func:`merged`."""
    parts = zip(Message._fields, map(_difference, stored, ours), strict=True)
    return {name: part for name, part in parts if part}


def merged(message: Message, more: Any) -> Message:
    """Return *message* with *more*, which :func:`rest` returned; anything else is left out."""
    if not isinstance(more, dict):
        return message
    return Message(*(_merged(part, more.get(name)) for name, part in message._asdict().items()))


def _difference(stored: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of *stored* that *ours* has not so; ``None`` for one that *ours* has alone."""
    different: dict[str, Any] = {}
    for key in dict.fromkeys((*stored, *ours)):
        one, other = stored.get(key), ours.get(key)
        if one == other or (_is_nothing(key, one) and _is_nothing(key, other)):
            continue
        if key in _LISTS:
            items = list(map(_difference, one or (), other or ()))
            if any(items):
                different[key] = items
        elif not _are_same(key, one, other):
            different[key] = one
    return different


def _is_nothing(key: str, value: Any) -> bool:
    """Tell whether *value* is what a field has that is not there."""
    return value in _NOTHING or (value == "0" and key.endswith("UnixNano"))


def _are_same(key: str, one: Any, other: Any) -> bool:
    if key == "attributes":
        return are_same_attributes(one or [], other or [])
    if key == "body":
        return are_same_values(one, other)
    if isinstance(one, dict) or isinstance(other, dict):
        return not _difference(one or {}, other or {})
    return type(one) is int and str(one) == other


def _merged(part: dict[str, Any], more: Any) -> dict[str, Any]:
    if not isinstance(more, dict):
        return part
    whole = dict(part)
    for key, value in more.items():
        items = part.get(key)
        if key in _LISTS and isinstance(value, list) and items and len(items) == len(value):
            whole[key] = list(map(_merged, items, value))
        else:
            whole[key] = value
    return {key: value for key, value in whole.items() if value is not None}


def _said(fields: dict[str, Any]) -> dict[str, Any]:
    """Return *fields* without those that say nothing."""
    return {key: value for key, value in fields.items() if value}


def _origin(resource: dict[str, Any]) -> dict[str, Any]:
    return {"resource": _said({"attributes": key_values(resource)})}


def _ids(row: Mapping[str, Any]) -> dict[str, str]:
    trace_id, span_id = row.get("trace_id"), row.get("span_id")
    if not _is_id(trace_id, 32) or not _is_id(span_id, 16):
        return {}
    return {"traceId": str(trace_id).lower(), "spanId": str(span_id).lower()}


def _is_id(value: Any, length: int) -> bool:
    return (
        isinstance(value, str)
        and len(value) == length
        and _HEX.fullmatch(value) is not None
        and value.strip("0") != ""
    )


def _flags(row: Mapping[str, Any]) -> int:
    flags = row.get("trace_flags")
    return int(flags, 16) & 0xFF if isinstance(flags, str) and _HEX.fullmatch(flags) else 0


def start_and_end(row: Mapping[str, Any]) -> tuple[int, int | None]:
    """Return when a span started and ended, in nanoseconds, so that its duration is exact.

    The times are stored to the microsecond; the duration says how much of one is missing.
    """
    start, end = _ns(row.get("start_time")), _ns(row.get("end_time"))
    duration = row.get("duration_ns")
    if not isinstance(duration, int) or not 0 <= duration <= _MAX_NS - start:
        return start, max(start, end)
    missing = end - (start + duration)
    if 0 < missing < _US_NS:
        start += missing
    return start, start + duration


def _ns(time: Any) -> int:
    return min(max(ns_of(time) or 0, 0), _MAX_NS)


def _exception(exception: Any) -> dict[str, Any]:
    if isinstance(exception, dict):
        return {
            name: exception[key]
            for key, name in EXCEPTION.items()
            if exception.get(key) is not None
        }
    return {} if exception is None else {EXCEPTION["stacktrace"]: exception}


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def dicts(value: Any) -> list[dict[str, Any]]:
    """Return the objects in the list *value*; anything else has none."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []

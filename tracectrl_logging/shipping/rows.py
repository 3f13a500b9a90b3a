"""Lines to rows of the exporter's tables, as JSON: the columns, and the line as it was written."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from tracectrl._json import encode_line
from tracectrl._time import ns_of
from tracectrl.schema import LOG_KEYS, OTLP_KEY, SESSION_ATTRIBUTE, STATE_KEY, UNKNOWN, severity
from tracectrl.spans.values import text
from tracectrl_logging.reader.clickhouse.tables import LEAST_NS, MOST_NS, NAMES
from tracectrl_logging.reader.otlp.encode import (
    EXCEPTION,
    STACK,
    STATE_ATTRIBUTE,
    dicts,
    start_and_end,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from tracectrl_logging.reader.model import Line

_PLACED: Final = frozenset((*LOG_KEYS, OTLP_KEY))
_DAY_NS: Final = 86_400_000_000_000
_SECOND_NS: Final = 1_000_000_000
_MOST_FLAGS: Final = 255
_OWN_LENGTH: Final = len("2026-02-03T04:05:06.000000Z")


class Block(NamedTuple):
    """Rows of one table and one day, which the server takes as one or not at all."""

    table: str
    rows: list[bytes]
    """Each a JSON object, without the brace that opens it: the moment of sending goes before it."""


def blocks_of(lines: Iterable[Line], number: int, host: str) -> list[Block]:
    """Return *lines*, the *number*-th lot of the *host*, in blocks."""
    found: dict[tuple[str, int], Block] = {}
    for place, line in enumerate(lines):
        table = NAMES[line.kind]
        row, start_ns = _row_of(line, host)
        row["TracectrlUid"] = f"{number:012d}.{place:08d}"
        row["TracectrlLine"] = line.raw.decode()
        block = found.setdefault((table, start_ns // _DAY_NS), Block(table, []))
        block.rows.append(encode_line(row)[1:-1])
    return list(found.values())


def _row_of(line: Line, host: str) -> tuple[dict[str, Any], int]:
    """Return the columns of *line*, and its time in nanoseconds."""
    row = line.row
    if line.kind == "log":
        own = _time_ns(row.get("timestamp"))
        start_ns = _bounded(own if own is not None else ns_of(line.time) or 0)
        columns = _log(row)
    else:
        start, end = start_and_end(row)
        start_ns = _bounded(start)
        columns = _span(row, 0 if end is None else _bounded(end) - start_ns)
    attributes = columns["LogAttributes" if line.kind == "log" else "SpanAttributes"]
    if line.session_id != UNKNOWN:
        attributes[SESSION_ATTRIBUTE] = line.session_id
    else:
        attributes.pop(SESSION_ATTRIBUTE, None)
    service = row.get("service")
    resource = _texts(row.get("resource"))
    if isinstance(service, str):
        resource["service.name"] = service
    resource["host.name"] = host
    columns |= {
        "Timestamp": stamp(start_ns),
        "TraceId": text(row.get("trace_id")),
        "SpanId": text(row.get("span_id")),
        "ServiceName": resource.get("service.name", ""),
        "ResourceAttributes": resource,
    }
    return columns, start_ns


def _log(row: dict[str, Any]) -> dict[str, Any]:
    exception = row.get("exception")
    said: dict[str, Any] = {}
    if isinstance(exception, dict):
        said = {name: exception[key] for key, name in EXCEPTION.items() if exception.get(key)}
    elif exception is not None:
        said = {EXCEPTION["stacktrace"]: exception}
    if row.get("stack") is not None:
        said[STACK] = row["stack"]
    for key, value in row.items():
        if key not in _PLACED:
            said.setdefault(key, value)
    flags = row.get("trace_flags")
    return {
        "TraceFlags": _flags(flags) if isinstance(flags, str) else 0,
        "SeverityText": text(row.get("level")),
        "SeverityNumber": severity(row),
        "ScopeName": text(row.get("logger")),
        "Body": text(row.get("message")),
        "LogAttributes": _texts(said),
    }


def _span(row: dict[str, Any], duration_ns: int) -> dict[str, Any]:
    said = dict(row["attributes"]) if isinstance(row.get("attributes"), dict) else {}
    is_open = STATE_KEY in row and "end_time" not in row
    if is_open:
        said[STATE_ATTRIBUTE] = row[STATE_KEY]
    events = dicts(row.get("events"))
    links = dicts(row.get("links"))
    return {
        "ParentSpanId": text(row.get("parent_span_id")),
        "SpanName": text(row.get("name")),
        "SpanKind": text(row.get("kind")).capitalize(),
        "ScopeName": text(row.get("scope")),
        "SpanAttributes": _texts(said),
        "Duration": 0 if is_open else max(duration_ns, 0),
        "StatusCode": text(row.get("status")).capitalize(),
        "StatusMessage": text(row.get("status_message")),
        "Events.Timestamp": [stamp(ns_of(it.get("timestamp")) or 0) for it in events],
        "Events.Name": [text(it.get("name")) for it in events],
        "Events.Attributes": [_texts(it.get("attributes")) for it in events],
        "Links.TraceId": [text(it.get("trace_id")) for it in links],
        "Links.SpanId": [text(it.get("span_id")) for it in links],
        "Links.TraceState": [""] * len(links),
        "Links.Attributes": [_texts(it.get("attributes")) for it in links],
    }


def stamp(ns: int) -> str:
    """Return a moment as the server reads it in any time zone: seconds since the epoch."""
    ns = _bounded(ns)
    return f"{ns // _SECOND_NS:010d}.{ns % _SECOND_NS:09d}"


def _bounded(ns: int) -> int:
    return min(max(ns, LEAST_NS), MOST_NS)


def _flags(digits: str) -> int:
    try:
        return min(int(digits, 16), _MOST_FLAGS)
    except ValueError:
        return 0


def _time_ns(time: object) -> int | None:
    """Return what :func:`ns_of` does; for most lines it has been asked about the second before."""
    if type(time) is str and len(time) == _OWN_LENGTH and time[19] == "." and time[26] == "Z":
        base_ns, us = _second_ns(time[:19]), time[20:26]
        if base_ns is not None and us.isascii() and us.isdigit():
            return base_ns + int(us) * 1000
    return ns_of(time)


@lru_cache(maxsize=64)
def _second_ns(time: str) -> int | None:
    return ns_of(f"{time}.000000Z")


def _texts(values: object) -> dict[str, str]:
    """Return the object *values* with what is no text as JSON, as the exporter has it."""
    if not isinstance(values, dict):
        return {}
    return {
        key: value if type(value) is str else text(value)  # most are: no call for them
        for key, value in values.items()
    }

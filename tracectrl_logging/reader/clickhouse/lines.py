"""Rows of the tables to lines: as they were written, or made from the columns of other senders' rows."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any

import orjson

from tracectrl._json import encode_line, timestamp_ns
from tracectrl._time import time_of
from tracectrl.schema import TIME_KEY, UNKNOWN, as_own
from tracectrl.spans.values import key_values
from tracectrl_logging.reader.model import Damage, Line
from tracectrl_logging.reader.otlp.decode import NOT_OTLP, flat_logs, flat_spans
from tracectrl_logging.reader.parsing import parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final

    from tracectrl.schema import Kind
    from tracectrl_logging.reader.model import Report

FIELDS: Final = (
    "{session} AS sid, {kind} AS k, {host} AS host, {uid} AS uid, {start_ns} AS ns, {line} AS line"
)
"""What is asked of a row, filled in by a :class:`~tracectrl_logging.reader.clickhouse.tables.Table`."""

WRITTEN: Final = "host, uid, ns"
"""The order of writing: that of each host, as far as its rows tell it."""

KINDS: Final[tuple[Kind, ...]] = ("log", "span")

_MAY_BE_JSON: Final = re.compile(r"[-\d\[{tfn]")


def lines_of(rows: Iterable[tuple[Any, ...]], name: str, report: Report) -> Iterator[Line]:
    """Yield the lines of *rows*, which begin with :data:`FIELDS`; *name* is the store's.

    *report* hears of those that cannot be made.
    """
    for sid, number, host, uid, ns, text, *_ in rows:
        kind = KINDS[number]
        path = f"{name}#{host}" if host else name
        try:
            if uid:
                row, raw = parse(text.encode())
                row = as_own(row) if kind == "log" else row
            else:
                row = _log(orjson.loads(text)) if kind == "log" else _span(orjson.loads(text))
                raw = encode_line(row)[:-1]
        except NOT_OTLP as error:
            report(Damage(path, None, f"a row cannot be read: {error}"))
            continue
        own = time_of(row.get(TIME_KEY[kind]))
        yield Line(kind, row, raw, own or (timestamp_ns(ns) if ns else ""), path, 0, sid)


def _log(columns: list[Any]) -> dict[str, Any]:
    time, trace_id, span_id, flags, level, number, body, scope, resource, attributes = columns
    record = {
        "timeUnixNano": time,
        "observedTimeUnixNano": time,
        "traceId": trace_id,
        "spanId": span_id,
        "flags": flags,
        "severityText": level,
        "severityNumber": number,
        "body": {"stringValue": body},
        "attributes": key_values(_values(attributes)),
    }
    request = {
        "resource": {"attributes": key_values(resource)},
        "scopeLogs": [{"scope": {"name": scope}, "logRecords": [record]}],
    }
    (row,) = flat_logs(request, UNKNOWN)
    return row


def _span(columns: list[Any]) -> dict[str, Any]:
    start, duration, trace_id, span_id, parent, state, name, kind, status, said, scope = columns[
        :11
    ]
    resource, attributes, times, names, event_attributes, *links = columns[11:]
    span = {
        "traceId": trace_id,
        "spanId": span_id,
        "parentSpanId": parent,
        "traceState": state,
        "name": name,
        "kind": kind.upper(),
        "startTimeUnixNano": start,
        "endTimeUnixNano": str(int(start) + int(duration)),
        "status": {"code": status.upper(), "message": said},
        "attributes": key_values(_plain_values(attributes)),
        "events": [
            {"timeUnixNano": at, "name": event, "attributes": key_values(_plain_values(more))}
            for at, event, more in zip(times, names, event_attributes, strict=True)
        ],
        "links": [
            {"traceId": trace, "spanId": one, "attributes": key_values(_plain_values(more))}
            for trace, one, more in zip(*links, strict=True)
        ],
    }
    request = {
        "resource": {"attributes": key_values(resource)},
        "scopeSpans": [{"scope": {"name": scope}, "spans": [span]}],
    }
    (row,) = flat_spans(request, UNKNOWN)
    row["status_message"] = said or None
    return row


def _values(attributes: dict[str, str]) -> dict[str, Any]:
    """Return the values of *attributes*, of which the exporter stores what is no text as JSON.

    A text that reads as JSON is taken for what it reads.
    """
    return {key: _value(text) for key, text in attributes.items()}


def _plain_values(attributes: dict[str, str]) -> dict[str, Any]:
    """Return the values of a span's *attributes*: an object there, or a list of some, was a text."""
    values = _values(attributes)
    for key, value in values.items():
        items = value if isinstance(value, list) else [value]
        if any(isinstance(item, (dict, list)) for item in items):
            values[key] = attributes[key]
    return values


def _value(text: str) -> Any:
    if _MAY_BE_JSON.match(text):
        with contextlib.suppress(ValueError):  # "007" and "1e400" are texts
            return orjson.loads(text)
    return text

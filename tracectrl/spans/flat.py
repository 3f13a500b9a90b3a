"""A span's line in the flat form: the keys of the contract, in one order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from opentelemetry.sdk.trace import Event
from opentelemetry.trace import SpanContext, StatusCode

from tracectrl._json import LINE_OPTIONS, OPTIONS, encode_line, timestamp_ns
from tracectrl.schema import OBSERVED_KEY, OPEN, OTLP_KEY, STATE_KEY, VOID
from tracectrl.service import service_of
from tracectrl.spans.values import key_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from enum import Enum

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Link, Status

    from tracectrl.redaction import Redactor

_dumps = orjson.dumps
_LINE = (
    b'%b,"trace_id":"%032x","span_id":"%016x","trace_flags":"%02x"%b'
    b',"start_time":"%b%06dZ","end_time":"%b%06dZ","duration_ns":%d,%b%b%b'
)
_PARENT = b',"parent_span_id":"%016x"'
_NS = 1_000_000_000
_REMOTE = 0x300
"""The flags of OTLP that say: whether the parent is remote is known, and it is."""

_BITS = 64

_OUTCOMES = {
    name: b'"status":"%b","status_message":null' % name.encode() for name in StatusCode.__members__
}


class FlatLines:
    """Encodes spans, as they come to an exporter.

    Nearly all are made of parts that the encoder takes as they are, and are put together from
    these; any other goes key by key. Both ways give the same bytes, which a property test sees to.

    Args:
        service: the ``service`` of spans whose resource has none.
        redact: what to leave out of the attributes.
    """

    def __init__(self, service: str | None, redact: Redactor | None) -> None:
        self._service = service
        self._redact = redact
        self._attributes = _held if redact is None else self._redacted
        # Each one tuple, so that a thread never sees a mixed pair.
        self._shared: tuple[object, object, bytes, Any, dict[str, Any]] = self, self, b"", None, {}
        self._second: tuple[int | None, str, bytes] = (None, "", b"")

    def __call__(self, span: ReadableSpan, sid: str) -> bytes:
        """Return the line of *span*, which belongs to the session *sid*.

        Raises:
            Exception: the span is none of the SDK's, and has not what such have.
        """
        try:
            return self._in_one_pass(span, sid)
        except Exception:  # noqa: BLE001 - what is not plain: the general way knows
            return self._in_general(span, sid)

    def _in_one_pass(self, span: Any, sid: str) -> bytes:
        """Do so, where all of it is plain, and raise anything else."""
        # As the SDK holds them: to ask for a copy takes a lock and a while, and the span has ended.
        attributes, bounded, linked = span._attributes, span._events, span._links  # noqa: SLF001
        events, links = bounded._dq, linked._dq  # noqa: SLF001
        context = span.get_span_context()
        trace_id, span_id, _, flags, state, is_valid = context
        if type(context) is not SpanContext or not is_valid:
            raise ValueError
        parent, parent_id, is_remote = span.parent, b"", False
        if parent is not None and parent.is_valid:
            parent_id, is_remote = _PARENT % parent.span_id, parent.is_remote
        start, end = span.start_time, span.end_time
        if type(start) is not int or type(end) is not int or not end:
            raise TypeError
        second, rest = divmod(start, _NS)
        known, text, start_text = self._second
        if second != known:
            text, start_text = self._start(second)
        end_text, end_rest = start_text, rest + end - start
        if not 0 <= end_rest < _NS:
            second, end_rest = divmod(end, _NS)
            _, end_text = self._start(second)
        resource, scope, origin, last, more = self._shared
        if resource is not span.resource or scope is not span.instrumentation_scope:
            origin, last, more = self._look_at(span)
        status = span.status
        outcome = (
            _OUTCOMES[status.status_code._name_]
            if status.description is None
            else _dumps(_outcome(status), None, OPTIONS)[1:-1]
        )
        head = {"name": span.name, "kind": span.kind._name_, "session_id": sid}
        row = {
            "attributes": attributes._dict  # noqa: SLF001
            if self._redact is None
            else self._redacted(attributes),
            "events": self._plain_events(events, start - rest, text) if events else [],
            "links": self._links(links) if links else [],
            "resource": last,
        }
        has_dropped = (
            attributes.dropped
            or bounded.dropped
            or linked.dropped
            or (events and any([it._attributes.dropped for it in events]))  # noqa: C419, SLF001 - a list is quicker
        )
        if more or links or state or is_remote or has_dropped:
            more = self._more(span, more)
            if more:
                row[OTLP_KEY] = more
        return _LINE % (
            _dumps(head, None, OPTIONS)[:-1],
            trace_id,
            span_id,
            flags & 0xFF,
            parent_id,
            start_text,
            rest // 1000,
            end_text,
            end_rest // 1000,
            end - start,
            outcome,
            origin,
            _dumps(row, None, LINE_OPTIONS)[1:],
        )

    def _plain_events(self, events: Iterable[Any], second_ns: int, text: str) -> list[Any]:
        """Return what :meth:`_events` does, of the SDK's own; most are of the second *second_ns*."""
        rows: list[Any] = []
        for event in events:
            if type(event) is not Event:
                raise TypeError
            rest = event._timestamp - second_ns  # noqa: SLF001 - behind a property that costs as much
            attributes: Any = event._attributes  # noqa: SLF001
            rows.append(
                {
                    "name": event._name,  # noqa: SLF001
                    "timestamp": "%s%06dZ" % (text, rest // 1000)  # noqa: UP031 - as in timestamp_ns
                    if 0 <= rest < _NS
                    else timestamp_ns(rest + second_ns),
                    "attributes": attributes._dict  # noqa: SLF001
                    if self._redact is None
                    else self._redacted(attributes),
                }
            )
        return rows

    def _in_general(self, span: ReadableSpan, sid: str) -> bytes:
        try:
            return encode_line(self._row(span, sid, timestamp_ns))
        except (ValueError, OverflowError, OSError):  # a time that no calendar holds
            return encode_line(self._row(span, sid, _time))

    def of_open(self, span: ReadableSpan, sid: str, now_ns: int, process: dict[str, Any]) -> bytes:
        """Return the line of *span*, which is open at *now_ns*, in nanoseconds since the epoch.

        *process* has the keys that say whose span it is. Another thread may go on with the span
        meanwhile.
        """
        row = {
            **self._beginning(span, sid, _time),
            STATE_KEY: OPEN,
            OBSERVED_KEY: _time(now_ns),
            **process,
            **self._origin(span),
            "attributes": self._redacted(span._attributes),  # noqa: SLF001 - its copy takes the lock once
            "events": self._events(span.events, _time),
            "links": self._links(span.links),
            "resource": self._attributes(span.resource.attributes),
        }
        more = self._more_of_origin(span)
        return encode_line({**row, OTLP_KEY: more} if more else row)

    def of_void(self, span: ReadableSpan, sid: str) -> bytes:
        """Return the line which says that the one of open *span* in the session *sid* does not count."""
        return encode_line({**self._beginning(span, sid, _time), STATE_KEY: VOID})

    def _row(self, span: ReadableSpan, sid: str, time_of: Callable[[int], str]) -> dict[str, Any]:
        row = self._beginning(span, sid, time_of)
        start = span.start_time or 0
        end = span.end_time or start
        row["end_time"] = time_of(end)
        row["duration_ns"] = _integer(end - start)
        row |= {
            **_outcome(span.status),
            **self._origin(span),
            "attributes": self._attributes(getattr(span, "_attributes", None)),
            "events": self._events(_items(span, "_events"), time_of),
            "links": self._links(_items(span, "_links")),
            "resource": self._attributes(span.resource.attributes),
        }
        more = self._more(span, self._more_of_origin(span))
        return {**row, OTLP_KEY: more} if more else row

    def _beginning(
        self, span: ReadableSpan, sid: str, time_of: Callable[[int], str]
    ) -> dict[str, Any]:
        """Return what a line says first, up to the time of the start."""
        row: dict[str, Any] = {"name": span.name, "kind": _name(span.kind), "session_id": sid}
        context = span.get_span_context()
        if context is not None and context.is_valid:
            row["trace_id"] = f"{context.trace_id:032x}"
            row["span_id"] = f"{context.span_id:016x}"
            row["trace_flags"] = f"{context.trace_flags & 0xFF:02x}"
        parent = span.parent
        if parent is not None and parent.is_valid:
            row["parent_span_id"] = f"{parent.span_id:016x}"
        row["start_time"] = time_of(span.start_time or 0)
        return row

    def _origin(self, span: ReadableSpan) -> dict[str, Any]:
        name = service_of(span.resource) or self._service
        service = {} if name is None else {"service": name}
        scope = span.instrumentation_scope
        return {**service, "scope": scope.name if scope else ""}

    def _events(self, events: Iterable[Event], time_of: Callable[[int], str]) -> list[Any]:
        attributes = self._attributes
        return [
            {
                "name": event.name,
                "timestamp": time_of(event.timestamp),
                "attributes": attributes(event.attributes),
            }
            for event in events
        ]

    def _links(self, links: Iterable[Link]) -> list[Any]:
        return [
            {
                "trace_id": f"{link.context.trace_id:032x}",
                "span_id": f"{link.context.span_id:016x}",
                "attributes": self._attributes(link.attributes),
            }
            for link in links
        ]

    def _start(self, second: int) -> tuple[str, bytes]:
        """Return, and keep, how the times of a *second* begin."""
        text = timestamp_ns(second * _NS)[:-7]
        start = text.encode()
        self._second = (second, text, start)
        return text, start

    def _look_at(self, span: ReadableSpan) -> tuple[bytes, orjson.Fragment, dict[str, Any]]:
        """Encode, and keep, what most spans share: where they come from."""
        resource = span.resource
        origin = b",%b," % _dumps(self._origin(span), None, OPTIONS)[1:-1]
        last = orjson.Fragment(_dumps(self._attributes(resource.attributes), None, OPTIONS))
        more = self._more_of_origin(span)
        self._shared = resource, span.instrumentation_scope, origin, last, more
        return origin, last, more

    def _more_of_origin(self, span: ReadableSpan) -> dict[str, Any]:
        """Return what the line's own keys do not say of where *span* comes from, as OTLP/JSON has it."""
        more: dict[str, Any] = {}
        if url := getattr(span.resource, "schema_url", None):
            more["origin"] = {"schemaUrl": url}
        scope = span.instrumentation_scope
        attributes = scope and getattr(scope, "attributes", None)
        if scope and (scope.version or attributes):
            said: dict[str, Any] = {"name": scope.name}
            if scope.version:
                said["version"] = scope.version
            if attributes:
                said["attributes"] = key_values(self._attributes(attributes))
            more["scope"] = {"scope": said}
        if scope and scope.schema_url:
            more.setdefault("scope", {})["schemaUrl"] = scope.schema_url
        return more

    def _more(self, span: ReadableSpan, of_origin: dict[str, Any]) -> dict[str, Any]:
        """Return *of_origin* and what the line's own keys do not say of *span* itself."""
        context, parent = span.get_span_context(), span.parent
        events = [_dropped(event.attributes) for event in _items(span, "_events")]
        links = [
            {**_state(link.context), **_dropped(link.attributes)} for link in _items(span, "_links")
        ]
        item: dict[str, Any] = {**_state(context), **_dropped(getattr(span, "_attributes", None))}
        for key, name in (("droppedEventsCount", "_events"), ("droppedLinksCount", "_links")):
            if count := getattr(getattr(span, name, None), "dropped", 0):
                item[key] = count
        if context is not None and parent is not None and parent.is_valid and parent.is_remote:
            item["flags"] = _REMOTE | (context.trace_flags & 0xFF)
        if any(events):
            item["events"] = events
        if any(links):
            item["links"] = links
        return {**of_origin, "item": item} if item else of_origin

    def _redacted(self, attributes: Mapping[str, Any] | None) -> dict[str, Any]:
        plain = plain_attributes(attributes)
        return plain if self._redact is None else self._redact(plain)


def plain_attributes(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a dict of *attributes*, one's own to change."""
    # The SDK's own copy() takes no lock per key, as dict() would.
    copy = getattr(attributes, "copy", None)
    return copy() if copy is not None else dict(attributes or {})


def _time(nanoseconds: int) -> str:
    try:
        return timestamp_ns(nanoseconds)
    except (ValueError, OverflowError, OSError):
        return timestamp_ns(0)


def _name(member: Enum) -> str:
    return member._name_  # name is this, behind a descriptor that costs more than the look-up


def _integer(number: int) -> Any:
    """Return *number* as the encoder takes it; of itself it refuses what is beyond 64 bits."""
    is_long = type(number) is int and number.bit_length() >= _BITS
    return orjson.Fragment(b"%d" % number) if is_long else number


def _outcome(status: Status) -> dict[str, Any]:
    return {"status": _name(status.status_code), "status_message": status.description}


def _state(context: SpanContext | None) -> dict[str, Any]:
    return (
        {"traceState": context.trace_state.to_header()} if context and context.trace_state else {}
    )


def _dropped(attributes: object) -> dict[str, Any]:
    count = getattr(attributes, "dropped", 0)
    return {"droppedAttributesCount": count} if count else {}


def _items(span: ReadableSpan, name: str) -> Iterable[Any]:
    """Return the events or links of *span*, whose iterator copies them under a lock.

    The span has ended, nothing is added any more. Where there is none, it is an empty list.
    """
    bounded: Any = getattr(span, name, ())
    items: Iterable[Any] = getattr(bounded, "_dq", bounded)
    return items or []


def _held(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the dict that holds *attributes* of an ended span: nobody changes them any more."""
    held: Any = getattr(attributes, "_dict", attributes)  # which the SDK's mapping keeps locked
    return held if type(held) is dict else dict(held or {})

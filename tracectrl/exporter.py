"""An OpenTelemetry span exporter: each span to the file of its session."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Literal

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link

from tracectrl._json import encode_line, exact, timestamp_ns, well_formed
from tracectrl._service import service_name as known_service_name
from tracectrl.errors import MissingExtraError
from tracectrl.files.appender import Appender
from tracectrl.files.names import LOG_SUFFIX, SPAN_SUFFIX
from tracectrl.files.sink import LOSS_LOGGER, Sink
from tracectrl.processor import session_of, values_of
from tracectrl.redaction import redactor
from tracectrl.session import SESSION_ATTRIBUTE, UNKNOWN

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from enum import Enum

    from tracectrl.redaction import Redact, Redactor

_logger = logging.getLogger(LOSS_LOGGER)


class FileSpanExporter(SpanExporter):
    """Appends each span, as one line of JSON, to the file of its own session.

    The session is the one that :class:`~tracectrl.processor.SessionSpanProcessor` put on the span
    at its start, so the exporter may run on a batch processor's thread. A span without one goes to
    the file ``unknown.spans.jsonl``.

    ``SimpleSpanProcessor`` is the processor for local files: ``BatchSpanProcessor`` drops spans
    when its queue is full.

    Args:
        root: the trace directory; ``None`` takes ``TRACECTRL_TRACE_DIR``, else ``./traces``.
        format: ``"flat"`` for the contract's line; ``"otlp"`` for OTLP/JSON, one
            ``ExportTraceServiceRequest`` a line, which needs the extra ``otlp``.
        max_bytes: a file that would grow beyond this many bytes is rotated first; 0 for never.
        backup_count: rotated files to keep; with 0 nothing is rotated.
        max_open_files: descriptors held open at most; ``None`` fits ``RLIMIT_NOFILE``.
        max_sessions_per_minute: new sessions that get a file of their own in a minute; the lines
            of further ones go to one overflow file. 0 for no bound.
        redact: key names (in any case), and callables ``(key, value) -> bool``, whose values are left
            out of the attributes at any depth: the span's, its events', its links', its resource's.
        service_name: the ``service`` of the lines where the span's resource has none; ``None``
            takes ``OTEL_SERVICE_NAME``.

    Raises:
        ValueError: an option is out of range.
        OSError: the root cannot be made or written to.
        MissingExtraError: ``format="otlp"`` without the extra.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        format: Literal["flat", "otlp"] = "flat",  # noqa: A002 - the contract's name
        max_bytes: int = 0,
        backup_count: int = 0,
        max_open_files: int | None = None,
        max_sessions_per_minute: int = 0,
        redact: Redact | None = None,
        service_name: str | None = None,
    ) -> None:
        if format not in ("flat", "otlp"):
            msg = f"format must be 'flat' or 'otlp', not {format!r}"
            raise ValueError(msg)
        self._encode: Callable[[ReadableSpan, str], bytes]
        self._redact = redactor(redact)
        self._attributes = _held if self._redact is None else self._redacted
        if format == "otlp":
            self._encode = _otlp_encoder(self._redact)
        else:
            self._encode = self._flat_line
        self._service = known_service_name(service_name)
        self._resource: tuple[Resource | None, str | None, dict[str, Any]] = None, None, {}
        appenders = [
            Appender(
                root,
                suffix,
                max_bytes=max_bytes,
                backup_count=backup_count,
                max_open_files=max_open_files,
                max_sessions_per_minute=max_sessions_per_minute,
            )
            for suffix in (SPAN_SUFFIX, LOG_SUFFIX)
        ]
        # Not through logging: its handlers may be on the same disk, and do not tell of a failure.
        self._sink = Sink(appenders[0], _report, losses=appenders[1], unit="spans")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Append *spans*; return ``FAILURE`` where one of them is not in its file. Never raises."""
        result = SpanExportResult.SUCCESS
        for span in spans:
            sid = UNKNOWN
            try:
                sid = session_of(span) or UNKNOWN
                written = self._sink.append(sid, self._encode(span, sid))
            except Exception:  # noqa: BLE001 - a foreign span may raise anything
                self._sink.fail(sid, "encoded")
                written = False
            if not written:
                result = SpanExportResult.FAILURE
        return result

    @property
    def lost(self) -> int:
        """How many spans could not be written so far."""
        return self._sink.lost

    def shutdown(self) -> None:
        """Close the files; a span that comes later opens its file again."""
        self._sink.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Return ``True``: what was exported is in the files already."""
        del timeout_millis
        return True

    def _flat_line(self, span: ReadableSpan, sid: str) -> bytes:
        try:
            return encode_line(self._row(span, sid, timestamp_ns))
        except (ValueError, OverflowError, OSError):  # a time that no calendar holds
            return encode_line(self._row(span, sid, _time))

    def _row(self, span: ReadableSpan, sid: str, time_of: Callable[[int], str]) -> dict[str, Any]:
        row: dict[str, Any] = {"name": span.name, "kind": _name(span.kind), "session_id": sid}
        context = span.get_span_context()
        if context is not None and context.is_valid:
            row["trace_id"] = f"{context.trace_id:032x}"
            row["span_id"] = f"{context.span_id:016x}"
            row["trace_flags"] = f"{context.trace_flags & 0xFF:02x}"
        parent = span.parent
        if parent is not None and parent.is_valid:
            row["parent_span_id"] = f"{parent.span_id:016x}"
        start = span.start_time or 0
        end = span.end_time or start
        row["start_time"] = time_of(start)
        row["end_time"] = time_of(end)
        row["duration_ns"] = end - start
        status = span.status
        row["status"] = _name(status.status_code)
        row["status_message"] = status.description
        known, service, resource = self._resource
        if known is not span.resource:
            service, resource = self._look_at(span.resource)
        if service is not None:
            row["service"] = service
        scope = span.instrumentation_scope
        row["scope"] = scope.name if scope else ""
        row["attributes"] = self._attributes(getattr(span, "_attributes", None))
        row["events"] = [
            {
                "name": event.name,
                "timestamp": time_of(event.timestamp),
                "attributes": self._attributes(event.attributes),
            }
            for event in _items(span, "_events")
        ]
        row["links"] = [
            {
                "trace_id": f"{link.context.trace_id:032x}",
                "span_id": f"{link.context.span_id:016x}",
                "attributes": self._attributes(link.attributes),
            }
            for link in _items(span, "_links")
        ]
        row["resource"] = resource
        return row

    def _look_at(self, resource: Resource) -> tuple[str | None, dict[str, Any]]:
        """Return the service and the attributes of *resource*, which most spans share."""
        service = _service_of(resource) or self._service
        attributes = self._attributes(resource.attributes)
        self._resource = resource, service, attributes
        return service, attributes

    def _redacted(self, attributes: Mapping[str, Any] | None) -> dict[str, Any]:
        plain = _plain(attributes)
        return plain if self._redact is None else self._redact(plain)


def _time(nanoseconds: int) -> str:
    try:
        return timestamp_ns(nanoseconds)
    except (ValueError, OverflowError, OSError):
        return timestamp_ns(0)


def _name(member: Enum) -> str:
    return member._name_  # name is this, behind a descriptor that costs more than the look-up


def _items(span: ReadableSpan, name: str) -> Iterable[Any]:
    """Return the events or links of *span*, whose iterator copies them under a lock.

    The span has ended, nothing is added any more.
    """
    bounded: Any = getattr(span, name, ())
    items: Iterable[Any] = getattr(bounded, "_dq", bounded)
    return items


def _held(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the dict that holds *attributes* of an ended span: nobody changes them any more."""
    held = values_of(attributes)
    return held if type(held) is dict else dict(held or {})


def _plain(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    # The SDK's own copy() takes no lock per key, as dict() would.
    copy = getattr(attributes, "copy", None)
    return copy() if copy is not None else dict(attributes or {})


def _service_of(resource: Resource) -> str | None:
    name = resource.attributes.get("service.name")
    if not isinstance(name, str) or name.startswith("unknown_service"):
        return None
    return name


def _otlp_encoder(redact: Redactor | None) -> Callable[[ReadableSpan, str], bytes]:
    try:
        from opentelemetry.exporter.otlp.json.common.trace_encoder import (  # noqa: PLC0415
            encode_spans,
        )
    except ImportError as error:
        feature, package = "format='otlp'", "opentelemetry-exporter-otlp-json-common"
        raise MissingExtraError(feature, package, "otlp") from error

    def encode(span: ReadableSpan, sid: str) -> bytes:
        attributes = _plain(span.attributes)
        if redact is not None or (sid != UNKNOWN and SESSION_ATTRIBUTE not in attributes):
            if sid != UNKNOWN:
                attributes.setdefault(SESSION_ATTRIBUTE, sid)
            span = _rebuilt(span, attributes, redact)
        row = encode_spans([span]).to_dict()
        if well_formed(sid) is not sid:
            _keep_exactly(sid, row)
        return encode_line(row)

    return encode


def _keep_exactly(sid: str, row: dict[str, Any]) -> None:
    """Have *row* say *sid*, which holds lone surrogates, so that it can be read back."""
    for item in row["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"]:
        if item["key"] == SESSION_ATTRIBUTE and item["value"].get("stringValue") == sid:
            item["value"]["stringValue"] = exact(sid)


def _rebuilt(
    span: ReadableSpan, attributes: dict[str, Any], redact: Redactor | None
) -> ReadableSpan:
    """Return *span* with *attributes*, and without what *redact* leaves out anywhere in it."""

    def clean(values: Mapping[str, Any] | None, dropped: int) -> BoundedAttributes:
        plain = _plain(values)
        bounded = BoundedAttributes(attributes=plain if redact is None else redact(plain))
        bounded.dropped = dropped
        return bounded

    scope = span.instrumentation_scope
    if redact is not None and scope is not None and scope.attributes:
        scope = InstrumentationScope(
            scope.name, scope.version, scope.schema_url, clean(scope.attributes, 0)
        )
    return ReadableSpan(
        name=span.name,
        context=span.get_span_context(),
        parent=span.parent,
        resource=Resource(clean(span.resource.attributes, 0), span.resource.schema_url),
        attributes=clean(attributes, span.dropped_attributes),
        events=[
            Event(
                event.name,
                clean(event.attributes, getattr(event, "dropped_attributes", 0)),
                event.timestamp,
            )
            for event in span.events
        ],
        links=[
            Link(link.context, clean(link.attributes, link.dropped_attributes))
            for link in span.links
        ],
        kind=span.kind,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=scope,
    )


def _report(what: str | None) -> None:
    _logger.exception("a span could not be %s", what or "written")  # noqa: LOG004 - called in an except block

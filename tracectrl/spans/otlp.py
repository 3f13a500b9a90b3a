"""A span's line as OTLP/JSON: one ``ExportTraceServiceRequest`` a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link

from tracectrl._json import encode_line, exact, well_formed
from tracectrl.errors import MissingExtraError
from tracectrl.schema import SESSION_ATTRIBUTE, UNKNOWN
from tracectrl.spans.flat import plain_attributes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tracectrl.redaction import Redactor


def otlp_encoder(redact: Redactor | None) -> Callable[[ReadableSpan, str], bytes]:
    """Return what encodes a span of a session.

    Raises:
        MissingExtraError: the extra ``otlp`` is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.json.common.trace_encoder import (  # noqa: PLC0415
            encode_spans,
        )
    except ImportError as error:
        feature, package = "format='otlp'", "opentelemetry-exporter-otlp-json-common"
        raise MissingExtraError(feature, package, "otlp") from error

    def encode(span: ReadableSpan, sid: str) -> bytes:
        attributes = plain_attributes(span.attributes)
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
        plain = plain_attributes(values)
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

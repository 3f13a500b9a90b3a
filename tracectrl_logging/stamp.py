"""The stamp: the correlation keys of this very moment.

Reads the session and the current span, whether the span is recorded or not: a line of an unsampled
request is correlated like any other. The hexadecimal forms are made once per span.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from opentelemetry import trace
from opentelemetry.context import get_current

from tracectrl.session import _session_id, session_in

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

try:  # get_current_span() costs four times this look-up; its key has no public name
    from opentelemetry.trace.propagation import _SPAN_KEY
except ImportError:  # pragma: no cover - a future release may rename it
    _SPAN_KEY = ""

Stamp: TypeAlias = tuple[str | None, str | None, str | None, str | None]
"""``session_id``, ``trace_id``, ``span_id``, ``trace_flags``; ``None`` for what does not exist."""

STAMP_KEYS = ("session_id", "trace_id", "span_id", "trace_flags")

_NO_SPAN = (None, None, None)
_MAX_KNOWN_SPANS = 1024

_known: dict[int, tuple[SpanContext, tuple[str, str, str]]] = {}


def stamp() -> Stamp:
    """Return the stamp of the current context; never raises."""
    sid = _session_id.get()
    try:
        context = get_current()
        if sid is None:
            sid = session_in(context)
        span: Any = context.get(_SPAN_KEY) if _SPAN_KEY else trace.get_current_span(context)
        if span is None:
            return (sid, None, None, None)
        span_context = span.get_span_context()
        known = _known.get(span_context.span_id)
        if known is not None and known[0] is span_context:
            return (sid, *known[1])
        return (sid, *_span_ids(span_context))
    except Exception:  # noqa: BLE001 - a foreign span may raise anything, logging may not
        return (sid, None, None, None)


def _span_ids(span_context: SpanContext) -> tuple[str, str, str] | tuple[None, None, None]:
    if not span_context.is_valid:
        return _NO_SPAN
    ids = (
        f"{span_context.trace_id:032x}",
        f"{span_context.span_id:016x}",
        f"{span_context.trace_flags & 0xFF:02x}",
    )
    if len(_known) >= _MAX_KNOWN_SPANS:
        _known.clear()
    _known[span_context.span_id] = (span_context, ids)
    return ids

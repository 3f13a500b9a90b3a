"""The stamp: the correlation keys of this very moment.

Reads the session and the current span, whether the span is recorded or not: a line of an unsampled
request is correlated like any other. The hexadecimal forms are made once per span.
"""

from __future__ import annotations

import weakref
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry import trace

from tracectrl.session import _collecting, _session_id, is_finalizing, session_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from opentelemetry.context import Context

SPAN_KEYS = ("trace_id", "span_id", "trace_flags")
STAMP_KEYS = ("session_id", *SPAN_KEYS)


class Stamp(dict[str, str]):
    """Those of :data:`STAMP_KEYS` that exist, in that order. Shared: not to be changed."""

    __slots__ = ("encoded",)

    encoded: bytes | None
    """The same as JSON, where :mod:`tracectrl_logging.encode` has made it already."""

    def __init__(self, ids: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        super().__init__(ids)
        self.encoded = None


_NONE = Stamp()


def _context_getter() -> Callable[[], Context]:
    """Return what get_current() calls in the end: it is two calls on top, before every record."""
    runtime = getattr(otel_context, "_RUNTIME_CONTEXT", None)
    variable = getattr(runtime, "_current_context", None)
    return variable.get if isinstance(variable, ContextVar) else otel_context.get_current


_current_context = _context_getter()

# One Context object lives as long as its span is current, so what it says is looked up once. By
# id(), since a Context (a dict) has no hash; the weak reference tells whether it is still that one,
# and the session may have changed under the same span.
_known: dict[int, tuple[weakref.ref[Context], str | None, Stamp, Stamp]] = {}
_MAX_KNOWN = 1024


def stamp() -> Stamp:
    """Return the stamp of the current context; never raises."""
    if _collecting and is_finalizing():
        return _NONE
    sid = _session_id.get()
    context = _current_context()
    known = _known.get(id(context))
    if known is not None and known[1] is sid and known[0]() is context:
        return known[2]
    return _look_up(context, sid)


def is_stamped(fields: Mapping[str, Any]) -> bool:
    """Tell whether *fields*, of a record, hold a key of the stamp."""
    return (
        "session_id" in fields
        or "trace_id" in fields
        or "span_id" in fields
        or "trace_flags" in fields
    )


def _look_up(context: Context, sid: str | None) -> Stamp:
    known = _known.get(id(context))
    if known is not None and known[0]() is context:
        reference, _, _, ids = known
    else:
        reference, ids = weakref.ref(context), span_ids(context)
        if len(_known) >= _MAX_KNOWN:
            _known.clear()
    session_id = session_in(context) if sid is None else sid
    present = ids if session_id is None else Stamp({"session_id": session_id, **ids})
    _known[id(context)] = (reference, sid, present, ids)
    return present


def span_ids(context: Context) -> Stamp:
    """Return the keys of the span that is current in *context*, an OpenTelemetry one."""
    span: Any = trace.get_current_span(context)
    if span is trace.INVALID_SPAN:
        return Stamp()
    try:
        span_context = span.get_span_context()
        if not span_context.is_valid:
            return Stamp()
        return Stamp(
            {
                "trace_id": f"{span_context.trace_id:032x}",
                "span_id": f"{span_context.span_id:016x}",
                "trace_flags": f"{span_context.trace_flags & 0xFF:02x}",
            }
        )
    except Exception:  # noqa: BLE001 - a foreign span may raise anything, logging may not
        return Stamp()

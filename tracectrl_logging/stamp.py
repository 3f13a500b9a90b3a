"""The stamp: the correlation keys of this very moment.

Reads the session and the current span, whether the span is recorded or not: a line of an unsampled
request is correlated like any other. The hexadecimal forms are made once per span.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry import trace

from tracectrl.schema import STAMP_KEYS
from tracectrl.session import (
    _collecting,
    _session_id,
    attributes_of,
    follow_default,
    is_finalizing,
    session_in,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    from opentelemetry.context import Context


ABSENT = "_session_absent"
"""The record attribute that says which value stands for "none" on it, where that is not None."""


class Stamp(dict[str, str]):
    """Those of :data:`STAMP_KEYS` that exist, in that order. Shared: not to be changed."""

    __slots__ = ("complete", "encoded")

    complete: tuple[str, str, str, str] | None
    """The values, where none is missing: to set them one by one is quicker than ``update``."""

    encoded: tuple[str, bytes] | None
    """Whose lines it makes, and the keys as JSON, once :mod:`tracectrl_logging.line.encoder` made them."""

    def __init__(self, ids: Mapping[str, str]) -> None:
        super().__init__(ids)
        values: Any = tuple(self.values())
        self.complete = values if len(values) == len(STAMP_KEYS) else None
        self.encoded = None

    def __reduce__(self) -> tuple[Any, ...]:
        """A record that goes to another process takes a dict along: who reads it may not know us."""
        return dict, (dict(self),)


_NONE = Stamp({})
_MAX_KEPT = 1024
_NOTHING_KEPT: tuple[None, None, None] = None, None, None
_UNSETTLED = object()  # no session's ID, and not None either


def _context_getter() -> Callable[[], Any]:
    """Return what get_current() calls in the end: it is two calls on top, before every record."""
    runtime = getattr(otel_context, "_RUNTIME_CONTEXT", None)
    variable = getattr(runtime, "_current_context", None)
    return variable.get if isinstance(variable, ContextVar) else otel_context.get_current


_current_context = _context_getter()
_current_session: Callable[[], str | None]


def _follow(default: str | None) -> None:
    """Have a default session of the process answer where none is set; what was kept without it is stale."""
    global _current_session  # noqa: PLW0603 - asked before every record, and nearly never another
    _current_session = (lambda: _session_id.get() or default) if default else _session_id.get


follow_default(_follow)


def stamp() -> Stamp:
    """Return the stamp of the current context; never raises.

    OpenTelemetry's context lives as long as its span is current, and says the same all the time,
    once its span is in a session: its stamp is kept on it, with the session that was current then.
    """
    if _collecting and is_finalizing():
        return _NONE
    context = _current_context()
    try:
        sid, ids, _ = context._tracectrl_stamp  # noqa: SLF001
    except AttributeError:
        return _made(context)
    return ids if sid is _current_session() else _made(context)


def add_attributes(fields: dict[str, Any], taken: Container[str]) -> None:
    """Put on *fields*, of a record or an event, what is known of its session, less the names *taken*.

    To be called where :data:`tracectrl.attributes.described` says that there may be anything.
    """
    known = {**attributes_of(fields.get("session_id"))}  # a copy: other threads may add to it
    fields.update({name: value for name, value in known.items() if name not in taken})


def is_stamped(fields: Mapping[str, Any]) -> bool:
    """Tell whether *fields*, of a record, hold a key of the stamp."""
    return (
        "session_id" in fields
        or "trace_id" in fields
        or "span_id" in fields
        or "trace_flags" in fields
    )


def _made(context: Any) -> Stamp:
    """Return the stamp of *context* and the current session, and keep it for the next time."""
    sid = _current_session()
    session_id = _session_id.get() or session_in(context) or sid
    _, latest, others = getattr(context, "_tracectrl_stamp", _NOTHING_KEPT)
    ids: Stamp | None = others.get(session_id) if others else latest
    if ids is None or ids.get("session_id") != session_id:
        whose = {} if session_id is None else {"session_id": session_id}
        ids = Stamp({**whose, **span_ids(context)})
        if latest is not None:  # several sessions under one span, or without any
            if others is None or len(others) >= _MAX_KEPT:
                others = {latest.get("session_id"): latest}
            others[session_id] = ids
    # A span that is in no session yet may be put into one: that is looked for each time.
    known = _UNSETTLED if "trace_id" in ids and _is_in_none(context) else sid
    try:
        context._tracectrl_stamp = known, ids, others  # noqa: SLF001
    except AttributeError:  # a runtime context of the user's own
        return ids
    return ids


def _is_in_none(context: Context) -> bool:
    return _session_id.get() is None and session_in(context) is None


def span_ids(context: Context) -> dict[str, str]:
    """Return the keys of the span that is current in *context*, an OpenTelemetry one."""
    span: Any = trace.get_current_span(context)
    if span is trace.INVALID_SPAN:
        return {}
    try:
        span_context = span.get_span_context()
        if not span_context.is_valid:
            return {}
        return {  # an f-string costs half as much again
            "trace_id": "%032x" % span_context.trace_id,  # noqa: UP031
            "span_id": "%016x" % span_context.span_id,  # noqa: UP031
            "trace_flags": "%02x" % (span_context.trace_flags & 0xFF),
        }
    except Exception:  # noqa: BLE001 - a foreign span may raise anything, logging may not
        return {}

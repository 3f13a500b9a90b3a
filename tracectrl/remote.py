"""What another process says of the session and the trace, made current here."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, cast

from opentelemetry import baggage, propagate, trace
from opentelemetry import context as otel_context
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tracectrl import session as _session
from tracectrl.attributes import ATTRIBUTES_HEADER, SessionState, attributes_in, described
from tracectrl.propagation import SESSION_HEADER, encode_session_header, first_session

if TYPE_CHECKING:
    from contextvars import Token
    from types import TracebackType
    from typing import TypeAlias

    from opentelemetry.context import Context

    Headers: TypeAlias = (
        Mapping[str, Any] | Mapping[bytes, Any] | Iterable[tuple[str | bytes, str | bytes]]
    )

TRACE_CONTEXT = TraceContextTextMapPropagator()

# https://opentelemetry.io/docs/specs/otel/context/env-carriers/
ENVIRONMENT_KEYS = ("traceparent", "tracestate", "baggage")
"""What travels in a process's environment, its names in upper case there."""

# What read() itself put into an OpenTelemetry Context: (session ID, baggage).
_EXTRACTED = otel_context.create_key("tracectrl-extracted")


class remote_session:  # noqa: N801 - used as a function: ``with remote_session(headers):``
    """:func:`extract_trace_headers` for one block; what was current before comes back after it.

    The ``with`` target is the OpenTelemetry ``Context``.

    Args:
        headers: as for :func:`extract_trace_headers`.
        attributes: the same.
    """

    def __init__(self, headers: Headers, *, attributes: bool = False) -> None:
        self._headers = headers
        self._with_attributes = attributes
        self._tokens: list[tuple[Token[Context], _session.SessionTokens]] = []

    def __enter__(self) -> Context:
        headers = normalised(self._headers)
        context, sid = read(headers)
        carried = carried_attributes(headers, sid) if self._with_attributes else None
        _session.keep_set()
        tokens = otel_context.attach(context), _session.enter_from_headers(sid, carried)
        self._tokens.append(tokens)
        return context

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # One object may be entered in several threads and tasks at once: whose exit this is shows
        # in whose token can be reset.
        left = None if exc is None else copy_context()
        for index in range(len(self._tokens) - 1, -1, -1):
            if _session.restore(self._tokens[index][1]):
                otel_token, _ = self._tokens.pop(index)
                _session.detach_quietly(otel_token)
                if left is not None:
                    _session.note_left(exc, left)
                return


def from_environment() -> remote_session | None:
    """Return the context manager that continues what the environment of the process carries.

    That is ``TRACECTRL_SESSION_ID`` with ``TRACECTRL_SESSION_ATTRIBUTES``, and ``TRACEPARENT``,
    ``TRACESTATE`` and ``BAGGAGE``. ``None`` where it carries none of these, or where a session and a
    span are current already.
    """
    carried: dict[str, str] = {}
    if not trace.get_current_span().get_span_context().is_valid:
        carried = {
            name: os.environ[name.upper()]
            for name in ENVIRONMENT_KEYS
            if name.upper() in os.environ
        }
    sid = os.environ.get(_session.SESSION_ID_ENV)
    if sid and _session.current_session_id() is None:
        carried[SESSION_HEADER] = encode_session_header(sid)
        carried[ATTRIBUTES_HEADER] = os.environ.get(_session.ATTRIBUTES_ENV, "")
    return remote_session(carried, attributes=True) if carried else None


class continued:  # noqa: N801 - used as a function, by the middlewares
    """Run a block in a *session* and in the trace that *headers* carry.

    Where an instrumentation has started a span for the request already, that span stays current:
    it is the one that continues the caller's trace; it gets the session. A span that is current
    together with another session is none of the request's: uvicorn begins a pipelined request in
    the context in which the one before it has been answered.

    Args:
        headers: as :func:`normalised` returns them.
        session: the state of the session; what the headers say of it does not count.
    """

    def __init__(self, headers: Mapping[str, list[str]], session: SessionState) -> None:
        self._headers = headers
        self._session = _session.session_of(session)
        self._token: Token[Context] | None = None

    def __enter__(self) -> str:
        before = _session._session_id.get()  # noqa: SLF001 - not that of the span
        sid = self._session.__enter__()
        span = trace.get_current_span()
        span_context = span.get_span_context()
        if before not in (None, sid) and _session.pinned_session(span) == before:
            bare = trace.set_span_in_context(trace.INVALID_SPAN)
            self._token = otel_context.attach(bare)
            otel_context.attach(read(self._headers, sid)[0])  # the first token undoes both
        elif span_context.is_remote or not span_context.is_valid:
            self._token = otel_context.attach(read(self._headers, sid)[0])
        else:
            _stamp_late(span, sid)
        if described and (known := _session.extracted(sid)) is not None:
            state = _session.state_now(sid)  # the one that was entered
            state.describe({**known, **state})
        return sid

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._token is not None:
            _session.detach_quietly(self._token)
        self._session.__exit__(exc_type, exc, traceback)


def _stamp_late(span: trace.Span, sid: str) -> None:
    """Put the session on a span that was started before the session was known."""
    sdk = sys.modules.get("opentelemetry.sdk.trace")  # not ours to import
    if sdk is not None and isinstance(span, sdk.Span) and span.is_recording():
        from tracectrl.processor import session_of, stamp_span  # noqa: PLC0415 - imports the SDK

        if session_of(span) is None:
            stamp_span(span, sid)


def carried_attributes(headers: Mapping[str, list[str]], sid: str | None) -> dict[str, Any]:
    """Return the attributes of the session *sid* in *headers*, their names in lower case."""
    texts = headers.get(ATTRIBUTES_HEADER.lower(), ())
    return attributes_in(texts[0], sid) if len(texts) == 1 else {}


class _LowerCaseGetter(Getter[Mapping[str, list[str]]]):
    """Looks a name up whatever its case, in a carrier whose names are lower-case."""

    def get(self, carrier: Mapping[str, list[str]], key: str) -> list[str] | None:
        return carrier.get(key.lower())

    def keys(self, carrier: Mapping[str, list[str]]) -> list[str]:
        return list(carrier)


_GETTER = _LowerCaseGetter()


def read(carrier: Mapping[str, list[str]], sid: str | None = None) -> tuple[Context, str | None]:
    """Return what *carrier* continues; *sid*, where it is given, instead of its session."""
    before = _without_extracted(otel_context.get_current())
    propagator = propagate.get_global_textmap()
    context = before
    if TRACE_CONTEXT.fields.isdisjoint(propagator.fields):
        context = TRACE_CONTEXT.extract(carrier, context, _GETTER)
    context = propagator.extract(carrier, context, _GETTER)
    sid = sid or first_session(carrier.get(SESSION_HEADER.lower(), ()))
    if sid is None and context.get(_session.SESSION_KEY) != before.get(_session.SESSION_KEY):
        sid = _session.session_in(context)  # a propagator found it elsewhere
    if sid is not None:
        context = otel_context.set_value(_session.SESSION_KEY, sid, context)
    items = dict(baggage.get_all(context))
    carried = items if items != dict(baggage.get_all(before)) else None
    return otel_context.set_value(_EXTRACTED, (sid, carried), context), sid


def _without_extracted(context: Context) -> Context:
    if not context:
        return context
    if trace.get_current_span(context).get_span_context().is_remote:
        context = trace.set_span_in_context(trace.INVALID_SPAN, context)
    earlier = context.get(_EXTRACTED)
    if isinstance(earlier, tuple):
        sid, items = earlier
        if sid is not None and _session.session_in(context) == sid:
            context = _session.without_session(context)
        if items is not None and dict(baggage.get_all(context)) == items:
            context = baggage.clear(context)
    return context


def normalised(headers: Headers) -> dict[str, list[str]]:
    """Return *headers* with lower-case names and a list of string values for each."""
    pairs = headers.items() if hasattr(headers, "items") else headers
    carrier: dict[str, list[str]] = {}
    try:
        for name, value in cast("Iterable[tuple[Any, Any]]", pairs):
            if type(name) is bytes and type(value) is bytes:  # as ASGI has them
                text = value.decode("utf-8", "replace")
                carrier.setdefault(name.decode("utf-8", "replace").lower(), []).append(text)
                continue
            values = value if isinstance(value, (list, tuple)) else (value,)
            texts = [each for item in values if (each := _text(item)) is not None]
            carrier.setdefault((_text(name) or "").lower(), []).extend(texts)
    except (TypeError, ValueError) as error:
        msg = f"headers must be a mapping or an iterable of (name, value) pairs, got {type(headers).__name__}"
        raise TypeError(msg) from error
    return carrier


def _text(value: object) -> str | None:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode("utf-8", "replace")
    return value if isinstance(value, str) else None

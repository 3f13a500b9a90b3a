"""The session on the wire: its header, and an OpenTelemetry propagator that reads and writes it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_to_bytes

from opentelemetry import baggage as otel_baggage
from opentelemetry import context as otel_context
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)

from tracectrl.session import SESSION_ATTRIBUTE, SESSION_KEY, session_for

if TYPE_CHECKING:
    from collections.abc import Iterable

SESSION_HEADER = "X-TraceCtrl-Session"
"""The header that carries the session ID."""

BAGGAGE_ENV = "TRACECTRL_BAGGAGE"
"""The environment variable that makes :class:`SessionPropagator` use W3C baggage, too."""

# Visible ASCII (RFC 9110, field-value without spaces) travels as it is, "%" aside.
_AS_IS = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%")


def encode_session_header(sid: str) -> str:
    """Return *sid* as a header value: visible ASCII, everything else percent-encoded UTF-8."""
    return quote(sid, safe=_AS_IS, errors="surrogatepass")


def decode_session_header(value: str) -> str | None:
    """Return the session ID that a header value carries, ``None`` where it carries none.

    Bytes that are no UTF-8 become U+FFFD; white space around the value does not count.
    """
    value = value.strip(" \t")
    if "%" in value:
        value = unquote_to_bytes(value).decode("utf-8", "replace")
    return value or None


class SessionPropagator(TextMapPropagator):
    """Carries the session in the ``X-TraceCtrl-Session`` header.

    Installed as the entry point ``tracectrl``, so that the environment variable
    ``OTEL_PROPAGATORS=tracecontext,baggage,tracectrl`` makes every instrumented client write the
    session and every instrumented server continue it.

    Args:
        baggage: also carry the session as the entry ``session.id`` of W3C baggage, which services
            hand on that know nothing of the header; put it behind the ``baggage`` propagator then,
            which writes the same header. ``None`` takes the environment variable
            ``TRACECTRL_BAGGAGE``: ``true``, or anything else for no. Where both arrive, the header
            of our own counts.
    """

    def __init__(self, *, baggage: bool | None = None) -> None:
        if baggage is None:
            baggage = os.environ.get(BAGGAGE_ENV, "").strip().lower() in ("true", "1")
        self._baggage = W3CBaggagePropagator() if baggage else None

    def inject(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        setter: Setter[CarrierT] = default_setter,
    ) -> None:
        """Write the current session, else the one *context* carries, into *carrier*."""
        sid = session_for(context)
        if sid is None:
            return
        setter.set(carrier, SESSION_HEADER, encode_session_header(sid))
        if self._baggage is not None:
            context = otel_baggage.set_baggage(
                SESSION_ATTRIBUTE, sid.encode("utf-8", "replace").decode(), context
            )
            self._baggage.inject(carrier, context, setter)

    def extract(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        getter: Getter[CarrierT] = default_getter,
    ) -> Context:
        """Return *context* with the session that *carrier* holds, if it holds one."""
        context = Context() if context is None else context
        values = getter.get(carrier, SESSION_HEADER) or getter.get(carrier, SESSION_HEADER.lower())
        sid: object = first_session(values or ())
        if sid is None and self._baggage is not None:
            read = self._baggage.extract(carrier, Context(), getter)
            sid = otel_baggage.get_baggage(SESSION_ATTRIBUTE, read)
        return otel_context.set_value(SESSION_KEY, sid, context) if sid else context

    @property
    def fields(self) -> set[str]:
        """The headers this propagator writes."""
        return {SESSION_HEADER} if self._baggage is None else {SESSION_HEADER, "baggage"}


def first_session(values: Iterable[str]) -> str | None:
    """Return the first session ID among the values of a header that may be repeated."""
    return next((sid for value in values if (sid := decode_session_header(value))), None)

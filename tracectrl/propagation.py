"""The session on the wire: its header, and an OpenTelemetry propagator that reads and writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_to_bytes

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)

from tracectrl.session import SESSION_KEY, current_session_id, session_in

if TYPE_CHECKING:
    from collections.abc import Iterable

SESSION_HEADER = "X-TraceCtrl-Session"
"""The header that carries the session ID."""

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
    """

    def inject(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        setter: Setter[CarrierT] = default_setter,
    ) -> None:
        """Write the current session, else the one *context* carries, into *carrier*."""
        sid = current_session_id()
        if sid is None and context is not None:
            sid = session_in(context)
        if sid is not None:
            setter.set(carrier, SESSION_HEADER, encode_session_header(sid))

    def extract(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        getter: Getter[CarrierT] = default_getter,
    ) -> Context:
        """Return *context* with the session that *carrier* holds, if it holds one."""
        context = Context() if context is None else context
        values = getter.get(carrier, SESSION_HEADER) or getter.get(carrier, SESSION_HEADER.lower())
        sid = first_session(values or ())
        return context if sid is None else otel_context.set_value(SESSION_KEY, sid, context)

    @property
    def fields(self) -> set[str]:
        """The one header this propagator writes."""
        return {SESSION_HEADER}


def first_session(values: Iterable[str]) -> str | None:
    """Return the first session ID among the values of a header that may be repeated."""
    return next((sid for value in values if (sid := decode_session_header(value))), None)

"""The session on the wire: its header, and an OpenTelemetry propagator that reads and writes it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
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

from tracectrl.attributes import (
    ATTRIBUTES_HEADER,
    attributes_in,
    state_for,
    text_of,
)
from tracectrl.schema import SESSION_ATTRIBUTE
from tracectrl.session import SESSION_KEY, STATE_KEY, attributes_of, session_for

if TYPE_CHECKING:
    from collections.abc import Iterable

SESSION_HEADER = "X-TraceCtrl-Session"
"""The header that carries the session ID."""

BAGGAGE_ENV = "TRACECTRL_BAGGAGE"
"""The environment variable that makes :class:`SessionPropagator` use W3C baggage, too."""

ATTRIBUTES_ENV = "TRACECTRL_ATTRIBUTES_HEADER"
"""The environment variable that makes :class:`SessionPropagator` carry the session's attributes, too."""

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
        attributes: also carry what the session knows of itself, such as who the user is, in the header
            ``X-TraceCtrl-Attributes``, and believe what arrives there: where all clients and servers
            are of your own alone, for the header goes to each. ``None`` takes the environment variable
            ``TRACECTRL_ATTRIBUTES_HEADER``, the same way. At most 64 attributes in 8 KiB; never in
            baggage, which services hand on to whomever they call.
    """

    def __init__(self, *, baggage: bool | None = None, attributes: bool | None = None) -> None:
        baggage = _is_on(BAGGAGE_ENV) if baggage is None else baggage
        self._baggage = W3CBaggagePropagator() if baggage else None
        self._attributes = _is_on(ATTRIBUTES_ENV) if attributes is None else attributes

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
        if self._attributes and (text := text_of(sid, attributes_of(sid))) is not None:
            setter.set(carrier, ATTRIBUTES_HEADER, text)
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
        sid: Any = first_session(_values(carrier, SESSION_HEADER, getter))
        if sid is None and self._baggage is not None:
            read = self._baggage.extract(carrier, Context(), getter)
            sid = otel_baggage.get_baggage(SESSION_ATTRIBUTE, read)
        if not sid:
            return context
        if self._attributes:
            texts = [*_values(carrier, ATTRIBUTES_HEADER, getter)]
            known = attributes_in(texts[0], sid) if len(texts) == 1 else {}
            context = otel_context.set_value(STATE_KEY, state_for(sid, known), context)
        return otel_context.set_value(SESSION_KEY, sid, context)

    @property
    def fields(self) -> set[str]:
        """The headers this propagator writes."""
        more = ("baggage", self._baggage is not None), (ATTRIBUTES_HEADER, self._attributes)
        return {SESSION_HEADER, *(name for name, is_written in more if is_written)}


def _is_on(variable: str) -> bool:
    return os.environ.get(variable, "").strip().lower() in ("true", "1")


def _values(carrier: CarrierT, name: str, getter: Getter[CarrierT]) -> Iterable[str]:
    return getter.get(carrier, name) or getter.get(carrier, name.lower()) or ()


def first_session(values: Iterable[str]) -> str | None:
    """Return the first session ID among the values of a header that may be repeated."""
    return next((sid for value in values if (sid := decode_session_header(value))), None)

"""What a request may say about its session, and what is made of it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from opentelemetry import baggage
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context

from tracectrl.attributes import ATTRIBUTES_HEADER, SessionState, state_for
from tracectrl.propagation import SESSION_HEADER, decode_session_header
from tracectrl.remote import carried_attributes
from tracectrl.session import mint_for_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
    from typing import Any

Policy: TypeAlias = Literal["replace", "reject", "accept"]

DEFAULT_HEADERS = (SESSION_HEADER, "X-Session-Id")
DEFAULT_MAX_LENGTH = 128

STATE_KEY = "tracectrl.session_state"
"""Where what the session knows of itself stands, in the ASGI scope or the WSGI environment."""

_BAGGAGE = W3CBaggagePropagator()

_logger = logging.getLogger(__name__)


class Verdict(NamedTuple):
    """The session for a request, and why the request may not have its own."""

    sid: str
    refusal: str | None = None
    """Why the request is to be answered with status 400; it holds nothing of the header."""
    replaced: str | None = None
    """Why the request has a new session instead of its own; the same."""

    def tell(self) -> None:
        """Log a warning where the session was replaced; call it in the session."""
        if self.replaced is not None:
            _logger.warning("replaced the session ID of a request: %s", self.replaced)


class Inbound:
    """Decides on the session of a request; the options are the middlewares'.

    Raises:
        ValueError: an option is out of range.
    """

    def __init__(
        self,
        *,
        headers: Sequence[str] = DEFAULT_HEADERS,
        policy: Policy = "replace",
        trust_inbound: bool = True,
        is_valid: Callable[[str], bool] | None = None,
        max_length: int = DEFAULT_MAX_LENGTH,
        aliases: Sequence[str] = (),
        attributes: bool = False,
    ) -> None:
        if policy not in ("replace", "reject", "accept"):
            msg = f"policy must be 'replace', 'reject' or 'accept', got {policy!r}"
            raise ValueError(msg)
        if max_length < 1:
            msg = f"max_length must be at least 1, got {max_length!r}"
            raise ValueError(msg)
        for option, names in (("headers", headers), ("aliases", aliases)):
            if isinstance(names, str):
                msg = f"{option} must be a list of names, got the str {names!r}"
                raise ValueError(msg)  # noqa: TRY004 - the type is right, a string is a sequence
        self._names = [name.lower() for name in (*headers, *aliases)]
        self._aliases = aliases
        self._with_attributes = attributes
        self.names = {*self._names}
        """The headers that have something to say, in lower case."""
        if aliases:
            self.names.add("baggage")
        if attributes:
            self.names.add(ATTRIBUTES_HEADER.lower())
        self._policy = policy
        self._trust = trust_inbound
        self._is_valid = is_valid
        self._max_length = max_length

    def __call__(self, headers: Mapping[str, list[str]], current: str | None = None) -> Verdict:
        """Decide for a request with *headers*, their names in lower case.

        *current* is the session that the same middleware, further out, has given the request.
        """
        if current is not None:
            return Verdict(current)
        for value, sid in self._named(headers) if self._trust else ():
            flaw = self._flaw(value, sid)
            if flaw is None:
                return Verdict(sid)
            if self._policy == "reject":
                return Verdict(mint_for_request(), flaw)
            return Verdict(mint_for_request(), replaced=flaw)
        return Verdict(mint_for_request())

    def state(
        self, headers: Mapping[str, list[str]], scope: MutableMapping[str, Any], sid: str
    ) -> SessionState:
        """Return what is known of the session *sid* of a request, and keep it in its *scope*."""
        state = scope.get(STATE_KEY)
        if not isinstance(state, SessionState) or state.sid != sid:
            carried = carried_attributes(headers, sid) if self._with_attributes else None
            scope[STATE_KEY] = state = state_for(sid, carried)
        return state

    def _named(self, headers: Mapping[str, list[str]]) -> Iterator[tuple[str, str]]:
        """Yield what the headers call the session, and the ID that this is."""
        for name in self._names:
            for value in headers.get(name, ()):
                if (sid := _session_id(name, value)) is not None:
                    yield value, sid
        if self._aliases and "baggage" in headers:
            entries = baggage.get_all(_BAGGAGE.extract(headers, Context()))
            for name in self._aliases:
                if (sid := str(entries.get(name, "")).strip()) != "":
                    yield sid, sid

    def _flaw(self, value: str, sid: str) -> str | None:
        """Say what is wrong with the header *value* that carries *sid*, without repeating it."""
        if self._policy == "accept":
            return None
        if len(sid) > self._max_length:
            return f"it is longer than {self._max_length} characters"
        if not all("!" <= character <= "~" for character in value):
            return "it holds characters that are not visible ASCII"
        if not sid.isprintable():
            return "it holds control characters"
        if self._is_valid is not None and not self._is_valid(sid):
            return "it is not valid here"
        return None


def _session_id(name: str, value: str) -> str | None:
    # Only our own header is percent-encoded; elsewhere "%" is a character like any other.
    return decode_session_header(value) if name == SESSION_HEADER.lower() else value.strip() or None

"""What a request may say about its session, and what is made of it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from tracectrl.propagation import SESSION_HEADER, decode_session_header
from tracectrl.session import mint_for_request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Policy: TypeAlias = Literal["replace", "reject", "accept"]

DEFAULT_HEADERS = (SESSION_HEADER, "X-Session-Id")
DEFAULT_MAX_LENGTH = 128

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
        headers: Sequence[str],
        policy: Policy,
        trust_inbound: bool,
        is_valid: Callable[[str], bool] | None,
        max_length: int,
    ) -> None:
        if policy not in ("replace", "reject", "accept"):
            msg = f"policy must be 'replace', 'reject' or 'accept', got {policy!r}"
            raise ValueError(msg)
        if max_length < 1:
            msg = f"max_length must be at least 1, got {max_length!r}"
            raise ValueError(msg)
        if isinstance(headers, str):
            msg = f"headers is a list of header names, not the string {headers!r}"
            raise ValueError(msg)  # noqa: TRY004 - the type is right, a string is a sequence
        self.names = [name.lower() for name in headers]
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
        if self._trust:
            for name in self.names:
                for value in headers.get(name, ()):
                    sid = _session_id(name, value)
                    if sid is None:
                        continue
                    flaw = self._flaw(value, sid)
                    if flaw is None:
                        return Verdict(sid)
                    if self._policy == "reject":
                        return Verdict(mint_for_request(), flaw)
                    return Verdict(mint_for_request(), replaced=flaw)
        return Verdict(mint_for_request())

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

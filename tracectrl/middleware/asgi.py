"""The session for ASGI applications: Starlette, FastAPI, Quart, Django, and any other."""

from __future__ import annotations

import re
import sys
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias

from opentelemetry import context as otel_context
from opentelemetry import propagate

from tracectrl.middleware.inbound import (
    DEFAULT_HEADERS,
    DEFAULT_MAX_LENGTH,
    Inbound,
    Policy,
    Verdict,
)
from tracectrl.propagation import SESSION_HEADER, encode_session_header
from tracectrl.remote import TRACE_CONTEXT, continued, normalised
from tracectrl.session import session

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping, Sequence
    from contextlib import AbstractContextManager

    from opentelemetry.propagators.textmap import TextMapPropagator

    Scope: TypeAlias = MutableMapping[str, Any]
    Message: TypeAlias = MutableMapping[str, Any]
    Receive: TypeAlias = Callable[[], Awaitable[Message]]
    Send: TypeAlias = Callable[[Message], Awaitable[None]]
    ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

SCOPE_KEY = "tracectrl.session_id"
"""Where the session ID stands in the ASGI scope."""

# Where Starlette keeps the exception handlers that are around what runs now.
_HANDLERS = "starlette.exception_handlers"

_HEADER = SESSION_HEADER.encode()
_HEADER_LOWER = _HEADER.lower()


class SessionMiddleware:
    """Runs each HTTP request and websocket in its session; a plain ASGI application.

    The session is the one in the request's headers, else a new one; the caller's trace goes on,
    unless an instrumentation further out has started a span for the request already. The answer
    carries the session in ``X-TraceCtrl-Session``, also when the application raises. The session
    lasts as long as the application does: to the last byte of a stream, through a disconnect, and
    through background tasks that belong to the response.

    Wrap it around the whole application (``app = SessionMiddleware(app)``) or add it as the
    framework does (``app.add_middleware(SessionMiddleware)``). Added to Starlette or FastAPI, it
    sits inside their own answer to unhandled exceptions: it then gives that answer itself, be it
    of the application's handler for 500, of the debug mode or the plain one.

    Args:
        app: the application.
        headers: where to look for the session, in this order.
        policy: what to do with an ID that fails the checks: ``"replace"`` it by a new one and log a
            warning, ``"reject"`` the request with status 400 (a websocket: refuse it), or
            ``"accept"`` it without checks. Any ID is safe as a file name, header and log line.
        trust_inbound: ``False`` ignores the session in the headers.
        is_valid: a check of your own, called with the ID after the others have passed.
        max_length: the longest ID, in characters.

    Raises:
        ValueError: an option is out of range.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        headers: Sequence[str] = DEFAULT_HEADERS,
        policy: Policy = "replace",
        trust_inbound: bool = True,
        is_valid: Callable[[str], bool] | None = None,
        max_length: int = DEFAULT_MAX_LENGTH,
    ) -> None:
        self.app = app
        self._inbound = Inbound(
            headers=headers,
            policy=policy,
            trust_inbound=trust_inbound,
            is_valid=is_valid,
            max_length=max_length,
        )
        # What passes all checks of an ID, and is the same on the wire.
        self._plain_id: re.Pattern[bytes] | None = None
        if trust_inbound and is_valid is None:
            self._plain_id = re.compile(rb"[!-$&-~]{1,%d}" % max_length)
        self._names: dict[bytes, bool] = {}
        self._propagator: TextMapPropagator | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application for one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        handled_outside = _HANDLERS in scope
        verdict: Verdict | None = None
        around: AbstractContextManager[str]
        plain = self._plain(scope)
        if plain is not None:
            sid = plain.decode("ascii")
            answer = _Answer(send, plain)
            around = session(sid)
        else:
            headers = normalised(scope["headers"])
            verdict = self._inbound(headers, scope.get(SCOPE_KEY))
            sid = verdict.sid
            answer = _Answer(send, encode_session_header(sid).encode("ascii"))
            around = continued(headers, sid)
        scope[SCOPE_KEY] = sid
        with around:
            if verdict is not None:
                verdict.tell()
                if verdict.refusal is not None:
                    await _refuse(scope["type"], answer, verdict.refusal)
                    return
            try:
                await self.app(scope, receive, answer.send)
            except Exception as error:
                if scope["type"] == "http" and not answer.started and not handled_outside:
                    await _answer_error(error, scope, receive, answer)
                raise

    def _plain(self, scope: Scope) -> bytes | None:
        """Return the session of a request that names one in plain sight, and continues no trace.

        That is most requests of a service's own clients; it takes a fifth of the time of looking
        at all that headers may say. ``None`` where there is more to look at.
        """
        if self._plain_id is None or SCOPE_KEY in scope or otel_context.get_current():
            return None
        names = self._names_to_look_at()
        found = None
        for name, value in scope["headers"]:
            if name in names:
                if found is not None or names[name] or not self._plain_id.fullmatch(value):
                    return None
                found = value
        return found

    def _names_to_look_at(self) -> dict[bytes, bool]:
        """Return the names of headers that count, and whether they are of something else."""
        propagator = propagate.get_global_textmap()
        if propagator is not self._propagator:
            fields = {*TRACE_CONTEXT.fields, *propagator.fields}
            self._names = {
                **dict.fromkeys((name.lower().encode() for name in fields), True),
                **dict.fromkeys((name.encode() for name in self._inbound.names), False),
            }
            self._propagator = propagator
        return self._names


class _Answer:
    """An ASGI ``send`` that puts the session into the response's headers."""

    __slots__ = ("_header", "_send", "started")

    def __init__(self, send: Send, value: bytes) -> None:
        self._send = send
        self._header = (_HEADER, value)
        self.started = False

    async def send(self, message: Message) -> None:
        if not self.started and message["type"] in ("http.response.start", "websocket.accept"):
            self.started = True
            headers = [
                pair for pair in message.get("headers", ()) if pair[0].lower() != _HEADER_LOWER
            ]
            headers.append(self._header)
            message = {**message, "headers": headers}
        await self._send(message)

    async def send_text(self, status: int, text: str) -> None:
        body = text.encode()
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(body)),
        ]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


async def _refuse(kind: str, answer: _Answer, why: str) -> None:
    if kind == "http":
        await answer.send_text(400, f"The session ID of the request is refused: {why}.\n")
    else:
        await answer.send({"type": "websocket.close", "code": 1008, "reason": "invalid session ID"})


async def _answer_error(error: Exception, scope: Scope, receive: Receive, answer: _Answer) -> None:
    """Answer with status 500, as the framework around us would, but for the session."""
    starlette = sys.modules.get("starlette.applications")  # not ours to import
    app = scope.get("app")
    if starlette is None or not isinstance(app, starlette.Starlette):
        await answer.send_text(500, "Internal Server Error")
        return

    async def failed(*_: object) -> None:
        raise error

    kinds = (HTTPStatus.INTERNAL_SERVER_ERROR, Exception)
    own = [handler for kind, handler in app.exception_handlers.items() if kind in kinds]
    outermost = sys.modules["starlette.middleware.errors"].ServerErrorMiddleware
    # It answers, and raises the error again.
    await outermost(failed, own[-1] if own else None, app.debug)(scope, receive, answer.send)

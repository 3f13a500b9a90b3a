"""The session for ASGI applications: Starlette, FastAPI, Quart, Django, and any other."""

from __future__ import annotations

import sys
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias

from opentelemetry import context as otel_context
from opentelemetry import propagate

from tracectrl.middleware.inbound import DEFAULT_HEADERS, DEFAULT_MAX_LENGTH, Inbound, Policy
from tracectrl.propagation import SESSION_HEADER, encode_session_header
from tracectrl.remote import TRACE_CONTEXT, continued, normalised
from tracectrl.session import _from_headers, _session_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping, Sequence
    from contextvars import Token

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

# ASGI wants names of headers in lower case.
_HEADER = SESSION_HEADER.lower().encode()

_NOTHING = otel_context.Context()

# What passes the checks of an ID, and is the same on the wire.
_PLAIN = bytes(code for code in range(0x21, 0x7F) if code != ord("%"))


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
        self._max_plain = max_length if trust_inbound and is_valid is None else None
        self._names: dict[bytes, bool] = {}
        self._propagator: TextMapPropagator | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application for one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        plain = self._plain(scope)
        if plain is not None:
            sid = plain.decode("ascii")
            # As continued() does, less what it does for the general case.
            token = _session_id.set(sid)
            try:
                await self._run(scope, receive, send, sid, plain)
            finally:
                _leave(token)
            return
        headers = normalised(scope["headers"])
        verdict = self._inbound(headers, scope.get(SCOPE_KEY))
        value = encode_session_header(verdict.sid).encode("ascii")
        with continued(headers, verdict.sid):
            verdict.tell()
            if verdict.refusal is None:
                await self._run(scope, receive, send, verdict.sid, value)
            else:
                await _refuse(scope["type"], send, verdict.refusal, value)

    async def _run(
        self, scope: Scope, receive: Receive, send: Send, sid: str, value: bytes
    ) -> None:
        """Run the application in the session *sid*, which is *value* in a header."""
        handled_outside = _HANDLERS in scope
        scope[SCOPE_KEY] = sid
        started = False

        def answer(message: Message) -> Awaitable[None]:
            nonlocal started
            if not started and message["type"] in ("http.response.start", "websocket.accept"):
                started = True
                message = _with_session(message, value)
            return send(message)

        try:
            await self.app(scope, receive, answer)
        except Exception as error:
            if scope["type"] == "http" and not started and not handled_outside:
                await _answer_error(error, scope, receive, answer)
            raise

    def _plain(self, scope: Scope) -> bytes | None:
        """Return the session of a request that names one in plain sight, and continues no trace.

        That takes a quarter of the time of looking at all that headers may say. ``None`` where
        there is more to look at.
        """
        if (
            self._max_plain is None
            or SCOPE_KEY in scope
            or _from_headers.get()
            or otel_context.get_current()
        ):
            return None
        names = self._names
        if propagate.get_global_textmap() is not self._propagator:
            names = self._names_to_look_at()
        found: bytes | None = None
        for name, value in scope["headers"]:
            if name in names:
                if found is not None or names[name]:
                    return None
                found = value
        if not found or len(found) > self._max_plain or found.translate(None, _PLAIN):
            return None
        return found

    def _names_to_look_at(self) -> dict[bytes, bool]:
        """Return the names of the headers that count, and which are not the session's alone."""
        propagator = propagate.get_global_textmap()
        fields = {*TRACE_CONTEXT.fields, *propagator.fields}
        self._names = {
            **dict.fromkeys((name.lower().encode() for name in fields), True),
            **dict.fromkeys((name.encode() for name in self._inbound.names), False),
        }
        self._propagator = propagator
        return self._names


def _leave(token: Token[str | None]) -> None:
    """Bring back what was current before a request in plain sight: no headers', and no span."""
    try:
        _session_id.reset(token)
    except ValueError:  # closed in another context, see tracectrl.session.restore
        return
    if _from_headers.get():
        _from_headers.set(False)
    if otel_context.get_current():
        otel_context.attach(_NOTHING)


def _with_session(message: Message, value: bytes) -> Message:
    others = [pair for pair in message.get("headers", ()) if pair[0].lower() != _HEADER]
    return {**message, "headers": [(_HEADER, value), *others]}


async def _send_text(send: Send, status: int, text: str) -> None:
    body = text.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _refuse(kind: str, send: Send, why: str, value: bytes) -> None:
    async def answer(message: Message) -> None:
        is_start = message["type"] == "http.response.start"
        await send(_with_session(message, value) if is_start else message)

    if kind == "http":
        await _send_text(answer, 400, f"The session ID of the request is refused: {why}.\n")
    else:
        await send({"type": "websocket.close", "code": 1008, "reason": "invalid session ID"})


async def _answer_error(error: Exception, scope: Scope, receive: Receive, answer: Send) -> None:
    """Answer with status 500, as the framework around us would, but for the session."""
    starlette = sys.modules.get("starlette.applications")  # not ours to import
    app = scope.get("app")
    if starlette is None or not isinstance(app, starlette.Starlette):
        await _send_text(answer, 500, "Internal Server Error")
        return

    async def failed(*_: object) -> None:
        raise error

    kinds = (HTTPStatus.INTERNAL_SERVER_ERROR, Exception)
    own = [handler for kind, handler in app.exception_handlers.items() if kind in kinds]
    outermost = sys.modules["starlette.middleware.errors"].ServerErrorMiddleware
    # It answers, and raises the error again.
    await outermost(failed, own[-1] if own else None, app.debug)(scope, receive, answer)

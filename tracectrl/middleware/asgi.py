"""The session for ASGI applications: Starlette, FastAPI, Quart, Django, and any other."""

from __future__ import annotations

import sys
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias

from tracectrl.middleware.inbound import DEFAULT_HEADERS, DEFAULT_MAX_LENGTH, Inbound, Policy
from tracectrl.propagation import SESSION_HEADER, encode_session_header
from tracectrl.remote import continued, normalised

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping, Sequence

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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application for one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        handled_outside = _HANDLERS in scope
        headers = normalised(scope["headers"])
        verdict = self._inbound(headers, scope.get(SCOPE_KEY))
        scope[SCOPE_KEY] = verdict.sid
        answer = _Answer(send, verdict.sid)
        with continued(headers, verdict.sid):
            verdict.tell()
            if verdict.refusal is not None:
                await _refuse(scope["type"], answer, verdict.refusal)
                return
            try:
                await self.app(scope, receive, answer)
            except Exception as error:
                if scope["type"] == "http" and not answer.started and not handled_outside:
                    await _answer_error(error, scope, receive, answer)
                raise


class _Answer:
    """An ASGI ``send`` that puts the session into the response's headers."""

    def __init__(self, send: Send, sid: str) -> None:
        self._send = send
        self._header = (_HEADER, encode_session_header(sid).encode("ascii"))
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.accept"):
            self.started = True
            others = [
                pair for pair in message.get("headers", ()) if pair[0].lower() != _HEADER_LOWER
            ]
            message = {**message, "headers": [*others, self._header]}
        await self._send(message)

    async def send_text(self, status: int, text: str) -> None:
        body = text.encode()
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(body)),
        ]
        await self({"type": "http.response.start", "status": status, "headers": headers})
        await self({"type": "http.response.body", "body": body})


async def _refuse(kind: str, answer: _Answer, why: str) -> None:
    if kind == "http":
        await answer.send_text(400, f"The session ID of the request is refused: {why}.\n")
    else:
        await answer({"type": "websocket.close", "code": 1008, "reason": "invalid session ID"})


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
    await outermost(failed, own[-1] if own else None, app.debug)(scope, receive, answer)

"""The answer to an exception that the application has not handled: it carries the session.

Starlette and FastAPI answer outside of all middleware that is added to them, by the application's
handler for 500, by the debug page or plainly. That answer is left to them, for the middleware in
between, and the handler, are to see what they would without us. What makes it is told, once for each
application, to do so in the session.
"""

from __future__ import annotations

import functools
import inspect
import sys
from typing import TYPE_CHECKING, Any

from tracectrl.middleware.inbound import STATE_KEY
from tracectrl.propagation import SESSION_HEADER, encode_session_header
from tracectrl.remote import continued, normalised

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, MutableMapping
    from typing import TypeAlias

    from tracectrl.attributes import SessionState

    Scope: TypeAlias = MutableMapping[str, Any]
    Message: TypeAlias = MutableMapping[str, Any]
    Receive: TypeAlias = Callable[[], Awaitable[Message]]
    Send: TypeAlias = Callable[[Message], Awaitable[None]]

SCOPE_KEY = "tracectrl.session_id"
"""Where the session ID stands in the ASGI scope."""

# ASGI wants names of headers in lower case.
HEADER = SESSION_HEADER.lower().encode()

_MAX_LAYERS = 100


def header_of(sid: str) -> tuple[bytes, bytes]:
    """Return the header of an answer in the session *sid*."""
    return HEADER, encode_session_header(sid).encode("ascii")


def with_header(message: Message, header: tuple[bytes, bytes]) -> Message:
    """Return *message*, which starts an answer, with *header* instead of others of the name."""
    headers = [header]
    for pair in message.get("headers", ()):
        if len(pair[0]) != len(HEADER) or pair[0].lower() != HEADER:
            headers.append(pair)  # noqa: PERF401 - each request pays for it
    return {**message, "headers": headers}


def is_answered_by(app: object) -> bool:
    """Tell whether *app* (Starlette's) is around us and answers exceptions; have it do so in the session.

    Args:
        app: what the scope named as the application when the request came to the middleware.
    """
    starlette = sys.modules.get("starlette.middleware.errors")  # not ours to import
    found = False
    if starlette is not None:
        for layer in _layers(getattr(app, "middleware_stack", None)):
            if isinstance(layer, starlette.ServerErrorMiddleware):
                found = True
                _tell(layer)
    return found


def _layers(layer: object) -> Iterator[object]:
    """Yield *layer*, and what is beneath it: middleware keeps that as its ``app``."""
    for _ in range(_MAX_LAYERS):
        if layer is None:
            return
        yield layer
        layer = getattr(layer, "app", None)


def _tell(layer: Any) -> None:
    if "error_response" in vars(layer):  # told already
        return
    for name in ("handler", "error_response", "debug_response"):
        fn = getattr(layer, name, None)
        if fn is not None:
            setattr(layer, name, _in_session(fn))


def _in_session(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return *fn*, which makes the response to a request and an exception, run in the session."""

    @functools.wraps(fn, updated=())
    def wrapped(request: Any, error: Exception) -> Any:
        state = request.scope.get(STATE_KEY)
        if state is None:  # raised before the request came to the middleware
            return fn(request, error)
        with continued(normalised(request.scope["headers"]), state):
            return _carrying(fn(request, error), state)

    @functools.wraps(fn, updated=())
    async def wrapped_async(request: Any, error: Exception) -> Any:
        state = request.scope.get(STATE_KEY)
        if state is None:
            return await fn(request, error)
        with continued(normalised(request.scope["headers"]), state):
            return _carrying(await fn(request, error), state)

    return wrapped_async if _is_async(fn) else wrapped


def _is_async(fn: Any) -> bool:
    """Tell whether calling *fn* makes a coroutine, as Starlette finds out."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(type(fn).__call__)


def _carrying(response: Any, state: SessionState) -> Any:
    """Return *response*, an ASGI application, with the session's header and run in the session."""
    header = header_of(state.sid)

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        def answer(message: Message) -> Awaitable[None]:
            is_start = message["type"] == "http.response.start"
            return send(with_header(message, header) if is_start else message)

        with continued(normalised(scope["headers"]), state):
            await response(scope, receive, answer)

    return respond

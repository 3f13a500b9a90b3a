"""The session for servers of MCP 1.x over HTTP.

There the tools of a stateful server run in the context of the request that began the conversation with it,
``initialize``: what they log would be that request's. Later releases of MCP, and stateless servers, need nothing.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from tracectrl.middleware.inbound import STATE_KEY
from tracectrl.remote import continued, normalised

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def install(server: Any) -> None:
    """Run what *server* does for each HTTP request in the session of that request.

    Around the application stands :class:`~tracectrl.middleware.SessionMiddleware`, which decides on it.

    Args:
        server: a ``FastMCP``, or a ``Server`` when its handlers are there.

    Raises:
        AttributeError: it is no server of MCP 1.x.
    """
    low = getattr(server, "_mcp_server", server)
    for kind, handler in [*low.request_handlers.items()]:
        low.request_handlers[kind] = _in_session(low, handler)


def _in_session(server: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
    @functools.wraps(handler)
    async def handle(message: Any) -> Any:
        scope = getattr(server.request_context.request, "scope", {})  # of HTTP alone
        state = scope.get(STATE_KEY)
        if state is None:
            return await handler(message)
        with continued(normalised(scope["headers"]), state):
            return await handler(message)

    return handle

"""The session for the server of aiohttp."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web
from aiohttp.web_log import AccessLogger

from tracectrl.middleware.inbound import Inbound
from tracectrl.propagation import SESSION_HEADER, encode_session_header
from tracectrl.remote import continued, normalised
from tracectrl.session import current_session_id, leave_finalizers_out, session

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

REQUEST_KEY = "tracectrl.session_id"
"""Where the session ID stands in the request."""


def install(app: web.Application, **options: Any) -> None:
    """Run each request to *app* in its session, with all of its middlewares; call it when these are there.

    The session is the one in the request's headers, else a new one; the answer carries it in
    ``X-TraceCtrl-Session``, also when a handler raises. It lasts until the handler returns: through
    streams and websockets. :class:`SessionAccessLogger` has the access log in it, too.

    Args:
        app: the application, before it runs.
        options: those of :class:`~tracectrl.middleware.SessionMiddleware`.

    Raises:
        TypeError: there is no such option.
        ValueError: an option is out of range.
    """
    leave_finalizers_out()
    inbound = Inbound(**options)

    @web.middleware
    async def in_session(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        place: Any = request
        headers = normalised(request.headers)
        verdict = inbound(headers, request.get(REQUEST_KEY))
        request[REQUEST_KEY] = verdict.sid
        with continued(headers, inbound.state(headers, place, verdict.sid)):
            verdict.tell()
            if verdict.refusal is not None:
                text = f"The session ID of the request is refused: {verdict.refusal}.\n"
                return web.Response(status=400, text=text)
            try:
                return await handler(request)
            finally:
                request[REQUEST_KEY] = current_session_id() or verdict.sid

    async def add_header(request: web.Request, response: web.StreamResponse) -> None:
        sid = current_session_id() or request.get(REQUEST_KEY)
        if sid is not None:
            response.headers[SESSION_HEADER] = encode_session_header(sid)

    app.middlewares.insert(0, in_session)
    app.on_response_prepare.append(add_header)


class SessionAccessLogger(AccessLogger):
    """Writes each line of the access log in the session of its request; for ``run_app(access_log_class=...)``."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Write the line of *request*."""
        sid = request.get(REQUEST_KEY)
        if sid is None:  # no request that the application got
            super().log(request, response, time)
            return
        with session(sid):
            super().log(request, response, time)

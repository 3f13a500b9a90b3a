"""One session's lines as server-sent events, for an application's own front end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from tracectrl.session import current_session_id
from tracectrl_logging.viewer import questions
from tracectrl_logging.viewer.answers import clear, params_of, refusal
from tracectrl_logging.viewer.api import cursor_of, encode_lines
from tracectrl_logging.viewer.guard import Guard
from tracectrl_logging.viewer.streams import Streams

if TYPE_CHECKING:
    import os
    from collections.abc import Collection

    from starlette.types import ASGIApp, Receive, Scope, Send

    from tracectrl_logging.viewer.guard import Auth


def session_events(
    root: str | os.PathLike[str] | None = None,
    *,
    auth: Auth | None,
    hosts: Collection[str] | None = None,
    max_streams: int = 256,
) -> ASGIApp:
    """Return an ASGI endpoint that streams one session's log lines and spans as server-sent events.

        application.mount("/events", viewer.session_events("traces", auth=may_see))
        Route("/chats/{session_id}/events", viewer.session_events("traces", auth=may_see))

    The session is the path's: its parameter ``session_id``, else what is behind the mount; else the
    one that is current (:func:`tracectrl.session.current_session_id`). An event ``lines`` has an array
    of rows as ``show --json`` prints them, and a cursor as its ``id``: a browser that comes back sends
    it as ``Last-Event-ID``, and gets each line once. ``level``, ``logger``, ``trace``, ``since``,
    ``until`` and ``where`` in the query pick lines; ``after`` is a cursor.

    Args:
        root: the store, as :func:`tracectrl_logging.reader.open_store` takes it.
        auth: called with each request; whether it may see that session. ``None`` answers everybody.
        hosts: as for :func:`app`.
        max_streams: the same.
    """
    streams = Streams(root, max_streams)

    @clear
    async def answer(request: Request) -> Any:
        sid = _session_of(request.scope)
        if sid is None:
            return refusal(404, "the address names no session, and none is current")
        params = params_of(request.scope)
        selection, after = questions.selection(params), cursor_of(request, params)
        return streams.following(sid, encode_lines, selection=selection, after=after)

    async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await (await answer(Request(scope, receive)))(scope, receive, send)

    return Guard(endpoint, auth=auth, hosts=hosts)


def _session_of(scope: Scope) -> str | None:
    named = scope.get("path_params", {}).get("session_id")
    if named:
        return str(named)
    path: str = scope["path"]
    below = path.removeprefix(scope.get("root_path", "")).strip("/")
    return below or current_session_id()

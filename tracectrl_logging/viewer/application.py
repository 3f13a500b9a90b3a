"""The page and its streams as one ASGI application: which path is answered by what, and who may ask."""

from __future__ import annotations

import contextlib
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from tracectrl_logging.viewer.answers import clear, refusal
from tracectrl_logging.viewer.api import SID, Api
from tracectrl_logging.viewer.export import bundle
from tracectrl_logging.viewer.guard import Guard
from tracectrl_logging.viewer.lists import Lists
from tracectrl_logging.viewer.page import Page
from tracectrl_logging.viewer.streams import Streams

if TYPE_CHECKING:
    import os
    from collections.abc import Collection
    from typing import Final

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from tracectrl_logging.viewer.guard import Auth

_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_SHELL: Final = "shell.html"
_SCRIPT: Final = "page.js"
"""All modules as one: a browser that asks for each has to wait for each."""
_OF_SESSION: Final = ("lines", "stream", "conversation", "export")
_STATIC: Final = re.compile(r"static/[\w-]+\.[a-z]+", re.ASCII)


def app(
    root: str | os.PathLike[str] | None = None,
    *,
    auth: Auth | None,
    hosts: Collection[str] | None = None,
    max_streams: int = 256,
) -> ASGIApp:
    """Return the page as an ASGI application, to mount under any path of yours.

        application.mount("/_tracectrl", viewer.app("traces", auth=is_operator, hosts=["example.com"]))

    It answers GET and HEAD alone, reads and never writes, and does nothing until it is asked.

    Args:
        root: the store, as :func:`tracectrl_logging.reader.open_store` takes it.
        auth: called with each request (a :class:`starlette.requests.HTTPConnection`), plain or
            async; the request is answered where it returns ``True``. ``None`` answers whoever can
            reach the server: that has to be said.
        hosts: what browsers may send as ``Host``: ``"logs.example.com"``, ``"localhost:8000"``.
            ``None`` for this machine's loopback names at the server's port.
        max_streams: how many streams may be open at once; whoever comes later is told to wait.

    Raises:
        MissingExtraError: the extra ``viewer``, or the store's client, is not installed.
        TypeError: *auth* can not be called.
        ValueError: one of *hosts* is no host, or *root* means no store.
    """
    if auth is not None and not callable(auth):
        msg = f"auth must be a function of a request, or None, got {type(auth).__name__} {auth!r}"
        raise TypeError(msg)
    streams = Streams(root, max_streams)
    lists = Lists(streams)
    api, page = Api(streams, lists), Page(streams, lists)
    routes = [
        Route("/", _shell),
        Route("/static/{name}", _static),
        *(Route(f"/api/{path}", clear(function)) for path, function in api.routes()),
        *(Route(f"/page/{path}", clear(function)) for path, function in page.routes()),
    ]
    handlers: dict[Any, Any] = {404: _not_found}
    inner = Starlette(routes=routes, exception_handlers=handlers)
    inner.router.redirect_slashes = False
    return Guard(_by_id(inner), auth=auth, hosts=hosts, open_paths=_is_open)


def _by_id(inner: ASGIApp) -> ASGIApp:
    """Return *inner* with the ID in a path as it was sent: routes know none with a newline, or that is no UTF-8."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        mount = scope.get("root_path", "")
        raw = (scope.get("raw_path") or b"").partition(b"?")[0].decode("latin-1")
        parts = raw.split("/")[mount.count("/") + 1 :]
        if parts[:2] == ["api", "sessions"] and len(parts) > 3 and parts[-1] in _OF_SESSION:  # noqa: PLR2004
            try:
                sid = unquote("/".join(parts[2:-1]), errors="surrogatepass")
            except UnicodeDecodeError:
                await refusal(400, "the ID in the path must be UTF-8")(scope, receive, send)
                return
            scope = {**scope, "path": f"{mount}/api/sessions/-/{parts[-1]}", SID: sid}
        await inner(scope, receive, send)

    return application


def _is_open(path: str) -> bool:
    return not path or _STATIC.fullmatch(path) is not None


async def _shell(request: Request) -> Response:
    del request
    return Response(_file(_SHELL), media_type="text/html")


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    ending = name.rpartition(".")[2]
    if ending in _TYPES and _is_open(f"static/{name}"):
        with contextlib.suppress(OSError):
            return Response(_file(name), headers={"Content-Type": _TYPES[ending]})
    return _not_found(request)


def _file(name: str) -> bytes:
    if name == _SCRIPT:
        return bundle().encode()
    return (files("tracectrl_logging.viewer") / "static" / name).read_bytes()


def _not_found(request: Request, _: object = None) -> Response:
    return refusal(404, f"there is nothing at {request.url.path!r}")

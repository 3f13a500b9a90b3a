"""Who may ask: the host that a browser believes it talks to, the page that asks, and the token.

A page of somebody else that a browser shows cannot read what a server on this machine answers, unless it
makes the browser believe that both are one host (DNS rebinding). So the header ``Host`` must be one of
an exact list, on every route. https://fetch.spec.whatwg.org/#origin-header and
https://www.w3.org/TR/fetch-metadata/ say what browsers send besides.
"""

from __future__ import annotations

import hmac
import inspect
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

from tracectrl_logging.viewer.answers import refusal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping
    from typing import Final, TypeAlias

    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    Auth: TypeAlias = Callable[[HTTPConnection], bool | Awaitable[bool]]

HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types tracectrl",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""What every answer has: nothing is loaded from elsewhere, framed, guessed, kept or told."""

_RAW_HEADERS: Final = [(key.lower().encode(), it.encode()) for key, it in HEADERS.items()]
_OWN_SITE: Final = ("same-origin", "none")
_UP: Final = ("..", "%2e%2e", "%2E%2E")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Token:
    """Lets in whoever sends this token as ``Authorization: Bearer``; the page itself holds no data."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    def __call__(self, connection: HTTPConnection) -> bool:
        """Return whether *connection* has the token; both are compared in constant time."""
        scheme, _, given = connection.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(given.encode(), self._token)


class Guard:
    """An ASGI application in front of *app*, which sees only requests that may be answered.

    Args:
        app: the application.
        auth: called with each request; tells whether it is answered. ``None`` answers everybody.
        hosts: what the header ``Host`` may be, exactly: ``logs.example.com``, ``localhost:8000``;
            ``None`` for the names of this machine's loopback at the port of the server.
        open_paths: paths that need no *auth* where that is a :class:`Token`, for they hold no data.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        auth: Auth | None,
        hosts: Collection[str] | None = None,
        open_paths: Callable[[str], bool] = lambda _path: False,
    ) -> None:
        self._app = app
        self._auth = auth
        self._hosts = None if hosts is None else frozenset(map(host_of, hosts))
        self._open_paths = open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or refuse it and say why."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            else:
                await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {key for key, _ in message.get("headers", [])}
                missing = [it for it in _RAW_HEADERS if it[0] not in own]
                message = {**message, "headers": [*message.get("headers", []), *missing]}
            await send(message)

        refused = await self._refusal(scope)
        await (refused or self._app)(scope, receive, send_with_headers)

    async def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        hosts = self._hosts if self._hosts is not None else _loopback(scope)
        is_open = self._open_paths(_below(scope))
        return (
            _of_another_host(headers, hosts)
            or _not_for_reading(scope)
            or _from_elsewhere(headers, hosts, is_open=is_open)
            or await self._unauthorized(scope, is_open=is_open)
        )

    async def _unauthorized(self, scope: Scope, *, is_open: bool) -> Response | None:
        auth = self._auth
        if auth is None or (is_open and isinstance(auth, Token)):
            return None
        allowed = auth(HTTPConnection(scope))
        if inspect.isawaitable(allowed):
            allowed = await allowed
        if allowed is True:
            return None
        if isinstance(auth, Token):
            text = "the header Authorization must be 'Bearer TOKEN', with the token of the address that was printed"
            return refusal(401, text, {"WWW-Authenticate": "Bearer"})
        return refusal(403, "the application does not let this request in")


def host_of(address: str) -> str:
    """Return what a browser sends as ``Host`` for *address*: a URL, or host and port.

    Raises:
        ValueError: *address* names no host.
    """
    url = urlsplit(address if "//" in address else f"//{address}")
    if not url.hostname or url.path.strip("/") or url.query or url.username is not None:
        msg = f"a host must be HOST, HOST:PORT or an http(s) URL of these, got {address!r}"
        raise ValueError(msg)
    name = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    if url.port is None or url.port == _DEFAULT_PORTS.get(url.scheme):
        return name
    return f"{name}:{url.port}"


def _loopback(scope: Scope) -> frozenset[str]:
    port = (scope.get("server") or ("", None))[1]
    end = "" if port in (None, 80) else f":{port}"
    return frozenset(f"{name}{end}" for name in ("127.0.0.1", "localhost", "[::1]"))


def _of_another_host(headers: Headers, hosts: Collection[str]) -> Response | None:
    host = headers.getlist("host")
    if len(host) == 1 and host[0].lower() in hosts:
        return None
    text = (
        f"the header Host must be one of {', '.join(sorted(hosts))}, got {', '.join(host)!r}."
        " For another address: tracectrl-logs view --public-url URL, or viewer.app(hosts=...)"
    )
    return refusal(403, text)


def _not_for_reading(scope: Scope) -> Response | None:
    if scope["method"] not in ("GET", "HEAD"):
        text = f"the method must be GET or HEAD, got {scope['method']!r}"
        return refusal(405, text, {"Allow": "GET, HEAD"})
    # As it came: an ID may hold "/../", and then stands in one part of the path.
    raw = (scope.get("raw_path") or scope["path"].encode()).partition(b"?")[0].decode("latin-1")
    if any(unquote(part) in _UP for part in raw.replace("\\", "/").split("/")):
        return refusal(400, "the path must not hold '..'")
    return None


def _below(scope: Scope) -> str:
    """Return the path below the mount, without its first slash."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")).lstrip("/")


def _from_elsewhere(headers: Headers, hosts: Collection[str], *, is_open: bool) -> Response | None:
    """Return a refusal where this is no request of the page's own, nor a person's."""
    for origin in headers.getlist("origin"):
        scheme, _, host = origin.partition("://")
        if scheme not in _DEFAULT_PORTS or host.lower() not in hosts:
            return refusal(403, f"the header Origin must be the page's own, got {origin!r}")
    site = headers.get("sec-fetch-site", "none")
    if site in _OWN_SITE:
        return None
    # A link on a page elsewhere that a person follows: what it opens holds no data.
    is_link = (
        headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    )
    if is_open and is_link:
        return None
    return refusal(403, f"the header Sec-Fetch-Site must be same-origin or none, got {site!r}")

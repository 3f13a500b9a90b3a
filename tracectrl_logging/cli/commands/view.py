"""``tracectrl-logs view``: the page on which sessions are watched."""

from __future__ import annotations

import contextlib
import html
import logging
import os
import secrets
import socket
import sys
import threading
from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from tracectrl.errors import MissingExtraError, require
from tracectrl_logging.cli.errors import UnusableError
from tracectrl_logging.cli.exit_status import exit_on_sigterm
from tracectrl_logging.cli.lookup import made, opened, session_meant
from tracectrl_logging.cli.options import root_option, sessions_like
from tracectrl_logging.cli.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

TOKEN_ENV: Final = "TRACECTRL_VIEWER_TOKEN"  # noqa: S105 - its name
"""The token, where the page is to be the same after a restart; else each start has one of its own."""

_TOKEN_BYTES: Final = 32
_LEAST_TOKEN: Final = 32
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_LEAVE_S: Final = 2  # for clients to take what they were sent, when the server is told to stop


@click.command(short_help="Watch sessions in a browser.")
@click.argument("session", metavar="[SESSION]", required=False, shell_complete=sessions_like)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    metavar="N",
    help="The port.  [default: a free one]",
)
@click.option(
    "--host",
    default="127.0.0.1",
    metavar="ADDRESS",
    help="The address to listen on. Whoever reaches another than this machine's loopback, and has the"
    " token, reads all sessions.  [default: 127.0.0.1]",
)
@click.option(
    "--public-url",
    "public_urls",
    multiple=True,
    metavar="URL",
    help="Where browsers find the page besides, as behind a tunnel; may be given again.",
)
@click.option("--no-browser", is_flag=True, help="Print the address, and open no browser.")
@root_option
def view(
    root: str | None,
    session: str | None,
    *,
    port: int,
    host: str,
    public_urls: tuple[str, ...],
    no_browser: bool,
) -> None:
    r"""Serve a page on which sessions are watched live, and open it.

    SESSION is an ID, or the beginning of one if no other session begins so; without it, the page
    begins with the list. The page is for whoever has the address that is printed: a token is in it, new
    with each start unless TRACECTRL_VIEWER_TOKEN holds one. Needs the extra "viewer".

    \b
    Examples:
      tracectrl-logs view
      tracectrl-logs view 6f1c --no-browser --port 8700

    Exit status: 1 there is no such session, 2 wrong use, or the address cannot be listened on; 130
    where the page was served until it was interrupted.
    """
    try:
        require("tracectrl-logs view", "viewer", "uvicorn", "starlette", "jinja2")
    except MissingExtraError as error:
        raise UnusableError(str(error)) from error
    from tracectrl_logging.viewer.guard import host_of  # noqa: PLC0415 - needs the extra

    path = ""
    if session is not None:
        store = opened(root)
        path = f"/session/{_quoted(session_meant(session, store))}"
    try:
        public = [host_of(url) for url in public_urls]
        listener = _listener(host, port)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--public-url'") from error
    except OSError as error:
        text = f"cannot listen on {shown(host)} port {port}: {error.strerror or error}"
        raise UnusableError(text) from error
    serve(root, listener, host=host, public=public, path=path, opens=not no_browser)


def serve(
    root: str | None,
    listener: socket.socket,
    *,
    host: str,
    public: list[str],
    path: str,
    opens: bool,
) -> None:
    """Serve the page of *root* on *listener* until it is interrupted.

    Args:
        root: what was given for ``--root``.
        listener: a socket that is bound.
        host: the address that it is bound to.
        public: what browsers may send as ``Host`` besides.
        path: the place on the page to begin with.
        opens: open a browser.
    """
    import uvicorn  # noqa: PLC0415 - needs the extra

    from tracectrl_logging.viewer import app  # noqa: PLC0415 - as above
    from tracectrl_logging.viewer.guard import Token  # noqa: PLC0415 - as above

    token = _token()
    port = listener.getsockname()[1]
    names = [*_LOOPBACK, *([] if host in _LOOPBACK else [host, socket.gethostname()])]
    hosts = [
        f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}" for name in names
    ]
    store = made(root)
    application = app(root, auth=Token(token), hosts=[*hosts, *public])
    shown_host = host if host not in ("0.0.0.0", "::") else "127.0.0.1"  # noqa: S104 - it was asked for
    shown_host = f"[{shown_host}]" if ":" in shown_host else shown_host
    address = f"http://{shown_host}:{port}/#token={token}{f'&{path}' if path else ''}"
    click.echo(f"Sessions in {shown(store.name)}: {address}", err=True)
    if host not in _LOOPBACK:
        click.echo(
            f"Warning: {shown(host)} is not this machine's loopback: whoever reaches it and has the token"
            " reads all sessions, and so does who listens on the way, for it is plain HTTP",
            err=True,
        )
    config = uvicorn.Config(
        application,
        log_config=None,
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        limit_concurrency=_most_connections(),
        timeout_graceful_shutdown=_LEAVE_S,
    )
    briefly = _Briefly()
    for name in ("asyncio", "uvicorn.error"):
        logging.getLogger(name).addFilter(briefly)
    with _browser_at(address) if opens and _has_screen() else contextlib.nullcontext():
        uvicorn.Server(config).run(sockets=[listener])


@contextlib.contextmanager
def _browser_at(address: str) -> Iterator[None]:
    """Open a browser at *address*, by a file of the user's own: other users see what a program is called with."""
    import tempfile  # noqa: PLC0415 - where a browser is opened
    from pathlib import Path  # noqa: PLC0415 - as above

    with tempfile.TemporaryDirectory(
        prefix="tracectrl-", dir=os.environ.get("XDG_RUNTIME_DIR")
    ) as home:
        file = Path(home, "open.html")
        file.touch(mode=0o600)
        file.write_text(
            f'<!doctype html><meta http-equiv="refresh" content="0;url={html.escape(address)}">',
            "utf-8",
        )
        exit_on_sigterm()  # the file goes, too
        opening = threading.Thread(target=_open, args=(file.as_uri(),), daemon=True)
        opening.start()  # a browser may go on in the terminal until it is left
        yield


def _open(address: str) -> None:
    import webbrowser  # noqa: PLC0415 - where a browser is opened

    with contextlib.suppress(webbrowser.Error, OSError):
        webbrowser.open(address)


def _most_connections() -> int | None:
    """Return how many connections are answered: half of the files that may be open, for each may read some."""
    import resource  # noqa: PLC0415 - not on Windows

    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if most == resource.RLIM_INFINITY else max(8, most // 2)


class _Briefly(logging.Filter):
    """Says in one line, once, that there are too many connections; asyncio and uvicorn do so at each.

    And nothing of clients that did not take what they were sent before the server ended.
    """

    signs = "socket.accept() out of system resource", "Exceeded concurrency limit"
    is_said = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether *record* is of anything else."""
        import asyncio  # noqa: PLC0415 - uvicorn's, by now

        error = record.exc_info[1] if record.exc_info else None
        is_end = str(record.msg).startswith("Cancel %s running task(s)")
        if is_end or isinstance(error, asyncio.CancelledError):
            return False
        if not str(record.msg).startswith(self.signs):
            return True
        if not self.is_said:
            self.is_said = True
            click.echo(
                "Warning: there are more connections than half of the files that this process may open"
                " (ulimit -n); the others are refused",
                err=True,
            )
        return False


def _has_screen() -> bool:
    """Return whether a browser has a place to show itself but this terminal, or was named by the user."""
    names = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    return not sys.platform.startswith("linux") or any(os.environ.get(name) for name in names)


def _listener(host: str, port: int) -> socket.socket:
    family, kind, proto, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, proto)
    try:
        if sys.platform != "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError:
        listener.close()
        raise
    listener.set_inheritable(False)
    return listener


def _token() -> str:
    given = os.environ.get(TOKEN_ENV)
    if not given:
        return secrets.token_urlsafe(_TOKEN_BYTES)
    if (
        len(given) < _LEAST_TOKEN
        or not given.replace("-", "").replace("_", "").isalnum()
        or not given.isascii()
    ):
        others = "" if len(given) < _LEAST_TOKEN else ", others among them"
        text = (
            f"${TOKEN_ENV} must be at least {_LEAST_TOKEN} letters, digits, '-' and '_',"
            f" got {len(given)} characters{others}"
        )
        raise UnusableError(text)
    return given


def _quoted(sid: str) -> str:
    return quote(sid, safe="", errors="surrogatepass")

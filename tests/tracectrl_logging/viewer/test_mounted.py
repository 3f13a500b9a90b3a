"""The page and its streams inside an application, beside its own routes, under real servers."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tracectrl.files import log_path
from tracectrl_logging import viewer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.one_python

APPLICATION = """
import os
from fastapi import FastAPI, Request
from starlette.routing import Route
from tracectrl.middleware import SessionMiddleware
from tracectrl_logging import viewer

ROOT = os.environ["ROOT"]
app = FastAPI()

@app.get("/hello")
def hello():
    return {"hello": "world"}

async def is_operator(connection):
    return connection.headers.get("x-user") == "operator"

app.mount("/_tracectrl", viewer.app(ROOT, auth=is_operator))
app.mount("/events", SessionMiddleware(viewer.session_events(ROOT, auth=None)))
events = viewer.session_events(ROOT, auth=lambda connection: connection.path_params["session_id"] != "secret")
guarded = viewer.session_events(ROOT, auth=lambda connection: not connection.url.path.endswith("/secret"))
app.mount("/guarded", guarded)
app.router.routes.append(Route("/chats/{session_id}/events", events))
"""

SERVERS = {
    "uvicorn": ["uvicorn", "application:app", "--port", "{port}"],
    # uvicorn waits without end for what is open.
    "hypercorn": [
        *("hypercorn", "application:app", "-b", "127.0.0.1:{port}"),
        *("--graceful-timeout", "60"),
    ],
}


class Mounted:
    """An application that runs under a server."""

    def __init__(self, server: str, root: Path) -> None:
        pytest.importorskip(server)
        pytest.importorskip("fastapi")
        self.root = root
        self._open: list[http.client.HTTPConnection | http.client.HTTPResponse] = []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        (root.parent / "application.py").write_text(APPLICATION)
        command = [part.format(port=self.port) for part in SERVERS[server]]
        env = {**os.environ, "ROOT": str(root), "PYTHONPATH": str(root.parent)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", *command], env=env, cwd=root.parent, stderr=subprocess.DEVNULL
        )
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=30).close()
            except ConnectionRefusedError:
                assert self.process.poll() is None
                time.sleep(0.05)
            else:
                break

    def get(self, path: str, **headers: str) -> http.client.HTTPResponse:
        """Return what it answers to one request; its connection stays open."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        self._open.append(connection)
        sent = {key.replace("_", "-"): value for key, value in headers.items()}
        connection.request("GET", path, headers=sent)
        answer = connection.getresponse()
        self._open.append(answer)
        return answer

    def close(self) -> None:
        """Close the connections, and stop the server if it runs."""
        for it in self._open:
            it.close()
        if self.process.poll() is None:
            self.stop()

    def stop(self) -> float:
        """Tell the server to stop and return how many seconds that takes."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)
        return time.monotonic() - started


@pytest.fixture(params=SERVERS)
def mounted(request: pytest.FixtureRequest, root: Path) -> Iterator[Mounted]:
    """Run the application."""
    running = Mounted(request.param, root)
    yield running
    running.close()


def until_caught_up(answer: http.client.HTTPResponse) -> list[str]:
    """Return the messages of the stream up to its event ``caught-up``."""
    found: list[str] = []
    while (line := answer.readline().decode()) != "event: caught-up\n":
        assert line, "the stream has ended"
        if line.startswith("data: ["):
            found += [row["message"] for row in json.loads(line[6:]) if row["type"] == "log"]
    return found


def test_beside_own_routes(mounted: Mounted) -> None:
    """The application's routes answer as before; the page lets in whom the application lets in."""
    assert {"hello": "world"} == json.loads(mounted.get("/hello").read())
    assert 403 == mounted.get("/_tracectrl/").status
    assert 403 == mounted.get("/_tracectrl/api/sessions").status
    rows = json.loads(mounted.get("/_tracectrl/api/sessions", x_user="operator").read())["sessions"]
    assert ["b/../c", "a"] == [row["session_id"] for row in rows]
    page = mounted.get("/_tracectrl/", x_user="operator")
    assert (200, "nosniff") == (page.status, page.headers["x-content-type-options"])
    assert mounted.get("/hello").headers["content-security-policy"] is None


def test_events_of_a_session(mounted: Mounted) -> None:
    """The session is the path's, or else the current one; the application says who may see it."""
    assert ["m1", "m2"] == until_caught_up(mounted.get("/events/a"))
    assert ["m1", "m2"] == until_caught_up(mounted.get("/events/", X_TraceCtrl_Session="a"))
    assert ["m2"] == until_caught_up(mounted.get("/chats/a/events?level=ERROR"))
    assert 403 == mounted.get("/chats/secret/events").status
    assert 400 == mounted.get("/chats/a/events?level=LOUD").status
    log_path("secret", mounted.root).write_text('{"message":"m"}\n')
    assert 403 == mounted.get("/guarded/secret").status
    for twice in ("/guarded/%2573ecret", "/guarded/s%2565cret"):
        assert [] == until_caught_up(mounted.get(twice))


def test_streams_do_not_hold_the_server_up(mounted: Mounted) -> None:
    """A server with open streams stops as quickly as one without."""
    streams = [mounted.get("/events/a"), mounted.get("/_tracectrl/api/stream", x_user="operator")]
    until_caught_up(streams[0])
    assert streams[1].readline()
    assert mounted.stop() < 10
    for stream in streams:
        while stream.readline():
            pass


def test_decision_about_who_may_read_has_to_be_made() -> None:
    """Without ``auth`` there is no application, and what is no function is none."""
    with pytest.raises(TypeError, match="auth"):
        viewer.app()  # type: ignore[call-arg]
    with pytest.raises(
        TypeError, match=r"auth must be a function of a request, or None, got str 'x'"
    ):
        viewer.app(auth="x")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a host must be HOST"):
        viewer.app(auth=None, hosts=["https://a/b"])

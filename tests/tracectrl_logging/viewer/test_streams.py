"""What is read for somebody ends when nobody waits for it; streams have a bound."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from tests.tracectrl_logging.viewer.conftest import TOKEN, served
from tracectrl_logging.viewer import app
from tracectrl_logging.viewer.streams import Streams

if TYPE_CHECKING:
    from starlette.types import Message

pytestmark = pytest.mark.one_python


def test_reading_ends_when_nobody_waits() -> None:
    """What is read in a thread is ended when the one who asked has gone."""
    has_begun, is_ended = threading.Event(), threading.Event()

    def read() -> None:
        has_begun.set()
        is_ended.wait()

    async def ask() -> None:
        streams = Streams(".")
        async with anyio.create_task_group() as group:
            group.start_soon(streams.run_while_wanted, read, is_ended.set)
            await anyio.to_thread.run_sync(has_begun.wait)
            group.cancel_scope.cancel()

    anyio.run(ask)
    assert is_ended.wait(30)


@pytest.mark.parametrize(
    "address",
    [
        "/page/search?q=(a%2B)%2B%24",
        "/api/search?q=(a%2B)%2B%24",
        "/page/query?sql=SELECT+sum(a.range*b.range)+FROM+range(9000000)a,range(9000000)b",
    ],
)
def test_question_that_takes_for_ever_holds_up_nobody(root: Path, address: str) -> None:
    """While a search backtracks, or a query counts, others are answered, and it ends with its client."""
    (root / "x.logs.jsonl").write_text('{"message":"%s!"}\n' % ("a" * 40))
    with served(root) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request("GET", address, headers={"Authorization": f"Bearer {TOKEN}"})
        while not (children := children_of(server.process.pid)):
            pass
        assert 200 == server.get("/api/sessions").status
        connection.close()
        while any(Path(f"/proc/{child}").exists() for child in children):
            assert 200 == server.get("/api/sessions").status


def test_client_that_does_not_read_holds_up_nobody(root: Path) -> None:
    """The server ends when it is told to, without a word, also where a client never takes what it is sent."""
    line = '{"timestamp":"2026-11-30T10:00:01.000000Z","message":"%s"}\n' % ("m" * 1000)
    (root / "x.logs.jsonl").write_text(line * 20_000)
    with served(root) as server, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", server.port))
        head = f"Host: 127.0.0.1:{server.port}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        client.sendall(f"GET /api/sessions/x/stream HTTP/1.1\r\n{head}".encode())
        assert client.recv(8)
        while (sent := unread_bytes(server.port)) != unread_bytes(server.port) or not sent:
            pass
        server.process.terminate()
        assert "" == server.process.communicate(timeout=10)[1]


def unread_bytes(port: int) -> int:
    """Return how much the kernel holds of what the server at *port* has sent, after a moment."""
    time.sleep(0.1)
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(row[4].partition(":")[0], 16) for row in rows if row[1].endswith(f":{port:04X}"))


def children_of(pid: int) -> list[int]:
    """Return the children of a process."""
    found = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(child) for text in found for child in text.split()]


HANGS = """
import sys
from opentelemetry import trace
from tracectrl.session import session
from tracectrl_logging import configure

configuration = configure(sys.argv[1], console=None, open_spans_after_s=0)
with session("h"):
    span = trace.get_tracer("t").start_span("hangs")
    for handler in configuration.handlers:
        handler.close()
    trace.get_tracer_provider().shutdown()
    print("ready", flush=True)
    sys.stdin.readline()
"""


def test_a_stream_of_the_page_says_the_state(root: Path) -> None:
    """It is told behind what was there, and when the process is gone; a client that comes back hears it, too."""
    command = [sys.executable, "-c", HANGS, str(root)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process, served(root) as server:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        states, last = [], ""
        with server.events("/page/session", id="h") as events:
            for event in events:
                last = event.id or last
                if event.name == "state":
                    states.append(event.data["state"])
                    if states[-1] != "running":
                        break
                    process.kill()
        assert ["running", "crashed"] == states
        for after in (last, ""):
            with server.events("/page/session", id="h", follow="0", after=after) as events:
                assert [{"state": "crashed"}] == [it.data for it in events if it.name == "state"]
        with server.events("/page/session", id="a", follow="0") as events:
            assert [{"state": "ended"}] == [it.data for it in events if it.name == "state"]


def test_too_many_streams_are_told_to_wait(root: Path) -> None:
    """One stream more than there may be is answered with 200 and ``busy``, and ends; then there is room again."""
    application = app(root, auth=None, hosts=["x"], max_streams=1)

    async def ask() -> list[bytes]:
        sent: list[bytes] = []
        is_open = anyio.Event()

        async def open_one() -> None:
            async def send(message: Message) -> None:
                if b"caught-up" in message.get("body", b""):
                    is_open.set()

            await application(scope, never, send)

        async def never() -> Message:
            await anyio.sleep_forever()
            raise AssertionError

        async def note(message: Message) -> None:
            sent.append(message.get("body", b"") or str(message["status"]).encode())

        scope = {
            "type": "http",
            "method": "GET",
            "path": "/api/sessions/a/stream",
            "query_string": b"",
            "headers": [(b"host", b"x")],
        }
        async with anyio.create_task_group() as group:
            group.start_soon(open_one)
            await is_open.wait()
            await application(scope, never, note)
            group.cancel_scope.cancel()
        return sent

    status, body = anyio.run(ask)
    assert (b"200", True) == (status, body.startswith(b"event: busy\n"))


def test_one_reading_serves_all_who_ask_for_the_same(root: Path) -> None:
    """Ten clients that watch the list see the same change."""
    with served(root) as server:
        streams = [server.events("/api/stream") for _ in range(10)]
        opened = [stream.__enter__() for stream in streams]
        assert 10 == sum(next(events).name == "list" for events in opened)
        (root / "z.logs.jsonl").write_text('{"message":"m","timestamp":"2026-11-30T12:00:00Z"}\n')
        assert ["z"] * 10 == [next(events).data["session_id"] for events in opened]
        for stream in streams:
            stream.__exit__(None, None, None)

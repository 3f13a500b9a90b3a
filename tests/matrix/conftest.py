"""Fixtures for the matrix: real servers, brokers and processes, on 127.0.0.1 alone.

What a test may use:

- ``start``: start a program in the environment of the test; it is ended, by its ID, after the
  last test, and its stderr must not tell of a context that was left in another one.
- ``serve``: the same for a server; answers when the server accepts connections.
- ``broker``: the URL of a Redis server.
- ``uvicorn``, ``hypercorn``, ``gunicorn``: such servers, with the applications of this directory.
- ``fetch`` and ``fetch_all``: an HTTP client that costs little and hides nothing.
- ``traces``: read a trace directory, and compare the session of each line with the one that the
  work it stems from was asked for in.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.files import log_path, span_path

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping

APPS = Path(__file__).parent / "apps"
SESSIONS = 200
BOUND_S = 120
"""How long anything may take, for a machine that has more to do than this."""

FORBIDDEN = ("different Context", "cannot enter context")


@dataclass
class Program:
    """A process that a test started, and where it writes."""

    process: subprocess.Popen[bytes]
    root: Path
    output: Path
    port: int = 0

    def wait(self) -> str:
        """Wait until the process ends by itself; return what it wrote to stdout and stderr."""
        try:
            self.process.wait(3 * BOUND_S)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{self.process.args!r} has not ended:\n{self.text()}")
        return self.text()

    def stop(self) -> str:
        """End the process, wait for it and return what it wrote to stdout and stderr."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(BOUND_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            pytest.fail(f"{self.process.args!r} did not end in time:\n{self.text()}")
        return self.text()

    def text(self) -> str:
        """Return what the process has written to stdout and stderr so far."""
        return self.output.read_text(errors="replace")


def _clean_environment(**more: str) -> dict[str, str]:
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TRACECTRL_", "OTEL_"))
    }
    return {**env, "PYTHONUNBUFFERED": "1", **more}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _wait_for(condition: Callable[[], bool], what: Callable[[], str], bound_s: float) -> None:
    end = time.monotonic() + bound_s
    while not condition():
        if time.monotonic() > end:
            pytest.fail(what())
        time.sleep(0.02)


@pytest.fixture(scope="session")
def wait_for() -> Callable[..., None]:
    """Return the function that polls a condition, and fails after *bound_s* seconds."""

    def wait(condition: Callable[[], bool], what: str, bound_s: float = BOUND_S) -> None:
        _wait_for(condition, lambda: what, bound_s)

    return wait


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Return the function that finds a port nobody listens on."""
    return _free_port


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Program]]:
    """Return the function that starts a program.

    ``start("-m", "uvicorn", ..., root=..., OTEL_...="...")``: the arguments are the interpreter's,
    unless ``program=`` names another; ``root=`` is its trace directory, a new one if not given;
    ``cwd=`` is the directory that it runs in, that of the applications if not given.
    """
    programs: list[Program] = []

    def run(
        *args: str,
        program: str = sys.executable,
        root: Path | None = None,
        cwd: Path = APPS,
        **environment: str,
    ) -> Program:
        home = tmp_path_factory.mktemp("program")
        traces = home / "traces" if root is None else root
        output = home / "output"
        env = _clean_environment(TRACECTRL_TRACE_DIR=str(traces), **environment)
        with output.open("wb") as file:
            process = subprocess.Popen(
                [program, *args],
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        programs.append(Program(process, traces, output))
        return programs[-1]

    yield run
    for program in programs:
        text = program.stop()
        assert [] == [phrase for phrase in FORBIDDEN if phrase in text], text


@pytest.fixture(scope="session")
def serve(start: Callable[..., Program]) -> Callable[..., Program]:
    """Return the function that starts a server and waits until it accepts connections.

    As ``start``; ``{port}`` in an argument is the server's port.
    """

    def run(*args: str, **more: Any) -> Program:
        port = _free_port()
        server = start(*(arg.replace("{port}", str(port)) for arg in args), **more)
        server.port = port
        _wait_for(
            lambda: server.process.poll() is not None or _accepts(port),
            lambda: f"{args} does not listen:\n{server.text()}",
            BOUND_S,
        )
        assert server.process.poll() is None, server.text()
        return server

    return run


@pytest.fixture(scope="session")
def uvicorn(serve: Callable[..., Program]) -> Program:
    """Return a uvicorn with the applications of ``apps/asgi.py``."""
    pytest.importorskip("fastapi", reason="the application needs it")
    pytest.importorskip("uvicorn", reason="it is the server")
    return serve(
        *("-m", "uvicorn", "asgi:app", "--port", "{port}", "--lifespan", "off"),
        *("--log-config", "uvicorn_logging.json"),
        MATRIX_SESSIONS=str(SESSIONS),
    )


@pytest.fixture(scope="session")
def hypercorn(serve: Callable[..., Program]) -> Program:
    """Return a hypercorn with the applications of ``apps/asgi.py``."""
    pytest.importorskip("fastapi", reason="the application needs it")
    pytest.importorskip("hypercorn", reason="it is the server")
    settings = str(APPS / "hypercorn_settings.toml")
    return serve(
        *("-m", "hypercorn", "asgi:app", "--bind", "127.0.0.1:{port}", "-c", settings),
        MATRIX_SESSIONS=str(SESSIONS),
    )


@pytest.fixture(scope="session")
def gunicorn(serve: Callable[..., Program], tmp_path_factory: pytest.TempPathFactory) -> Program:
    """Return a gunicorn with the applications of ``apps/wsgi.py`` on eight threads."""
    pytest.importorskip("flask", reason="the application needs it")
    pytest.importorskip("django", reason="the application needs it")
    pytest.importorskip("gunicorn", reason="it is the server")
    return serve(
        *("-m", "gunicorn", "wsgi:app", "--bind", "127.0.0.1:{port}", "--access-logfile", "-"),
        *("--worker-class", "gthread", "--workers", "1", "--threads", "8", "--no-control-socket"),
        *("--worker-tmp-dir", str(tmp_path_factory.mktemp("gunicorn"))),
    )


@pytest.fixture(scope="session")
def broker(serve: Callable[..., Any]) -> str:
    """Return the URL of a Redis server."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    server = serve(
        *("--port", "{port}", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"),
        *("--databases", "200"),
        program=program,
    )
    return f"redis://127.0.0.1:{server.port}"


@pytest.fixture(scope="session")
def new_ids() -> Callable[..., list[str]]:
    """Return the function that makes session IDs which no other test has."""

    def make(number: int = SESSIONS) -> list[str]:
        return [str(uuid.uuid4()) for _ in range(number)]

    return make


@dataclass
class Traces:
    """What the files of a trace directory hold."""

    logs: list[dict[str, Any]]
    spans: list[dict[str, Any]]

    def of(self, cell: str) -> dict[str, Counter[str]]:
        """Return, for the lines and the spans of *cell*, how many each session has."""
        return {
            "log": Counter(row["session_id"] for row in self.logs if row.get("cell") == cell),
            "span": Counter(
                row["session_id"] for row in self.spans if row["attributes"].get("cell") == cell
            ),
        }


def _read(path: Path) -> list[dict[str, Any]]:
    for _ in range(100):
        text = path.read_bytes()
        if text.endswith(b"\n"):
            break
        time.sleep(0.01)  # who reads may come in the middle of a write
    assert text.endswith(b"\n"), path
    return [json.loads(line) for line in text.splitlines()]


def _traces(root: Path, ids: Iterable[str] | None = None) -> Traces:
    found = Traces([], [])
    if ids is None:
        paths = sorted(root.glob("*.jsonl"))  # beside the directory of those that run
    else:
        paths = [
            path
            for sid in ids
            for path in (log_path(sid, root), span_path(sid, root))
            if path.exists()
        ]
    for path in paths:
        rows = _read(path)
        stem = path.name.partition(".")[0]
        assert {stem} == {row["session_id"] for row in rows}, path
        ended = [row for row in rows if row.get("state") is None]  # each of them ends here
        (found.spans if ".spans." in path.name else found.logs).extend(ended)
    astray = [
        row
        for row in [*found.logs, *found.spans]
        for expected in [_expected(row)]
        if expected is not None and row["session_id"] not in (expected, row.get("or_else"))
    ]
    assert [] == astray
    texts = [str(row.get("message")) + str(row.get("exception")) for row in found.logs]
    assert [] == [text for text in texts if any(phrase in text for phrase in FORBIDDEN)]
    return found


def _expected(row: Mapping[str, Any]) -> str | None:
    expected: str | None = row.get("expected", row.get("attributes", {}).get("expected"))
    return expected


@pytest.fixture(scope="session")
def traces() -> Callable[..., Traces]:
    """Return the function that reads a trace directory and compares each line with its session.

    ``traces(root)`` reads all of it, ``traces(root, ids)`` the files of those sessions. A line or
    span that says which session it is ``expected`` in must be of that session, in that session's
    file; no line tells of a context that was left in another one.
    """
    return _traces


@pytest.fixture(scope="session")
def assert_cell(traces: Callable[..., Traces]) -> Callable[..., None]:
    """Return the function that asserts that each session has its lines and spans of a cell.

    ``assert_cell(root, cell, ids, logs, spans)``: so many of each, and none of another session. What is
    written after the answer, in a background task say, has a few seconds to come.
    """

    def check(root: Path, cell: str, ids: list[str], logs: int, spans: int | None = None) -> None:
        expected = {
            "log": dict.fromkeys(ids, logs),
            "span": dict.fromkeys(ids, logs if spans is None else spans),
        }
        end = time.monotonic() + BOUND_S / 4
        found = traces(root, ids).of(cell)
        while time.monotonic() < end and any(
            found[kind].total() < sum(counts.values()) for kind, counts in expected.items()
        ):
            time.sleep(0.1)
            found = traces(root, ids).of(cell)
        assert expected == {
            kind: {sid: counts[sid] for sid in ids} for kind, counts in found.items()
        }

    return check


# --- a client -------------------------------------------------------------------------------------


@dataclass
class Answer:
    """An HTTP response, its headers as they came; status 0 where the server has hung up."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def sessions(self) -> list[str]:
        """The values of ``X-TraceCtrl-Session``, of which there should be one."""
        return [value for name, value in self.headers if name.lower() == "x-tracectrl-session"]


async def _fetch(port: int, path: str, *headers: tuple[str, str | bytes]) -> Answer:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    fields = [("Host", "localhost"), *headers]
    if not any(name == "Connection" for name, _ in headers):
        fields.append(("Connection", "close"))
    lines = [f"GET {path} HTTP/1.1".encode()] + [
        name.encode() + b": " + (value.encode() if isinstance(value, str) else value)
        for name, value in fields
    ]
    writer.write(b"\r\n".join([*lines, b"", b""]))
    data = b""
    try:
        while part := await asyncio.wait_for(reader.read(65_536), BOUND_S):
            data += part
    except ConnectionError:
        pass  # a server may hang up on a request that is too long
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return _parse(data)


def _parse(data: bytes) -> Answer:
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    return Answer(int(first.split()[1]) if first else 0, headers, body)


@pytest.fixture(scope="session")
def fetch() -> Callable[..., Awaitable[Answer]]:
    """Return the function that sends one GET request; header values may be raw bytes."""
    return _fetch


@pytest.fixture(scope="session")
def fetch_all() -> Callable[..., Awaitable[list[Answer]]]:
    """Return the function that asks for a path in many sessions at once."""

    async def get(port: int, path: str, ids: list[str]) -> list[Answer]:
        return await asyncio.gather(
            *(_fetch(port, f"{path}?expected={sid}", ("X-TraceCtrl-Session", sid)) for sid in ids)
        )

    return get


async def _begin(port: int, path: str, sid: str) -> Answer:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    fields = f"Host: localhost\r\nX-TraceCtrl-Session: {sid}\r\n"
    writer.write(f"GET {path}?expected={sid} HTTP/1.1\r\n{fields}\r\n".encode())
    data = b""
    while b"xxxx" not in data:
        chunk = await asyncio.wait_for(reader.read(1000), BOUND_S)
        assert chunk, data
        data += chunk
    writer.transport.abort()
    return _parse(data)


@pytest.fixture(scope="session")
def begin_all() -> Callable[..., Awaitable[list[Answer]]]:
    """Return the function that asks for a stream in many sessions and leaves at its first bytes."""

    async def get(port: int, path: str, ids: list[str]) -> list[Answer]:
        return await asyncio.gather(*(_begin(port, path, sid) for sid in ids))

    return get

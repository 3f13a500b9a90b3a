"""A server of the page: the command ``view`` as a process of its own, on a free port of the loopback."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

import pytest

from tracectrl.files import log_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest.importorskip("starlette")
pytest.importorskip("jinja2")

TOKEN = "the-token-of-these-tests-0123456789abcdef"  # noqa: S105 - it opens nothing else


class Answer(NamedTuple):
    """What a server has answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as it reads."""
        return json.loads(self.body)


class Server(NamedTuple):
    """A server that runs."""

    port: int
    root: Path
    process: subprocess.Popen[str]

    def get(
        self,
        path: str,
        *,
        method: str = "GET",
        token: str | None = TOKEN,
        headers: dict[str, str] | None = None,
        **params: Any,
    ) -> Answer:
        """Return what it answers to one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            sent = {"Authorization": f"Bearer {token}"} if token else {}
            where = f"{path}?{urlencode(params, doseq=True)}" if params else path
            connection.putrequest(method, where, skip_host="Host" in (headers or {}))
            for key, value in {**sent, **(headers or {})}.items():
                connection.putheader(key, value)
            connection.endheaders()
            answer = connection.getresponse()
            return Answer(
                answer.status, {key.lower(): it for key, it in answer.getheaders()}, answer.read()
            )
        finally:
            connection.close()

    @contextmanager
    def events(
        self,
        path: str,
        *,
        token: str | None = TOKEN,
        headers: dict[str, str] | None = None,
        **params: Any,
    ) -> Iterator[Iterator[Event]]:
        """Yield the events of a stream, as they come."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            sent = {"Authorization": f"Bearer {token}"} if token else {}
            where = f"{path}?{urlencode(params, doseq=True)}" if params else path
            connection.request("GET", where, headers={**sent, **(headers or {})})
            yield _events(connection.getresponse())
        finally:
            connection.close()


class Event(NamedTuple):
    """One event of a stream."""

    name: str
    id: str
    data: Any


def _events(answer: http.client.HTTPResponse) -> Iterator[Event]:
    fields: dict[str, str] = {}
    while line := answer.readline():
        text = line.decode().rstrip("\n")
        if text:
            key, _, value = text.partition(": ")
            fields[key] = value
        elif "event" in fields:
            yield Event(fields["event"], fields.get("id", ""), json.loads(fields["data"]))
            fields = {}
        else:
            fields = {}


@contextmanager
def served(root: Path, *args: str, port: int = 0) -> Iterator[Server]:
    """Serve the page of *root*; the server is interrupted in the end."""
    command = [
        sys.executable,
        "-m",
        "tracectrl_logging.cli",
        "view",
        "--no-browser",
        "--root",
        str(root),
    ]
    process = subprocess.Popen(
        [*command, "--port", str(port), *args],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TRACECTRL_VIEWER_TOKEN": TOKEN},
    )
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        found = re.search(r":(\d+)/#token=", said)
        assert found is not None, said + process.stderr.read()
        yield Server(int(found[1]), root, process)
    finally:
        process.terminate()
        process.communicate(timeout=30)


def write_sessions(directory: Path) -> Path:
    """Write two sessions: ``a`` with two lines and a span, ``b/../c`` with one."""
    directory.mkdir(mode=0o700)
    line = '{"timestamp":"2026-11-30T10:00:0%d.000000Z","level":"%s","logger":"app","message":"m%d","session_id":"%s"%s}\n'
    ids = ',"trace_id":"0af7651916cd43dd8448eb211c80319c","span_id":"b7ad6b7169203331","trace_flags":"01"'
    (directory / "a.logs.jsonl").write_text(
        line % (1, "INFO", 1, "a", ids) + line % (2, "ERROR", 2, "a", ids)
    )
    span = (
        '{"name":"work","kind":"INTERNAL","session_id":"a","trace_id":"0af7651916cd43dd8448eb211c80319c",'
        '"span_id":"b7ad6b7169203331","trace_flags":"01","start_time":"2026-11-30T10:00:00.500000Z",'
        '"end_time":"2026-11-30T10:00:02.500000Z","duration_ns":2000000000,"status":"ERROR"}\n'
    )
    (directory / "a.spans.jsonl").write_text(span)
    log_path("b/../c", directory).write_text(line % (3, "INFO", 3, "b/../c", ""))
    return directory


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a root with two sessions."""
    return write_sessions(tmp_path / "traces")


@pytest.fixture
def server(root: Path) -> Iterator[Server]:
    """Serve the root."""
    with served(root) as running:
        yield running


@pytest.fixture(scope="module")
def server_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve two sessions to all tests of a module, none of which writes."""
    with served(write_sessions(tmp_path_factory.mktemp("viewer") / "traces")) as running:
        yield running

"""The page, and what a shell completes, on a store in ClickHouse."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pytest

from tracectrl_logging import viewer
from tracectrl_logging.reader import Line
from tracectrl_logging.reader.sql.ready import READY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from click.testing import Result

pytest.importorskip("starlette")
STATIC = Path(viewer.__file__).with_name("static")
TOKEN = "the-token-of-these-tests-0123456789abcdef"  # noqa: S105 - it opens nothing else


class Page:
    """The command ``view`` on a store, as a process of its own."""

    def __init__(self, said: str, process: subprocess.Popen[str]) -> None:
        self.said, self.process = said, process
        found = re.search(r":(\d+)/#token=", said)
        assert found is not None, said
        self.port = int(found[1])

    @contextmanager
    def _asked(self, path: str, **params: Any) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        where = f"{path}?{urlencode(params, doseq=True)}" if params else path
        connection.request("GET", where, headers={"Authorization": f"Bearer {TOKEN}"})
        with contextlib.closing(connection), connection.getresponse() as answer:
            yield answer

    def get(self, path: str, **params: Any) -> tuple[int, bytes]:
        """Return the status and the body of an answer."""
        with self._asked(path, **params) as answer:
            return answer.status, answer.read()

    def json(self, path: str, **params: Any) -> Any:
        """Return an answer as it reads."""
        status, body = self.get(path, **params)
        assert 200 == status, body
        return json.loads(body)

    def events(self, path: str, **params: Any) -> Iterator[tuple[str, Any]]:
        """Yield the events of a stream, as they come."""
        name = ""
        with self._asked(path, **params) as answer:
            while line := answer.readline().decode():
                if line.startswith("event: "):
                    name = line[7:].strip()
                elif line.startswith("data: "):
                    yield name, json.loads(line[6:])


@contextmanager
def viewed(**env: str) -> Iterator[Page]:
    """Serve the page of the store that the environment names; the server is interrupted in the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tracectrl_logging.cli", "view", "--no-browser"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TRACECTRL_VIEWER_TOKEN": TOKEN, **env},
    )
    try:
        assert process.stderr is not None
        yield Page(process.stderr.readline(), process)
    finally:
        process.terminate()
        process.communicate(timeout=30)


def rows(*names: str, sid: str = "order/1") -> list[dict[str, Any]]:
    """Return log lines of now that say this."""
    found = []
    for name in names:
        us = time.time_ns() // 1000
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(us // 10**6))
        row = {"timestamp": f"{stamp}.{us % 10**6:06d}Z", "level": "ERROR", "logger": "app"}
        found.append({**row, "message": name, "session_id": sid})
    return found


def lines_of(some: list[dict[str, Any]]) -> list[Line]:
    """Return rows as the lines that they are of."""
    return [
        Line("log", row, json.dumps(row).encode(), row["timestamp"], "", 0, row["session_id"])
        for row in some
    ]


def test_page(set_up: str, send: Callable[..., None], command: Callable[..., Result]) -> None:
    """The page of a store gives the rows of the command, streams what comes, searches, exports, and asks SQL."""
    send(rows("first", "second"))
    send(rows("aside", sid="other"))
    of_session = f"/api/sessions/{quote('order/1', safe='')}"

    def printed(*args: str) -> list[Any]:
        return [
            json.loads(line)
            for line in command(*args, "--json", "--root", set_up).stdout.splitlines()
        ]

    with viewed(TRACECTRL_STORE=set_up) as page:
        assert f"Sessions in {set_up}: " in page.said
        listed = page.json("/api/sessions")
        assert (printed("sessions"), []) == (listed["sessions"], listed["problems"])
        assert ["order/1"] == [
            it["session_id"] for it in page.json("/api/sessions", where="logs=2")["sessions"]
        ]
        lines = page.json(f"{of_session}/lines")
        assert (printed("show", "order/1"), False) == (lines["lines"], lines["more"])
        one = page.json(f"{of_session}/lines", limit=1)
        assert (["first"], True) == ([it["message"] for it in one["lines"]], one["more"])
        rest = page.json(f"{of_session}/lines", after=one["cursor"])
        assert ["second"] == [it["message"] for it in rest["lines"]]
        assert 404 == page.get("/api/sessions/order/lines")[0]
        assert ["second"] == [
            it["message"] for it in page.json("/api/search", q="sec[o]nd")["lines"]
        ]
        assert 404 == page.get("/api/search", q="x", session="nobody")[0]
        for form, start in (
            ("jsonl", b'{"type":"log"'),
            ("otlp", b'{"resource'),
            ("html", b"<!doctype"),
        ):
            status, body = page.get(f"{of_session}/export", format=form)
            assert (form, 200, True) == (form, status, body.startswith(start)), body[:99]
        asked = page.json("/page/query", sql="SELECT message FROM logs ORDER BY timestamp LIMIT 1")
        assert [["first"]] == asked["rows"]
        for sql in re.findall(r'sql: "(SELECT [^"]+)"', (STATIC / "sql.js").read_text("utf-8")):
            assert (sql, []) != (sql, page.json("/page/query", sql=sql)["columns"])
        unable, said = page.get("/page/query", sql=READY["tokens"].sql)
        assert (501, True) == (unable, b"a store in ClickHouse has errors, slow, tools" in said)
        wrong, said = page.get("/page/query", sql="SELECT levle FROM logs")
        assert (400, True) == (wrong, b"levle" in said)
        assert {"ids": ["order/1"]} == page.json("/page/known", prefix="ord")
        assert 2 == sum(page.json("/page/spark", id="order/1")["errors"])
        hits = list(page.events("/page/search", q="aside"))
        assert ["hits", "end"] == [name for name, _ in hits]
        stream = page.events(f"{of_session}/stream", after=lines["cursor"])
        assert "caught-up" == next(stream)[0]
        send(rows("third"))
        assert ("lines", ["third"]) == next(
            (name, [it["message"] for it in data]) for name, data in stream
        )
        page_of_session = page.events("/page/session", id="order/1")
        names = [next(page_of_session)[0] for _ in range(3)]
        assert ["rows", "caught-up", "state"] == names


@pytest.fixture
def send(
    client: Any, set_up: str, put: Callable[..., None]
) -> Callable[[list[dict[str, Any]]], None]:
    """Return what puts rows into the store as ``ship`` does."""
    del set_up
    number = 0

    def sent(some: list[dict[str, Any]]) -> None:
        nonlocal number
        put(client, lines_of(some), seen_ns=time.time_ns(), first=(number := number + 1))

    return sent


def test_page_without_its_store(own_engine: Callable[..., Any], put: Callable[..., None]) -> None:
    """Where the store is away the page says so, without a password, and a stream goes on when it is there again."""
    engine, url, client = own_engine()
    put(client, lines_of(rows("first")), seen_ns=time.time_ns())
    secret = url.replace("//", "//someone:s3cr3t@")
    with viewed(TRACECTRL_STORE=secret) as page:
        assert "s3cr3t" not in page.said
        stream = page.events("/api/sessions/order%2F1/stream")
        assert ["lines", "caught-up"] == [next(stream)[0] for _ in range(2)]
        engine.kill()
        name, said = next(stream)
        assert ("problem", True) == (
            name,
            "cannot be reached: Connection refused" in said["message"],
        )
        for path in ("/api/sessions", "/api/search?q=x", "/page/known", "/page/query?sql=SELECT+1"):
            status, body = page.get(path)
            assert (path, 503, True) == (path, status, b"cannot be reached" in body), body
            assert b"s3cr3t" not in body
        engine.start()
        put(client, lines_of(rows("second")), seen_ns=time.time_ns(), first=2)
        name, some = next(stream)
        assert ("lines", ["second"]) == (name, [it["message"] for it in some])


def completed(**env: str) -> subprocess.CompletedProcess[str]:
    """Return what the command says to a shell that completes the start ``or`` of a session's ID."""
    return subprocess.run(
        [sys.executable, "-m", "tracectrl_logging.cli"],
        env={
            **os.environ,
            "COMP_LINE": "tracectrl-logs show or",
            "_TRACECTRL_LOGS_COMPLETE": "zsh_complete",
            **env,
        },
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_completion(set_up: str, send: Callable[..., None]) -> None:
    """A shell completes the IDs of the store that the environment names."""
    send([*rows("a", sid="order-1"), *rows("b", sid="order-2"), *rows("c", sid="other")])
    done = completed(TRACECTRL_STORE=set_up)
    assert (["order-1", "order-2"], "") == (done.stdout.split(), done.stderr)


@pytest.mark.parametrize("answers", [True, False])
def test_completion_without_its_store(*, answers: bool) -> None:
    """A shell that completes is told nothing where the store is away, and does not wait for one that is silent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if answers:
            listener.close()
        begun = time.monotonic()
        done = completed(TRACECTRL_STORE=f"clickhouse://127.0.0.1:{port}/otel")
    assert (0, "", "") == (done.returncode, done.stdout.strip(), done.stderr)
    assert (
        time.monotonic() - begun < 8
    )  # the client's own patience is ten seconds, the server's ten minutes

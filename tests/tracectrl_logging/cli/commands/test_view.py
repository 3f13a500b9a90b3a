"""``tracectrl-logs view``: the page on a free port, for whoever has the address."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("uvicorn")
pytest.importorskip("starlette")
pytest.importorskip("jinja2")

pytestmark = pytest.mark.one_python

LINE = '{"timestamp":"2026-11-30T10:00:00.000000Z","level":"INFO","logger":"a","message":"m","session_id":"%s"}\n'


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    """Return a root with three sessions."""
    root = tmp_path / "traces"
    root.mkdir(mode=0o700)
    for sid in ("order-1", "order-2", "other"):
        (root / f"{sid}.logs.jsonl").write_text(LINE % sid)
    return root


@contextmanager
def started(
    *args: str, files: int = 1024, **env: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Yield the command as it runs, which may open so many *files*, and the line with the address."""
    limited = ("sh", "-c", f'ulimit -n {files}; exec "$@"', "sh")
    process = subprocess.Popen(
        [*limited, sys.executable, "-m", "tracectrl_logging.cli", *args],
        stderr=subprocess.PIPE,
        text=True,
        env={
            **{key: it for key, it in os.environ.items() if key != "TRACECTRL_VIEWER_TOKEN"},
            **env,
        },
    )
    assert process.stderr is not None
    try:
        line = ""
        while "#token=" not in line:
            line = process.stderr.readline()
            assert line, "it has ended"
        yield process, line
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=30)


def ended(traces: Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Return what the command said and how it ended, where it is not to serve."""
    return subprocess.run(
        [sys.executable, "-m", "tracectrl_logging.cli", "view", "--root", str(traces), *args],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **env},
        timeout=30,
    )


def parts(line: str) -> tuple[int, str, str]:
    """Return the port, the token and the place on the page that the address holds."""
    found = re.search(r"http://127\.0\.0\.1:(\d+)/#token=([\w-]+)(?:&(\S+))?$", line)
    assert found is not None, line
    return int(found[1]), found[2], unquote(found[3] or "")


def ids(port: int, token: str) -> list[str]:
    """Return the sessions that the server knows."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/api/sessions", headers={"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    try:
        return sorted(row["session_id"] for row in json.loads(answer.read())["sessions"])
    finally:
        connection.close()


def test_address_opens_the_sessions(traces: Path) -> None:
    """Each start has a token of its own, of 256 bits; an interrupt ends the server."""
    with started("view", "--root", str(traces), "--no-browser") as (process, line):
        port, token, place = parts(line)
        assert (["order-1", "order-2", "other"], "") == (ids(port, token), place)
        process.send_signal(signal.SIGINT)
        assert 130 == process.wait(timeout=30)
    with started("view", "--root", str(traces), "--no-browser") as (_, line):
        assert token != parts(line)[1]
    assert len(token) * 6 >= 256


def test_more_clients_than_files(traces: Path) -> None:
    """Clients past what this process may open files for are refused; that is said once, and others come in later."""
    with started("view", "--root", str(traces), "--no-browser", files=64) as (process, line):
        port, token, _ = parts(line)
        asked = f"GET /page/session?id=x HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n\r\n"
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(80)]
        try:
            for client in clients:
                client.sendall(asked.encode())
            answers = {client.recv(12) for client in clients}
        finally:
            for client in clients:
                client.close()
        assert {b"HTTP/1.1 200", b"HTTP/1.1 503"} == answers
        assert ["order-1", "order-2", "other"] == ids(port, token)
        process.terminate()
        assert process.stderr is not None
        said = process.stderr.read().splitlines()
        assert (1, True) == (len(said), "ulimit -n" in said[0])


def test_session_is_the_beginning_of_one(traces: Path) -> None:
    """The page begins with the session that was asked for."""
    with started("view", "oth", "--root", str(traces), "--no-browser") as (_, line):
        assert "/session/other" == parts(line)[2]


@pytest.mark.parametrize(
    ("args", "env", "status", "said"),
    [
        (["nobody"], {}, 1, "no session 'nobody'"),
        (["order"], {}, 2, "2 sessions start with 'order'"),
        (["--public-url", "https://a/b"], {}, 2, "a host must be HOST, HOST:PORT"),
        ([], {"TRACECTRL_VIEWER_TOKEN": "short"}, 2, "and '_', got 5 characters\n"),
        (
            [],
            {"TRACECTRL_VIEWER_TOKEN": "with a space and more than thirty-two"},
            2,
            "got 37 characters, others among them",
        ),
        (["--host", "203.0.113.1"], {}, 2, "cannot listen on 203.0.113.1 port 0"),
    ],
)
def test_mistakes(
    traces: Path, args: list[str], env: dict[str, str], status: int, said: str
) -> None:
    """What is wrong is said in one line, and nothing is served."""
    done = ended(traces, "--no-browser", *args, **env)
    assert (status, True) == (done.returncode, said in done.stderr), done.stderr


def test_port_that_is_taken(traces: Path) -> None:
    """A port that somebody else has is named."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = ended(traces, "--port", str(port))
    assert (2, True) == (done.returncode, f"port {port}: Address already in use" in done.stderr)


def test_other_address_and_public_url(traces: Path) -> None:
    """An address that is not the loopback is warned of; a tunnel's host may be named."""
    args = ["--host", str(ip_address(0)), "--public-url", "https://logs.example.com"]
    with started("view", "--root", str(traces), "--no-browser", *args) as (process, line):
        port, token, _ = parts(line)
        assert process.stderr is not None
        assert process.stderr.readline().startswith(
            "Warning: 0.0.0.0 is not this machine's loopback"
        )
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        for host, status in (("logs.example.com", 200), ("evil.example.com", 403)):
            headers = {"Host": host, "Authorization": f"Bearer {token}"}
            connection.request("GET", "/api/sessions", headers=headers)
            answer = connection.getresponse()
            answer.read()
            assert status == answer.status
        connection.close()


def test_browser_gets_the_token_by_a_file(traces: Path, tmp_path: Path) -> None:
    """What a browser is called with, which other users see, holds no token; the file is the user's own."""
    browser, noted = tmp_path / "browser", tmp_path / "noted"
    browser.write_text(
        f'#!/bin/sh\nfile="${{1#file://}}"\nstat -c %a "$file" >{noted}.mode\necho "$1" >{noted}.url\ncp "$file" {noted}.new && mv {noted}.new {noted}\n'
    )
    browser.chmod(0o700)
    with started("view", "--root", str(traces), BROWSER=f"{browser} %s") as (_, line):
        while not noted.exists():
            pass
        token = parts(line)[1]
        assert token in noted.read_text()
        assert token not in Path(f"{noted}.url").read_text()
        assert "600" == Path(f"{noted}.mode").read_text().strip()
        opened = Path(Path(f"{noted}.url").read_text().strip().removeprefix("file://"))
    assert not opened.exists()
    assert stat.S_ISREG(noted.stat().st_mode)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_demo_on_the_page(tmp_path: Path, sent: signal.Signals) -> None:
    """``demo --view`` serves the page while the demo runs, and afterwards."""
    pytest.importorskip("fastapi")
    pytest.importorskip("httpx")
    root = tmp_path / "traces"
    with started("demo", "--view", "--no-browser", "--root", str(root)) as (process, line):
        port, token, _ = parts(line)
        while len(ids(port, token)) < 20:
            assert process.poll() is None
        process.send_signal(sent)
        process.wait(timeout=30)
    with pytest.raises(ConnectionRefusedError):
        ids(port, token)

"""examples/two_agents: FastAPI under uvicorn, HTTP between two processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXAMPLE = Path(__file__).parents[2] / "examples" / "two_agents"
TIMEOUT_S = 60
POLL_S = 0.05


@contextlib.contextmanager
def _agent(name: str, root: Path, path: str, **env: str) -> Iterator[str]:
    """Serve an agent on a free port; the ``with`` target is its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        fd = listener.fileno()
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", f"{name}:app", "--fd", str(fd)],
            cwd=EXAMPLE,
            env={**os.environ, "TRACECTRL_TRACE_DIR": str(root), **env},
            pass_fds=[fd],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    try:
        deadline = time.monotonic() + TIMEOUT_S
        with httpx.Client(trust_env=False, timeout=1) as client:
            while True:
                assert process.poll() is None, f"{name} ended"
                assert time.monotonic() < deadline, f"{name} does not answer"
                with contextlib.suppress(httpx.TransportError):
                    if client.get(url + path, headers={"X-Session-Id": "ready"}).is_success:
                        break
                time.sleep(POLL_S)
        yield url
    finally:
        process.terminate()
        process.wait(TIMEOUT_S)


@contextlib.contextmanager
def _agents(root: Path) -> Iterator[str]:
    """Serve both agents; the ``with`` target is agent A's URL. On exit all their work is done."""
    with (
        _agent("agent_b", root, "/health") as url_b,
        _agent("agent_a", root, "/ping", AGENT_B_URL=url_b) as url_a,
    ):
        yield url_a


async def _ask_all(url: str, sessions: list[str]) -> list[httpx.Response]:
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=TIMEOUT_S) as client:
        return await asyncio.gather(
            *(
                client.get(path, params={"question": "a b"}, headers={"X-Session-Id": sid})
                for sid in sessions
                for path in ("/ask", "/ping")
            )
        )


def test_both_agents_share_session_and_trace(
    root: Path, read_lines: Callable[[Path], list[dict[str, Any]]]
) -> None:
    """Async and plain endpoints, background tasks and the other agent are in the session."""
    sessions = [f"s-{number}" for number in range(10)]
    with _agents(root) as url:
        responses = asyncio.run(_ask_all(url, sessions))
    for response in responses:
        assert 200 == response.status_code
        assert response.json()["session"] == response.headers["X-Session-Id"]
    for sid in sessions:
        logs = read_lines(root / f"{sid}.logs.jsonl")
        spans = read_lines(root / f"{sid}.spans.jsonl")
        assert {sid} == {row["session_id"] for row in [*logs, *spans]}
        assert {
            ("agent-a", "asked: a b"),
            ("agent-b", "looking for facts"),
            ("agent-a", "agent B knew 2 facts"),
            ("agent-a", "remembered: a b"),
            ("agent-a", "pinged"),
        } == {(row["service"], row["message"]) for row in logs if row["logger"] != "httpx"}
        asked, facts = (
            next(span for span in spans if span["name"] == name) for name in ("ask", "facts")
        )
        assert asked["trace_id"] == facts["trace_id"]
        assert asked["span_id"] == facts["parent_span_id"]
        of_logs = {row["trace_id"] for row in logs if "trace_id" in row}
        assert of_logs == {
            span["trace_id"] for span in spans if span["name"] in ("ask", "ping", "facts")
        }


def test_request_without_a_session_gets_one(
    root: Path, read_lines: Callable[[Path], list[dict[str, Any]]]
) -> None:
    """The middleware mints an ID, and the response names it."""
    with _agents(root) as url, httpx.Client(trust_env=False, timeout=TIMEOUT_S) as client:
        response = client.get(f"{url}/ping")
    sid = response.headers["X-Session-Id"]
    assert ["pinged"] == [row["message"] for row in read_lines(root / f"{sid}.logs.jsonl")]

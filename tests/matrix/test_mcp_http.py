"""The matrix, MCP over HTTP: a tool's lines are of its own request, not of the one that began the conversation."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

httpx = pytest.importorskip("httpx", reason="it asks")
pytest.importorskip("mcp", reason="it is what is tested")
pytest.importorskip("uvicorn", reason="it is the server")

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FIRST = ("mcp<2", "httpx-sse", "pydantic-settings", "python-dotenv", "sse-starlette")
"""Release 1 beside those of its dependencies that release 2 has not."""

VERSION = "2025-03-26"
ACCEPT = {"Accept": "application/json, text/event-stream", "mcp-protocol-version": VERSION}


@pytest.fixture(params=["mcp 1", "mcp 2"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the directories in which the server finds the release of MCP."""
    if request.param == "mcp 2":
        return "."
    command = ["install", "--quiet", "--no-deps", "--target", str(tmp_path / "mcp"), *FIRST]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *command], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"release 1 cannot be installed: {done.stderr}")
    return f"{tmp_path / 'mcp'}:."


async def test_each_call_in_its_session(
    path: str, serve: Callable[..., Any], new_ids: Callable[..., list[str]], assert_cell: Any
) -> None:
    """200 calls of one conversation, each of which names a session of its own."""
    server = serve(
        *("-m", "uvicorn", "mcp_http:app", "--port", "{port}", "--log-level", "warning"),
        PYTHONPATH=path,
    )
    ids = new_ids()
    url = f"http://127.0.0.1:{server.port}/mcp"
    async with httpx.AsyncClient(headers=ACCEPT, timeout=120, trust_env=False) as client:

        async def post(sid: str, method: str, number: int | None = None, **params: Any) -> Any:
            body = {"jsonrpc": "2.0", "method": method, "params": params}
            body |= {} if number is None else {"id": number}
            answer = await client.post(url, json=body, headers={"X-TraceCtrl-Session": sid})
            assert answer.is_success, answer.text
            return answer

        hello = {"name": "t", "version": "1"}
        begun = await post(
            "began", "initialize", 0, protocolVersion=VERSION, capabilities={}, clientInfo=hello
        )
        client.headers["mcp-session-id"] = begun.headers["mcp-session-id"]
        await post("began", "notifications/initialized")
        calls = [
            post(
                sid,
                "tools/call",
                number + 1,
                name=("look_up", "count")[number % 2],
                arguments={"expected": sid},
            )
            for number, sid in enumerate(ids)
        ]
        answers = await asyncio.gather(*calls)

    assert ids == [answer.headers["X-TraceCtrl-Session"] for answer in answers]
    assert_cell(server.root, "mcp-http", ids, 1)

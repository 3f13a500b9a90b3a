"""The matrix, MCP: a client and a server over stdio, the session in ``_meta``."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.propagate import set_global_textmap
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tracectrl.files import log_path, span_path
from tracectrl.propagation import SessionPropagator
from tracectrl.session import session
from tracectrl.workers import pack
from tracectrl_logging import configure

pytest.importorskip("mcp.server.mcpserver", reason="it is what is tested")

if TYPE_CHECKING:
    from collections.abc import Callable

SERVER = str(Path(__file__).parent / "apps" / "mcp_server.py")
SESSIONS = 200


def environment(root: Path, **more: str) -> dict[str, str]:
    """Return the environment of the server."""
    return {**os.environ, "TRACECTRL_TRACE_DIR": str(root), "OTEL_SERVICE_NAME": "stock", **more}


async def call_all(root: Path, tool: str, ids: list[str], **more: str) -> list[str]:
    """Call *tool* of a new server in all sessions at once; return the texts of the answers."""
    from mcp import Client  # noqa: PLC0415 - an optional package
    from mcp.client.stdio import StdioServerParameters, stdio_client  # noqa: PLC0415

    tracer = trace.get_tracer("agents")
    parameters = StdioServerParameters(
        command=sys.executable, args=[SERVER], env=environment(root, **more)
    )
    with (root.parent / "stderr").open("w") as errors:
        async with Client(stdio_client(parameters, errors)) as client:

            async def call(sid: str) -> str:
                with session(sid), tracer.start_as_current_span("ask"):
                    meta: Any = pack({}) if tool == "look_up" else {}
                    answer: Any = await client.call_tool(tool, {"expected": sid}, meta=meta)
                    return str(answer.content[0].text)

            return list(await asyncio.gather(*map(call, ids)))


@pytest.mark.parametrize("tool", ["look_up", "look_up_by_itself"])
async def test_each_call_in_its_session(
    root: Path, read_lines: Callable[..., list[dict[str, Any]]], tool: str
) -> None:
    """By ``pack`` and ``unpack``; and by the SDK's own propagation, with our propagator."""
    ids = [str(uuid.uuid4()) for _ in range(SESSIONS)]
    more = {}
    cell = "mcp"
    if tool == "look_up_by_itself":
        cell = "mcp-stock"
        more["OTEL_PROPAGATORS"] = "tracecontext,baggage,tracectrl"
        set_global_textmap(
            CompositePropagator([TraceContextTextMapPropagator(), SessionPropagator()])
        )

    with configure(root, console=None, service_name="client"):
        assert ids == await call_all(root, tool, ids, **more)

    for sid in ids:
        rows = read_lines(log_path(sid, root))
        spans = read_lines(span_path(sid, root))
        assert [sid] == [row["expected"] for row in rows if row.get("cell") == cell]
        assert {sid} == {row["session_id"] for row in [*rows, *spans]}
        assert 1 == len({row["trace_id"] for row in spans})
        assert {"client", "stock"} == {row["service"] for row in spans}
    assert "different Context" not in (root.parent / "stderr").read_text()


def test_stdout_is_the_protocols_alone(root: Path) -> None:
    """What is logged goes to stderr: each line on stdout is a message of the protocol."""
    initialize = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    }
    meta = {"tracectrl": {"X-TraceCtrl-Session": "by-hand"}}
    call = {"name": "look_up", "arguments": {"expected": "by-hand"}, "_meta": meta}
    messages = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": initialize},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call},
    ]
    process = subprocess.Popen(
        [sys.executable, SERVER],
        env=environment(root),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"".join(json.dumps(each).encode() + b"\n" for each in messages))
    process.stdin.flush()
    received = [json.loads(process.stdout.readline()) for _ in range(2)]
    rest, errors = process.communicate(timeout=120)

    assert [1, 2] == [each["id"] for each in received]
    assert "by-hand" == received[1]["result"]["content"][0]["text"]
    assert b"" == rest
    assert b"at work" in errors

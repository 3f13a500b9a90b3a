"""The protocol: the tools by the official package ``mcp``, on stdin and stdout."""

from __future__ import annotations

import os
import signal
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError

from tracectrl_logging.mcp.answer import NOTICE
from tracectrl_logging.mcp.params import ToolError, schema_of
from tracectrl_logging.mcp.process import Call
from tracectrl_logging.mcp.tools import TOOLS

if TYPE_CHECKING:
    from typing import Final

_AT_ONCE: Final = 4
_INSTRUCTIONS: Final = (
    "Log lines and spans of a program, by session. sessions lists them, why names the cause of a failure,"
    f" session shows one as a tree or line by line, search finds lines. {NOTICE}"
)


def serve(root: str | None) -> None:
    """Serve the sessions of *root* on stdin and stdout, until stdin ends, or by a signal at once.

    A signal leaves no other way: a thread is reading stdin, which nothing interrupts.
    """
    calls: set[Call] = set()

    def end(number: int, frame: object) -> None:
        del frame
        for call in [*calls]:
            call.close()
        os._exit(128 + number)

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    anyio.run(_serve, server_of(root, calls))


def server_of(root: str | None, calls: set[Call]) -> Server[Any]:
    """Return a server of the tools on the sessions of *root*; *calls* are those that are under way."""
    limiter = anyio.Semaphore(_AT_ONCE)
    names = [name for name in TOOLS if name != "sql" or find_spec("duckdb") is not None]

    async def list_tools(context: Any, params: Any) -> types.ListToolsResult:
        del context, params
        return types.ListToolsResult(tools=[_described(name) for name in names])

    async def call_tool(context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        del context
        if params.name not in names:
            msg = f"there is no tool {params.name!r}; there are {', '.join(names)}"
            raise MCPError(types.INVALID_PARAMS, msg)
        async with limiter:
            try:
                text, is_error = await _answered(root, params, calls), False
            except ToolError as error:
                text, is_error = str(error), True
        return types.CallToolResult(content=[types.TextContent(text=text)], is_error=is_error)

    return Server(
        "tracectrl-logs",
        version=version("tracectrl-logging"),
        instructions=_INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def _described(name: str) -> types.Tool:
    tool = TOOLS[name]
    return types.Tool(
        name=name,
        description=tool.about,
        input_schema=schema_of(tool.params),
        annotations=types.ToolAnnotations(
            read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
        ),
    )


async def _answered(root: str | None, params: types.CallToolRequestParams, calls: set[Call]) -> str:
    call = await anyio.to_thread.run_sync(partial(Call, root, params.name, params.arguments or {}))
    calls.add(call)
    try:
        return await anyio.to_thread.run_sync(call.answer, abandon_on_cancel=True)
    finally:
        calls.remove(call)
        call.close()


async def _serve(server: Server[Any]) -> None:
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())

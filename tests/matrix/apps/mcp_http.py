"""A server of MCP over HTTP, of whichever release there is: its tools say which session they expect to run in."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import Any

from cell import work

from tracectrl.middleware import SessionMiddleware

IS_FIRST = version("mcp").startswith("1.")
if IS_FIRST:
    from mcp.server.fastmcp import FastMCP

    from tracectrl.middleware.mcp import install

    server: Any = FastMCP("stock")
    install(server)
else:
    from mcp.server.mcpserver import MCPServer

    server = MCPServer("stock")


@server.tool()
async def look_up(expected: str) -> str:
    """Work, while others do."""
    await asyncio.sleep(0.05)
    work("mcp-http", expected)
    return "x"


@server.tool()
def count(expected: str) -> str:
    """Work in a plain function."""
    work("mcp-http", expected)
    return "x"


app = SessionMiddleware(server.streamable_http_app())

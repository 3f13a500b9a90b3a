"""An MCP server on stdio: its tools say which session they expect to run in."""

from __future__ import annotations

import logging

from mcp.server.mcpserver import Context, MCPServer
from opentelemetry import trace

from tracectrl.session import current_session_id
from tracectrl.workers import unpack
from tracectrl_logging import configure

configure(level="DEBUG")  # with a console, which must not be stdout
log = logging.getLogger("agents")
tracer = trace.get_tracer("agents")
server = MCPServer("stock")


def work(cell: str, expected: str) -> str:
    """Write one span, and one line within it; answer with the session."""
    with tracer.start_as_current_span(cell, attributes={"cell": cell, "expected": expected}):
        log.info("at work", extra={"cell": cell, "expected": expected})
    return str(current_session_id())


@server.tool()
async def look_up(expected: str, context: Context) -> str:
    """Work in the session that ``_meta`` carries."""
    with unpack(context.request_context.meta):
        return work("mcp", expected)


@server.tool()
def look_up_by_itself(expected: str) -> str:
    """Work in the session that the MCP SDK's own propagation has made current."""
    return work("mcp-stock", expected)


if __name__ == "__main__":
    server.run("stdio")

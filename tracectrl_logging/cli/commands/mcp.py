"""``tracectrl-logs mcp``: the sessions as tools for a coding agent."""

from __future__ import annotations

import sys

import click

from tracectrl.errors import MissingExtraError, require
from tracectrl_logging.cli.errors import UnusableError
from tracectrl_logging.cli.options import root_option


@click.command(short_help="Serve the sessions to a coding agent (MCP).")
@root_option
def mcp(root: str | None) -> None:
    r"""Serve read-only tools of the Model Context Protocol on stdin and stdout, until stdin ends.

    The tools are sessions, session, search, sql (where the extra "sql" is there) and why. Agents start
    this command by themselves, once they are told of it. Needs the extra "mcp".

    \b
    Examples:
      claude mcp add logs -- tracectrl-logs mcp --root /var/lib/shop/traces
      codex mcp add logs -- tracectrl-logs mcp --root /var/lib/shop/traces

    Exit status: 0 stdin has ended, 2 wrong use.
    """
    try:
        require("tracectrl-logs mcp", "mcp", "mcp", "mcp_types")
    except MissingExtraError as error:
        raise UnusableError(str(error)) from error
    if sys.stdin is None:  # the caller has closed it (``<&-``)
        text = "stdin, on which an agent asks, is closed"
        raise UnusableError(text)
    from tracectrl_logging.mcp.server import serve  # noqa: PLC0415 - needs the extra

    if sys.stdin.isatty():
        click.echo("Waiting for an agent on stdin; Ctrl-D ends it.", err=True)
    serve(root)

"""Sessions for coding agents: read-only tools of the Model Context Protocol, over a store.

``tracectrl-logs mcp`` serves them on stdin and stdout. :mod:`~tracectrl_logging.mcp.tools` says what
they are, :mod:`~tracectrl_logging.mcp.answer` bounds what they return, and
:mod:`~tracectrl_logging.mcp.server` alone knows the protocol.
"""

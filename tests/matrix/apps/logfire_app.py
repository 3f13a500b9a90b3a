"""Logfire configured before ``configure()``, after it, or alone; twice where the order ends in it."""

from __future__ import annotations

import logging
import sys

import logfire
from opentelemetry import trace

from tracectrl.session import session


def configure_logfire() -> None:
    """Configure Logfire, which sends nothing."""
    logfire.configure(send_to_logfire=False, console=False, inspect_arguments=False)


def configure_ours() -> None:
    """Configure this project."""
    from tracectrl_logging import configure  # noqa: PLC0415 - not beneath ``run``

    configure(console=None)


for name in sys.argv[1:]:
    {"logfire": configure_logfire, "ours": configure_ours}[name]()
with session("s1"):
    with logfire.span("by logfire"):
        logging.getLogger("app").warning("one")
    with trace.get_tracer("app").start_as_current_span("by the API"):
        logging.getLogger("app").warning("two")
sys.stdout.write(f"{type(trace.get_tracer_provider()).__name__}\n")

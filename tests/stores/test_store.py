"""A store in ClickHouse gives the rows that the files give which its rows were made from."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

import tracectrl_logging
from tracectrl.exporter import FileSpanExporter
from tracectrl.processor import SessionSpanProcessor
from tracectrl.session import session

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result


@pytest.fixture
def _sessions(root: Path) -> None:
    """Write a few sessions, as a program does."""
    provider = TracerProvider(resource=Resource({"service.name": "api"}), shutdown_on_exit=False)
    provider.add_span_processor(SessionSpanProcessor())
    provider.add_span_processor(SimpleSpanProcessor(FileSpanExporter(root)))
    tracer = provider.get_tracer("tests")
    handler = tracectrl_logging.SessionFileHandler(root, service_name="api")
    logger = logging.getLogger("app")
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    for number in range(4):
        with session(f"order-{number}"), tracer.start_as_current_span("checkout") as span:
            logger.info("begun", extra={"n": number, "path": "/a", "who": 'the "ü"'})
            with session("other"):
                logger.warning("aside %d", number)
            if number:
                logger.error("refused: %d", number, extra={"tool": "pay"})
            if number == 2:
                logger.critical("worse", exc_info=ValueError("no\nmoney"), stack_info=True)
                logger.log(45, "audited")
            span.set_attributes(
                {"n": number, "gen_ai.operation.name": "chat", "llm.token_count.prompt": 3}
            )
            with tracer.start_as_current_span("pay") as tool:
                tool.set_attributes({"gen_ai.operation.name": "execute_tool", "input.value": "{}"})
                tool.add_event("retried", {"times": 2})
    logger.debug("outside")
    handler.close()
    provider.shutdown()


ASKED = [
    ("sessions",),
    ("sessions", "--limit", "2"),
    ("sessions", "--errors", "--sort", "errors", "--limit", "1"),
    ("sessions", "--where", "tool=pay", "--where", "errors>0", "--service", "api"),
    ("sessions", "--since", "-1h", "--until", "-30m"),
    ("sessions", "--until", "now"),
    ("show", "order-1"),
    ("show", "order-1", "other", "--level", "WARNING"),
    ("show", "order-2", "--level", "45"),
    ("show", "unknown"),
    ("show", "order-2", "--logger", "app", "--since", "-1h"),
    ("grep", "refused"),
    ("grep", "-F", 'the "ü"'),
    ("grep", "-i", "REFUSED", "--session", "order-1", "--session", "order-2"),
    ("grep", "-v", "refused", "level>=INFO", "--session", "order-2"),
    ("grep", "-c", "aside"),
    ("grep", "-C", "1", "refused"),
    ("grep", "/a"),
    ("grep", "-l", "begun"),
    ("grep", "WARN"),
    ("grep", "^no$"),
    ("tail", "-n", "4"),
    ("tail", "order-2", "--where", "n=2"),
    ("tail", "--since", "-1h", "order-1", "order-2"),
    ("query", "errors"),
    ("query", "slow"),
    ("query", "tools"),
    ("query", "SELECT level, severity_number, message FROM logs ORDER BY 1, 2, 3"),
    (
        "query",
        "SELECT session_id, logs, spans, errors, services, duration_ns FROM sessions ORDER BY 1",
    ),
    ("query", "SELECT name, start_time, attributes, resource FROM spans ORDER BY 2, 1"),
    (
        "query",
        "SELECT message, extras FROM logs WHERE session_id = 'order-2' ORDER BY timestamp, 1",
    ),
    ("show", "order-2", "--conversation"),
    ("why", "order-1"),
    ("diff", "order-0", "order-1"),
    ("show", "order"),
    ("show", "nobody"),
]


@pytest.mark.usefixtures("_sessions")
def test_same_rows(
    command: Callable[..., Result], root: Path, set_up: str, load: Callable[..., None]
) -> None:
    """Each reading command gives the same rows, and the same exit status, from either store."""
    load(root)
    for args in ASKED:
        files = command(*args, "--json", "--root", str(root))
        store = command(*args, "--json", "--root", set_up)
        assert (args, files.stdout, files.exit_code) == (args, store.stdout, store.exit_code), (
            store.output
        )
        assert files.stderr.replace(str(root), set_up) == store.stderr


_FLAGS = re.compile('"trace_flags":"03",')
OF_COLUMNS = [args for args in ASKED if args[0] not in {"query", "why"}]


@pytest.mark.usefixtures("_sessions")
def test_columns_alone(
    command: Callable[..., Result], root: Path, otel: str, load: Callable[..., None]
) -> None:
    """Ordinary lines are the same where nobody has set the tables up, and their columns are all there is."""
    load(root, as_written=False)
    for args in OF_COLUMNS:
        files = command(*args, "--json", "--root", str(root))
        store = command(*args, "--json", "--root", otel)
        said = "\n".join(  # the exporter's table of spans has no flags
            _FLAGS.sub("", line) if line.startswith('{"type":"span"') else line
            for line in files.stdout.split("\n")
        )
        assert (args, said, files.exit_code) == (args, store.stdout, store.exit_code), store.output

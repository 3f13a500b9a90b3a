"""``diff``: how two sessions differ."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tracectrl.session import session

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from click.testing import Result
    from opentelemetry import trace

    Command = Callable[..., Result]


def write(logger: logging.Logger, tracer: trace.Tracer) -> None:
    """Write two sessions; something fails in the second one."""
    for number in (1, 2):
        with session(f"order-{number}"), tracer.start_as_current_span("checkout"):
            logger.info("begun %d", number)
            with tracer.start_as_current_span("pay"):
                if number == 2:
                    logger.error("declined \x1b[2J%d", number)


def test_text(command: Command, logger: logging.Logger, file_tracer: trace.Tracer) -> None:
    """The biggest change comes first; nothing drives the terminal."""
    write(logger, file_tracer)
    done = command("diff", "order-1", "order-2", "-n", "1")
    place = " " * 20 + "in checkout > pay  0 -> 1 of 1"
    expected = f"failed    ERROR     app: declined \\x1b[2J2\n{place}\n"
    assert (0, expected, "") == (done.exit_code, done.stdout, done.stderr)


def test_json(command: Command, logger: logging.Logger, file_tracer: trace.Tracer) -> None:
    """A row is one change, with what each session has of it."""
    write(logger, file_tracer)
    row, *_ = map(json.loads, command("diff", "order-1", "order-2", "--json").stdout.splitlines())
    assert ("failed", "log", ["checkout", "pay"]) == (row["change"], row["what"], row["path"])
    assert (0, 1) == (row["before"]["times"], row["after"]["errors"])


def test_status(command: Command, logger: logging.Logger, file_tracer: trace.Tracer) -> None:
    """Sessions that do not differ are 1, with a line about that."""
    write(logger, file_tracer)
    done = command("diff", "order-1", "order-1")
    said = "no difference between order-1 and order-1\n"
    assert (1, "", said) == (done.exit_code, done.stdout, done.stderr)
    assert 1 == command("diff", "order-1", "nobody").exit_code

"""``why``: why a session failed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tracectrl.session import session

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result
    from opentelemetry import trace

    Command = Callable[..., Result]


def fail(logger: logging.Logger, tracer: trace.Tracer) -> None:
    """Fail in a session, three spans deep, behind something that was handled."""
    with session("order-1"), tracer.start_as_current_span("checkout"):
        with tracer.start_as_current_span("cache"):
            logger.error("cache away, falling back")
        logger.info("going on")
        with tracer.start_as_current_span("pay"), tracer.start_as_current_span("charge"):
            try:
                try:
                    raise KeyError("card-\x1b[2J7")  # noqa: EM101, TRY301
                except KeyError as error:
                    raise RuntimeError("no payment") from error  # noqa: EM101, TRY003
            except RuntimeError:
                logger.exception("charge failed")
                raise


def test_text(command: Command, logger: logging.Logger, file_tracer: trace.Tracer) -> None:
    """The cause is told with its path and the exception that began it; nothing drives the terminal."""
    try:
        fail(logger, file_tracer)
    except RuntimeError:
        logger.info("outside")
    done = command("why", "order")
    assert (0, "") == (done.exit_code, done.stderr)
    head, cause, raised, place, also, handled, *more = done.stdout.splitlines()
    assert ("order-1", "cause      charge failed") == (head, cause)
    assert "           KeyError: 'card-\\x1b[2J7'" == raised.replace("\\\\", "\\")
    assert place.endswith("checkout > pay > charge")
    assert also.startswith("also       cache away, falling back")
    assert handled.strip().startswith("handled, ")
    assert any("charge failed" in text for text in more)
    assert "\x1b" not in done.stdout


def test_json(command: Command, logger: logging.Logger, file_tracer: trace.Tracer) -> None:
    """The row holds the cause, and the stored lines around it."""
    try:
        fail(logger, file_tracer)
    except RuntimeError:
        logger.info("outside")
    (row,) = map(json.loads, command("why", "order-1", "--json").stdout.splitlines())
    assert ["checkout", "pay", "charge"] == row["cause"]["path"]
    assert "KeyError" == row["cause"]["exception"]["type"]
    assert ["span", "span", "log", "log", "span", "span", "log"] == [
        it["type"] for it in row["around"]
    ]


def test_open(command: Command, write: Callable[..., Path]) -> None:
    """A span that never ended is the cause where its caller did not end either, and is listed."""
    form = '{"name":"%s","session_id":"job","trace_id":"t","span_id":"%s","parent_span_id":"%s","start_time":"2026-01-01T00:00:0%d.000000Z","state":"open"}'
    lines = [form % ("job", "1", "", 0), form % ("read", "2", "1", 1)]
    write("job.spans.jsonl", *(line.encode() for line in lines))
    done = command("why", "job")
    _, cause, *more = done.stdout.splitlines()
    assert (0, "cause      read has not ended") == (done.exit_code, cause)
    assert {"open       job", "open       job > read"} <= {*more}


def test_status(command: Command, logger: logging.Logger) -> None:
    """A session in which nothing failed is 1, with a line about that; one that is not there is 1, too."""
    with session("fine"):
        logger.info("done")
    done = command("why", "fine")
    assert (1, "", "nothing failed in session fine\n") == (done.exit_code, done.stdout, done.stderr)
    (row,) = map(json.loads, command("why", "fine", "--json").stdout.splitlines())
    assert row["cause"] is None
    assert 1 == command("why", "nobody").exit_code

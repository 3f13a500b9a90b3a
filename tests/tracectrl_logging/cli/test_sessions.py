"""``sessions``: which sessions there are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tracectrl.session import session

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable
    from pathlib import Path

    import pytest
    from click.testing import Result
    from opentelemetry import trace

    Command = Callable[..., Result]
    Write = Callable[..., Path]

HOSTILE_IDS = ["../x", "a b", "übung", "x" * 300, "\x1b[2Ja\nb", "[bold]b[/bold]", "\u202e"]


def log_to(logger: logging.Logger, *ids: str) -> None:
    """Log a line to each of these sessions, one after the other."""
    for sid in ids:
        with session(sid):
            logger.info("hello")


def test_json(command: Command, logger: logging.Logger, file_tracer: trace.Tracer) -> None:
    """A row holds the session's numbers under stable keys, and is strict JSON."""
    with session("s"), file_tracer.start_as_current_span("span"):
        logger.error("broken")
    (line,) = command("sessions", "--json").stdout_bytes.splitlines()
    row = json.loads(line)
    assert {"session_id": "s", "logs": 1, "spans": 1, "errors": 1, "services": ["api"]} == {
        key: row[key] for key in row if key not in ("first_time", "last_time")
    }
    assert row["first_time"] < row["last_time"]


def test_hostile_ids_as_json(command: Command, logger: logging.Logger) -> None:
    """IDs come back exactly, the latest first, that of records outside a session included."""
    logger.info("outside")
    log_to(logger, *HOSTILE_IDS)
    rows = map(json.loads, command("sessions", "--json").stdout_bytes.splitlines())
    assert [*reversed(HOSTILE_IDS), "unknown"] == [row["session_id"] for row in rows]


def test_hostile_ids_as_text(command: Command, logger: logging.Logger) -> None:
    """What an ID holds reaches the terminal neither as an escape sequence nor as markup."""
    log_to(logger, *HOSTILE_IDS)
    for more in ({}, {"FORCE_COLOR": "1"}):
        text = command("sessions", **more).stdout
        assert r"\x1b[2Ja\nb" in text
        assert "[bold]b[/bold]" in text
        assert r"\u202e" in text
        assert "x" * 300 in text
        assert "\x1b[2J" not in text


def test_text(command: Command, write: Write) -> None:
    """A table, unbroken in a pipe; a service's name cannot drive the terminal either."""
    write(
        "a1b2c3d4-e5f6-7890-abcd-ef1234567890.logs.jsonl",
        b'{"timestamp":"2025-01-01T00:00:00.000000Z","level":"ERROR","service":"\\u001b[1m"}',
        b'{"timestamp":"2025-01-02T03:04:05.678901Z"}',
    )
    write("empty.logs.jsonl")
    assert [
        "SESSION                               FIRST (UTC)          LAST (UTC)           LOGS  SPANS  ERRORS  SERVICES",
        r"a1b2c3d4-e5f6-7890-abcd-ef1234567890  2025-01-01 00:00:00  2025-01-02 03:04:05     2      0       1  \x1b[1m",
        "empty                                 -                    -                       0      0       0",
    ] == command("sessions").stdout.splitlines()


def test_limit(command: Command, logger: logging.Logger) -> None:
    """``--limit`` keeps the latest."""
    log_to(logger, "a", "b", "c")
    rows = command("sessions", "--json", "--limit", "2").stdout_bytes.splitlines()
    assert ["c", "b"] == [json.loads(row)["session_id"] for row in rows]
    assert 3 == len(command("sessions", "-n", "2").stdout.splitlines())


def test_narrow_terminal(command: Command, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the table is too wide for the terminal a session takes two lines, its ID whole."""
    sid = "a1b2c3d4-e5f6-7890-abcd-ef1234567890"
    write(
        f"{sid}.logs.jsonl",
        b'{"timestamp":"2025-01-01T00:00:00.000000Z","service":"api"}',
        b'{"timestamp":"2025-01-01T03:04:05.678901Z","level":"ERROR"}',
    )
    monkeypatch.setattr("tracectrl_logging.cli.screen.Screen.width", 80)
    assert [
        f"{sid}  api",
        "  2025-01-01 00:00:00 - 03:04:05  2 logs  0 spans  1 error",
    ] == command("sessions").stdout.splitlines()

"""Sessions in numbers."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from tracectrl.session import session
from tracectrl_logging.reader import Damage, SessionSummary, sessions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from opentelemetry import trace

    Write = Callable[..., Path]


def test_real_files(
    root: Path,
    logger: logging.Logger,
    file_tracer: trace.Tracer,
    lines: Callable[..., list[dict[str, str]]],
) -> None:
    """Lines, spans, errors, services and both ends of the time are the session's own."""
    logging.addLevelName(45, "ALARM")
    with session("s"):
        for level in (10, 20, 30, 40, 45, 50):
            logger.log(level, '"level":"ERROR"', extra={"extra": {"level": "ERROR"}})
        with file_tracer.start_as_current_span("span"):
            pass
    logger.error("outside")
    summaries = {summary.session_id: summary for summary in sessions(root)}
    assert {"s", "unknown"} == set(summaries)
    summary = summaries["s"]
    assert (6, 1, 3, ("api",)) == (summary.logs, summary.spans, summary.errors, summary.services)
    assert lines("s")[0]["timestamp"] == summary.first_time
    assert summary.last_time is not None
    assert summary.last_time > lines("s")[-1]["timestamp"]


def test_order(write: Write, root: Path) -> None:
    """The session with the latest line is first; sessions without a time are last."""
    write("a.logs.jsonl", b'{"timestamp":"2025-01-01T00:00:00.000000Z"}')
    write("b.logs.jsonl", b'{"timestamp":"2025-01-03T00:00:00.000000Z"}')
    write("c.spans.jsonl", b'{"end_time":"2025-01-02T00:00:00.000000Z"}')
    write("z.logs.jsonl")
    write("y.logs.jsonl", b"garbage")
    ids = [summary.session_id for summary in sessions(root, on_damage=lambda _: None)]
    assert ["b", "c", "a", "y", "z"] == ids


def test_strange_values(write: Write, root: Path) -> None:
    """Values of other types than the contract's are counted as what they are: lines."""
    write(
        "s.logs.jsonl",
        b"{}",
        b'{"level":["ERROR"],"service":1,"timestamp":5}',
        b'{"level":"error","service":null,"timestamp":"2025-01-02T00:00:00+01:00"}',
        b'{"level":"ERROR","service":"b","timestamp":"9999-99-99T99:99:99.99999Z"}',
        b'{"level":"CRITICAL","service":"a","timestamp":"2025-01-01T22:00:00.000000Z"}',
    )
    assert [
        SessionSummary(
            session_id="s",
            first_time="2025-01-01T22:00:00.000000Z",
            last_time="2025-01-01T23:00:00.000000Z",
            logs=5,
            spans=0,
            errors=3,
            services=("a", "b"),
            duration_ns=3600 * 1_000_000_000,
            first_message=None,
        )
    ] == sessions(root)


def test_first_message(write: Write, root: Path) -> None:
    """The first message is that of the earliest log line, not of the first in the file."""
    write(
        "s.logs.jsonl",
        b'{"message":"without a time"}',
        b'{"message":"later","timestamp":"2025-01-02T00:00:00.000000Z"}',
        b'{"message":"first","timestamp":"2025-01-01T00:00:00Z"}',
        b'{"message":"as early","timestamp":"2025-01-01T00:00:00.000000Z"}',
    )
    write("s.spans.jsonl", b'{"start_time":"2024-01-01T00:00:00.000000Z","message":"no log"}')
    write("t.logs.jsonl", b'{"message":"without a time"}', b'{"message":"another"}')
    write("u.logs.jsonl", b'{"message":{"no":"text"}}')
    messages = {summary.session_id: summary.first_message for summary in sessions(root)}
    assert {"s": "first", "t": "without a time", "u": None} == messages


def test_no_day_of_any_year(write: Write, root: Path) -> None:
    """A time that only looks like one leaves the duration unknown."""
    write("s.logs.jsonl", b'{"timestamp":"2025-13-01T00:00:00.000000Z"}')
    assert [None] == [summary.duration_ns for summary in sessions(root)]


def test_damage(write: Write, root: Path) -> None:
    """Damaged lines do not count, and each is reported once."""
    path = write("s.logs.jsonl", b'{"level":"ERROR"}', b'{"level":"ERROR"', b"{}")
    damages: list[Damage] = []
    (summary,) = sessions(root, on_damage=damages.append)
    assert (2, 1) == (summary.logs, summary.errors)
    assert [Damage(str(path), 2, "not JSON")] == damages


def test_empty_root(root: Path) -> None:
    """A root without files has no sessions."""
    root.mkdir()
    assert [] == sessions(root)

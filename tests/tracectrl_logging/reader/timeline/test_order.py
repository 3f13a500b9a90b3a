"""Spans and log lines of a session in time order, in bounded memory."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tracectrl.session import session
from tracectrl_logging.reader import read
from tracectrl_logging.reader.timeline import order as merge

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable
    from pathlib import Path

    from opentelemetry import trace

    Write = Callable[..., Path]


def log(second: int, message: object) -> bytes:
    """Return a log line at *second*."""
    return b'{"timestamp":"2025-01-01T00:%02d:%02d.000000Z","message":"%s"}' % (
        *divmod(second, 60),
        str(message).encode(),
    )


def span(second: int, name: str) -> bytes:
    """Return a span line that starts at *second*."""
    return b'{"name":"%s","start_time":"2025-01-01T00:00:%02d.000000Z"}' % (name.encode(), second)


def said(root: Path) -> list[str]:
    """Return the messages and names of the session ``s`` in the order they are read."""
    return [str(line.row.get("message", line.row.get("name"))) for line in read("s", root)]


def test_real_files(root: Path, logger: logging.Logger, file_tracer: trace.Tracer) -> None:
    """Spans stand where they start, though they are written when they end."""
    with session("s"):
        logger.info("1")
        with file_tracer.start_as_current_span("2"):
            logger.info("3")
            with file_tracer.start_as_current_span("4"):
                logger.info("5")
            logger.info("6")
    assert list("123456") == said(root)
    assert sorted(said(root)) == said(root)


def test_backwards(write: Write, root: Path) -> None:
    """Times that run backwards are put right, in each file and across the rotated ones."""
    write("s.logs.jsonl.1", log(5, "5"), log(1, "1"))
    write("s.logs.jsonl", log(4, "4"), log(0, "0"), log(6, "6"))
    write("s.spans.jsonl", span(3, "3"), span(2, "2"))
    assert list("0123456") == said(root)


def test_equal_times(write: Write, root: Path) -> None:
    """At one time spans come first, and each kind stays in the order of writing."""
    write("s.logs.jsonl.1", log(1, "c"), log(1, "d"))
    write("s.logs.jsonl", log(1, "e"))
    write("s.spans.jsonl", span(1, "a"), span(1, "b"))
    assert list("abcde") == said(root)


def test_without_time(write: Write, root: Path) -> None:
    """A line without a time stays behind the one before it."""
    write("s.logs.jsonl", log(2, "c"), b'{"message":"d"}', log(1, "a"), b'{"message":"b"}')
    assert list("abcd") == said(root)


@pytest.mark.parametrize("run_bytes", [1, 1000, 100_000_000])
def test_large(run_bytes: int, write: Write, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit into memory is sorted just the same, with every field of a line."""
    seconds = list(range(600)) * 2
    random.Random(1).shuffle(seconds)  # noqa: S311 - the same order each time
    rows = [log(second, number) for number, second in enumerate(seconds)]
    write("s.logs.jsonl.1", *rows[:700])
    write("s.logs.jsonl", *rows[700:], rb'{"message":"\ud800"}')
    expected = list(read("s", root))
    monkeypatch.setattr(merge, "RUN_BYTES", run_bytes)
    assert expected == list(read("s", root))
    assert sorted(line.time for line in expected) == [line.time for line in expected]


def test_long_lines(write: Write, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines that are too long to wait in memory come in order, as they are stored."""
    texts = [letter * size for size in (40_000, 5, 200_000, 70_000) for letter in "xü"]
    rows = [log(len(texts) - number, text) for number, text in enumerate(texts)]
    write("s.logs.jsonl", *rows)
    monkeypatch.setattr(merge, "RUN_BYTES", 100_000)
    lines = list(read("s", root))
    assert [line.raw for line in lines] == rows[::-1]
    assert [line.row["message"] for line in lines] == texts[::-1]
    assert [line.number for line in lines] == list(range(len(texts), 0, -1))


def test_growing(root: Path, logger: logging.Logger) -> None:
    """A file that grows while it is read gives whole lines, and each of them once."""
    with session("s"):
        for number in range(100):
            logger.info("%d", number)
        reading = read("s", root)
        first = next(reading)
        for number in range(100, 200):
            logger.info("%d", number)
        rest = [line.row["message"] for line in reading]
    messages = [first.row["message"], *rest]
    assert [str(number) for number in range(len(messages))] == messages


def test_early_end(root: Path, logger: logging.Logger) -> None:
    """A reading that is given up closes its files."""
    with session("s"):
        logger.info("1")
        logger.info("2")
    reading = read("s", root)
    assert "1" == next(reading).row["message"]
    reading.close()  # type: ignore[attr-defined] # an open file would be a warning, an error here

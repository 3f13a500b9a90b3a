"""What waits on disk comes back as it was: long lines, and many things in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracectrl_logging.reader.timeline import spill as module
from tracectrl_logging.reader.timeline.spill import Shelf, SpillFile, Spool

if TYPE_CHECKING:
    import pytest


def test_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """They come back sorted, as often as asked, from memory and from disk."""
    for most in (1000, 7):
        monkeypatch.setattr(module, "_IN_MEMORY", most)
        numbers = [number * 37 % 101 for number in range(100)]
        spool = Spool(iter(numbers), key=lambda number: (-number,))
        expected = sorted(numbers, reverse=True)
        assert (100, expected, expected) == (len(spool), list(spool), list(spool))


def test_nothing() -> None:
    """Nothing is no error, and false."""
    spool = Spool[int]([], key=lambda number: number)
    assert ([], False) == (list(spool), bool(spool))


def test_file() -> None:
    """Parts come back from where they were put; beyond the end there is nothing."""
    file = SpillFile()
    assert b"" == file.read(0, 5)
    starts = [file.append(b"one", b"two"), file.append(), file.append(b"three")]
    assert [0, 6, 6] == starts
    assert (b"onetwo", b"three", b"e", b"") == (
        file.read(0, 6),
        file.read(6, 5),
        file.read(10, 9),
        file.read(11, 1),
    )


def test_lines_come_back() -> None:
    """Long and short ones, in any order, as often as asked; only the short ones are in memory."""
    lines = [bytes([65 + number]) * size for number, size in enumerate((0, 1, 3_000_000, 5, 2**20))]
    shelf = Shelf()
    kept = [shelf.put(line) for line in lines]
    assert [True, True, False, True, False] == [isinstance(one, bytes) for one in kept]
    assert lines[::-1] == [shelf.get(one) for one in reversed(kept)]
    assert lines == [shelf.get(one) for one in kept]

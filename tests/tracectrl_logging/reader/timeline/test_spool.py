"""Many things in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracectrl_logging.reader.timeline import spool as module
from tracectrl_logging.reader.timeline.spool import Spool

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

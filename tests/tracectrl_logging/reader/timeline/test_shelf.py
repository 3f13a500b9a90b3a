"""Lines that wait come back as they were, the long ones from the disk."""

from __future__ import annotations

from tracectrl_logging.reader.timeline.shelf import Shelf


def test_lines_come_back() -> None:
    """Long and short ones, in any order, as often as asked; only the short ones are in memory."""
    lines = [bytes([65 + number]) * size for number, size in enumerate((0, 1, 3_000_000, 5, 2**20))]
    shelf = Shelf()
    kept = [shelf.put(line) for line in lines]
    assert [True, True, False, True, False] == [isinstance(one, bytes) for one in kept]
    assert lines[::-1] == [shelf.get(one) for one in reversed(kept)]
    assert lines == [shelf.get(one) for one in kept]

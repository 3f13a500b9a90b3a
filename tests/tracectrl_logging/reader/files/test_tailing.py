"""The last lines: over several files, backwards from their ends."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest

from tracectrl_logging.reader import Damage, UnknownSessionError, tail
from tracectrl_logging.reader.filters.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[..., None]


@pytest.fixture
def write(root: Path) -> Write:
    """Return the function that writes lines with these numbers, which are also their times."""

    def to(name: str, *numbers: int) -> None:
        root.mkdir(exist_ok=True)
        rows = (
            {"timestamp": f"2026-01-01T00:{number // 60:02}:{number % 60:02}.000000Z", "n": number}
            for number in numbers
        )
        data = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        (root / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)

    return to


def numbers(*sids: str, root: Path, **options: object) -> list[int]:
    """Return the numbers of the last lines."""
    return [line.row["n"] for line in tail(*sids, root=root, **options)]  # type: ignore[arg-type]


def test_over_files(write: Write, root: Path) -> None:
    """Backups, compressed ones too, and other sessions are part of it, in the order of time."""
    write("a.logs.jsonl.2.gz", 0, 2)
    write("a.logs.jsonl.1", 4, 5)
    write("a.logs.jsonl", 7)
    write("b.logs.jsonl", 1, 3, 6)
    assert list(range(8)) == numbers(root=root)
    assert [2, 3, 4, 5, 6, 7] == numbers(root=root, count=6)
    assert [2, 4, 5, 7] == numbers("a", root=root, count=4)
    assert [] == numbers(root=root, count=0)
    assert list(range(8)) == numbers(root=root, count=None)


def test_long_file(write: Write, root: Path) -> None:
    """Lines are put together again where the blocks that are read cut them."""
    write("a.logs.jsonl", *range(3_000))
    assert list(range(500, 3_000)) == numbers(root=root, count=2_500)
    assert list(range(3_000)) == numbers(root=root, count=None)


def test_selection(write: Write, root: Path) -> None:
    """The last lines are the last of those that are meant."""
    write("a.logs.jsonl", *range(100))
    since = Selection(since="2026-01-01T00:00:10.000000Z", until="2026-01-01T00:00:20.000000Z")
    assert [18, 19, 20] == numbers(root=root, count=3, selection=since)
    assert list(range(10, 21)) == numbers(root=root, count=None, selection=since)


def test_order_of_writing(write: Write, root: Path) -> None:
    """In one file the order of writing stands, whatever its times are."""
    write("a.logs.jsonl", 5, 1, 9, 2, 3)
    assert [9, 2, 3] == numbers(root=root, count=3)


def test_damage(root: Path) -> None:
    """Damage among the last lines is reported; a last line without a newline counts."""
    root.mkdir()
    path = root / "a.logs.jsonl"
    path.write_bytes(b'{"n":0}\nnonsense\n\n{"n":1}')
    damages: list[Damage] = []
    assert [0, 1] == numbers(root=root, on_damage=damages.append)
    assert [str(path)] == [damage.path for damage in damages]


def test_unknown(root: Path) -> None:
    """A session without files is an error, and so is a root that is not there."""
    with pytest.raises(FileNotFoundError):
        tail(root=root)
    root.mkdir()
    with pytest.raises(UnknownSessionError):
        tail("a", root=root)

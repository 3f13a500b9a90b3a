"""The last lines: over several files, backwards from their ends."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest

from tracectrl_logging.reader import Damage, UnknownSessionError, read, tail
from tracectrl_logging.reader.filters.conditions import conditions
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


def test_a_line_without_a_time_has_that_of_the_line_before(root: Path) -> None:
    """It may be in an older file, or not be meant; ``read`` gives the same times."""
    root.mkdir()
    (root / "a.logs.jsonl.2.gz").write_bytes(
        gzip.compress(b'{"n":0}\n{"n":1,"timestamp":"2026-01-01T00:00:09.000000Z"}\n')
    )
    (root / "a.logs.jsonl.1").write_bytes(b'{"n":2}\n{"n":3}\n')
    (root / "a.logs.jsonl").write_bytes(
        b'{"n":4}\n{"n":5,"timestamp":"2026-01-01T00:00:12.000000Z","k":1}\n{"n":6}\n'
    )
    expected = [(line.row["n"], line.time) for line in read("a", root)]
    assert ["", "09", "09", "09", "09", "12", "12"] == [time[17:19] for _, time in expected]
    for count in (*range(1, 8), None):
        found = [(line.row["n"], line.time) for line in tail("a", root=root, count=count)]
        assert expected[-(count or 7) :] == found
    selection = Selection(where=conditions("n=6"))
    assert expected[-1:] == [
        (line.row["n"], line.time) for line in tail("a", root=root, selection=selection)
    ]


@pytest.mark.parametrize("packed", [False, True])
def test_otlp(root: Path, *, packed: bool) -> None:
    """Log lines that are stored as OTLP are the lines that they hold, and the session's own."""
    root.mkdir()
    records = [{"timeUnixNano": str(number), "body": {"stringValue": "x"}} for number in (1, 2, 3)]
    request = {"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}
    data = json.dumps(request).encode() + b"\n"
    path = root / ("s.logs.jsonl.1.gz" if packed else "s.logs.jsonl")
    path.write_bytes(gzip.compress(data) if packed else data)
    expected = [(line.session_id, line.time, line.row["message"]) for line in read("s", root)]
    assert 3 == len(expected)
    for count in (3, None):
        found = tail(root=root, count=count)
        assert expected == [(it.session_id, it.time, it.row["message"]) for it in found]
    assert expected[1:] == [
        (it.session_id, it.time, it.row["message"]) for it in tail("s", root=root, count=2)
    ]


def test_a_compressed_file_beside_its_plain_one(write: Write, root: Path) -> None:
    """While both are there, they are one."""
    write("a.logs.jsonl.1", 0, 1)
    write("a.logs.jsonl.1.gz", 0, 1)
    write("a.logs.jsonl", 2)
    for count in (10, None):
        assert [0, 1, 2] == numbers(root=root, count=count)

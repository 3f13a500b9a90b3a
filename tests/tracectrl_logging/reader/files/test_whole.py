"""Small files are read at once where that makes no difference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tracectrl_logging.reader.files.root import Listing
from tracectrl_logging.reader.files.whole import latest_time, whole_rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tracectrl.files.listing import StoredSession

    Write = Callable[[str, bytes], object]

EARLY, LATE = "2025-01-01T00:00:00.000000Z", "2025-01-02T00:00:00.000000Z"
LINE = f'{{"timestamp":"{EARLY}","level":"INFO","message":"m"}}\n'.encode()
LATER = LINE.replace(EARLY.encode(), LATE.encode())
SPAN = f'{{"name":"s","start_time":"{EARLY}","end_time":"{LATE}"}}\n'.encode()


@pytest.fixture
def write(root: Path) -> Write:
    """Return the function that gives the file of a name its content."""
    root.mkdir()
    return lambda name, content: (root / name).write_bytes(content)


@pytest.fixture
def listed(root: Path) -> Callable[[], StoredSession]:
    """Return the function that lists the root's only session."""
    return lambda: Listing(root).sessions[0]


def test_own_lines(write: Write, listed: Callable[[], StoredSession]) -> None:
    """Lines of our own come as they are; without a file there are none."""
    write("s.logs.jsonl", LATER + LINE)
    found = listed()
    rows = whole_rows(found, "log")
    assert rows is not None
    assert [LATE, EARLY] == [row["timestamp"] for row in rows]
    assert [] == whole_rows(found, "span")
    assert LATE == latest_time(found)


def test_foreign_lines(write: Write, listed: Callable[[], StoredSession]) -> None:
    """A line with a time of ours and another's level has its level under our name; its time is told where it is first."""
    write("s.logs.jsonl", LINE.replace(b'"INFO"', b'"warn"').replace(b'":"', b'": "'))
    rows = whole_rows(listed(), "log")
    assert rows is not None
    assert ["WARNING"] == [row["level"] for row in rows]
    assert EARLY == latest_time(listed())
    write("s.logs.jsonl", LINE.replace(b'{"', b'{"a":1,"'))
    assert latest_time(listed()) is None


def test_spans(write: Write, listed: Callable[[], StoredSession]) -> None:
    """The latest time is that of an end or, where a clock was set back, of a start."""
    write("s.spans.jsonl", SPAN)
    assert LATE == latest_time(listed())
    write("s.spans.jsonl", SPAN.replace(EARLY.encode(), b"2026-01-01T00:00:00.000000Z"))
    assert "2026-01-01T00:00:00.000000Z" == latest_time(listed())


@pytest.mark.parametrize(
    "content",
    [
        LINE[:-1],
        LINE + b"\n",
        LINE + b"torn\n",
        LINE + b"[1]\n",
        LINE + b'{"message":"no time"}\n',
        b"\xef\xbb\xbf" + LINE,
        LINE * 1000,
    ],
)
def test_what_is_out_of_the_ordinary(
    content: bytes, write: Write, listed: Callable[[], StoredSession]
) -> None:
    """Damage, a missing time, an end without a newline and large files are read line by line."""
    write("s.logs.jsonl", content)
    assert whole_rows(listed(), "log") is None
    assert latest_time(listed()) is None


def test_several_files(write: Write, listed: Callable[[], StoredSession]) -> None:
    """Backups and compressed files are read line by line, and so is what was renamed meanwhile."""
    write("s.logs.jsonl", LINE)
    before = listed()
    write("s.logs.jsonl.1", LINE)
    assert whole_rows(before, "log") is None
    assert whole_rows(listed(), "log") is None
    assert [] == whole_rows(listed(), "span")

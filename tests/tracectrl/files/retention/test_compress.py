"""Compressing idle sessions, and what becomes of those that wake up."""

from __future__ import annotations

import gzip
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.errors import MissingExtraError
from tracectrl.files.names import OVERFLOW_STEM
from tracectrl.files.retention.compress import Compressed, CompressTotals, compress
from tracectrl.files.retention.prune import prune
from tracectrl.files.write.appender import Appender

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tracectrl.files.compression import Format

LINE = b'{"message":"%s"}\n' % (b"x" * 500)


@pytest.fixture
def make(root: Path) -> Callable[..., None]:
    """Return the function that makes files of ten lines, so many seconds old."""
    root.mkdir()

    def files(seconds: float, *names: str) -> None:
        for name in names:
            (root / name).write_bytes(LINE * 10)
            os.utime(root / name, (time.time() - seconds,) * 2)

    return files


def compressed(root: Path, **options: Any) -> list[Compressed]:
    """Compress, and return what was reported."""
    seen: list[Compressed] = []
    compress(root, report=seen.append, **options)
    return seen


def names(root: Path) -> list[str]:
    """Return the names of the files."""
    return sorted(os.listdir(root))


@pytest.mark.parametrize("packed", ["gz", "zst"])
def test_a_session(packed: Format, make: Callable[..., None], root: Path) -> None:
    """All files of an idle session are compressed, the live ones as its newest backups."""
    make(100, "s.logs.jsonl", "s.logs.jsonl.1", "s.spans.jsonl", "s.logs.jsonl.2")
    (it,) = compressed(root, packed=packed)
    assert ("s", 4, 40 * len(LINE), "compress", None) == (
        it.session_id,
        it.files,
        it.size_bytes,
        it.action,
        it.error,
    )
    assert [
        f"s.logs.jsonl.1.{packed}",
        f"s.logs.jsonl.2.{packed}",
        f"s.logs.jsonl.3.{packed}",
        f"s.spans.jsonl.1.{packed}",
    ] == names(root)
    assert it.packed_bytes == sum(path.stat().st_size for path in root.iterdir())
    assert [] == compressed(root, packed=packed)


def test_age(make: Callable[..., None], root: Path) -> None:
    """A compressed session is as old as before, so that pruning takes the same ones."""
    make(7200, "old.logs.jsonl")
    make(10, "new.logs.jsonl")
    compress(root)
    assert 1 == prune(root, older_than_s=3600).removed
    assert ["new.logs.jsonl.1.gz"] == names(root)


def test_idle(make: Callable[..., None], root: Path) -> None:
    """``idle_s`` leaves sessions that were written since; the last write of any file counts."""
    make(700, "a.logs.jsonl", "b.logs.jsonl.1")
    make(500, "b.logs.jsonl")
    assert ["a"] == [it.session_id for it in compressed(root, idle_s=600)]
    assert ["b"] == [it.session_id for it in compressed(root, idle_s=400)]


def test_being_written(make: Callable[..., None], root: Path) -> None:
    """An open session is left and reported, with all of its files."""
    make(10, "s.logs.jsonl.1")
    appender = Appender(root, ".logs.jsonl")
    appender.append("s", LINE)
    assert [("s", "in_use", 0)] == [(it.session_id, it.action, it.files) for it in compressed(root)]
    assert ["s.logs.jsonl", "s.logs.jsonl.1"] == names(root)
    appender.close()
    assert ["compress"] == [it.action for it in compressed(root)]


def test_waking_up(root: Path) -> None:
    """A session that wakes up goes on in a new file, which is compressed in its turn."""
    appender = Appender(root, ".logs.jsonl")
    for number in range(3):
        appender.append("s", b"%d\n" % number)
        appender.close()
        compress(root)
    assert {f"s.logs.jsonl.{3 - number}.gz": b"%d\n" % number for number in range(3)} == {
        path.name: gzip.decompress(path.read_bytes()) for path in root.iterdir()
    }


def test_forgotten(root: Path) -> None:
    """A file that is open but was not written for an hour is compressed; its writer goes on."""
    appender = Appender(root, ".logs.jsonl")
    appender.append("s", b"1\n")
    os.utime(root / "s.logs.jsonl", (time.time() - 4000,) * 2)
    start = time.monotonic()
    assert ["compress"] == [it.action for it in compressed(root)]
    assert time.monotonic() - start >= 1  # a writer that has just looked may write for so long
    appender.append("s", b"2\n")
    assert ["s.logs.jsonl", "s.logs.jsonl.1.gz"] == names(root)
    assert b"2\n" == (root / "s.logs.jsonl").read_bytes()


def test_a_forgotten_one_wakes_up(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a writer writes into the file that was moved is not lost: that file stays."""
    appender = Appender(root, ".logs.jsonl")
    appender.append("s", b"1\n")
    os.utime(root / "s.logs.jsonl", (time.time() - 4000,) * 2)
    monkeypatch.setattr(time, "sleep", lambda _: appender.append("s", b"2\n"))
    assert ["in_use"] == [it.action for it in compressed(root)]
    assert {"s.logs.jsonl.1": b"1\n2\n"} == {
        path.name: path.read_bytes() for path in root.iterdir()
    }


def test_empty_files(make: Callable[..., None], root: Path) -> None:
    """Files without a line are left as they are, and are nothing to do."""
    make(10)
    for name in ("s.logs.jsonl", "s.logs.jsonl.1"):
        (root / name).write_bytes(b"")
    assert [] == compressed(root)
    (root / "s.spans.jsonl").write_bytes(LINE)
    assert [1] == [it.files for it in compressed(root)]
    assert ["s.logs.jsonl", "s.logs.jsonl.1", "s.spans.jsonl.1.gz"] == names(root)


def test_the_file_of_many(make: Callable[..., None], root: Path) -> None:
    """The file of the sessions past a limit is compressed like a session's; it has no ID."""
    make(10, f"{OVERFLOW_STEM}.logs.jsonl")
    assert [None] == [it.session_id for it in compressed(root)]
    assert [f"{OVERFLOW_STEM}.logs.jsonl.1.gz"] == names(root)


def test_dry_run(make: Callable[..., None], root: Path) -> None:
    """A dry run changes nothing and says what would be done; the sizes after nobody knows."""
    make(10, "s.logs.jsonl", "s.spans.jsonl.1", "t.logs.jsonl.1.gz", ".compressing-1")
    before = names(root)
    (it,) = compressed(root, dry_run=True)
    assert ("s", 2, 20 * len(LINE), None) == (
        it.session_id,
        it.files,
        it.size_bytes,
        it.packed_bytes,
    )
    assert before == names(root)


def test_totals(make: Callable[..., None], root: Path) -> None:
    """The numbers add up; what killed runs have left goes."""
    make(10, "a.logs.jsonl", "a.spans.jsonl", "b.logs.jsonl", ".compressing-1")
    totals = compress(root)
    assert CompressTotals(2, 3, 30 * len(LINE), totals.packed_bytes) == totals
    assert totals.packed_bytes == sum(path.stat().st_size for path in root.iterdir())


def test_a_session_that_cannot_be_compressed(make: Callable[..., None], root: Path) -> None:
    """It is reported with the reason, and the others are compressed all the same."""
    make(10, "a.logs.jsonl.1", "b.logs.jsonl.1")
    (root / "a.logs.jsonl.1.gz").write_bytes(gzip.compress(b"other\n"))
    seen = {it.session_id: it for it in compressed(root)}
    assert ("failed", "compress") == (seen["a"].action, seen["b"].action)
    assert isinstance(seen["a"].error, FileExistsError)
    assert ["a.logs.jsonl.1", "a.logs.jsonl.1.gz", "b.logs.jsonl.1.gz"] == names(root)


def test_a_session_that_cannot_be_opened(
    make: Callable[..., None], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same where the system refuses from the start."""
    make(10, "a.logs.jsonl")
    monkeypatch.setattr("tracectrl.files.locks.FLAGS", os.O_DIRECTORY)
    assert ["failed"] == [it.action for it in compressed(root)]
    assert ["a.logs.jsonl"] == names(root)


def test_wrong_use(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be done is said before anything is: the format, the level, a missing package."""
    packed: Any = "xz"
    with pytest.raises(ValueError, match="'gz' or 'zst', got 'xz'"):
        compress(root, packed=packed)
    with pytest.raises(ValueError, match="gz must be 1 to 9, got 10"):
        compress(root, level=10)
    with pytest.raises(FileNotFoundError):
        compress(root)
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    monkeypatch.setitem(sys.modules, "backports.zstd", None)
    with pytest.raises(MissingExtraError):
        compress(root, packed="zst")


def test_backups_by_date(make: Callable[..., None], root: Path) -> None:
    """Backups that other programs have named are compressed where they are, and removed with all."""
    make(100, "s.logs.jsonl", "s.logs.jsonl-20260201", "s.logs.jsonl.2026-02-02", "s.logs.jsonl.01")
    make(100, "s.logs.jsonl.1.xz")
    (it,) = compressed(root)
    assert ("s", 4, "compress") == (it.session_id, it.files, it.action)
    assert [
        "s.logs.jsonl-20260201.gz",
        "s.logs.jsonl.01.gz",
        "s.logs.jsonl.1.gz",
        "s.logs.jsonl.1.xz",
        "s.logs.jsonl.2026-02-02.gz",
    ] == names(root)
    assert 1 == prune(root, keep=0).removed
    assert ["s.logs.jsonl.1.xz"] == names(root)

"""Which files belong to which session, whatever else is in the root."""

from __future__ import annotations

import gzip
import logging
import os
from typing import TYPE_CHECKING

import pytest

from tracectrl.session import session
from tracectrl_logging import SessionFileHandler
from tracectrl_logging.reader import Damage, UnknownSessionError, find

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[..., Path]

HOSTILE_IDS = [
    "../x",
    "a b",
    "übung",
    "x" * 300,
    "é" * 300,
    "con",
    ".hidden",
    "a\nb",
    "\x1b[2J",
    "%",
]


def opened(root: Path, sid: str, damages: list[Damage] | None = None) -> list[str]:
    """Return the names of the log files of *sid* in the order in which they are read."""
    files = find.open_chain(
        find.find(sid, root), "log", ([] if damages is None else damages).append
    )
    find.close_all(files)
    return [os.path.basename(file.path) for file in files]


def test_oldest_first(write: Write, root: Path) -> None:
    """A session's files are read from the highest backup down to the live file, packed or not."""
    for name in ("s.logs.jsonl", "s.logs.jsonl.1", "s.logs.jsonl.2", "s.logs.jsonl.10"):
        write(name, name.encode())
    (root / "s.logs.jsonl.3.gz").write_bytes(gzip.compress(b"{}\n"))
    expected = ["s.logs.jsonl.10", "s.logs.jsonl.3.gz", "s.logs.jsonl.2", "s.logs.jsonl.1"]
    assert [*expected, "s.logs.jsonl"] == opened(root, "s")


def test_rotated_by_the_handler(root: Path) -> None:
    """What the handler rotates is found, the whole chain of it."""
    handler = SessionFileHandler(root, max_bytes=200, backup_count=3)
    record = logging.makeLogRecord({"name": "app", "msg": "x" * 100, "session_id": "s"})
    for _ in range(6):
        handler.emit(record)
    handler.close()
    expected = ["s.logs.jsonl.3", "s.logs.jsonl.2", "s.logs.jsonl.1", "s.logs.jsonl"]
    assert expected == opened(root, "s")


def test_foreign_files(write: Write, root: Path) -> None:
    """Other names, directories, pipes and symbolic links are not session files."""
    live = write("s.logs.jsonl", b"{}")
    for name in (
        "notes.txt",
        "s.jsonl",
        "s.logs.jsonl.bak",
        ".logs.jsonl",
        "%zz.logs.jsonl",
        "a%b.logs.jsonl",
    ):
        write(name, b"{}")
    (root / "d.logs.jsonl").mkdir()
    (root / "l.logs.jsonl").symlink_to(live)
    os.mkfifo(root / "f.logs.jsonl")
    assert ["s"] == [found.stem for found in find.find_all(root)]


@pytest.mark.parametrize("sid", HOSTILE_IDS)
def test_hostile_ids(sid: str, root: Path, logger: logging.Logger) -> None:
    """Whatever an ID looks like, its file is found by it, and the ID by the file."""
    with session(sid):
        logger.info("hello")
    (found,) = find.find_all(root)
    assert (sid, found) == (find.id_of(found), find.find(sid, root))


def test_stem_for_a_lost_id(root: Path, logger: logging.Logger) -> None:
    """A long ID that no line holds any more is replaced by the file's stem, and that is said."""
    with session("x" * 300):
        logger.info("hello")
    (path,) = root.iterdir()
    path.write_bytes(b"garbage\n")
    damages: list[Damage] = []
    (found,) = find.find_all(root)
    stem = find.id_of(found, damages.append)
    assert ("%~" + "x" * 48, 1, found) == (stem[:50], len(damages), find.find(stem, root))


def test_other_sessions_with_the_same_start(write: Write, root: Path) -> None:
    """A session whose ID begins like another's, a dot in it included, is another."""
    write("a.logs.jsonl", b"{}")
    write("a.b.logs.jsonl", b"{}")
    write("a.spans.jsonl", b"{}")
    assert ["a.logs.jsonl"] == opened(root, "a")
    assert ["a.b.logs.jsonl"] == opened(root, "a.b")


def test_unknown_session(write: Write, root: Path) -> None:
    """An ID without files raises; it does not name another session by its start."""
    write("abc.logs.jsonl", b"{}")
    for sid in ("ab", "", "%~x"):
        with pytest.raises(UnknownSessionError):
            find.find(sid, root)


def test_missing_root(root: Path) -> None:
    """A root that does not exist, or is a file, raises what the system says about it."""
    with pytest.raises(FileNotFoundError, match="traces"):
        find.find_all(root)
    root.write_bytes(b"")
    with pytest.raises(NotADirectoryError, match="traces"):
        find.find_all(root)


def test_being_compressed(write: Write, root: Path) -> None:
    """A file that stands there plain and packed at once is read once."""
    path = write("s.logs.jsonl.1", b'{"n":1}', b'{"n":2}')
    (root / "s.logs.jsonl.1.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert ["s.logs.jsonl.1"] == opened(root, "s")


def test_continued_after_packing(write: Write, root: Path) -> None:
    """A live file beside a packed one with other lines continues it: both are read."""
    write("s.logs.jsonl", b'{"n":2}')
    (root / "s.logs.jsonl.gz").write_bytes(gzip.compress(b'{"n":1}\n'))
    assert ["s.logs.jsonl.gz", "s.logs.jsonl"] == opened(root, "s")


def test_rotated_while_opening(write: Write, root: Path) -> None:
    """A rotation between listing the root and opening the files loses no file."""
    write("s.logs.jsonl", b'{"n":2}')
    write("s.logs.jsonl.1", b'{"n":1}')
    found = find.find("s", root)
    os.rename(root / "s.logs.jsonl.1", root / "s.logs.jsonl.2")
    os.rename(root / "s.logs.jsonl", root / "s.logs.jsonl.1")
    write("s.logs.jsonl", b'{"n":3}')
    files = find.open_chain(found, "log", print)
    numbers = [file.stream.read() for file in files]
    find.close_all(files)
    assert [b'{"n":1}\n', b'{"n":2}\n', b'{"n":3}\n'] == numbers


def test_one_file_under_two_names(write: Write, root: Path) -> None:
    """A file that a rotation has just given a second name is read once."""
    os.link(write("s.logs.jsonl", b"{}"), root / "s.logs.jsonl.1")
    assert ["s.logs.jsonl"] == opened(root, "s")


def test_gone_meanwhile(write: Write, root: Path) -> None:
    """A file that was deleted after the listing is not missed."""
    write("s.logs.jsonl", b"{}")
    backup = write("s.logs.jsonl.1", b"{}")
    found = find.find("s", root)
    backup.unlink()
    damages: list[Damage] = []
    files = find.open_chain(found, "log", damages.append)
    find.close_all(files)
    assert (1, []) == (len(files), damages)


def test_unreadable(write: Write, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may not be opened, or is packed in a way we do not read, is reported."""
    path = write("s.logs.jsonl", b"{}")
    packed = write("s.logs.jsonl.1.zst", b"")
    damages: list[Damage] = []

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert [] == opened(root, "s", damages)
    assert [
        Damage(str(path), None, "Permission denied"),
        Damage(str(packed), None, ".zst files are not supported"),
    ] == damages

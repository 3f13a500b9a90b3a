"""Which files belong to which session, whatever else is in the root."""

from __future__ import annotations

import gzip
import os
from typing import TYPE_CHECKING

import pytest

from tracectrl.session import session
from tracectrl_logging.reader import Damage, UnknownSessionError
from tracectrl_logging.reader.files import find

if TYPE_CHECKING:
    import logging
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


def test_an_id_that_moves(root: Path, logger: logging.Logger) -> None:
    """A long ID is read from its file also where that has been compressed since the listing."""
    with session("x" * 300):
        logger.info("hello")
    (found,) = find.find_all(root)
    (path,) = root.iterdir()
    path.with_name(f"{path.name}.1.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    damages: list[Damage] = []
    assert ("x" * 300, []) == (find.id_of(found, damages.append), damages)


def test_other_sessions_with_the_same_start(write: Write, root: Path) -> None:
    """A session whose ID begins like another's, a dot in it included, is another."""
    write("a.logs.jsonl", b"{}")
    write("a.b.logs.jsonl", b"{}")
    write("a.spans.jsonl", b"{}")
    names = {sid: {name.name for name in find.find(sid, root).names} for sid in ("a", "a.b")}
    assert {"a": {"a.logs.jsonl", "a.spans.jsonl"}, "a.b": {"a.b.logs.jsonl"}} == names


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

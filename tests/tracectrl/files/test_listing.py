"""What is stored under a root, in numbers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tracectrl.files import log_path, span_path
from tracectrl.files.directory import Directory
from tracectrl.files.listing import Stored, id_of, probed, scan_names, stems
from tracectrl.files.listing import scan as scan_directory
from tracectrl.files.names import OVERFLOW_STEM, live_suffix, parsed_suffix

if TYPE_CHECKING:
    from pathlib import Path


def scan(root: Path) -> Stored:
    """Return what is stored under *root*."""
    with Directory(root) as directory:
        return scan_directory(directory)


def test_a_session(root: Path) -> None:
    """All files of a session count: their sizes add up, the newest time is the session's."""
    root.mkdir()
    for number, name in enumerate(
        ("s.logs.jsonl", "s.logs.jsonl.1", "s.spans.jsonl.2.zst", "s.logs.jsonl.3.gz"), 1
    ):
        (root / name).write_bytes(b"x" * number)
        os.utime(root / name, ns=(number, 1000 + number))
    (session,) = scan(root).sessions
    assert ("s", 1004, 10, 3) == (
        session.stem,
        session.last_write_ns,
        session.size_bytes,
        session.plain_bytes,
    )
    assert {".logs.jsonl", ".logs.jsonl.1", ".spans.jsonl.2.zst", ".logs.jsonl.3.gz"} == set(
        session.suffixes
    )
    assert 2.0 == session.age_s(1004 + 2_000_000_000)


def test_others(root: Path) -> None:
    """Files of other names, directories, pipes and symbolic links are not stored sessions."""
    root.mkdir()
    for name in ("notes.txt", ".logs.jsonl", "%zz.logs.jsonl", "s.logs.jsonl.bak", "s.jsonl.gz"):
        (root / name).write_bytes(b"x")
    (root / "d.logs.jsonl").mkdir()
    os.mkfifo(root / "f.logs.jsonl")
    (root / "l.logs.jsonl").symlink_to(root / "notes.txt")
    assert [] == scan(root).sessions


def test_temporary_files(root: Path) -> None:
    """What is being compressed into is no session's, and is found."""
    root.mkdir()
    (root / ".compressing-0123").write_bytes(b"x")
    assert ([], [".compressing-0123"]) == scan(root)


@pytest.mark.parametrize("sid", ["s", "../x", "a b", "é" * 100, "x" * 300, "%", "con"])
def test_ids(sid: str, root: Path) -> None:
    """The ID is known again, for one that the name abbreviates from the lines."""
    root.mkdir()
    span_path(sid, root).write_bytes(b"")
    log_path(sid, root).write_bytes(b'{"session_id":"%s"}\n' % sid.encode())
    (session,) = scan(root).sessions
    assert sid == id_of(session)


def test_ids_that_are_lost(root: Path) -> None:
    """Where no line holds the long ID, the stem stands for it; as it does for the file of many."""
    root.mkdir()
    log_path("x" * 300, root).write_bytes(b"")
    (root / f"{OVERFLOW_STEM}.logs.jsonl").write_bytes(b"")
    found = {id_of(session) for session in scan(root).sessions}
    assert {OVERFLOW_STEM, log_path("x" * 300).name.removesuffix(".logs.jsonl")} == found


def test_suffixes() -> None:
    """A suffix says what the name says."""
    assert ("x", "logs", 3, "gz") == parsed_suffix(".logs.jsonl.3.gz")
    assert ".spans.jsonl" == live_suffix(".spans.jsonl.7")
    with pytest.raises(ValueError, match="not the end"):
        parsed_suffix(".txt")


def test_no_root(root: Path) -> None:
    """A root that is not there raises."""
    with pytest.raises(FileNotFoundError):
        scan_names(root)


def test_names_alone(root: Path) -> None:
    """The names tell the same sessions as the whole scan, whatever else is there."""
    root.mkdir()
    names = ["s.logs.jsonl", "s.logs.jsonl.1", "s.spans.jsonl.2.zst", "a.logs.jsonl.spans.jsonl"]
    others = [
        ".logs.jsonl",
        "%zz.logs.jsonl",
        "s.logs.jsonl.bak",
        "s.logs.jsonl.0",
        ".compressing-1",
    ]
    for name in (*names, *others, "%overflow.logs.jsonl", "b.logs.jsonl.spans.jsonl.3.gz"):
        (root / name).write_bytes(b"x")
    (root / "d.logs.jsonl").mkdir()
    (root / "l.logs.jsonl").symlink_to(root / names[0])
    found = {stem: set(suffixes) for stem, suffixes in scan_names(root).items()}
    assert {
        "s": {".logs.jsonl", ".logs.jsonl.1", ".spans.jsonl.2.zst"},
        "a.logs.jsonl": {".spans.jsonl"},
        "b.logs.jsonl": {".spans.jsonl.3.gz"},
        "%overflow": {".logs.jsonl"},
    } == found
    assert found == {session.stem: set(session.suffixes) for session in scan(root).sessions}
    assert found.keys() == set(stems(root))


def test_one_session(root: Path) -> None:
    """The names of one session are found without a listing, across gaps, and nobody else's."""
    root.mkdir()
    own = ["s.logs.jsonl", "s.logs.jsonl.2.gz", "s.logs.jsonl.30.zst", "s.spans.jsonl.gz"]
    for name in (*own, "s.x.logs.jsonl", "s2.logs.jsonl", "s.logs.jsonl.bak"):
        (root / name).write_bytes(b"x")
    (root / "s.spans.jsonl").mkdir()
    (root / "s.spans.jsonl.1").symlink_to(root / own[0])
    assert sorted(own) == sorted(f"s{suffix}" for suffix in probed(str(root), "s"))
    assert () == probed(str(root), "other")

"""tracectrl.files.rotation: renaming, with several processes at it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from tracectrl.files.hold import hold
from tracectrl.files.rotation import MOVED_WITHIN_S, is_at, rotate

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def make(root: Path, *suffixes: str) -> str:
    """Make the files ``x`` plus each suffix, each holding its suffix; return the path of ``x``."""
    root.mkdir()
    for suffix in suffixes:
        (root / f"x{suffix}").write_text(suffix)
    return str(root / "x")


def rotated(path: str, backup_count: int) -> bool:
    """Rotate *path* through a descriptor of its own."""
    fd = os.open(path, os.O_RDWR)
    try:
        return rotate(fd, path, backup_count)
    finally:
        os.close(fd)


def listing(root: Path) -> dict[str, str]:
    """Return what is in each file, by the suffix of its name."""
    return {path.name[1:]: path.read_text() for path in root.iterdir()}


def test_backups_move_up_and_the_oldest_goes(root: Path) -> None:
    """NAME.1 is the newest; no more than backup_count of them stay."""
    path = make(root, "", ".1", ".2", ".3")

    assert rotated(path, 3)
    assert {".1": "", ".2": ".1", ".3": ".2"} == listing(root)


def test_a_gap_is_filled(root: Path) -> None:
    """Somebody deleted a backup: only those before it have to make room."""
    path = make(root, "", ".1", ".3", ".4")

    assert rotated(path, 4)
    assert {".1": "", ".2": ".1", ".3": ".3", ".4": ".4"} == listing(root)


def test_room_for_many_costs_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A number of backups that is to mean "keep all" makes no rotation slow."""
    path = make(root, "", ".1")
    moved = []
    replace = os.replace

    def counting(*names: str) -> None:
        moved.append(names)
        replace(*names)

    monkeypatch.setattr(os, "replace", counting)
    assert rotated(path, 10**9)
    assert {".1": "", ".2": ".1"} == listing(root)
    assert 4 == len(moved)


def test_the_oldest_stays_until_its_writers_have_noticed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who looks at the path only so often may still write into what was moved a moment ago."""
    path = make(root, "", ".1")
    fd = os.open(f"{path}.1", os.O_RDWR)
    hold(fd)
    waited: list[float] = []

    def writing(seconds: float) -> None:
        waited.append(seconds)
        assert is_at(f"{path}.1", os.fstat(fd))

    monkeypatch.setattr(time, "sleep", writing)
    os.rename(f"{path}.1", f"{path}.2")
    os.rename(f"{path}.2", f"{path}.1")
    assert rotated(path, 1)
    os.close(fd)

    assert 1 == len(waited)
    assert MOVED_WITHIN_S <= waited[0]


def test_nobody_waits_for_writers_that_are_gone(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor for such as have had the time to notice."""
    path = make(root, "", ".1")
    monkeypatch.setattr(time, "sleep", None)
    assert rotated(path, 1)

    (root / "x").write_text("")
    fd = os.open(f"{path}.1", os.O_RDWR)
    hold(fd)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 1)
    assert rotated(path, 1)
    os.close(fd)

    assert [".1"] == list(listing(root))


def test_compressed_backups_move_too(root: Path) -> None:
    """With their suffix."""
    path = make(root, "", ".1", ".2.gz", ".3.zst")

    assert rotated(path, 4)
    assert {".1": "", ".2": ".1", ".3.gz": ".2.gz", ".4.zst": ".3.zst"} == listing(root)


def test_the_oldest_goes_compressed_or_not(root: Path) -> None:
    """One backup has one number: no more than backup_count of them, in whatever form."""
    path = make(root, "", ".1", ".2.gz")
    assert rotated(path, 2)
    assert {".1": "", ".2": ".1"} == listing(root)


def test_a_single_backup_that_was_compressed(root: Path) -> None:
    """The same with one."""
    path = make(root, "", ".1.gz")
    assert rotated(path, 1)
    assert {".1": ""} == listing(root)


def test_whoever_comes_second_rotates_nothing(root: Path) -> None:
    """The file at the path is another one already; the path is free for the answer's purpose."""
    path = make(root, "")
    fd = os.open(path, os.O_RDWR)
    os.rename(path, f"{path}.1")
    (root / "x").write_text("new")

    assert rotate(fd, path, 3)
    os.close(fd)
    assert {"": "new", ".1": ""} == listing(root)


def test_a_rename_that_fails(root: Path) -> None:
    """The answer is no, and the file stays."""
    path = make(root, "")
    (root / "x.1").mkdir()

    assert not rotated(path, 1)
    assert "" == (root / "x").read_text()


def test_is_at(root: Path) -> None:
    """By identity, not by name: a link to the file is another file."""
    path = make(root, "", ".1")
    (root / "link").symlink_to(path)
    fd = os.open(path, os.O_RDWR)
    answers = [is_at(p, os.fstat(fd)) for p in (path, f"{path}.1", str(root / "link"), f"{path}.9")]
    os.close(fd)

    assert [True, False, False, False] == answers

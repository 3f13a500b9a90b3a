"""tracectrl.files.write.rotation: renaming, with several processes at it."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

import pytest

from tracectrl.files.locks import hold
from tracectrl.files.write.rotation import LOOK_EVERY_S, SETTLED_AFTER_S, is_at, rotate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


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


class TestHeld:
    """A backup that a writer has open may get a line still."""

    @pytest.fixture
    def held(self, root: Path) -> Iterator[list[int]]:
        """Return descriptors that are held as writers hold theirs; those of ``.1`` and ``.2``."""
        make(root, "", ".1", ".2")
        fds = [os.open(root / f"x.{number}", os.O_RDWR) for number in (1, 2)]
        for fd in fds:
            hold(fd)
        yield fds
        for fd in fds:
            os.close(fd)

    def test_it_waits_behind_the_others(self, root: Path, held: list[int]) -> None:
        """The name for a new file is free at once: nobody waits, and nothing is removed."""
        path = str(root / "x")
        before = time.monotonic()
        assert rotated(path, 1)
        assert is_at(f"{path}.3", os.fstat(held[0]))
        (root / "x").write_text("new")
        assert rotated(path, 1)

        assert {".1": "new", ".2": ".2", ".3": ".1"} == listing(root)
        assert time.monotonic() - before < LOOK_EVERY_S

    @pytest.mark.parametrize("release", ["closed", "settled"])
    def test_it_goes_with_a_later_rotation(
        self, release: str, root: Path, held: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """When its writer is gone, or has had the time to notice what it writes to."""
        path = str(root / "x")
        assert rotated(path, 1)
        (root / "x").write_text("new")
        if release == "closed":
            os.close(held[0])
            held[0] = os.open(os.devnull, os.O_RDWR)
            expected = {".1": "new", ".2": ".2"}
        else:
            now = time.time()
            monkeypatch.setattr(time, "time", lambda: now + SETTLED_AFTER_S + 0.1)
            expected = {".1": "new"}
        assert rotated(path, 1)

        assert expected == listing(root)

    def test_an_hour_of_writers_that_come_and_go(self, root: Path) -> None:
        """There are never more backups behind the others than writers that hold one."""
        path = make(root, "")
        fds: list[int] = []
        most = 0
        for number in range(100):
            fds.append(os.open(path, os.O_RDWR))
            hold(fds[-1])
            if len(fds) > 3:
                os.close(fds.pop(number % 2))
            assert rotated(path, 2)
            (root / "x").write_text(str(number))
            most = max(most, len(listing(root)))
        for fd in fds:
            os.close(fd)
        assert rotated(path, 2)

        assert most <= 1 + 2 + 2 * 3
        assert {".1": "99", ".2": "98"} == listing(root)

    def test_one_that_is_held_keeps_no_other(self, root: Path) -> None:
        """Those that nobody has open go, wherever they wait, and leave no gap."""
        path = make(root, "", ".1", ".2", ".3", ".4", ".5", ".6")
        with open(f"{path}.4", "r+b") as fourth, open(f"{path}.6", "r+b") as sixth:
            hold(fourth.fileno())
            hold(sixth.fileno())
            assert rotated(path, 1)

            assert {".1": "", ".2": ".4", ".3": ".6"} == listing(root)
        (root / "x").write_text("new")
        assert rotated(path, 1)

        assert {".1": "new"} == listing(root)

    @pytest.mark.parametrize("step", range(8))
    def test_a_process_that_is_killed_in_the_middle(
        self, step: int, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whatever it has done by then, later rotations leave no more backups than there should be."""
        path = make(root, "", ".1", ".2", ".3", ".4", ".5", ".6")
        steps = iter(range(8))

        def ending(act: Callable[..., None]) -> Callable[..., None]:
            def call(*args: str) -> None:
                if next(steps) == step:
                    raise KeyboardInterrupt
                act(*args)

            return call

        with open(f"{path}.4", "r+b") as fourth, open(f"{path}.6", "r+b") as sixth:
            hold(fourth.fileno())
            hold(sixth.fileno())
            with monkeypatch.context() as killed:
                killed.setattr(os, "remove", ending(os.remove))
                killed.setattr(os, "replace", ending(os.replace))
                with contextlib.suppress(KeyboardInterrupt):
                    rotated(path, 2)
        for number in range(4):
            (root / "x").write_text(str(number))
            assert rotated(path, 2)

        assert {".1": "3", ".2": "2"} == listing(root)

    def test_an_archive_stays(self, root: Path) -> None:
        """Compressing makes backups past the count; what comes behind them goes all the same."""
        path = make(root, "", ".1", ".2.gz", ".3.gz")
        with open(f"{path}.1", "r+b") as stream:
            hold(stream.fileno())
            assert rotated(path, 1)
        (root / "x").write_text("new")
        assert {"": "new", ".1": "", ".2.gz": ".2.gz", ".3.gz": ".3.gz", ".4": ".1"} == listing(
            root
        )
        assert rotated(path, 1)

        assert {".1": "new", ".2.gz": ".2.gz", ".3.gz": ".3.gz"} == listing(root)

    def test_fewer_backups_than_before(self, root: Path) -> None:
        """A lower backup_count holds for those that are there."""
        path = make(root, "", ".1", ".2", ".3", ".4", ".6")
        assert rotated(path, 2)

        assert {".1": "", ".2": ".1", ".6": ".6"} == listing(root)


def test_a_link_in_a_backups_place(root: Path, tmp_path: Path) -> None:
    """It goes, and not what it leads to."""
    path = make(root, "")
    (tmp_path / "target").write_text("precious")
    (root / "x.1").symlink_to(tmp_path / "target")
    assert rotated(path, 1)

    assert {".1": ""} == listing(root)
    assert "precious" == (tmp_path / "target").read_text()


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

"""A compressed file at the place of a backup, whatever happens to the names meanwhile."""

from __future__ import annotations

import gzip
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.files.compression import FORMATS
from tracectrl.files.directory import Directory
from tracectrl.files.locks import changing_names, hold
from tracectrl.files.retention import replacement
from tracectrl.files.retention.exclusive import BeingWrittenError
from tracectrl.files.write.rotation import shift

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = b'{"n":1}\n' * 1000


@pytest.fixture
def backup(root: Path) -> Path:
    """Return a backup of an hour ago."""
    root.mkdir()
    path = root / "s.logs.jsonl.1"
    path.write_bytes(DATA)
    os.utime(path, ns=(1, 10**18 + 7))
    return path


def pack(root: Path, number: int, packed: str, *, is_forgotten: bool = False) -> tuple[int, int]:
    """Compress the backup *number* of the session's log file."""
    with Directory(root) as directory:
        return replacement.pack(
            directory, "s", f".logs.jsonl.{number}", packed, 1, is_forgotten=is_forgotten
        )


def names(root: Path) -> list[str]:
    """Return the names of the files."""
    return sorted(os.listdir(root))


def meanwhile(monkeypatch: pytest.MonkeyPatch, do: Callable[[], Any]) -> None:
    """Do something after the compressed file is complete, before it gets its name."""
    complete = replacement._complete

    def complete_and_do(*args: Any) -> None:
        complete(*args)
        do()

    monkeypatch.setattr(replacement, "_complete", complete_and_do)


@pytest.mark.parametrize("packed", FORMATS)
def test_packing(packed: str, backup: Path, root: Path) -> None:
    """The compressed file takes the plain one's place, age and all, for the owner alone."""
    size, packed_size = pack(root, 1, packed)
    (path,) = root.iterdir()
    status = path.stat()
    assert f"{backup.name}.{packed}" == path.name
    assert (len(DATA), status.st_size) == (size, packed_size)
    assert (0o600, 10**18 + 7) == (status.st_mode & 0o777, status.st_mtime_ns)
    assert packed != "gz" or gzip.decompress(path.read_bytes()) == DATA


def test_rotated_meanwhile(backup: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rotation gives the plain file another number; the compressed one gets the same."""
    (root / "s.logs.jsonl").write_bytes(b"{}\n")

    def rotate() -> None:
        with changing_names(root):
            shift(str(root / "s.logs.jsonl"), 1)

    meanwhile(monkeypatch, rotate)
    pack(root, 1, "gz")
    assert not backup.with_name(f"{backup.name}.gz").exists()
    assert ["s.logs.jsonl.1", "s.logs.jsonl.2.gz"] == names(root)
    assert DATA == gzip.decompress((root / "s.logs.jsonl.2.gz").read_bytes())


@pytest.mark.parametrize("change", ["removed", "written", "held", "replaced"])
def test_given_up(change: str, backup: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is removed or written meanwhile is left as it is, and nothing stays behind."""
    fds: list[int] = []

    def do() -> None:
        if change == "removed":
            backup.unlink()
        elif change == "written":
            with backup.open("ab") as file:
                file.write(b"{}\n")
        elif change == "held":
            fds.append(os.open(backup, os.O_RDWR))
            hold(fds[0])
            os.utime(backup)
        else:
            backup.unlink()
            backup.write_bytes(b"other\n")

    meanwhile(monkeypatch, do)
    with pytest.raises(BeingWrittenError):
        pack(root, 1, "gz")
    assert ([] if change == "removed" else [backup.name]) == names(root)
    for fd in fds:
        os.close(fd)


def test_not_there(root: Path) -> None:
    """A backup that is not there (any more) is being written."""
    root.mkdir()
    with pytest.raises(BeingWrittenError):
        pack(root, 1, "gz")


def test_held_but_forgotten(backup: Path, root: Path) -> None:
    """A backup that somebody has open but has not written for an hour is compressed."""
    os.utime(backup, (time.time() - 4000,) * 2)
    with backup.open("r+b") as file:
        hold(file.fileno())
        pack(root, 1, "gz", is_forgotten=True)
    assert [f"{backup.name}.gz"] == names(root)


def test_held_since_it_was_renamed(backup: Path, root: Path) -> None:
    """One that was alone, and is open now, is about to be written, however old it is."""
    os.utime(backup, (time.time() - 4000,) * 2)
    with backup.open("r+b") as file:
        hold(file.fileno())
        with pytest.raises(BeingWrittenError):
            pack(root, 1, "gz")
    assert [backup.name] == names(root)


@pytest.mark.parametrize("packed", FORMATS)
@pytest.mark.parametrize("twin", ["whole", "beginning", "cut off"])
def test_done_again(twin: str, packed: str, backup: Path, root: Path) -> None:
    """What a killed run has left beside the plain file is replaced, in either format."""
    data = {
        "whole": gzip.compress(DATA),
        "beginning": gzip.compress(DATA[:800]),
        "cut off": gzip.compress(DATA)[:-9],
    }[twin]
    backup.with_name(f"{backup.name}.gz").write_bytes(data)
    pack(root, 1, packed)
    assert [f"{backup.name}.{packed}"] == names(root)


@pytest.mark.parametrize("other", [gzip.compress(b"other lines\n", mtime=0), b"garbage"])
def test_other_lines_at_the_place(other: bytes, backup: Path, root: Path) -> None:
    """A compressed file with other lines is never overwritten; both stay."""
    place = backup.with_name(f"{backup.name}.gz")
    place.write_bytes(other)
    for packed in FORMATS:
        with pytest.raises(FileExistsError):
            pack(root, 1, packed)
    assert (DATA, other) == (backup.read_bytes(), place.read_bytes())
    assert 2 == len(names(root))


def test_other_lines_at_the_place_later(
    backup: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same for a file that comes there meanwhile."""
    place = backup.with_name(f"{backup.name}.zst")
    meanwhile(monkeypatch, lambda: place.write_bytes(b"other"))
    with pytest.raises(FileExistsError):
        pack(root, 1, "gz")
    assert [backup.name, place.name] == names(root)


def test_a_full_disk(backup: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the compressed file cannot be written, the plain one stays, and nothing else."""

    def refuse(fd: int) -> None:
        raise OSError(28, "No space left on device", fd)

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        pack(root, 1, "gz")
    assert [backup.name] == names(root)


def test_the_owner_stays(backup: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The compressed file belongs to whom the plain one does; who may not say so is no failure."""
    owners: list[tuple[int, int]] = []
    fstat = os.fstat
    inode = backup.stat().st_ino

    class OfSomebody:
        """The status of a file that is somebody else's."""

        def __init__(self, status: os.stat_result) -> None:
            self._status = status
            self.st_uid, self.st_gid = 4711, 4712

        def __getattr__(self, name: str) -> Any:
            return getattr(self._status, name)

    def see(fd: int) -> Any:
        status = fstat(fd)
        return OfSomebody(status) if status.st_ino == inode else status

    def refuse(_: int, uid: int, gid: int) -> None:
        owners.append((uid, gid))
        raise PermissionError

    monkeypatch.setattr(os, "fstat", see)
    monkeypatch.setattr(os, "fchown", refuse)
    pack(root, 1, "gz")
    assert ([(4711, 4712)], [f"{backup.name}.gz"]) == (owners, names(root))


def test_no_regular_file(root: Path) -> None:
    """A pipe or a symbolic link at the place is refused, and does not block."""
    root.mkdir()
    os.mkfifo(root / "s.logs.jsonl.1")
    (root / "s.logs.jsonl.2").symlink_to("/etc/hostname")
    for number in (1, 2):
        with pytest.raises(OSError, match=r"not a regular file|symbolic links"):
            pack(root, number, "gz")


def test_taken_for_stale(backup: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new file that another run removes before it is held is made again."""
    removed: list[str] = []

    def remove_first(fd: int) -> bool:
        if not removed:
            removed.extend(name for name in names(root) if name.startswith("."))
            Path(root / removed[0]).unlink()
        return hold(fd)

    monkeypatch.setattr(replacement, "hold", remove_first)
    pack(root, 1, "gz")
    assert (1, [f"{backup.name}.gz"]) == (len(removed), names(root))

"""Which sessions are being written, and taking files away from under writers."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tracectrl.files.directory import Directory
from tracectrl.files.listing import StoredSession, scan
from tracectrl.files.locks import changing_names
from tracectrl.files.retention.exclusive import (
    BeingWrittenError,
    Grip,
    gripped,
    move_aside,
    remove_stale,
    take_all_away,
    take_away,
)
from tracectrl.files.write.appender import Appender

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WRITER = """
import sys
from tracectrl.files.write.appender import Appender
appender = Appender(sys.argv[1], ".logs.jsonl")
appender.append("s", b"{}\\n")
print("open", flush=True)
sys.stdin.read()
"""


@contextmanager
def another_process(root: Path) -> Iterator[None]:
    """Let another process have the file of the session ``s`` open."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert b"open\n" == process.stdout.readline()
        yield
        process.stdin.close()


def only(root: Path) -> StoredSession:
    """Return the one session under *root*."""
    with Directory(root) as directory:
        (session,) = scan(directory).sessions
    return session


@contextmanager
def grip_on(root: Path, session: StoredSession | None = None) -> Iterator[tuple[Directory, Grip]]:
    """Grip *session*, or the one session under *root*."""
    with Directory(root) as directory, gripped(directory, session or only(root)) as grip:
        yield directory, grip


def names(root: Path) -> list[str]:
    """Return the names of the files."""
    return sorted(os.listdir(root))


def age(path: Path, seconds: float) -> None:
    """Make the file so old."""
    os.utime(path, (time.time() - seconds,) * 2)


def test_another_process_writes(root: Path) -> None:
    """A session is being written while another process has its file open, and not after."""
    with (
        another_process(root),
        pytest.raises(BeingWrittenError),
        grip_on(root),
    ):
        pass
    with grip_on(root) as (_, grip):
        assert ([".logs.jsonl"], False) == (list(grip.fds), grip.forgotten)


def test_one_file_of_many(root: Path) -> None:
    """One open file is enough, also in this process; its other files do not count against it."""
    spans = Appender(root, ".spans.jsonl")
    spans.append("s", b"{}\n")
    (root / "s.logs.jsonl").write_bytes(b"{}\n")
    with pytest.raises(BeingWrittenError), grip_on(root):
        pass
    spans.close()
    with grip_on(root) as (_, grip):
        assert {".logs.jsonl", ".spans.jsonl"} == set(grip.fds)


def test_forgotten(root: Path) -> None:
    """An open file that was not written for an hour does not keep its session."""
    appender = Appender(root, ".logs.jsonl")
    appender.append("s", b"{}\n")
    for seconds in (0, 3500):
        age(root / "s.logs.jsonl", seconds)
        with pytest.raises(BeingWrittenError), grip_on(root):
            pass
    age(root / "s.logs.jsonl", 3601)
    with grip_on(root) as (_, grip):
        assert grip.forgotten


@pytest.mark.parametrize("change", ["written", "new span file", "rotated", "gone", "first backup"])
def test_changed_since_listed(change: str, root: Path) -> None:
    """A session that is not as it was listed is being written, whatever changed."""
    root.mkdir()
    live = root / "s.logs.jsonl"
    live.write_bytes(b"{}\n")
    (root / "s.logs.jsonl.1.gz").write_bytes(b"x")
    session = only(root)
    if change == "written":
        live.write_bytes(b"{}\n{}\n")
    elif change == "new span file":
        (root / "s.spans.jsonl").write_bytes(b"")
    elif change == "rotated":
        os.rename(root / "s.logs.jsonl.1.gz", root / "s.logs.jsonl.2.gz")
        os.rename(live, root / "s.logs.jsonl.1")
        live.write_bytes(b"{}\n")
    elif change == "gone":
        live.unlink()
    else:
        (root / "s.logs.jsonl.1").write_bytes(b"")
    with pytest.raises(BeingWrittenError), grip_on(root, session):
        pass


def test_many_backups(root: Path) -> None:
    """A session of more files than a process may open is idle, and goes, like any other."""
    root.mkdir()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    for name in ("s.logs.jsonl", *(f"s.logs.jsonl.{number}" for number in range(1, 300))):
        (root / name).write_bytes(b"{}\n")
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, limits[1]))
    try:
        session = only(root)
        with grip_on(root, session) as (directory, grip):
            take_all_away(directory, session, grip)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert (300, []) == (len(grip.statuses), names(root))


def test_somebody_changes_names(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While somebody else changes names for longer than one waits, the session is left."""
    monkeypatch.setattr("tracectrl.files.locks._PATIENCE_S", 0.01)
    root.mkdir()
    (root / "s.logs.jsonl").write_bytes(b"{}\n")
    session = only(root)

    def grip() -> None:
        with grip_on(root, session):
            pass

    with changing_names(root), ThreadPoolExecutor() as others:
        assert isinstance(others.submit(grip).exception(), BeingWrittenError)
    with grip_on(root, session):
        pass


def test_no_regular_file(root: Path) -> None:
    """What was replaced by a link or a directory is an error, and nothing is touched."""
    root.mkdir()
    (root / "s.logs.jsonl").write_bytes(b"{}\n")
    (root / "s.logs.jsonl.1.gz").write_bytes(b"{}\n")
    session = only(root)
    (root / "s.logs.jsonl.1.gz").unlink()
    (root / "s.logs.jsonl.1.gz").mkdir()
    with pytest.raises(OSError, match="not a regular file"), grip_on(root, session):
        pass


def test_moving_aside(root: Path) -> None:
    """The live files become the newest backups, and the others move up to the first gap."""
    root.mkdir()
    content = {
        "s.logs.jsonl": b"a",
        "s.logs.jsonl.1": b"bb",
        "s.logs.jsonl.2.gz": b"ccc",
        "s.logs.jsonl.3.zst": b"dddd",
        "s.logs.jsonl.gz": b"eeeee",
        "s.logs.jsonl.20250101": b"ffffff",
        "s.spans.jsonl": b"",
    }
    for name, data in content.items():
        (root / name).write_bytes(data)
    session = only(root)
    with grip_on(root, session) as (directory, grip):
        aside = move_aside(directory, session, grip, least_bytes=1)
    assert {
        "s.logs.jsonl.1": b"a",
        "s.logs.jsonl.2": b"bb",
        "s.logs.jsonl.3.gz": b"ccc",
        "s.logs.jsonl.4.zst": b"dddd",
        "s.logs.jsonl.gz": b"eeeee",
        "s.logs.jsonl.20250101": b"ffffff",
        "s.spans.jsonl": b"",
    } == {path.name: path.read_bytes() for path in root.iterdir()}
    assert set(names(root)) == {f"s{suffix}" for suffix in aside.suffixes}
    with grip_on(root, aside):  # the session as it is now
        pass


@pytest.mark.parametrize("seconds", [-(10**9), 10**12])
def test_impossible_times(seconds: int, root: Path) -> None:
    """A file of before 1970, or of the far future where the file system has it, is idle, too."""
    root.mkdir()
    (root / "s.logs.jsonl").write_bytes(b"{}\n")
    os.utime(root / "s.logs.jsonl", (seconds, seconds))
    with grip_on(root) as (_, grip):
        assert [".logs.jsonl"] == list(grip.statuses)


def test_a_writer_goes_on_after_moving_aside(root: Path) -> None:
    """A writer whose file was moved writes a new one at its next line after half a second."""
    appender = Appender(root, ".logs.jsonl")
    appender.append("s", b"1\n")
    age(root / "s.logs.jsonl", 4000)
    session = only(root)
    with grip_on(root, session) as (directory, grip):
        move_aside(directory, session, grip)
    time.sleep(0.6)
    appender.append("s", b"2\n")
    assert (b"1\n", b"2\n") == (
        (root / "s.logs.jsonl.1").read_bytes(),
        (root / "s.logs.jsonl").read_bytes(),
    )


@pytest.mark.parametrize("tail", [b"2\n", b"2"])
def test_a_line_in_the_very_moment(
    tail: bytes, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What somebody writes while the file is taken away is in the live file after."""
    root.mkdir()
    backup, live = root / "s.logs.jsonl.1", root / "s.logs.jsonl"
    backup.write_bytes(b"1\n")
    unlink = os.unlink

    def write_and_unlink(name: str, *, dir_fd: int) -> None:
        with (root / name).open("ab") as file:
            file.write(tail)
        unlink(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", write_and_unlink)
    with Directory(root) as directory, directory.opened_alone(backup.name) as (fd, alone):
        assert alone
        take_away(directory, backup.name, live.name, fd, len(b"1\n"))
    assert (["s.logs.jsonl"], b"2\n", 0o600) == (
        names(root),
        live.read_bytes(),
        live.stat().st_mode & 0o777,
    )


TAKER = """
import sys, time
from pathlib import Path
from tracectrl.files.directory import Directory
from tracectrl.files.retention.exclusive import take_away
root, file = Path(sys.argv[1]), sys.argv[2]
with Directory(root) as directory, directory.opened_alone(file) as (fd, alone):
    assert alone
    print("alone", flush=True)
    time.sleep(1.2)
    take_away(directory, file, file, fd, int(sys.argv[3]))
    time.sleep(0.5)
"""


@pytest.mark.parametrize("turns", [1, 5])
def test_a_slow_disk(turns: int, root: Path) -> None:
    """Writers go on after a second; whoever takes the file away meanwhile loses none of their lines."""
    appender = Appender(root, ".logs.jsonl", max_open_files=1)
    for turn in range(turns):  # from the fourth on each line is written by itself
        appender.append("s", b"%d\n" % turn)
        appender.append("other", b"1\n")
    size = (root / "s.logs.jsonl").stat().st_size
    with subprocess.Popen(
        [sys.executable, "-c", TAKER, str(root), "s.logs.jsonl", str(size)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert b"alone\n" == process.stdout.readline()
        written = list(range(100, 1600))
        for number in written:
            appender.append("s", b"%d\n" % number)
            time.sleep(0.001)
    assert 0 == process.returncode
    found = list(map(int, (root / "s.logs.jsonl").read_bytes().split()))
    assert written == sorted(found)


def test_stale_files(root: Path) -> None:
    """A file that a killed run was compressing into goes; one that a run has open stays."""
    root.mkdir()
    (root / ".compressing-1").write_bytes(b"xxx")
    (root / ".compressing-2").write_bytes(b"x")
    (root / ".compressing-3").symlink_to(root / ".compressing-2")
    with Directory(root) as directory, directory.opened_alone(".compressing-2"):
        assert 3 == remove_stale(directory, [*names(root), ".compressing-gone"])
    assert [".compressing-2", ".compressing-3"] == names(root)

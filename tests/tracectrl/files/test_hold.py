"""Who has a session's file open: tracectrl.files.hold."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tracectrl.files import hold as hold_module
from tracectrl.files.appender import Appender
from tracectrl.files.hold import changing_names, hold, opened_alone

if TYPE_CHECKING:
    from pathlib import Path

SUFFIX = ".logs.jsonl"


@pytest.fixture(autouse=True)
def _make_root(root: Path) -> None:
    root.mkdir()


def is_alone(path: Path) -> bool:
    """Tell whether nobody has the file at *path* open for writing."""
    with opened_alone(path) as (_, alone):
        return alone


class TestWriters:
    """A writer holds its file as long as the descriptor is open."""

    def test_of_this_process(self, root: Path) -> None:
        """From the first line to close()."""
        appender = Appender(root, SUFFIX)
        appender.append("s", b"1\n")
        path = root / "s.logs.jsonl"
        answers = [is_alone(path)]
        appender.close()

        assert [False, True] == [*answers, is_alone(path)]

    def test_two_writers_do_not_disturb_each_other(self, root: Path) -> None:
        """Any number of processes may hold a file."""
        for _ in range(2):
            Appender(root, SUFFIX).append("s", b"1\n")
        first, second = Appender(root, SUFFIX), Appender(root, SUFFIX)
        first.append("s", b"2\n")
        second.append("s", b"3\n")
        first.close()

        assert not is_alone(root / "s.logs.jsonl")

    def test_of_a_process_that_is_killed(self, root: Path) -> None:
        """The kernel lets go."""
        code = (
            "import sys, time\n"
            "from tracectrl.files.appender import Appender\n"
            "appender = Appender(sys.argv[1], '.logs.jsonl')\n"
            "appender.append('s', b'1\\n')\n"
            "print('written', flush=True)\n"
            "time.sleep(60)\n"
        )
        path = root / "s.logs.jsonl"
        with subprocess.Popen(
            [sys.executable, "-c", code, str(root)], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            answers = [is_alone(path)]
            process.send_signal(signal.SIGKILL)

        assert [False, True] == [*answers, is_alone(path)]

    def test_one_that_comes_while_the_file_is_taken_away_makes_a_new_one(self, root: Path) -> None:
        """It waits for the few system calls, and writes into no file that has no name."""
        path = root / "s.logs.jsonl"
        path.write_bytes(b"old\n")
        appender = Appender(root, SUFFIX)
        writer = threading.Thread(target=appender.append, args=("s", b"new\n"))
        with opened_alone(path):
            writer.start()
            time.sleep(0.05)
            path.unlink()
        writer.join()

        assert b"new\n" == path.read_bytes()

    def test_nobody_waits_for_long(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever takes a file away and is stopped in the middle does not stop the writers."""
        monkeypatch.setattr(hold_module, "_PATIENCE_S", 0.05)
        path = root / "s.logs.jsonl"
        path.write_bytes(b"old\n")
        with opened_alone(path):
            Appender(root, SUFFIX).append("s", b"new\n")

        assert b"old\nnew\n" == path.read_bytes()


class TestNames:
    """One at a time changes names in a root."""

    def test_others_wait(self, root: Path) -> None:
        """Until the first one is done."""
        steps: list[str] = []

        def second() -> None:
            with changing_names(root):
                steps.append("second")

        thread = threading.Thread(target=second)
        with changing_names(root):
            thread.start()
            time.sleep(0.02)
            steps.append("first")
        thread.join()

        assert ["first", "second"] == steps

    def test_not_for_ever(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A process that was stopped in the middle costs a second, not the application."""
        monkeypatch.setattr(hold_module, "_PATIENCE_S", 0.01)
        caught: list[BaseException] = []

        def second() -> None:
            try:
                with changing_names(root):
                    pass
            except BlockingIOError as error:
                caught.append(error)

        with changing_names(root):
            thread = threading.Thread(target=second)
            thread.start()
            thread.join()

        assert 1 == len(caught)

    def test_within_itself(self, root: Path) -> None:
        """A signal handler in the middle of it does not wait for itself."""
        with changing_names(root), pytest.raises(BlockingIOError), changing_names(root):
            pass
        with changing_names(root):
            pass

    def test_a_child_that_is_forked_meanwhile_does_not_keep_it(self, root: Path) -> None:
        """The lock ends with the block, though the child has a copy of the descriptor."""
        reading, writing = os.pipe()
        with changing_names(root):
            child = os.fork()
            if not child:  # pragma: no cover - the child is killed
                os.close(writing)
                os.read(reading, 1)
                os._exit(0)
        before = time.monotonic()
        with changing_names(root):
            waited = time.monotonic() - before
        os.close(writing)
        os.waitpid(child, 0)
        os.close(reading)

        assert waited < 0.5


def test_a_link_is_not_followed(root: Path, tmp_path: Path) -> None:
    """What is taken away is the file itself."""
    (tmp_path / "target").touch()
    (root / "link").symlink_to(tmp_path / "target")

    with pytest.raises(OSError, match="link"), opened_alone(root / "link"):
        pass


def test_hold_where_there_are_no_locks(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    """A file system without locks is none to complain about."""

    class NoLocks:
        LOCK_SH = LOCK_EX = LOCK_NB = LOCK_UN = 0

        @staticmethod
        def flock(fd: int, kind: int) -> None:
            del fd, kind
            raise OSError(95, "not supported")

    path = root / "s.logs.jsonl"
    path.touch()
    monkeypatch.setattr(hold_module, "fcntl", NoLocks)
    with path.open("rb") as stream:
        hold(stream.fileno())
    with changing_names(root):
        assert is_alone(path)

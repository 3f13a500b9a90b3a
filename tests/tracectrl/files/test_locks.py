"""Who has a session's file open: tracectrl.files.locks."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tracectrl.files import locks as hold_module
from tracectrl.files.locks import changing_names, hold, opened_alone
from tracectrl.files.write.appender import Appender

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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
            "from tracectrl.files.write.appender import Appender\n"
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


HOLDER = """
import ctypes, os, signal, sys
from tracectrl.files.locks import changing_names, opened_alone
how, what, path = sys.argv[1:]
with (changing_names if what == "names" else opened_alone)(path):
    child = os.fork() if how == "os" else ctypes.CDLL(None).fork()
    if child == 0:
        os.read(0, 1)  # it knows of nothing, until the test is over
        os._exit(0)
    print("forked", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.one_python
class TestLeftBehind:
    """A process was killed while it had something alone, and its child has a copy of the lock.

    However the child was forked: servers that fork in C run none of Python's hooks.
    """

    @pytest.fixture(params=["os", "C"])
    def leave(self, request: pytest.FixtureRequest) -> Iterator[Callable[[str, Path], None]]:
        """Return what leaves the lock of a kind, on a path, to a child that goes on."""
        with contextlib.ExitStack() as children:

            def leave(what: str, path: Path) -> None:
                process = subprocess.Popen(
                    [sys.executable, "-c", HOLDER, request.param, what, str(path)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
                assert process.stdin is not None
                assert process.stdout is not None
                children.callback(process.stdout.close)
                children.callback(process.stdin.close)  # at which the child ends
                assert b"forked\n" == process.stdout.readline()
                assert -signal.SIGKILL == process.wait(10)

            yield leave

    def test_names_can_be_changed(self, root: Path, leave: Callable[[str, Path], None]) -> None:
        """Again and again, by one at a time, and nobody waits for a second."""
        leave("names", root)
        fd = os.open(root, os.O_RDONLY)
        with pytest.raises(BlockingIOError):  # it is so
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(fd)
        waited = []
        for _ in range(3):
            before = time.monotonic()
            with changing_names(root):
                waited.append(time.monotonic() - before)

        assert max(waited) < 0.7

    def test_one_at_a_time_all_the_same(
        self, root: Path, leave: Callable[[str, Path], None]
    ) -> None:
        """Processes and threads keep each other out as ever."""
        leave("names", root)
        counter = root / "counter"
        counter.write_text("0")
        code = (
            "import pathlib, sys, threading, time\n"
            "from tracectrl.files.locks import changing_names\n"
            "def work():\n"
            "    done = 0\n"
            "    while done < 5:\n"
            "        try:\n"
            "            with changing_names(sys.argv[1]):\n"
            "                number = int(counter.read_text())\n"
            "                time.sleep(0.002)\n"
            "                counter.write_text(str(number + 1))\n"
            "                done += 1\n"
            "        except BlockingIOError:\n"
            "            pass\n"
            "counter = pathlib.Path(sys.argv[1], 'counter')\n"
            "threads = [threading.Thread(target=work) for _ in range(2)]\n"
            "for thread in threads: thread.start()\n"
            "for thread in threads: thread.join()\n"
        )
        processes = [subprocess.Popen([sys.executable, "-c", code, str(root)]) for _ in range(3)]
        assert [0, 0, 0] == [process.wait(60) for process in processes]

        assert "30" == counter.read_text()

    def test_a_file_can_be_written(self, root: Path, leave: Callable[[str, Path], None]) -> None:
        """Who opens it does not wait for a second each time."""
        path = root / "s.logs.jsonl"
        path.write_bytes(b"old\n")
        leave("file", path)
        waited = []
        for _ in range(3):
            appender = Appender(root, SUFFIX)
            before = time.monotonic()
            appender.append("s", b"new\n")
            waited.append(time.monotonic() - before)
            appender.close()

        assert max(waited) < 0.7
        assert b"old\n" + b"new\n" * 3 == path.read_bytes()

    def test_the_session_is_rotated(self, root: Path, leave: Callable[[str, Path], None]) -> None:
        """In the root where somebody was killed in the middle of a rotation."""
        leave("names", root)
        appender = Appender(root, SUFFIX, max_bytes=10, backup_count=2)
        for number in range(5):
            appender.append("s", b"line %d of 5\n" % number)

        assert ["s.logs.jsonl", "s.logs.jsonl.1", "s.logs.jsonl.2"] == sorted(os.listdir(root))

    def test_a_child_lets_nothing_go(self, root: Path) -> None:
        """One that is forked in the middle of it, and goes on from there."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(changing_names(root))
            child = os.fork()
            if not child:  # pragma: no cover - of another process
                stack.close()
                os._exit(0)
            os.waitpid(child, 0)
            code = (
                "import sys\n"
                "from tracectrl.files.locks import changing_names\n"
                "try:\n"
                "    with changing_names(sys.argv[1]): print('mine')\n"
                "except BlockingIOError: print('not mine')\n"
            )
            said = subprocess.check_output([sys.executable, "-c", code, str(root)])

        assert b"not mine\n" == said


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

"""tracectrl.files.write.appender: the one way a line gets into a session's file."""

from __future__ import annotations

import contextlib
import errno
import gc
import logging
import logging.handlers
import os
import resource
import shutil
import signal
import socket
import stat
import sys
import tempfile
import threading
import time
import traceback
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.files import log_path
from tracectrl.files.locks import hold, opened_alone
from tracectrl.files.write import appender as appender_module
from tracectrl.files.write import once as once_module
from tracectrl.files.write.appender import Appender
from tracectrl.files.write.openfile import File
from tracectrl.files.write.position import held_seek
from tracectrl.files.write.rotation import LOOK_EVERY_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SUFFIX = ".logs.jsonl"
DEADLINE_S = 10.0


RAISING = """
import contextlib, signal, sys, threading
sys.settrace(None)
threading.settrace(None)
from tracectrl.files.write.appender import Appender

class Interrupted(BaseException):  # and no OSError, which the appender would deal with
    pass

def interrupt(*_):
    if is_inside:  # what is raised in a finalizer is heard by nobody, so it may come later, too
        raise Interrupted

def be_other():
    global written
    while not over.is_set():
        for sid in "abc":
            appender.append(sid, b"other\\n")
            written += 1

appender = Appender(sys.argv[1], ".logs.jsonl", max_open_files=2)
over = threading.Event()
written = 0
is_inside = False
sys.setswitchinterval(1e-6)
sys.unraisablehook = lambda _: None
signal.signal(signal.SIGALRM, interrupt)
thread = threading.Thread(target=be_other, daemon=True)
thread.start()
for number in range(400):
    with contextlib.suppress(Interrupted):
        is_inside = True
        signal.setitimer(signal.ITIMER_REAL, 0.0003 + number * 1e-6)
        for _ in range(100):
            for sid in "abc":
                appender.append(sid, b"main\\n")
        is_inside = False  # here, while what comes late is still caught
    is_inside = False
over.set()
thread.join(20)
assert not thread.is_alive(), "a lock is taken by nobody"
print(written)
"""


class Interrupted(BaseException):
    """What a signal handler raises: no OSError, which the appender would deal with."""


def interrupt(*_: object) -> bool:
    """Stand in for what a signal interrupts."""
    raise Interrupted


def line(text: str) -> bytes:
    """Return a line that holds *text*."""
    return text.encode() + b"\n"


def content(root: Path, sid: str) -> list[str]:
    """Return the lines of the session *sid*."""
    return log_path(sid, root).read_text().split("\n")[:-1]


def files_in(root: Path) -> dict[str, str]:
    """Return what is in each file of *root*."""
    return {path.name: path.read_text() for path in root.iterdir()}


def in_child(work: Callable[[], None]) -> int:
    """Run *work* in a forked child and return its process ID; it exits with 1 where that raises."""
    pid = os.fork()
    if pid:
        return pid
    # Coverage's tracer takes a lock that a thread of the parent may hold.
    sys.settrace(None)
    threading.settrace(None)
    status = 1
    try:
        work()
        status = 0
    except BaseException:  # noqa: BLE001 - nothing may leave the child but its status
        traceback.print_exc()
    finally:
        os._exit(status)


def wait_for(*pids: int) -> None:
    """Assert that the children *pids* end well within the deadline."""
    end = time.monotonic() + DEADLINE_S
    for pid in pids:
        while True:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                assert 0 == os.waitstatus_to_exitcode(status)
                break
            if time.monotonic() > end:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                pytest.fail("a forked child hangs")
            time.sleep(0.005)


def run_threads(*works: Callable[[], None]) -> None:
    """Run all *works* at once; raise what one of them raises."""
    errors: list[BaseException] = []
    barrier = threading.Barrier(len(works))

    def run(work: Callable[[], None]) -> None:
        barrier.wait(DEADLINE_S)
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
    if errors:
        raise errors[0]


def run_in_the_middle_of_a_write(
    data: bytes, works: list[Callable[[], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run the first of *works*, which writes *data*, and the others while it does.

    It comes short of the newline.
    """
    write, is_writing, may_go_on = os.write, threading.Event(), threading.Event()

    def short(fd: int, given: bytes) -> int:
        if given != data:
            return write(fd, given)
        is_writing.set()
        may_go_on.wait(DEADLINE_S)
        return write(fd, given[:-1])

    monkeypatch.setattr(os, "write", short)
    threads = [threading.Thread(target=work, daemon=True) for work in works]
    for thread in threads:
        thread.start()
        is_writing.wait(DEADLINE_S)
        thread.join(0.1)
    may_go_on.set()
    for thread in threads:
        thread.join(DEADLINE_S)


def remove_in_a_long_write(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the file at *path* removed in the next write, which takes its time."""
    write = os.write

    def remove_first(fd: int, data: bytes) -> int:
        monkeypatch.undo()
        path.unlink()
        time.sleep(LOOK_EVERY_S)
        return write(fd, data)

    monkeypatch.setattr(os, "write", remove_first)


@pytest.fixture
def fast_switching() -> Iterator[None]:
    """Let threads take turns as often as can be."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


class Writes:
    """Stands in for os.write: fails as told, else writes; remembers what it was given."""

    def __init__(self) -> None:
        self.write = os.write
        self.plan: list[int] = []
        self.calls: list[bytes] = []

    def __call__(self, fd: int, data: bytes) -> int:
        """Write *data*, or as many bytes of it as the plan says, or raise its negative error."""
        self.calls.append(data)
        step = self.plan.pop(0) if self.plan else len(data)
        if step < 0:
            raise OSError(-step, os.strerror(-step))
        return self.write(fd, data[:step])


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> Writes:
    """Return what stands in for os.write in this test."""
    fake = Writes()
    monkeypatch.setattr(os, "write", fake)
    return fake


class TestOneWrite:
    """One line is one write, newline included."""

    def test_per_line(self, root: Path, writes: Writes) -> None:
        """Whatever the session and however long the line."""
        appender = Appender(root, SUFFIX)
        lines = [line("x" * size) for size in (0, 10, 100_000)]
        for sid in ("a", "b"):
            for each in lines:
                appender.append(sid, each)

        assert lines * 2 == writes.calls

    def test_is_in_the_file_at_once(self, root: Path) -> None:
        """Without a flush or close."""
        appender = Appender(root, SUFFIX)
        appender.append("s", line("1"))
        assert ["1"] == content(root, "s")
        appender.append("s", line("2"))
        assert ["1", "2"] == content(root, "s")

    def test_a_long_line(self, root: Path) -> None:
        """Ten megabytes go in one piece, between others."""
        appender = Appender(root, SUFFIX)
        long = "x" * 10_000_000
        for text in ("before", long, "after"):
            appender.append("s", line(text))

        assert ["before", long, "after"] == content(root, "s")

    def test_each_session_has_its_file(self, root: Path) -> None:
        """Named as the mapping says; an existing file is continued."""
        Appender(root, SUFFIX).append("a", line("1"))
        appender = Appender(root, SUFFIX)
        appender.append("a", line("2"))
        appender.append("../b", line("3"))

        assert {"a.logs.jsonl": "1\n2\n", log_path("../b").name: "3\n"} == files_in(root)


class TestOptions:
    """What the constructor refuses."""

    @pytest.mark.parametrize("number", [0, -1])
    def test_max_open_files(self, number: int, root: Path) -> None:
        """At least one."""
        with pytest.raises(ValueError, match="max_open_files"):
            Appender(root, SUFFIX, max_open_files=number)
        assert not root.exists()

    @pytest.mark.parametrize("name", ["max_bytes", "backup_count"])
    def test_numbers_below_zero(self, name: str, root: Path) -> None:
        """The error names the option."""
        options = {name: -1}
        with pytest.raises(ValueError, match=name):
            Appender(root, SUFFIX, **options)

    def test_the_default_root(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The variable, else ./traces, of now: changing directory later moves nothing."""
        monkeypatch.chdir(tmp_path)
        appender = Appender(None, SUFFIX)
        monkeypatch.chdir("/")
        appender.append("s", line("1"))
        assert ["1"] == content(tmp_path / "traces", "s")
        monkeypatch.setenv("TRACECTRL_TRACE_DIR", str(tmp_path / "other"))
        Appender(None, SUFFIX).append("s", line("2"))
        assert ["2"] == content(tmp_path / "other", "s")


class TestModes:
    """Files and directories are their owner's alone."""

    @pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
    def test_of_files_and_directories(self, mask: int, tmp_path: Path) -> None:
        """0600 and 0700, intermediate directories too, whatever the umask."""
        root = tmp_path / "a" / "b" / "c"
        before = os.umask(mask)
        try:
            appender = Appender(root, SUFFIX)
            appender.append("s", line("1"))
        finally:
            os.umask(before)

        modes = [stat.S_IMODE(p.stat().st_mode) for p in (root.parent.parent, root.parent, root)]
        assert [0o700] * 3 == modes
        assert 0o600 == stat.S_IMODE(log_path("s", root).stat().st_mode)

    def test_an_existing_root_keeps_its_mode(self, root: Path) -> None:
        """It was made on purpose."""
        root.mkdir(mode=0o755)
        root.chmod(0o755)
        Appender(root, SUFFIX).append("s", line("1"))

        assert 0o755 == stat.S_IMODE(root.stat().st_mode)

    def test_children_do_not_inherit_descriptors(self, root: Path) -> None:
        """A program that is run does not hold our files."""
        appender = Appender(root, SUFFIX)
        appender.append("s", line("1"))

        assert not os.get_inheritable(appender._table.files["s"].fd)


class TestRefused:
    """What stands at a file's place and is no regular file."""

    @pytest.mark.parametrize("exists", [True, False])
    def test_a_symbolic_link(self, exists: bool, root: Path, tmp_path: Path) -> None:  # noqa: FBT001
        """It is not followed; the error names it."""
        appender = Appender(root, SUFFIX)
        target = tmp_path / "target"
        if exists:
            target.write_text("precious")
        log_path("s", root).symlink_to(target)

        with pytest.raises(OSError, match="symbolic link") as caught:
            appender.append("s", line("1"))

        assert str(log_path("s", root)) == caught.value.filename
        assert ("precious" if exists else None) == (target.read_text() if exists else None)
        assert exists == target.exists()

    def test_a_hard_link(self, root: Path) -> None:
        """A copy of the root that was made with links (``cp -al``) does not stop its sessions."""
        appender = Appender(root, SUFFIX)
        appender.append("s", line("1"))
        appender.close()
        (root / "copy").hardlink_to(log_path("s", root))

        appender.append("s", line("2"))

        assert line("1") + line("2") == log_path("s", root).read_bytes()

    def test_a_fifo(self, root: Path) -> None:
        """It neither blocks nor is written to, with a reader or without."""
        appender = Appender(root, SUFFIX)
        os.mkfifo(log_path("s", root))
        with pytest.raises(OSError, match="not a regular file"):
            appender.append("s", line("1"))
        reader = os.open(log_path("s", root), os.O_RDONLY | os.O_NONBLOCK)
        with pytest.raises(OSError, match="not a regular file"):
            appender.append("s", line("1"))
        os.close(reader)

    def test_a_directory_or_a_socket(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An OSError, and other sessions go on."""
        appender = Appender(root, SUFFIX)
        log_path("directory", root).mkdir()
        monkeypatch.chdir(root)  # a socket's path is short
        with socket.socket(socket.AF_UNIX) as unix:
            unix.bind(log_path("socket", ".").name)
            for sid in ("directory", "socket"):
                with pytest.raises(OSError, match=r"directory|No such device"):
                    appender.append(sid, line("1"))
        appender.append("s", line("1"))

        assert ["1"] == content(root, "s")
        assert 1 == appender.open_files

    def test_no_descriptor_stays_open(self, root: Path) -> None:
        """A refusal leaks nothing."""
        appender = Appender(root, SUFFIX)
        os.mkfifo(log_path("s", root))
        before = os.dup(0)
        os.close(before)
        for _ in range(5):
            with pytest.raises(OSError, match="refusing"):
                appender.append("s", line("1"))
        after = os.dup(0)
        os.close(after)

        assert before == after

    def test_a_root_that_is_a_link_is_followed(self, root: Path, tmp_path: Path) -> None:
        """Whoever configures the root may point it anywhere."""
        (tmp_path / "elsewhere").mkdir()
        root.symlink_to(tmp_path / "elsewhere")
        Appender(root, SUFFIX).append("s", line("1"))

        assert ["1"] == content(tmp_path / "elsewhere", "s")


class TestBadRoots:
    """A root that cannot be used: an OSError of its kind that says the mend."""

    def refused(self, root: str | Path, error: type[OSError]) -> None:
        """Assert that *root* raises *error*."""
        with pytest.raises(error, match="TRACECTRL_TRACE_DIR") as caught:
            Appender(root, SUFFIX)
        assert os.path.abspath(root) == caught.value.filename
        assert caught.value.errno

    def test_a_file(self, root: Path) -> None:
        """The file stays."""
        root.write_text("x")
        self.refused(root, NotADirectoryError)
        assert "x" == root.read_text()

    def test_under_a_file(self, root: Path) -> None:
        """The same."""
        root.write_text("x")
        self.refused(root / "a" / "b", NotADirectoryError)

    def test_where_nobody_can_make_a_directory(self) -> None:
        """Not the superuser either."""
        self.refused("/proc/traces", FileNotFoundError)

    def test_a_dangling_link(self, root: Path) -> None:
        """It names no directory."""
        root.symlink_to(root.parent / "nowhere")
        self.refused(root, NotADirectoryError)

    def test_without_permission(self) -> None:
        """A directory of somebody else."""
        with tempfile.TemporaryDirectory() as name:
            os.chmod(name, 0o555)  # noqa: S103 - that is the test

            def work() -> None:
                if os.geteuid() == 0:
                    os.setuid(65534)
                self.refused(name, PermissionError)

            wait_for(in_child(work))
            os.chmod(name, 0o700)


class TestTornTails:
    """Half a line, from a crash or a full disk, never swallows the next one."""

    def test_a_crash_before(self, root: Path) -> None:
        """The next line starts on a line of its own; the half stays to be seen."""
        root.mkdir()
        log_path("s", root).write_text("whole\nhal")
        appender = Appender(root, SUFFIX)
        appender.append("s", line("1"))
        appender.append("s", line("2"))

        assert ["whole", "hal", "1", "2"] == content(root, "s")

    @pytest.mark.parametrize("allocates", [True, False])
    def test_a_line_that_another_process_is_writing(
        self,
        allocates: bool,  # noqa: FBT001
        root: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Half a line that still grows is waited for, and no empty line is added."""
        root.mkdir()
        path = log_path("s", root)
        path.write_text("hal")
        rest = ["f a ", "line\n"]

        def other_process(*_: object) -> None:
            with path.open("a") as file:
                file.write(rest.pop(0))

        def not_here(*_: object) -> None:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

        monkeypatch.setattr(os, "posix_fallocate", other_process if allocates else not_here)
        monkeypatch.setattr(time, "sleep", other_process)
        Appender(root, SUFFIX).append("s", line("1"))

        assert ["half a line", "1"] == content(root, "s")

    def test_a_short_write(self, root: Path, writes: Writes) -> None:
        """The whole line follows on a fresh line."""
        appender = Appender(root, SUFFIX)
        writes.plan = [4]
        appender.append("s", line("123456789"))
        appender.append("s", line("next"))

        assert ["1234", "123456789", "next"] == content(root, "s")

    def test_short_writes_without_end(self, root: Path, writes: Writes) -> None:
        """An OSError; the next line is whole."""
        appender = Appender(root, SUFFIX)
        writes.plan = [4, 4]
        with pytest.raises(OSError, match="wrote 4 of 11 bytes"):
            appender.append("s", line("123456789"))
        appender.append("s", line("next"))

        assert ["1234", "123", "next"] == content(root, "s")

    @pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
    def test_a_full_disk(self, error: int, root: Path, writes: Writes) -> None:
        """The OSError comes out, the line is not there, the next one is whole."""
        appender = Appender(root, SUFFIX)
        appender.append("s", line("1"))
        writes.plan = [-error]
        with pytest.raises(OSError, match=os.strerror(error)) as caught:
            appender.append("s", line("2"))
        appender.append("s", line("3"))

        assert error == caught.value.errno
        assert ["1", "3"] == content(root, "s")

    def test_a_disk_that_fills_up_in_a_line(self, root: Path, writes: Writes) -> None:
        """Half of it is there: the next one starts afresh, also in another process."""
        appender = Appender(root, SUFFIX)
        writes.plan = [4, -errno.ENOSPC]
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            appender.append("s", line("123456789"))
        Appender(root, SUFFIX).append("s", line("other"))
        appender.append("s", line("next"))

        assert ["1234", "other", "next"] == content(root, "s")

    @pytest.mark.parametrize("plan", [[4, 4], [4, -errno.EIO]])
    def test_half_a_line_that_others_have_seen_to(
        self, plan: list[int], root: Path, writes: Writes
    ) -> None:
        """After a failure the file's end is looked at anew: no empty line, no line swallowed."""
        appender, other = Appender(root, SUFFIX), Appender(root, SUFFIX)
        for text in ("1", "2"):
            writes.plan = list(plan)
            with pytest.raises(OSError, match=r"wrote|Input/output"):
                appender.append("s", line("123456789"))
            before = log_path("s", root).read_text().split("\n")
            other.append("s", line(f"other{text}"))
            appender.append("s", line(text))

            assert [f"other{text}", text] == content(root, "s")[len(before) :]

    def test_a_disk_that_is_full_at_the_newline(self, root: Path, writes: Writes) -> None:
        """The line is there: it is neither an error nor written again."""
        appender = Appender(root, SUFFIX)
        writes.plan = [3]
        appender.append("s", line("123"))
        appender.append("s", line("456"))

        assert ["123", "456"] == content(root, "s")

    def test_a_disk_that_is_full_after_the_newline(self, root: Path, writes: Writes) -> None:
        """What mends half a line is there already: no empty line comes of it."""
        appender = Appender(root, SUFFIX)
        writes.plan = [2, 1]
        with pytest.raises(OSError, match="wrote 1 of 5 bytes"):
            appender.append("s", line("123"))
        appender.append("s", line("456"))
        writes.plan = [2, 0]
        with pytest.raises(OSError, match="wrote 0 of 5 bytes"):
            appender.append("s", line("789"))
        appender.append("s", line("0"))

        assert ["12", "456", "78", "0"] == content(root, "s")

    @pytest.mark.parametrize("half", ["hal", "whole\nhal", "x" * 5000])
    def test_a_crash_of_another_writer_meanwhile(self, half: str, root: Path) -> None:
        """A line that another process's half swallowed is written again; that costs nothing else.

        A writer that is killed in a long line, or whose disk is full, leaves half of it, and the
        others have the file open.
        """
        appender = Appender(root, SUFFIX)
        appender.append("s", line("1"))
        with log_path("s", root).open("a") as other:
            other.write(half)
        appender.append("s", line("2"))
        with log_path("s", root).open("a") as other:
            other.write("whole\n")
        appender.append("s", line("3"))
        appender.append("s", line("4"))

        *merged, last = half.split("\n")
        assert ["1", *merged, f"{last}2", "2", "whole", "3", "4"] == content(root, "s")

    def test_a_crash_of_another_writer_and_a_full_disk(self, root: Path, writes: Writes) -> None:
        """Both at once: the line that lacks its newline alone may have been swallowed, too."""
        appender = Appender(root, SUFFIX)
        appender.append("s", line("1"))
        with log_path("s", root).open("a") as other:
            other.write("hal")
        writes.plan = [1]
        appender.append("s", line("2"))
        appender.append("s", line("3"))

        assert ["1", "hal2", "2", "3"] == content(root, "s")

    @pytest.mark.parametrize("handled", [["s"], ["other"], ["other", "s"]])
    @pytest.mark.parametrize("threads", [False, True])
    def test_a_crash_of_another_writer_and_a_signal_handler_that_appends(
        self,
        handled: list[str],
        threads: bool,  # noqa: FBT001
        root: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Before we have looked, behind our line or in its file's place: it is written again."""
        appender = Appender(root, SUFFIX, max_open_files=1)
        if threads:
            appender._lseek = held_seek()
        appender.append("s", line("1"))
        write = os.write

        def interrupted(fd: int, data: bytes) -> int:
            monkeypatch.undo()
            with log_path("s", root).open("a") as other:
                other.write("hal")
            written = write(fd, data)
            for sid in handled:
                appender.append(sid, line("handler"))
            return written

        for text in "23":
            monkeypatch.setattr(os, "write", interrupted)
            appender.append("s", line(text))

        more = ["handler"] if "s" in handled else []
        assert ["1", "hal2", *more, "2", "hal3", *more, "3"] == content(root, "s")

    def test_a_file_that_a_signal_handler_closes_and_somebody_replaces(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What stands at its path then is not looked into, and nobody is waited for."""
        appender = Appender(root, SUFFIX, max_open_files=1)
        appender.append("s", line("1"))
        write = os.write

        def interrupted(fd: int, data: bytes) -> int:
            monkeypatch.undo()
            written = write(fd, data)
            appender.append("other", line("handler"))
            log_path("s", root).rename(root / "away")
            os.mkfifo(log_path("s", root))
            return written

        monkeypatch.setattr(os, "write", interrupted)
        appender.append("s", line("2"))

        assert "1\n2\n" == (root / "away").read_text()

    def test_a_forked_child_has_a_position_of_its_own(self, root: Path) -> None:
        """What the parent has written meanwhile is no half line; the child opens its own file."""
        appender = Appender(root, SUFFIX)
        appender.append("s", line("1"))
        inherited = appender._table.files["s"]

        def work() -> None:
            write = os.write

            def with_parent(fd: int, data: bytes) -> int:
                written = write(fd, data)
                write(inherited.fd, line("of the parent"))
                os.write = write
                return written

            os.write = with_parent  # type: ignore[assignment]
            appender.append("s", line("2"))
            appender.append("s", line("3"))
            assert inherited is not appender._table.files["s"]

        wait_for(in_child(work))
        appender.append("s", line("4"))

        assert ["1", "2", "of the parent", "3", "4"] == content(root, "s")

    def test_a_position_that_cannot_be_looked_at(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The line is written, so it is no failure."""
        appender = Appender(root, SUFFIX)
        appender.append("s", line("1"))
        with log_path("s", root).open("a") as other:
            other.write("whole\n")

        def fail(*_: object) -> bytes:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(os, "pread", fail)
        appender.append("s", line("2"))

        assert ["1", "whole", "2"] == content(root, "s")

    def test_a_real_limit(self, root: Path) -> None:
        """A file that may not grow: the line that does not fit is reported, later ones are whole."""
        appender = Appender(root, SUFFIX)
        appender.append("s", line("x" * 99))
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (150, limits[1]))
        try:
            with pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
                appender.append("s", line("y" * 99))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        appender.append("s", line("z"))

        assert ["x" * 99, "y" * 50, "z"] == content(root, "s")


# Sessions by turns through several appenders, and a program that opens what is left.
SHARING = """
import os, resource, sys
from tracectrl.files.write.appender import Appender
resource.setrlimit(resource.RLIMIT_NOFILE, (400, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
appenders = [Appender(os.path.join(sys.argv[1], str(n)), ".l") for n in range(int(sys.argv[2]))]
for appender in appenders:
    for number in range(400):
        appender.append(f"s{number}", b"x\\n")
print(sum(appender.open_files for appender in appenders))
others = []
def open_all(most=400):
    try:
        while len(others) < most:
            others.append(os.dup(0))
    except OSError:
        pass
open_all()
print(len(others))
while len(others) > 140:
    os.close(others.pop())
for appender in appenders:
    appender.append("next", b"x\\n")
open_all()
print(len(others))
for fd in others:
    os.close(fd)
print(sum(len(open(os.path.join(root, name)).readlines())
          for root, _, names in os.walk(sys.argv[1]) for name in names))
"""

SPARING = """
import os, resource, sys
from tracectrl.files.write.appender import Appender
resource.setrlimit(resource.RLIMIT_NOFILE, (100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
first = Appender(os.path.join(sys.argv[1], "first"), ".l", max_open_files=20)
second = Appender(os.path.join(sys.argv[1], "second"), ".l")
for number in range(20):
    first.append(f"s{number}", b"x\\n")
others = []
try:
    while True:
        others.append(os.dup(0))
except OSError:
    second.append("s", b"x\\n")
print(second.open_files, first.open_files < 20)
"""


# A program that closes all descriptors that it finds, and then opens what takes their numbers.
CLOSING = """
import os, socket, sys
from tracectrl.files.write.appender import Appender
root, others = sys.argv[1], sys.argv[2]
appender = Appender(root, ".l")
sids = ["a", "b", "c", "d"]
for sid in sids:
    appender.append(sid, b"x" * 99 + b"\\n")
os.closerange(3, 100)
if others == "new file":
    taken = [os.open(f"{root}/{n}.theirs", os.O_RDWR | os.O_CREAT) for n in range(5)]
elif others == "long file":
    for n in range(5):
        with open(f"{root}/{n}.theirs", "wb") as file:
            file.write(b"y" * 5000)
    taken = [os.open(f"{root}/{n}.theirs", os.O_RDWR | os.O_APPEND) for n in range(5)]
elif others == "socket":
    pairs = [socket.socketpair() for n in range(3)]
    taken = [each.fileno() for pair in pairs for each in pair]
elif others == "session":
    taken = []
    appender.append("first", b"first\\n")
else:
    taken = []
for number in range(10):
    for sid in sids:
        appender.append(sid, b"%s%d\\n" % (sid.encode(), number))
theirs = 0
for fd in taken:
    if others == "socket":
        os.set_blocking(fd, False)
        try:
            theirs += os.read(fd, 100000).count(b"\\n")
        except OSError:
            pass
    else:
        theirs += os.pread(fd, 100000, 0).count(b"\\n")
print(theirs)
"""


class TestOpenFiles:
    """A bounded set of descriptors, whatever the number of sessions."""

    def test_what_is_used_stays(self, root: Path) -> None:
        """A session that keeps logging keeps its descriptor."""
        appender = Appender(root, SUFFIX, max_open_files=2)
        for sid in ("a", "b", "a", "c", "a", "d", "a"):
            appender.append(sid, line(sid))
            assert sid in appender._table.files

        assert {"a", "d"} == set(appender._table.files)

    def test_the_bound(self, root: Path) -> None:
        """Ten open files serve a hundred sessions; each line is where it belongs."""
        appender = Appender(root, SUFFIX, max_open_files=10)
        for text in ("1", "2"):
            for number in range(100):
                appender.append(f"s{number}", line(text))
                assert appender.open_files <= 10

        assert [["1", "2"]] * 100 == [content(root, f"s{number}") for number in range(100)]

    @pytest.mark.parametrize(
        ("soft", "expected"), [(resource.RLIM_INFINITY, 1024), (10_000, 1024), (400, 200), (1, 1)]
    )
    def test_the_default_fits_the_process(
        self, soft: int, expected: int, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Half of what the process may open, 1024 at most."""
        monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, soft))

        assert expected == Appender(root, SUFFIX)._limit

    @pytest.mark.parametrize("appenders", [1, 2, 3])
    def test_the_default_leaves_descriptors_to_the_program(
        self, appenders: int, root: Path, run_python: Callable[..., str]
    ) -> None:
        """Three eighths at once; more than a half once it needs them, however many write."""
        open_files, left, still_left, lines = run_python(SHARING, str(root), str(appenders)).split()

        assert int(open_files) >= 400 * 2 // 5 - 2
        assert int(left) >= 400 * 3 // 8 - 5
        assert int(still_left) >= 400 * 3 // 5 - 20
        assert 400 * appenders + appenders == int(lines)

    @pytest.mark.parametrize("others", ["none", "session", "new file", "long file", "socket"])
    def test_a_program_that_closes_all_descriptors(
        self, others: str, root: Path, run_python: Callable[..., str]
    ) -> None:
        """Each line is in its file, once, and none in what took the lowest numbers meanwhile."""
        assert "0\n" == run_python(CLOSING, str(root), others)
        for sid in "abcd":
            lines = (root / f"{sid}.l").read_text().split("\n")
            assert [f"{sid}{n}" for n in range(10)] == lines[1:-1]
        assert others != "session" or "first\n" == (root / "first.l").read_text()

    def test_one_that_finds_no_descriptor_left(
        self, root: Path, run_python: Callable[..., str]
    ) -> None:
        """Another appender of the process has some to spare."""
        assert "1 True\n" == run_python(SPARING, str(root))

    def test_a_process_that_runs_out(self, root: Path) -> None:
        """The appender closes files of its own and is content with fewer from then on."""
        appender = Appender(root, SUFFIX, max_open_files=100)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (_lowest_free() + 4, limits[1]))
        try:
            for number in range(20):
                appender.append(f"s{number}", line("1"))
            others = []
            with contextlib.suppress(OSError):
                while True:
                    others.append(os.dup(0))
            appender.append("s0", line("2"))
            for fd in others:
                os.close(fd)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)

        assert ["1", "2"] == content(root, "s0")
        assert [["1"]] * 19 == [content(root, f"s{number}") for number in range(1, 20)]
        assert appender.open_files <= 4

    def test_a_process_that_others_have_run_out(
        self, root: Path, run_python: Callable[..., str]
    ) -> None:
        """With nothing of any appender's to close the OSError comes out; later lines are written."""
        source = (
            "import errno, os, resource, sys\n"
            "from tracectrl.files.write.appender import Appender\n"
            f"appender = Appender(sys.argv[1], {SUFFIX!r})\n"
            "limits = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
            "free = os.open(os.devnull, os.O_RDONLY)\n"
            "os.close(free)\n"
            "resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))\n"
            "try: appender.append('s', b'1\\n')\n"
            "except OSError as error: print(error.errno == errno.EMFILE)\n"
            "resource.setrlimit(resource.RLIMIT_NOFILE, limits)\n"
            "appender.append('s', b'2\\n')\n"
        )
        assert "True\n" == run_python(source, str(root))

        assert "2\n" == log_path("s", root).read_text()

    def test_a_file_that_another_thread_forgets_while_it_is_opened(self, root: Path) -> None:
        """It may be the only one in the table: it was rotated in this very moment."""

        class Forgetting(OrderedDict[Any, Any]):
            def setdefault(self, key: Any, default: Any = None) -> Any:
                del key
                return default

        appender = Appender(root, SUFFIX)
        appender._table.files = Forgetting()
        appender.append("s", line("1"))

        assert ["1"] == content(root, "s")

    @pytest.mark.parametrize("leave", ["by eviction", "by closing"])
    def test_a_file_that_goes_in_the_middle_of_a_write(
        self, leave: str, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its next line waits for the end of that write, and so knows what it left.

        The first line came short of its newline: a second descriptor, opened meanwhile, would put
        its own line behind it.
        """
        appender = Appender(root, SUFFIX, max_open_files=1)
        appender.append("a", line("1"))
        goes = appender.close if leave == "by closing" else lambda: appender.append("b", line("1"))
        works = [
            lambda: appender.append("a", line("2")),
            goes,
            lambda: appender.append("a", line("3")),
        ]
        run_in_the_middle_of_a_write(line("2"), works, monkeypatch)

        assert ["1", "2", "3"] == content(root, "a")
        assert appender.open_files <= 1

    def test_a_file_that_comes_and_goes_while_it_is_opened(
        self, root: Path, writes: Writes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What its opening has seen of its end holds no more: the end is looked at anew."""
        appender = Appender(root, SUFFIX, max_open_files=1)
        for text in ("0", "1"):
            appender.append("a", line(text))
        appender.append("b", line("1"))
        fstat = os.fstat

        def late(fd: int) -> os.stat_result:
            status = fstat(fd)
            monkeypatch.setattr(os, "fstat", fstat)
            writes.plan = [1]
            appender.append("a", line("2"))
            appender.append("b", line("2"))
            return status

        monkeypatch.setattr(os, "fstat", late)
        appender.append("a", line("3"))

        assert ["0", "1", "2", "3"] == content(root, "a")

    def test_close(self, root: Path) -> None:
        """It gives all descriptors back; what comes later opens its file again."""
        appender = Appender(root, SUFFIX)
        for sid in ("a", "b"):
            appender.append(sid, line("1"))
        descriptors = [file.fd for file in appender._table.files.values()]
        appender.close()
        appender.close()
        assert 0 == appender.open_files
        for fd in descriptors:
            with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
                os.fstat(fd)
        appender.append("a", line("2"))

        assert ["1", "2"] == content(root, "a")

    def test_dropping_the_appender_closes_its_files(self, root: Path) -> None:
        """No descriptor outlives it."""
        appender = Appender(root, SUFFIX)
        appender.append("s", line("1"))
        fd = appender._table.files["s"].fd
        del appender

        with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
            os.fstat(fd)

    def test_a_descriptor_that_somebody_closed(self, root: Path) -> None:
        """As daemons do: the file is opened again and the line is there, once."""
        appender = Appender(root, SUFFIX)
        for text in ("1", "2", "3"):
            appender.append("s", line(text))
            os.close(appender._table.files["s"].fd)
        appender.append("s", line("4"))

        assert ["1", "2", "3", "4"] == content(root, "s")

    def test_a_descriptor_that_is_somebody_elses_by_now(self, root: Path) -> None:
        """Within half a second it is noticed: neither written to nor closed."""
        appender = Appender(root, SUFFIX)
        appender.append("s", line("1"))
        file = appender._table.files["s"]
        with open(root / "other", "wb") as opened:
            os.dup2(opened.fileno(), other := file.fd)
        file.check_at = 0.0  # half a second later
        appender.append("s", line("2"))
        del file, appender

        assert ["1", "2"] == content(root, "s")
        os.close(other)
        assert not (root / "other").read_bytes()

    def test_files_that_go_while_room_is_made(self, root: Path) -> None:
        """Another thread closes all of them in the middle of it: nobody looks for a victim for ever."""
        appender = Appender(root, SUFFIX, max_open_files=1)
        appender.append("a", line("1"))

        class Shrinking(OrderedDict[Any, Any]):
            def move_to_end(self, key: Any, last: bool = True) -> None:  # noqa: FBT001, FBT002
                super().move_to_end(key, last)
                self.pop("a", None)

        appender._table.files = Shrinking(appender._table.files)
        appender._table.files["a"].used = True
        appender.append("b", line("2"))

        assert [["1"], ["2"]] == [content(root, sid) for sid in "ab"]

    def test_no_lock_is_kept_twice(self, root: Path, fast_switching: None) -> None:
        """Many threads may want to close one file; those of closed files serve those to come."""
        del fast_switching
        appender = Appender(root, SUFFIX, max_open_files=3)

        def work(name: int) -> None:
            for number in range(300):
                appender.append(f"s{(name + number) % 10}", line("text"))

        run_threads(*(lambda name=name: work(name) for name in range(8)))

        spare = appender._table.spare_locks
        kept = {*map(id, spare), *(id(file.lock) for file in appender._table.files.values())}
        assert len(kept) == len(spare) + len(appender._table.files)
        assert len(kept) <= 8 + 8

    def test_interrupted_before_there_is_a_descriptor(
        self, root: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Nothing is said of it, where a file that was not finished goes."""
        del root
        File.__new__(File).close()
        File.__new__(File)  # and is gone

        assert ("", "") == capsys.readouterr()

    def test_who_outlives_the_interpreter(self, root: Path, run_python: Callable[..., str]) -> None:
        """Nothing is said where the module ``os`` is no more when the appender goes."""
        source = """
import sys, time
from tracectrl.files.write.appender import Appender
appender = Appender(sys.argv[1], ".logs.jsonl")
appender.append("s", b"line\\n")
time.keeps = lambda: appender  # and with it this module's names
"""
        assert "" == run_python(source, str(root))

    def test_locks_that_somebody_wraps(self, root: Path, run_python: Callable[..., str]) -> None:
        """As profilers of locks do: what they put in the place of RLock is taken as it is."""
        source = """
import sys, threading
class Profiled:
    def __init__(self, lock, name):
        self._lock = lock
    def __enter__(self):
        self._lock.acquire()
        return self
    def __exit__(self, *_):
        self._lock.release()
    def __getattr__(self, name):
        return getattr(self._lock, name)
make = threading.RLock
threading.RLock = lambda *args, **options: Profiled(make(*args, **options), "here")
from tracectrl.files.write.appender import Appender
Appender(sys.argv[1], ".logs.jsonl").append("s", b"line\\n")
"""
        assert "" == run_python(source, str(root))
        assert ["line"] == content(root, "s")


class TestSingleLines:
    """Sessions that log a line at a time by turns, more of them than there may be open files.

    Their files are not kept open, since that would close those of others that log sooner again; what
    holds of a file that is kept open holds of these, too.
    """

    @pytest.fixture
    def make(self, root: Path) -> Iterator[Callable[..., Appender]]:
        """Return what makes an appender where "other" has the one open file, and "s" gets none."""

        def make(**options: int) -> Appender:
            appender = Appender(root, SUFFIX, max_open_files=1, **options)
            for sid in ("s", "other", "other"):
                appender.append(sid, line("1"))
            return appender

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(appender_module, "_SINGLES", 1)
            yield make

    def test_by_turns(self, root: Path) -> None:
        """A hundred sessions, ten files: the same ten stay open, and each line is in its file."""
        appender = Appender(root, SUFFIX, max_open_files=10)
        open_files = []
        for text in "1234567":
            for number in range(100):
                appender.append(f"s{number}", line(text))
            open_files.append({key: file.fd for key, file in appender._table.files.items()})

        assert [list("1234567")] * 100 == [content(root, f"s{number}") for number in range(100)]
        assert 10 == len(open_files[3])
        assert [open_files[3]] * 3 == open_files[4:]

    @pytest.mark.parametrize(
        ("sizes", "expected"),
        [((1, 1, 1, 1), False), ((1, 1, 2, 1), True), ((2, 1, 1, 1), True), ((1, 1, 1), True)],
    )
    def test_lines_now_and_then(
        self,
        sizes: tuple[int, ...],
        expected: bool,  # noqa: FBT001
        root: Path,
    ) -> None:
        """Only who has come for a single line three times is taken to do so: less may be chance."""
        appender = Appender(root, SUFFIX, max_open_files=1)
        for size in sizes:
            for _ in range(size):
                appender.append("s", line("1"))
            is_open = "s" in appender._table.files
            for _ in range(2):
                appender.append("other", line("1"))

        assert expected == is_open

    def test_files_at_rest_are_closed(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """However slowly the turns go round, nobody keeps a file for longer than a minute."""
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now)
        appender = Appender(root, SUFFIX, max_open_files=4)
        for number in range(200):
            appender.append(f"s{number % 50}", line("1"))
        for number in range(12):
            appender.append(f"ended{number % 4}", line("1"))
        for number in range(400):
            now += 10
            appender.append(f"s{number % 50}", line("1"))
            assert number < 8 or all(str(key)[0] == "s" for key in appender._table.files)
            assert all(file.check_at > now - 70 for file in appender._table.files.values())

    def test_a_process_that_stalls(
        self, make: Callable[..., Appender], root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What may have been moved or removed meanwhile is not written to."""
        appender = make()

        def late(fd: int) -> bool:
            is_held = hold(fd)
            log_path("s", root).rename(root / "away")
            now = time.monotonic() + 1
            monkeypatch.setattr(time, "monotonic", lambda: now)
            return is_held

        monkeypatch.setattr(once_module, "hold", late)
        appender.append("s", line("2"))

        assert ["2"] == content(root, "s")

    def test_a_signal_handler_that_raises_an_oserror(
        self, make: Callable[..., Appender], root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A TimeoutError is one; it is not ours."""
        appender = make()

        def late(_: int) -> None:
            raise TimeoutError

        monkeypatch.setattr(once_module, "hold", late)
        with pytest.raises(TimeoutError):
            appender.append("s", line("2"))
        monkeypatch.undo()
        appender.append("s", line("3"))

        assert ["1", "3"] == content(root, "s")

    def test_what_comes_back_soon_is_kept_open(self, make: Callable[..., Appender]) -> None:
        """Sooner than the one that it replaces."""
        appender = make()
        kept = []
        for _ in range(3):
            appender.append("s", line("2"))
            kept.append(set(appender._table.files))

        assert [{"other"}, {"s"}, {"s"}] == kept

    def test_what_came_back_soon_is_kept_open_at_once(self, make: Callable[..., Appender]) -> None:
        """Two lines at a time are no single ones, the next time as well."""
        appender = make()
        for sid in ("s", "s", "other", "other", "s"):
            appender.append(sid, line("2"))

        assert {"s"} == set(appender._table.files)

    def test_two_lines_at_a_time(self, root: Path) -> None:
        """The file is opened once for both."""
        appender = Appender(root, SUFFIX, max_open_files=1)
        for sid in ("s", "s", "other", "other") * 3:
            appender.append(sid, line("1"))
            assert {sid} == set(appender._table.files)

    def test_where_there_is_room(self, make: Callable[..., Appender]) -> None:
        """Every file is kept open."""
        appender = make()
        appender.close()
        appender.append("s", line("2"))

        assert {"s"} == set(appender._table.files)

    def test_the_memory_has_a_bound(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """However many sessions there are."""
        monkeypatch.setattr(appender_module, "_MAX_LEFT", 20)
        appender = Appender(root, SUFFIX, max_open_files=2)
        for text in "12345":
            for number in range(50):
                appender.append(f"s{number}", line(text))
                assert len(appender._left) <= 20

        assert [list("12345")] * 50 == [content(root, f"s{number}") for number in range(50)]

    def test_no_descriptor_stays_open(self, make: Callable[..., Appender], root: Path) -> None:
        """Nor a lock on the file, which may be pruned or compressed at once."""
        appender = make()
        before = os.dup(0)
        os.close(before)
        appender.append("s", line("2"))
        after = os.dup(0)
        os.close(after)
        with opened_alone(log_path("s", root)) as (_, is_alone):
            assert is_alone

        assert before == after
        assert {"other"} == set(appender._table.files)

    @pytest.mark.parametrize(
        ("others", "expected"),
        [
            ("", ["1", "2"]),
            ("a\nb\n", ["1", "a", "b", "2"]),
            ("half", ["1", "half", "2"]),
            ("a\nhalf", ["1", "a", "half", "2"]),
        ],
    )
    def test_another_process_has_written(
        self, others: str, expected: list[str], make: Callable[..., Appender], root: Path
    ) -> None:
        """Whole lines, or one that it left half."""
        appender = make()
        with log_path("s", root).open("a") as file:
            file.write(others)
        appender.append("s", line("2"))

        assert expected == content(root, "s")
        assert ("half" in others) == ("s" in appender._table.files)

    @pytest.mark.parametrize(
        ("others", "expected"),
        [("a\nb\n", ["1", "a", "b", "2"]), ("half", ["1", "half2", "2"])],
    )
    def test_another_process_writes_meanwhile(
        self,
        others: str,
        expected: list[str],
        make: Callable[..., Appender],
        root: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A line is written twice only where half a line swallowed it."""
        appender = make()
        write = os.write

        def with_other(fd: int, data: bytes) -> int:
            monkeypatch.undo()
            with log_path("s", root).open("a") as file:
                file.write(others)
            return write(fd, data)

        monkeypatch.setattr(os, "write", with_other)
        appender.append("s", line("2"))

        assert expected == content(root, "s")
        assert (others == "half") == ("s" in appender._table.files)

    @pytest.mark.parametrize(
        ("plan", "expected"),
        [
            ([4], ["1", "1234", "123456789"]),
            ([0], ["1", "123456789"]),
            ([9], ["1", "123456789"]),  # without its newline it is a line, too
            ([-errno.EIO], ["1", "123456789"]),
            ([4, 4], ["1", "1234", "123", "123456789"]),
        ],
    )
    def test_a_disk_that_fails_for_once(
        self,
        plan: list[int],
        expected: list[str],
        make: Callable[..., Appender],
        root: Path,
        writes: Writes,
    ) -> None:
        """The whole line is on a line of its own, and so is the next one."""
        appender = make()
        writes.plan = plan
        appender.append("s", line("123456789"))
        appender.append("other", line("2"))
        appender.append("s", line("next"))

        assert [*expected, "next"] == content(root, "s")

    @pytest.mark.parametrize(
        "plan", [[-errno.ENOSPC] * 2, [4, -errno.ENOSPC], [4, 4, 4], [9, -errno.ENOSPC]]
    )
    def test_a_full_disk(
        self, plan: list[int], make: Callable[..., Appender], root: Path, writes: Writes
    ) -> None:
        """The OSError comes out, and the next line is whole; one without its newline is no error."""
        appender = make()
        writes.plan = list(plan)
        if plan[0] == 9:
            appender.append("s", line("123456789"))
        with pytest.raises(OSError, match=r"No space left|wrote 4 of 11 bytes"):
            appender.append("s", line("123456789"))
        appender.append("s", line("next"))

        assert "next" == content(root, "s")[-1]
        assert (plan[0] == 9) == ("123456789" in content(root, "s"))

    @pytest.mark.parametrize("call", ["lseek", "close"])
    def test_what_fails_behind_the_write(
        self,
        call: str,
        make: Callable[..., Appender],
        root: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The line is there, and not written again."""
        appender = make()
        real = getattr(os, call)

        def fail(*args: Any) -> None:
            monkeypatch.undo()
            real(*args)
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(appender, "_lseek", fail) if call == "lseek" else None
        monkeypatch.setattr(os, call, fail)
        for text in "23":
            appender.append("s", line(text))
            appender.append("other", line(text))

        assert list("123") == content(root, "s")

    def test_a_file_that_is_gone(self, make: Callable[..., Appender], root: Path) -> None:
        """It is made anew, and the root with it."""
        appender = make()
        shutil.rmtree(root)
        appender.append("s", line("2"))

        assert {"s.logs.jsonl": "2\n"} == files_in(root)

    def test_a_file_that_was_emptied(self, make: Callable[..., Appender], root: Path) -> None:
        """It goes on from there."""
        appender = make()
        os.truncate(log_path("s", root), 0)
        appender.append("s", line("2"))

        assert ["2"] == content(root, "s")

    def test_a_file_that_is_taken_away_while_it_is_opened(
        self, make: Callable[..., Appender], root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nothing is written to what has no name any more."""
        appender = make()

        def late(fd: int) -> bool:
            monkeypatch.undo()
            log_path("s", root).unlink()
            return hold(fd)

        monkeypatch.setattr(once_module, "hold", late)
        appender.append("s", line("2"))

        assert ["2"] == content(root, "s")

    @pytest.mark.parametrize("what", ["a symbolic link", "not a regular file"])
    def test_what_is_no_regular_file(
        self, what: str, make: Callable[..., Appender], root: Path, tmp_path: Path
    ) -> None:
        """It is neither followed nor written to; the error names it."""
        appender = make()
        path = log_path("s", root)
        if what == "a symbolic link":
            path.rename(tmp_path / "target")
            path.symlink_to(tmp_path / "target")
            reader = os.open(path, os.O_RDONLY)
        else:
            path.unlink()
            os.mkfifo(path)
            reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with pytest.raises(OSError, match=what):
            appender.append("s", line("2"))

        assert os.read(reader, 100) in {b"", line("1")}
        os.close(reader)

    def test_rotation(self, make: Callable[..., Appender], root: Path) -> None:
        """By size, as if the file had been open."""
        appender = make(max_bytes=10, backup_count=9)
        for number in range(10):
            appender.append("s", line(f"s{number}"))
            appender.append("other", line("more"))

        assert ["1", *(f"s{number}" for number in range(10))] == sorted(_with_backups(root, "s"))
        sizes = [path.stat().st_size for path in root.glob("s.*")]
        assert len(sizes) == 4
        assert max(sizes) <= 10

    @pytest.mark.parametrize("options", [{}, {"max_bytes": 1000, "backup_count": 1}])
    def test_a_file_that_is_rotated_away_in_a_long_write(
        self,
        options: dict[str, int],
        make: Callable[..., Appender],
        root: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """And removed, by whoever rotates: the line is written again."""
        appender = make(**options)
        remove_in_a_long_write(log_path("s", root), monkeypatch)
        appender.append("s", line("2"))

        assert ["2"] == content(root, "s")

    def test_a_bound_on_new_sessions(self, make: Callable[..., Appender], root: Path) -> None:
        """A session whose file was removed is a new one."""
        appender = make(max_sessions_per_minute=2)
        log_path("s", root).unlink()
        appender.append("new", line("1"))
        appender.append("s", line("2"))

        assert ["2"] == content(root, "s")  # it is among those of this minute still
        assert {"%overflow.logs.jsonl": "1\n"}.items() <= files_in(root).items()

    def test_a_process_that_runs_out(self, make: Callable[..., Appender], root: Path) -> None:
        """A file of its own is closed for it."""
        appender = make()
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = max(_lowest_free(), appender._table.files["other"].fd + 1)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, limits[1]))
        others = []
        try:
            with contextlib.suppress(OSError):
                while True:
                    others.append(os.dup(0))
            appender.append("s", line("2"))
        finally:
            for fd in others:
                os.close(fd)
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)

        assert ["1", "2"] == content(root, "s")

    def test_a_signal_handler_that_appends(
        self, make: Callable[..., Appender], root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In the middle of it: both lines are there once."""
        appender = make()
        fstat = os.fstat

        def interrupted(fd: int) -> os.stat_result:
            monkeypatch.undo()
            status = fstat(fd)
            appender.append("s", line("handler"))
            return status

        monkeypatch.setattr(os, "fstat", interrupted)
        appender.append("s", line("2"))

        assert ["1", "handler", "2"] == content(root, "s")

    @pytest.mark.parametrize("goes", ["second", "close"])
    def test_another_thread_meanwhile(
        self, goes: str, make: Callable[..., Appender], root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It waits for the end of that write, and so knows what it left."""
        appender = make()
        works = [
            lambda: appender.append("s", line("2")),
            appender.close if goes == "close" else lambda: appender.append("s", line("3")),
            lambda: appender.append("s", line("4")),
        ]
        run_in_the_middle_of_a_write(line("2"), works, monkeypatch)

        found = content(root, "s")
        assert ["1", "2"] == found[:2]
        assert (["3", "4"] if goes == "second" else ["4"]) == sorted(found[2:])

    def test_another_thread_opens_it_first(
        self, make: Callable[..., Appender], root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Then its descriptor serves both."""
        appender = make()
        stand_in = appender._table.stand_in

        def late(_: object, *args: Any) -> File | None:
            monkeypatch.undo()
            appender._left.clear()
            run_threads(lambda: appender.append("s", line("2")))
            return stand_in(*args)

        monkeypatch.setattr(type(appender._table), "stand_in", late)
        appender.append("s", line("3"))

        assert ["1", "2", "3"] == content(root, "s")
        assert {"s"} == set(appender._table.files)

    def test_interrupted_before_it_is_written(
        self, make: Callable[..., Appender], root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whatever a signal handler that raises leaves behind, the session goes on."""
        appender = make()
        with monkeypatch.context() as patched:
            patched.setattr(appender_module, "append_once", interrupt)
            patched.setattr(type(appender._table), "forget", lambda *_: None)
            with pytest.raises(Interrupted):
                appender.append("s", line("2"))
        assert {"other", "s"} == set(appender._table.files)
        appender.append("s", line("3"))
        appender.append("other", line("3"))

        assert ["1", "3"] == content(root, "s")
        assert {"other"} == set(appender._table.files)

    def test_a_forked_child(self, make: Callable[..., Appender], root: Path) -> None:
        """Parent and child write by turns."""
        appender = make()

        def work() -> None:
            for text in "23":
                appender.append("s", line(text))
                appender.append("other", line("2"))

        wait_for(in_child(work))
        appender.append("s", line("4"))

        assert list("1234") == content(root, "s")


def _lowest_free() -> int:
    fd = os.dup(0)
    os.close(fd)
    return fd


class TestMovedFiles:
    """Somebody cleans up, or rotates, while we write."""

    def test_a_deleted_file_and_a_moved_one_are_noticed_within_a_second(self, root: Path) -> None:
        """And a root that is gone: what comes a second later is found under the right names."""
        appender = Appender(root, SUFFIX)
        gone = Appender(root.parent / "gone", SUFFIX)
        for each, sid in ((appender, "deleted"), (appender, "moved"), (gone, "root")):
            each.append(sid, line("before"))
        start = time.monotonic()
        log_path("deleted", root).unlink()
        log_path("moved", root).rename(root / "old")
        shutil.rmtree(root.parent / "gone")
        time.sleep(max(0, start + 1 - time.monotonic()))
        for each, sid in ((appender, "deleted"), (appender, "moved"), (gone, "root")):
            each.append(sid, line("after"))

        assert {
            "deleted.logs.jsonl": "after\n",
            "moved.logs.jsonl": "after\n",
            "old": "before\n",
        } == (files_in(root))
        assert {"root.logs.jsonl": "after\n"} == files_in(root.parent / "gone")
        assert 0o700 == stat.S_IMODE((root.parent / "gone").stat().st_mode)

    def test_a_file_that_is_pruned_while_a_line_is_written(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After a rest, whether the line went with the file is looked at behind the write, too."""
        appender = Appender(root, SUFFIX)
        appender.append("s", line("before"))
        write = os.write

        def prune_first(fd: int, data: bytes) -> int:
            monkeypatch.undo()
            log_path("s", root).unlink()
            return write(fd, data)

        appender._table.files["s"].check_at = 0.0
        monkeypatch.setattr(os, "write", prune_first)
        appender.append("s", line("after"))

        assert ["after"] == content(root, "s")

    @pytest.mark.parametrize("options", [{}, {"max_bytes": 1 << 20, "backup_count": 1}])
    def test_a_file_that_is_rotated_away_in_a_long_write(
        self, options: dict[str, int], root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Others wait so long with removing it as a write may take; a longer one looks behind it.

        With rotation and without, since others may rotate.
        """
        appender = Appender(root, SUFFIX, **options)
        appender.append("s", line("before"))
        remove_in_a_long_write(log_path("s", root), monkeypatch)
        appender.append("s", line("after"))

        assert ["after"] == content(root, "s")

    @pytest.mark.parametrize("options", [{}, {"max_bytes": 60, "backup_count": 2}])
    def test_a_root_that_cannot_be_entered_for_a_moment(self, options: dict[str, int]) -> None:
        """What is open is written to; what moved meanwhile is noticed when the root can be entered."""
        with tempfile.TemporaryDirectory() as name:
            os.chmod(name, 0o777)  # noqa: S103 - another user makes the root

            def work() -> None:
                if os.geteuid() == 0:
                    os.setuid(65534)
                root = Path(name, "traces")
                appender = Appender(root, SUFFIX, **options)
                appender.append("s", line("before"))
                root.chmod(0)
                for text in ("1", "2"):
                    appender._table.files["s"].check_at = 0.0  # half a second later
                    appender.append("s", line(text))
                    appender.append("s", line("x" * 60))
                with pytest.raises(PermissionError):
                    appender.append("new", line("1"))
                root.chmod(0o700)
                assert ["before", "1", "x" * 60, "2", "x" * 60] == content(root, "s")
                log_path("s", root).rename(root / "old")
                appender._table.files["s"].check_at = 0.0
                appender.append("s", line("after"))
                assert ["after"] == content(root, "s")

            wait_for(in_child(work))

    def test_files_at_rest_are_closed_when_another_is_opened(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What nobody writes to for a minute may be pruned and compressed."""
        appender = Appender(root, SUFFIX)
        for sid in ("old", "older", "used"):
            appender.append(sid, line("1"))
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now + 61)
        appender.append("used", line("2"))
        appender.append("new", line("1"))

        assert {"used", "new"} == set(appender._table.files)

    def test_a_new_session_remakes_the_root_at_once(self, root: Path) -> None:
        """It has to open a file anyway."""
        appender = Appender(root, SUFFIX)
        shutil.rmtree(root)
        appender.append("s", line("1"))

        assert ["1"] == content(root, "s")

    def test_a_root_that_has_become_a_file(self, root: Path) -> None:
        """An OSError, until it is a directory again."""
        appender = Appender(root, SUFFIX)
        root.rmdir()
        root.write_text("x")
        with pytest.raises(NotADirectoryError):
            appender.append("s", line("1"))
        root.unlink()
        appender.append("s", line("2"))

        assert ["2"] == content(root, "s")


class TestThreads:
    """Many threads, many sessions, few descriptors."""

    @pytest.mark.parametrize("options", [{}, {"max_bytes": 400, "backup_count": 1000}])
    @pytest.mark.parametrize("max_open_files", [1, 3])
    def test_nothing_is_lost_or_mixed(
        self, max_open_files: int, options: dict[str, int], root: Path, fast_switching: None
    ) -> None:
        """Each session's file holds exactly its lines, whole, each thread's in order."""
        del fast_switching
        appender = Appender(root, SUFFIX, max_open_files=max_open_files, **options)
        threads, sessions, count = 8, 10, 12

        def work(thread: int) -> None:
            for number in range(count):
                for sid in range(sessions):
                    appender.append(f"s{sid}", line(f"{sid}-{thread}-{number:02}"))

        run_threads(*(lambda thread=t: work(thread) for t in range(threads)))

        for sid in range(sessions):
            lines = _with_backups(root, f"s{sid}")
            assert threads * count == len(lines) == len(set(lines))
            for thread in range(threads):
                mine = [text for text in lines if text.startswith(f"{sid}-{thread}-")]
                assert [f"{sid}-{thread}-{n:02}" for n in range(count)] == sorted(mine)
                assert options or mine == sorted(mine)

    def test_closing_meanwhile(self, root: Path, fast_switching: None) -> None:
        """Another thread may close at any time; nothing is lost."""
        del fast_switching
        appender = Appender(root, SUFFIX)

        def work(thread: int) -> None:
            for number in range(100):
                appender.append("s", line(f"{thread}-{number}"))

        def close() -> None:
            for _ in range(200):
                appender.close()

        run_threads(close, *(lambda t=t: work(t) for t in range(3)))

        assert {f"{t}-{n}" for t in range(3) for n in range(100)} == set(content(root, "s"))
        assert 300 == len(content(root, "s"))


class TestForks:
    """A fork copies locks and descriptors; the child logs all the same."""

    @pytest.mark.parametrize("options", [{}, {"max_bytes": 100_000, "backup_count": 1000}])
    def test_while_threads_are_writing(self, options: dict[str, int], root: Path) -> None:
        """Neither hangs, nothing is lost or mixed."""
        appender = Appender(root, SUFFIX, max_open_files=3, **options)
        stop = threading.Event()
        counts = [0] * 4

        def write(thread: int) -> None:
            while not stop.is_set():
                appender.append(
                    f"s{thread % 5}", line(f"parent{thread}-{counts[thread]}" + "x" * 5000)
                )
                counts[thread] += 1
                if counts[thread] > 5000:  # A slow machine forks slowly; a disk has an end.
                    time.sleep(0.001)

        def child(number: int) -> None:
            for sid in range(5):
                appender.append(f"s{sid}", line(f"child{number}-{sid}"))

        threads = [threading.Thread(target=write, args=(t,)) for t in range(4)]
        for thread in threads:
            thread.start()
        try:
            for number in range(10):
                wait_for(in_child(lambda n=number: child(n)))  # type: ignore[misc]
        finally:
            stop.set()
            for thread in threads:
                thread.join(DEADLINE_S)

        found = [text.rstrip("x") for sid in range(5) for text in _with_backups(root, f"s{sid}")]
        expected = [f"child{n}-{sid}" for n in range(10) for sid in range(5)]
        expected += [f"parent{t}-{n}" for t in range(4) for n in range(counts[t])]
        assert sorted(expected) == sorted(found)

    def test_a_lock_whose_holder_is_not_there(self, root: Path) -> None:
        """The child does not wait for threads that only the parent has."""
        appender = Appender(root, SUFFIX)
        appender.append("s", line("0"))
        held, release = threading.Event(), threading.Event()

        def hold() -> None:
            with appender._table.lock, appender._table.files["s"].lock:
                held.set()
                release.wait(DEADLINE_S)

        def child() -> None:
            appender.append("s", line("1"))
            appender.append("new", line("1"))
            appender.close()
            wait_for(in_child(lambda: appender.append("s", line("2"))))

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait(DEADLINE_S)
        try:
            wait_for(in_child(child))
        finally:
            release.set()
            thread.join(DEADLINE_S)
        appender.append("s", line("3"))

        assert ["0", "1", "2", "3"] == content(root, "s")
        assert ["1"] == content(root, "new")

    def test_a_dead_lock_that_several_threads_meet(self, root: Path, fast_switching: None) -> None:
        """Whichever of the child's threads finds out first, none waits for the dead one."""
        del fast_switching
        for number in range(10):
            appender = Appender(root, SUFFIX, max_open_files=2)
            appender.append("s", line("parent"))
            held, release = threading.Event(), threading.Event()

            def hold(
                appender: Appender = appender,
                held: threading.Event = held,
                release: threading.Event = release,
            ) -> None:
                with appender._table.lock, appender._table.files["s"].lock:
                    held.set()
                    release.wait(DEADLINE_S)

            def child(appender: Appender = appender, number: int = number) -> None:
                works = (lambda t=t: appender.append("s", line(f"{number}-{t}")) for t in range(8))
                run_threads(*works)

            thread = threading.Thread(target=hold)
            thread.start()
            held.wait(DEADLINE_S)
            try:
                wait_for(in_child(child))
            finally:
                release.set()
                thread.join(DEADLINE_S)

        expected = [f"{number}-{t}" for number in range(10) for t in range(8)] + ["parent"] * 10
        assert sorted(expected) == sorted(content(root, "s"))

    def test_into_a_child_with_threads(self, root: Path, fast_switching: None) -> None:
        """The child's own threads neither fail nor hang over what the fork left."""
        del fast_switching
        pids = []
        for number in range(8):
            appender = Appender(root / str(number), SUFFIX, max_open_files=2)
            appender.append("s", line("0"))

            def child(appender: Appender = appender) -> None:
                def work(thread: int) -> None:
                    for each in range(20):
                        appender.append(f"s{thread}-{each}", line("1"))

                run_threads(*(lambda t=t: work(t) for t in range(8)))

            pids.append(in_child(child))
        wait_for(*pids)

        for number in range(8):
            files = files_in(root / str(number))
            assert {"0\n", "1\n"} == set(files.values())
            assert 161 == len(files)


class TestSignals:
    """A handler of signals may log in the middle of a write, or raise there."""

    def test_a_handler_that_raises(self, root: Path, run_python: Callable[..., str]) -> None:
        """A time limit, Ctrl-C that is caught: no lock stays taken, whatever it interrupted.

        In a process of its own: coverage's tracer has a lock that would stay taken.
        """
        written = int(run_python(RAISING, str(root)))

        found = [text for sid in "abc" for text in content(root, sid)]
        assert {"main", "other"} == set(found)
        assert written == found.count("other")

    def test_interrupted_in_the_middle_of_opening(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The descriptor is closed once: its number may be somebody else's at once."""
        appender = Appender(root, SUFFIX)
        path = log_path("s", root)
        path.write_bytes(line("1"))
        with monkeypatch.context() as patched:
            patched.setattr(appender_module, "is_torn", interrupt)
            with pytest.raises(Interrupted) as caught:  # which keeps the file, half open
                appender.append("s", line("2"))
        other = os.open(path, os.O_RDONLY)
        del caught
        gc.collect()

        assert b"1" == os.read(other, 1)
        os.close(other)
        assert not appender.open_files

    @pytest.mark.parametrize("options", [{}, {"max_bytes": 2000, "backup_count": 1000}])
    def test_a_handler_that_appends(self, options: dict[str, int], root: Path) -> None:
        """No deadlock, no line lost or mixed."""
        appender = Appender(root, SUFFIX, max_open_files=2, **options)
        handled = 0

        def handle(signum: int, frame: object) -> None:
            nonlocal handled
            del signum, frame
            number, handled = handled, handled + 1  # first: on a slow machine it interrupts itself
            for sid in ("s0", "s1", "s2"):
                appender.append(sid, line(f"signal{number}"))

        before = signal.signal(signal.SIGALRM, handle)
        try:
            for number in range(1500):
                if number % 10 == 0:  # one at a time: the handler takes longer than the interval
                    signal.setitimer(signal.ITIMER_REAL, 1e-6 * (1 + number % 97))
                appender.append(f"s{number % 3}", line(f"main{number}"))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

        assert handled
        for sid in range(3):
            expected = [f"main{number}" for number in range(sid, 1500, 3)]
            expected += [f"signal{number}" for number in range(handled)]
            assert sorted(expected) == sorted(_with_backups(root, f"s{sid}"))

    def test_two_threads_that_want_each_others_file(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each in the middle of a write, where a signal or garbage has it log: no deadlock."""
        appender = Appender(root, SUFFIX, max_sessions_per_minute=5)
        write, barrier = os.write, threading.Barrier(2)
        is_first = dict.fromkeys((line("a"), line("b")), True)

        def interrupted(fd: int, data: bytes) -> int:
            if is_first.pop(data, False):
                barrier.wait(DEADLINE_S)
                appender.append("b" if data == line("a") else "a", line("within"))
                appender.close()
            return write(fd, data)

        monkeypatch.setattr(os, "write", interrupted)
        run_threads(*(lambda sid=sid: appender.append(sid, line(sid)) for sid in "ab"))
        appender.append("a", line("later"))

        assert [["a", "later", "within"], ["b", "within"]] == [
            sorted(content(root, sid)) for sid in "ab"
        ]

    def test_half_a_line_in_the_middle_of_a_write(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What a full disk leaves of a handler's line swallows neither that nor the outer one."""
        appender = Appender(root, SUFFIX)
        appender.append("s", line("1"))
        write, plan = os.write, [3, 3]

        def interrupted(fd: int, data: bytes) -> int:
            if data == line("2"):
                monkeypatch.setattr(os, "write", short)
                with pytest.raises(OSError, match="wrote 3 of"):
                    appender.append("s", line("handler"))
                appender.append("s", line("whole"))
                monkeypatch.undo()
            return write(fd, data)

        def short(fd: int, data: bytes) -> int:
            return write(fd, data[: plan.pop() if plan else None])

        monkeypatch.setattr(os, "write", interrupted)
        appender.append("s", line("2"))

        assert ["1", "han", "ha", "whole", "2"] == content(root, "s")

    def test_in_the_middle_of_a_rotation(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A signal between two renames: what the handler logs, and what was there, is kept."""
        appender = Appender(root, SUFFIX, max_bytes=10, backup_count=9)
        appender.append("s", line("before"))
        replace = os.replace

        def handle(signum: int, frame: object) -> None:
            del signum, frame
            appender.append("s", line("handler"))

        def interrupted(source: str, target: str) -> None:
            if target.endswith(".1"):
                monkeypatch.setattr(os, "replace", replace)
                signal.raise_signal(signal.SIGUSR1)
            replace(source, target)

        earlier = signal.signal(signal.SIGUSR1, handle)
        monkeypatch.setattr(os, "replace", interrupted)
        try:
            appender.append("s", line("after"))
        finally:
            signal.signal(signal.SIGUSR1, earlier)

        assert ["after", "before", "handler"] == sorted(_with_backups(root, "s"))


def _with_backups(root: Path, sid: str) -> list[str]:
    """Return the lines of *sid* and of its backups, oldest first."""
    path = log_path(sid, root)
    backups = list(root.glob(f"{path.name}.*"))
    backups.sort(key=lambda p: -int(p.suffix[1:]))
    return [text for p in (*backups, path) if p.exists() for text in p.read_text().split("\n")[:-1]]


class TestRotation:
    """By size, with the standard library's names."""

    def test_names_and_contents_are_the_standard_librarys(self, root: Path, tmp_path: Path) -> None:
        """The same lines give the same files as RotatingFileHandler."""
        appender = Appender(root, SUFFIX, max_bytes=100, backup_count=3)
        (tmp_path / "std").mkdir()
        standard = logging.handlers.RotatingFileHandler(
            tmp_path / "std" / "s.logs.jsonl", maxBytes=100, backupCount=3
        )
        for number in range(60):
            text = f"line{number:02}"
            appender.append("s", line(text))
            standard.emit(logging.makeLogRecord({"msg": text}))
        standard.close()

        assert files_in(tmp_path / "std") == files_in(root)
        assert 4 == len(files_in(root))

    @pytest.mark.parametrize(("max_bytes", "backup_count"), [(0, 3), (10, 0), (0, 0)])
    def test_off(self, max_bytes: int, backup_count: int, root: Path) -> None:
        """Without a size, or without backups, nothing is rotated and nothing deleted."""
        appender = Appender(root, SUFFIX, max_bytes=max_bytes, backup_count=backup_count)
        for number in range(20):
            appender.append("s", line(str(number)))

        assert ["s.logs.jsonl"] == list(files_in(root))
        assert 20 == len(content(root, "s"))

    def test_a_line_longer_than_the_limit(self, root: Path) -> None:
        """It has a file of its own, whole."""
        appender = Appender(root, SUFFIX, max_bytes=10, backup_count=5)
        for text in ("a", "x" * 50, "y" * 50, "b"):
            appender.append("s", line(text))

        expected = {"": "b\n", ".1": "y" * 50 + "\n", ".2": "x" * 50 + "\n", ".3": "a\n"}
        assert {f"s.logs.jsonl{key}": text for key, text in expected.items()} == files_in(root)

    def test_several_processes(self, root: Path) -> None:
        """They rotate one file together: no line lost, none twice, none torn."""
        processes, count = 4, 150

        def child(number: int) -> None:
            appender = Appender(root, SUFFIX, max_bytes=500, backup_count=10_000)
            for each in range(count):
                appender.append("s", line(f"{number}-{each}"))

        wait_for(*(in_child(lambda n=n: child(n)) for n in range(processes)))  # type: ignore[misc]

        expected = {f"{n}-{each}" for n in range(processes) for each in range(count)}
        lines = _with_backups(root, "s")
        assert processes * count == len(lines)
        assert expected == set(lines)

    def test_a_forked_child_rotates_with_its_parent(self, root: Path) -> None:
        """They share an open file at first: its lock alone would not keep them apart."""
        appender = Appender(root, SUFFIX, max_bytes=500, backup_count=10_000)
        appender.append("s", line("first"))

        def work(name: str) -> None:
            for number in range(100):
                appender.append("s", line(f"{name}-{number}"))

        pids = [in_child(lambda n=n: work(f"child{n}")) for n in range(2)]  # type: ignore[misc]
        work("parent")
        wait_for(*pids)

        lines = _with_backups(root, "s")
        expected = {f"{name}-{n}" for name in ("child0", "child1", "parent") for n in range(100)}
        assert {"first", *expected} == set(lines)
        assert 301 == len(lines)

    def test_beside_a_writer_that_does_not_rotate(self, root: Path) -> None:
        """What it writes to a file that was rotated away is kept until it has noticed.

        And no longer: there is one more than there may be while it has one open, none afterwards.
        """
        rotating = Appender(root, SUFFIX, max_bytes=20, backup_count=1)
        plain = Appender(root, SUFFIX)
        found = []
        for number in range(3):
            plain.append("s", line(f"plain{number}"))
            for each in range(10):
                rotating.append("s", line(f"rotating{each}"))
            plain.append("s", line(f"late{number}"))
            found.append(f"late{number}" in _with_backups(root, "s"))
            time.sleep(LOOK_EVERY_S)
        counts = []
        for _ in range(2):
            plain.append("s", line("noticed"))
            for _ in range(4):
                rotating.append("s", line("the last one, which is long"))
            counts.append(len(list(root.glob("s.logs.jsonl.*"))))
            plain.close()
        rotating.append("s", line("the last one, which is long"))
        counts.append(len(list(root.glob("s.logs.jsonl.*"))))

        assert [True] * 3 == found
        assert [2, 2, 1] == counts

    def test_where_a_rename_fails(self, root: Path) -> None:
        """An oversized file is better than a lost line."""
        appender = Appender(root, SUFFIX, max_bytes=10, backup_count=1)
        (root / "s.logs.jsonl.1").mkdir()
        for number in range(10):
            appender.append("s", line(str(number)))

        assert [str(number) for number in range(10)] == content(root, "s")


class TestFlood:
    """max_sessions_per_minute: who sends a new session ID with each request."""

    def test_past_the_bound_lines_share_a_file(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Sessions that have a file keep it; after a minute new ones get theirs again."""
        log_path("there", root).parent.mkdir(parents=True)
        log_path("there", root).write_bytes(line("0"))
        appender = Appender(root, SUFFIX, max_sessions_per_minute=2, max_open_files=2)
        for number in range(5):
            appender.append(f"s{number}", line(f"s{number}"))
            appender.append("s0", line("more"))
        appender.append("there", line("1"))
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now + 61)
        appender.append("s4", line("later"))

        assert {
            "s0.logs.jsonl": "s0\n" + "more\n" * 5,
            "s1.logs.jsonl": "s1\n",
            "there.logs.jsonl": "0\n1\n",
            "%overflow.logs.jsonl": "s2\ns3\ns4\n",
            "s4.logs.jsonl": "later\n",
        } == files_in(root)
        assert appender.open_files <= 2

    def test_a_session_whose_file_is_rotated_is_no_new_one(self, root: Path) -> None:
        """Its lines stay together, however often that is, and it takes nobody's place."""
        appender = Appender(root, SUFFIX, max_sessions_per_minute=2, max_bytes=10, backup_count=100)
        for number in range(20):
            appender.append("s0", line(f"s0-{number}"))
        appender.append("s1", line("s1"))
        appender.append("s2", line("s2"))
        again = Appender(root, SUFFIX, max_sessions_per_minute=1, max_bytes=10, backup_count=100)
        (root / "s0.logs.jsonl").unlink()  # rotated by somebody, and not made anew yet
        for sid in ("new", "s0"):
            again.append(sid, line("later"))

        assert [f"s0-{number}" for number in range(19)] == sorted(
            _with_backups(root, "s0")[:-1], key=lambda text: int(text[3:])
        )
        assert ["later"] == content(root, "s0")
        assert {"%overflow.logs.jsonl": "s2\n", "s1.logs.jsonl": "s1\n"}.items() <= files_in(
            root
        ).items()

    def test_one_session_that_many_threads_begin(self, root: Path, fast_switching: None) -> None:
        """It is counted once, and is nowhere in part."""
        del fast_switching
        for number in range(30):
            appender = Appender(root / str(number), SUFFIX, max_sessions_per_minute=1)
            run_threads(*[lambda it=appender: it.append("s", line("text"))] * 8)
            appender.close()

            assert {"s.logs.jsonl": "text\n" * 8} == files_in(root / str(number))

    def test_no_session_can_be_named_so(self, root: Path) -> None:
        """The file is no session's own."""
        assert "%25overflow.logs.jsonl" == log_path("%overflow", root).name

    def test_with_many_threads(self, root: Path, fast_switching: None) -> None:
        """The bound holds."""
        del fast_switching
        appender = Appender(root, SUFFIX, max_sessions_per_minute=10)

        def work(name: int) -> None:
            for number in range(50):
                appender.append(f"s{name}-{number}", line(f"{name}-{number}"))

        threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        files = files_in(root)
        assert 11 == len(files)
        assert 400 == sum(text.count("\n") for text in files.values())


def test_a_root_that_another_thread_makes_meanwhile(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between finding no root and looking for it another thread may make it: the line is written."""
    appender = Appender(root, SUFFIX)
    shutil.rmtree(root)
    opened = os.open

    def open_and_make(path: Any, *args: Any, **kwargs: Any) -> int:
        try:
            return opened(path, *args, **kwargs)
        finally:
            root.mkdir(exist_ok=True)  # by another thread, in this very moment

    monkeypatch.setattr(os, "open", open_and_make)
    appender.append("s", line("1"))
    monkeypatch.undo()

    assert ["1"] == content(root, "s")

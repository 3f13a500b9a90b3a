"""tracectrl.files.write.background: the caller enqueues, one thread writes."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.files import log_path
from tracectrl.files.names import LOG_SUFFIX
from tracectrl.files.write.appender import Appender
from tracectrl.files.write.background import Background
from tracectrl.files.write.sink import Sink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    ReadLines = Callable[[str | os.PathLike[str]], list[dict[str, Any]]]

DEADLINE_S = 10.0
THREAD = "tracectrl-writer"


# How a program begins whose signal handler raises where the program is inside.
BEGIN = """
import contextlib, os, signal, sys, threading, time
sys.settrace(None)
threading.settrace(None)
from tracectrl.files.write.appender import Appender
from tracectrl.files.write.background import Background
from tracectrl.files.write.sink import Sink

class Interrupted(BaseException):
    pass

def interrupt(*_):
    if is_inside:
        raise Interrupted

is_inside = False
signal.signal(signal.SIGALRM, interrupt)
"""

RAISING = (
    BEGIN
    + """
def use():
    for _ in range(20):
        for _ in range(10):
            background.append("s", b"main\\n")
            assert background.lost == 0
        background.flush()

def end():
    background.append("s", b"last\\n")
    background.flush()

background = Background(Sink(Appender(sys.argv[1], ".logs.jsonl"), print), queue_size=100)
sys.setswitchinterval(1e-6)
background.append("s", b"first\\n")  # what starts the thread is not what is tried here
for number in range(400):
    with contextlib.suppress(Interrupted):
        is_inside = True
        signal.setitimer(signal.ITIMER_REAL, 0.0003 + number * 1e-6)
        use()
        is_inside = False
    is_inside = False
thread = threading.Thread(target=end, daemon=True)
thread.start()
thread.join(20)
assert not thread.is_alive(), "a lock is taken by nobody"
"""
)

# As RAISING, but in what starts the thread.
RAISING_AT_START = (
    BEGIN
    + """
appender = Appender(sys.argv[1], ".logs.jsonl")
path = os.path.join(sys.argv[1], "s.logs.jsonl")
all = []
for number in range(200):
    background = Background(Sink(appender, print))
    all.append(background)
    try:
        is_inside = True
        signal.setitimer(signal.ITIMER_REAL, 1e-6 + number * 2e-6)
        background.append("other", b"first\\n")
        is_inside = False
    except Interrupted:
        is_inside = False
    signal.setitimer(signal.ITIMER_REAL, 0)
    background.append("s", b"%d\\n" % number)
until = time.monotonic() + 20
while time.monotonic() < until:
    if os.path.exists(path) and len(open(path).readlines()) == len(all):
        break
    time.sleep(0.01)
print(len(open(path).readlines()) - len(all))
"""
)

# Python before 3.13 takes a living thread for ended where a signal handler raises in is_alive().
TAKEN_FOR_ENDED = (
    BEGIN
    + """
def make(line):
    if line == b"first\\n":  # on the writer's thread, which has taken it out
        is_making.set()
        assert may_go_on.wait(20)
    return "s", line

def ask():
    global answer
    while answer and time.monotonic() < until:
        answer = writer.is_alive()

is_making, may_go_on = threading.Event(), threading.Event()
background = Background(Sink(Appender(sys.argv[1], ".logs.jsonl"), print), make=make)
background.append(None, b"first\\n")
assert is_making.wait(20)
(writer,) = [thread for thread in threading.enumerate() if thread.name == "tracectrl-writer"]
until = time.monotonic() + (20 if sys.version_info < (3, 13) else 0.5)
answer = True
while answer and time.monotonic() < until:
    with contextlib.suppress(Interrupted):
        is_inside = True
        signal.setitimer(signal.ITIMER_REAL, 0.0002)
        ask()
        is_inside = False
    is_inside = False
assert answer == (sys.version_info >= (3, 13)), "it is not what is tried here"
background.append(None, b"second\\n")
later = threading.Timer(0.1, may_go_on.set)
later.daemon = True
later.start()
if sys.argv[2] != "exit":
    getattr(background, sys.argv[2])()
    os._exit(0)
"""
)


def line(number: object) -> bytes:
    """Return the line that holds *number*."""
    return f'{{"n":{number}}}\n'.encode()


def writers() -> list[threading.Thread]:
    """Return the writer threads that run now."""
    return [thread for thread in threading.enumerate() if thread.name == THREAD]


@pytest.fixture(autouse=True)
def _no_writers_before() -> Iterator[None]:
    """Count the threads of this test alone."""
    for thread in writers():
        thread.name = "of an earlier test"
    yield
    for thread in writers():
        thread.name = "of an earlier test"


class Gate:
    """Stands in for os.write: holds the writer thread until it is opened."""

    def __init__(self) -> None:
        self.write = os.write
        self.waiting = threading.Event()
        self.open = threading.Event()

    def __call__(self, fd: int, data: bytes) -> int:
        """Write *data* once the gate is open; other threads write at once."""
        if threading.current_thread().name == THREAD:
            self.waiting.set()
            assert self.open.wait(DEADLINE_S)
        return self.write(fd, data)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """Return what stands in for os.write in this test."""
    gate = Gate()
    monkeypatch.setattr(os, "write", gate)
    yield gate
    gate.open.set()


@pytest.fixture
def sink(root: Path) -> Sink:
    """Return a sink for log files."""
    return Sink(Appender(root, ".logs.jsonl"), lambda _: None)


def numbers(rows: list[dict[str, Any]]) -> list[int]:
    """Return the numbers in *rows*, loss lines aside."""
    return [row["n"] for row in rows if "n" in row]


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


def wait_for(pid: int) -> None:
    """Assert that the child *pid* ends well within the deadline."""
    end = time.monotonic() + DEADLINE_S
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert 0 == os.waitstatus_to_exitcode(status)
            return
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            pytest.fail("a forked child hangs")
        time.sleep(0.005)


@pytest.mark.parametrize(
    "options", [{"queue_size": 0}, {"queue_size": -1}, {"overflow": "x"}, {"overflow": None}]
)
def test_options_out_of_range(options: dict[str, Any], sink: Sink) -> None:
    """ValueError names the option."""
    with pytest.raises(ValueError, match=next(iter(options))):
        Background(sink, **options)


class TestFlushAndClose:
    """What was enqueued is written."""

    def test_flush_waits_for_what_was_enqueued(
        self, sink: Sink, root: Path, read_lines: ReadLines
    ) -> None:
        """In order, whatever the session."""
        background = Background(sink)
        for number in range(500):
            assert background.append(f"s{number % 5}", line(number))
        background.flush()

        for sid in range(5):
            assert list(range(sid, 500, 5)) == numbers(read_lines(log_path(f"s{sid}", root)))
        assert 0 == background.lost

    def test_close_writes_everything_and_later_lines_start_again(
        self, sink: Sink, root: Path, read_lines: ReadLines
    ) -> None:
        """As FileHandler does; closing twice is no error."""
        background = Background(sink)
        background.close()
        for number in range(3):
            background.append("s", line(number))
            background.close()
            background.close()

        assert [0, 1, 2] == numbers(read_lines(log_path("s", root)))

    def test_flush_before_anything(self, sink: Sink) -> None:
        """It starts no thread."""
        Background(sink).flush()
        assert [] == writers()

    def test_one_thread_for_all_sessions_and_callers(
        self, sink: Sink, root: Path, read_lines: ReadLines
    ) -> None:
        """However many start it at once; each caller's lines stay in order."""
        background = Background(sink)
        barrier = threading.Barrier(8)

        def work(thread: int) -> None:
            barrier.wait(DEADLINE_S)
            for number in range(50):
                background.append(f"s{number % 7}", line(thread * 1000 + number))

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE_S)
        assert 1 == len(writers())
        background.flush()

        for sid in range(7):
            found = numbers(read_lines(log_path(f"s{sid}", root)))
            for caller in range(8):
                mine = [number for number in found if number // 1000 == caller]
                assert [caller * 1000 + n for n in range(sid, 50, 7)] == mine

    def test_the_thread_ends_with_close(self, sink: Sink) -> None:
        """Setting up again and again does not collect threads."""
        background = Background(sink)
        background.append("s", line(1))
        background.close()
        for thread in writers():
            thread.join(1)

        assert [] == writers()

    def test_what_is_enqueued_is_written_at_exit(
        self, root: Path, run_python: Callable[..., str], read_lines: ReadLines
    ) -> None:
        """Without a flush or close."""
        source = (
            "import sys\n"
            "from tracectrl.files.write.appender import Appender\n"
            "from tracectrl.files.write.background import Background\n"
            "from tracectrl.files.write.sink import Sink\n"
            "background = Background(Sink(Appender(sys.argv[1], '.logs.jsonl'), print))\n"
            "for number in range(2000):\n"
            "    background.append('s', b'{\"n\":%d}\\n' % number)\n"
        )
        assert "" == run_python(source, str(root))
        assert list(range(2000)) == numbers(read_lines(log_path("s", root)))

    def test_what_is_appended_after_the_exit_has_begun(
        self, root: Path, run_python: Callable[..., str], read_lines: ReadLines
    ) -> None:
        """An exit function that runs after ours, and the last finalizers, find no writer to wait for."""
        source = (
            "import atexit, sys\n"
            "from tracectrl.files.write.appender import Appender\n"
            "from tracectrl.files.write.background import Background\n"
            "from tracectrl.files.write.sink import Sink\n"
            "class Last:\n"
            "    def __del__(self):\n"
            "        background.append('s', b'{\"n\":2}\\n')\n"
            "atexit.register(lambda: background.append('s', b'{\"n\":1}\\n'))\n"
            "background = Background(Sink(Appender(sys.argv[1], '.logs.jsonl'), print))\n"
            "background.last = Last()\n"
            "background.append('s', b'{\"n\":0}\\n')\n"
        )
        assert "" == run_python(source, str(root))
        assert [0, 1, 2] == numbers(read_lines(log_path("s", root)))

    def test_what_a_child_of_multiprocessing_enqueues_is_written(
        self, root: Path, run_python: Callable[..., str], read_lines: ReadLines
    ) -> None:
        """It ends without exit functions; what its parent has enqueued is written once."""
        source = (
            "import multiprocessing, sys\n"
            "from tracectrl.files.write.appender import Appender\n"
            "from tracectrl.files.write.background import Background\n"
            "from tracectrl.files.write.sink import Sink\n"
            "background = Background(Sink(Appender(sys.argv[1], '.logs.jsonl'), print))\n"
            "def work(first):\n"
            "    for number in range(first, first + 500):\n"
            "        background.append('s', b'{\"n\":%d}\\n' % number)\n"
            "context = multiprocessing.get_context('fork')\n"
            "children = [context.Process(target=work, args=(at * 500,)) for at in (1, 2)]\n"
            "for child in children: child.start()\n"
            "work(0)\n"
            "for child in children: child.join()\n"
        )
        assert "" == run_python(source, str(root))
        assert list(range(1500)) == sorted(numbers(read_lines(log_path("s", root))))

    def test_closing_again_and_again_leaves_nothing_to_multiprocessing(
        self, root: Path, run_python: Callable[..., str]
    ) -> None:
        """One finalizer of multiprocessing's for a process, and none when the writer is gone."""
        source = (
            "import sys, time\n"
            "from multiprocessing import util\n"
            "from tracectrl.files.write.appender import Appender\n"
            "from tracectrl.files.write.background import Background\n"
            "from tracectrl.files.write.sink import Sink\n"
            "background = Background(Sink(Appender(sys.argv[1], '.logs.jsonl'), print))\n"
            "before = len(util._finalizer_registry)\n"
            "for number in range(20):\n"
            "    background.append('s', b'{}\\n')\n"
            "    background.close()\n"
            "print(len(util._finalizer_registry) - before)\n"
            "del background\n"
            "until = time.monotonic() + 10\n"  # the last thread may have a line to go
            "while len(util._finalizer_registry) != before and time.monotonic() < until:\n"
            "    time.sleep(0.001)\n"
            "print(len(util._finalizer_registry) - before)\n"
        )
        assert "1\n0\n" == run_python(source, str(root))

    def test_multiprocessing_is_not_imported(self, run_python: Callable[..., str]) -> None:
        """For its children alone something is to be done, and there it is."""
        source = (
            "import sys\n"
            "before = set(sys.modules)\n"  # coverage knows it
            "import tracectrl_logging, tracectrl.files.write.background\n"
            "print([name for name in {*sys.modules} - before if name[:15] == 'multiprocessing'])\n"
        )
        assert "[]\n" == run_python(source)

    def test_closing_that_is_interrupted(
        self, sink: Sink, gate: Gate, root: Path, read_lines: ReadLines
    ) -> None:
        """A signal handler ends the process while close() waits: the exit waits for the same lines."""
        background = Background(sink)
        for number in range(3):
            background.append("s", line(number))
        assert gate.waiting.wait(DEADLINE_S)

        def interrupted(*_: object) -> None:
            raise SystemExit

        before = signal.signal(signal.SIGALRM, interrupted)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(SystemExit):
                background.close()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        threading.Timer(0.05, gate.open.set).start()
        background.end()

        assert [0, 1, 2] == numbers(read_lines(log_path("s", root)))

    def test_one_that_is_dropped_is_not_kept_alive_by_the_exit_hook(self, sink: Sink) -> None:
        """The hook holds a weak reference."""
        import weakref  # noqa: PLC0415

        background = Background(sink)
        reference = weakref.ref(background)
        del background

        assert reference() is None

    def test_a_signal_handler_that_raises(self, root: Path, run_python: Callable[..., str]) -> None:
        """Wherever it interrupts the caller, the writer goes on, and others may append and flush."""
        run_python(RAISING, str(root))

        assert "last" == log_path("s", root).read_text().split("\n")[-2]

    def test_a_signal_handler_that_raises_while_the_thread_is_started(
        self, root: Path, run_python: Callable[..., str]
    ) -> None:
        """The next line has a thread that writes it, without a flush."""
        assert 0 == int(run_python(RAISING_AT_START, str(root)))

    @pytest.mark.parametrize("then", ["flush", "close", "exit"])
    def test_a_writer_that_python_takes_for_ended(
        self, then: str, root: Path, run_python: Callable[..., str]
    ) -> None:
        """It is waited for while it writes: nobody writes beside it, and no exit loses its line."""
        run_python(TAKEN_FOR_ENDED, str(root), then)

        assert "first\nsecond\n" == log_path("s", root).read_text()


class TestOverflow:
    """What a full queue does."""

    def fill(self, background: Background, gate: Gate, size: int) -> None:
        """Have the writer stand in line 0 and *size* more lines wait."""
        background.append("s", line(0))
        assert gate.waiting.wait(DEADLINE_S)
        for number in range(1, size + 1):
            assert background.append("s", line(number))

    def test_drop_new(self, sink: Sink, gate: Gate, root: Path, read_lines: ReadLines) -> None:
        """The newest go; they are counted, and a line says how many."""
        background = Background(sink, queue_size=3, overflow="drop_new")
        self.fill(background, gate, 3)
        assert [False, False] == [background.append("s", line(n)) for n in (4, 5)]
        gate.open.set()
        background.flush()

        rows = read_lines(log_path("s", root))
        assert [0, 1, 2, 3] == numbers(rows)
        assert [2] == [row["lost"] for row in rows if "lost" in row]
        assert 2 == background.lost

    def test_drop_oldest(self, sink: Sink, gate: Gate, root: Path, read_lines: ReadLines) -> None:
        """The oldest that still wait go."""
        background = Background(sink, queue_size=3, overflow="drop_oldest")
        self.fill(background, gate, 3)
        assert [True, True] == [background.append("s", line(n)) for n in (4, 5)]
        gate.open.set()
        background.flush()

        rows = read_lines(log_path("s", root))
        assert [0, 3, 4, 5] == numbers(rows)
        assert [2] == [row["lost"] for row in rows if "lost" in row]
        assert 2 == background.lost

    def test_drop_oldest_does_not_drop_who_waits_in_flush(
        self, sink: Sink, gate: Gate, root: Path, read_lines: ReadLines
    ) -> None:
        """A flush under way ends, whatever overflows."""
        background = Background(sink, queue_size=1, overflow="drop_oldest")
        self.fill(background, gate, 0)
        flusher = threading.Thread(target=background.flush)
        flusher.start()
        while not background._state.items.qsize():
            time.sleep(0.001)
        for number in range(1, 5):
            background.append("s", line(number))
        gate.open.set()
        flusher.join(DEADLINE_S)
        assert not flusher.is_alive()
        background.flush()

        rows = read_lines(log_path("s", root))
        assert (0, 4) == (numbers(rows)[0], numbers(rows)[-1])
        assert 5 == len(numbers(rows)) + background.lost

    @pytest.mark.parametrize(("overflow", "kept"), [("drop_new", [0]), ("drop_oldest", [0])])
    def test_what_is_dropped_last_is_told_at_the_end(
        self,
        overflow: Any,
        kept: list[int],
        sink: Sink,
        root: Path,
        read_lines: ReadLines,
    ) -> None:
        """No line comes after it that the one that tells it could follow."""
        background = Background(sink, queue_size=1, overflow=overflow)
        background.append("s", line(0))
        background.flush()
        state = background._state
        state.items.put(("s", line(1), None))
        background._drop(state, "s")  # as if the writer had emptied the queue this moment
        state.items.put(("s", line(2), None))
        background._drop(state, "t")
        assert 2 == background.lost
        background.close()

        rows = [
            row
            for sid in "st"
            if log_path(sid, root).exists()
            for row in read_lines(log_path(sid, root))
        ]
        assert [*kept, 1, 2] == numbers(rows)
        assert 2 == sum(row["lost"] for row in rows if "lost" in row)
        assert 2 == background.lost

    def test_a_slow_disk_is_told_of_losses_once_a_second(
        self, sink: Sink, root: Path, monkeypatch: pytest.MonkeyPatch, read_lines: ReadLines
    ) -> None:
        """Not a line about losses behind each line that is written; the sum is right."""
        write = os.write

        def slow(fd: int, data: bytes) -> int:
            time.sleep(0.002)
            return write(fd, data)

        monkeypatch.setattr(os, "write", slow)
        background = Background(sink, queue_size=2, overflow="drop_oldest")
        for number in range(300):
            background.append("s", line(number))
            time.sleep(0.0005)
        background.close()

        rows = read_lines(log_path("s", root))
        told = [row["lost"] for row in rows if "lost" in row]
        assert 300 == len(numbers(rows)) + background.lost
        assert background.lost == sum(told)
        assert len(told) < len(numbers(rows)) // 2

    def test_each_session_has_its_own_losses(
        self, sink: Sink, gate: Gate, root: Path, read_lines: ReadLines
    ) -> None:
        """Whoever's line is dropped, its file says so, and nobody else's."""
        background = Background(sink, queue_size=1, overflow="drop_new")
        self.fill(background, gate, 1)
        for sid in ("a", "b", "b"):
            assert not background.append(sid, line(2))
        gate.open.set()
        background.flush()

        told = {sid: [row["lost"] for row in read_lines(log_path(sid, root))] for sid in "ab"}
        assert {"a": [1], "b": [2]} == told
        assert all("lost" not in row for row in read_lines(log_path("s", root)))
        assert 3 == background.lost

    def test_block(self, sink: Sink, gate: Gate, root: Path, read_lines: ReadLines) -> None:
        """The default: the caller waits for room; nothing is lost."""
        background = Background(sink, queue_size=2)
        self.fill(background, gate, 2)
        appended = threading.Event()

        def work() -> None:
            background.append("s", line(3))
            appended.set()

        thread = threading.Thread(target=work)
        thread.start()
        assert not appended.wait(0.05)
        gate.open.set()
        assert appended.wait(DEADLINE_S)
        thread.join(DEADLINE_S)
        background.flush()

        assert [0, 1, 2, 3] == numbers(read_lines(log_path("s", root)))
        assert 0 == background.lost

    def test_block_does_not_block_the_writer_itself(
        self, root: Path, monkeypatch: pytest.MonkeyPatch, read_lines: ReadLines
    ) -> None:
        """What it logs while it reports a failure is queued, not waited for."""
        write = os.write
        failing = True

        def broken(fd: int, data: bytes) -> int:
            if failing and b'"n":0' in data:
                raise OSError(28, "No space left on device")
            return write(fd, data)

        def report(_: object) -> None:
            nonlocal failing
            failing = False
            for number in (10, 11, 12):
                background.append("s", line(number))

        monkeypatch.setattr(os, "write", broken)
        background = Background(Sink(Appender(root, ".logs.jsonl"), report), queue_size=1)
        background.append("s", line(0))
        background.flush()
        background.flush()

        assert [10, 11, 12] == numbers(read_lines(log_path("s", root)))
        assert 1 == background.lost


class TestInTheMiddle:
    """A signal handler, or garbage, logs, flushes and closes in the middle of the writer's code."""

    @pytest.mark.parametrize("then", ["log", "flush", "close"])
    def test_nobody_waits_for_the_writer(
        self, then: str, root: Path, monkeypatch: pytest.MonkeyPatch, read_lines: ReadLines
    ) -> None:
        """Which waits for the file that is written here: the queue holds more lines than it may."""
        sink = Sink(Appender(root, ".logs.jsonl"), lambda _: None)
        background = Background(sink, queue_size=2)
        background.append("s", line(0))
        background.flush()
        sink.lose(1, "s")  # which closing tells, in the file that the writer needs
        others = [
            threading.Thread(target=background.append, args=("s", line(number)), daemon=True)
            for number in (1, 2, 3, 4)
        ]
        write = os.write

        def interrupted(fd: int, data: bytes) -> int:
            if threading.current_thread() is closing:
                monkeypatch.setattr(os, "write", write)
                for other in others:
                    other.start()
                    other.join(0.05)
                background.append("s", line(5))
                if then != "log":
                    getattr(background, then)()
            return write(fd, data)

        monkeypatch.setattr(os, "write", interrupted)
        closing = threading.Thread(target=background.close, daemon=True)
        closing.start()
        for thread in (closing, *others):
            thread.join(DEADLINE_S)
            assert not thread.is_alive()
        background.close()

        assert [0, 1, 2, 3, 4, 5] == sorted(numbers(read_lines(log_path("s", root))))
        assert 1 == background.lost

    def test_who_waits_has_its_turn(self, root: Path, read_lines: ReadLines) -> None:
        """However many lines are put into a full queue by those who do not wait."""
        over = threading.Event()

        def make(number: Any) -> tuple[str, bytes]:
            if not over.is_set():  # on the writer's thread
                background.append(None, -1)
                background.append(None, -1)
                time.sleep(0.001)
            return "s", line(number)

        sink = Sink(Appender(root, ".logs.jsonl"), lambda _: None)
        background = Background(sink, make=make, queue_size=1)
        stop = threading.Timer(DEADLINE_S, over.set)
        stop.start()
        before = time.monotonic()
        for number in range(3):
            background.append(None, number)
        took = time.monotonic() - before
        over.set()
        stop.cancel()
        background.close()

        assert took < DEADLINE_S / 2
        assert [0, 1, 2] == [n for n in numbers(read_lines(log_path("s", root))) if n >= 0]


class TestFailures:
    """The disk's troubles, and the owner's."""

    def test_a_failed_write_is_counted(self, sink: Sink, root: Path, read_lines: ReadLines) -> None:
        """It does not stop the thread."""
        background = Background(sink)
        log_path("s", root).mkdir()
        background.append("s", line(1))
        background.append("other", line(2))
        background.flush()

        assert 1 == background.lost
        assert [2] == numbers(read_lines(log_path("other", root)))

    def test_a_report_that_raises(self, root: Path, read_lines: ReadLines) -> None:
        """A handleError of the user's may raise: later lines are written all the same."""

        def report(_: object) -> None:
            raise LookupError

        background = Background(Sink(Appender(root, ".logs.jsonl"), report))
        log_path("s", root).mkdir()
        before, threading.excepthook = threading.excepthook, lambda _: None
        try:
            background.append("s", line(1))
            background.append("other", line(2))
            end = time.monotonic() + 2
            while not log_path("other", root).exists() and time.monotonic() < end:
                time.sleep(0.005)
        finally:
            threading.excepthook = before

        assert log_path("other", root).exists()
        background.flush()
        assert [2] == numbers(read_lines(log_path("other", root)))
        assert 1 == background.lost

    def test_a_writer_that_is_gone(self, sink: Sink, root: Path, read_lines: ReadLines) -> None:
        """Flush and close write in its place: neither hangs, nothing is lost."""
        background = Background(sink)
        background.append("s", line(0))
        background.flush()
        (writer,) = writers()
        background._state.items.put(None)  # as if it had died
        writer.join(DEADLINE_S)
        background.append("s", line(1))
        background.flush()
        background.append("s", line(2))
        background.close()

        assert [0, 1, 2] == numbers(read_lines(log_path("s", root)))

    def test_a_full_queue_whose_writer_is_gone(
        self, sink: Sink, root: Path, read_lines: ReadLines
    ) -> None:
        """Whoever waits for room makes it, instead of waiting for ever."""
        background = Background(sink, queue_size=2)
        background.append("s", line(0))
        background.flush()
        (writer,) = writers()
        background._state.items.put(None)  # as if it had died
        writer.join(DEADLINE_S)
        for number in range(1, 6):
            background.append("s", line(number))
        background.close()

        assert list(range(6)) == numbers(read_lines(log_path("s", root)))

    def test_a_thread_that_cannot_be_started(
        self, sink: Sink, root: Path, monkeypatch: pytest.MonkeyPatch, read_lines: ReadLines
    ) -> None:
        """The caller writes, until it can."""
        background = Background(sink)

        def refuse(_: object) -> None:
            msg = "can't start new thread"
            raise RuntimeError(msg)

        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            assert background.append("s", line(0))
            assert [0] == numbers(read_lines(log_path("s", root)))
        background.append("s", line(1))
        assert 1 == len(writers())
        background.close()

        assert [0, 1] == numbers(read_lines(log_path("s", root)))

    def test_a_line_that_no_file_can_take(
        self, sink: Sink, root: Path, read_lines: ReadLines
    ) -> None:
        """Whatever the reason, it is counted, and the thread goes on."""
        background = Background(sink)
        background.append("", line(0))  # no session has such an ID
        background.append("s", line(1))
        background.flush()

        assert [1] == numbers(read_lines(log_path("s", root)))
        assert [1] == [row["lost"] for row in read_lines(log_path("unknown", root))]
        assert 1 == background.lost

    def test_what_is_appended_while_closing(
        self, sink: Sink, root: Path, read_lines: ReadLines
    ) -> None:
        """Whoever loses the race is written all the same, once."""
        background = Background(sink, queue_size=5)
        stop = threading.Event()
        counts = [0, 0, 0]

        def work(caller: int) -> None:
            while not stop.is_set():
                background.append("s", line(caller * 1_000_000 + counts[caller]))
                counts[caller] += 1

        threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(60):
            background.close()
        stop.set()
        for thread in threads:
            thread.join(DEADLINE_S)
        assert not any(thread.is_alive() for thread in threads)
        background.close()

        expected = [n * 1_000_000 + each for n in range(3) for each in range(counts[n])]
        assert expected == sorted(numbers(read_lines(log_path("s", root))))
        assert 0 == background.lost

    def test_the_writer_may_flush_and_close(self, root: Path, read_lines: ReadLines) -> None:
        """A report that does must not wait for itself."""

        def report(_: object) -> None:
            background.flush()
            background.close()

        background = Background(Sink(Appender(root, ".logs.jsonl"), report))
        log_path("s", root).mkdir()
        background.append("s", line(0))
        background.append("other", line(1))
        background.flush()
        background.append("other", line(2))
        background.close()
        for thread in writers():
            thread.join(0.2)

        assert [1, 2] == sorted(numbers(read_lines(log_path("other", root))))
        assert 1 == background.lost


class TestForks:
    """A server forks after the set-up, or in the middle of things."""

    def test_the_child_has_a_queue_and_a_thread_of_its_own(
        self, sink: Sink, gate: Gate, root: Path, read_lines: ReadLines
    ) -> None:
        """The parent's lines are written by the parent, once; the child's by the child."""
        background = Background(sink)
        background.append("s", line(0))
        assert gate.waiting.wait(DEADLINE_S)
        background.append("s", line(1))

        def child() -> None:
            gate.open.set()
            background.append("s", line(100))
            background.append("child", line(101))
            background.flush()

        wait_for(in_child(child))
        assert [101] == numbers(read_lines(log_path("child", root)))
        gate.open.set()
        background.flush()

        assert [0, 1, 100] == sorted(numbers(read_lines(log_path("s", root))))

    @pytest.mark.parametrize("overflow", ["block", "drop_oldest", "drop_new"])
    def test_while_locks_are_held(self, overflow: Any, sink: Sink, root: Path) -> None:
        """The child waits for no thread that is not there, also where it has losses to count."""
        background = Background(sink, queue_size=1, overflow=overflow)
        background.append("s", line(0))
        background.flush()
        held, release = threading.Event(), threading.Event()

        def child() -> None:
            log_path("refused", root).mkdir()
            for number in range(20):
                background.append("refused", line(number))
                background.append("child", line(number))
            background.close()

        def hold() -> None:
            with background._state.lock, sink._lock:
                held.set()
                release.wait(DEADLINE_S)

        thread = threading.Thread(target=hold)
        thread.start()
        assert held.wait(DEADLINE_S)
        try:
            wait_for(in_child(child))
        finally:
            release.set()
            thread.join(DEADLINE_S)

    def test_the_losses_are_the_parents(self, sink: Sink, root: Path) -> None:
        """The child neither counts nor tells them."""
        background = Background(sink)
        log_path("s", root).mkdir()
        background.append("s", line(0))
        background.flush()
        assert 1 == background.lost

        def child() -> None:
            assert 0 == background.lost
            background.append("child", line(1))
            background.close()
            assert b"lost" not in log_path("child", root).read_bytes()

        wait_for(in_child(child))

    def test_flush_in_a_child_that_logged_nothing(self, sink: Sink) -> None:
        """It returns at once: the queue is the parent's."""
        background = Background(sink)
        background.append("s", line(0))

        def child() -> None:
            background.flush()
            background.close()

        wait_for(in_child(child))


def test_another_thread_imports_multiprocessing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there of the module then is not asked for more, and the line is written."""
    monkeypatch.setitem(sys.modules, "multiprocessing.util", ModuleType("multiprocessing.util"))
    writer = Background(Sink(Appender(root, LOG_SUFFIX), lambda _: None))
    writer.append("s", b"{}\n")
    writer.close()
    assert 0 == writer.lost
    assert b"{}\n" == log_path("s", root).read_bytes()

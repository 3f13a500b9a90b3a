"""tracectrl.files.write.sink: losses are counted, reported and made up for."""

from __future__ import annotations

import errno
import os
import re
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.files import log_path, span_path
from tracectrl.files.write.appender import Appender
from tracectrl.files.write.sink import ONE, Sink

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    ReadLines = Callable[[str | os.PathLike[str]], list[dict[str, Any]]]

LINE = b'{"message":"m"}\n'


class Disk:
    """Stands in for os.write; full while :attr:`full` is true."""

    def __init__(self) -> None:
        self.write = os.write
        self.full = False

    def __call__(self, fd: int, data: bytes) -> int:
        """Write *data*, or raise ENOSPC."""
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.write(fd, data)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Return what stands in for os.write in this test."""
    fake = Disk()
    monkeypatch.setattr(os, "write", fake)
    return fake


@pytest.fixture
def reports() -> list[Any]:
    """Return the list that collects the contexts reported."""
    return []


@pytest.fixture
def sink(root: Path, reports: list[Any]) -> Sink:
    """Return a sink for log files."""
    return Sink(Appender(root, ".logs.jsonl"), reports.append)


def test_a_line_that_is_written(sink: Sink, root: Path, reports: list[Any]) -> None:
    """Nothing to report."""
    assert sink.append("s", LINE, "context")
    assert LINE == log_path("s", root).read_bytes()
    assert (0, []) == (sink.lost, reports)


def test_losses_are_counted_and_never_raise(sink: Sink, disk: Disk) -> None:
    """Each one."""
    disk.full = True

    assert [False] * 5 == [sink.append("s", LINE) for _ in range(5)]
    assert 5 == sink.lost


def test_the_first_line_afterwards_is_followed_by_the_count(
    sink: Sink, disk: Disk, root: Path, read_lines: ReadLines
) -> None:
    """An ordinary line of logger tracectrl at ERROR, in the file of the session that lost them."""
    disk.full = True
    for _ in range(3):
        sink.append("a", LINE)
    disk.full = False
    assert sink.append("b", LINE)
    assert sink.append("a", LINE)

    assert LINE == log_path("b", root).read_bytes()
    loss, last = read_lines(log_path("a", root))
    assert {"message": "m"} == last
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", loss.pop("timestamp"))
    expected = {
        "level": "ERROR",
        "logger": "tracectrl",
        "message": "3 lines could not be written",
        "session_id": "a",
        "lost": 3,
    }
    assert expected == loss
    assert list(expected) == list(loss)
    assert 3 == sink.lost


@pytest.mark.parametrize("is_missed", [False, True])
def test_losses_of_an_unknown_session(
    sink: Sink,
    root: Path,
    read_lines: ReadLines,
    is_missed: bool,  # noqa: FBT001
) -> None:
    """They are told in nobody's file, and the line says why it is there."""
    if is_missed:
        sink.missed.extend(ONE * 2)
    else:
        sink.lose(2)
    assert sink.append("s", LINE)

    assert LINE == log_path("s", root).read_bytes()
    (row,) = read_lines(log_path("unknown", root))
    expected = ("unknown", 2, "2 lines could not be written; whose they are is not known")
    assert expected == (row["session_id"], row["lost"], row["message"])


def test_losses_of_a_session_that_has_no_file(
    sink: Sink, root: Path, read_lines: ReadLines
) -> None:
    """What stands at the file's place refuses the line about them, too: nobody's file says whose they are."""
    log_path("a", root).mkdir()
    assert not sink.append("a", LINE)
    assert sink.append("b", LINE)
    assert sink.append("b", LINE)

    (row,) = read_lines(log_path("unknown", root))
    expected = (1, "1 lines could not be written; they are of the session 'a'")
    assert expected == (row["lost"], row["message"])
    assert LINE * 2 == log_path("b", root).read_bytes()


def test_losses_of_more_sessions_than_are_told_apart(
    sink: Sink, disk: Disk, root: Path, read_lines: ReadLines
) -> None:
    """A disk that is back has few lines to write; their sum is right."""
    disk.full = True
    for number in range(1000):
        sink.append(f"s{number}", LINE)
    disk.full = False
    sink.append("s", LINE)

    told = [row["lost"] for path in root.iterdir() for row in read_lines(path) if "lost" in row]
    assert 1000 == sum(told) == sink.lost
    assert len(told) < 50


def test_a_child_tells_its_own_losses(sink: Sink, root: Path, read_lines: ReadLines) -> None:
    """Also those for which no stack was left; the parent's are the parent's."""
    sink.lose(5, "s")
    pid = os.fork()
    if not pid:
        status = 1
        try:
            sink.missed.extend(ONE)
            sink.append("child", LINE)
            status = sink.lost
        finally:
            os._exit(status)
    assert 1 == os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert [1] == [row["lost"] for row in read_lines(log_path("unknown", root))]
    sink.close()

    assert [5] == [row["lost"] for row in read_lines(log_path("s", root))]


def test_each_loss_is_told_once(sink: Sink, disk: Disk, root: Path, read_lines: ReadLines) -> None:
    """The counts of the lines add up to the property."""
    for count in (2, 3):
        disk.full = True
        for _ in range(count):
            sink.append("s", LINE)
        disk.full = False
        sink.append("s", LINE)

    told = [row["lost"] for row in read_lines(log_path("s", root)) if "lost" in row]
    assert ([2, 3], 5) == (told, sink.lost)


def test_a_loss_line_that_cannot_be_written_is_told_later(
    root: Path, disk: Disk, read_lines: ReadLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fills up again right behind the first line."""
    appender = Appender(root, ".logs.jsonl")
    sink = Sink(appender, lambda _: None)
    sink.lose(4, "s")

    def then_full(fd: int, data: bytes) -> int:
        if b'"lost"' in data:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return disk.write(fd, data)

    monkeypatch.setattr(os, "write", then_full)
    assert sink.append("s", LINE)
    monkeypatch.setattr(os, "write", disk)
    assert sink.append("s", LINE)

    assert [4] == [row["lost"] for row in read_lines(log_path("s", root)) if "lost" in row]
    assert 4 == sink.lost


def test_losses_that_go_elsewhere(root: Path, disk: Disk, read_lines: ReadLines) -> None:
    """Spans: the log line is in the session's log file, which is not kept open; told once."""
    losses = Appender(root, ".logs.jsonl")
    sink = Sink(Appender(root, ".spans.jsonl"), lambda _: None, losses=losses, unit="spans")
    disk.full = True
    sink.append("s", LINE)
    sink.append("s", LINE)
    disk.full = False
    sink.append("s", LINE)
    sink.append("s", LINE)

    assert LINE * 2 == span_path("s", root).read_bytes()
    (row,) = read_lines(log_path("s", root))
    assert ("2 spans could not be written", 2) == (row["message"], row["lost"])
    assert 0 == losses.open_files


@pytest.mark.parametrize("end", ["flush", "close"])
def test_losses_that_no_line_follows(
    end: str, sink: Sink, disk: Disk, root: Path, read_lines: ReadLines
) -> None:
    """Flushing or closing tells of them, in the file of each session that lost one."""
    disk.full = True
    for sid in ("a", "b"):
        sink.append(sid, LINE)
    getattr(sink, end)()
    assert {"a.logs.jsonl": "", "b.logs.jsonl": ""} == {
        path.name: path.read_text() for path in root.iterdir()
    }
    disk.full = False
    getattr(sink, end)()
    sink.close()

    for sid in ("a", "b"):
        assert [1] == [row["lost"] for row in read_lines(log_path(sid, root))]
    assert 2 == sink.lost


def test_whatever_goes_wrong(
    sink: Sink, root: Path, reports: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that is not there is lost, also where it was no OSError that kept it out."""

    def fail(*_: object) -> int:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail)
        assert not sink.append("s", LINE, "context")
    assert (["context"], 1) == (reports, sink.lost)
    assert sink.append("s", LINE)
    assert log_path("s", root).read_bytes().startswith(LINE)


def test_reports_once_a_minute_at_most(
    sink: Sink, disk: Disk, reports: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the context of the failure, also right after the machine has started."""
    now = 5.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    disk.full = True
    for number in range(3):
        sink.append("s", LINE, number)
    now += 59
    sink.append("s", LINE, "within")
    assert [0] == reports
    now += 2
    sink.append("s", LINE, "after")

    assert [0, "after"] == reports
    assert 5 == sink.lost


def test_threads_report_once(sink: Sink, disk: Disk, reports: list[Any]) -> None:
    """A minute is a minute for all of them together."""
    disk.full = True
    start = threading.Barrier(8)

    def fail() -> None:
        start.wait(30)
        sink.append("s", LINE, "context")

    threads = [threading.Thread(target=fail) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (["context"], 8) == (reports, sink.lost)


def test_the_report_sees_the_error(root: Path, disk: Disk) -> None:
    """It is called while the exception is handled, as handleError wants it."""
    seen: list[BaseException | None] = []

    def report(_: object) -> None:
        import sys  # noqa: PLC0415

        seen.append(sys.exc_info()[1])

    sink = Sink(Appender(root, ".logs.jsonl"), report)
    disk.full = True
    sink.append("s", LINE)

    (error,) = seen
    assert isinstance(error, OSError)
    assert errno.ENOSPC == error.errno


def test_close_and_flush(sink: Sink, root: Path) -> None:
    """A line after close opens its file again; flush has nothing to do."""
    sink.append("s", LINE)
    sink.flush()
    sink.close()
    sink.append("s", LINE)

    assert LINE * 2 == log_path("s", root).read_bytes()

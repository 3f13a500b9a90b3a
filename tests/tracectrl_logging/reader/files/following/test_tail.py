"""Following: each line once and in order, whatever happens to the files' names meanwhile."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import time
import tracemalloc
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.files.retention.compress import compress
from tracectrl.files.retention.prune import prune
from tracectrl_logging import SessionFileHandler
from tracectrl_logging.reader import (
    Damage,
    Follower,
    InvalidCursorError,
    follow,
    open_store,
    read,
)
from tracectrl_logging.reader.files.lines import MAX_LINE_BYTES
from tracectrl_logging.reader.filters.selection import Selection

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tracectrl_logging.reader import Line

    Write = Callable[..., None]


@pytest.fixture
def write(root: Path) -> Iterator[Write]:
    """Return the function that writes lines, numbered on from 0, to sessions in turn."""
    handlers: list[SessionFileHandler] = []
    numbers = iter(range(1_000_000))

    def to(*sids: str, lines: int = 1, **options: Any) -> None:
        if options or not handlers:
            handlers.append(SessionFileHandler(root, **options))
        for _ in range(lines):
            for sid in sids:
                handlers[-1].emit(record(sid, next(numbers)))

    yield to
    for handler in handlers:
        handler.close()


def record(sid: str, number: int) -> logging.LogRecord:
    """Return a record of the session *sid*."""
    import logging  # noqa: PLC0415 - for this alone

    return logging.makeLogRecord(
        {"name": "a.b", "levelname": "INFO", "msg": "m", "session_id": sid, "number": number}
    )


def numbers(follower: Follower, count: int) -> list[int]:
    """Return the numbers of what comes, until there are *count* and nothing more is at hand."""
    found: list[int] = []
    for turn in range(200):
        found += [line.row["number"] for line in follower.poll()]
        if len(found) >= count and turn > 2 and follower.pause_s(1) == 1:
            break
        time.sleep(min(0.01, follower.pause_s(1)))
    return found


def wait(follower: Follower, count: int) -> list[Line]:
    """Return the next *count* lines that come."""
    lines: list[Line] = []
    while len(lines) < count:
        lines += follower.poll()
        time.sleep(0.01)
    return lines


def test_begin_and_poll(write: Write, root: Path) -> None:
    """The last lines come first, then what is written from then on, over all sessions by time."""
    write("a", "b", lines=3)
    with Follower(root=root) as follower:
        assert [3, 4, 5] == [line.row["number"] for line in follower.begin(3)]
        write("b", "a", "c", lines=2)
        assert list(range(6, 12)) == numbers(follower, 6)
        assert [] == follower.poll()


def test_chosen_sessions(write: Write, root: Path) -> None:
    """Others are not read; a chosen one may begin later, and so may the root."""
    with Follower("a", "later", root=root) as follower:
        assert [] == list(follower.begin())
        assert [] == follower.poll()
        write("a", "b")
        assert [0] == numbers(follower, 1)
        write("later", "b", "later")
        assert [2, 4] == numbers(follower, 2)


@pytest.mark.parametrize("when", ["each", "now and then", "in the end"])
def test_rotation(when: str, write: Write, root: Path) -> None:
    """Many rotations between two looks, or one look in the middle of each file."""
    write("a", max_bytes=1_000, backup_count=1_000)
    every = {"each": 1, "now and then": 37, "in the end": 1_000}[when]
    with Follower(root=root) as follower:
        list(follower.begin())
        found = []
        for number in range(300):
            write("a")
            if number % every == 0:
                found += [line.row["number"] for line in follower.poll()]
        found += numbers(follower, 300 - len(found))
        assert list(range(1, 301)) == found


@pytest.mark.parametrize("packed", ["gz", "zst"])
@pytest.mark.parametrize("look", [True, False])
def test_compression(packed: Any, look: bool, write: Write, root: Path) -> None:  # noqa: FBT001 - a parameter
    """A compressed file is what its plain one was: no line of it twice, and none that is new left."""
    write("a", "b", lines=20, max_bytes=1_000, backup_count=100)
    with Follower(root=root) as follower:
        list(follower.begin())
        found: list[int] = []
        for _ in range(4):
            write("a", "b", "c", lines=10, max_bytes=1_000, backup_count=100)
            write("d", max_bytes=1_000, backup_count=100)  # closes nothing, and is not compressed
            if look:
                found += numbers(follower, 31)
            compress(root, packed=packed)
        found += numbers(follower, 124 - len(found))
        assert list(range(40, 164)) == found


def test_compressed_and_rotated_on(root: Path) -> None:
    """A compressed file that moves up in number holds what it held: nothing comes again."""
    damages: list[Damage] = []
    root.mkdir()
    path = root / "a.logs.jsonl"
    with Follower(root=root, on_damage=damages.append) as follower:
        list(follower.begin())
        path.write_bytes(b'{"number":0}\n{"number":1}\n')
        assert [0, 1] == numbers(follower, 2)
        compress(root)
        for number in range(1, 4):
            assert [] == numbers(follower, 0)
            (root / f"{path.name}.{number}.gz").rename(root / f"{path.name}.{number + 1}.gz")
        assert [] == numbers(follower, 0)
    assert [] == damages


def test_compressed_unseen(root: Path) -> None:
    """A session that begins, ends and is compressed between two looks is read as a whole."""
    with Follower(root=root) as follower:
        list(follower.begin())
        follower.poll()
        handler = SessionFileHandler(root)
        for number in range(10):
            handler.emit(record("brief", number))
        handler.close()
        assert 1 == compress(root).files
        assert list(range(10)) == numbers(follower, 10)


def test_compressed_with_more(root: Path) -> None:
    """Of a file that was read in part, grew and was compressed between two looks, the rest comes."""
    handler = SessionFileHandler(root)
    for number in range(10):
        handler.emit(record("a", number))
    handler.close()
    os.utime(root / "a.logs.jsonl", (time.time() - 60,) * 2)  # long idle: no descriptor is held
    with Follower(root=root) as follower:
        list(follower.begin(0))
        for number in range(10, 15):
            handler.emit(record("a", number))
        handler.close()
        compress(root)
        assert list(range(10, 15)) == numbers(follower, 5)


def test_another_file(root: Path) -> None:
    """A file that was removed, and whose number the next one has, is not taken for that one."""
    handler = SessionFileHandler(root)
    handler.emit(record("a", 0))
    handler.close()
    path = root / "a.logs.jsonl"
    os.utime(path, (time.time() - 60,) * 2)
    with Follower(root=root) as follower:
        list(follower.begin(0))
        time.sleep(0.06)
        path.write_bytes(b"")  # the same number
        for number in range(1, 4):
            handler.emit(record("a", number))
        assert [1, 2, 3] == numbers(follower, 3)
    handler.close()


def test_prune(write: Write, root: Path) -> None:
    """After a session was removed, one of the same ID is new."""
    write("a", lines=3)
    with Follower(root=root) as follower:
        list(follower.begin())
        os.unlink(root / "a.logs.jsonl")
        follower.poll()
        write("a", lines=2, max_bytes=0)
        assert [3, 4] == numbers(follower, 2)
        prune(root, keep=0)
        assert [] == numbers(follower, 0)


def test_half_line(root: Path) -> None:
    """A half line is left until its newline comes; also one that was there at the beginning."""
    root.mkdir()
    path = root / "a.logs.jsonl"
    path.write_bytes(b'{"number":0}\n{"num')
    with Follower(root=root) as follower:
        assert [0] == [line.row["number"] for line in follower.begin()]
        assert [] == numbers(follower, 0)
        with path.open("ab") as file:
            file.write(b'ber":1}\n{"number":')
        assert [1] == numbers(follower, 1)
        with path.open("ab") as file:
            file.write(b"2}\n")
        assert [2] == numbers(follower, 1)


def test_overflow(root: Path) -> None:
    """The file that takes the lines of many sessions gives those of the chosen ones."""
    handler = SessionFileHandler(root, max_sessions_per_minute=1)
    for number, sid in enumerate(("own", "x", "y", "x")):
        handler.emit(record(sid, number))
    with (
        Follower("x", root=root) as follower,
        Follower(root=root) as everything,
        Follower("%overflow", root=root) as shared,
    ):
        assert [1, 2, 3] == [line.row["number"] for line in shared.begin()]
        assert [1, 3] == [line.row["number"] for line in follower.begin()]
        assert [0, 1, 2, 3] == [line.row["number"] for line in everything.begin()]
        for number, sid in enumerate(("own", "x", "y", "x"), 4):
            handler.emit(record(sid, number))
        assert [5, 7] == numbers(follower, 2)
        assert [4, 5, 6, 7] == numbers(everything, 4)
        assert [5, 6, 7] == numbers(shared, 3)
    handler.close()


def test_selection(write: Write, root: Path) -> None:
    """Only what the selection means is handed out."""
    with Follower(root=root, selection=Selection(logger="a")) as follower:
        list(follower.begin())
        write("s", lines=2)
        assert [0, 1] == numbers(follower, 2)
    with Follower(root=root, selection=Selection(level="ERROR")) as follower:
        assert [] == list(follower.begin())
        write("s")
        assert [] == numbers(follower, 0)


def test_damage(root: Path) -> None:
    """A damaged line is reported with its file, and hides nothing."""
    damages: list[Damage] = []
    root.mkdir()
    with Follower(root=root, on_damage=damages.append) as follower:
        list(follower.begin())
        path = root / "a.logs.jsonl"
        path.write_bytes(b'{"number":0}\nnonsense\n\n{"number":1}\n')
        assert [0, 1] == numbers(follower, 2)
    assert [(str(path), None)] == [(damage.path, damage.line) for damage in damages]
    assert "not JSON" in damages[0].reason


def test_truncated_gzip(root: Path) -> None:
    """Of a compressed file that is cut off comes what can be read."""
    damages: list[Damage] = []
    root.mkdir()
    with Follower(root=root, on_damage=damages.append) as follower:
        list(follower.begin())
        whole = gzip.compress(b"".join(b'{"number":%d}\n' % number for number in range(100_000)))
        (root / "a.logs.jsonl.1.gz").write_bytes(whole[:-100])
        assert numbers(follower, 1)[:2] == [0, 1]
    assert 1 <= len(damages)


def test_long_line(root: Path) -> None:
    """A line of some megabytes is one line."""
    root.mkdir()
    with Follower(root=root) as follower:
        list(follower.begin())
        line = json.dumps({"number": 1, "message": "x" * 5_000_000}) + "\n"
        (root / "a.logs.jsonl").write_text(f'{{"number":0}}\n{line}{{"number":2}}\n')
        assert [0, 1, 2] == numbers(follower, 3)


@pytest.mark.parametrize("is_looked_at", [True, False])
@pytest.mark.parametrize("is_listed", [True, False])
def test_emptied_file(write: Write, root: Path, *, is_looked_at: bool, is_listed: bool) -> None:
    """A file that somebody has emptied is read from its beginning, whoever notices it how."""
    write("a", lines=5)
    with Follower(root=root) as follower:
        list(follower.begin())
        assert [] == numbers(follower, 0)
        os.truncate(root / "a.logs.jsonl", 0)
        if is_listed:
            (root / "b.logs.jsonl").touch()
        if is_looked_at:
            assert [] == numbers(follower, 0)
        write("a", lines=2)
        assert [5, 6] == numbers(follower, 2)


def test_few_descriptors(root: Path) -> None:
    """More files than descriptors are no hindrance."""
    handler = SessionFileHandler(root, max_open_files=4)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Follower(root=root) as follower:
        list(follower.begin())
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 12, hard))
        try:
            found = []
            for turn in range(3):
                for number in range(100):
                    handler.emit(record(f"s{number}", turn * 100 + number))
                found += numbers(follower, 100)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            handler.close()
    assert list(range(300)) == found


def test_strangers(root: Path) -> None:
    """A FIFO, a symbolic link and other files at the places of sessions are left alone."""
    root.mkdir()
    with Follower(root=root) as follower:
        list(follower.begin())
        os.mkfifo(root / "fifo.logs.jsonl")
        (root / "target").write_text('{"number":9}\n')
        (root / "link.logs.jsonl").symlink_to(root / "target")
        (root / "directory.logs.jsonl").mkdir()
        (root / "a.logs.jsonl").write_text('{"number":0}\n')
        assert [0] == numbers(follower, 1)


def test_root_removed(root: Path) -> None:
    """The root may go, and come again."""
    root.mkdir()
    (root / "a.logs.jsonl").write_text('{"number":0}\n')
    with Follower(root=root) as follower:
        list(follower.begin())
        (root / "a.logs.jsonl").unlink()
        root.rmdir()
        assert [] == numbers(follower, 0)
        root.mkdir()
        (root / "a.logs.jsonl").write_text('{"number":1}\n')
        assert [1] == numbers(follower, 1)


def test_follow(write: Write, root: Path) -> None:
    """``follow`` is an iterator over what was and what comes."""
    write("a", lines=3)
    stream = follow(root=root, count=1, poll_s=0.01)
    assert 2 == next(stream).row["number"]
    write("a")
    assert 3 == next(stream).row["number"]


def test_order_over_files(root: Path) -> None:
    """What one process wrote to many sessions comes in the order it wrote it."""
    handler = SessionFileHandler(root, max_bytes=2_000, backup_count=1_000)
    with Follower(root=root) as follower:
        list(follower.begin())
        found = []
        for number in range(2_000):
            handler.emit(record(f"s{number * 7919 % 20}", number))
            if number % 50 == 0:
                found += [line.row["number"] for line in follower.poll()]
        found += numbers(follower, 2_000 - len(found))
    handler.close()
    assert list(range(2_000)) == found


def test_negative_count(root: Path) -> None:
    """A negative number of lines is refused."""
    with Follower(root=root) as follower, pytest.raises(ValueError, match="0 or more"):
        follower.begin(-1)


def test_a_file_that_listings_miss(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing may miss a file that is renamed meanwhile: its lines are not given again."""
    root.mkdir()
    path = root / "s.logs.jsonl"
    path.write_bytes(b'{"message":"1"}\n')
    with Follower(root=root) as follower:
        assert ["1"] == [line.row["message"] for line in follower.begin()]
        with monkeypatch.context() as patch:
            patch.setattr(os, "scandir", lambda _: contextlib.nullcontext(iter(())))
            (root / "other.logs.jsonl").write_bytes(b"")
            follower.poll()
        path.rename(root / "s.logs.jsonl.1")
        with (root / "s.logs.jsonl.1").open("ab") as file:
            file.write(b'{"message":"2"}\n')
        found: list[str] = []
        for _ in range(60):
            found += [line.row["message"] for line in follower.poll()]
            time.sleep(0.01)
    assert ["2"] == found


def test_listings_that_do_not_say_the_numbers_of_files(
    write: Write, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over FUSE they need not (there is none here): all lines come, once, across a rotation, too."""
    scandir = os.scandir

    @contextlib.contextmanager
    def all_alike(path: str) -> Iterator[Iterator[Any]]:
        with scandir(path) as entries:
            yield (
                SimpleNamespace(name=it.name, inode=lambda: 0xFFFFFFFF, is_file=it.is_file)
                for it in entries
            )

    write("a", "b", lines=3, max_bytes=1_000, backup_count=9)
    monkeypatch.setattr(os, "scandir", all_alike)
    with Follower(root=root) as follower:
        list(follower.begin())
        found: list[int] = []
        for _ in range(5):
            write("a", "b", "c", lines=4)
            found += numbers(follower, 12)
    assert list(range(6, 66)) == found


def test_a_removed_file_that_was_read_in_part(root: Path) -> None:
    """Where the file is compressed before it was read to its end, the rest comes from the copy."""
    root.mkdir()
    path = root / "a.logs.jsonl.1"
    lines = b"".join(b'{"number":%d,"text":"%s"}\n' % (n, b"x" * 1000) for n in range(20_000))
    with Follower(root=root) as follower:
        list(follower.begin())
        path.write_bytes(lines)
        found = [line.row["number"] for line in follower.poll()]
        found += [line.row["number"] for line in follower.poll()]
        assert len(found) < 20_000
        compress(root)
        assert not path.exists()
        found += numbers(follower, 20_000 - len(found))
    assert list(range(20_000)) == found


@pytest.mark.parametrize("is_json", [True, False])
@pytest.mark.parametrize("length", [MAX_LINE_BYTES - 1, MAX_LINE_BYTES, 2 * MAX_LINE_BYTES + 5])
def test_following_goes_on_after_a_line_of_any_length(
    length: int, *, is_json: bool, root: Path
) -> None:
    """A line past the bound is damage, said once; what comes after it comes, at once and later."""
    damages: list[Damage] = []
    root.mkdir()
    path = root / "a.logs.jsonl"
    path.write_bytes(b'{"number":0}\n')
    with Follower(root=root, on_damage=damages.append) as follower:
        assert [0] == [line.row["number"] for line in follower.begin()]
        start, end = (b'{"number":1,"message":"', b'"}') if is_json else (b"x", b"x")
        with path.open("ab") as file:
            file.write(start + b"x" * (length - len(start + end)) + end + b"\n")
            file.write(b'{"number":2}\n')
        is_line = is_json and length < MAX_LINE_BYTES
        assert [1, 2][not is_line :] == numbers(follower, 1 + is_line)
        with path.open("ab") as file:
            file.write(b'{"number":3}\n')
        assert [3] == numbers(follower, 1)
    assert (0 if is_line else 1) == len(damages)


@pytest.mark.parametrize("count", [2, 4, None])
@pytest.mark.parametrize("complete", [True, False])
def test_lines_of_any_length_are_no_end_of_what_was_before(
    count: int | None, *, complete: bool, root: Path
) -> None:
    """Of what is there when it begins, lines past the bound are left out, and only those."""
    damages: list[Damage] = []
    root.mkdir()
    lines = [
        b'{"number":0}',
        b'{"number":1,"message":"%s"}' % (b"x" * (MAX_LINE_BYTES - 100)),
        b"x" * MAX_LINE_BYTES,
        b'{"number":2}',
        b"y" * (2 * MAX_LINE_BYTES),
        b'{"number":3}',
        b"z" * (MAX_LINE_BYTES + 1),
    ]
    (root / "a.logs.jsonl").write_bytes(b"\n".join(lines))
    with Follower(root=root, on_damage=damages.append) as follower:
        found = [line.row["number"] for line in follower.begin(count, complete=complete)]
    assert [0, 1, 2, 3][-(count or 4) :] == found
    assert damages
    assert all("longer than" in damage.reason for damage in damages)


def at(second: int, number: int, key: str = "timestamp") -> bytes:
    """Return a stored line of that *number* and second; with ``end_time`` for *key*, a span's."""
    start = b'"start_time":"2026-01-01T00:00:00Z",' if key == "end_time" else b""
    time_text = b"2026-01-01T00:%02d:%02d.000000Z" % divmod(second, 60)
    return b'{%s"%s":"%s","number":%d}\n' % (start, key.encode(), time_text, number)


def test_files_are_merged_by_time(root: Path) -> None:
    """What is read at about one time comes in the order of time: log lines, and spans by their ends."""
    root.mkdir()
    with Follower(root=root) as follower:
        list(follower.begin())
        (root / "a.logs.jsonl").write_bytes(at(1, 0) + at(4, 3) + at(6, 5))
        (root / "a.spans.jsonl").write_bytes(at(2, 1, "end_time") + at(5, 4, "end_time"))
        (root / "b.logs.jsonl").write_bytes(at(3, 2) + at(7, 6))
        lines: list[Line] = []
        while len(lines) < 7:
            lines += follower.poll()
            time.sleep(0.01)
    assert list(range(7)) == [line.row["number"] for line in lines]
    assert ["log", "span", "log", "log", "span", "log", "log"] == [line.kind for line in lines]
    assert ["a", "a", "b", "a", "a", "a", "b"] == [line.session_id for line in lines]


def test_a_clock_that_is_set_back(root: Path) -> None:
    """In one file the order of writing stands, whatever its times are; they do not hold up others."""
    root.mkdir()
    with Follower(root=root) as follower:
        list(follower.begin())
        (root / "a.logs.jsonl").write_bytes(at(9, 0) + at(1, 1) + at(5, 2) + at(2, 3))
        assert [0, 1, 2, 3] == numbers(follower, 4)
        (root / "future.logs.jsonl").write_bytes(
            b'{"timestamp":"2999-01-01T00:00:00Z","number":4}\n'
        )
        assert [4] == numbers(follower, 1)
        with (root / "a.logs.jsonl").open("ab") as file:
            file.write(at(3, 5))
        assert [5] == numbers(follower, 1)


def test_otlp(root: Path) -> None:
    """Spans that are stored as OTLP come as the others do, and a cursor may stand between two."""
    root.mkdir()
    span = {"traceId": "0" * 31 + "1", "spanId": "0" * 15 + "1", "startTimeUnixNano": "1"}
    spans = [{**span, "name": name, "endTimeUnixNano": "2"} for name in "xyz"]
    request = {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}
    with Follower("s", root=root) as follower:
        assert [] == list(follower.begin())
        (root / "s.spans.jsonl").write_text(json.dumps(request) + "\n")
        while not (lines := follower.poll()):
            time.sleep(0.01)
        assert ["x", "y", "z"] == [line.row["name"] for line in lines]
        cursor = follower.cursor_after(2)
    with Follower("s", root=root, after=cursor) as follower:
        while not (lines := follower.poll()):
            time.sleep(0.01)
    assert [("z", "s")] == [(line.row["name"], line.session_id) for line in lines]


def test_otlp_of_a_compressed_file(root: Path) -> None:
    """It is the session's own there, too; log lines as well as spans."""
    root.mkdir()
    records = [{"timeUnixNano": str(number), "body": {"stringValue": "x"}} for number in (1, 2)]
    request = {"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}
    with Follower(root=root) as follower:
        list(follower.begin())
        (root / "s.logs.jsonl.1.gz").write_bytes(gzip.compress(json.dumps(request).encode()))
        while not (lines := follower.poll()):
            time.sleep(0.01)
    expected = [(line.session_id, line.time, line.row) for line in read("s", root)]
    assert expected == [(line.session_id, line.time, line.row) for line in lines]
    assert 2 == len(lines)


def test_a_line_without_a_time(root: Path) -> None:
    """It has the time of the line before, whether that was read by this tail or not, as for ``read``."""
    root.mkdir()
    path = root / "s.logs.jsonl"
    path.write_bytes(at(1, 0) + b'{"number":1}\n')
    with Follower(root=root) as follower:
        list(follower.begin())
        with path.open("ab") as file:
            file.write(b'{"number":2}\n' + at(3, 3) + b'{"number":4}\n')
        lines = wait(follower, 3)
        cursor = follower.cursor
        path.rename(root / "s.logs.jsonl.1")
        path.write_bytes(b'{"number":5}\n' + at(6, 6))
        lines += wait(follower, 2)
    expected = [(line.row["number"], line.time) for line in read("s", root)]
    assert expected[2:] == [(line.row["number"], line.time) for line in lines]
    with Follower(root=root, after=cursor) as follower:
        lines = wait(follower, 2)
    assert expected[5:] == [(line.row["number"], line.time) for line in lines]


def test_what_cannot_be_read_holds_nothing_up(root: Path) -> None:
    """A file that is damaged, or that has no line yet, keeps no other waiting."""
    root.mkdir()
    with Follower(root=root, on_damage=lambda _: None) as follower:
        list(follower.begin())
        (root / "a.logs.jsonl.1.gz").write_bytes(b"nonsense")
        (root / "b.logs.jsonl.1.zst").write_bytes(gzip.compress(at(1, 0)))
        (root / "c.logs.jsonl").write_bytes(b"x" * 2_000_000)
        (root / "d.spans.jsonl").write_bytes(b"")
        (root / "e.logs.jsonl").write_bytes(at(1, 1))
        assert [1] == numbers(follower, 1)


@pytest.mark.parametrize("is_resumed", [False, True])
def test_a_writer_that_rotates_all_the_time(root: Path, *, is_resumed: bool) -> None:
    """Names move while they are looked at: no line is missed for that, and none comes twice."""
    root.mkdir()
    lines = 4_000
    with Follower(root=root) as follower:
        list(follower.begin())
        cursor = follower.cursor
        found: list[int] = []
        process = subprocess.Popen([sys.executable, "-c", ROTATING, str(root), str(lines)])
        while is_resumed and process.poll() is None:
            with Follower(root=root, after=cursor) as again:
                for _ in range(3):
                    found += [line.row["number"] for line in again.poll()]
                    time.sleep(0.05)
                cursor = again.cursor
        while not is_resumed and process.poll() is None:
            found += [line.row["number"] for line in follower.poll()]
    with follower if not is_resumed else Follower(root=root, after=cursor) as follower:
        found += numbers(follower, lines - len(found))
    assert 0 == process.wait()
    assert list(range(lines)) == found


ROTATING = """
import logging, sys
from tracectrl_logging import SessionFileHandler
handler = SessionFileHandler(sys.argv[1], max_bytes=2_000, backup_count=10_000)
for number in range(int(sys.argv[2])):
    row = {"msg": "m", "session_id": "abc"[number * 7919 % 3], "number": number}
    handler.emit(logging.makeLogRecord(row))
"""


def test_much_at_once(root: Path) -> None:
    """What was written while nobody looked comes in order, over rotated files and sessions."""
    handler = SessionFileHandler(root, max_bytes=100_000, backup_count=100)
    with Follower(root=root) as follower:
        list(follower.begin())
        for number in range(20_000):
            handler.emit(record("abc"[number * 7919 % 3], number))
        handler.close()
        assert list(range(20_000)) == numbers(follower, 20_000)


def test_what_waits_is_bounded(root: Path) -> None:
    """Of many lines within two seconds, which may be late, a few are in memory; they come in order all the same."""
    root.mkdir()
    lines = 20_000
    for sid, first in (("a", 0), ("b", 1)):
        form = '{"timestamp":"2026-01-01T00:00:00.%06dZ","number":%d,"message":"%s"}\n'
        texts = (form % (number, number, "m" * 100) for number in range(first, lines, 2))
        (root / f"{sid}.logs.jsonl").write_text("".join(texts))
    found: list[int] = []
    with open_store(root).tail(after="") as tail:
        tracemalloc.start()
        try:
            while len(found) < lines:
                found += [line.row["number"] for line in tail.poll()]
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert list(range(lines)) == found
    assert peak < 10_000_000  # all of them take 24 MB


# --- contents, whatever the files are -------------------------------------------------------------


def copy_truncate(path: Path) -> None:
    """Copy the file and empty it, as logrotate's copytruncate does."""
    shutil.copy(path, f"{path}.1")
    os.truncate(path, 0)


def copy_in_pieces(path: Path) -> None:
    """Leave a copy that has not come far."""
    with open(f"{path}.1", "wb") as file:
        file.write(path.read_bytes()[:-10])


def put_in_place(path: Path) -> None:
    """Put a copy in the place of the file, as ``rsync`` and editors do."""
    shutil.copy(path, f"{path}~")
    os.replace(f"{path}~", path)


def pack(path: Path) -> None:
    """Rotate and pack the file with the system's tool's way: the plain file stays for a moment."""
    path.rename(f"{path}.1")
    with gzip.open(f"{path}.1.gz", "wb") as file:
        file.write(pathlib.Path(f"{path}.1").read_bytes())


def take_away(path: Path) -> None:
    """Move the file out of the directory, and back."""
    path.rename(path.parent.parent / "elsewhere")


def bring_back(path: Path) -> None:
    """Bring it back."""
    if (path.parent.parent / "elsewhere").exists():
        shutil.copy(path.parent.parent / "elsewhere", f"{path}.1")


WAYS = [copy_truncate, copy_in_pieces, put_in_place, pack, take_away]


@pytest.mark.parametrize("kind", ["logs", "spans"])
@pytest.mark.parametrize("is_looked_at", [True, False])
@pytest.mark.parametrize("way", WAYS)
def test_copies(way: Callable[[Path], None], kind: str, *, is_looked_at: bool, root: Path) -> None:
    """A file that holds what was read is that, whatever its name and number; each line comes once."""
    root.mkdir()
    path = root / f"a.{kind}.jsonl"
    key = "timestamp" if kind == "logs" else "end_time"
    path.write_bytes(b"".join(at(number, number, key) for number in range(5)))
    with Follower(root=root) as follower:
        list(follower.begin(0))
        with path.open("ab") as file:
            file.write(at(5, 5, key))
        found = numbers(follower, 1)
        with path.open("ab") as file:
            file.write(at(6, 6, key))
        if is_looked_at:
            found += numbers(follower, 1)
        way(path)
        if is_looked_at:
            assert [] == numbers(follower, 0)
        bring_back(path)
        with path.open("ab") as file:
            file.write(at(7, 7, key) + at(8, 8, key))
        found += numbers(follower, 3 - is_looked_at)
        with path.open("ab") as file:
            file.write(at(9, 9, key))
        found += numbers(follower, 1)
        assert [] == numbers(follower, 0)
    assert [5, 6, 7, 8, 9] == found


# --- cursors --------------------------------------------------------------------------------------


def rest(cursor: str, root: Path, count: int, *sids: str) -> list[int]:
    """Return the numbers of what comes after *cursor*, which is *count* lines."""
    with Follower(*sids, root=root, after=cursor) as follower:
        assert [] == list(follower.begin(10))
        found = numbers(follower, count)
        assert [] == numbers(follower, 0)
    return found


@pytest.mark.parametrize("then", ["nothing", "rotation", "compress", "copies", "all"])
def test_resuming(then: str, root: Path) -> None:
    """After a cursor all comes that is new, once and in order, whatever has become of the files."""
    handler = SessionFileHandler(root, max_bytes=1_000, backup_count=100)
    for number in range(100):
        handler.emit(record("ab"[number % 2], number))
    with Follower(root=root) as follower:
        list(follower.begin(0))
        for number in range(100, 200):
            handler.emit(record("ab"[number % 2], number))
        found = numbers(follower, 100)
        cursor = follower.cursor
    end = 200 if then == "nothing" else 300
    if then in {"rotation", "all"}:
        for number in range(200, 250):
            handler.emit(record("abc"[number % 3], number))
    if then in {"compress", "all"}:
        handler.close()
        compress(root)
    if then in {"copies", "all"}:
        handler.close()
        for path in list(root.glob("[ab].logs.jsonl*[sl1-9]")):
            put_in_place(path)
    start = 250 if then in {"rotation", "all"} else 200
    for number in range(start, end):
        handler.emit(record("abd"[number % 3], number))
    handler.close()
    assert list(range(100, 200)) == found
    assert list(range(200, end)) == rest(cursor, root, end - 200)


def test_a_cursor_between_two_lines(write: Write, root: Path) -> None:
    """A cursor stands behind the line that was given last, also among lines of one moment."""
    with Follower(root=root) as follower:
        list(follower.begin())
        write("a", "b", "c", lines=5)
        while len(lines := follower.poll()) < 15:
            assert not lines
            time.sleep(0.4)
        cursors = [follower.cursor_after(count) for count in range(16)]
        assert cursors[-1] == follower.cursor
    for count, cursor in enumerate(cursors):
        assert list(range(count, 15)) == rest(cursor, root, 15 - count)


def test_a_cursor_is_given_with_each_line(write: Write, root: Path) -> None:
    """``follow`` says behind each line where to go on, and so it does before the first."""
    write("a", lines=3)
    lines = follow("a", root=root, count=1, poll_s=0.01)
    start = lines.cursor
    assert 2 == next(lines).row["number"]
    write("a", lines=3)
    assert [3, 4] == [next(lines).row["number"] for _ in range(2)]
    again = follow("a", root=root, after=lines.cursor, poll_s=0.01)
    assert 5 == next(again).row["number"]
    again = follow("a", root=root, after=start, poll_s=0.01)
    assert [3, 4, 5] == [next(again).row["number"] for _ in range(3)]
    again.close()
    assert [] == list(again)


def test_a_cursor_is_short(root: Path) -> None:
    """For one session it is some 200 characters, which need no quotes, however many files there are."""
    handler = SessionFileHandler(root, max_bytes=1_000, backup_count=100)
    sid = "a1b2c3d4-e5f6-7890-abcd-ef1234567890"
    for number in range(200):
        handler.emit(record(sid, number))
    handler.close()
    assert len(os.listdir(root)) > 10
    for path in root.iterdir():
        os.utime(path, (time.time() - 60,) * 2)
    with Follower(sid, root=root) as follower:
        list(follower.begin(0))
        assert re.fullmatch(r"[A-Za-z0-9._-]{30,220}", follower.cursor)


def test_lines_that_wait_are_not_behind_the_cursor(write: Write, root: Path) -> None:
    """What was read and not handed out comes again; also where its file has gone for a copy since."""
    write("a", lines=2)
    with Follower("a", root=root) as follower:
        list(follower.begin())
        write("a", lines=3)
        assert [] == follower.poll()
        cursor = follower.cursor
    compress(root)
    assert [2, 3, 4] == rest(cursor, root, 3, "a")


@pytest.mark.parametrize(
    "text",
    ["x", "1.", "1.AAAA", "2.eJyrrgUAAXUA-Q", "1.eJyrrgUAAXUA-Q=x", "1.é", "1.eJyLjgUAARUAuQ"],
)
def test_what_is_no_cursor(text: str, root: Path) -> None:
    """Any other text is refused, in one line."""
    with pytest.raises(InvalidCursorError, match=r"a cursor must be .*, got") as caught:
        Follower(root=root, after=text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("what", ["all", "the newest", "a part"])
def test_a_cursor_whose_lines_are_gone(what: str, root: Path) -> None:
    """Where lines may be missing, the cursor is not valid any more; the session is named."""
    handler = SessionFileHandler(root, max_bytes=1_000, backup_count=100)
    for number in range(20):
        handler.emit(record("a", number))
    with Follower("a", root=root) as follower:
        list(follower.begin(0))
        for number in range(20, 40):
            handler.emit(record("a", number))
        found = [] if what == "a part" else numbers(follower, 20)
        follower.poll()
        cursor = follower.cursor
    for number in range(40, 80):
        handler.emit(record("a", number))
    handler.close()
    for path in sorted(root.iterdir()):
        text = path.read_text()
        if what == "all" or ('"number":39' if what == "the newest" else '"number":25') in text:
            path.unlink()
    assert found in ([], list(range(20, 40)))
    with pytest.raises(InvalidCursorError, match=r"not valid any more: log lines .* 'a'"):
        Follower("a", root=root, after=cursor)


def test_sessions_that_were_pruned(write: Write, root: Path) -> None:
    """Where all sessions are meant, those that were read and are gone are not missed."""
    write("a", "b", lines=3)
    with Follower(root=root) as follower:
        list(follower.begin(0))
        cursor = follower.cursor
    (root / "a.logs.jsonl").unlink()
    write("c", lines=2, max_bytes=0)
    assert [6, 7] == rest(cursor, root, 2)

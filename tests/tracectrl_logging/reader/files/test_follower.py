"""Following: each line once and in order, whatever happens to the files' names meanwhile."""

from __future__ import annotations

import gzip
import json
import os
import resource
import time
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.files.retention.compress import compress
from tracectrl.files.retention.prune import prune
from tracectrl_logging import SessionFileHandler
from tracectrl_logging.reader import Damage, Follower, follow
from tracectrl_logging.reader.files.lines import MAX_LINE_BYTES
from tracectrl_logging.reader.files.watch import Watch
from tracectrl_logging.reader.filters.selection import Selection

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterator
    from pathlib import Path

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
    with Follower("x", root=root) as follower, Follower(root=root) as everything:
        assert [1, 3] == [line.row["number"] for line in follower.begin()]
        assert [0, 1, 2, 3] == [line.row["number"] for line in everything.begin()]
        for number, sid in enumerate(("own", "x", "y", "x"), 4):
            handler.emit(record(sid, number))
        assert [5, 7] == numbers(follower, 2)
        assert [4, 5, 6, 7] == numbers(everything, 4)
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


def test_emptied_file(write: Write, root: Path) -> None:
    """A file that somebody has emptied is read from its beginning."""
    write("a", lines=5)
    with Follower(root=root) as follower:
        list(follower.begin())
        follower.poll()
        os.truncate(root / "a.logs.jsonl", 0)
        follower.poll()
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


def test_a_file_that_one_listing_missed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing may miss a file that is renamed meanwhile: its lines are not given again."""
    root.mkdir()
    path = root / "s.logs.jsonl"
    path.write_bytes(b'{"message":"1"}\n')
    with Follower(root=root) as follower:
        assert ["1"] == [line.row["message"] for line in follower.begin()]
        listing = Watch._list
        monkeypatch.setattr(Watch, "_list", lambda _: {})
        (root / "other.logs.jsonl").write_bytes(b"")
        follower.poll()
        monkeypatch.setattr(Watch, "_list", listing)
        path.rename(root / "s.logs.jsonl.1")
        with (root / "s.logs.jsonl.1").open("ab") as file:
            file.write(b'{"message":"2"}\n')
        found: list[str] = []
        for _ in range(20):
            found += [line.row["message"] for line in follower.poll()]
    assert ["2"] == found


def test_listings_that_do_not_say_the_numbers_of_files(
    write: Write, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over FUSE they need not (there is none here): all lines come, once, across a rotation, too."""
    listing = Watch._list

    def all_alike(self: Watch) -> dict[str, int]:
        return listing(self) if self._asks_files else dict.fromkeys(listing(self), 0xFFFFFFFF)

    monkeypatch.setattr(Watch, "_list", all_alike)
    write("a", "b", lines=3, max_bytes=1_000, backup_count=9)
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

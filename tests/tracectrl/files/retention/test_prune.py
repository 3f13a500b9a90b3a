"""Pruning: whole sessions, the oldest first, never one that is being written."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.files.names import OVERFLOW_STEM, log_path
from tracectrl.files.retention.prune import Pruned, PruneTotals, prune
from tracectrl.files.write.appender import Appender
from tracectrl.middleware import SessionWSGIMiddleware
from tracectrl.session import session
from tracectrl_logging import SessionFileHandler

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

HOUR = 3600


@pytest.fixture
def make(root: Path) -> Callable[..., None]:
    """Return the function that makes files of some size, so many hours old."""
    root.mkdir()

    def files(hours: float, *names: str, size: int = 10) -> None:
        for name in names:
            (root / name).write_bytes(b"x" * (size - 1) + b"\n")
            os.utime(root / name, (time.time() - hours * HOUR,) * 2)

    return files


def pruned(root: Path, **limits: Any) -> list[Pruned]:
    """Prune, and return what was reported."""
    seen: list[Pruned] = []
    prune(root, report=seen.append, **limits)
    return seen


def names(root: Path) -> list[str]:
    """Return the names of the files."""
    return sorted(os.listdir(root))


def test_by_age(make: Callable[..., None], root: Path) -> None:
    """A session goes with all of its files when its last write is too long ago, and not before."""
    make(30, "old.logs.jsonl", "old.spans.jsonl.1.gz", "old.logs.jsonl.2.zst", "old.logs.jsonl.3")
    make(30, "woken.logs.jsonl.1")
    make(20, "woken.spans.jsonl", "new.logs.jsonl")
    (it,) = pruned(root, older_than_s=24 * HOUR)
    assert ("old", 4, 40, "older_than", "remove", None) == (
        it.session_id,
        it.files,
        it.size_bytes,
        it.reason,
        it.action,
        it.error,
    )
    assert pytest.approx(time.time() - 30 * HOUR, abs=60) == it.last_write_ns / 1e9
    assert ["new.logs.jsonl", "woken.logs.jsonl.1", "woken.spans.jsonl"] == names(root)


def test_by_size(make: Callable[..., None], root: Path) -> None:
    """The oldest go until the rest fits, and no more than that; what fits exactly stays."""
    for hours in (4, 3, 2, 1):
        make(hours, f"s{hours}.logs.jsonl", size=100)
    assert [] == pruned(root, max_total_bytes=400)
    seen = pruned(root, max_total_bytes=399)
    seen += pruned(root, max_total_bytes=101)
    assert [("s4", "max_total"), ("s3", "max_total"), ("s2", "max_total")] == [
        (it.session_id, it.reason) for it in seen
    ]
    assert ["s1.logs.jsonl"] == names(root)


def test_by_number(make: Callable[..., None], root: Path) -> None:
    """The oldest go until so many are left; ``unknown`` and the file of many do not count."""
    make(50, "unknown.logs.jsonl", f"{OVERFLOW_STEM}.logs.jsonl")
    for hours in (4, 3, 2, 1):
        make(hours, f"s{hours}.logs.jsonl", f"s{hours}.spans.jsonl")
    assert ["s4", "s3"] == [it.session_id for it in pruned(root, keep=2)]
    assert [] == pruned(root, keep=2)
    assert ["s2", "s1"] == [it.session_id for it in pruned(root, keep=0)]
    assert [f"{OVERFLOW_STEM}.logs.jsonl", "unknown.logs.jsonl"] == names(root)


def test_unknown_and_the_file_of_many(make: Callable[..., None], root: Path) -> None:
    """By age and by size they go like any other; the file of many has no session ID."""
    make(50, "unknown.logs.jsonl", f"{OVERFLOW_STEM}.logs.jsonl.1")
    make(1, "unknown.spans.jsonl", f"{OVERFLOW_STEM}.spans.jsonl")
    assert [] == pruned(root, older_than_s=24 * HOUR)
    assert {"unknown", None} == {it.session_id for it in pruned(root, max_total_bytes=0)}
    assert [] == names(root)


def test_all_limits(make: Callable[..., None], root: Path) -> None:
    """With several limits a session goes that any of them names."""
    make(30, "a.logs.jsonl")
    make(4, "b.logs.jsonl", size=1000)
    make(3, "c.logs.jsonl")
    make(2, "d.logs.jsonl")
    seen = pruned(root, older_than_s=24 * HOUR, max_total_bytes=500, keep=1)
    assert [("a", "older_than"), ("b", "max_total"), ("c", "keep")] == [
        (it.session_id, it.reason) for it in seen
    ]


def test_nothing_else_is_touched(make: Callable[..., None], root: Path, tmp_path: Path) -> None:
    """Files of other names, directories, pipes and symbolic links stay, whatever the limits."""
    make(50, "notes.txt", "%zz.logs.jsonl", ".logs.jsonl", "s.logs.jsonl.bak", "s.logs.jsonl.0")
    (root / "d.logs.jsonl").mkdir()
    os.mkfifo(root / "f.logs.jsonl")
    (tmp_path / "target").write_bytes(b"x")
    (root / "l.logs.jsonl").symlink_to(tmp_path / "target")
    before = names(root)
    assert [] == pruned(root, older_than_s=0, max_total_bytes=0, keep=0)
    assert before == names(root)


def test_being_written(make: Callable[..., None], root: Path) -> None:
    """An open session stays, is reported, and the next oldest goes in its place."""
    appender = Appender(root, ".logs.jsonl")
    appender.append("open", b"{}\n")
    os.utime(root / "open.logs.jsonl", (time.time() - 0.9 * HOUR,) * 2)
    make(0.5, "closed.logs.jsonl")
    make(0.4, "newest.logs.jsonl")
    seen = pruned(root, keep=2)
    assert [("open", "in_use"), ("closed", "remove")] == [(it.session_id, it.action) for it in seen]
    seen = pruned(root, older_than_s=0, keep=0)
    assert [("open", "in_use"), ("newest", "remove")] == [(it.session_id, it.action) for it in seen]
    appender.append("open", b"{}\n")
    assert b"{}\n{}\n" == (root / "open.logs.jsonl").read_bytes()


def test_forgotten(root: Path) -> None:
    """A file that is open but was not written for an hour goes; its writer makes a new one."""
    appender = Appender(root, ".logs.jsonl")
    appender.append("s", b"1\n")
    os.utime(root / "s.logs.jsonl", (time.time() - 2 * HOUR,) * 2)
    totals = prune(root, older_than_s=1.5 * HOUR)
    assert (PruneTotals(removed=1, freed_bytes=2), []) == (totals, names(root))
    appender.append("s", b"2\n")
    assert b"2\n" == (root / "s.logs.jsonl").read_bytes()


def test_a_forgotten_one_wakes_up(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written before a forgotten file is gone keeps the session, and all of its lines."""
    appender = Appender(root, ".logs.jsonl")
    appender.append("s", b"1\n")
    os.utime(root / "s.logs.jsonl", (time.time() - 2 * HOUR,) * 2)
    sleep = time.sleep

    def sleep_and_write(seconds: float) -> None:
        sleep(seconds)
        appender.append("s", b"2\n")

    monkeypatch.setattr(time, "sleep", sleep_and_write)
    totals = prune(root, older_than_s=1.5 * HOUR)
    assert PruneTotals(in_use=1, kept=1, kept_bytes=2) == totals
    assert {"s.logs.jsonl": b"2\n", "s.logs.jsonl.1": b"1\n"} == {
        path.name: path.read_bytes() for path in root.iterdir()
    }


def test_dry_run(make: Callable[..., None], root: Path) -> None:
    """A dry run reports the same and changes nothing."""
    make(50, "a.logs.jsonl", "a.logs.jsonl.1.gz", ".compressing-1")
    appender = Appender(root, ".logs.jsonl")
    appender.append("b", b"1\n")
    before = names(root)
    dry = pruned(root, keep=0, dry_run=True)
    assert before == names(root)
    assert dry == pruned(root, keep=0)
    assert ["b.logs.jsonl"] == names(root)


def test_totals(make: Callable[..., None], root: Path) -> None:
    """The numbers add up, with what killed runs of compress have left."""
    make(50, "a.logs.jsonl", "b.logs.jsonl", ".compressing-1")
    make(1, "c.logs.jsonl", "c.spans.jsonl")
    totals = prune(root, older_than_s=24 * HOUR)
    assert PruneTotals(removed=2, freed_bytes=30, kept=1, kept_bytes=20) == totals


def test_a_session_that_cannot_be_removed(
    make: Callable[..., None], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is reported with the reason, and the others go all the same."""
    make(50, "a.logs.jsonl", "b.logs.jsonl")
    unlink = os.unlink

    def refuse(name: str, *, dir_fd: int) -> None:
        if name.endswith("a.logs.jsonl"):
            raise PermissionError(1, "Operation not permitted", name)
        unlink(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", refuse)
    seen = pruned(root, older_than_s=HOUR)
    assert {("a", "failed"), ("b", "remove")} == {(it.session_id, it.action) for it in seen}
    assert ["Operation not permitted"] == [it.error.strerror for it in seen if it.error]


def test_long_ids(make: Callable[..., None], root: Path) -> None:
    """A long ID is read from the lines before they go."""
    make(50)
    path = log_path("x" * 300, root)
    path.write_bytes(b'{"session_id":"%s"}\n' % (b"x" * 300))
    assert ["x" * 300] == [it.session_id for it in pruned(root, keep=0)]


def test_wrong_use(root: Path) -> None:
    """Without a limit nothing is removed, and that is said; a root that is not there raises."""
    with pytest.raises(ValueError, match="older_than_s, max_total_bytes or keep"):
        prune(root)
    with pytest.raises(FileNotFoundError):
        prune(root, keep=0)


def test_made_up_sessions(root: Path) -> None:
    """Requests that each name a session of their own throw out no session that was there before."""
    with contextlib.closing(SessionFileHandler(root)) as handler:
        logger = logging.getLogger("shop")
        logger.addHandler(handler)
        logger.setLevel("INFO")

        def hello(_: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
            logger.info("hello")
            start_response("200 OK", [])
            return [b""]

        app = SessionWSGIMiddleware(hello)
        for number in range(50):
            with session(f"honest-{number}"):
                logger.info("paid")
        for number in range(1_500):
            environ = {"HTTP_X_TRACECTRL_SESSION": f"made-up-{number}"}
            for _ in app(environ, lambda *_: lambda _: None):
                pass
        logger.removeHandler(handler)
    prune(root, keep=1_000)
    assert 50 == len(list(root.glob("honest-*")))
    for path in root.iterdir():  # two hours later
        os.utime(path, ns=(1, path.stat().st_mtime_ns - 2 * HOUR * 10**9))
    for path in root.glob("honest-*"):  # the last of which were a minute before the others
        os.utime(path, ns=(1, path.stat().st_mtime_ns - 120 * 10**9))
    assert 550 == prune(root, keep=1_000).removed
    assert 50 == len(list(root.glob("honest-*")))

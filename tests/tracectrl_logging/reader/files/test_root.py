"""The sessions under a root, and the names of one, while others change them."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.files import log_path
from tracectrl.files.listing import scan_names
from tracectrl.files.names import stem_of
from tracectrl.session import session
from tracectrl_logging.reader import Damage, UnknownSessionError, read
from tracectrl_logging.reader.file_store import FileStore
from tracectrl_logging.reader.files import root as module
from tracectrl_logging.reader.files.root import Listing, id_of, session_named
from tracectrl_logging.reader.filters.search import Query, Search
from tracectrl_logging.reader.filters.sessions import SessionQuery

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable
    from pathlib import Path

    from tracectrl.files.listing import StoredSession

    Write = Callable[..., Path]

HOSTILE_IDS = [
    "../x",
    "a b",
    "übung",
    "x" * 300,
    "é" * 300,
    "con",
    ".hidden",
    "a\nb",
    "\x1b[2J",
    "%",
]


def find(sid: str, root: Path) -> StoredSession:
    """Return the files of the session *sid*."""
    return FileStore(root).files_of(sid)[0]


def test_times_and_sizes(write: Write, root: Path) -> None:
    """A session's newest time and all its bytes are known."""
    for number, name in enumerate(("s.logs.jsonl", "s.logs.jsonl.1", "s.spans.jsonl.1.gz"), 1):
        path = write(name)
        path.write_bytes(b"x" * number)
        os.utime(path, ns=(number, 1000 + number))
    (session,) = Listing(root).sessions
    assert ("s", 1003, 6, 3) == (
        session.stem,
        session.last_write_ns,
        session.size_bytes,
        session.plain_bytes,
    )
    assert {"s.logs.jsonl", "s.logs.jsonl.1", "s.spans.jsonl.1.gz"} == {
        name.name for name in session.names
    }


def test_without_times(write: Write, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a large root nobody asks for times that are not wanted."""
    write("s.logs.jsonl", b"{}")
    monkeypatch.setattr(module, "_FEW", 1)
    listing = Listing(root, with_times=False)
    assert [0] == [session.last_write_ns for session in listing.sessions]
    assert not listing.with_times
    assert Listing(root).sessions[0].last_write_ns > 0


def test_by_id(root: Path) -> None:
    """Sessions are sorted by their IDs, not by their files' names."""
    root.mkdir()
    ids = ["%", "../x", "Z", "a b", "a", "é" * 100, "x" * 300, "\x1b[2J"]
    for sid in ids:
        log_path(sid, root).write_bytes(b'{"session_id":"%s"}\n' % sid.encode())
    listing = Listing(root)
    listing.sort_by_id()
    assert sorted(ids) == [id_of(session) for session in listing.sessions]


def test_gone_meanwhile(write: Write, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is moved before its status is asked for counts as written just now."""
    path = write("s.logs.jsonl", b"{}")
    os.utime(path, (1, 1))

    def move_after(
        directory: str, starts: tuple[str, ...], unread: list[str]
    ) -> dict[str, tuple[str, ...]]:
        found = scan_names(directory, starts, unread)
        if path.exists():
            path.rename(root / "s.logs.jsonl.1")
        return found

    monkeypatch.setattr(module, "scan_names", move_after)
    (session,) = Listing(root).sessions
    assert session.age_s(time.time_ns()) < 60
    assert {".logs.jsonl", ".logs.jsonl.1"} == set(session.suffixes)


def test_at_rest(write: Write, root: Path) -> None:
    """It is known whether the root has changed since."""
    write("s.logs.jsonl", b"{}")
    assert not Listing(root).is_at_rest()  # too fresh to tell
    os.utime(root, (1, 1))
    listing = Listing(root)
    assert listing.is_at_rest()
    (session,) = listing.sessions
    assert session.is_as_listed()
    write("t.logs.jsonl", b"{}")
    assert not listing.is_at_rest()
    assert not session.is_as_listed()


PROGRAM = """
import sys
from tracectrl_logging.reader.files import root as module
module._FEW = 10
one, several = (module.Listing(sys.argv[1], parallel=parallel) for parallel in (False, True))
assert 500 == len(one.sessions)
assert one.sessions == several.sessions
"""


def test_in_parallel(write: Write, root: Path) -> None:
    """Several processes find out the same."""
    for number in range(500):
        path = write(f"{number}.logs.jsonl", b"x" * number)
        os.utime(path, ns=(number, number))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, root], capture_output=True, text=True, check=False
    )
    assert (0, "") == (done.returncode, done.stderr)


def test_foreign_files(write: Write, root: Path) -> None:
    """Other names, directories, pipes and symbolic links are not session files."""
    live = write("s.logs.jsonl", b"{}")
    for name in (
        "notes.txt",
        "s.jsonl",
        "s.logs.jsonl.bak",
        ".logs.jsonl",
        "%zz.logs.jsonl",
        "a%b.logs.jsonl",
    ):
        write(name, b"{}")
    (root / "d.logs.jsonl").mkdir()
    (root / "l.logs.jsonl").symlink_to(live)
    os.mkfifo(root / "f.logs.jsonl")
    assert ["s"] == [found.stem for found in Listing(root).sessions]


@pytest.mark.parametrize("sid", HOSTILE_IDS)
def test_hostile_ids(sid: str, root: Path, logger: logging.Logger) -> None:
    """Whatever an ID looks like, its file is found by it, and the ID by the file."""
    with session(sid):
        logger.info("hello")
    (found,) = Listing(root).sessions
    assert (sid, found.suffixes) == (id_of(found), find(sid, root).suffixes)


def test_stem_for_a_lost_id(root: Path, logger: logging.Logger) -> None:
    """A long ID that no line holds any more is replaced by the file's stem, and that is said."""
    with session("x" * 300):
        logger.info("hello")
    (path,) = root.iterdir()
    path.write_bytes(b"garbage\n")
    damages: list[Damage] = []
    (found,) = Listing(root).sessions
    stem = id_of(found, damages.append)
    assert ("%~" + "x" * 48, 1, found.suffixes) == (
        stem[:50],
        len(damages),
        find(stem, root).suffixes,
    )


def test_an_id_that_moves(root: Path, logger: logging.Logger) -> None:
    """A long ID is read from its file also where that has been compressed since the listing."""
    with session("x" * 300):
        logger.info("hello")
    (found,) = Listing(root).sessions
    (path,) = root.iterdir()
    path.with_name(f"{path.name}.1.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    damages: list[Damage] = []
    assert ("x" * 300, []) == (id_of(found, damages.append), damages)


def test_other_sessions_with_the_same_start(write: Write, root: Path) -> None:
    """A session whose ID begins like another's, a dot in it included, is another."""
    write("a.logs.jsonl", b"{}")
    write("a.b.logs.jsonl", b"{}")
    write("a.spans.jsonl", b"{}")
    names = {sid: {name.name for name in find(sid, root).names} for sid in ("a", "a.b")}
    assert {"a": {"a.logs.jsonl", "a.spans.jsonl"}, "a.b": {"a.b.logs.jsonl"}} == names


def test_unknown_session(write: Write, root: Path) -> None:
    """An ID without files raises; it does not name another session by its start."""
    write("abc.logs.jsonl", b"{}")
    for sid in ("ab", "", "%~x"):
        with pytest.raises(UnknownSessionError):
            find(sid, root)


def test_missing_root(root: Path) -> None:
    """A root that does not exist, or is a file, raises what the system says about it."""
    with pytest.raises(FileNotFoundError, match="traces"):
        Listing(root)
    root.write_bytes(b"")
    with pytest.raises(NotADirectoryError, match="traces"):
        Listing(root)


def count_listings(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return what grows with each listing."""
    seen: list[object] = []
    scandir = os.scandir

    def counted(path: Any) -> Any:
        seen.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counted)
    return seen


def test_a_root_at_rest(write: Write, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A root in which nothing happens is listed once."""
    write("s.logs.jsonl", b"{}")
    write("t.logs.jsonl", b"{}")
    os.utime(root, (time.time() - 1,) * 2)
    seen = count_listings(monkeypatch)
    assert {"s", "t"} == {session.stem for session in Listing(root).sessions}
    assert ["s.logs.jsonl"] == [it.name for it in find("s", root).names]
    assert 2 == len(seen)


def test_missed_by_a_listing(write: Write, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was renamed behind a listing's back is found by the next one; none twice."""
    write("s.logs.jsonl", b"{}")
    write("t.logs.jsonl", b"{}")
    scandir = os.scandir
    first: list[object] = []

    class Blind:
        """A listing that does not see the file under either name."""

        def __enter__(self) -> Any:
            self.inner = scandir(root)
            return (entry for entry in self.inner if not entry.name.startswith("s."))

        def __exit__(self, *_: object) -> None:
            self.inner.close()
            os.rename(root / "s.logs.jsonl", root / "s.logs.jsonl.1")

    def blind_at_first(path: Any) -> Any:
        if not first:
            first.append(path)
            return Blind()
        return scandir(path)

    os.utime(root, (time.time() - 1,) * 2)
    monkeypatch.setattr(os, "scandir", blind_at_first)
    assert {"s": ["s.logs.jsonl.1"], "t": ["t.logs.jsonl"]} == {
        session.stem: [it.name for it in session.names] for session in Listing(root).sessions
    }


@pytest.mark.parametrize("seconds", [0, 1])
def test_a_root_that_changes_all_the_time(
    seconds: float, write: Write, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is an end to listing it again."""
    write("s.logs.jsonl", b"{}")
    os.utime(root, (time.time() - seconds,) * 2)
    stat = os.stat

    def change_and_stat(path: str) -> os.stat_result:
        os.utime(root)
        return stat(path)

    monkeypatch.setattr(os, "stat", change_and_stat)
    seen = count_listings(monkeypatch)
    assert ["s"] == [session.stem for session in Listing(root).sessions]
    assert 3 == len(seen)


OWN = [
    "s.logs.jsonl",
    "s.logs.jsonl.1",
    "s.logs.jsonl.2.gz",
    "s.logs.jsonl.30.zst",
    "s.spans.jsonl.gz",
    "s.spans.jsonl.3",
]


@pytest.fixture(params=["listed", "probed"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have every root listed, or every one probed, as the largest ones are."""
    chosen = str(request.param)
    monkeypatch.setattr(module, "_SMALL_BYTES", 2**40 if chosen == "listed" else -1)
    return chosen


@pytest.mark.usefixtures("way")
def test_names(write: Write, root: Path) -> None:
    """All names of the session are found, gaps between backups or not, and nobody else's."""
    for name in (*OWN, "s.x.logs.jsonl", "s2.logs.jsonl"):
        write(name, b"{}")
    assert sorted(OWN) == sorted(stored.name for stored in find("s", root).names)
    assert session_named(str(root), "other") is None


@pytest.mark.usefixtures("way")
def test_only_regular_files(write: Write, root: Path) -> None:
    """Directories, pipes and symbolic links are not session files."""
    live = write("other.logs.jsonl", b"{}")
    (root / "s.logs.jsonl").mkdir()
    (root / "s.logs.jsonl.1").symlink_to(live)
    os.mkfifo(root / "s.spans.jsonl")
    with pytest.raises(UnknownSessionError):
        find("s", root)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("sid", ["s", "a b", "x" * 300, "../x"])
def test_reading(sid: str, root: Path) -> None:
    """A session is read whichever way its names were found."""
    stem = stem_of(sid)
    root.mkdir()
    for number, name in enumerate((".logs.jsonl.2", ".logs.jsonl.1", ".logs.jsonl")):
        row = b'{"message":"%d","session_id":"%s"}\n' % (number, sid.encode())
        (root / f"{stem}{name}").write_bytes(row)
    assert ["0", "1", "2"] == [line.row["message"] for line in read(sid, root)]


@pytest.mark.usefixtures("way")
def test_lines_past_a_limit(write: Write, root: Path) -> None:
    """A session whose lines are among those of others is found, too."""
    write("%overflow.logs.jsonl", b'{"message":"x","session_id":"s"}')
    assert ["x"] == [line.row["message"] for line in read("s", root)]


@pytest.mark.usefixtures("way")
def test_a_session_in_a_missing_root(tmp_path: Path) -> None:
    """A root that is not there is an error of the system's, not an unknown session."""
    with pytest.raises(FileNotFoundError):
        find("s", tmp_path / "gone")


DATED = ["s.logs.jsonl-20260201", "s.logs.jsonl-20260202.gz", "s.logs.jsonl.2026-02-03_12"]


@pytest.mark.parametrize("small_bytes", [-1, 2**40])
def test_names_by_date(small_bytes: int, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Backups that other programs name by date are read, the oldest first, in a large root, too."""
    monkeypatch.setattr(module, "_SMALL_BYTES", small_bytes)
    root.mkdir()
    for name in (*DATED, "s.logs.jsonl.01", "s.logs.jsonl"):
        data = b'{"message":"%s"}\n' % name.encode()
        (root / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    expected = [*DATED, "s.logs.jsonl.01", "s.logs.jsonl"]
    assert expected == [line.row["message"] for line in read("s", root)]
    assert {*expected} == {it.name for it in Listing(root).sessions[0].names}


def test_one_name_by_date(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a backup is read also where it is one among many thousand names of ours."""
    monkeypatch.setattr(module, "_SMALL_BYTES", -1)
    monkeypatch.setattr("tracectrl.files.listing._SAMPLE", 0)
    root.mkdir()
    for name in ("t.logs.jsonl", "s.logs.jsonl", DATED[0]):
        (root / name).write_bytes(b'{"message":"%s"}\n' % name.encode())
    assert [DATED[0], "s.logs.jsonl"] == [line.row["message"] for line in read("s", root)]


def test_names_that_nobody_reads(write: Write, root: Path) -> None:
    """A file that begins as a session's and ends otherwise is said once, by each way to read."""
    write("s.logs.jsonl", b'{"message":"x"}')
    for name in ("s.logs.jsonl.1.xz", "s.spans.jsonl.bak", "t.logs.jsonl-2026W05"):
        write(name, b"not ours")
    for name in ("notes.logs.txt", "a b.logs.jsonl.xz", ".s.logs.jsonl.swp"):
        write(name, b"somebody's")

    def said(ask: Callable[[FileStore], object]) -> list[str]:
        damages: list[Damage] = []
        ask(FileStore(root, on_damage=damages.append))
        assert all("not read" in damage.reason for damage in damages)
        return [os.path.basename(damage.path) for damage in damages]

    of_s = ["s.logs.jsonl.1.xz", "s.spans.jsonl.bak"]
    everything = [*of_s, "t.logs.jsonl-2026W05"]
    assert of_s == said(lambda store: list(store.read("s")))
    assert of_s == said(lambda store: list(store.search(Search(query=Query("x")), ["s"])))
    assert everything == said(lambda store: list(store.search(Search(query=Query("x")))))
    assert everything == said(lambda store: list(store.sessions(SessionQuery())))
    assert everything == sorted(said(lambda store: list(store.query("SELECT 1 FROM logs, spans"))))
    assert everything == said(lambda store: store.tail().close())

"""Which sessions are meant, and how few of them are read for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest

from tracectrl._time import canonical, time_of
from tracectrl_logging.reader import open_store, read, sessions
from tracectrl_logging.reader.files import overview as module
from tracectrl_logging.reader.files.overview import overview
from tracectrl_logging.reader.files.root import Listing
from tracectrl_logging.reader.filters.conditions import Condition
from tracectrl_logging.reader.filters.sessions import SessionQuery

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[..., Path]

NOON = datetime(2025, 1, 1, 12, tzinfo=timezone.utc).timestamp()


def at(seconds: float) -> str:
    """Return the time so many seconds past noon."""
    return canonical(datetime.fromtimestamp(NOON + seconds, timezone.utc))


@pytest.fixture
def session_at(write: Write) -> Callable[..., None]:
    """Return the function that writes a session with one line, and sets the file's time."""

    def make(sid: str, seconds: float, *, written: float | None = None) -> None:
        path = write(f"{sid}.logs.jsonl", json.dumps({"timestamp": at(seconds)}).encode())
        os.utime(path, (NOON + (seconds if written is None else written),) * 2)

    return make


@pytest.fixture
def _large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every root a large one."""
    monkeypatch.setattr(module, "_SMALL_SESSIONS", 0)


def found(root: Path, **options: object) -> tuple[list[str], int]:
    """Return the IDs of the sessions that are meant, and how many were read for it."""
    read: list[int] = []
    query = SessionQuery(**options)  # type: ignore[arg-type]
    summaries = list(query.in_order(overview(Listing(root), query, print, step=read.append)))
    return [summary.session_id for summary in summaries], sum(read)


@pytest.mark.usefixtures("_large")
def test_the_latest(session_at: Callable[..., None], root: Path) -> None:
    """The latest few are found without reading the others."""
    for number in range(50):
        session_at(f"s{number:02}", number)
    assert (["s49", "s48", "s47"], 3) == found(root, limit=3)
    assert 50 == len(found(root, limit=100)[0])
    assert (["s49"], 50) == found(root, limit=1, sort="errors")


@pytest.mark.usefixtures("_large")
def test_written_later_than_said(session_at: Callable[..., None], root: Path) -> None:
    """Copies are newer than what they hold; the latest lines are found nevertheless."""
    for number in range(20):
        session_at(f"s{number:02}", number, written=100 - number)
    assert (["s19", "s18"], 20) == found(root, limit=2)


@pytest.mark.usefixtures("_large")
def test_written_earlier_than_said(session_at: Callable[..., None], root: Path) -> None:
    """Where a file's time is wrong the others' are not trusted either, but for what is rounded."""
    for number in range(10):
        session_at(f"s{number}", number * 10)
    session_at("hidden", 1000, written=-1000)
    assert (["s9"], 1) == found(root, limit=1)
    session_at("shown", 500, written=91)
    assert (["hidden", "shown"], 12) == found(root, limit=2)
    session_at("shown", 92, written=91)
    assert (["shown"], 2) == found(root, limit=1)


@pytest.mark.usefixtures("_large")
@pytest.mark.parametrize("written", [-10_000.0, 10_000.0])
def test_times_that_say_nothing(
    written: float, root: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all files are of one time, few sessions are read beside the first ones all the same."""
    monkeypatch.setattr(module, "_HEAD", 5)
    for number in range(100):
        line, kind = f'{{"timestamp":"{at(number)}"}}', "logs"
        if number == 7:
            line, kind = f'{{"start_time":"{at(0)}","end_time":"{at(1000)}"}}', "spans"
        path = write(f"s{number:02}.{kind}.jsonl", line.encode())
        os.utime(path, (NOON + written,) * 2)
    odd = write("odd.logs.jsonl", b'{"msg": "old", "time": "2025-01-01 12:00:00"}')
    os.utime(odd, (NOON + written,) * 2)

    ids, read = found(root, limit=3)
    assert ["s07", "s99", "s98"] == ids
    assert read <= 5 + 3 + 1
    ids, read = found(root, since=at(97))
    assert ["s07", "s99", "s98", "s97"] == ids
    assert read <= 5 + 4 + 1


@pytest.mark.usefixtures("_large")
def test_at_once(
    session_at: Callable[..., None], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits gets some sessions by their files' times; who asks again gets the right ones.

    Files as they were are not looked through again, and those that have grown are.
    """
    monkeypatch.setattr(module, "_HEAD", 5)
    for number in range(40):
        session_at(f"s{number:02}", number, written=100_000 - number)
    store, query = open_store(root), SessionQuery(limit=3)

    def ids(*, at_once: bool = False) -> list[str]:
        return [it.session_id for it in store.sessions(query, at_once=at_once)]

    assert ["s04", "s03", "s02"] == ids(at_once=True)
    assert ["s39", "s38", "s37"] == ids()
    looked_at: list[object] = []
    monkeypatch.setattr(module, "latest_time", looked_at.append)
    assert ["s39", "s38", "s37"] == ids()
    assert [] == looked_at
    monkeypatch.undo()
    monkeypatch.setattr(module, "_SMALL_SESSIONS", 0)
    session_at("s20", 1000, written=90_000)
    assert ["s20", "s39", "s38"] == ids()


@pytest.mark.usefixtures("_large")
def test_since(session_at: Callable[..., None], root: Path) -> None:
    """What was written before the time that is asked for is not read."""
    for number in range(50):
        session_at(f"s{number:02}", number)
    assert (["s49", "s48"], 2) == found(root, since=at(48))


def test_small_root(session_at: Callable[..., None], root: Path) -> None:
    """Under a small root times of files are not relied on."""
    for number in range(10):
        session_at(f"s{number}", number)
    session_at("hidden", 1000, written=-1000)
    assert (["hidden"], 11) == found(root, limit=1)


@pytest.mark.parametrize(
    "time",
    ["2026-02-03 09:00:00.123456Z", "2026-02-03T10:00:00.1+01:00", "2026-02-03 09:00:00.123 UTC"],
)
def test_times_of_one_length(time: str, write: Write, root: Path) -> None:
    """A time of another form counts for what it is, however long it is."""
    early, late = "2026-02-02T09:00:00.000000Z", "2026-02-03T08:00:00.000000Z"
    write("s.logs.jsonl", *(json.dumps({"timestamp": it}).encode() for it in (early, late, time)))
    (summary,) = sessions(root)
    assert (early, time_of(time)) == (summary.first_time, summary.last_time)


def test_the_name_of_the_shared_file(write: Write, root: Path) -> None:
    """A session that has this name for its ID is one, and the shared file is another."""
    write("%overflow.logs.jsonl", b'{"message":"shared","session_id":"x"}')
    write("%25overflow.logs.jsonl", b'{"message":"stranger","session_id":"%overflow"}')
    assert ["%25overflow", "%overflow"] == sorted(it.session_id for it in sessions(root))
    for sid, expected in (("%overflow", "shared"), ("%25overflow", "stranger")):
        assert [expected] == [line.row["message"] for line in read(sid, root)]


def test_library(session_at: Callable[..., None], root: Path) -> None:
    """Moments and conditions may be texts; several services are a list or one name."""
    session_at("a", 0)
    session_at("b", 60)
    ids = [it.session_id for it in sessions(root, since="2025-01-01T12:00:30", where="logs=1")]
    assert ["b"] == ids
    where: list[str | Condition] = [Condition("logs=1"), "timestamp~2025"]
    assert ["b", "a"] == [it.session_id for it in sessions(root, until=at(60), where=where)]
    assert [] == sessions(root, services="api")
    assert [] == sessions(root, errors=True)
    assert ["b"] == [it.session_id for it in sessions(root, sort="duration", limit=1)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"since": "noon"}, "'noon'"),
        ({"where": ["noon"]}, "'noon'"),
        ({"sort": "noon"}, "'noon'"),
        ({"limit": 0}, "0"),
    ],
)
def test_wrong_use(options: dict[str, object], said: str, root: Path) -> None:
    """What cannot be understood is named."""
    root.mkdir()
    with pytest.raises(ValueError, match=said):
        sessions(root, **options)  # type: ignore[arg-type]


PROGRAM = """
import sys
from tracectrl_logging.reader.files import overview as module, workers
from tracectrl_logging.reader.files.overview import overview
from tracectrl_logging.reader.filters.sessions import SessionQuery
from tracectrl_logging.reader.files.root import Listing
workers.MUCH = module._SMALL_SESSIONS = module._SMALL_BYTES = 0
module._HEAD = 5
results = []
for parallel in (False, True):
    for query in (SessionQuery(), SessionQuery(limit=30), SessionQuery(sort="errors")):
        damages, steps = [], []
        options = {"parallel": parallel, "step": steps.append}
        found = list(query.in_order(overview(Listing(sys.argv[1]), query, damages.append, **options)))
        results.append((found, sorted(map(str, damages)), sum(steps) if query.limit else 0))
assert results[:3] == results[3:]
assert [200, 30, 200] == [len(found) for found, *_ in results[:3]]
assert 1 == len(results[0][1])
"""


def test_in_parallel(session_at: Callable[..., None], write: Write, root: Path) -> None:
    """Several processes find the same, and the same damage."""
    for number in range(199):
        session_at(f"s{number}", number)
    os.utime(write("damaged.logs.jsonl", b"garbage"), (1, 1))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, root], capture_output=True, text=True, check=False
    )
    assert (0, "") == (done.returncode, done.stderr)

"""A search through all sessions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl_logging.reader.file_store import FileStore
from tracectrl_logging.reader.files import search as module
from tracectrl_logging.reader.files.lines import session_lines
from tracectrl_logging.reader.files.root import Listing
from tracectrl_logging.reader.files.search import search_all
from tracectrl_logging.reader.filters.search import Count, Hit, Query, Search
from tracectrl_logging.reader.filters.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tracectrl.files.listing import StoredSession
    from tracectrl_logging.reader.model import Line

    Write = Callable[..., Path]


def test_counting(write: Write, root: Path) -> None:
    """Where lines are only counted, none is kept; sessions without a match are left out."""
    write("b.logs.jsonl", b'{"message":"word"}', b'{"message":"word"}', b"{}")
    write("a.logs.jsonl", b'{"message":"a word"}')
    write("c.logs.jsonl", b'{"message":"none"}')
    search = Search(query=Query("word"), before=1, counting=True)
    stepped: list[int] = []
    found = list(search_all(search, Listing(root), print, step=stepped.append))
    assert [Count("a", 1), Count("b", 2)] == found
    assert 3 == sum(stepped)


def test_written_before(write: Write, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a large root files are left out that were written before the time that is asked for."""
    row = b'{"message":"word","timestamp":"%b"}'
    days = b"2025-01-01T00:00:00.000000Z", b"2025-01-02T00:00:00.000000Z"
    for sid, day, written in zip(
        ("early", "late"), days, (1_735_689_600, 1_735_776_000), strict=False
    ):
        os.utime(write(f"{sid}.logs.jsonl", row % day), (written, written))
    search = Search(query=Query("word"), selection=Selection(since=days[1].decode()))
    read: list[str] = []
    lines_of = session_lines

    def noted(several: Sequence[StoredSession], *args: Any) -> Iterator[Line]:
        read.extend(session.stem for session in several)
        return lines_of(several, *args)

    monkeypatch.setattr(module, "session_lines", noted)

    def found() -> list[str]:
        return [hit.sid for hit in search_all(search, Listing(root), print)]

    assert ["late"] == found()
    assert ["early", "late"] == read
    read.clear()
    monkeypatch.setattr(Listing, "size_bytes", lambda _: module._SMALL_BYTES + 1)
    assert ["late"] == found()
    assert ["late"] == read

    os.utime(write("early.logs.jsonl", row % days[1]), (1_735_689_600, 1_735_689_600))
    assert ["early", "late"] == found()


@pytest.mark.parametrize(
    ("line", "pattern"),
    [
        (b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[%s]}]}]}', "ERROR"),
        (b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[%s]}]}]}', "2026-02-03"),
        (b"%s", "2026-02-0[3]"),
        (b'{"level":"warn","msg":"x"}', "WARNING"),
        (b'{"level":"warn","msg":"x"}', "^WARNING$"),
        (b'{"timestamp":"2026-02-03T09:00:00.000000Z","level":"warn","message":"x"}', "warning"),
        (b'{"level":40,"msg":"x"}', "ERRO."),
    ],
)
def test_what_reads_otherwise_than_it_is_stored(
    line: bytes, pattern: str, write: Write, root: Path
) -> None:
    """A line is found by what it reads as, in all sessions and in one, and -v is the complement."""
    record = b'{"timeUnixNano":"1770109200000000000","severityNumber":17}'
    write("s.logs.jsonl", line % record if b"%" in line else line)
    for inverted, expected in ((False, 1), (True, 0)):
        query = Query(pattern, ignore_case=pattern.islower(), invert=inverted)
        search = Search(query=query, counting=True)
        in_all = search_all(search, Listing(root), print)
        in_one = FileStore(root).search(search, ["s"])
        for found in (in_all, in_one):
            assert expected == sum(it.lines for it in found if isinstance(it, Count))


PROGRAM = """
import sys
from tracectrl_logging.reader.files import workers
from tracectrl_logging.reader.filters.search import Hit, Query, Search
from tracectrl_logging.reader.files.search import search_all
from tracectrl_logging.reader.files.lines import session_lines
from tracectrl_logging.reader.files.root import Listing
workers.MUCH = 0
for options in ({"before": 1}, {"most": 1}, {}):
    for counting in (False, True):
        results = []
        for parallel in (False, True):
            damages = []
            search = Search(query=Query("word [0-9]"), counting=counting, **options)
            results.append([
                (it.sid, it.line.raw, it.is_match) if isinstance(it, Hit) else it
                for it in search_all(
                    search, Listing(sys.argv[1]), damages.append, parallel=parallel
                )
            ])
            assert 1 == len(damages), damages
        assert results[0] == results[1]
        assert len(results[0]) >= 100, results
"""


def test_in_parallel(write: Write, root: Path) -> None:
    """Several processes find the same, in the same order, and the same damage."""
    for number in range(300):
        rows = [{"message": "nothing"}, {"message": f"word {number}"}, {"message": "w\x1b"}]
        write(f"s{number}.logs.jsonl", *(json.dumps(row).encode() for row in rows[: number % 4]))
    write("damaged.logs.jsonl", b"garbage")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, root], capture_output=True, text=True, check=False
    )
    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.parametrize("word", ["word", "[w]ord", "w/ord"])
def test_left_out_or_not(word: str, write: Write, root: Path) -> None:
    """Leaving files out unread does not change what is found."""
    spelt = ["word", "w\\u006frd", "w\\/ord", "w/ord", "other"]
    for number, text in enumerate(spelt):
        write(f"s{number}.logs.jsonl", b'{"message":"%s"}' % text.encode())
    query = Query(word)
    found = list(search_all(Search(query=query), Listing(root), print))
    query.needle = None
    assert list(search_all(Search(query=query), Listing(root), print)) == found
    assert {"word": 2, "[w]ord": 2, "w/ord": 2}[word] == len(found)
    assert all(isinstance(hit, Hit) for hit in found)

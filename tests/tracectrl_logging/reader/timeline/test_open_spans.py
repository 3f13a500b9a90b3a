"""tracectrl_logging.reader.timeline.open_spans: of a span that was open, one line counts."""

from __future__ import annotations

import gzip
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.files.retention.compress import compress
from tracectrl.files.retention.prune import prune
from tracectrl_logging.reader import follow, open_store, query, read, sessions, tail
from tracectrl_logging.reader.filters.conditions import conditions
from tracectrl_logging.reader.filters.selection import Selection

if TYPE_CHECKING:
    from pathlib import Path

TIME = "2026-02-03T09:00:%02d.000000Z"


def opened(number: int, second: int = 0, **more: Any) -> dict[str, Any]:
    """Return the line of the open span *number*."""
    row: dict[str, Any] = {
        "name": f"span {number}",
        "kind": "INTERNAL",
        "session_id": "s",
        "trace_id": "1" * 32,
    }
    row |= {"span_id": f"{number:016x}", "trace_flags": "01", "start_time": TIME % second}
    row |= {"state": "open", "observed_time": TIME % (second + 1), "scope": "x", "attributes": {}}
    return {**row, "events": [], "links": [], "resource": {}, **more}


def ended(number: int, second: int = 0, **more: Any) -> dict[str, Any]:
    """Return the line of the end of the span *number*."""
    row = opened(number, second)
    del row["state"], row["observed_time"]
    row |= {"end_time": TIME % (second + 5), "duration_ns": 5 * 10**9, "status": "ERROR"}
    return {**row, "status_message": None, **more}


def void(number: int) -> dict[str, Any]:
    """Return the line that takes the open span *number* back."""
    return {**opened(number), "state": "void"}


def log(number: int, second: int) -> dict[str, Any]:
    """Return a log line in the span *number*."""
    row = {"timestamp": TIME % second, "level": "INFO", "logger": "a", "message": f"in {number}"}
    return {**row, "session_id": "s", "trace_id": "1" * 32, "span_id": f"{number:016x}"}


def write(path: Path, *rows: dict[str, Any]) -> None:
    """Write *rows* to the file at *path*, compressed where its name says so."""
    path.parent.mkdir(exist_ok=True)
    data = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def told(root: Path, sid: str = "s") -> list[tuple[str, str | None]]:
    """Return the names and states of the spans that a reader finds in a session."""
    lines = [line for line in read(sid, root) if line.kind == "span"]
    return [(line.row["name"], line.row.get("state")) for line in lines]


def counts(root: Path) -> dict[str, tuple[int, int]]:
    """Return how many spans each session has, and how many of them are open."""
    found = {it.session_id: (it.spans, it.open_spans) for it in sessions(root)}
    rows = query("SELECT session_id, spans, open_spans FROM sessions", root)
    assert found == {sid: (spans, still_open) for sid, spans, still_open in rows}
    return found


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ([], [opened(1), opened(2), ended(1)]),
        ([opened(1)], [opened(2), ended(1)]),
        ([opened(1), opened(2), ended(1)], []),
    ],
)
@pytest.mark.parametrize("name", ["s.spans.jsonl.1", "s.spans.jsonl.1.gz"])
def test_the_end_takes_the_place_of_the_open_line(
    root: Path, older: list[dict[str, Any]], newer: list[dict[str, Any]], name: str
) -> None:
    """Of an ended span the last line is told alone, in whichever files they are."""
    write(root / name, *older)
    write(root / "s.spans.jsonl", *newer)
    assert [("span 1", None), ("span 2", "open")] == told(root)
    assert {"s": (2, 1)} == counts(root)
    with open_store(root).tail(["s"], count=None) as every:
        assert ["span 1", "span 2"] == sorted(line.row["name"] for line in every.last())
    with open_store(root).tail(["s"], count=10) as ten:
        assert ["span 1", "span 2"] == sorted(line.row["name"] for line in ten.last())


def test_the_last_lines_are_as_many_as_asked_for(root: Path) -> None:
    """Open lines whose ends come later take no place among the last lines."""
    write(root / "s.spans.jsonl", *map(opened, range(1, 5)), *map(ended, range(1, 5)))
    with open_store(root).tail(["s"], count=3) as three:
        assert [None] * 3 == [line.row.get("state") for line in three.last()]


def test_a_span_that_has_not_ended_has_what_was_logged_in_it(root: Path) -> None:
    """An open span is told where it starts; sessions last until it was seen to be open."""
    write(root / "s.spans.jsonl", opened(1))
    write(root / "s.logs.jsonl", log(1, 0))
    assert ["span", "log"] == [line.kind for line in read("s", root)]
    (summary,) = sessions(root)
    assert (1, 1, 1, 0) == (
        summary.logs,
        summary.spans,
        summary.open_spans,
        summary.error_spans,
    )
    assert (TIME % 0, TIME % 1) == (summary.first_time, summary.last_time)


def test_a_line_that_takes_another_back_is_never_told(root: Path) -> None:
    """Neither it nor the open line counts; it is no span of its own either."""
    write(root / "s.spans.jsonl", opened(1), void(1), void(2), ended(3))
    assert [("span 3", None)] == told(root)
    assert {"s": (1, 0)} == counts(root)
    with open_store(root).tail(["s"], count=None) as every:
        assert ["span 3"] == [line.row["name"] for line in every.last()]


def test_an_open_line_in_the_file_of_many_ends_in_the_sessions_own(root: Path) -> None:
    """A session that got a file of its own between the two lines has one span."""
    write(root / "%overflow.spans.jsonl", opened(1), opened(2), opened(3, session_id="t"))
    write(root / "s.spans.jsonl", ended(1))
    assert [("span 1", None), ("span 2", "open")] == sorted(told(root))
    assert {"s": (2, 1), "%overflow": (1, 1)} == counts(root)


def test_conditions_are_on_the_line_that_counts(root: Path) -> None:
    """What the open line alone says is not found once the span has ended."""
    write(root / "s.spans.jsonl", opened(1), ended(1))
    assert [] == sessions(root, where=["state=open"])
    assert 1 == len(sessions(root, where=["status=ERROR"]))
    selection = Selection(where=conditions("state=open"))
    assert [] == list(open_store(root).read("s", selection))
    with open_store(root).tail(["s"], selection, count=None) as every:
        assert [] == list(every.last())


def test_a_follower_gets_both_lines(root: Path) -> None:
    """The open line comes when it is written, and the end as a row of its own; a cursor is behind each."""
    write(root / "s.spans.jsonl", opened(1))
    lines = follow("s", root=root, count=10, poll_s=0.01)
    assert "open" == next(lines).row["state"]
    cursor = lines.cursor
    with (root / "s.spans.jsonl").open("a") as file:
        file.write("".join(json.dumps(row) + "\n" for row in (ended(1), opened(2), void(2))))
    assert [("span 1", None), ("span 2", "open")] == [
        (line.row["name"], line.row.get("state")) for line in (next(lines), next(lines))
    ]
    lines.close()
    assert ["span 1"] == [next(follow("s", root=root, after=cursor)).row["name"]]


def test_a_span_that_ends_after_compressing_or_pruning_counts_once(root: Path) -> None:
    """The end stands for itself where the open line is packed, or gone."""
    for turn in (compress, prune):
        write(root / "s.spans.jsonl", opened(1))
        os.utime(root / "s.spans.jsonl", (0, 0))
        if turn is prune:
            assert 1 == prune(root, older_than_s=1).removed
        else:
            assert 1 == compress(root).compressed
        with (root / "s.spans.jsonl").open("a") as file:
            file.write(json.dumps(ended(1)) + "\n")
        assert [("span 1", None)] == told(root)
        assert {"s": (1, 0)} == counts(root)
        for path in root.iterdir():
            path.unlink()


def test_lines_without_ids_are_told_as_they_are(root: Path) -> None:
    """A span without an ID, or that says both states, is what it is: a span."""
    bare = opened(1)
    del bare["span_id"]
    write(root / "s.spans.jsonl", bare, bare, ended(2, state="open"), opened(3), opened(3))
    assert 4 == len(told(root))
    assert {"s": (4, 3)} == counts(root)
    assert [] == list(tail("s", root=root))

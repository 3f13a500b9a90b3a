"""Sessions of sessions: the tree, and the sums."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracectrl.session import session
from tracectrl_logging.reader import sessions
from tracectrl_logging.reader.filters.sessions import SessionQuery
from tracectrl_logging.reader.model import SessionSummary
from tracectrl_logging.reader.timeline.families import Families

if TYPE_CHECKING:
    import logging
    from pathlib import Path

    from opentelemetry import trace

NAMES = [f"s{number}" for number in range(8)]


def summary(sid: str, parent: str | None, **more: Any) -> SessionSummary:
    """Return a session of one log line at a time of its own."""
    time = f"2026-01-01T00:00:00.{sum(sid.encode()):06d}Z"
    return SessionSummary(sid, time, time, 1, 0, 0, (sid,), 0, None, parent=parent, **more)


def lying(rows: list[SessionSummary], **query: Any) -> list[tuple[str, int, int]]:
    """Return ID, depth and summed log lines of each row of the trees of *rows*."""
    families = Families(rows, SessionQuery(**query))
    return [(row.session_id, depth, row.logs) for row, depth in families]


def test_a_hundred_children_ten_deep(
    root: Path, logger: logging.Logger, file_tracer: trace.Tracer
) -> None:
    """Each stands below the one that began it, which counts what it did, too."""
    expected: list[tuple[str, int, int, int, int]] = []

    def begin(number: int, depth: int) -> None:
        with session(f"a{number}-{depth}", parent=True), file_tracer.start_as_current_span("work"):
            below = 11 - depth
            expected.append((f"a{number}-{depth}", depth, below, below, int(number == 7)))
            if depth == 10 and number == 7:
                logger.error("broken")
            else:
                logger.info("said")
            if depth < 10:
                begin(number, depth + 1)

    with session("top", user_id="u"):
        logger.info("begun")
        for number in range(10):
            begin(number, 1)

    found = [
        (row.session_id, depth, row.logs, row.spans, row.errors)
        for row, depth in Families(sessions(root), SessionQuery())
    ]
    assert [("top", 0, 101, 100, 1), *expected] == found
    (first,) = sessions(root, where=["user.id=u"], services=["api"], errors=True)
    assert ("a7-10", "a7-9") == (first.session_id, first.parent)


def test_order_and_limit() -> None:
    """Trees come in the order asked for, by what they are as a whole; children by their times."""
    rows = [
        summary("b", None),
        summary("c", "a")._replace(errors=3),
        summary("a", None),
        summary("ab", "a"),
        summary("lone", "gone"),
    ]
    assert [("a", 0, 3), ("c", 1, 1), ("ab", 1, 1)] == lying(rows, sort="errors", limit=1)
    lone = [("gone", 0, 1), ("lone", 1, 1)]
    assert [*lone, ("a", 0, 3), ("c", 1, 1), ("ab", 1, 1), ("b", 0, 1)] == lying(rows)


def test_sessions_without_lines(root: Path, logger: logging.Logger) -> None:
    """Those between a session and what it led to are there by what is said below them."""
    with session("top"):
        logger.info("begun")
        for part in "ab":
            with (
                session(part, parent=True),
                session(f"{part}-", parent=True),
                session(f"{part}-sub", parent=True, previous="x"),
            ):
                logger.info("said")

    rows = sessions(root)
    assert [("top", "a", 0), ("top", "b", 0)] == [
        (*it.ancestors, it.logs - 1) for it in reversed(rows[:2])
    ]
    expected = [("top", 0, 3)]
    for part in "ab":
        expected += [(part, 1, 1), (f"{part}-", 2, 1), (f"{part}-sub", 3, 1)]
    assert expected == lying(rows)


def test_sums() -> None:
    """Counts add up, times span all, costs are there where one is, services are those of all."""
    parent = summary("p", None)._replace(
        logs=2, input_tokens=5, first_message="begun", cost_usd=None
    )
    child = summary("q", "p")._replace(spans=3, error_spans=1, input_tokens=7, cost_usd=0.5)
    silent = SessionSummary("r", None, None, 0, 0, 0, (), None, None, parent="q")
    ((whole, _), _, _) = Families([child, silent, parent], SessionQuery())

    assert (3, 3, 1, 12, 0.5) == (
        whole.logs,
        whole.spans,
        whole.error_spans,
        whole.input_tokens,
        whole.cost_usd,
    )
    assert (parent.first_time, child.last_time) == (whole.first_time, whole.last_time)
    assert (("p", "q"), "begun", 1000) == (whole.services, whole.first_message, whole.duration_ns)


@pytest.mark.parametrize(
    ("parents", "rows"),
    [
        ({"a": "a"}, [("a", 0, 1)]),
        ({"a": "b", "b": "a"}, [("a", 0, 2), ("b", 1, 1)]),
        (
            {"c": "b", "b": "a", "a": "c", "d": "c"},
            [("a", 0, 4), ("b", 1, 3), ("c", 2, 2), ("d", 3, 1)],
        ),
    ],
)
def test_circles(parents: dict[str, str], rows: list[Any]) -> None:
    """Sessions that name each other are one tree, which the least of them begins."""
    assert rows == lying([summary(sid, parent) for sid, parent in parents.items()])


@given(st.dictionaries(st.sampled_from(NAMES), st.sampled_from([*NAMES, None, "gone"])))
def test_whatever_names_what(parents: dict[str, str | None]) -> None:
    """Each session is there once, below its parent or at the top, and nothing is counted twice."""
    rows = lying([summary(sid, parent) for sid, parent in parents.items()])

    there = {*parents, *filter(None, parents.values())}
    assert sorted(there) == sorted(sid for sid, _, _ in rows)
    assert len(parents) == sum(logs for _, depth, logs in rows if not depth)
    above: list[str] = []
    for sid, depth, _ in rows:
        del above[depth:]
        if depth:
            assert above[-1] == parents.get(sid)
        above.append(sid)


def test_a_chain_as_long_as_there_is_room() -> None:
    """Ten thousand sessions below each other, which end in a circle, neither hang nor run out of stack."""
    rows = [summary(f"s{number:05d}", f"s{(number + 1) % 10_000:05d}") for number in range(10_000)]
    found = lying(rows)

    assert [("s00000", 0, 10_000), ("s09999", 1, 9_999)] == found[:2]
    assert ("s00001", 9_999, 1) == found[-1]

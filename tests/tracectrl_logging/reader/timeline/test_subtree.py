"""One span with what is in it and below it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl_logging.reader import read
from tracectrl_logging.reader.timeline.subtree import AmbiguousSpanError, Subtree, UnknownSpanError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[..., Path]


def span(second: int, span_id: Any, parent: Any = None, trace_id: Any = "t") -> bytes:
    """Return a span line that starts at *second*."""
    time = f"2025-01-01T00:00:{second:02}.000000Z"
    ids = {"trace_id": trace_id, "span_id": span_id, "parent_span_id": parent}
    return json.dumps({"name": span_id, "start_time": time, **ids}).encode()


def log(message: str, span_id: Any = None, trace_id: Any = "t") -> bytes:
    """Return a log line in the span *span_id*."""
    return json.dumps({"message": message, "trace_id": trace_id, "span_id": span_id}).encode()


def held(root: Path, start: str, *sids: str) -> list[Any]:
    """Return what the subtree of the span *start* holds, by names and messages, sorted."""
    sessions = sids or ("s",)
    below = Subtree(lambda: (line for sid in sessions for line in read(sid, root)), start)
    rows = [line.row for sid in sessions for line in read(sid, root) if below.holds(line.row)]
    return sorted(str(row.get("message", row.get("name"))) for row in rows)


def test_subtree(write: Write, root: Path) -> None:
    """The span, its log lines and the spans below it belong to it; its parent and siblings do not."""
    write("s.logs.jsonl", log("in a", "a"), log("in b", "b"), log("in c", "c"), log("outside"))
    write("s.spans.jsonl", span(3, "c", "b"), span(2, "b", "a"), span(2, "b2", "a"), span(1, "a"))
    assert ["b", "c", "in b", "in c"] == held(root, "b")
    assert ["a", "b", "b2", "c", "in a", "in b", "in c"] == held(root, "a")


def test_clocks_that_differ(write: Write, root: Path) -> None:
    """A child that seems to start before its parent belongs to it all the same."""
    write(
        "s.spans.jsonl", *[span(50 - n, f"x{n}", f"x{n - 1}") for n in range(1, 50)], span(59, "x0")
    )
    assert 50 == len(held(root, "x0"))


def test_start_of_an_id(write: Write, root: Path) -> None:
    """The start of an ID is enough where it is of one span; a whole ID is always itself."""
    write("s.spans.jsonl", span(1, "abc"), span(1, "abcd"), span(1, "axy"))
    assert ["axy"] == held(root, "ax")
    assert ["abc"] == held(root, "abc")
    with pytest.raises(AmbiguousSpanError) as caught:
        held(root, "a")
    assert ("abc", "abcd", "axy") == caught.value.args
    with pytest.raises(UnknownSpanError):
        held(root, "b")


def test_span_that_is_not_stored(write: Write, root: Path) -> None:
    """What is in a span that is running still, and below it, is found."""
    write("s.logs.jsonl", log("in a", "a"))
    write("s.spans.jsonl", span(1, "b", "a"), span(1, "z"))
    assert ["b", "in a"] == held(root, "a")


def test_several_sessions(write: Write, root: Path) -> None:
    """A span has children in other sessions, too; spans of one ID in two traces are both meant."""
    write("s.spans.jsonl", span(1, "a"))
    write("r.spans.jsonl", span(2, "b", "a"), span(3, "c", "a", "other"))
    assert ["a", "b", "c"] == held(root, "a", "s", "r")


def test_strange_values(write: Write, root: Path) -> None:
    """IDs of other types are nobody's; a cycle has an end."""
    write("s.logs.jsonl", b'{"span_id":1}', log("in a", "a", None))
    write("s.spans.jsonl", span(1, "a", "b", None), span(1, "b", "a", None), span(1, 5, [1]))
    assert ["a", "b", "in a"] == held(root, "a")

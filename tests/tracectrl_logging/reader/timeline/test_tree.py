"""Lines nested under their spans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.session import session
from tracectrl_logging.reader import Line, nest, read, walk
from tracectrl_logging.reader.timeline.tree import with_context

if TYPE_CHECKING:
    import logging
    from pathlib import Path

    from opentelemetry import trace


def span(name: Any, parent: Any = None, trace_id: Any = "t") -> Line:
    """Return a span whose ID is *name*."""
    row = {"name": name, "trace_id": trace_id, "span_id": name, "parent_span_id": parent}
    return Line("span", row, b"{}", "", "file", 1)


def log(message: str, span_id: Any = None, trace_id: Any = "t") -> Line:
    """Return a log line inside the span *span_id*."""
    row = {"message": message, "trace_id": trace_id, "span_id": span_id}
    return Line("log", row, b"{}", "", "file", 1)


def outline(*lines: Line) -> list[str]:
    """Return the nested lines, a dot for each level."""
    return [
        "." * depth + str(line.row.get("message", line.row.get("name")))
        for depth, line in walk(nest(lines))
    ]


def test_real_files(root: Path, logger: logging.Logger, file_tracer: trace.Tracer) -> None:
    """Log lines are under the spans they were written in, spans under their parents."""
    with session("s"):
        logger.info("before")
        with file_tracer.start_as_current_span("outer"):
            logger.info("a")
            with file_tracer.start_as_current_span("inner"):
                logger.info("b")
            logger.info("c")
        logger.info("after")
    expected = ["before", "outer", ".a", ".inner", "..b", ".c", "after"]
    assert expected == outline(*read("s", root))


def test_missing_parent() -> None:
    """What belongs to a span that is in no file is a root."""
    assert ["a", ".x", "y"] == outline(span("a", parent="gone"), log("x", "a"), log("y", "gone"))


def test_child_before_parent() -> None:
    """A child whose clock is behind is under its parent all the same."""
    assert ["parent", ".x", ".child"] == outline(
        log("x", "parent"), span("child", "parent"), span("parent")
    )


def test_traces_apart() -> None:
    """The same span ID in another trace is another span."""
    assert ["a", "x"] == outline(span("a"), log("x", "a", trace_id="other"))


@pytest.mark.parametrize("strange", [1, None, ["a"], {"a": 1}])
def test_strange_ids(strange: Any) -> None:
    """IDs that are no text belong to nothing."""
    assert ["a", strange, "x"] == [
        line.row.get("message", line.row.get("name"))
        for _, line in walk(nest([span("a"), span(strange, strange), log("x", strange)]))
    ]


def test_twice() -> None:
    """A span that is stored twice is shown twice; the first has what belongs to it."""
    assert ["a", ".x", "a"] == outline(span("a"), span("a"), log("x", "a"))


def test_cycles() -> None:
    """Parents in a cycle lose no line: its first line is a root."""
    assert ["own", ".x"] == outline(span("own", "own"), log("x", "own"))
    assert [".tail", "..y"] == outline(
        span("tail", "a"), log("y", "tail"), span("a", "b"), span("b", "a")
    )[1:3]
    assert ["a", ".b", "..c"] == outline(span("a", "c"), span("b", "a"), span("c", "b"))


def test_deep_chain() -> None:
    """A chain of ten thousand spans is nested, in a cycle too."""
    chain = [span(str(number), str(number - 1)) for number in range(10_000)]
    assert list(range(10_000)) == [depth for depth, _ in walk(nest(chain))]
    ring = [span("0", "9999"), *chain[1:]]
    assert list(range(10_000)) == [depth for depth, _ in walk(nest(reversed(ring)))]


def test_context() -> None:
    """What is meant is kept together with the spans above it, in the order given."""
    lines = [span("a"), span("b", "a"), span("c", "a"), log("1", "b"), log("2", "c"), log("3")]
    kept = with_context(lines, lambda line: line.row.get("message") in {"1", "3"})
    assert ["a", ".b", "..1", "3"] == outline(*kept)
    assert [] == with_context(lines, lambda _: False)
    loop = [span("a", "b"), span("b", "a"), log("1", "b")]
    assert loop == with_context(loop, lambda line: line.kind == "log")

"""Lines nested under their spans: who called whom, and what was logged where.

A span whose parent is in no file is a root, and so is a log line outside any stored span: a caller
elsewhere, or one still running, is no reason to hide what it called. Nothing here recurses, so
chains of spans may be of any length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracectrl_logging.reader.timeline.open_spans import span_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tracectrl_logging.reader.model import Line
    from tracectrl_logging.reader.timeline.open_spans import SpanKey


class Node:
    """A line and, under a span, the lines that belong to it, in the order they were given."""

    __slots__ = ("children", "line")

    def __init__(self, line: Line) -> None:
        self.line = line
        self.children: list[Node] = []


def nest(lines: Iterable[Line]) -> list[Node]:
    """Return the roots of *lines*, the others below them; every line is there once.

    Where parents form a cycle, its first line is made a root.
    """
    nodes = [Node(line) for line in lines]
    spans: dict[SpanKey, Node] = {}
    for node in nodes:
        key = span_key(node.line.row)
        if key is not None and node.line.kind == "span":
            spans.setdefault(key, node)
    roots: list[Node] = []
    for node in nodes:
        parent = _parent(node, spans)
        (roots if parent is None else parent.children).append(node)
    if sum(1 for _ in walk(roots)) < len(nodes):
        roots = _without_cycles(nodes, roots, spans)
    return roots


def with_context(lines: Iterable[Line], is_meant: Callable[[Line], bool]) -> list[Line]:
    """Return those of *lines* that are meant and the spans above them, in the order given."""
    held = list(lines)
    spans: dict[SpanKey, Line] = {}
    for line in held:
        key = span_key(line.row)
        if key is not None and line.kind == "span":
            spans.setdefault(key, line)
    kept: set[int] = set()
    for line in held:
        here: Line | None = line if is_meant(line) else None
        while here is not None and id(here) not in kept:
            kept.add(id(here))
            key = _parent_key(here)
            here = None if key is None else spans.get(key)
    return [line for line in held if id(line) in kept]


def walk(roots: Iterable[Node]) -> Iterator[tuple[int, Line]]:
    """Yield every line below *roots* with its depth, a span before what belongs to it."""
    levels = [iter(roots)]
    while levels:
        node = next(levels[-1], None)
        if node is None:
            levels.pop()
            continue
        yield len(levels) - 1, node.line
        if node.children:
            levels.append(iter(node.children))


def _parent(node: Node, spans: dict[SpanKey, Node]) -> Node | None:
    key = _parent_key(node.line)
    return None if key is None else spans.get(key)


def _parent_key(line: Line) -> SpanKey | None:
    return span_key(line.row, "parent_span_id" if line.kind == "span" else "span_id")


def _without_cycles(nodes: list[Node], roots: list[Node], spans: dict[SpanKey, Node]) -> list[Node]:
    """Return the roots, with one more for each cycle; the order of *nodes* is kept."""
    place = {id(node): index for index, node in enumerate(nodes)}
    chosen = set(map(id, roots))
    reached = set(map(id, _below(roots)))
    for node in nodes:
        if id(node) in reached:
            continue
        cycle = _cycle_above(node, spans)
        first = min(cycle, key=lambda member: place[id(member)])
        parent = _parent(first, spans)
        if parent is not None:
            parent.children.remove(first)
        chosen.add(id(first))
        reached.update(map(id, _below([first])))
    return [node for node in nodes if id(node) in chosen]


def _below(roots: list[Node]) -> Iterator[Node]:
    waiting = list(roots)
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(node.children)


def _cycle_above(node: Node, spans: dict[SpanKey, Node]) -> list[Node]:
    """Return the members of the cycle that the chain of parents of *node* runs into."""
    chain: dict[int, Node] = {}
    here: Node | None = node
    while here is not None and id(here) not in chain:
        chain[id(here)] = here
        here = _parent(here, spans)
    members = list(chain.values())
    return members if here is None else members[list(chain).index(id(here)) :]

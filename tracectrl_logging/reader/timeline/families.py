"""Sessions of sessions: which of them began which, and what a session has done with all of its own.

What a session names as its parent may be anything: one that is not listed, itself, or one of those that
it began. Nothing here recurses.
"""

from __future__ import annotations

from itertools import islice, pairwise
from typing import TYPE_CHECKING

from tracectrl_logging.reader.model import COUNTS, SessionSummary
from tracectrl_logging.reader.timeline.tally import between

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final, TypeAlias

    from tracectrl_logging.reader.filters.sessions import SessionQuery

    Rows: TypeAlias = "Iterable[SessionSummary] | Families"

_MOST_SERVICES: Final = 100


class Families:
    """Listed sessions as trees, the children of each behind it, the earliest first.

    The numbers of a session are those of its children, too, at any depth. One that is not listed and
    that others name as theirs stands above them, with their numbers alone. Where sessions name each
    other, the one with the least ID begins the tree.

    Args:
        summaries: the sessions, which are gone through several times; those that are in a tree of
            several are held in memory.
        query: the order of the trees, and how many.
    """

    def __init__(self, summaries: Iterable[SessionSummary], query: SessionQuery) -> None:
        own: dict[str, str] = {}
        of_others: dict[str, str] = {}
        for it in summaries:
            if it.parent is not None:
                own[it.session_id] = it.parent
                of_others.update((low, high) for high, low in pairwise((*it.ancestors, it.parent)))
        named = {**of_others, **own}
        related = named.keys() | named.values()
        self._totals = {it.session_id: it for it in summaries if it.session_id in related}
        self._unlisted = sorted(related - self._totals.keys())
        self._totals |= {sid: unlisted(sid, of_others.get(sid)) for sid in self._unlisted}
        self._parents = {sid: it.parent for sid, it in self._totals.items() if it.parent}
        self._cut_circles()
        self._children: dict[str, list[str]] = {}
        for sid, parent in self._parents.items():
            self._children.setdefault(parent, []).append(sid)
        for siblings in self._children.values():
            siblings.sort(key=lambda sid: (self._totals[sid].first_time or "", sid))
        self._roots = query.in_order(self._trees(summaries))

    def __iter__(self) -> Iterator[tuple[SessionSummary, int]]:
        """Yield each session, summed up, and how deep it lies: 0 for one that begins a tree."""
        for root in self._roots:
            waiting = [(root.session_id, 0)]
            while waiting:
                sid, depth = waiting.pop()
                yield self._totals.get(sid, root), depth
                children = self._children.get(sid, ())
                waiting.extend((child, depth + 1) for child in reversed(children))

    def _cut_circles(self) -> None:
        """Let one session of each circle begin a tree."""
        walk_of: dict[str, str] = {}  # whose walk to its ancestors came by first
        for first in sorted(self._parents):
            sid: str | None = first
            while sid is not None and sid not in walk_of:
                walk_of[sid] = first
                sid = self._parents.get(sid)
            if sid is not None and walk_of[sid] == first:  # it came back to where it had been
                circle = [sid]
                while (parent := self._parents[circle[-1]]) != sid:
                    circle.append(parent)
                del self._parents[min(circle)]

    def _trees(self, summaries: Iterable[SessionSummary]) -> Iterator[SessionSummary]:
        """Sum all up; yield the sessions that begin a tree, of one or of several."""
        order = [sid for sid in self._totals if sid not in self._parents]
        for sid in order:  # which grows meanwhile: parents stand before their children
            order.extend(self._children.get(sid, ()))
        for sid in reversed(order):
            parent = self._parents.get(sid)
            if parent is not None:
                self._totals[parent] = _sum(self._totals[parent], self._totals[sid])
        for it in summaries:
            if it.session_id not in self._parents:
                yield self._totals.get(it.session_id, it)
        for sid in self._unlisted:
            if sid not in self._parents:
                yield self._totals[sid]


def unlisted(sid: str, parent: str | None) -> SessionSummary:
    """Return a session that has done nothing itself."""
    return SessionSummary(sid, None, None, 0, 0, 0, (), None, None, parent=parent)


def placed(rows: Rows) -> Iterator[tuple[SessionSummary, int | None]]:
    """Yield sessions with how deep they lie, which is ``None`` where they are no trees."""
    if isinstance(rows, Families):
        yield from rows
    else:
        for summary in rows:
            yield summary, None


def _sum(one: SessionSummary, other: SessionSummary) -> SessionSummary:
    """Return *one* with the numbers of *other* added."""
    first = min(filter(None, (one.first_time, other.first_time)), default=None)
    last = max(filter(None, (one.last_time, other.last_time)), default=None)
    costs = [it for it in (one.cost_usd, other.cost_usd) if it is not None]
    services = sorted({*one.services, *other.services})
    return one._replace(
        first_time=first,
        last_time=last,
        duration_ns=between(first, last),
        services=tuple(islice(services, _MOST_SERVICES)),
        cost_usd=sum(costs) if costs else None,
        **{name: getattr(one, name) + getattr(other, name) for name in COUNTS},
    )

"""Which sessions are meant, and in which order."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tracectrl_logging.reader.model import COUNTS
from tracectrl_logging.reader.timeline.spill import Spool

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final, TypeAlias

    from tracectrl_logging.reader.filters.conditions import Condition
    from tracectrl_logging.reader.model import SessionSummary

Sort: TypeAlias = Literal["last", "duration", "errors"]

SORTS: Final = ("last", "duration", "errors")
"""The orders that there are: the latest first, the longest, those with the most errors."""

FIGURES: Final = frozenset({"duration", "duration_ns", "cost_usd", "state", *COUNTS})
"""The keys of conditions that are on a session as a whole."""

_SECOND_NS: Final = 1_000_000_000
_NO_DIGITS: Final = str.maketrans("", "", "-T:.Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionQuery:
    """Which sessions are meant, in which order; with nothing given, all, the latest first."""

    since: str | None = None
    """Sessions that were going on at this moment or later, as a line's time."""
    until: str | None = None
    """Sessions that were going on at this moment or earlier."""
    errors: bool = False
    """Sessions with a log line at ERROR or above, or a span whose status is ERROR."""
    services: frozenset[str] = frozenset()
    """Sessions with a line of one of these services."""
    where: tuple[Condition, ...] = ()
    """Conditions that must all be met: by a line, log or span, each by one of its own, or, where
    the key is among :data:`FIGURES`, by the session as a whole."""
    sort: Sort = "last"
    """Order: the latest, the longest or those with the most errors first."""
    limit: int | None = None
    """How many to return at most."""

    def key(self, summary: SessionSummary) -> tuple[Any, ...]:
        """Return what sessions are sorted by: where two are alike the latest, then by their IDs."""
        last = -_number(summary.last_time)
        if self.sort == "errors":
            return -summary.errors - summary.error_spans, last, summary.session_id
        if self.sort == "duration":
            took = summary.duration_ns
            return 1 if took is None else -took, last, summary.session_id
        return last, summary.session_id

    def means(self, summary: SessionSummary) -> bool:
        """Tell whether all is met but the conditions on lines."""
        first, last = summary.first_time, summary.last_time
        if self.since is not None and (last is None or last < self.since):
            return False
        if self.until is not None and (first is None or first > self.until):
            return False
        if self.errors and not summary.errors and not summary.error_spans:
            return False
        if self.services and self.services.isdisjoint(summary.services):
            return False
        figures = [condition for condition in self.where if condition.key in FIGURES]
        if not figures:
            return True
        row = _figures(summary)
        return all(condition(row) for condition in figures)

    def on_lines(self) -> tuple[Condition, ...]:
        """Return the conditions that lines have to meet."""
        return tuple(condition for condition in self.where if condition.key not in FIGURES)

    def in_order(
        self, summaries: Iterable[SessionSummary]
    ) -> Spool[SessionSummary] | list[SessionSummary]:
        """Return *summaries* in order, up to the limit; many wait on disk."""
        if self.limit is None:
            return Spool(summaries, self.key)
        return heapq.nsmallest(self.limit, summaries, key=self.key)


def _figures(summary: SessionSummary) -> dict[str, Any]:
    took = summary.duration_ns
    figures: dict[str, Any] = {name: getattr(summary, name) for name in ("state", *COUNTS)}
    if summary.cost_usd is not None:
        figures["cost_usd"] = summary.cost_usd
    if took is not None:
        figures |= {"duration": took / _SECOND_NS, "duration_ns": took}
    return figures


def _number(time: str | None) -> int:
    """Return a number that is greater for a later *time*."""
    return 0 if time is None else int(time.translate(_NO_DIGITS))

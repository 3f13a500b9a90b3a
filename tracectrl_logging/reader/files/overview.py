"""Which sessions are meant, the most interesting first, without reading more than that takes.

A file's time of modification is no earlier than its last line, but for a tick of the kernel's clock
or what a file system rounds off, unless somebody has copied it or clocks differ. So where the latest
sessions are asked for, those are read that were written last, until no other can be among them.
Where a session that was read shows that these times are wrong, and under a small root anyway,
everything is read.
"""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

from tracectrl._json import timestamp_ns
from tracectrl_logging.reader.files.lines import flat_rows
from tracectrl_logging.reader.files.opening import close_all, open_chain
from tracectrl_logging.reader.files.root import id_of
from tracectrl_logging.reader.files.workers import spread
from tracectrl_logging.reader.model import Damage, SessionSummary
from tracectrl_logging.reader.timeline.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Final

    from tracectrl.files.listing import StoredSession
    from tracectrl.schema import Kind
    from tracectrl_logging.reader.files.root import Listing
    from tracectrl_logging.reader.files.workers import Step
    from tracectrl_logging.reader.filters.conditions import Condition
    from tracectrl_logging.reader.filters.sessions import SessionQuery
    from tracectrl_logging.reader.model import Report

_SMALL_SESSIONS: Final = 500
_SMALL_BYTES: Final = 16 * 1024 * 1024
_HEAD: Final = 256
_SECOND_NS: Final = 1_000_000_000
_TICK_NS: Final = 50_000_000
_ROUNDED_NS: Final = 2 * _SECOND_NS


class _Read(NamedTuple):
    """What came of reading one session."""

    summary: SessionSummary | None
    """``None`` where it is not meant."""
    late_ns: int
    """By how much its last line is later than its files' times, at least: 0 or one of the allowances."""


def overview(
    listing: Listing,
    query: SessionQuery,
    report: Report,
    *,
    step: Step | None = None,
    parallel: bool = False,
) -> Iterator[SessionSummary]:
    """Yield sessions of *listing* that *query* means, in no order.

    Where there is a limit they may be more than that; the right ones are among them.

    Args:
        listing: the sessions under a root; they are put in the order of their times.
        query: which are meant.
        report: called for each line or file that cannot be read.
        step: called with the number of sessions that have been read since the last call.
        parallel: processes may be forked to read many sessions.
    """
    sessions = listing.sessions
    sessions.sort(key=lambda session: session.last_write_ns, reverse=True)
    size_bytes = listing.size_bytes()
    is_small = len(sessions) <= _SMALL_SESSIONS and size_bytes <= _SMALL_BYTES
    bound = _Bound(query, is_trusted=not is_small)
    workers = listing.workers() if parallel else 1
    at = 0
    for result in _outcomes(listing, query, workers):
        if isinstance(result, Damage):
            report(result)
            continue
        at += 1
        if step is not None:
            step(1)
        bound.see(result)
        if result.summary is not None:
            yield result.summary
        if at < len(sessions) and bound.excludes(sessions[at]):
            return


class _Bound:
    """Tells when no session that was written earlier can be meant any more."""

    def __init__(self, query: SessionQuery, *, is_trusted: bool) -> None:
        self._is_trusted = is_trusted
        self._allowed_ns = _TICK_NS
        self._since = query.since or ""
        self._limit = query.limit if query.sort == "last" else None
        self._latest: list[str] = []

    def see(self, result: _Read) -> None:
        """Take note of a session that was read."""
        if result.late_ns:
            self._is_trusted = self._is_trusted and result.late_ns < _ROUNDED_NS
            self._allowed_ns = _ROUNDED_NS
        if self._limit is None or result.summary is None:
            return
        push = heapq.heappush if len(self._latest) < self._limit else heapq.heappushpop
        push(self._latest, result.summary.last_time or "")

    def excludes(self, session: StoredSession) -> bool:
        """Tell whether neither *session* nor one that was written before it can be meant."""
        if not self._is_trusted:
            return False
        least = self._since
        if self._limit is not None and len(self._latest) == self._limit:
            least = max(least, self._latest[0])
        return bool(least) and timestamp_ns(session.last_write_ns + self._allowed_ns) < least


def _outcomes(listing: Listing, query: SessionQuery, workers: int) -> Iterator[_Read | Damage]:
    """Yield what comes of reading each session, and the damage before it."""
    on_lines = query.on_lines()

    def read(session: StoredSession) -> Iterator[_Read | Damage]:
        damages: list[Damage] = []
        summary, is_met = tallied(session, damages.append, on_lines)
        yield from damages
        last = summary.last_time
        late_ns = 0
        for allowed_ns in (_TICK_NS, _ROUNDED_NS):
            if last is not None and last > timestamp_ns(session.last_write_ns + allowed_ns):
                late_ns = allowed_ns
        is_there = summary.logs or summary.spans or not session.is_gone()
        is_meant = is_met and is_there and query.means(summary)
        yield _Read(summary if is_meant else None, late_ns)

    # The first few often are enough.
    yield from itertools.chain.from_iterable(map(read, listing.sessions[:_HEAD]))
    yield from spread(read, listing.sessions[_HEAD:], workers=workers)


def tallied(
    found: StoredSession, report: Report, conditions: Sequence[Condition] = ()
) -> tuple[SessionSummary, bool]:
    """Count the lines of the session whose files are *found*.

    Returns:
        The session in numbers, and whether each of *conditions* is met by a line, log or span.
    """
    sid = id_of(found, report)
    tally = Tally()
    unmet = list(conditions)
    logs = _rows(found, "log", sid, report)
    spans = _rows(found, "span", sid, report)
    tally.add_logs(_tested(logs, unmet) if unmet else logs)
    tally.add_spans(_tested(spans, unmet) if unmet else spans)
    return tally.summary(sid), not unmet


def _tested(rows: Iterable[dict[str, Any]], unmet: list[Condition]) -> Iterator[dict[str, Any]]:
    """Yield *rows*; take those conditions out of *unmet* that one of them meets."""
    for row in rows:
        if unmet:
            unmet[:] = [condition for condition in unmet if not condition(row)]
        yield row


def _rows(found: StoredSession, kind: Kind, sid: str, report: Report) -> Iterator[dict[str, Any]]:
    files = open_chain(found, kind, report)
    try:
        for file in files:
            for _, _, row in flat_rows(file, kind, sid, report):
                yield row
    finally:
        close_all(files)

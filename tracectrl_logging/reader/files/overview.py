"""Which sessions are meant, the most interesting first, without reading more than that takes.

A file's time of modification is no earlier than its last line, but for a tick of the kernel's clock
or what a file system rounds off, unless somebody has copied it or clocks differ. So where the latest
sessions are asked for, those are read that were written last, until no other can be among them. Where
the first of them show that these times say nothing, the lines of the small files are looked through
for the latest time in them, which takes a fraction of reading them, and the order is that of these.
"""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

from tracectrl._json import timestamp_ns
from tracectrl.files.locks import is_held
from tracectrl.files.names import OVERFLOW_STEM, stem_of
from tracectrl.files.presence import any_present
from tracectrl.schema import UNKNOWN
from tracectrl_logging.reader.files.lines import flat_rows, session_of
from tracectrl_logging.reader.files.opening import close_all, open_chain
from tracectrl_logging.reader.files.root import id_of, session_in_list
from tracectrl_logging.reader.files.whole import latest_time, whole_rows
from tracectrl_logging.reader.files.workers import spread
from tracectrl_logging.reader.model import RUNNING, Damage, SessionSummary, unheard
from tracectrl_logging.reader.store import KINDS
from tracectrl_logging.reader.timeline.open_spans import Held
from tracectrl_logging.reader.timeline.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from typing import Final, TypeAlias

    from tracectrl.files.listing import StoredSession
    from tracectrl.schema import Kind
    from tracectrl_logging.reader.files.root import Listing
    from tracectrl_logging.reader.files.workers import Step
    from tracectrl_logging.reader.filters.conditions import Condition
    from tracectrl_logging.reader.filters.sessions import SessionQuery
    from tracectrl_logging.reader.model import Report

_SMALL_SESSIONS: Final = 5000
_SMALL_BYTES: Final = 16 * 1024 * 1024
_HEAD: Final = 256
_BATCH: Final = 64
_MOST_KNOWN: Final = 10_000
_TICK_NS: Final = 50_000_000
_ROUNDED_NS: Final = 2_000_000_000
_ANY_TIME: Final = "~"
"""Behind every time: the bound of a session whose lines have to be read for one."""


class Known(dict[Any, tuple[Any, list[Damage], SessionSummary, bool]]):
    """What came of reading the latest sessions: their files' state, damage, numbers, and whether they are meant."""

    def __init__(self) -> None:
        super().__init__()
        self.times: dict[str, tuple[int, int, str | None]] = {}
        """The latest time in the lines of small files, by their stem, behind their own time and size."""

    def __setitem__(self, session: Any, came: Any) -> None:
        """Keep what came of reading a session, in the place of the oldest where there are many."""
        if len(self) >= _MOST_KNOWN:
            del self[next(iter(self))]
        super().__setitem__(session, came)


class _Read(NamedTuple):
    """What came of reading one session."""

    summary: SessionSummary | None
    """``None`` where it is not meant."""
    off_ns: int = 0
    """By how much its last line is later than its files' times, at least: 0 or one of the allowances;
    negative where it is earlier by more than the greater one."""


def overview(
    listing: Listing,
    query: SessionQuery,
    report: Report,
    *,
    step: Step | None = None,
    parallel: bool = False,
    known: Known | None = None,
    at_once: bool = False,
) -> Iterator[SessionSummary]:
    """Yield sessions of *listing* that *query* means, in no order.

    Where there is a limit they may be more than that; the right ones are among them.

    Args:
        listing: the sessions under a root; they are put in the order of their times.
        query: which are meant.
        report: called for each line or file that cannot be read.
        step: called with the number of sessions that have been read since the last call.
        parallel: processes may be forked to read many sessions.
        known: what came of reading them before; sessions whose files are as they were are not read
            again.
        at_once: nothing but the first few by their files' times, which may be the wrong ones.
    """
    sessions = listing.sessions
    # Whose lines are in the file of many, too, is read at once: that file's time is not its own.
    shared = _in_shared(sessions, query, report)
    sessions.sort(key=lambda it: (it.stem in shared, it.last_write_ns), reverse=True)
    is_small = len(sessions) <= _SMALL_SESSIONS and listing.size_bytes() <= _SMALL_BYTES
    latest = _Latest(query, shared)
    are_left_out = latest.is_asked and not is_small
    read = _reader_of(query, known, shared, with_times=are_left_out)
    workers = listing.workers() if parallel else 1

    def told(
        results: Iterable[_Read | Damage], following: Iterable[str]
    ) -> Generator[SessionSummary, None, bool]:
        """Yield what is meant; *following* are the bounds of the next sessions; return whether to end."""
        bounds = iter(following)
        for result in results:
            if isinstance(result, Damage):
                report(result)
                continue
            if step is not None:
                step(1)
            latest.see(result)
            if result.summary is not None:
                yield result.summary
            if are_left_out and latest.is_before(next(bounds, _ANY_TIME)):
                return True
        return False

    # The first few often are enough.
    results = itertools.chain.from_iterable(map(read, sessions[:_HEAD]))
    if (yield from told(results, map(latest.bound, sessions[1:]))) or at_once:
        return
    rest = sessions[_HEAD:]
    bounds: Iterable[str] = map(latest.bound, rest[1:])
    if are_left_out and latest.are_times_wrong:
        found = spread(_bound_in_lines(shared, known), rest, workers=workers, batch=_BATCH)
        ranked = sorted(zip(found, rest, strict=True), key=lambda item: item[0], reverse=True)
        rest = [session for _, session in ranked]
        bounds = [bound for bound, _ in ranked[1:]]
    yield from told(spread(read, rest, workers=workers, batch=_BATCH), bounds)


class _Latest:
    """Tells when no session that is still to be read can be meant, where the latest ones are."""

    def __init__(self, query: SessionQuery, shared: _Shared) -> None:
        self._shared = shared
        self._allowed_ns = _TICK_NS
        self._since = query.since or ""
        self._limit = query.limit if query.sort == "last" else None
        self._latest: list[str] = []
        self._is_late = False
        self._early = self._seen = 0
        self.is_asked = bool(self._since) or self._limit is not None
        """Whether the query leaves sessions out by their last time."""

    @property
    def are_times_wrong(self) -> bool:
        """Whether the sessions that were read show that the files' times say nothing."""
        return self._is_late or self._early * 2 > self._seen

    def see(self, result: _Read) -> None:
        """Take note of a session that was read."""
        self._seen += 1
        if result.off_ns > 0:
            self._is_late = self._is_late or result.off_ns >= _ROUNDED_NS
            self._allowed_ns = _ROUNDED_NS
        elif result.off_ns:
            self._early += 1
        if self._limit is None or result.summary is None:
            return
        push = heapq.heappush if len(self._latest) < self._limit else heapq.heappushpop
        push(self._latest, result.summary.last_time or "")

    def bound(self, session: StoredSession) -> str:
        """Return a time that no line of *session* is later than, by its files' times."""
        if self._is_late or session.stem in self._shared:
            return _ANY_TIME
        return timestamp_ns(session.last_write_ns + self._allowed_ns)

    def is_before(self, bound: str) -> bool:
        """Tell whether no session can be meant whose last time is *bound* or earlier."""
        least = self._since
        if self._limit is not None and len(self._latest) == self._limit:
            least = max(least, self._latest[0])
        return bound < least


def last_time(session: StoredSession) -> str | None:
    """Return the latest time in the lines of *session*, ``None`` or ``""`` where none has one."""
    found = latest_time(session)
    return tallied(session, unheard, _Counted())[0].last_time if found is None else found


def _bound_in_lines(
    shared: _Shared, known: Known | None
) -> Callable[[StoredSession], Iterator[str]]:
    times = {} if known is None else known.times

    def bound(session: StoredSession) -> Iterator[str]:
        if session.stem in shared:
            yield _ANY_TIME
            return
        kept = times.get(session.stem)
        if kept is None or kept[:2] != (session.last_write_ns, session.size_bytes):
            kept = session.last_write_ns, session.size_bytes, latest_time(session)
            times[session.stem] = kept
        yield kept[2] or _ANY_TIME

    return bound


def _reader_of(
    query: SessionQuery, known: Known | None, shared: _Shared, *, with_times: bool
) -> Callable[[StoredSession], Iterator[_Read | Damage]]:
    """Return what yields what comes of reading a session, the damage first."""
    on_lines = query.on_lines()

    def read(session: StoredSession) -> Iterator[_Read | Damage]:
        state = session.last_write_ns, session.size_bytes, frozenset(session.suffixes)
        kept = None if session.stem in shared else known
        came = None if kept is None else kept.get((session.stem, on_lines))
        if came is None or came[0] != state or came[2].state == RUNNING:
            damages: list[Damage] = []
            counted = shared.get(session.stem) or _Counted(on_lines)
            came = state, damages, *tallied(session, damages.append, counted)
            if kept is not None:
                kept[session.stem, on_lines] = came
        _, told, summary, is_met = came
        yield from told
        is_there = summary.logs or summary.spans or not session.is_gone()
        is_meant = is_met and is_there and query.means(summary)
        off_ns = _off_ns(session, summary.last_time) if with_times else 0
        yield _Read(summary if is_meant else None, off_ns)

    return read


def _off_ns(session: StoredSession, last: str | None) -> int:
    written_ns = session.last_write_ns
    if last is None:
        return 0
    if last > timestamp_ns(written_ns + _TICK_NS):
        return _ROUNDED_NS if last > timestamp_ns(written_ns + _ROUNDED_NS) else _TICK_NS
    return -_ROUNDED_NS if last < timestamp_ns(written_ns - _ROUNDED_NS) else 0


class _Counted:
    """What has been counted of one session so far, and what no line of it has met."""

    def __init__(self, conditions: Iterable[Condition] = ()) -> None:
        self.unmet = list(conditions)
        self.is_held = False
        """Whether a process has one of the session's files open for writing."""
        self._tally = Tally()
        self._held: Held[dict[str, Any]] = Held()

    def add(self, kind: Kind, rows: Iterable[dict[str, Any]]) -> None:
        """Count lines of one *kind* as they are stored."""
        self._count(kind, self._held.sift(rows, _itself) if kind == "span" else rows)

    def look(self, fd: int) -> None:
        """Look whether a process has the file open as *fd* for writing."""
        self.is_held = self.is_held or is_held(fd)

    def summary(self, sid: str, root: str) -> SessionSummary:
        """Return the session *sid* under *root* in numbers, now that all lines have been counted."""
        self._count("span", self._held.rest())
        tally = self._tally
        state = tally.state(is_running=self.is_held or any_present(root, tally.owners))
        return tally.summary(sid, state)

    def _count(self, kind: Kind, rows: Iterable[dict[str, Any]]) -> None:
        self._tally.add(kind, _tested(rows, self.unmet) if self.unmet else rows)


_Shared: TypeAlias = "dict[str, _Counted]"
"""What is counted of the lines in the file of many sessions, by the stems of those listed."""


def _in_shared(sessions: Iterable[StoredSession], query: SessionQuery, report: Report) -> _Shared:
    """Count the lines in the file of many sessions, if it is among *sessions*, for each of these."""
    found = next((session for session in sessions if session.stem == OVERFLOW_STEM), None)
    if found is None:
        return {}
    stems = {session.stem for session in sessions}
    shared = {OVERFLOW_STEM: _Counted(query.on_lines())}
    for kind in KINDS:
        for row in _rows(found, kind, UNKNOWN, report, with_rest=bool(query.on_lines())):
            sid = session_in_list(session_of(row, UNKNOWN), stems)
            stem = sid if sid == OVERFLOW_STEM else stem_of(sid)
            shared.setdefault(stem, _Counted(query.on_lines())).add(kind, (row,))
    return shared


def tallied(found: StoredSession, report: Report, counted: _Counted) -> tuple[SessionSummary, bool]:
    """Count the lines of the session whose files are *found*, to what is *counted* of it already.

    Returns:
        The session in numbers, and whether all conditions are met by a line, log or span.
    """
    sid = id_of(found, report)
    for kind in KINDS if found.stem != OVERFLOW_STEM else ():
        rows: Iterable[dict[str, Any]] | None = whole_rows(found, kind, counted.look)
        if rows is None:
            with_rest = bool(counted.unmet)
            rows = _rows(found, kind, sid, report, with_rest=with_rest, look=counted.look)
        counted.add(kind, rows)
    return counted.summary(sid, found.root), not counted.unmet


def _itself(row: dict[str, Any]) -> dict[str, Any]:
    return row


def _tested(rows: Iterable[dict[str, Any]], unmet: list[Condition]) -> Iterator[dict[str, Any]]:
    """Yield *rows*; take those conditions out of *unmet* that one of them meets."""
    for row in rows:
        if unmet:
            unmet[:] = [condition for condition in unmet if not condition(row)]
        yield row


def _rows(
    found: StoredSession,
    kind: Kind,
    sid: str,
    report: Report,
    *,
    with_rest: bool,
    look: Callable[[int], object] | None = None,
) -> Iterator[dict[str, Any]]:
    files = open_chain(found, kind, report)
    try:
        for file in files:
            for _, _, row in flat_rows(file, kind, sid, report, with_rest=with_rest):
                yield row
        for file in files:
            if file.end is not None and look is not None:  # compressed files are not written
                look(file.stream.fileno())
    finally:
        close_all(files)

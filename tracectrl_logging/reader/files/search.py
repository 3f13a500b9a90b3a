"""A search through all sessions: those left out that cannot match, over all cores where allowed."""

from __future__ import annotations

import dataclasses
import heapq
import itertools
from collections import Counter
from typing import TYPE_CHECKING, TypeVar

from tracectrl._time import ns_of
from tracectrl.files.names import OVERFLOW_STEM
from tracectrl_logging.reader.files.lines import session_lines
from tracectrl_logging.reader.files.overview import last_time
from tracectrl_logging.reader.files.root import id_of
from tracectrl_logging.reader.files.sieve import Sieve
from tracectrl_logging.reader.files.workers import spread
from tracectrl_logging.reader.filters.search import Count, Hit, hits
from tracectrl_logging.reader.model import Damage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Final

    from tracectrl.files.listing import StoredSession
    from tracectrl_logging.reader.files.root import Listing
    from tracectrl_logging.reader.files.workers import Step
    from tracectrl_logging.reader.filters.search import Search, Wanted
    from tracectrl_logging.reader.model import Line, Report

R = TypeVar("R")

_ROUNDED_NS: Final = 2_000_000_000  # what file systems round a file's time off by
_SMALL_BYTES: Final = 16 * 1024 * 1024
_SAMPLE: Final = 256


def search_all(
    search: Search,
    listing: Listing,
    report: Report,
    *,
    step: Step | None = None,
    parallel: bool = False,
) -> Iterator[Hit | Count]:
    """Yield what *search* finds in the sessions of *listing*, by their IDs.

    Args:
        search: which lines are meant.
        listing: the sessions; they are put in the order of their IDs.
        report: called for each line or file that cannot be read and might have matched.
        step: called with the number of sessions that have been searched since the last call.
        parallel: processes may be forked to search much. The lines come without their rows then.
    """
    sessions = _candidates(search, listing)
    workers = listing.workers() if parallel else 1
    needle = search.query.needle
    sieve = None if needle is None else Sieve(listing, needle)

    def search_one(session: StoredSession) -> Iterator[Hit | Count | Damage]:
        if sieve is None or sieve.lets_through(session):
            damages: list[Damage] = []
            sid = id_of(session, damages.append)
            whose = None if sid == OVERFLOW_STEM else sid
            for result in search_session(search, (session,), whose, damages.append):
                yield from damages
                damages.clear()
                yield _bare(result) if workers > 1 and isinstance(result, Hit) else result
            yield from damages

    shared = [session for session in sessions if session.stem == OVERFLOW_STEM]
    own = [session for session in sessions if session.stem != OVERFLOW_STEM]
    in_shared = itertools.chain.from_iterable(map(search_one, shared))
    in_own = spread(search_one, own, workers=workers, step=step)
    found = _added_up(in_shared, in_own) if search.counting else itertools.chain(in_shared, in_own)
    for result in found:
        if isinstance(result, Damage):
            report(result)
        else:
            yield result


def _added_up(in_shared: Iterable[R], in_own: Iterable[R]) -> Iterator[R | Count]:
    """Yield the results from sessions' own files, with the counts from a shared one added."""
    counts: Counter[str] = Counter()
    for result in in_shared:
        if isinstance(result, Count):
            counts[result.sid] += result.lines
        else:
            yield result
    for result in in_own:
        if isinstance(result, Count):
            yield Count(result.sid, result.lines + counts.pop(result.sid, 0))
        else:
            yield result
    yield from (Count(sid, lines) for sid, lines in sorted(counts.items()))


def search_session(
    search: Search, several: Sequence[StoredSession], sid: str | None, report: Report
) -> Iterator[Hit | Count]:
    """Yield what *search* finds in the session *sid*, whose lines are in the files of *several*.

    ``None`` is for whatever is in the file of many sessions.
    """

    def lines_of(wanted: Wanted | None) -> Iterator[Line]:
        return session_lines(several, "log", sid, report, wanted)

    if sid is None or sid == OVERFLOW_STEM:
        every = dataclasses.replace(search, most=None)
        found = _by_line(hits(every, OVERFLOW_STEM, lines_of), search.most)
    else:
        found = hits(search, sid, lines_of)
    if not search.counting:
        yield from found
        return
    counts: Counter[str] = Counter()
    for hit in found:
        counts[hit.sid] += hit.is_match
    for own, count in sorted(counts.items()):
        yield Count(own, count)


def _by_line(found: Iterator[Hit], most: int | None) -> Iterator[Hit]:
    """Yield hits in a file of many sessions as their lines' own, of each session *most* at most."""
    counts: Counter[str] = Counter()
    for hit in found:
        sid = hit.line.session_id
        counts[sid] += hit.is_match
        if most is None or counts[sid] <= most:
            yield hit._replace(sid=sid)


def _candidates(search: Search, listing: Listing) -> list[StoredSession]:
    """Return the sessions of *listing* that may have lines in the time that is asked for, by ID.

    A file's time of modification is taken to be no earlier than its last line; not under a small
    root, where nothing is gained by it, nor where one of those left out that were written last shows
    that it is not so.
    """
    listing.sort_by_id()
    since = search.selection.since
    if since is None or not listing.with_times or listing.size_bytes() <= _SMALL_BYTES:
        return listing.sessions
    least_ns = (ns_of(since) or 0) - _ROUNDED_NS
    meant: list[StoredSession] = []
    others: list[StoredSession] = []
    for session in listing.sessions:
        (meant if session.last_write_ns >= least_ns else others).append(session)
    size_bytes = 0
    for session in heapq.nlargest(_SAMPLE, others, key=lambda session: session.last_write_ns):
        size_bytes += session.size_bytes
        if size_bytes > _SMALL_BYTES:
            break
        if (last_time(session) or "") >= since:
            return listing.sessions
    return meant


def _bare(hit: Hit) -> Hit:
    """Return *hit* without what its line says, which is quicker parsed than sent."""
    line = hit.line
    return hit._replace(line=line._replace(row={}))

"""A search through all sessions: those left out that cannot match, over all cores where allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tracectrl._json import timestamp_ns
from tracectrl_logging.reader.files.find import id_of
from tracectrl_logging.reader.files.sieve import Sieve
from tracectrl_logging.reader.files.workers import spread
from tracectrl_logging.reader.filters.search import Hit, hits
from tracectrl_logging.reader.model import Damage, Line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from tracectrl.files.stored import StoredSession
    from tracectrl_logging.reader.files.listing import SessionFiles
    from tracectrl_logging.reader.files.root import Stock
    from tracectrl_logging.reader.files.workers import Step
    from tracectrl_logging.reader.filters.search import Search
    from tracectrl_logging.reader.model import Report

_ROUNDED_NS: Final = 2_000_000_000  # what file systems round a file's time off by
_SMALL_BYTES: Final = 16 * 1024 * 1024


class Count(NamedTuple):
    """How many lines of a session match."""

    sid: str
    lines: int


def search_all(
    search: Search,
    stock: Stock,
    report: Report,
    *,
    counting: bool = False,
    step: Step | None = None,
    parallel: bool = False,
) -> Iterator[Hit | Count]:
    """Yield what *search* finds in the sessions of *stock*, by their IDs.

    Args:
        search: which lines are meant.
        stock: the sessions; they are put in the order of their IDs.
        report: called for each line or file that cannot be read and might have matched.
        counting: yield the number of matches of each session with one, and no lines.
        step: called with the number of sessions that have been searched since the last call.
        parallel: processes may be forked to search much. The lines come without their rows then.
    """
    sessions = _candidates(search, stock)
    workers = stock.workers() if parallel else 1
    needle = search.query.needle
    sieve = None if needle is None else Sieve(stock, needle)

    def search_one(session: StoredSession) -> Iterator[Hit | Count | Damage]:
        if sieve is None or sieve.lets_through(session):
            damages: list[Damage] = []
            found = stock.files(session)
            sid = id_of(found, damages.append)
            for result in search_session(search, found, sid, damages.append, counting=counting):
                yield from damages
                damages.clear()
                yield _bare(result) if workers > 1 and isinstance(result, Hit) else result
            yield from damages

    for result in spread(search_one, sessions, workers=workers, step=step):
        if isinstance(result, Damage):
            report(result)
        else:
            yield result


def search_session(
    search: Search, found: SessionFiles, sid: str, report: Report, *, counting: bool = False
) -> Iterator[Hit | Count]:
    """Yield what *search* finds in the session *sid*; with *counting* only how much, if anything."""
    if not counting:
        yield from hits(search, found, sid, report)
        return
    lines = sum(hit.is_match for hit in hits(search, found, sid, report))
    if lines:
        yield Count(sid, lines)


def _candidates(search: Search, stock: Stock) -> list[StoredSession]:
    """Return the sessions of *stock* that may have lines in the time that is asked for, by ID.

    A file's time of modification is taken to be no earlier than its last line; not under a small
    root, where nothing is gained by it.
    """
    stock.sort_by_id()
    since = search.selection.since
    if since is None or not stock.with_times or stock.size_bytes() <= _SMALL_BYTES:
        return stock.sessions
    return [it for it in stock.sessions if timestamp_ns(it.last_write_ns + _ROUNDED_NS) >= since]


def _bare(hit: Hit) -> Hit:
    """Return *hit* without what its line says, which is quicker parsed than sent."""
    line = hit.line
    return hit._replace(line=Line(line.kind, {}, line.raw, line.time, line.path, line.number))

"""Reading the files back: which sessions there are, and what happened in one.

    for line in read("a1b2c3d4-e5f6-7890-abcd-ef1234567890"):
        print(line.time, line.row.get("message", line.row.get("name")))

:func:`sessions` says which there are, :func:`grep` searches all of them.

Damaged lines never hide the others. Each is reported to *on_damage*, which is called with a
:class:`Damage`; without one it is a :class:`DamagedLineWarning`.

Names are loaded when they are first used: the command, which starts for each question, loads what
its answer needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tracectrl_logging.reader.files.follower import Follower
    from tracectrl_logging.reader.files.overview import Sort
    from tracectrl_logging.reader.files.tailing import follow, tail
    from tracectrl_logging.reader.filters.conditions import Condition
    from tracectrl_logging.reader.filters.selection import Selection
    from tracectrl_logging.reader.model import (
        Damage,
        DamagedLineWarning,
        Line,
        Report,
        SessionSummary,
        UnknownSessionError,
    )
    from tracectrl_logging.reader.sql import QueryError, Rows
    from tracectrl_logging.reader.timeline.tree import Node, nest, walk

__all__ = [
    "Damage",
    "DamagedLineWarning",
    "Follower",
    "Line",
    "Node",
    "QueryError",
    "Rows",
    "Selection",
    "SessionSummary",
    "UnknownSessionError",
    "follow",
    "grep",
    "nest",
    "query",
    "read",
    "sessions",
    "tail",
    "walk",
]


_MODULE_OF = {
    "Damage": "model",
    "DamagedLineWarning": "model",
    "Follower": "files.follower",
    "Line": "model",
    "Node": "timeline.tree",
    "QueryError": "sql",
    "Rows": "sql",
    "Selection": "filters.selection",
    "SessionSummary": "model",
    "UnknownSessionError": "model",
    "follow": "files.tailing",
    "nest": "timeline.tree",
    "tail": "files.tailing",
    "walk": "timeline.tree",
}


def sessions(
    root: str | os.PathLike[str] | None = None,
    *,
    since: str | None = None,
    until: str | None = None,
    errors: bool = False,
    services: Iterable[str] = (),
    where: Iterable[str | Condition] = (),
    sort: Sort = "last",
    limit: int | None = None,
    on_damage: Report | None = None,
) -> list[SessionSummary]:
    """Return the sessions under *root* that meet all of this, the one with the latest line first.

        sessions(since="-3h", errors=True, where=["tool=search"], limit=20)

    Args:
        root: the trace directory; ``None`` takes ``TRACECTRL_TRACE_DIR``, else ``./traces``.
        since: sessions with a line at this moment or later: ``-3h``, ``2026-11-21``, ``10:05``,
            whatever :func:`~tracectrl_logging.reader.filters.moments.moment` reads.
        until: sessions with a line at this moment or earlier.
        errors: sessions with a log line at ERROR or above.
        services: sessions with a line of one of these services; none for all.
        where: conditions such as ``level>=WARNING``. Each must be met by a line of the session, log
            or span, not all by the same one; ``duration``, ``logs``, ``spans`` and ``errors`` are
            those of the session.
        sort: ``"last"``, ``"duration"`` for the longest first, ``"errors"`` for the most first.
        limit: how many at most; the latest few are found without reading everything. It goes by
            the files' times of modification, as far as they agree with the lines.
        on_damage: called for each line or file that cannot be read.

    Raises:
        ValueError: a moment, a condition, the order or the limit cannot be understood.
        OSError: the root does not exist, is no directory or may not be listed.
    """
    # Reading one session, as most programs do, needs none of this.
    from tracectrl_logging.reader.files.overview import (  # noqa: PLC0415
        SORTS,
        SessionQuery,
        best,
        overview,
    )
    from tracectrl_logging.reader.files.root import Stock  # noqa: PLC0415
    from tracectrl_logging.reader.filters.conditions import conditions  # noqa: PLC0415
    from tracectrl_logging.reader.filters.moments import moment  # noqa: PLC0415

    if sort not in SORTS:
        msg = f"sort must be one of {', '.join(map(repr, SORTS))}, not {sort!r}"
        raise ValueError(msg)
    if limit is not None and limit < 1:
        msg = f"limit must be at least 1, or None for all sessions, not {limit!r}"
        raise ValueError(msg)
    query = SessionQuery(
        since=None if since is None else moment(since),
        until=None if until is None else moment(until),
        errors=errors,
        services=frozenset((services,) if isinstance(services, str) else services),
        where=conditions(where),
        sort=sort,
        limit=limit,
    )
    return best(overview(Stock(root), query, on_damage or _warn), query)


def read(
    sid: str,
    root: str | os.PathLike[str] | None = None,
    *,
    on_damage: Report | None = None,
) -> Iterator[Line]:
    """Return the log lines and spans of the session *sid* in time order, as an iterator.

    A span is where it starts, before the log lines of the same microsecond. Memory is bounded,
    whatever the size of the files; :func:`nest` puts lines under their spans.

    Args:
        sid: the session ID.
        root: the trace directory; ``None`` takes ``TRACECTRL_TRACE_DIR``, else ``./traces``.
        on_damage: called for each line or file that cannot be read.

    Raises:
        UnknownSessionError: no file under the root belongs to the session.
        OSError: the root does not exist, is no directory or may not be listed.
    """
    from tracectrl_logging.reader.files import find  # noqa: PLC0415 - loaded when it is first used
    from tracectrl_logging.reader.timeline.order import merged  # noqa: PLC0415 - as above

    return merged(find.find(sid, root), sid, on_damage or _warn)


def grep(
    pattern: str,
    root: str | os.PathLike[str] | None = None,
    *,
    literal: bool = False,
    ignore_case: bool = False,
    invert: bool = False,
    session_ids: Iterable[str] = (),
    since: str | None = None,
    until: str | None = None,
    level: str | None = None,
    logger: str | None = None,
    trace_id: str | None = None,
    where: Iterable[str | Condition] = (),
    on_damage: Report | None = None,
) -> Iterator[Line]:
    """Return the log lines that match *pattern* and meet all of this, as an iterator.

        grep("timeout", where=["tool=search", "duration>1s"])

    They come by the IDs of their sessions, and in each session in the order of writing. Files that
    cannot hold a match are read, but not line by line.

    Args:
        pattern: a regular expression as :mod:`re` reads it. It is searched in the line as it is
            stored, and in its message and its exception as they read, without JSON's escapes.
        root: the trace directory; ``None`` takes ``TRACECTRL_TRACE_DIR``, else ``./traces``.
        literal: *pattern* is plain text.
        ignore_case: letters match in either case.
        invert: the lines that do not match *pattern* are meant.
        session_ids: the sessions to search; none for all.
        since: lines at this moment or later, as :func:`sessions` reads it.
        until: lines at this moment or earlier.
        level: lines at this level or above.
        logger: lines of this logger, or of one below it.
        trace_id: lines of this trace; its beginning is enough.
        where: conditions such as ``level>=WARNING``; a line has to meet all of them.
        on_damage: called for each line or file that cannot be read and might have matched.

    Raises:
        re.error: *pattern* is no regular expression.
        ValueError: a moment, a condition or the level cannot be understood.
        UnknownSessionError: no file under the root belongs to one of *session_ids*.
        OSError: the root does not exist, is no directory or may not be listed.
    """
    # Reading one session, as most programs do, needs none of this.
    from tracectrl_logging.reader.files import find  # noqa: PLC0415
    from tracectrl_logging.reader.files.root import Stock  # noqa: PLC0415
    from tracectrl_logging.reader.files.search import search_all  # noqa: PLC0415
    from tracectrl_logging.reader.filters.conditions import conditions  # noqa: PLC0415
    from tracectrl_logging.reader.filters.moments import moment  # noqa: PLC0415
    from tracectrl_logging.reader.filters.search import Hit, Query, Search, hits  # noqa: PLC0415
    from tracectrl_logging.reader.filters.selection import Selection  # noqa: PLC0415

    search = Search(
        query=Query(pattern, literal=literal, ignore_case=ignore_case, invert=invert),
        selection=Selection(
            since=None if since is None else moment(since),
            until=None if until is None else moment(until),
            level=level,
            logger=logger,
            trace_id=trace_id,
            where=conditions(where),
        ),
    )
    search.wanted()  # raises where the level is not known
    report = on_damage or _warn
    ids = (session_ids,) if isinstance(session_ids, str) else session_ids
    meant = {sid: find.find(sid, root) for sid in sorted(ids)}
    if meant:
        found = (hits(search, files, sid, report) for sid, files in meant.items())
        return (hit.line for several in found for hit in several)
    stock = Stock(root, with_times=since is not None)
    return (hit.line for hit in search_all(search, stock, report) if isinstance(hit, Hit))


def query(
    sql: str,
    root: str | os.PathLike[str] | None = None,
    *,
    params: Sequence[Any] | Mapping[str, Any] | None = None,
    memory_mb: int = 100,
    on_damage: Report | None = None,
) -> Rows:
    """Run *sql* over the lines of all sessions, by DuckDB; return the rows, which are streamed.

    There are three views: ``logs``, ``spans`` and ``sessions``; the columns of the first two are the
    keys of the lines, with the extras of a log line as JSON in ``extras`` and the file's path in
    ``file``. The query sees nothing else, and can write nothing. Needs the extra ``sql``.

    Args:
        sql: one query.
        params: values for the parameters of *sql*: a list for ``?`` and ``$1``, a dictionary for
            ``$name``. Values that come from elsewhere belong here and not into the text.
        root: the trace directory; ``None`` takes ``TRACECTRL_TRACE_DIR``, else ``./traces``.
        memory_mb: what DuckDB may use, in MB; what needs more waits on disk, where it can.
        on_damage: called for each line or file that cannot be read, by the end of the rows.

    Raises:
        QueryError: the SQL is wrong or needs more memory; a
            :class:`ValueError`. Reading the rows may raise it, too.
        MissingExtraError: DuckDB is not installed.
        OSError: the root does not exist, is no directory or may not be listed.
    """
    from tracectrl_logging.reader import sql as database  # noqa: PLC0415 - an extra

    return database.query(
        sql, root, params=params, memory_mb=memory_mb, on_damage=on_damage or _warn
    )


def _warn(damage: Damage) -> None:
    import warnings  # noqa: PLC0415 - where there is damage

    from tracectrl_logging.reader.model import DamagedLineWarning  # noqa: PLC0415 - as above

    warnings.warn(str(damage), DamagedLineWarning, stacklevel=3)


if not TYPE_CHECKING:  # a type checker is to see what is there, not that anything may be

    def __getattr__(name: str) -> Any:
        """Load the module that *name* lives in (PEP 562)."""
        try:
            module = _MODULE_OF[name]
        except KeyError:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg) from None
        value = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

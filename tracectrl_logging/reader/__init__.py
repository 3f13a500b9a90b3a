"""Reading the files back: which sessions there are, and what happened in one.

    for line in read("a1b2c3d4-e5f6-7890-abcd-ef1234567890"):
        print(line.time, line.row.get("message", line.row.get("name")))

:func:`sessions` says which there are, :func:`grep` searches all of them. Each of these functions asks
a store of :func:`open_store`, which answers the same questions wherever sessions lie.

Damaged lines never hide the others. Each is reported to *on_damage*, which is called with a
:class:`Damage`; without one it is a :class:`DamagedLineWarning`.

Names are loaded when they are first used: the command, which starts for each question, loads what
its answer needs.
The module is long, for it is all that is public here, each function with what goes in and comes out.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tracectrl.files.names import is_address, root_dir

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from tracectrl_logging.reader.filters.conditions import Condition
    from tracectrl_logging.reader.filters.selection import Selection
    from tracectrl_logging.reader.filters.sessions import Sort
    from tracectrl_logging.reader.follower import Follower, Following
    from tracectrl_logging.reader.model import (
        Damage,
        DamagedLineWarning,
        InvalidCursorError,
        Line,
        Report,
        SessionSummary,
        StoreError,
        StoreUnavailableError,
        UnknownSessionError,
        UnsupportedError,
    )
    from tracectrl_logging.reader.sql import QueryError, Rows
    from tracectrl_logging.reader.store import OnProgress, Store, Tail
    from tracectrl_logging.reader.timeline.tree import Node, nest, walk

__all__ = [
    "Damage",
    "DamagedLineWarning",
    "Follower",
    "Following",
    "InvalidCursorError",
    "Line",
    "Node",
    "QueryError",
    "Rows",
    "Selection",
    "SessionSummary",
    "Store",
    "StoreError",
    "StoreUnavailableError",
    "Tail",
    "UnknownSessionError",
    "UnsupportedError",
    "follow",
    "grep",
    "nest",
    "open_store",
    "query",
    "read",
    "sessions",
    "tail",
    "walk",
]


STORE_ENV = "TRACECTRL_STORE"
"""The environment variable that names the store to read from, where no argument does."""

_MODULE_OF = {
    "Damage": "model",
    "DamagedLineWarning": "model",
    "Follower": "follower",
    "Following": "follower",
    "InvalidCursorError": "model",
    "Line": "model",
    "Node": "timeline.tree",
    "QueryError": "sql",
    "Rows": "sql",
    "Selection": "filters.selection",
    "SessionSummary": "model",
    "Store": "store",
    "StoreError": "model",
    "StoreUnavailableError": "model",
    "Tail": "store",
    "UnknownSessionError": "model",
    "UnsupportedError": "model",
    "nest": "timeline.tree",
    "walk": "timeline.tree",
}


def open_store(
    root: str | os.PathLike[str] | None = None,
    *,
    on_damage: Report | None = None,
    on_progress: OnProgress | None = None,
    parallel: bool = False,
) -> Store:
    """Return the store at *root*.

    Args:
        root: a trace directory, or the URL of a ClickHouse database, ``clickhouse://user@host/otel`` or
            ``clickhouses://`` for TLS; ``None`` takes ``TRACECTRL_STORE``, which is such a URL, else
            ``TRACECTRL_TRACE_DIR``, else ``./traces``.
        on_damage: called with a :class:`~tracectrl_logging.reader.model.Damage` for each line or
            file that cannot be read; without it, that is a
            :class:`~tracectrl_logging.reader.model.DamagedLineWarning`.
        on_progress: called with how many sessions have been read since the last call, and with how
            many there are, where that is known.
        parallel: processes may be forked for what takes long.

    Raises:
        ValueError: *root* is empty, or no URL of a store.
        MissingExtraError: the store's client is not installed.
    """
    place = place_of(root)
    if is_address(place):
        from tracectrl_logging.reader.clickhouse.store import ClickHouseStore  # noqa: PLC0415 - as below

        return ClickHouseStore(place, on_damage=on_damage, on_progress=on_progress)
    from tracectrl_logging.reader.file_store import FileStore  # noqa: PLC0415 - the one asked for

    return FileStore(place, on_damage=on_damage, on_progress=on_progress, parallel=parallel)


def place_of(root: str | os.PathLike[str] | None) -> str:
    """Return where *root*, as :func:`open_store` takes it, is now: a directory, or a URL, which may hold a password.

    Raises:
        ValueError: *root* is empty.
    """
    if root is None:
        root = os.environ.get(STORE_ENV) or None
    return str(root) if is_address(root) else root_dir(root)


def sessions(
    root: str | os.PathLike[str] | None = None,
    *,
    since: str | datetime | None = None,
    until: str | datetime | None = None,
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
            whatever :func:`~tracectrl_logging.reader.filters.moments.moment` reads, or a datetime;
            one without a time zone is in UTC.
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
    from tracectrl_logging.reader.filters.conditions import conditions  # noqa: PLC0415
    from tracectrl_logging.reader.filters.moments import moment  # noqa: PLC0415
    from tracectrl_logging.reader.filters.sessions import SORTS, SessionQuery  # noqa: PLC0415

    if sort not in SORTS:
        msg = f"sort must be one of {', '.join(map(repr, SORTS))}, got {sort!r}"
        raise ValueError(msg)
    if limit is not None and limit < 1:
        msg = f"limit must be at least 1, or None for all sessions, got {limit!r}"
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
    return list(open_store(root, on_damage=on_damage).sessions(query))


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
    return open_store(root, on_damage=on_damage).read(sid)


def grep(
    pattern: str,
    root: str | os.PathLike[str] | None = None,
    *,
    literal: bool = False,
    ignore_case: bool = False,
    invert: bool = False,
    session_ids: Iterable[str] = (),
    since: str | datetime | None = None,
    until: str | datetime | None = None,
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
            stored, and in each of its texts as it reads, without JSON's escapes.
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
    from tracectrl_logging.reader.filters.conditions import conditions  # noqa: PLC0415
    from tracectrl_logging.reader.filters.moments import moment  # noqa: PLC0415
    from tracectrl_logging.reader.filters.search import Hit, Query, Search  # noqa: PLC0415
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
    sids = (session_ids,) if isinstance(session_ids, str) else tuple(session_ids)
    found = open_store(root, on_damage=on_damage).search(search, sids)
    return (hit.line for hit in found if isinstance(hit, Hit))


def tail(
    *sids: str,
    root: str | os.PathLike[str] | None = None,
    count: int | None = 10,
    selection: Selection | None = None,
    on_damage: Report | None = None,
) -> Iterator[Line]:
    """Return the last log lines of sessions, in time order, as an iterator.

    Files are read from their ends backwards, those that were written last first; so
    :attr:`Line.number` is 0. Of more than 2,000 files, those are left out whose time says that they
    have nothing to add.

    Args:
        sids: the session IDs; none for all sessions.
        root: the trace directory; ``None`` takes ``TRACECTRL_TRACE_DIR``, else ``./traces``.
        count: how many lines, over all the sessions; ``None`` for all that *selection* means.
        selection: which lines are meant; ``None`` for all.
        on_damage: called for each line or file that cannot be read.

    Raises:
        UnknownSessionError: no file under the root belongs to one of the sessions.
        OSError: the root does not exist, is no directory or may not be listed.
        ValueError: *count* is negative, or the selection names a level that is not known.
    """
    from tracectrl_logging.reader.model import UnknownSessionError  # noqa: PLC0415 - this alone

    store = open_store(root, on_damage=on_damage)
    next(store.ids(limit=1), None)  # raises where the root cannot be read
    for sid in sids:
        if next(store.ids(sid, limit=1), None) != sid:
            raise UnknownSessionError(sid)
    with store.tail(sids, _meant(selection), kinds=("log",), count=count, complete=False) as end:
        return end.last()


def follow(
    *sids: str,
    root: str | os.PathLike[str] | None = None,
    count: int | None = 0,
    selection: Selection | None = None,
    after: str | None = None,
    poll_s: float = 0.1,
    on_damage: Report | None = None,
) -> Following:
    """Return the last *count* lines of sessions, then what is written from now on: a :class:`Following`.

    That is an iterator that waits for what comes and never ends. It gives log lines and spans in the
    order of time, a span where it ends, and before that where it is seen to be open, each once,
    whatever happens to the names of the files meanwhile (rotation, copies, compression, removal).
    Sessions and a root that do not exist yet are waited for. Its :attr:`~Following.cursor` says where it stands::

        lines = follow(after=cursor)
        for line in lines:
            ...
            cursor = lines.cursor

    Args:
        sids: the session IDs; none for all sessions, also those that begin later.
        root: the trace directory; ``None`` takes ``TRACECTRL_TRACE_DIR``, else ``./traces``.
        count: how many lines of what was before, over all the sessions; ``None`` for all.
        selection: which lines are meant; ``None`` for all.
        after: a cursor to go on from instead: all that came after it, however long ago that is.
        poll_s: how many seconds to wait before looking again where nothing has come.
        on_damage: called for each line or file that cannot be read.

    Raises:
        InvalidCursorError: *after* is no cursor, or lines that came after it may be gone.
        OSError: the root is no directory or may not be listed.
        ValueError: as :func:`tail` says.
    """
    from tracectrl_logging.reader.follower import Following  # noqa: PLC0415 - this alone

    tail = open_store(root, on_damage=on_damage).tail(
        sids, _meant(selection), count=count, after=after
    )
    return Following(tail, poll_s)


def query(
    sql: str,
    root: str | os.PathLike[str] | None = None,
    *,
    params: Sequence[Any] | Mapping[str, Any] | None = None,
    memory_mb: int = 100,
    timeout_s: float | None = None,
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
        timeout_s: how many seconds it may take, the reading of the rows included; ``None`` for any.
        on_damage: called for each line or file that cannot be read, by the end of the rows.

    Raises:
        QueryError: the SQL is wrong or needs more memory; a
            :class:`ValueError`. Reading the rows may raise it, too.
        MissingExtraError: DuckDB is not installed.
        OSError: the root does not exist, is no directory or may not be listed.
    """
    store = open_store(root, on_damage=on_damage)
    return store.query(sql, params=params, memory_mb=memory_mb, timeout_s=timeout_s)


def _meant(selection: Selection | None) -> Selection:
    from tracectrl_logging.reader.filters.selection import ALL  # noqa: PLC0415 - where lines are

    return ALL if selection is None else selection


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

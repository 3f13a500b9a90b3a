"""Reading the files back: which sessions there are, and what happened in one.

    for line in read("a1b2c3d4-e5f6-7890-abcd-ef1234567890"):
        print(line.time, line.row.get("message", line.row.get("name")))

Damaged lines never hide the others. Each is reported to *on_damage*, which is called with a
:class:`Damage`; without one it is a :class:`DamagedLineWarning`.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from tracectrl_logging.reader import find
from tracectrl_logging.reader.merge import merged
from tracectrl_logging.reader.records import (
    Damage,
    DamagedLineWarning,
    Line,
    SessionSummary,
    UnknownSessionError,
)
from tracectrl_logging.reader.summary import summarize
from tracectrl_logging.reader.timeline import Node, nest, walk

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from tracectrl_logging.reader.records import Report
    from tracectrl_logging.reader.sql import Rows

__all__ = [
    "Damage",
    "DamagedLineWarning",
    "Line",
    "Node",
    "SessionSummary",
    "UnknownSessionError",
    "nest",
    "query",
    "read",
    "sessions",
    "walk",
]


def sessions(
    root: str | os.PathLike[str] | None = None, *, on_damage: Report | None = None
) -> list[SessionSummary]:
    """Return every session under *root*, the one with the latest line first.

    Args:
        root: the trace directory; ``None`` takes ``TRACECTRL_TRACE_DIR``, else ``./traces``.
        on_damage: called for each line or file that cannot be read.

    Raises:
        OSError: the root does not exist, is no directory or may not be listed.
    """
    report = on_damage or _warn
    summaries = [
        summary
        for found in find.find_all(root)
        if (summary := summarize(found, report)).logs or summary.spans or not found.is_gone()
    ]
    summaries.sort(key=lambda summary: summary.session_id)
    summaries.sort(key=lambda summary: summary.last_time or "", reverse=True)
    return summaries


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
    return merged(find.find(sid, root), sid, on_damage or _warn)


def query(
    sql: str,
    root: str | os.PathLike[str] | None = None,
    *,
    memory_mb: int = 100,
    on_damage: Report | None = None,
) -> Rows:
    """Run *sql* over the lines of all sessions, by DuckDB; return the rows, which are streamed.

    There are three views: ``logs``, ``spans`` and ``sessions``; the columns of the first two are the
    keys of the lines, with the extras of a log line as JSON in ``extras`` and the file's path in
    ``file``. The query sees nothing else, and can write nothing. Needs the extra ``sql``.

    Args:
        sql: one query.
        root: the trace directory; ``None`` takes ``TRACECTRL_TRACE_DIR``, else ``./traces``.
        memory_mb: what DuckDB may use, in MB; what needs more waits on disk, where it can.
        on_damage: called for each line or file that cannot be read, by the end of the rows.

    Raises:
        tracectrl_logging.reader.sql.QueryError: the SQL is wrong or needs more memory; a
            :class:`ValueError`. Reading the rows may raise it, too.
        MissingExtraError: DuckDB is not installed.
        OSError: the root does not exist, is no directory or may not be listed.
    """
    from tracectrl_logging.reader import sql as database  # noqa: PLC0415 - an extra

    return database.query(sql, root, memory_mb=memory_mb, on_damage=on_damage or _warn)


def _warn(damage: Damage) -> None:
    warnings.warn(str(damage), DamagedLineWarning, stacklevel=3)

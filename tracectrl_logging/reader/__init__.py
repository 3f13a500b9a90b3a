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
from tracectrl_logging.reader.timeline import Node, nest, walk

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    from tracectrl_logging.reader.conditions import Condition
    from tracectrl_logging.reader.overview import Sort
    from tracectrl_logging.reader.records import Report

__all__ = [
    "Damage",
    "DamagedLineWarning",
    "Line",
    "Node",
    "SessionSummary",
    "UnknownSessionError",
    "nest",
    "read",
    "sessions",
    "walk",
]


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
            whatever :func:`~tracectrl_logging.reader.times.moment` reads.
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
    from tracectrl_logging.reader.conditions import conditions  # noqa: PLC0415
    from tracectrl_logging.reader.overview import (  # noqa: PLC0415
        SORTS,
        SessionQuery,
        best,
        overview,
    )
    from tracectrl_logging.reader.stock import Stock  # noqa: PLC0415
    from tracectrl_logging.reader.times import moment  # noqa: PLC0415

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
    return merged(find.find(sid, root), sid, on_damage or _warn)


def _warn(damage: Damage) -> None:
    warnings.warn(str(damage), DamagedLineWarning, stacklevel=3)

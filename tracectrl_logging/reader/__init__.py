"""Reading the files back: which sessions there are, and what happened in one.

    for line in read("a1b2c3d4-e5f6-7890-abcd-ef1234567890"):
        print(line.time, line.row.get("message", line.row.get("name")))

Damaged lines never hide the others. Each is reported to *on_damage*, which is called with a
:class:`Damage`; without one it is a :class:`DamagedLineWarning`.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

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

    from tracectrl_logging.reader.follower import Follower
    from tracectrl_logging.reader.records import Report
    from tracectrl_logging.reader.tailing import follow, tail

_LATER = {"Follower": "follower", "follow": "tailing", "tail": "tailing"}

__all__ = [
    "Damage",
    "DamagedLineWarning",
    "Follower",
    "Line",
    "Node",
    "SessionSummary",
    "UnknownSessionError",
    "follow",
    "nest",
    "read",
    "sessions",
    "tail",
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


def __getattr__(name: str) -> Any:
    """Import what not every reader needs when it is asked for."""
    if name not in _LATER:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module  # noqa: PLC0415 - where it is asked for

    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)


def _warn(damage: Damage) -> None:
    warnings.warn(str(damage), DamagedLineWarning, stacklevel=3)

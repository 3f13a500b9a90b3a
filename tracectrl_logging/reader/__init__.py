"""Reading the files back: which sessions there are, and what happened in one.

    for line in read("a1b2c3d4-e5f6-7890-abcd-ef1234567890"):
        print(line.time, line.row.get("message", line.row.get("name")))

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
    from collections.abc import Iterator

    from tracectrl_logging.reader.records import (
        Damage,
        DamagedLineWarning,
        Line,
        Report,
        SessionSummary,
        UnknownSessionError,
    )
    from tracectrl_logging.reader.timeline import Node, nest, walk

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


_MODULE_OF = {
    "Damage": "records",
    "DamagedLineWarning": "records",
    "Line": "records",
    "Node": "timeline",
    "SessionSummary": "records",
    "UnknownSessionError": "records",
    "nest": "timeline",
    "walk": "timeline",
}


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
    from tracectrl_logging.reader import find  # noqa: PLC0415 - loaded when it is first used
    from tracectrl_logging.reader.summary import summarize  # noqa: PLC0415 - as above

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
    from tracectrl_logging.reader import find  # noqa: PLC0415 - loaded when it is first used
    from tracectrl_logging.reader.merge import merged  # noqa: PLC0415 - as above

    return merged(find.find(sid, root), sid, on_damage or _warn)


def _warn(damage: Damage) -> None:
    import warnings  # noqa: PLC0415 - where there is damage

    from tracectrl_logging.reader.records import DamagedLineWarning  # noqa: PLC0415 - as above

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

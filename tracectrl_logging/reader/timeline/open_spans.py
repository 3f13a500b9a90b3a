"""Spans that are open: their lines, and what takes the place of these.

A span that is open for a while has a line that says so, and one more when it ends. Of both only the
last counts, wherever lines are read. The open one comes first, so it is held back: as many lines as
spans were open at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tracectrl._time import time_of
from tracectrl.schema import OBSERVED_KEY, OPEN, STATE_KEY, VOID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Final, TypeAlias

    from tracectrl.schema import Kind

    SpanKey: TypeAlias = tuple[str | None, str]

T = TypeVar("T")

_STATES: Final = (OPEN, VOID)


class Held(Generic[T]):
    """Lines of open spans that are held back, until the span's last line comes."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str | None, SpanKey], T] = {}

    def passes(self, row: Mapping[str, Any], line: T) -> bool:
        """Tell whether *line*, which says *row*, is to be passed on; where not, it may be held back."""
        state = row.get(STATE_KEY)
        if state is None and not self._lines:
            return True
        key = _key(row)
        if key is None:
            return True
        if not is_unsettled(row):
            self._lines.pop(key, None)
            return True
        if state == OPEN:
            self._lines.setdefault(key, line)
        else:
            self._lines.pop(key, None)
        return False

    def sift(self, lines: Iterable[T], row_of: Callable[[T], Mapping[str, Any]]) -> Iterator[T]:
        """Yield those of *lines* that are to be passed on; *row_of* returns what one says."""
        for line in lines:
            if self.passes(row_of(line), line):
                yield line
            del line  # it may be long, and so may the next

    def forget(self, row: Mapping[str, Any]) -> None:
        """Let go of the line of the span that the line *row* is of, too."""
        if self._lines and (key := _key(row)) is not None:
            self._lines.pop(key, None)

    def rest(self) -> list[T]:
        """Return, and let go of, the lines of spans that have not ended."""
        lines = list(self._lines.values())
        self._lines.clear()
        return lines


def settled(lines: Iterable[T], row_of: Callable[[T], Mapping[str, Any]]) -> Iterator[T]:
    """Yield *lines* of spans in their order; those of spans that have not ended come last.

    *row_of* returns what a line says.
    """
    held: Held[T] = Held()
    yield from held.sift(lines, row_of)
    yield from held.rest()


def is_unsettled(row: Mapping[str, Any]) -> bool:
    """Tell whether *row* is not the line of a span's end: of an open one, or what takes such a line back."""
    return row.get(STATE_KEY) in _STATES and "end_time" not in row


def is_open(row: Mapping[str, Any]) -> bool:
    """Tell whether *row* is the line of a span that is open."""
    return row.get(STATE_KEY) == OPEN and "end_time" not in row


def end_of(kind: Kind, row: Mapping[str, Any]) -> str | None:
    """Return the time when the line *row* was written, about; ``None`` where that is not known."""
    if kind == "log":
        return time_of(row.get("timestamp"))
    return time_of(row.get("end_time") or (row.get(OBSERVED_KEY) if is_open(row) else None))


def span_key(row: Mapping[str, Any], name: str = "span_id") -> SpanKey | None:
    """Return by what the span is known whose ID the line *row* has under *name*; ``None`` for no ID."""
    trace_id, span_id = row.get("trace_id"), row.get(name)
    if not isinstance(span_id, str):
        return None
    return (trace_id if isinstance(trace_id, str) else None), span_id


def _key(row: Mapping[str, Any]) -> tuple[str | None, SpanKey] | None:
    """Return by what the span of the line *row* is known among those of all sessions."""
    key, sid = span_key(row), row.get("session_id")
    return None if key is None else (sid if isinstance(sid, str) else None, key)

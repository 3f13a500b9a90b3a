"""One span with what is in it and below it, in sessions of any size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracectrl_logging.reader.timeline.open_spans import span_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Final

    from tracectrl.schema import Kind
    from tracectrl_logging.reader.model import Line
    from tracectrl_logging.reader.timeline.open_spans import SpanKey

_MANY: Final = 100
_ID_KEYS: Final[dict[Kind, tuple[str, ...]]] = {
    "log": ("span_id",),
    "span": ("span_id", "parent_span_id"),
}


class UnknownSpanError(LookupError):
    """No line of the sessions is of a span whose ID begins so."""


class AmbiguousSpanError(LookupError):
    """Several spans' IDs begin so; the arguments are some of them."""


class Subtree:
    """The span whose ID starts with *start*, and the spans below it.

    A span that is not stored has what is in it all the same. Memory is for the IDs of the spans below.

    Args:
        lines: returns the lines of the sessions, each time anew.
        start: the ID or its first digits, in lower case.

    Raises:
        UnknownSpanError: there is none.
        AmbiguousSpanError: there are several.
    """

    def __init__(self, lines: Callable[[], Iterable[Line]], start: str) -> None:
        self._lines = lines
        self._keys = self._top(start)
        # A parent starts before its children, so one pass finds them all, unless clocks differ.
        while self._grow():
            pass

    def holds(self, row: Mapping[str, Any]) -> bool:
        """Tell whether the line that says *row*, of a log or of a span, belongs to it."""
        return span_key(row, "span_id") in self._keys

    def _top(self, start: str) -> set[SpanKey]:
        keys: dict[str, set[SpanKey]] = {}
        for line in self._lines():
            for name in _ID_KEYS[line.kind]:
                key = span_key(line.row, name)
                if key is not None and key[1].startswith(start) and len(keys) < _MANY:
                    keys.setdefault(key[1], set()).add(key)
        if start in keys:
            return keys[start]
        if not keys:
            raise UnknownSpanError(start)
        if len(keys) > 1:
            raise AmbiguousSpanError(*sorted(keys))
        return next(iter(keys.values()))

    def _grow(self) -> bool:
        before = len(self._keys)
        for line in self._lines():
            key = span_key(line.row, "span_id") if line.kind == "span" else None
            if key is not None and span_key(line.row, "parent_span_id") in self._keys:
                self._keys.add(key)
        return len(self._keys) > before

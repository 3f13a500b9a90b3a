"""One span with what is in it and below it, in sessions of any size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Final

    from tracectrl.schema import Kind
    from tracectrl_logging.reader.model import Line

    Key = tuple[object, str]

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

    A span that is not stored, since it runs still or its process died, has what is in it all the
    same. Memory is for the IDs of the spans below.

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
        return _key(row, "span_id") in self._keys

    def _top(self, start: str) -> set[Key]:
        keys: dict[str, set[Key]] = {}
        for line in self._lines():
            for name in _ID_KEYS[line.kind]:
                key = _key(line.row, name)
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
            key = _key(line.row, "span_id") if line.kind == "span" else None
            if key is not None and _key(line.row, "parent_span_id") in self._keys:
                self._keys.add(key)
        return len(self._keys) > before


def _key(row: Mapping[str, Any], name: str) -> Key | None:
    trace_id, span_id = row.get("trace_id"), row.get(name)
    if not isinstance(span_id, str):
        return None
    return (trace_id if isinstance(trace_id, str) else None), span_id

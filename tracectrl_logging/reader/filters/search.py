"""Log lines that match a pattern."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from tracectrl.schema import LEVELS
from tracectrl_logging.reader.filters.needle import needle_for
from tracectrl_logging.reader.filters.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    from tracectrl_logging.reader.model import Line

    Wanted: TypeAlias = Callable[[bytes, dict[str, Any]], bool]


OWN_LEVELS = frozenset(f'","level":"{level}"'.encode()[:16] for level in LEVELS)
"""What follows the time on our own lines; a level of another writer's reads otherwise than it is stored."""

own_level = itemgetter(slice(41, 57))
"""Takes that from a line."""

_PLAIN = re.compile(r"[^\\^$.|?*+()\[\]{}]*")
"""Patterns that mean just themselves."""


class Query:
    """What a log line is asked for.

    The pattern is searched in the line as it is stored and, so that quotes, backslashes, newlines
    and other letters need not be spelt as JSON escapes, in each of its texts, at any depth.

    Args:
        pattern: a regular expression as :mod:`re` reads it.
        literal: *pattern* is plain text.
        ignore_case: letters match in either case.
        invert: the lines that do not match are meant.

    Raises:
        re.error: *pattern* is no regular expression.
    """

    def __init__(
        self,
        pattern: str,
        *,
        literal: bool = False,
        ignore_case: bool = False,
        invert: bool = False,
    ) -> None:
        self.regex = re.compile(
            re.escape(pattern) if literal else pattern, re.IGNORECASE if ignore_case else 0
        )
        self._invert = invert
        # What stands in a text stands in the line just so, but for escapes; not so its start and end.
        self._is_plain = literal or _PLAIN.fullmatch(pattern) is not None
        self.needle = (
            None if invert else needle_for(pattern, literal=literal, ignore_case=ignore_case)
        )

    def matches(self, raw: bytes, row: dict[str, Any]) -> bool:
        """Tell whether a line is meant: *raw* as it is stored, *row* as it reads."""
        search = self.regex.search
        found = search(raw.decode("utf-8", "replace")) is not None
        if not found and (not self._is_plain or b"\\" in raw or own_level(raw) not in OWN_LEVELS):
            found = any(search(text) is not None for text in _texts(row))
        return found is not self._invert


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Which log lines are meant, and what is wanted of them."""

    query: Query
    selection: Selection = field(default_factory=Selection)
    """What the lines have to meet besides; *invert* is about the pattern alone."""
    before: int = 0
    """How many lines of the same session to return from before each match."""
    after: int = 0
    most: int | None = None
    """The search of a session ends with so many matches."""
    counting: bool = False
    """Only how many lines of each session match is asked for."""

    def wanted(self) -> Wanted:
        """Return what tells whether a line is meant."""
        matches, is_selected = self.query.matches, self.selection.predicate("log")
        if is_selected is None:
            return matches
        return lambda raw, row: is_selected(row) and matches(raw, row)


class Hit(NamedTuple):
    """A line that is meant, or one near it."""

    sid: str
    line: Line
    is_match: bool
    is_next: bool
    """It follows the hit before in the session."""


class Count(NamedTuple):
    """How many lines of a session match."""

    sid: str
    lines: int


def hits(
    search: Search, sid: str, lines: Callable[[Wanted | None], Iterator[Line]]
) -> Iterator[Hit]:
    """Yield the log lines of the session *sid* that *search* means, in the order of writing.

    *lines* returns its log lines: those that a predicate on the bytes and the row picks, or all.
    """
    wanted, most = search.wanted(), search.most
    matches = 0
    if not search.before and not search.after:
        for line in lines(wanted):
            matches += 1
            yield Hit(sid, line, is_match=True, is_next=False)
            if matches == most:
                return
        return
    earlier: deque[Line] = deque(maxlen=search.before)
    left, last, at = 0, -1, -1
    for at, line in enumerate(lines(None)):
        if matches != most and wanted(line.raw, line.row):
            matches += 1
            for place, one in enumerate(earlier, at - len(earlier)):
                yield Hit(sid, one, is_match=False, is_next=place == last + 1)
                last = place
            earlier.clear()
            yield Hit(sid, line, is_match=True, is_next=at == last + 1)
            left, last = search.after, at
        elif left:
            left -= 1
            yield Hit(sid, line, is_match=False, is_next=True)
            last = at
        elif matches == most:
            return
        else:
            earlier.append(line)


def _texts(row: dict[str, Any]) -> Iterator[str]:
    """Yield the texts among the values of *row*, and of what is in them."""
    waiting: list[Any] = [row]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)

r"""Bytes that must be in a file for a pattern to match in it: most files need not be parsed.

A text is looked for as it is written in UTF-8. A file may hold it spelt as JSON escapes instead, so
what JSON has to escape is no part of a needle, and a file with ``\uXXXX`` may hold anything. A line
with NaN or infinities is spelt anew before it is searched, which only what is outside of JSON's
texts can show.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tracectrl.schema import SPELLINGS

if TYPE_CHECKING:
    from typing import Final

# What JSON escapes, and what stands for bytes that are not UTF-8.
_ESCAPED: Final = re.compile(r'["\\\x00-\x1f\x7f\ufffd\ud800-\udfff]+')
_OUTSIDE: Final = frozenset(",:[]{}")
_NUMERAL: Final = re.compile(r"[0-9eE.+-]+", re.ASCII)
_REPEATED: Final = re.compile(r"[*?]")
_HARD: Final = frozenset("|()[]{}")
_ANY: Final = frozenset(".^$*+?")
# One byte is found many times as fast as two; what follows it is looked at there.
_ESCAPE: Final = re.compile(rb"\\(?=u)")
_ESCAPE_OR_SLASH: Final = re.compile(rb"\\(?=[u/])")
_SHORT: Final = 8
_LETTER_CODES: Final = frozenset("AbBdDsSwWZz")
# Letters beyond ASCII that :mod:`re` takes for one of ASCII where case is ignored.
_LOOKALIKES: Final = {"i": "\u0130\u0131", "s": "\u017f", "k": "\u212a"}


class Needle:
    """A text without which a line cannot match, however it is spelt.

    Args:
        text: the text; not empty, and nothing in it has to be escaped in JSON.
        ignore_case: letters match in either case; then *text* is ASCII.
    """

    __slots__ = ("_escape", "_is_short", "_marks", "ignores_case", "is_in_level", "text", "word")

    def __init__(self, text: str, *, ignore_case: bool = False) -> None:
        self.text = text.lower() if ignore_case else text
        self.word = self.text.encode()
        self.ignores_case = ignore_case
        self.is_in_level = any(text.upper() in name for name in SPELLINGS)
        """Whether a level may match that another writer has spelt otherwise."""
        marks = []
        if text in "null" or not _OUTSIDE.isdisjoint(text) or _NUMERAL.fullmatch(text):
            marks += [b"NaN", b"Infinity"]
        if ignore_case:
            for letter, others in _LOOKALIKES.items():
                if letter in self.text:
                    marks.extend(other.encode() for other in others)
        self._marks = tuple(marks)
        self._escape = (_ESCAPE_OR_SLASH if "/" in text else _ESCAPE).search
        self._is_short = len(self.word) < _SHORT

    @property
    def others(self) -> list[str]:
        """Texts that may stand for it, or for a part of it, beside JSON's escapes."""
        return [mark.decode() for mark in self._marks]

    def may_be_in(self, data: bytes) -> bool:
        """Tell whether *data*, some whole lines, may hold the text in any spelling."""
        text = data.lower() if self.ignores_case else data
        # Python finds a short word faster from the end.
        is_there = text.rfind(self.word) >= 0 if self._is_short else self.word in text
        if is_there or self._escape(data) is not None:
            return True
        return any(mark in data for mark in self._marks)


def needle_for(pattern: str, *, literal: bool, ignore_case: bool) -> Needle | None:
    """Return a needle for *pattern*; ``None`` where none is known, and every line may match.

    Args:
        pattern: a regular expression that compiles, or a text.
        literal: it is a text.
        ignore_case: letters match in either case.
    """
    texts = [pattern] if literal else _texts(pattern)
    pieces = [piece for text in texts for piece in _ESCAPED.split(text)]
    if ignore_case:
        pieces = [piece for piece in pieces if piece.isascii()]
    longest = max(pieces, key=len, default="")
    return Needle(longest, ignore_case=ignore_case) if longest else None


def _texts(pattern: str) -> list[str]:
    """Return texts that are in whatever the regular expression *pattern* matches.

    Only what is plain to see: groups, sets and alternatives are not gone into.
    """
    if not _HARD.isdisjoint(pattern):
        return []
    texts: list[str] = []
    text = ""
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        is_plain = char not in _ANY
        if char == "\\":
            char = pattern[at]
            at += 1
            is_plain = not char.isalnum()
            if not is_plain and char not in _LETTER_CODES:  # \x41, \1 and so on
                return []
        if is_plain and _REPEATED.match(pattern, at) is None:
            text += char
        else:
            texts.append(text)
            text = ""
    return [*texts, text]

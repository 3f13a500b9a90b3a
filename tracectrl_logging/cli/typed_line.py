"""A command line as it is being typed in a shell: its words, its quotes, and what may be put there.

bash puts on the command line what a completion gives it, unquoted; so what is given is shell text here.
The line editor replaces only the end of the last word, and closes a quote that it believes open
unless the text does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tracectrl_logging.cli.text import shown

if TYPE_CHECKING:
    from typing import Final

_BLANKS: Final = " \t\n"
_ENDS_A_WORD: Final = " \t\n;|&()<>"
_QUOTES: Final = "'\""
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.,:@%+/=-]*", re.ASCII)
"""What no shell takes for anything but itself; what is outside ASCII is quoted, too."""
_PLAIN_IN_DOUBLE: Final = re.compile(r'[^"$`\\!]*')
_ESCAPED_IN_DOUBLE: Final = '$`"\\\n'
_RUN_IN_DOUBLE: Final = "$`!"


@dataclass(frozen=True)
class _Mark:
    """What a place in the word means to the shell."""

    length: int
    """How long the word's value is up to here."""
    quote: str
    """The quote that is open here: ``'``, ``"``, ``$'`` or none."""
    literal: bool
    """Whether the shell takes all of the word up to here for the value, and expands nothing."""


@dataclass
class _Word:
    start: int
    value: str = ""
    literal: bool = True
    marks: dict[int, _Mark] = field(default_factory=dict)

    def mark(self, at: int, quote: str) -> None:
        self.marks[at] = _Mark(len(self.value), quote, self.literal)


class TypedLine:
    """The command line up to the cursor, in the syntax that bash and zsh share."""

    def __init__(self, line: str) -> None:
        self._line = line
        self._words: list[_Word] = []
        self._read()
        *before, self._word = self._words
        self.words = [word.value for word in before]
        """The words before the one that is being typed, without their quotes."""
        self.incomplete = self._word.value
        """The word that is being typed, without its quotes; empty behind a space."""

    def written(self, value: str, replaced: str, behind: str = "") -> str | None:
        """Return what makes *value* of the last word, once it stands in the place of *replaced*.

        Args:
            value: the word to be; it starts with :attr:`incomplete`.
            replaced: the end of the line that the line editor replaces: it breaks words at ``:``,
                ``=`` and ``@``, too, and behind an open quote.
            behind: the character after the cursor, empty at the end of the line.

        Returns:
            Shell text, or ``None`` where the shell and its line editor do not see the same quotes, so
            that nothing can be put there safely.
        """
        end = len(self._line)
        start = end - len(replaced)
        first, last = self._word.marks.get(start), self._word.marks.get(end)
        if first is None or not self._is_seen_alike(start, first, last, behind):
            return None
        quote, _ = self._open_quote()
        if last is None or not last.literal:
            return quoted(value[first.length :], quote)
        return replaced + quoted(value[last.length :], quote)

    def _is_seen_alike(self, start: int, first: _Mark, last: _Mark | None, behind: str) -> bool:
        """Return whether the shell and its line editor agree on what is open from *start* on."""
        quote, opened = self._open_quote()
        if not first.literal or (last is not None and last.quote != quote):
            return False
        if quote:
            return start == opened + 1 and behind in (*_ENDS_A_WORD, "")
        # Where the editor has broken the word at a quote, it would put another one behind it.
        at_quote = self._word.start < start < len(self._line) and self._line[start - 1] in _QUOTES
        return not first.quote and not at_quote and behind in (*_ENDS_A_WORD, "")

    def _open_quote(self) -> tuple[str, int]:
        """Return the quote that the line editor believes open at the end, and its place."""
        quote, opened = "", 0
        at = 0
        while at < len(self._line):
            char = self._line[at]
            if char == "\\" and quote != "'":
                at += 1
            elif quote:
                if char == quote:
                    quote = ""
            elif char in _QUOTES:
                quote, opened = char, at
            at += 1
        return quote, opened

    def _read(self) -> None:
        line, at, quote = self._line, 0, ""
        word: _Word | None = None
        while at < len(line):
            char = line[at]
            if word is None or (not quote and char in _BLANKS):
                if char in _BLANKS:
                    word = None
                    at += 1
                    continue
                word = _Word(at)
                word.mark(at, "")
                self._words.append(word)
            at, quote = self._step(word, at, quote)
            if at <= len(line):  # not in the middle of an escape
                word.mark(at, quote)
        if word is None:
            word = _Word(at)
            word.mark(at, "")
            self._words.append(word)

    def _step(self, word: _Word, at: int, quote: str) -> tuple[int, str]:
        """Read a character or an escape of *word*; return the place behind it, and the quote there."""
        char, following = self._line[at], self._line[at + 1 : at + 2]
        if char == "\\" and quote != "'":
            if quote == '"' and following and following not in _ESCAPED_IN_DOUBLE:
                word.value += char
                return at + 1, quote
            if following != "\n":
                word.value += following
            return at + 2, quote
        if not quote:
            if char in _QUOTES:
                return at + 1, char
            if char == "$" and following == "'":
                word.literal = False
                return at + 2, "$'"
            word.literal = word.literal and (not char.isascii() or bool(_PLAIN.fullmatch(char)))
        elif char == quote[-1]:
            return at + 1, ""
        elif quote == '"' and char in _RUN_IN_DOUBLE:
            word.literal = False
        word.value += char
        return at + 1, quote


def can_be_typed(text: str) -> bool:
    """Return whether a terminal shows *text* as it is, so that a person sees what a shell was given.

    Control characters, invisible ones and those that turn the writing direction it does not show.
    """
    return text.isprintable() and shown(text) == text


def quoted(value: str, quote: str = "") -> str:
    """Return *value* as shell text for a place where *quote* is open; it is closed at the end.

    Of two values, what is the same at their start is the same in their texts, so that the beginning
    that several candidates share is itself such a text. A line editor that knows of an open quote
    sees it closed by the last character, and adds none.
    """
    if quote == "'":
        return f"{_in_single(value)}'"
    taken = _PLAIN if not quote else _PLAIN_IN_DOUBLE
    plain = taken.match(value)
    at = plain.end() if plain is not None else 0
    rest = f"'{_in_single(value[at:])}'" if at < len(value) else ""
    if quote:
        rest = f'"{rest}""' if rest else '"'
    return value[:at] + rest


def _in_single(value: str) -> str:
    return value.replace("'", "'\\''")

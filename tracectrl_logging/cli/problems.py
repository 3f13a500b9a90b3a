"""Warnings about unreadable input on stderr, and the exit status that follows from them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NoReturn

import click

from tracectrl.files.listing import NOT_READ
from tracectrl_logging.cli.exit_status import NOT_FOUND, UNUSABLE
from tracectrl_logging.cli.text import shown

if TYPE_CHECKING:
    from tracectrl_logging.reader import Damage

_WARNINGS = 100
_WARNINGS_OF_A_FILE = 10


class Problems:
    """Prints a warning for each damage; neighbouring lines with the same fault share one.

    Each file is named, up to a hundred of them. A file has ten warnings at most, and all together
    have a hundred besides the first of each; the others are counted only.
    """

    def __init__(self) -> None:
        self.met = False
        self.held: list[str] | None = None
        """Warnings that wait until the pager has left the screen; ``None`` where none has to."""
        self._first: Damage | None = None
        self._last = 0
        self._more = 0
        self._said: dict[str, int] = {}
        self._unsaid: dict[str, int] = {}
        self._unsaid_elsewhere = 0
        self._not_read: set[Damage] = set()

    def __call__(self, damage: Damage) -> None:
        """Take note of *damage*; a file that no command reads is named once."""
        self.met = True
        if damage.line is None and damage.reason.startswith(NOT_READ):
            if damage in self._not_read:  # by two stores, as with a ZIP
                return
            self._not_read.add(damage)
        first = self._first
        if (
            first is not None
            and damage.line is not None
            and first.line is not None
            and (damage.path, damage.reason, damage.line)
            == (first.path, first.reason, self._last + 1)
        ):
            self._last = damage.line
            return
        self.flush()
        self._first, self._last = damage, damage.line or 0

    def flush(self) -> None:
        """Print the warning that is held back for neighbouring lines."""
        first, self._first = self._first, None
        if first is None:
            return
        text, lines = str(first), 1
        if first.line is not None and self._last > first.line:
            text = f"{first.path}: lines {first.line}-{self._last}: {first.reason}"
            lines = self._last - first.line + 1
        said = self._said.get(first.path, 0)
        if not said and len(self._said) >= _WARNINGS:
            self._unsaid_elsewhere += lines
        elif said and (said >= _WARNINGS_OF_A_FILE or self._more >= _WARNINGS):
            self._unsaid[first.path] = self._unsaid.get(first.path, 0) + lines
        else:
            self._said[first.path] = said + 1
            self._more += bool(said)
            self.say(f"Warning: {shown(text)}")

    def say(self, text: str) -> None:
        """Print *text* on stderr, once the pager has left the screen."""
        if self.held is None:
            click.echo(text, err=True)
        else:
            self.held.append(text)

    def release(self) -> None:
        """Print the warnings that waited for the pager."""
        held, self.held = self.held or (), None
        for text in held:
            self.say(text)

    def sum_up(self) -> None:
        """Print the numbers of warnings that were only counted."""
        self.flush()
        counted = list(self._unsaid.items())
        if self._unsaid_elsewhere:
            counted.append(("other files", self._unsaid_elsewhere))
        self._unsaid.clear()
        self._unsaid_elsewhere = 0
        for where, count in counted:
            lines = "line" if count == 1 else "lines"
            self.say(f"Warning: and {count} more damaged {lines} in {shown(where)}")

    def exit(self, *, found: bool) -> NoReturn:
        """End the command: 0 where something was *found*, else 2 after damage, else 1."""
        self.sum_up()
        if found:
            sys.exit(0)
        sys.exit(UNUSABLE if self.met else NOT_FOUND)

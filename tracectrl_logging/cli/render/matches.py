"""The output of ``grep``: lines, counts or session IDs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

import click

from tracectrl_logging.cli.render.time_format import TimeFormat
from tracectrl_logging.cli.text import shown
from tracectrl_logging.reader.filters.search import Count, Hit
from tracectrl_logging.reader.parsing import row_of

if TYPE_CHECKING:
    import re
    from collections.abc import Callable
    from datetime import tzinfo


class Put(Protocol):
    """Prints results, each as it comes."""

    def __call__(self, result: Hit | Count) -> None:
        """Print *result*."""

    def end(self) -> None:
        """Print what comes after all of them."""


class Totals:
    """Prints how many lines match, or the IDs of their sessions."""

    def __init__(self, *, only_ids: bool, put_row: Callable[[bytes], None] | None) -> None:
        self._only_ids = only_ids
        self._put_row = put_row
        self._lines = 0

    def __call__(self, result: Hit | Count) -> None:
        """Count, or print a line for the session of *result*."""
        if isinstance(result, Hit):
            return
        self._lines += result.lines
        if self._put_row is not None:
            from tracectrl._json import encode_line  # noqa: PLC0415 - one of several ways

            row: dict[str, object] = {"session_id": result.sid}
            if not self._only_ids:
                row["count"] = result.lines
            self._put_row(encode_line(row)[:-1])
        elif self._only_ids:
            click.echo(shown(result.sid))

    def end(self) -> None:
        """Print the total."""
        if not self._only_ids and self._put_row is None:
            click.echo(self._lines)


class Stored:
    """Prints the lines that match as they are stored, by *put_row*."""

    def __init__(self, put_row: Callable[[bytes], None]) -> None:
        self._put_row = put_row

    def __call__(self, result: Hit | Count) -> None:
        """Print the line of *result*."""
        if isinstance(result, Hit) and result.is_match:
            self._put_row(result.line.raw)

    def end(self) -> None:
        """Print nothing more."""


class Lines:
    """Prints lines for people: under their sessions' IDs, or in a pipe each for itself.

    Args:
        tz: the time zone; ``None`` for UTC.
        marked: what to mark in the lines that match.
        grouped: lines around the matches are printed, too.
    """

    def __init__(self, tz: tzinfo | None, marked: re.Pattern[str] | None, *, grouped: bool) -> None:
        from tracectrl_logging.cli.render import line_text  # noqa: PLC0415 - one of several ways
        from tracectrl_logging.cli.render.screen import Screen  # noqa: PLC0415 - as above

        self._text = line_text
        self._screen = Screen()
        self._times = TimeFormat(tz)
        self._marked = marked
        self._sid: str | None = None
        self._grouped = grouped

    def __call__(self, result: Hit | Count) -> None:
        """Print the line of *result*."""
        if isinstance(result, Count):
            return
        line, line_text, screen = result.line, self._text, self._screen
        row = line.row or row_of(line.kind, line.raw)
        body = line_text.log(row, full=False, with_service=False)
        level = line_text.level(row)
        self._separate(result)
        if not screen.is_terminal:  # each match on a line of its own, for the next program
            head = [
                (f"{shown(result.sid)}  ", "cyan"),
                (f"{self._times.of(line, row, exact=True)}  ", "dim"),
                level,
            ]
            screen.one_line(
                body, [*head, ("  ", "")], marked=self._marked if result.is_match else None
            )
            return
        if not result.is_match:
            level, body = (level[0], "dim"), [(text, "dim") for text, _ in body]
        screen.line(
            body,
            [(f"{self._times.of(line, row)}  ", "dim"), level, ("  ", "")],
            [("    ", "")],
            marked=self._marked if result.is_match else None,
        )

    def end(self) -> None:
        """Flush what was printed."""
        sys.stdout.flush()

    def _separate(self, result: Hit) -> None:
        """Print what stands before the line of *result*, if anything."""
        before, self._sid = self._sid, result.sid
        if before == result.sid:
            if self._grouped and not result.is_next:
                self._screen.line([("--", "dim")])
        elif self._screen.is_terminal:
            if before is not None:
                self._screen.line([])
            self._screen.line([(shown(result.sid), "bold cyan")])
        elif self._grouped and before is not None:
            self._screen.line([("--", "dim")])

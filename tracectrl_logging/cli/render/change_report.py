"""The report of prune and compress: a row for each session, and the exit status."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from tracectrl._json import encode_line, timestamp_ns
from tracectrl_logging.cli.render.line_text import count
from tracectrl_logging.cli.render.screen import Screen
from tracectrl_logging.cli.text import shown, write_line

if TYPE_CHECKING:
    from typing import Final

_OVERFLOW_NAME: Final = "(sessions past the limit)"
_FIRST_S: Final = -62_135_596_800  # the year 1
_LAST_S: Final = 253_402_300_799  # the end of the year 9999
_NS: Final = 1_000_000_000


def time_of(ns: int) -> str:
    """Return a time in nanoseconds since the epoch as text; one that has no text is the nearest."""
    return timestamp_ns(min(max(ns, _FIRST_S * _NS), _LAST_S * _NS))


class ChangeReport:
    """Prints a row for each session that a command changes, at once.

    Args:
        as_json: print JSON Lines, of the others as well.
        dry_run: whether nothing is changed.
        verb: the verb for the change, which is the action of a row.
        past: the verb in the past tense.
    """

    def __init__(self, *, as_json: bool, dry_run: bool, verb: str, past: str) -> None:
        self._as_json = as_json
        self._dry_run = dry_run
        self._verb = verb
        self._done = f"would {verb}" if dry_run else past
        self._screen = Screen()

    def put(self, row: dict[str, Any], what: str, error: OSError | None) -> None:
        """Print *row*, for people with *what* it was about; an *error* goes to stderr."""
        sid = row["session_id"]
        name = _OVERFLOW_NAME if sid is None else shown(sid)
        if error is not None:
            text = error.strerror or str(error)
            click.echo(f"Warning: cannot {self._verb} {name}: {shown(text)}", err=True)
        if self._as_json:
            said = None if error is None else str(error)
            write_line(encode_line({**row, "dry_run": self._dry_run, "error": said})[:-1])
        elif row["action"] == self._verb:
            at = row["last_write"][:19].replace("T", " ")
            files = count(row["files"], "file")
            self._screen.line([(f"{at}  ", "dim"), (name, "cyan"), (f"  {files}, {what}", "")])

    def end(self, said: str, *, done: int, in_use: int, failed: int) -> NoReturn:
        """Print what was *said* about all; exit with 0 where something was *done*, else 1 or 2."""
        if not self._as_json:
            if in_use:
                said += f"; {in_use} being written"
            self._screen.line([(f"{self._done}: {said}", "")])
        sys.exit(0 if done else 2 if failed else 1)

"""What the commands share: options, the session a user means, warnings and exit statuses."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from tracectrl.files.names import TRACE_DIR_ENV
from tracectrl_logging.reader import open_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracectrl_logging.reader import Damage, Store
    from tracectrl_logging.reader.store import OnProgress

F = TypeVar("F", bound="Callable[..., Any]")

COMPLETE_VARIABLE = "_TRACECTRL_LOGS_COMPLETE"
"""What a shell sets that completes the command; the name is click's for it."""

_WARNINGS = 100
_WARNINGS_OF_A_FILE = 10
_COMPLETIONS = 100


class NotFoundError(click.ClickException):
    """Nothing matched: one line on stderr, and the exit status 1."""

    exit_code = 1


class UnusableError(click.ClickException):
    """Wrong use or unreadable input: one line on stderr, and the exit status 2."""

    exit_code = 2


def root_option(command: F) -> F:
    """Give *command* the option ``--root``, which may also stand before the command's name."""
    option = click.option(
        "--root",
        metavar="DIR",
        callback=_root,
        help=f"The trace directory.  [default: ${TRACE_DIR_ENV}, else ./traces]",
    )
    return option(command)


def json_option(rows: str) -> Callable[[F], F]:
    """Give a command the option ``--json``, which prints *rows*."""
    return click.option("--json", "as_json", is_flag=True, help=f"Print JSON Lines: {rows}.")


def session_argument(command: F) -> F:
    """Give *command* the argument ``SESSION...``, as *given*; a shell completes it."""
    return click.argument(
        "given", metavar="SESSION...", nargs=-1, required=True, shell_complete=sessions_like
    )(command)


def sessions_like(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return session IDs that start with *incomplete*, for a shell: ``shell_complete`` of a parameter.

    Those alone are returned that arrive as they are shown: see :func:`starting_with`.
    """
    del param
    from tracectrl_logging.cli.meant import starting_with  # noqa: PLC0415 - for a shell

    here: click.Context | None = ctx
    root = None
    while here is not None and root is None:
        root, here = here.params.get("root"), here.parent
    try:
        place = None if root is None else os.path.expanduser(root)  # the shell has not done so yet
        return starting_with(incomplete, open_store(place), _COMPLETIONS)
    except (OSError, ValueError):
        return []


def shown(text: str) -> str:
    r"""Return *text* on one line for a terminal: control characters as ``\xNN``, ``\n`` and so on."""
    if text.isascii() and text.isprintable():
        return text
    from tracectrl_logging.console import on_one_line  # noqa: PLC0415 - not for ``--json``

    return on_one_line(text)


def opened(
    root: str | None,
    problems: Problems | None = None,
    *,
    on_progress: OnProgress | None = None,
    parallel: bool = False,
) -> Store:
    """Return the store that *root* means, which can be read.

    Args:
        root: what was given for ``--root``.
        problems: hears of what cannot be read in it.
        on_progress: as for :func:`~tracectrl_logging.reader.open_store`.
        parallel: the same.

    Raises:
        UnusableError: the store cannot be read.
    """
    store = open_store(root, on_damage=problems, on_progress=on_progress, parallel=parallel)
    try:
        next(store.ids(limit=1), None)
    except OSError as error:
        hint = f"--root DIR or ${TRACE_DIR_ENV} names another"
        text = f"cannot read the trace directory '{shown(store.name)}': {error.strerror}; {hint}"
        raise UnusableError(text) from error
    return store


def checked_root(root: str | None) -> str:
    """Return the trace directory that *root* means, for a command that is about its files.

    Raises:
        UnusableError: it cannot be read.
    """
    return opened(root).name


def session_meant(given: str, store: Store) -> str:
    """Return the ID of the session that *given* names: an ID, or the start of one.

    What a terminal shows of an ID that holds control characters is understood, too.

    Raises:
        UnusableError: several sessions start with it, or it is empty.
        NotFoundError: there is no such session.
    """
    if not given:
        text = "a session ID cannot be empty"
        raise UnusableError(text)
    if next(store.ids(given, limit=1), None) == given:
        return given
    from tracectrl_logging.cli.meant import meant  # noqa: PLC0415 - where it is no whole ID

    return meant(given, store)


def write_line(line: bytes) -> None:
    """Write *line*, which is JSON, and a newline to stdout, as a terminal may show it."""
    if not line.isascii() or b"\x7f" in line:
        from tracectrl._json import for_terminal  # noqa: PLC0415 - few lines hold anything of it

        line = for_terminal(line)
    sys.stdout.buffer.write(line + b"\n")


class Problems:
    """Says on stderr what could not be read; neighbouring lines with one fault are one warning.

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

    def __call__(self, damage: Damage) -> None:
        """Take note of *damage*."""
        self.met = True
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
        """Print what is still held back of one warning."""
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
        """Print what was held for the pager's sake."""
        held, self.held = self.held or (), None
        for text in held:
            self.say(text)

    def sum_up(self) -> None:
        """Print what was counted only."""
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
        sys.exit(2 if self.met else 1)


def _root(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value == "":
        text = "the directory's name is empty"
        raise click.BadParameter(text, ctx, param)
    if value is None and isinstance(ctx.obj, str):
        return ctx.obj
    return value

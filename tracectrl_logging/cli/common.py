"""What the commands share: options, the session a user means, warnings and exit statuses."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from tracectrl._json import for_terminal
from tracectrl.files.names import TRACE_DIR_ENV, root_path
from tracectrl_logging.reader import UnknownSessionError
from tracectrl_logging.reader.find import find, find_all, id_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracectrl_logging.reader import Damage
    from tracectrl_logging.reader.listing import SessionFiles

F = TypeVar("F", bound="Callable[..., Any]")

_MANY = 2000
_SUGGESTIONS = 3


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


def shown(text: str) -> str:
    r"""Return *text* on one line for a terminal: control characters as ``\xNN``, ``\n`` and so on."""
    if text.isascii() and text.isprintable():
        return text
    from tracectrl_logging.console import on_one_line  # noqa: PLC0415 - not for ``--json``

    return on_one_line(text)


def checked_root(root: str | None) -> str:
    """Return the trace directory that *root* means, where it can be listed."""
    path = os.fspath(root_path(root))
    try:
        os.scandir(path).close()
    except OSError as error:
        hint = f"--root DIR or ${TRACE_DIR_ENV} names another"
        text = f"cannot read the trace directory '{shown(path)}': {error.strerror}; {hint}"
        raise UnusableError(text) from error
    return path


def session_meant(given: str, root: str) -> tuple[str, SessionFiles]:
    """Return the ID and the files of the session that *given* names: an ID, or the start of one.

    What a terminal shows of an ID that holds control characters is understood, too.
    """
    if not given:
        text = "a session ID cannot be empty"
        raise UnusableError(text)
    try:
        found = find(given, root)
    except UnknownSessionError:
        pass
    else:
        return id_of(found), found
    known = {id_of(found): found for found in find_all(root)}
    meant = [sid for sid in known if shown(sid) == given] or [
        sid for sid in known if sid.startswith(given)
    ]
    if len(meant) == 1:
        return meant[0], known[meant[0]]
    raise _ambiguous(given, meant) if meant else _unknown(given, list(known), root)


def write_line(line: bytes) -> None:
    """Write *line*, which is JSON, and a newline to stdout, as a terminal may show it."""
    sys.stdout.buffer.write(for_terminal(line) + b"\n")


class Problems:
    """Says on stderr what could not be read; neighbouring lines with one fault are one warning."""

    def __init__(self) -> None:
        self.met = False
        self._first: Damage | None = None
        self._last = 0

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
        """Print what is still held back."""
        first, self._first = self._first, None
        if first is None:
            return
        text = str(first)
        if first.line is not None and self._last > first.line:
            text = f"{first.path}: lines {first.line}-{self._last}: {first.reason}"
        click.echo(f"Warning: {shown(text)}", err=True)

    def exit(self, *, found: bool) -> NoReturn:
        """End the command: 0 where something was *found*, else 2 after damage, else 1."""
        self.flush()
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


def _ambiguous(given: str, meant: list[str]) -> UnusableError:
    some = ", ".join(map(shown, sorted(meant)[:_SUGGESTIONS]))
    more = ", ..." if len(meant) > _SUGGESTIONS else ""
    return UnusableError(f"{len(meant)} sessions start with '{shown(given)}': {some}{more}")


def _unknown(given: str, known: list[str], root: str) -> NotFoundError:
    import difflib  # noqa: PLC0415 - for a mistake only

    if len(known) > _MANY:  # comparing takes its time
        known = [sid for sid in known if sid[0] == given[0]][:_MANY]
    starts = {sid[: len(given)]: sid for sid in reversed(known)}  # a mistyped start of one
    near = difflib.get_close_matches(given, known, _SUGGESTIONS) or [
        starts[start] for start in difflib.get_close_matches(given, starts, _SUGGESTIONS)
    ]
    hint = f"; did you mean {' or '.join(map(shown, near))}?" if near else ""
    return NotFoundError(f"no session '{shown(given)}' in {shown(root)}{hint}")

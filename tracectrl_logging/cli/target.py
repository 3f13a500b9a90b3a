"""The output file of a command: written whole or not at all; an existing one is kept unless forced."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from typing import IO, TYPE_CHECKING

import click

from tracectrl_logging.cli.errors import UnusableError
from tracectrl_logging.cli.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable

_FOR_ALL = 0o666  # but for what the umask takes away


def checked_target(target: str | None) -> str | None:
    """Return the file that ``-o`` names; ``None`` for stdout.

    Raises:
        click.UsageError: it has no name.
    """
    if target == "":
        text = "Invalid value for '-o': the file's name is empty"
        raise click.UsageError(text)
    return None if target == "-" else target


def checked_terminal(file: IO[bytes], form: str) -> None:
    """Refuse to write the format *form*, which is no text, to a terminal.

    Raises:
        click.UsageError: *file* is one.
    """
    if file.isatty():
        text = f"--format {form} needs -o FILE on a terminal"
        raise click.UsageError(text)


def is_special(target: str) -> bool:
    """Tell whether *target* is a pipe or a device: it is written to, and nothing is replaced."""
    try:
        mode = os.stat(target).st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def write_file(
    target: str,
    write: Callable[[IO[bytes]], int],
    *,
    force: bool,
    mode: int = _FOR_ALL,
    keeps_empty: bool = True,
) -> int:
    """Have *write* write into the file *target*; see :func:`make_file`.

    Args:
        target: its path; one that :func:`is_special` is opened as it is.
        write: gets the file; returns how many rows it wrote.
        force: replace a file that is there.
        mode: who may read and write a new file, but for what the umask takes away.
        keeps_empty: make the file also where no row was written.
    """
    if is_special(target):
        with open(target, "wb") as file:
            return write(file)

    def make(path: str) -> int:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with open(fd, "wb") as file:
            return write(file)

    return make_file(target, make, force=force, keeps_empty=keeps_empty)


def make_file(
    target: str, make: Callable[[str], int], *, force: bool, keeps_empty: bool = True
) -> int:
    """Make the file *target*, whole or not at all.

    Args:
        target: its path.
        make: makes a file at the path that it is given; returns how many rows that has.
        force: replace a file that is there.
        keeps_empty: make the file also where it has no row.

    Returns:
        How many rows there are.

    Raises:
        UnusableError: the file is there already.
        OSError: it cannot be made; the error names it, and not where it is made first.
    """
    there = f"'{shown(target)}' is there already; --force replaces it, -o FILE names another"
    if os.path.isdir(target):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), target)
    if not force and os.path.lexists(target):
        raise UnusableError(there)
    place = os.path.dirname(target) or os.curdir
    try:
        directory = tempfile.TemporaryDirectory(prefix=".tracectrl-logs-", dir=place)
    except OSError as error:
        raise OSError(error.errno, error.strerror, target) from error
    with directory as beside:
        made = os.path.join(beside, "rows")
        count = make(made)
        if count or keeps_empty:
            try:
                if force:
                    os.replace(made, target)
                else:
                    os.link(made, target)  # fails where somebody made the file meanwhile
            except FileExistsError as error:
                raise UnusableError(there) from error
            except OSError as error:
                raise OSError(error.errno, error.strerror, target) from error
    return count

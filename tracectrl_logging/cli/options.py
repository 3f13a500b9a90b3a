"""Options and arguments that several commands have: ``--root``, ``--json``, ``SESSION``, ``--where`` and so on."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
from functools import reduce
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tracectrl.files.names import TRACE_DIR_ENV, is_address
from tracectrl_logging.reader import STORE_ENV

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import tzinfo
    from typing import TypeAlias

    from tracectrl_logging.reader.filters.conditions import Condition

    PutRow: TypeAlias = Callable[[bytes], None]

F = TypeVar("F", bound="Callable[..., Any]")

COMPLETE_VARIABLE = "_TRACECTRL_LOGS_COMPLETE"
"""What a shell sets that completes the command; the name is click's for it."""

_COMPLETIONS = 100
_PATIENCE_S = 3.0  # for a store that has to be asked
_AS_JSON = f"{__name__}.json"

_SPELT = re.compile(r"[0-9A-Fa-f]{1,32}", re.ASCII)


def root_option(command: F) -> F:
    """Give *command*, which reads, the option ``--root``, which may also stand before the command's name."""
    option = click.option(
        "--root",
        metavar="DIR",
        callback=_root,
        help="The trace directory, or a store: clickhouse://USER@HOST/DATABASE."
        f"  [default: ${STORE_ENV}, else ${TRACE_DIR_ENV}, else ./traces]",
    )
    return option(command)


def directory_option(command: F) -> F:
    """Give *command*, which is about files, the option ``--root`` as :func:`root_option`, for a directory alone."""
    option = click.option(
        "--root",
        metavar="DIR",
        callback=_directory,
        help=f"The trace directory.  [default: ${TRACE_DIR_ENV}, else ./traces]",
    )
    return option(command)


def store_option(command: F) -> F:
    """Give *command*, which writes to a store of many machines, the option ``--to``, as *url*."""
    option = click.option(
        "--to",
        "url",
        metavar="URL",
        envvar=STORE_ENV,
        required=True,
        callback=_store,
        help=f"The store: clickhouses://USER@HOST/DATABASE.  [default: ${STORE_ENV}]",
    )
    return option(command)


def json_option(rows: str) -> Callable[[F], F]:
    """Give a command the option ``--json``, which prints *rows*."""
    return click.option("--json", "as_json", is_flag=True, help=f"Print JSON Lines: {rows}.")


def rows_options(rows: str) -> Callable[[F], F]:
    """Give a command ``--json`` and ``--format``, as *put_row*: what prints a row, ``None`` for text.

    *rows* are what it prints.
    """
    return lambda command: _with(
        command,
        click.option(
            "--json",
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_note_json,
            help=f"Print JSON Lines: {rows}.",
        ),
        click.option(
            "--format",
            "put_row",
            type=click.Choice(("text", "json", "compact")),
            callback=_row_printer,
            help="text for people, json as --json, or compact: the same rows as arrays, the names of"
            " their columns once.  [default: text]",
        ),
    )


def session_argument(command: F) -> F:
    """Give *command* the argument ``SESSION...``, as *given*; a shell completes it."""
    return click.argument(
        "given", metavar="SESSION...", nargs=-1, required=True, shell_complete=sessions_like
    )(command)


def sessions_like(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return session IDs that start with *incomplete*, for a shell: ``shell_complete`` of a parameter.

    IDs that a terminal cannot show as they are, are left out: see :func:`starting_with`.
    """
    del param
    from tracectrl_logging.cli.lookup import starting_with  # noqa: PLC0415 - for a shell

    here: click.Context | None = ctx
    root = None
    while here is not None and root is None:
        root, here = here.params.get("root"), here.parent
    try:
        from tracectrl_logging.reader import open_store  # noqa: PLC0415 - as above

        place = None if root is None else os.path.expanduser(root)  # the shell has not done so yet
        store = open_store(place)
        with _patience() if is_address(store.name) else contextlib.nullcontext():
            return starting_with(incomplete, store, _COMPLETIONS)
    except (OSError, ValueError, ImportError):
        return []


@contextlib.contextmanager
def _patience() -> Iterator[None]:
    """Exit where what is done here takes longer than somebody waits for a shell."""
    before = signal.signal(signal.SIGALRM, lambda *_: sys.exit(0))
    signal.setitimer(signal.ITIMER_REAL, _PATIENCE_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def since_options(command: F) -> F:
    """Give *command* ``--since`` and ``--until``, texts that :func:`moment_of` reads."""
    return _with(
        command,
        click.option(
            "--since", metavar="TIME", help="Start of the time range: -3h, 2026-11-21, 10:05."
        ),
        click.option(
            "--until",
            metavar="TIME",
            help="End of the time range. A date means its first moment: that day is excluded.",
        ),
    )


def where_option(what: str) -> Callable[[F], F]:
    """Give a command ``--where``, which may be repeated and picks *what*."""
    return click.option(
        "-w",
        "--where",
        metavar="CONDITION",
        multiple=True,
        type=condition,
        help=f"{what} that meet this: tool=search, 'level>=WARNING', 'duration>1s', 'path~^/api'."
        " The operators are = != > >= < <= ~ !~. Ordering works on numbers, text, levels and times"
        " (timestamp, start_time, end_time; UTC); other values never match. A number with a unit (ns,"
        " us, ms, s, min, h, d) is compared in the unit that the key ends in (took_ms), else in"
        " seconds.",
    )


def line_options(command: F) -> F:
    """Give *command* the options that pick lines by level, logger and trace."""
    return _with(
        command,
        click.option(
            "--level", metavar="LEVEL", callback=_level, help="Log lines at this level or above."
        ),
        click.option(
            "--logger", metavar="NAME", help="Log lines of this logger and of its children."
        ),
        click.option(
            "--trace", "trace_id", metavar="ID", callback=_hex, help="Lines of this trace."
        ),
    )


def span_option(command: F) -> F:
    """Give *command* ``--span``: the start of an ID in lower case, ``None`` where none was given."""
    return click.option(
        "--span",
        metavar="ID",
        callback=_hex,
        help="This span, its log lines, and the spans below it.",
    )(command)


def tz_option(command: F) -> F:
    """Give *command* ``--tz``: a :class:`datetime.tzinfo`, ``None`` where none was given."""
    return click.option(
        "--tz",
        metavar="ZONE",
        callback=_zone,
        help="The time zone of all times: Europe/Berlin, local.  [default: UTC]",
    )(command)


def moment_of(text: str | None, option: str, tz: tzinfo | None = None) -> str | None:
    """Return the time that *text* names, spelt as in a line; *option* is named in errors.

    Raises:
        click.BadParameter: it names none.
    """
    if text is None:
        return None
    from datetime import timezone  # noqa: PLC0415 - where a time is given

    from tracectrl_logging.reader.filters.moments import moment  # noqa: PLC0415 - as above

    try:
        return moment(text, tz=tz or timezone.utc)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=f"'{option}'") from error


def condition(text: str) -> Condition:
    """Return the condition *text*; the type of an option or argument."""
    from tracectrl_logging.reader.filters.conditions import Condition  # noqa: PLC0415 - where one is given

    try:
        return Condition(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _with(command: F, *options: Callable[[F], F]) -> F:
    return reduce(lambda given, option: option(given), reversed(options), command)


def _note_json(ctx: click.Context, param: click.Parameter, value: object) -> None:
    del param
    ctx.meta[_AS_JSON] = value


def _row_printer(ctx: click.Context, param: click.Parameter, value: str | None) -> PutRow | None:
    if ctx.meta[_AS_JSON]:
        if value not in (None, "json"):
            text = f"--json and --format {value} do not go together"
            raise click.BadParameter(text, ctx, param)
        value = "json"
    if value in (None, "text"):
        return None
    from tracectrl_logging.cli.text import write_line  # noqa: PLC0415 - one of two ways

    if value == "json":
        return write_line
    from tracectrl_logging.reader.json_rows import Compact  # noqa: PLC0415 - one of several ways

    compact = Compact()
    return lambda row: write_line(compact(row))


def _level(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        try:
            condition(f"level>={value}")
        except click.BadParameter as error:
            text = f"a level must be DEBUG, INFO, WARNING, ERROR or CRITICAL, or a number, got {value!r}"
            raise click.BadParameter(text, ctx, param) from error
    return value


def _hex(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    if _SPELT.fullmatch(value) is None:
        text = f"an ID must be hexadecimal digits, all or the first, got {value!r}"
        raise click.BadParameter(text, ctx, param)
    return value.lower()


def _zone(ctx: click.Context, param: click.Parameter, value: str | None) -> tzinfo | None:
    if value is None:
        return None
    from tracectrl_logging.cli.zones import zone_named  # noqa: PLC0415 - where one is given

    try:
        return zone_named(value)
    except (LookupError, ValueError, OSError) as error:
        text = f"a time zone must be UTC, local or a name like Europe/Berlin, got {value!r}"
        raise click.BadParameter(text, ctx, param) from error


def _root(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value == "":
        text = "the trace directory must have a name, got ''"
        raise click.BadParameter(text, ctx, param)
    if value is None and isinstance(ctx.obj, str):
        return ctx.obj
    return value


def _store(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if not is_address(value):
        text = f"a store must be a URL like clickhouses://USER@HOST/DATABASE, got {value!r}"
        raise click.BadParameter(text, ctx, param)
    return value


def _directory(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    root = _root(ctx, param, value)
    if is_address(root):
        text = (
            "this command is about the files of a directory; a store of many machines is read by sessions, show,"
            " why, diff, grep, tail, query, export, view, mcp and doctor, and keeps what the TTL of its tables says"
        )
        raise click.BadParameter(text, ctx, param)
    return root

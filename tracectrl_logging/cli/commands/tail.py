"""``tracectrl-logs tail``: the last log lines of sessions, and what comes."""

from __future__ import annotations

import os
import select
import sys
import time
from typing import TYPE_CHECKING

import click

from tracectrl_logging.cli.errors import NotFoundError, UnusableError
from tracectrl_logging.cli.lookup import is_awaited, made, opened, session_meant
from tracectrl_logging.cli.options import (
    line_options,
    moment_of,
    root_option,
    rows_options,
    sessions_like,
    tz_option,
    where_option,
)
from tracectrl_logging.cli.problems import Problems
from tracectrl_logging.cli.text import shown
from tracectrl_logging.reader.json_rows import typed
from tracectrl_logging.reader.model import InvalidCursorError
from tracectrl_logging.reader.store import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import tzinfo

    from tracectrl_logging.cli.options import PutRow
    from tracectrl_logging.reader import Line, Store, Tail
    from tracectrl_logging.reader.filters.conditions import Condition

_POLL_S = 0.1
_LAST = 10
_ID_WIDTH = 12


@click.command(short_help="Print the last log lines of sessions, and what comes.")
@click.argument("sessions", metavar="[SESSION]...", nargs=-1, shell_complete=sessions_like)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on.")
@click.option(
    "-n",
    "--lines",
    "count",
    type=click.IntRange(min=0),
    metavar="N",
    help=f"How many lines, over all sessions.  [default: {_LAST}; with --since, all]",
)
@click.option(
    "--cursor-file",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="With -f: go on after the cursor in FILE, if there is one, and keep it there.",
)
@click.option("--since", metavar="TIME", help="From this time on: -3h, 2026-11-21, 10:05.")
@line_options
@where_option("Lines")
@rows_options("the stored lines as they are, with -f and their type")
@tz_option
@root_option
def tail(
    root: str | None,
    sessions: tuple[str, ...],
    *,
    follow: bool,
    count: int | None,
    cursor_file: str | None,
    since: str | None,
    level: str | None,
    logger: str | None,
    trace_id: str | None,
    where: tuple[Condition, ...],
    put_row: PutRow | None,
    tz: tzinfo | None,
) -> None:
    """Print the last log lines of one, several or all sessions, merged by time.

    SESSION is an ID, the beginning of one if no other session begins so, or the path of a file.
    Without a SESSION all are meant, and with -f also the sessions that begin later.

    With -f, the command goes on until it is interrupted. Log lines and spans are printed, each once
    and in the order of time, a span where it ends (and before, if it stays open), across rotation,
    copies, compression and removal of files; a line about a third of a second after it was written.
    -f waits for a session or a trace directory that does not exist yet. With --cursor-file, what was
    written since the last time comes first.

    \b
    Examples:
      tracectrl-logs tail -n 50
      tracectrl-logs tail -f --level WARNING
      tracectrl-logs tail -f --json 6f1c | jq .message
      tracectrl-logs tail -f --json --cursor-file position | ship
      tracectrl-logs tail --since -10m --where tool=search

    Exit status: 0 there were lines, 1 there were none, 2 wrong use or unreadable input; 130 where
    -f is interrupted.
    """  # noqa: D301 - \b is click's mark for a paragraph that keeps its lines
    from tracectrl_logging.reader.filters.selection import Selection  # noqa: PLC0415 - not for ``--help``

    problems = Problems()
    store = _store_meant(root, problems, follow=follow)
    sids = list(dict.fromkeys(_session_meant(given, store, follow=follow) for given in sessions))
    selection = Selection(
        since=moment_of(since, "--since", tz),
        level=level,
        logger=logger,
        trace_id=trace_id,
        where=where,
    )
    if count is None and since is None:
        count = _LAST
    if cursor_file is not None and not follow:
        text = "--cursor-file goes with -f"
        raise click.UsageError(text)
    put = _printer(put_row, with_type=follow, with_session=len(sids) != 1, tz=tz)
    kinds = KINDS if follow else ("log",)
    after = None if cursor_file is None else _stored_cursor(cursor_file)
    try:
        end = store.tail(sids, selection, kinds=kinds, count=count, after=after, complete=follow)
    except InvalidCursorError as error:
        text = f"{shown(str(error))}; without '{shown(cursor_file or '')}' it begins anew"
        raise UnusableError(text) from error
    keep = _keeper(cursor_file)
    printed: int | None = None  # how many lines that the cursor in the file is not behind yet
    with end:
        try:
            found = _put_all(end.last(), put)
            printed = 0
            sys.stdout.flush()
            problems.flush()
            keep(end, printed)
            while follow and not _is_reader_gone():
                printed = None
                lines = end.poll()
                for printed, line in enumerate(lines, 1):  # noqa: B007 - how many were printed
                    put(line)
                if lines:
                    del line  # it may be long, and so may the next
                    sys.stdout.flush()
                    keep(end, len(lines))
                problems.flush()
                del lines
                time.sleep(end.pause_s(_POLL_S))
        except KeyboardInterrupt:
            if printed is not None:
                keep(end, printed)
            problems.sum_up()
            raise
    problems.exit(found=found or follow)


def _keeper(path: str | None) -> Callable[[Tail, int], None]:
    """Return what puts where a tail stands, behind so many new lines, into the file at *path*."""
    if path is None:
        return lambda _end, _count: None
    new = f"{path}.new"

    def keep(end: Tail, count: int) -> None:
        try:
            with open(new, "w", encoding="ascii") as file:
                file.write(f"{end.cursor_after(count)}\n")
            os.replace(new, path)  # so that one or the other is always there
        except OSError as error:
            text = f"cannot write '{shown(path)}': {error.strerror}"
            raise UnusableError(text) from error

    return keep


def _stored_cursor(path: str) -> str | None:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read().strip() or None
    except FileNotFoundError:
        return None
    except OSError as error:
        text = f"cannot read '{shown(path)}': {error.strerror}"
        raise UnusableError(text) from error


def _store_meant(root: str | None, problems: Problems, *, follow: bool) -> Store:
    if follow:
        store = made(root, problems)
        if is_awaited(store):
            click.echo(f"Waiting for the trace directory {shown(store.name)}", err=True)
            return store
    return opened(root, problems)


def _session_meant(given: str, store: Store, *, follow: bool) -> str:
    """Return the ID that *given* names; with *follow*, it may be that of a session to come."""
    if follow and given and is_awaited(store):
        return given
    try:
        return session_meant(given, store)
    except NotFoundError as error:
        if not follow:
            raise
        click.echo(f"Waiting: {error.message}", err=True)
        return given


def _put_all(lines: Iterable[Line], put: Callable[[Line], None]) -> bool:
    """Print *lines* and tell whether there were any."""
    found = False
    for line in lines:
        put(line)
        del line  # it may be long, and so may the next
        found = True
    return found


def _is_reader_gone() -> bool:
    """Tell whether nobody reads stdout any more: ``| head`` has ended, and no line has come since."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(event & (select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0))
    except (AttributeError, OSError, ValueError):  # not on this system, or stdout is no file
        return False


def _printer(
    put_row: PutRow | None, *, with_type: bool, with_session: bool, tz: tzinfo | None
) -> Callable[[Line], None]:
    if put_row is not None:
        return lambda line: put_row(typed(line) if with_type else line.raw)
    from tracectrl_logging.cli.render import line_text  # noqa: PLC0415 - not for ``--json``
    from tracectrl_logging.cli.render.columns import cut, padded  # noqa: PLC0415 - as above
    from tracectrl_logging.cli.render.screen import Screen  # noqa: PLC0415 - as above
    from tracectrl_logging.cli.render.time_format import TimeFormat  # noqa: PLC0415 - as above

    screen, times = Screen(), TimeFormat(tz)

    def put(line: Line) -> None:
        column, body_of = line_text.of(line.kind)
        level, body = column(line.row), body_of(line.row, full=False, with_service=False)
        sid = line.session_id
        if not screen.is_terminal:  # each on a line of its own, for the next program
            head = [
                (f"{shown(sid)}  ", "cyan"),
                (f"{times.of(line, line.row, exact=True)}  ", "dim"),
                level,
            ]
            screen.one_line(body, [*head, ("  ", "")])
            return
        first = [(f"{times.of(line, line.row)}  ", "dim")]
        if with_session:
            first.append((f"{padded(cut(shown(sid), _ID_WIDTH), _ID_WIDTH)}  ", "cyan"))
        screen.line(body, [*first, level, ("  ", "")], [("    ", "")])

    return put

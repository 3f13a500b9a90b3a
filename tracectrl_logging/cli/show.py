"""``tracectrl-logs show``: what happened in a session."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from tracectrl_logging.cli.common import (
    Problems,
    checked_root,
    json_option,
    root_option,
    session_meant,
    shown,
    write_line,
)
from tracectrl_logging.cli.typed import typed
from tracectrl_logging.reader.merge import merge, merged

if TYPE_CHECKING:
    from tracectrl_logging.cli.screen import Screen
    from tracectrl_logging.reader import Line

_DEEPEST = 12
_HOUR_S = 3600


@click.command(short_help="Show what happened in sessions, in time order.")
@click.argument("given", metavar="SESSION...", nargs=-1, required=True)
@click.option("--full", is_flag=True, help="Unfold tracebacks, stacks, and the details of spans.")
@json_option('the stored lines plus "type", of all sessions in time order')
@root_option
def show(root: str | None, given: tuple[str, ...], *, as_json: bool, full: bool) -> None:
    """Show the log lines and spans of each SESSION in time order, lines nested under their spans.

    SESSION is an ID, or the start of one where no other begins alike. The first column is the time
    since the session's first line, in seconds. A traceback is folded to its last line.

    With --json, a key "type" of a stored line's own becomes "extra_type", and spans that are stored
    as OTLP have the keys of the other spans.
    """
    path = checked_root(root)
    problems = Problems()
    meant = dict(session_meant(start, path) for start in given)
    found = False
    if as_json:
        for line in merge(merged(files, sid, problems) for sid, files in meant.items()):
            write_line(typed(line))
            found = True
    else:
        from tracectrl_logging.cli.screen import Screen  # noqa: PLC0415 - one of two ways

        screen = Screen()
        for sid, files in meant.items():
            lines = list(merged(files, sid, problems))
            if found:
                screen.line([])
            if lines:
                _print(sid, lines, screen, full=full)
                found = True
            else:
                problems.flush()
                click.echo(f"no lines in session {shown(sid)}", err=True)
    problems.exit(found=found)


def _print(sid: str, lines: list[Line], screen: Screen, *, full: bool) -> None:
    from tracectrl_logging.cli import looks  # noqa: PLC0415 - not for ``--json``
    from tracectrl_logging.reader.timeline import nest, walk  # noqa: PLC0415 - as above

    services = {name for line in lines if isinstance(name := line.row.get("service"), str)}
    start = _moment(next((line.time for line in lines if line.time), ""))
    _print_head(sid, lines, sorted(services), screen)
    many = len(services) > 1
    for depth, line in walk(nest(lines)):
        if line.kind == "span":
            column, body = (f"{'SPAN':<{looks.LEVEL_WIDTH}}", "blue"), looks.span
        else:
            column, body = looks.level(line.row), looks.log
        guides = "│ " * depth if depth <= _DEEPEST else "│ " * _DEEPEST + f"({depth}) "
        at = _offset(start, _moment(line.time))
        first = [(f"{at}  ", "dim"), column, ("  ", ""), (guides, "dim")]
        inner = "│ " if line.kind == "span" else "  "
        gap = " " * (len(at) + 2 + len(column[0]) + 2)
        screen.line(
            body(line.row, full=full, with_service=many), first, [(gap + guides + inner, "dim")]
        )


def _print_head(sid: str, lines: list[Line], services: list[str], screen: Screen) -> None:
    from tracectrl_logging.cli.looks import count, duration  # noqa: PLC0415 - not for ``--json``
    from tracectrl_logging.reader.summary import ERROR_LEVELS  # noqa: PLC0415 - as above

    spans = sum(line.kind == "span" for line in lines)
    errors = sum(
        line.kind == "log" and text in ERROR_LEVELS
        for line in lines
        if isinstance(text := line.row.get("level", ""), str)
    )
    parts = [count(len(lines) - spans, "log line"), count(spans, "span")]
    times = [line.time for line in lines if line.time]
    first = _moment(times[0]) if times else None
    last = _moment(max(times + _ends(lines))) if times else None
    if first is not None and last is not None:
        took_us = (last - first).days * 86_400_000_000 + (last - first).seconds * 1_000_000
        took_us += (last - first).microseconds
        parts[:0] = [f"{first:%Y-%m-%d %H:%M:%S} UTC", duration(took_us * 1000)]
    screen.line([(shown(sid), "bold cyan")])
    body = [(" · ".join(parts), "dim"), (" · ", "dim")]
    body.append((count(errors, "error"), "red" if errors else "dim"))
    if services:
        body.append((f" · {', '.join(map(shown, services))}", "dim"))
    screen.line(body)
    screen.line([])


def _ends(lines: list[Line]) -> list[str]:
    from tracectrl_logging.reader.lines import time_of  # noqa: PLC0415 - not for ``--json``

    ends = (time_of(line.row.get("end_time")) for line in lines if line.kind == "span")
    return [end for end in ends if end is not None]


def _moment(time: str) -> datetime | None:
    try:
        return datetime.fromisoformat(time.removesuffix("Z"))
    except ValueError:
        return None


def _offset(start: datetime | None, moment: datetime | None) -> str:
    """Return the seconds from *start* to *moment* as a column."""
    if start is None or moment is None:
        return f"{'-':>9}"
    seconds = (moment - start).total_seconds()
    if seconds < _HOUR_S:
        return f"{seconds:9.3f}"
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes) // 60}:{int(minutes) % 60:02}:{rest:06.3f}".rjust(9)

"""A session as a tree: lines under their spans, with the time since the session's start."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from tracectrl_logging.cli.render import line_text
from tracectrl_logging.cli.render.columns import guides
from tracectrl_logging.cli.render.time_format import mark_of
from tracectrl_logging.cli.text import shown
from tracectrl_logging.reader.timeline.tree import nest, walk

if TYPE_CHECKING:
    from typing import Final

    from tracectrl_logging.cli.render.line_text import View
    from tracectrl_logging.reader.model import Line, SessionSummary

_HOUR_S: Final = 3600
_STATE_STYLES: Final = {"running": "green", "crashed": "bold red"}


def put(lines: list[Line], totals: SessionSummary, view: View) -> None:
    """Print the *lines* of a session, all of it or a part; *totals* are of all of it."""
    _put_head(lines, totals, view)
    start = moment(totals.first_time)
    many = len(totals.services) > 1
    until = totals.last_time
    for depth, line in walk(nest(lines)):
        column, said = view.parts(line, with_service=many, until=until)
        before = guides(depth)
        at = offset(start, moment(line.time))
        first = [(f"{at}{mark_of(line, line.row):<2}", "dim"), column, ("  ", ""), (before, "dim")]
        inner = "│ " if line.kind == "span" else "  "
        gap = " " * (len(at) + 2 + len(column[0]) + 2)
        view.screen.line(said, first, [(gap + before + inner, "dim")])


def _put_head(lines: list[Line], totals: SessionSummary, view: View) -> None:
    shown_spans = sum(line.kind == "span" for line in lines)
    parts = [
        _part(len(lines) - shown_spans, totals.logs, "log line"),
        _part(shown_spans, totals.spans, "span"),
    ]
    if totals.first_time is not None and totals.duration_ns is not None:
        parts[:0] = [view.times.second(totals.first_time), line_text.duration(totals.duration_ns)]
    head = [(shown(totals.session_id), "bold cyan")]
    if totals.state in _STATE_STYLES:
        head.append((f"  {totals.state}", _STATE_STYLES[totals.state]))
    view.screen.line(head)
    body = [(" · ".join(parts), "dim"), (" · ", "dim")]
    body.append((line_text.count(totals.errors, "error"), "red" if totals.errors else "dim"))
    if totals.error_spans:
        body += [(" · ", "dim"), (line_text.count(totals.error_spans, "span") + " in error", "red")]
    if totals.open_spans:
        body += [(" · ", "dim"), (line_text.count(totals.open_spans, "span") + " open", "yellow")]
    if totals.services:
        body.append((f" · {', '.join(map(shown, totals.services))}", "dim"))
    view.screen.line(body)
    view.screen.line([])


def _part(number: int, total: int, name: str) -> str:
    """Return how many there are, or are shown of those that there are."""
    return (
        line_text.count(number, name)
        if number == total
        else f"{number} of {line_text.count(total, name)}"
    )


def moment(time: str | None) -> datetime | None:
    """Return the moment that a line's *time* is, ``None`` where it is none."""
    try:
        return datetime.fromisoformat((time or "").removesuffix("Z"))
    except ValueError:
        return None


def offset(start: datetime | None, at: datetime | None) -> str:
    """Return the seconds from *start* to the moment *at* as a column."""
    if start is None or at is None:
        return f"{'-':>9}"
    seconds = (at - start).total_seconds()
    if seconds < _HOUR_S:
        return f"{seconds:9.3f}"
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes) // 60}:{int(minutes) % 60:02}:{rest:06.3f}".rjust(9)

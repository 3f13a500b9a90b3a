"""A session as a tree: lines under their spans, with the time since the session's start."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from tracectrl_logging.cli.common import shown
from tracectrl_logging.cli.render import looks
from tracectrl_logging.reader.files.lines import time_of
from tracectrl_logging.reader.timeline.tally import ERROR_LEVELS
from tracectrl_logging.reader.timeline.tree import nest, walk

if TYPE_CHECKING:
    from typing import Final

    from tracectrl_logging.cli.render.view import View
    from tracectrl_logging.reader.model import Kind, Line

_DEEPEST: Final = 12
_HOUR_S: Final = 3600
_US: Final = 1_000_000


@dataclass(slots=True)
class Totals:
    """What a session has, shown or not."""

    lines: dict[Kind, int] = field(default_factory=lambda: {"log": 0, "span": 0})
    errors: int = 0
    services: set[str] = field(default_factory=set)
    first: str = ""
    """The earliest time of a line, ``""`` for none."""
    last: str = ""
    """The latest, ends of spans included."""

    def add(self, line: Line) -> None:
        """Count *line*."""
        self.lines[line.kind] += 1
        row = line.row
        level, service = row.get("level"), row.get("service")
        if line.kind == "log" and isinstance(level, str) and level in ERROR_LEVELS:
            self.errors += 1
        if isinstance(service, str):
            self.services.add(service)
        if not line.time:
            return
        end = (time_of(row.get("end_time")) if line.kind == "span" else None) or line.time
        self.first = min(self.first or line.time, line.time)
        self.last = max(self.last, line.time, end)


def put(sid: str, lines: list[Line], totals: Totals, view: View) -> None:
    """Print the *lines* of the session *sid*, all of it or a part."""
    _put_head(sid, lines, totals, view)
    start = _moment(totals.first)
    many = len(totals.services) > 1
    for depth, line in walk(nest(lines)):
        column, said = view.parts(line, with_service=many)
        guides = "│ " * depth if depth <= _DEEPEST else "│ " * _DEEPEST + f"({depth}) "
        at = _offset(start, _moment(line.time))
        first = [(f"{at}  ", "dim"), column, ("  ", ""), (guides, "dim")]
        inner = "│ " if line.kind == "span" else "  "
        gap = " " * (len(at) + 2 + len(column[0]) + 2)
        view.screen.line(said, first, [(gap + guides + inner, "dim")])


def _put_head(sid: str, lines: list[Line], totals: Totals, view: View) -> None:
    shown_spans = sum(line.kind == "span" for line in lines)
    parts = [
        _part(len(lines) - shown_spans, totals.lines["log"], "log line"),
        _part(shown_spans, totals.lines["span"], "span"),
    ]
    first, last = _moment(totals.first), _moment(totals.last)
    if first is not None and last is not None:
        took = last - first
        took_us = (took.days * 86_400 + took.seconds) * _US + took.microseconds
        parts[:0] = [view.clock.second(totals.first), looks.duration(took_us * 1000)]
    view.screen.line([(shown(sid), "bold cyan")])
    body = [(" · ".join(parts), "dim"), (" · ", "dim")]
    body.append((looks.count(totals.errors, "error"), "red" if totals.errors else "dim"))
    if totals.services:
        body.append((f" · {', '.join(map(shown, sorted(totals.services)))}", "dim"))
    view.screen.line(body)
    view.screen.line([])


def _part(number: int, total: int, name: str) -> str:
    """Return how many there are, or are shown of those that there are."""
    return (
        looks.count(number, name) if number == total else f"{number} of {looks.count(total, name)}"
    )


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

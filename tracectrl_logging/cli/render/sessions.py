"""Sessions as a table, or, in a narrow terminal, a few lines each."""

from __future__ import annotations

from datetime import timezone
from typing import TYPE_CHECKING, NamedTuple

from tracectrl_logging.cli.render.columns import GAP, cut, padded, width_of
from tracectrl_logging.cli.render.line_text import count, duration
from tracectrl_logging.cli.render.screen import Screen
from tracectrl_logging.cli.render.time_format import TimeFormat
from tracectrl_logging.cli.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import tzinfo

    from tracectrl_logging.reader import SessionSummary

_WIDEST_ID = 48
_WIDEST_SERVICES = 30
_MOST_PER_COLUMN = 8
"""How many characters of a message are looked at for one column: accents take none of their own."""
_LEAST_MESSAGE = 12
"""A terminal that has less room for the first message gets a block of lines for each session."""


class _Cells(NamedTuple):
    """What the table says of one session."""

    sid: str
    last: str
    took: str
    logs: str
    spans: str
    errors: str
    services: str


def print_table(summaries: Iterable[SessionSummary], tz: tzinfo | None) -> None:
    """Print *summaries*, which are gone through twice; times are of the zone *tz*, or UTC."""
    screen = Screen()
    times = TimeFormat(tz)
    titles = _Cells(
        "SESSION", f"LAST ({_name(tz)})", "DURATION", "LOGS", "SPANS", "ERRORS", "SERVICES"
    )
    widths = [len(title) for title in titles]
    for summary in summaries:
        widths = list(map(max, widths, map(width_of, _cells(summary, times))))
    widths[0] = min(widths[0], _WIDEST_ID)
    if screen.width is not None:
        widths[-1] = min(widths[-1], _WIDEST_SERVICES)
    room = None
    if screen.width is not None:
        room = screen.width - sum(widths) - len(GAP) * len(widths)
        if room < _LEAST_MESSAGE:
            for summary in summaries:
                _print_block(summary, times, screen)
            return
    screen.line([(GAP.join((*_aligned(titles, widths), "FIRST MESSAGE")), "bold")])
    for summary in summaries:
        cells = _aligned(_cells(summary, times), widths)
        screen.line(
            [
                (cells.sid, "cyan"),
                (GAP.join(("", cells.last, cells.took, cells.logs, cells.spans, "")), ""),
                (cells.errors, "red" if summary.errors else "dim"),
                (GAP + cells.services, ""),
                (GAP + _message(summary, room), "dim"),
            ]
        )


def _print_block(summary: SessionSummary, times: TimeFormat, screen: Screen) -> None:
    """Print one session on lines of its own."""
    cells = _cells(summary, times)
    first = times.to_the_second(summary.first_time or "")
    until = cells.last[11:] if cells.last[:10] == first[:10] else cells.last
    screen.line([(cells.sid, "cyan"), (GAP + cells.services, "")])
    screen.line(
        [
            (f"{first} - {until}  {cells.took}  " if summary.first_time else "no lines  ", ""),
            (f"{count(summary.logs, 'log')}  {count(summary.spans, 'span')}  ", ""),
            (count(summary.errors, "error"), "red" if summary.errors else "dim"),
        ],
        [(GAP, "")],
    )
    if summary.first_message and screen.width is not None:
        screen.line([(_message(summary, screen.width - len(GAP)), "dim")], [(GAP, "")])


def _cells(summary: SessionSummary, times: TimeFormat) -> _Cells:
    return _Cells(
        shown(summary.session_id),
        times.to_the_second(summary.last_time or ""),
        "-" if summary.duration_ns is None else duration(summary.duration_ns),
        str(summary.logs),
        str(summary.spans),
        str(summary.errors),
        ", ".join(map(shown, summary.services)),
    )


def _aligned(cells: _Cells, widths: list[int]) -> _Cells:
    services = len(widths) - 1
    return _Cells(
        *(
            padded(
                cut(cell, width) if index == services else cell,
                width,
                to_the_right=0 < index < services and index != 1,
            )
            for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
    )


def _message(summary: SessionSummary, room: int | None) -> str:
    text = summary.first_message or ""
    return shown(text) if room is None else cut(shown(text[: _MOST_PER_COLUMN * room]), room)


def _name(tz: tzinfo | None) -> str:
    """Return what people call the zone *tz*."""
    return "UTC" if tz is None or tz is timezone.utc else str(tz)

"""``tracectrl-logs sessions``: which sessions there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tracectrl_logging.cli.common import (
    Problems,
    checked_root,
    json_option,
    root_option,
    shown,
    write_line,
)
from tracectrl_logging.reader import SessionSummary
from tracectrl_logging.reader import sessions as all_sessions

if TYPE_CHECKING:
    from tracectrl_logging.cli.screen import Screen

_TITLES = ("SESSION", "FIRST (UTC)", "LAST (UTC)", "LOGS", "SPANS", "ERRORS", "SERVICES")
_NUMBERS = slice(3, 6)
_WIDEST_ID = 48


@click.command()
@click.option("--limit", "-n", type=click.IntRange(min=1), metavar="N", help="Show N at most.")
@json_option("session_id, first_time, last_time, logs, spans, errors, services")
@root_option
def sessions(root: str | None, *, as_json: bool, limit: int | None) -> None:
    """List the sessions, the latest first.

    Errors are log lines at ERROR or above. Records written outside any session are in the session
    "unknown".
    """
    path = checked_root(root)
    problems = Problems()
    summaries = all_sessions(path, on_damage=problems)
    problems.flush()
    if as_json:
        from tracectrl._json import encode_line  # noqa: PLC0415 - one of two ways

        for summary in summaries[:limit]:
            write_line(encode_line(summary._asdict())[:-1])
    elif summaries:
        from tracectrl_logging.cli.screen import Screen  # noqa: PLC0415 - one of two ways

        _print(summaries[:limit], Screen())
    if not summaries:
        click.echo(f"no sessions in {shown(path)}", err=True)
    problems.exit(found=bool(summaries))


def _print(summaries: list[SessionSummary], screen: Screen) -> None:
    rows = [_cells(summary) for summary in summaries]
    widths = [max(map(len, column)) for column in zip(_TITLES, *rows, strict=True)]
    widths[0] = min(widths[0], _WIDEST_ID)
    needed = sum(widths) + 2 * (len(widths) - 1)
    if screen.width is not None and needed > screen.width:
        for summary, cells in zip(summaries, rows, strict=True):
            _print_block(summary, cells, screen)
        return
    screen.line([("  ".join(_aligned(_TITLES, widths)), "bold")])
    for summary, cells in zip(summaries, rows, strict=True):
        sid, first, last, logs, spans, errors, services = _aligned(cells, widths)
        screen.line(
            [
                (sid, "cyan"),
                (f"  {first}  {last}  {logs}  {spans}  ", ""),
                (errors, "red" if summary.errors else "dim"),
                (f"  {services}", ""),
            ]
        )


def _print_block(summary: SessionSummary, cells: tuple[str, ...], screen: Screen) -> None:
    """Print one session on two lines, for a narrow terminal."""
    from tracectrl_logging.cli.looks import count  # noqa: PLC0415 - not for ``--json``

    sid, first, last, *_, services = cells
    screen.line([(sid, "cyan"), (f"  {services}", "")])
    until = last[11:] if last[:10] == first[:10] else last
    screen.line(
        [
            (f"{first} - {until}  " if summary.first_time else "no lines  ", ""),
            (f"{count(summary.logs, 'log')}  {count(summary.spans, 'span')}  ", ""),
            (count(summary.errors, "error"), "red" if summary.errors else "dim"),
        ],
        [("  ", "")],
    )


def _cells(summary: SessionSummary) -> tuple[str, ...]:
    return (
        shown(summary.session_id),
        _second(summary.first_time),
        _second(summary.last_time),
        str(summary.logs),
        str(summary.spans),
        str(summary.errors),
        ", ".join(map(shown, summary.services)),
    )


def _second(time: str | None) -> str:
    return "-" if time is None else time[:19].replace("T", " ")


def _aligned(cells: tuple[str, ...], widths: list[int]) -> list[str]:
    numbers = range(len(cells))[_NUMBERS]
    return [
        cell.rjust(width) if index in numbers else cell.ljust(width)
        for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]

"""``tracectrl-logs diff``: how two sessions differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tracectrl_logging.cli.lookup import opened, session_meant
from tracectrl_logging.cli.options import json_option, root_option, sessions_like
from tracectrl_logging.cli.problems import Problems
from tracectrl_logging.cli.render.line_text import duration
from tracectrl_logging.cli.render.screen import Screen
from tracectrl_logging.cli.text import shown, write_line
from tracectrl_logging.reader.diagnosis.diff import compare

if TYPE_CHECKING:
    from typing import Final

    from tracectrl_logging.reader.diagnosis.diff import Change, Seen

_CHANGE_WIDTH: Final = 8
_LEVEL_WIDTH: Final = 8
_STYLES: Final = {"failed": "red", "new": "green", "missing": "yellow", "slower": "magenta"}


@click.command(short_help="Say how two sessions differ.")
@click.argument("before", metavar="A", shell_complete=sessions_like)
@click.argument("after", metavar="B", shell_complete=sessions_like)
@click.option("--limit", "-n", type=click.IntRange(min=1), metavar="N", help="Show N at most.")
@json_option("the changes, the biggest first")
@root_option
def diff(root: str | None, before: str, after: str, *, limit: int | None, as_json: bool) -> None:
    """Say how session B differs from session A: what failed, what is new or missing, what took longer.

    Spans are compared by their names from the outermost down, log lines by their span, logger and
    message; numbers, IDs and times in them do not count. Of a span the time is compared that it took
    itself, without what it called. The biggest change comes first.

    \b
    Examples:
      tracectrl-logs diff a1b2 c3d4
      tracectrl-logs diff a1b2 c3d4 --json | jq -r 'select(.change == "slower").path | join("/")'

    Exit status: 0 they differ, 1 they do not, 2 wrong use or unreadable input.
    """  # noqa: D301 - \b is click's mark for a paragraph that keeps its lines
    problems = Problems()
    store = opened(root, problems)
    sids = session_meant(before, store), session_meant(after, store)
    changes = compare(*map(store.read, sids))
    if as_json:
        from tracectrl._json import encode_line  # noqa: PLC0415 - one of two ways

        for change in changes[:limit]:
            write_line(encode_line(change.row())[:-1])
    elif not changes:
        problems.flush()
        problems.say(f"no difference between {shown(sids[0])} and {shown(sids[1])}")
    else:
        screen = Screen()
        for change in changes[:limit]:
            _put(change, screen)
    problems.exit(found=bool(changes))


def _put(change: Change, screen: Screen) -> None:
    level = (change.after.level or change.before.level) if change.what == "log" else "SPAN"
    first = [
        (f"{change.change:<{_CHANGE_WIDTH}}  ", _STYLES.get(change.change, "")),
        (f"{shown(level):<{_LEVEL_WIDTH}}  ", "dim"),
    ]
    path = " > ".join(map(shown, change.path))
    if change.what == "span":
        body = [(path, "bold"), (f": {change.message}" if change.after.errors else "", "red")]
    else:
        logger = f"{shown(change.logger)}: " if change.logger else ""
        body = [(logger, "cyan"), (change.message.rstrip("\n"), "")]
        body.append((f"\nin {path}" if path else "", "dim"))
    body.append(
        (
            f"  {_figures(change.change, change.before)} -> {_figures(change.change, change.after)}",
            "dim",
        )
    )
    screen.line(body, first)


def _figures(change: str, seen: Seen) -> str:
    """Return what has changed, in one session."""
    if change in {"slower", "faster"}:
        return duration(seen.own_ns or 0)
    if change == "level":
        return shown(seen.level)
    if change in {"failed", "mended"} and seen.times:
        return f"{seen.errors} of {seen.times}"
    return str(seen.times)

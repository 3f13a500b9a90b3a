"""``tracectrl-logs grep``: log lines that match a pattern, over all sessions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from tracectrl_logging.cli.common import (
    Problems,
    UnusableError,
    checked_root,
    json_option,
    root_option,
    session_meant,
    shown,
    write_line,
)
from tracectrl_logging.reader.find import find_all, id_of
from tracectrl_logging.reader.grep import Query
from tracectrl_logging.reader.grep import grep as grep_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracectrl_logging.reader import Line


@click.command(short_help="Print the log lines that match a pattern.")
@click.argument("pattern")
@click.option("--session", "given", metavar="ID", help="Search this session alone.")
@click.option("-F", "--fixed-strings", "literal", is_flag=True, help="PATTERN is plain text.")
@click.option("-i", "--ignore-case", is_flag=True, help="Letters match in either case.")
@click.option("-v", "--invert-match", "invert", is_flag=True, help="The lines that do not match.")
@click.option("-c", "--count", "only_count", is_flag=True, help="Print how many lines match.")
@click.option("-l", "--session-ids", "only_ids", is_flag=True, help="Print session IDs alone.")
@json_option("the stored log lines as they are")
@root_option
def grep(
    root: str | None,
    pattern: str,
    given: str | None,
    *,
    literal: bool,
    ignore_case: bool,
    invert: bool,
    only_count: bool,
    only_ids: bool,
    as_json: bool,
) -> None:
    """Print the log lines that match PATTERN, a regular expression (Python's re).

    It is searched in the line as it is stored, which finds any key or value, and in its message and
    its exception as they read, without JSON's escapes. The ID of a session, or the start of one
    where no other begins alike, limits the search to it.

    With --json, -c prints {"session_id", "count"} and -l prints {"session_id"} for each session
    with a match.
    """
    path = checked_root(root)
    problems = Problems()
    try:
        query = Query(pattern, literal=literal, ignore_case=ignore_case, invert=invert)
    except (re.error, OverflowError, RecursionError) as error:
        text = f"PATTERN is no regular expression: {shown(str(error))}; -F takes it as plain text"
        raise UnusableError(text) from error
    if given is None:
        everything = [(id_of(files, problems), files) for files in find_all(path)]
        everything.sort(key=lambda item: item[0])
    else:
        everything = [session_meant(given, path)]
    matches = 0
    put = _line_printer(query, invert=invert, as_json=as_json)
    for sid, files in everything:
        count = 0
        for line in grep_lines(query, files, sid, problems):
            count += 1
            if only_ids:
                break
            if not only_count:
                put(sid, line)
        matches += count
        if count and (only_ids or (only_count and as_json)):
            _print_session(sid, None if only_ids else count, as_json=as_json)
    if only_count and not only_ids and not as_json:
        click.echo(matches)
    problems.exit(found=matches > 0)


def _print_session(sid: str, count: int | None, *, as_json: bool) -> None:
    if not as_json:
        click.echo(shown(sid))
        return
    from tracectrl._json import encode_line  # noqa: PLC0415 - one of two ways

    row = {"session_id": sid} if count is None else {"session_id": sid, "count": count}
    write_line(encode_line(row)[:-1])


def _line_printer(query: Query, *, invert: bool, as_json: bool) -> Callable[[str, Line], None]:
    if as_json:
        return lambda _, line: write_line(line.raw)
    from tracectrl_logging.cli import looks  # noqa: PLC0415 - not for ``--json``
    from tracectrl_logging.cli.screen import Screen  # noqa: PLC0415 - as above

    screen = Screen()
    marked = None if invert else query.regex
    before: list[str] = []

    def put(sid: str, line: Line) -> None:
        body = looks.log(line.row, full=False, with_service=False)
        time = (line.time or "-").replace("T", " ")
        if not screen.is_terminal:  # each match on a line of its own, for the next program
            joined = shown("".join(text for text, _ in body))
            level, _ = looks.level(line.row)
            screen.line([(f"{shown(sid)}  {time}  {level}  {joined}", "")])
            return
        if before != [sid]:
            if before:
                screen.line([])
            before[:] = [sid]
            screen.line([(shown(sid), "bold cyan")])
        screen.line(
            body,
            [(f"{time[:23]}  ", "dim"), looks.level(line.row), ("  ", "")],
            [("    ", "")],
            marked=marked,
        )

    return put

"""``tracectrl-logs grep``: log lines that match a pattern, over all sessions."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import click

from tracectrl_logging.cli.errors import UnusableError
from tracectrl_logging.cli.lookup import opened, session_meant
from tracectrl_logging.cli.options import (
    condition,
    line_options,
    moment_of,
    root_option,
    rows_options,
    sessions_like,
    since_options,
    tz_option,
    where_option,
)
from tracectrl_logging.cli.problems import Problems
from tracectrl_logging.cli.render.matches import Lines, Stored, Totals
from tracectrl_logging.cli.render.progress import progress
from tracectrl_logging.cli.text import shown
from tracectrl_logging.reader.filters.search import Count, Query, Search
from tracectrl_logging.reader.filters.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import tzinfo

    from tracectrl_logging.cli.options import PutRow
    from tracectrl_logging.cli.render.matches import Put
    from tracectrl_logging.reader.filters.conditions import Condition
    from tracectrl_logging.reader.filters.search import Hit

_NUMBER = click.IntRange(min=0)


@click.command(short_help="Print the log lines that match a pattern.")
@click.argument("pattern")
@click.argument("conditions", metavar="[CONDITION]...", nargs=-1, type=condition)
@click.option(
    "--session",
    "given",
    metavar="ID",
    multiple=True,
    shell_complete=sessions_like,
    help="Search this session; may be repeated.",
)
@click.option("-F", "--fixed-strings", "literal", is_flag=True, help="PATTERN is plain text.")
@click.option("-i", "--ignore-case", is_flag=True, help="Letters match in either case.")
@click.option("-v", "--invert-match", "invert", is_flag=True, help="The lines that do not match.")
@click.option("-c", "--count", "only_count", is_flag=True, help="Print how many lines match.")
@click.option("-l", "--session-ids", "only_ids", is_flag=True, help="Print session IDs alone.")
@click.option("-C", "--context", type=_NUMBER, metavar="N", help="N lines around each match, too.")
@click.option("-B", "--before-context", "before", type=_NUMBER, metavar="N", help="N before it.")
@click.option("-A", "--after-context", "after", type=_NUMBER, metavar="N", help="N after it.")
@click.option(
    "-m",
    "--max-count",
    "most",
    type=click.IntRange(min=1),
    metavar="N",
    help="N matches of each session at most.",
)
@click.option(
    "-n", "--limit", type=click.IntRange(min=1), metavar="N", help="N matches in all at most."
)
@where_option("Log lines")
@line_options
@since_options
@tz_option
@rows_options("the stored log lines that match, as they are")
@root_option
def grep(
    root: str | None,
    pattern: str,
    conditions: tuple[Condition, ...],
    given: tuple[str, ...],
    *,
    literal: bool,
    ignore_case: bool,
    invert: bool,
    only_count: bool,
    only_ids: bool,
    context: int | None,
    before: int | None,
    after: int | None,
    most: int | None,
    limit: int | None,
    where: tuple[Condition, ...],
    level: str | None,
    logger: str | None,
    trace_id: str | None,
    since: str | None,
    until: str | None,
    tz: tzinfo | None,
    put_row: PutRow | None,
) -> None:
    """Print the log lines that match PATTERN, a regular expression (Python's re).

    PATTERN is searched in the stored line, so that keys and values are found, and in each text of
    the line without JSON's escapes. The PATTERN "" matches every line. Each CONDITION must be met as
    well, as with --where; -v inverts the PATTERN alone.

    Sessions are printed in the order of their IDs, the lines of each in the order of writing.
    --session takes an ID, the beginning of one if no other session begins so, or a file's path.

    With --json, -c prints {"session_id", "count"} and -l prints {"session_id"} for each session
    with a match; the lines around a match are left out.

    \b
    Examples:
      tracectrl-logs grep timeout
      tracectrl-logs grep -F 'rate limit (429)' --since -3h -C 2
      tracectrl-logs grep timeout 'level>=WARNING' tool=search
      tracectrl-logs grep '' 'duration>1s' --json
      tracectrl-logs grep -l timeout

    Exit status: 0 a line matches, 1 none does, 2 wrong use or unreadable input.
    """  # noqa: D301 - \b is click's mark for a paragraph that keeps its lines
    is_short = only_count or only_ids
    is_alone = is_short or put_row is not None
    around = 0 if is_alone else context or 0
    search = Search(
        query=_query(pattern, literal=literal, ignore_case=ignore_case, invert=invert),
        selection=Selection(
            since=moment_of(since, "--since", tz),
            until=moment_of(until, "--until", tz),
            level=level,
            logger=logger,
            trace_id=trace_id,
            where=where + conditions,
        ),
        before=around if before is None or is_alone else before,
        after=around if after is None or is_alone else after,
        most=1 if only_ids else most,
        counting=is_short,
    )
    problems = Problems()
    put: Put
    if is_short:
        put = Totals(only_ids=only_ids, put_row=put_row)
    elif put_row is not None:
        put = Stored(put_row)
    else:
        grouped = bool(search.before or search.after)
        put = Lines(tz, None if invert else search.query.regex, grouped=grouped)
    with progress(None, "Searching sessions") as step:
        store = opened(root, problems, on_progress=step, parallel=True)
        sids = {session_meant(start, store) for start in given}
        results = store.search(search, sids)
        matches = _put_all(results, put, limit, step.stop if sys.stdout.isatty() else None)
    put.end()
    if not matches and not literal:
        _hint(pattern)
    problems.exit(found=matches > 0)


def _put_all(
    results: Iterator[Hit | Count], put: Put, limit: int | None, before: Callable[[], object] | None
) -> int:
    """Put out *results* up to the *limit*; return how many lines match. Call *before* the first."""
    matches = 0
    for result in results:
        if before is not None:
            before()
            before = None
        put(result)
        matches += result.lines if isinstance(result, Count) else result.is_match
        if limit is not None and matches >= limit:
            break
    return matches


def _query(pattern: str, *, literal: bool, ignore_case: bool, invert: bool) -> Query:
    try:
        return Query(pattern, literal=literal, ignore_case=ignore_case, invert=invert)
    except (re.error, OverflowError, RecursionError) as error:
        text = f"PATTERN is no regular expression: {shown(str(error))}; -F takes it as plain text"
        raise UnusableError(text) from error


def _hint(pattern: str) -> None:
    """Say what may be meant where nothing matches *pattern* and it reads like a condition."""
    try:
        condition(pattern)
    except click.BadParameter:
        return
    text = f"nothing matches; if '{shown(pattern)}' is a condition, write it after a PATTERN, which may be ''"
    click.echo(text, err=True)

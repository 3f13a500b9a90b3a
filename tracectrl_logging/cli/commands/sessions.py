"""``tracectrl-logs sessions``: which sessions there are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from tracectrl_logging.cli.lookup import opened
from tracectrl_logging.cli.options import (
    moment_of,
    root_option,
    rows_options,
    since_options,
    tz_option,
    where_option,
)
from tracectrl_logging.cli.problems import Problems
from tracectrl_logging.cli.render.progress import progress
from tracectrl_logging.cli.text import shown
from tracectrl_logging.reader.filters.sessions import SORTS, SessionQuery
from tracectrl_logging.reader.timeline.families import Families, placed

if TYPE_CHECKING:
    from datetime import tzinfo

    from tracectrl_logging.cli.options import PutRow
    from tracectrl_logging.reader.filters.conditions import Condition
    from tracectrl_logging.reader.filters.sessions import Sort
    from tracectrl_logging.reader.timeline.families import Rows


@click.command(short_help="List the sessions, the latest first.")
@since_options
@click.option(
    "--errors",
    is_flag=True,
    help="Sessions with a log line at ERROR or above, or with a span in error.",
)
@click.option(
    "--service",
    "services",
    metavar="NAME",
    multiple=True,
    help="Sessions with a line of this service; given again, of any of them.",
)
@where_option("Sessions with lines")
@click.option(
    "--sort",
    type=click.Choice(SORTS),
    default=SORTS[0],
    show_default=True,
    help="The latest first, the longest, or those with the most errors.",
)
@click.option(
    "--tree",
    is_flag=True,
    help="Sessions below the ones that began them, which count what those did, too.",
)
@click.option("--limit", "-n", type=click.IntRange(min=1), metavar="N", help="Show N at most.")
@tz_option
@rows_options(
    "session_id, first_time, last_time, logs, spans, errors, services, duration_ns, first_message,"
    " error_spans, model_calls, input_tokens, output_tokens, cache_read_tokens,"
    " cache_creation_tokens, reasoning_tokens, cost_usd, open_spans, state, parent, ancestors,"
    " previous; depth with --tree"
)
@root_option
def sessions(
    root: str | None,
    *,
    put_row: PutRow | None,
    limit: int | None,
    since: str | None,
    until: str | None,
    errors: bool,
    services: tuple[str, ...],
    where: tuple[Condition, ...],
    sort: Sort,
    tree: bool,
    tz: tzinfo | None,
) -> None:
    """List the sessions, the latest first.

    Errors are log lines at ERROR or above; a span in error has the status ERROR. Records from
    outside any session are in the session "unknown". --since and --until pick sessions that were
    going on in that time range.

    Each --where must be met by some line of the session, a log line or a span; different lines may
    meet different conditions. The keys duration, logs, spans and errors mean the whole session, and
    so do model_calls, input_tokens, output_tokens, cache_read_tokens, cache_creation_tokens,
    reasoning_tokens and cost_usd, which is there where the extra "genai" knows the models' prices.
    The key state is running (a process has a file of the session open, or a span), crashed (spans are
    open, and no such process lives) or ended. --service, too, is met by any line.

    With -n, the latest sessions are found by the times of their files; the others are not read.

    With --tree, a session that another one has begun stands below that one. Each row sums up what is
    below it, of the sessions that are meant; -n counts trees.

    \b
    Examples:
      tracectrl-logs sessions -n 20
      tracectrl-logs sessions --since -3h --errors
      tracectrl-logs sessions --tree -n 5
      tracectrl-logs sessions --where tool=search --where 'duration>30s' --sort duration
      tracectrl-logs sessions --json --since 2026-11-21 --until 2026-11-22 | jq .session_id

    Exit status: 0 there are such sessions, 1 there are none, 2 wrong use or unreadable input.
    """  # noqa: D301 - \b is click's mark for a paragraph that keeps its lines
    query = SessionQuery(
        since=moment_of(since, "--since", tz),
        until=moment_of(until, "--until", tz),
        errors=errors,
        services=frozenset(services),
        where=where,
        sort=sort,
        limit=None if tree else limit,
    )
    problems = Problems()
    with progress(None, "Reading sessions") as step:
        store = opened(root, problems, on_progress=step, parallel=True)
        summaries = store.sessions(query)
    problems.flush()
    if not summaries:
        what = "no sessions" if next(store.ids(limit=1), None) is None else "no such sessions"
        click.echo(f"{what} in {shown(store.name)}", err=True)
    else:
        rows: Rows = Families(summaries, replace(query, limit=limit)) if tree else summaries
        if put_row is not None:
            _print_rows(rows, put_row)
        else:
            from tracectrl_logging.cli.render.sessions import print_table  # noqa: PLC0415 - one of two

            print_table(rows, tz)
    problems.exit(found=bool(summaries))


def _print_rows(rows: Rows, put_row: PutRow) -> None:
    from tracectrl._json import encode_line  # noqa: PLC0415 - one of two ways
    from tracectrl_logging.reader.json_rows import summary_row  # noqa: PLC0415 - as above

    for summary, depth in placed(rows):
        more = {} if depth is None else {"depth": depth}
        put_row(encode_line({**summary_row(summary), **more})[:-1])

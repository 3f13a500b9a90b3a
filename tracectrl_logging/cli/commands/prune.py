"""``tracectrl-logs prune``: remove old sessions."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from tracectrl.files.retention.prune import prune as run
from tracectrl_logging.cli.errors import UnusableError
from tracectrl_logging.cli.lookup import checked_root
from tracectrl_logging.cli.options import directory_option, json_option
from tracectrl_logging.cli.quantities import age, readable, size
from tracectrl_logging.cli.render.change_report import ChangeReport, time_of
from tracectrl_logging.cli.render.line_text import count
from tracectrl_logging.cli.text import shown
from tracectrl_logging.reader import STORE_ENV

if TYPE_CHECKING:
    from tracectrl.files.retention.prune import Pruned
    from tracectrl_logging.shipping.acknowledged import Acknowledged


@click.command(short_help="Remove old sessions.")
@click.option(
    "--older-than",
    type=age,
    metavar="AGE",
    help="Remove sessions whose last write is longer ago: 30s, 10m, 12h, 7d, 2w.",
)
@click.option(
    "--max-total",
    type=size,
    metavar="SIZE",
    help="Remove the oldest until the files of all take no more: 500KB, 10GB (powers of 1000), "
    "1GiB (of 1024), or plain bytes.",
)
@click.option(
    "--keep",
    type=click.IntRange(min=0),
    metavar="N",
    help="Remove the oldest until N are left, those of crowded hours first; "
    '"unknown" does not count, and stays.',
)
@click.option(
    "--shipped",
    "only_shipped",
    is_flag=True,
    help='Of these, remove those alone whose every line "ship" has put into the store.',
)
@click.option(
    "--to",
    "url",
    metavar="URL",
    envvar=STORE_ENV,
    help=f"With --shipped: that store.  [default: ${STORE_ENV}]",
)
@click.option(
    "--state",
    "state",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help='With --shipped: where "ship" keeps up to where lines were sent.  [default: as "ship" has it]',
)
@click.option("--dry-run", is_flag=True, help="Change nothing; say what would be removed.")
@json_option("session_id, action, reason, files, bytes, last_write, dry_run, error")
@directory_option
def prune(
    root: str | None,
    *,
    older_than: float | None,
    max_total: int | None,
    keep: int | None,
    only_shipped: bool,
    url: str | None,
    state: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Remove old sessions, each with all of its files, the oldest first.

    At least one of --older-than, --max-total and --keep must be given; a session past any of these
    limits is removed, unless a process has it open and its last write is less than an hour ago. No
    other file is touched.

    --keep protects older sessions from a flood of new ones. An hour with more than a tenth of N
    sessions, and more than 10, is crowded: its sessions are removed before older ones. A crowd of
    the last hour stays until that hour is over, and counts as a tenth of N. --older-than and
    --max-total go by age alone.

    --shipped leaves a session as long as a line of it is not in the store, whatever the limits say.

    With --json, one row for each session past a limit, whose action is "remove", "in_use" or
    "failed". The session_id is null for the file that took the lines of new sessions past
    max_sessions_per_minute.

    \b
    Examples:
      tracectrl-logs prune --older-than 7d
      tracectrl-logs prune --older-than 4w --max-total 10GB --keep 1000 --dry-run
      tracectrl-logs prune --max-total 10GB --shipped

    Exit status: 0 something was removed (or would be), 1 there is nothing to remove, 2 wrong use,
    or nothing could be removed.
    """  # noqa: D301 - \b is click's mark for a paragraph that keeps its lines
    if older_than is None and max_total is None and keep is None:
        text = "what to remove? give --older-than AGE, --max-total SIZE, --keep N, or several"
        raise UnusableError(text)
    path = checked_root(root)
    sent = _acknowledged(path, url, state) if only_shipped else None
    waiting = 0

    def may_go(sid: str | None, last_write_ns: int) -> bool:
        nonlocal waiting
        is_sent = sent is None or sent.is_whole(sid, last_write_ns)
        waiting += not is_sent
        return is_sent

    report = ChangeReport(as_json=as_json, dry_run=dry_run, verb="remove", past="removed")

    def put(pruned: Pruned) -> None:
        report.put(
            {
                "session_id": pruned.session_id,
                "action": pruned.action,
                "reason": pruned.reason,
                "files": pruned.files,
                "bytes": pruned.size_bytes,
                "last_write": time_of(pruned.last_write_ns),
            },
            readable(pruned.size_bytes),
            pruned.error,
        )

    totals = run(
        path,
        older_than_s=older_than,
        max_total_bytes=max_total,
        keep=keep,
        dry_run=dry_run,
        report=put,
        may_go=may_go,
    )
    if waiting:
        click.echo(f"{count(waiting, 'session')} past a limit, not all sent yet: left", err=True)
    said = f"{count(totals.removed, 'session')}, {readable(totals.freed_bytes)}"
    left = f"{count(totals.kept, 'session')} left, {readable(totals.kept_bytes)}"
    report.end(f"{said}; {left}", done=totals.removed, in_use=totals.in_use, failed=totals.failed)


def _acknowledged(directory: str, url: str | None, state: str | None) -> Acknowledged:
    """Return what the store has of *directory*."""
    from tracectrl_logging.reader.clickhouse.address import address_of  # noqa: PLC0415 - where it is asked for
    from tracectrl_logging.shipping.acknowledged import acknowledged  # noqa: PLC0415 - as above
    from tracectrl_logging.shipping.target import default_state  # noqa: PLC0415 - as above

    if url is None and state is None:
        text = f"--shipped needs the store, by --to URL or ${STORE_ENV}, or the state of ship, by --state FILE"
        raise UnusableError(text)
    try:
        address = None if url is None else address_of(url)
        whose = os.path.realpath(directory), *(() if address is None else (address.name,))
        if state is None:
            state = default_state(directory, address)  # type: ignore[arg-type] # one of both is there
        return acknowledged(directory, state, whose)
    except ValueError as error:
        raise UnusableError(shown(str(error))) from error

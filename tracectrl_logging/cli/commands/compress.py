"""``tracectrl-logs compress``: compress the files of sessions that nobody writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tracectrl.errors import MissingExtraError
from tracectrl.files.compression import DEFAULT_LEVEL, FORMATS, LEVELS
from tracectrl.files.retention.compress import compress as run
from tracectrl_logging.cli.errors import UnusableError
from tracectrl_logging.cli.lookup import checked_root
from tracectrl_logging.cli.options import directory_option, json_option
from tracectrl_logging.cli.quantities import age, readable
from tracectrl_logging.cli.render.change_report import ChangeReport, time_of
from tracectrl_logging.cli.render.line_text import count

if TYPE_CHECKING:
    from tracectrl.files.compression import Format
    from tracectrl.files.retention.compress import Compressed


@click.command(short_help="Compress the files of sessions that nobody writes.")
@click.option(
    "--format",
    "packed",
    type=click.Choice(FORMATS),
    default=FORMATS[0],
    show_default=True,
    help="gzip, or Zstandard: faster and smaller.",
)
@click.option(
    "--level",
    type=int,
    metavar="N",
    help=f"How hard to try: 1 to {LEVELS['gz'][-1]} for gz  [default: {DEFAULT_LEVEL['gz']}], "
    f"1 to {LEVELS['zst'][-1]} for zst  [default: {DEFAULT_LEVEL['zst']}].",
)
@click.option(
    "--idle",
    type=age,
    metavar="AGE",
    default="1m",
    show_default=True,
    help="Leave sessions whose last write is not as long ago: 0s, 10m, 12h, 7d, 2w.",
)
@click.option("--dry-run", is_flag=True, help="Change nothing; say what would be compressed.")
@json_option("session_id, action, files, bytes, packed_bytes, last_write, dry_run, error")
@directory_option
def compress(
    root: str | None,
    *,
    packed: Format,
    level: int | None,
    idle: float,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Compress the files of sessions that nobody writes.

    Every command reads compressed files, and a session that goes on gets a new file; the ages that
    prune goes by stay. A session is left alone while a process has it open and its last write is
    less than an hour ago. The format zst needs the extra "zstd" before Python 3.14.

    With --json, one row for each session with files to compress, whose action is "compress",
    "in_use" or "failed".

    \b
    Examples:
      tracectrl-logs compress --idle 10m
      tracectrl-logs compress --format zst --level 9 --dry-run

    Exit status: 0 something was compressed (or would be), 1 there is nothing to compress, 2 wrong
    use, or nothing could be compressed.
    """  # noqa: D301 - \b is click's mark for a paragraph that keeps its lines
    path = checked_root(root)
    report = ChangeReport(as_json=as_json, dry_run=dry_run, verb="compress", past="compressed")

    def put(compressed: Compressed) -> None:
        smaller = compressed.packed_bytes
        report.put(
            {
                "session_id": compressed.session_id,
                "action": compressed.action,
                "files": compressed.files,
                "bytes": compressed.size_bytes,
                "packed_bytes": smaller,
                "last_write": time_of(compressed.last_write_ns),
            },
            readable(compressed.size_bytes) + (f" to {readable(smaller)}" if smaller else ""),
            compressed.error,
        )

    try:
        totals = run(path, packed=packed, level=level, idle_s=idle, dry_run=dry_run, report=put)
    except (MissingExtraError, ValueError) as error:
        raise UnusableError(str(error)) from error
    said = f"{count(totals.compressed, 'session')}, {readable(totals.size_bytes)}"
    if not dry_run:
        said += f" to {readable(totals.packed_bytes)}"
    report.end(said, done=totals.compressed, in_use=totals.in_use, failed=totals.failed)

"""``tracectrl-logs ship``: a directory's lines into a store of many machines."""

from __future__ import annotations

import json
import os
import socket
import time
from typing import TYPE_CHECKING, Any

import click

from tracectrl_logging.cli.errors import UnusableError
from tracectrl_logging.cli.exit_status import exit_on_sigterm
from tracectrl_logging.cli.options import directory_option, store_option
from tracectrl_logging.cli.problems import Problems
from tracectrl_logging.cli.quantities import age, size
from tracectrl_logging.cli.render.line_text import count
from tracectrl_logging.cli.text import shown
from tracectrl_logging.reader.model import InvalidCursorError

if TYPE_CHECKING:
    from tracectrl_logging.shipping.state import Checkpoint


@click.command(short_help="Send sessions to ClickHouse, each line exactly once.")
@store_option
@click.option("--once", is_flag=True, help="Send what is there, and end.")
@click.option(
    "--batch-bytes",
    type=size,
    metavar="SIZE",
    default="16MB",
    show_default=True,
    help="Send lines when they are so many.",
)
@click.option(
    "--batch-age",
    type=age,
    metavar="TIME",
    default="1s",
    show_default=True,
    help="Send lines when the first has waited for so long.",
)
@click.option(
    "--state",
    "path",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Where to keep up to where lines were sent.  [default: one for DIR and URL, in $XDG_STATE_HOME]",
)
@click.option(
    "--host", metavar="NAME", help="This machine's name.  [default: what it calls itself]"
)
@click.option(
    "--status", "only_status", is_flag=True, help="Print what was sent, as JSON, and send nothing."
)
@directory_option
def ship(
    root: str | None,
    url: str,
    *,
    once: bool,
    batch_bytes: int,
    batch_age: float,
    path: str | None,
    host: str | None,
    only_status: bool,
) -> None:
    """Follow a trace directory and put each line and span into a store, exactly once, until it is interrupted.

    The store's tables are those that "setup" has made ready. Nothing in the programs that write changes, and
    nothing is lost while the store is away: lines wait in their files, so "prune" is to leave them for as long
    as it may be away. Whatever is killed, this command or the server, a line is there once: it goes on where it
    was, by the state, of which there is one for each directory and store. Once a minute it prints a log line of
    what it has sent, and how late.

    \b
    Examples:
      tracectrl-logs ship --to clickhouses://writer@ch.example/otel
      tracectrl-logs ship --to clickhouses://writer@ch.example/otel --once
      tracectrl-logs ship --to clickhouses://writer@ch.example/otel --status

    Exit status: 0 all is sent (with --once), 2 wrong use, a directory or state that cannot be read, or a store
    that refuses; 130 where it is interrupted.
    """  # noqa: D301 - \b is click's mark for a paragraph that keeps its lines
    from tracectrl.files.names import root_dir  # noqa: PLC0415 - not for ``--help``
    from tracectrl_logging.reader import open_store  # noqa: PLC0415 - as above
    from tracectrl_logging.shipping.ship import Batch, Sender, run  # noqa: PLC0415 - as above
    from tracectrl_logging.shipping.state import State, checkpoint_at, is_held  # noqa: PLC0415 - as above
    from tracectrl_logging.shipping.target import connected, default_state, wait_until_ready  # noqa: PLC0415 - as above

    exit_on_sigterm()
    directory, host = os.path.realpath(root_dir(root)), host or socket.gethostname()
    problems = Problems()
    try:
        connection, address = connected(url)
        whose = directory, address.name, host
        path = path or default_state(directory, address)
        if only_status:
            _print_status(checkpoint_at(path, whose), is_running=is_held(path))
            return
        wait_until_ready(connection, address, None if once else _say)
        with State(path, whose) as state:
            store = open_store(directory, on_damage=problems)
            sender = Sender(connection, state, host, _say, _put_minute)
            with store.tail(after=sender.cursor) as tail:
                run(tail, sender, Batch(batch_bytes, batch_age), once=once)
    except InvalidCursorError as error:
        text = f"{shown(str(error))}; without '{shown(str(path))}' all is sent anew"
        raise UnusableError(text) from error
    except (ValueError, ImportError) as error:
        raise UnusableError(shown(str(error))) from error
    problems.sum_up()


def _say(text: str) -> None:
    click.echo(shown(text), err=True)


def _put_minute(done: dict[str, Any]) -> None:
    """Print what was *done* in a minute as a log line, which whoever keeps stdout can read as one."""
    from tracectrl._json import timestamp_ns  # noqa: PLC0415 - not for ``--help``

    row = {
        "timestamp": timestamp_ns(time.time_ns()),
        "level": "INFO" if done["error"] is None else "WARNING",
        "logger": __name__,
        "message": f"sent {count(done['logs'], 'log line')} and {count(done['spans'], 'span')}",
    }
    click.echo(json.dumps({**row, **done}))


def _print_status(checkpoint: Checkpoint, *, is_running: bool) -> None:
    from tracectrl._json import timestamp_ns  # noqa: PLC0415 - one of two ways
    from tracectrl_logging.shipping.ship import lag_s  # noqa: PLC0415 - as above

    row = {
        "logs": checkpoint.logs,
        "spans": checkpoint.spans,
        "last_time": checkpoint.last_time,
        "sent_time": timestamp_ns(checkpoint.sent_ns) if checkpoint.sent_ns else None,
        "lag_s": lag_s(checkpoint),
        "error": checkpoint.error,
        "running": is_running,
    }
    click.echo(json.dumps(row))

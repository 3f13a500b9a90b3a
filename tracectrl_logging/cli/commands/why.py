"""``tracectrl-logs why``: why a session failed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from tracectrl_logging.cli.lookup import opened, session_meant
from tracectrl_logging.cli.options import json_option, root_option, sessions_like, tz_option
from tracectrl_logging.cli.problems import Problems
from tracectrl_logging.cli.text import shown, write_line
from tracectrl_logging.reader.diagnosis.why import diagnose

if TYPE_CHECKING:
    from datetime import tzinfo


@click.command(short_help="Say why a session failed.")
@click.argument("given", metavar="SESSION", shell_complete=sessions_like)
@tz_option
@json_option("one row with the cause and what stands around it")
@root_option
def why(root: str | None, given: str, *, tz: tzinfo | None, as_json: bool) -> None:
    """Say why SESSION failed: the failure that the others follow from, and the lines around it.

    A failure is an error that was logged, a span whose status is ERROR, or one that never ended. What
    fails takes with it what called it: the cause is the deepest of these, across services, whatever
    their clocks say. What was handled, by a caller that went on, is named apart. Where nothing failed, a
    span that took most of the session's time is.

    Below stand other failures, spans that never ended, what was tried again, what each service logged
    last, and 20 lines around the cause.

    \b
    Examples:
      tracectrl-logs why a1b2c3d4
      tracectrl-logs why a1b2c3d4 --json | jq -r '.cause.message'

    Exit status: 0 there is a cause, 1 nothing failed, 2 wrong use or unreadable input.
    """  # noqa: D301 - \b is click's mark for a paragraph that keeps its lines
    problems = Problems()
    store = opened(root, problems)
    sid = session_meant(given, store)
    found = diagnose(lambda: store.read(sid))
    if as_json:
        from tracectrl._json import encode_line  # noqa: PLC0415 - one of two ways
        from tracectrl_logging.reader.json_rows import typed  # noqa: PLC0415 - as above

        row = found.row(lambda line: json.loads(typed(line)))
        write_line(encode_line({"session_id": sid, **row})[:-1])
    elif found.cause is None:
        problems.flush()
        problems.say(f"nothing failed in session {shown(sid)}")
    else:
        from tracectrl_logging.cli.render.diagnosis import put  # noqa: PLC0415 - one of two ways

        put(found, found.cause, sid, tz)
    problems.exit(found=found.cause is not None)

"""``tracectrl-logs show``: what happened in a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tracectrl_logging.cli.errors import NotFoundError, UnusableError
from tracectrl_logging.cli.lookup import opened, session_meant
from tracectrl_logging.cli.options import (
    line_options,
    moment_of,
    root_option,
    rows_options,
    session_argument,
    since_options,
    span_option,
    tz_option,
    where_option,
)
from tracectrl_logging.cli.problems import Problems
from tracectrl_logging.cli.text import shown
from tracectrl_logging.reader.json_rows import typed
from tracectrl_logging.reader.timeline.order import merge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import tzinfo

    from tracectrl_logging.cli.options import PutRow
    from tracectrl_logging.cli.render.keys import Keys
    from tracectrl_logging.reader import Line, Store
    from tracectrl_logging.reader.filters.conditions import Condition
    from tracectrl_logging.reader.timeline.subtree import Subtree

_SOME = 3


@click.command(short_help="Show what happened in sessions, in time order.")
@session_argument
@click.option(
    "--full",
    is_flag=True,
    help="Unfold tracebacks, stacks, IDs, and the attributes, events and links of spans.",
)
@click.option(
    "--flat", is_flag=True, help="Show all sessions together in time order, without nesting."
)
@click.option(
    "--conversation",
    is_flag=True,
    help="Show what models, tools and agents said instead, each message once.",
)
@line_options
@span_option
@since_options
@where_option("Lines")
@click.option(
    "--fields", metavar="KEY,...", multiple=True, help="Show these extras and attributes alone."
)
@click.option("--hide", metavar="KEY,...", multiple=True, help="Leave out these keys.")
@tz_option
@click.option("--pager/--no-pager", default=True, help="Use $PAGER, else less, on a terminal.")
@rows_options('the stored lines plus "type", of all sessions in time order')
@root_option
def show(
    root: str | None,
    given: tuple[str, ...],
    *,
    full: bool,
    flat: bool,
    conversation: bool,
    level: str | None,
    logger: str | None,
    trace_id: str | None,
    span: str | None,
    since: str | None,
    until: str | None,
    where: tuple[Condition, ...],
    fields: tuple[str, ...],
    hide: tuple[str, ...],
    tz: tzinfo | None,
    pager: bool,
    put_row: PutRow | None,
) -> None:
    """Show the log lines and spans of each SESSION in time order, lines nested under their spans.

    SESSION is an ID, the beginning of one if no other session begins so, or the path of a file.
    The beginning of a trace's or span's ID is enough as well. The first column is the time since the
    session's first line, in seconds. Tracebacks are folded to their last line.

    A nested line is shown with all spans above it. With --flat or --json, --level and --logger pick
    log lines alone, since spans have neither. A session too large for nesting is shown flat.

    With --json, lines are printed as they are stored, with a "type" in front; a key "type" of their
    own becomes "extra_type", and spans stored as OTLP get the keys of other spans. --fields keeps
    the named keys, --hide drops them. A KEY may be a path, like exception.type, or the name of a
    span's attribute.

    --conversation shows messages, the calls of tools with arguments and results, and the model, tokens
    and time of each answer, as spans and log records of GenAI instrumentations say them. What a call
    repeats of the conversation so far is left out. With --json, a row is a message, a reply or a tool.

    \b
    Examples:
      tracectrl-logs show a1b2
      tracectrl-logs show a1b2 --conversation
      tracectrl-logs show a1b2 --level WARNING --full
      tracectrl-logs show a1b2 --span 00f067aa --fields tool,user
      tracectrl-logs show a1b2 c3d4 --flat --since 10:05 --tz Europe/Berlin
      tracectrl-logs show a1b2 --json | jq -r 'select(.type == "log").message'

    Exit status: 0 lines were shown, 1 there are none such, 2 wrong use or unreadable input.
    """  # noqa: D301 - \b is click's mark for a paragraph that keeps its lines
    problems = Problems()
    store = opened(root, problems)
    since, until = moment_of(since, "--since", tz), moment_of(until, "--until", tz)
    is_meant = _picker(
        since=since, until=until, level=level, logger=logger, trace_id=trace_id, where=where
    )
    meant = list(dict.fromkeys(session_meant(start, store) for start in given))
    below = None if span is None else _below(store, meant, span)
    streams = {sid: _lines(store, sid, below) for sid in meant}
    if conversation:
        found = _put_conversations(
            store, meant, below, is_meant, put_row=put_row, problems=problems, pager=pager
        )
    elif put_row is not None:
        found = _put_rows(merge(streams.values()), is_meant, _keys(fields, hide), put_row)
    else:
        from tracectrl_logging.cli.render.story import tell  # noqa: PLC0415 - one of two ways

        found = tell(
            streams,
            problems,
            is_meant=is_meant,
            keys=_keys(fields, hide),
            tz=tz,
            full=full,
            flat=flat,
            pager=pager,
            is_running=store.is_running,
        )
    problems.exit(found=found)


def _lines(store: Store, sid: str, below: Subtree | None) -> Iterator[Line]:
    lines = store.read(sid)
    return lines if below is None else (line for line in lines if below.holds(line.row))


def _put_conversations(
    store: Store,
    meant: list[str],
    below: Subtree | None,
    is_meant: Callable[[Line], bool] | None,
    *,
    put_row: PutRow | None,
    problems: Problems,
    pager: bool,
) -> bool:
    from tracectrl_logging.reader.conversation import Conversation  # noqa: PLC0415 - where it is asked for

    def of(sid: str) -> Conversation:
        return Conversation(lambda: filter(is_meant, _lines(store, sid, below)))

    if put_row is not None:
        from tracectrl._json import encode_line  # noqa: PLC0415 - one of two ways

        found = False
        for sid in meant:
            for turn in of(sid).turns():
                put_row(encode_line(turn.row())[:-1])
                found = True
        return found
    from tracectrl_logging.cli.render.conversation import put  # noqa: PLC0415 - one of two ways
    from tracectrl_logging.cli.render.story import screen_for  # noqa: PLC0415 - as above

    with screen_for(problems, pager=pager) as screen:
        several = [put(of(sid), screen) for sid in meant]
    for sid, is_said in zip(meant, several, strict=True):
        if not is_said:
            problems.say(f"no conversation in session {shown(sid)}")
    return any(several)


def _put_rows(
    lines: Iterable[Line],
    is_meant: Callable[[Line], bool] | None,
    keys: Keys | None,
    put_row: PutRow,
) -> bool:
    row = typed if keys is None else keys.json
    found = False
    for line in lines if is_meant is None else filter(is_meant, lines):
        put_row(row(line))
        found = True
    return found


def _picker(**options: Any) -> Callable[[Line], bool] | None:
    """Return what tells whether a line is meant by *options*, those of a Selection, or ``None``."""
    if not any(options.values()):
        return None
    from tracectrl_logging.reader.filters.selection import Selection  # noqa: PLC0415 - where one is made

    selection = Selection(**options)
    tests = {"log": selection.predicate("log"), "span": selection.predicate("span")}

    def is_meant(line: Line) -> bool:
        test = tests[line.kind]
        return test is None or test(line.row)

    return is_meant


def _below(store: Store, meant: list[str], start: str) -> Subtree:
    from tracectrl_logging.reader.timeline.subtree import (  # noqa: PLC0415 - where a span is given
        AmbiguousSpanError,
        Subtree,
        UnknownSpanError,
    )

    try:
        return Subtree(lambda: merge(map(store.read, meant)), start)
    except UnknownSpanError as error:
        text = f"no span '{start}' in {', '.join(map(shown, meant))}"
        raise NotFoundError(text) from error
    except AmbiguousSpanError as error:
        more = ", ..." if len(error.args) > _SOME else ""
        some = ", ".join(map(shown, error.args[:_SOME]))
        text = f"several spans' IDs start with '{start}': {some}{more}"
        raise UnusableError(text) from error


def _keys(fields: tuple[str, ...], hide: tuple[str, ...]) -> Keys | None:
    if not fields and not hide:
        return None
    from tracectrl_logging.cli.render.keys import Keys  # noqa: PLC0415 - where they are given

    return Keys(_names(fields) if fields else None, _names(hide))


def _names(given: tuple[str, ...]) -> list[str]:
    names = (name.strip() for text in given for name in text.split(","))
    return [name for name in names if name]

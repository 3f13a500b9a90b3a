"""``tracectrl-logs export``: one session as one file."""

from __future__ import annotations

import sys
from typing import IO, TYPE_CHECKING

import click

from tracectrl.files.names import is_address, stem_of
from tracectrl.schema import OTLP_KEY
from tracectrl_logging.cli.errors import UnusableError
from tracectrl_logging.cli.lookup import opened, session_meant
from tracectrl_logging.cli.options import root_option, sessions_like
from tracectrl_logging.cli.problems import Problems
from tracectrl_logging.cli.target import checked_target, checked_terminal, write_file
from tracectrl_logging.cli.text import shown

if TYPE_CHECKING:
    from tracectrl_logging.reader import Line

_OWN = 0o600  # what is stored may be confidential
_ENDS = {"zip": ".zip", "otlp": ".otlp.jsonl", "html": ".html"}
_HEAD = frozenset(
    {"timestamp", "level", "logger", "message", "session_id", "exception", "stack", OTLP_KEY}
)
_SPAN_HEAD = frozenset({"name", "session_id", "start_time", "end_time", "duration_ns", OTLP_KEY})


@click.command(short_help="Write one session into a file, to attach to a ticket.")
@click.argument("given", metavar="SESSION", shell_complete=sessions_like)
@click.option(
    "--format",
    "form",
    type=click.Choice(tuple(_ENDS)),
    default="zip",
    show_default=True,
    help="All files in one, OTLP/JSON lines for a Collector, or a page that opens without a network.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help='Write to this file; "-" for stdout.  [default: SESSION.zip, .otlp.jsonl or .html]',
)
@click.option(
    "--redact",
    "redact",
    metavar="KEY",
    multiple=True,
    help="Leave out the values of this key, at any depth; for --format html. May be given again.",
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@root_option
def export(
    root: str | None,
    given: str,
    *,
    form: str,
    output: str | None,
    redact: tuple[str, ...],
    force: bool,
) -> None:
    """Write one SESSION into a file, to attach to a ticket; print the file's name.

    SESSION is an ID, the beginning of one if no other session begins so, or the path of a file.

    The format zip has everything that is stored of the session and nothing of any other: its files,
    the compressed ones unpacked, timeline.txt for people, timeline.jsonl with the rows of "show
    --json", and manifest.json. The format otlp has its log lines and spans as OTLP/JSON lines, as
    the receiver otlpjsonfile of an OpenTelemetry Collector reads them; what was stored as OTLP/JSON
    is in it with every field. The format html is the page of "view", with the session in it: one file
    that opens in any browser, without a network; it needs the extra "viewer".

    \b
    Examples:
      tracectrl-logs export a1b2c3d4
      tracectrl-logs export a1b2c3d4 --format otlp -o - | gzip > session.jsonl.gz
      tracectrl-logs export a1b2c3d4 --format html --redact authorization --redact email

    Exit status: 0 the file is written, 1 there is no such session or no line in it, 2 wrong use or
    unreadable input.
    """  # noqa: D301 - \b is click's mark for a paragraph that keeps its lines
    target = checked_target(output)
    if redact and form != "html":
        text = "--redact needs --format html; the others hold what is stored"
        raise click.UsageError(text)
    problems = Problems()
    store = opened(root, problems)
    sid = session_meant(given, store)

    def write(file: IO[bytes]) -> int:
        if form == "otlp":
            from tracectrl_logging.reader.otlp.export import write_otlp  # noqa: PLC0415 - one of two ways

            return write_otlp(store.read(sid), sid, file)
        if form == "html":
            from tracectrl_logging.viewer import write_html  # noqa: PLC0415 - needs an extra

            return write_html(file, store, sid, redact=redact)
        if is_address(store.name):
            text = "a ZIP holds a session's files; --format otlp and --format html are there for a store of many machines"
            raise UnusableError(text)
        checked_terminal(file, form)
        from tracectrl_logging.reader.export.zip import write_zip  # noqa: PLC0415 - as above
        from tracectrl_logging.reader.json_rows import typed  # noqa: PLC0415 - one of two ways

        return write_zip(store.name, sid, file, problems, as_text=_text, as_json=typed)

    if output == "-":
        count = write(sys.stdout.buffer)
    else:
        target = target or stem_of(sid) + _ENDS[form]
        count = write_file(target, write, force=force, mode=_OWN, keeps_empty=False)
        if count:
            click.echo(shown(target))
    if not count:
        problems.flush()
        click.echo(f"no lines in session {shown(sid)}", err=True)
    problems.exit(found=count > 0)


def _text(line: Line) -> str:
    """Return *line* for people: when, what, and all the rest behind it."""
    from tracectrl_logging.cli.render.line_text import duration, text_of  # noqa: PLC0415 - for one format
    from tracectrl_logging.console import escaped, plain_value  # noqa: PLC0415 - as above

    row = line.row
    time = f"{line.time or '-':<27}"
    if line.kind == "span":
        took = row.get("duration_ns")
        said = f"{time}  SPAN      {text_of(row.get('name', '-'))}"
        said += f"  {duration(took)}" if isinstance(took, int) else ""
        head, below = _SPAN_HEAD, []
    else:
        message = plain_value(row.get("message", ""))
        said = f"{time}  {text_of(row.get('level', '-')):<8}  {text_of(row.get('logger', '-'))}: {message}"
        exception = row.get("exception")
        trace = exception.get("stacktrace", exception) if isinstance(exception, dict) else exception
        head, below = _HEAD, [plain_value(it) for it in (trace, row.get("stack")) if it]
    rest = "".join(f"  {key}={plain_value(it)}" for key, it in row.items() if key not in head)
    return escaped("\n".join([said + rest, *below])).replace("\n", "\n    ")

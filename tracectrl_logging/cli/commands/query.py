"""``tracectrl-logs query``: SQL over all sessions."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import click

from tracectrl.errors import MissingExtraError
from tracectrl_logging.cli.errors import UnusableError
from tracectrl_logging.cli.lookup import opened
from tracectrl_logging.cli.options import root_option, tz_option
from tracectrl_logging.cli.problems import Problems
from tracectrl_logging.cli.target import (
    checked_target,
    checked_terminal,
    is_special,
    make_file,
    write_file,
)
from tracectrl_logging.cli.text import shown
from tracectrl_logging.reader.sql.ready import READY

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo
    from typing import IO

    from tracectrl_logging.reader import Rows, Store

_FORMATS = ("table", "json", "compact", "csv", "parquet")
_FORMULA_SIGNS = frozenset("=+-@\t\r\n＝＋－＠")  # noqa: RUF001 - what East Asian keyboards type
_NUMBER = re.compile(r"[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?")
_LEAST_MEMORY_MB = 40
_MOST_MEMORY_MB = 1_000_000_000
_DEFAULT_MEMORY_MB = 100


class _Asked(NamedTuple):
    """A query, and where it is asked."""

    sql: str
    store: Store
    memory_mb: int
    tz: tzinfo | None

    def rows(self) -> Rows:
        """Run the query and return its rows."""
        rows = self.store.query(self.sql, memory_mb=self.memory_mb)
        rows.tz = self.tz
        return rows

    def save(self, path: str) -> int:
        """Run the query into the Parquet file at *path*; return how many rows it has."""
        return self.store.query_to_parquet(self.sql, path, memory_mb=self.memory_mb)


@click.command(short_help="Ask all sessions in SQL.")
@click.argument("sql", metavar="SQL", required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(_FORMATS),
    help="How to print the rows.  [default: table]",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json: JSON Lines.")
@click.option(
    "-o", "--output", metavar="FILE", help='Write to this file; "-" for stdout, the default.'
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.option(
    "--spreadsheet",
    is_flag=True,
    help="In CSV, put ' before texts that a spreadsheet would run as a formula.",
)
@click.option("--list", "only_list", is_flag=True, help="Print the ready-made queries.")
@click.option(
    "--memory",
    "memory_mb",
    type=click.IntRange(min=_LEAST_MEMORY_MB, max=_MOST_MEMORY_MB),
    metavar="MB",
    default=_DEFAULT_MEMORY_MB,
    show_default=True,
    help="What DuckDB may use; what needs more waits on disk, where it can.",
)
@tz_option
@root_option
def query(
    root: str | None,
    sql: str | None,
    *,
    form: str | None,
    as_json: bool,
    output: str | None,
    force: bool,
    spreadsheet: bool,
    only_list: bool,
    memory_mb: int,
    tz: tzinfo | None,
) -> None:
    """Run SQL over the log lines and spans of all sessions, by DuckDB.

    SQL is one query, "-" for one on stdin, or the name of a ready-made one: "errors", "slow",
    "tokens" or "tools". It sees three views and nothing else, neither files nor the network:

    \b
      logs      timestamp, level, severity_number, logger, message,
                session_id, trace_id, span_id, trace_flags, service,
                exception (type, message, stacktrace), stack, extras (JSON),
                file
      spans     name, kind, session_id, trace_id, span_id, trace_flags,
                parent_span_id, start_time, end_time, duration_ns, status,
                status_message, state, observed_time, service, scope,
                attributes, events, links, resource (JSON), file
      sessions  session_id, first_time, last_time, duration_ns, logs, spans,
                errors, error_spans, open_spans, services

    A store in ClickHouse has the same views, and its own SQL. Times are in UTC; --tz prints those with a zone in another, and changes nothing in the query.
    Parquet needs -o FILE, unless stdout is a file or a pipe. Needs the extra "sql".

    \b
    Examples:
      tracectrl-logs query errors
      tracectrl-logs query 'SELECT level, count(*) FROM logs GROUP BY level'
      tracectrl-logs query "SELECT extras->>'tool' AS tool, count(*) FROM logs GROUP BY 1"
      tracectrl-logs query 'FROM spans' --format parquet -o spans.parquet

    Exit status: 0 there are rows, 1 there are none, 2 wrong use, wrong SQL or unreadable input.
    """  # noqa: D301 - \b is click's mark for a paragraph that keeps its lines
    if only_list:
        _print_ready()
        return
    if as_json and form not in (None, "json"):
        text = f"--json and --format {form} do not go together"
        raise click.UsageError(text)
    form = "json" if as_json else form or "table"
    if spreadsheet and form != "csv":
        text = "--spreadsheet goes with --format csv alone"
        raise click.UsageError(text)
    form = "spreadsheet" if spreadsheet else form
    target = checked_target(output)
    text = _sql_of(sql)
    problems = Problems()
    asked = _Asked(text, opened(root, problems), memory_mb, tz)
    try:
        if form == "parquet":
            count = _parquet(asked, target, force=force)
        elif target is None:
            count = _print(asked, form)
        else:
            count = write_file(target, lambda file: _write(asked, form, file), force=force)
    except (MissingExtraError, ValueError) as error:
        problems.flush()
        said = shown(str(error))
        hint = getattr(error, "hint", None)  # where the SQL is wrong
        if "too little memory" in said:
            hint = "--memory MB gives it more"
        raise UnusableError(said if hint is None else f"{said}\n{shown(hint)}") from error
    problems.exit(found=count > 0)


def _sql_of(sql: str | None) -> str:
    if sql is None:
        text = "Missing argument 'SQL'; --list prints the ready-made queries"
        raise click.UsageError(text)
    if sql == "-":
        if sys.stdin is None:  # the caller has closed it (``<&-``)
            text = "stdin, which '-' stands for, is closed"
            raise UnusableError(text)
        sql = sys.stdin.buffer.read().decode(errors="surrogateescape")
    ready = READY.get(sql.strip())
    return sql if ready is None else ready.sql


def _print(asked: _Asked, form: str) -> int:
    """Run the query and print its rows on stdout; return how many these were."""
    if form != "table":
        return _write(asked, form, sys.stdout.buffer)
    from tracectrl_logging.cli.render.table import print_table  # noqa: PLC0415 - one of several ways

    with asked.rows() as rows:
        return print_table(rows)


def _write(asked: _Asked, form: str, file: IO[bytes]) -> int:
    """Run the query and write its rows into *file*; return how many these were."""
    with asked.rows() as rows:
        return _WRITERS[form](rows, file)


def _write_json(rows: Rows, file: IO[bytes], fit: Callable[[bytes], bytes] = bytes) -> int:
    from tracectrl_logging.reader.sql.cells import converter, dumps, unique  # noqa: PLC0415 - as above

    columns = [
        (name, converter(form, rows.tz))
        for name, form in zip(unique(rows.columns), rows.forms, strict=True)
    ]
    count = 0
    for row in rows:
        values = {name: convert(cell) for (name, convert), cell in zip(columns, row, strict=True)}
        file.write(fit(dumps(values)) + b"\n")
        count += 1
    return count


def _write_compact(rows: Rows, file: IO[bytes]) -> int:
    from tracectrl_logging.reader.json_rows import Compact  # noqa: PLC0415 - one of several ways

    return _write_json(rows, file, Compact())


def _write_csv(rows: Rows, file: IO[bytes], fit: Callable[[str], str] = str) -> int:
    import csv  # noqa: PLC0415 - one of several ways
    import io  # noqa: PLC0415 - as above
    from types import SimpleNamespace  # noqa: PLC0415 - as above

    from tracectrl_logging.reader.sql.cells import converter, text_of  # noqa: PLC0415 - as above

    see: Callable[[str], str] = str
    if file.isatty():
        from tracectrl_logging.console import escaped as see  # noqa: PLC0415 - as above
    converters = [converter(form, rows.tz) for form in rows.forms]
    text = io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline="")
    # Before Python 3.13 a carriage return is quoted only where it is of the terminator.
    lines = SimpleNamespace(write=lambda line: text.write(line[:-2] + "\n"))
    writer = csv.writer(lines, lineterminator="\r\n")
    writer.writerow([see(fit(name)) for name in rows.columns])
    count = 0
    for row in rows:
        writer.writerow(
            [
                see(fit(text_of(convert(cell))))
                for convert, cell in zip(converters, row, strict=True)
            ]
        )
        count += 1
    text.flush()
    text.detach()
    return count


def _write_for_spreadsheet(rows: Rows, file: IO[bytes]) -> int:
    """Write CSV whose texts no spreadsheet runs, https://owasp.org/www-community/attacks/CSV_Injection."""

    def fit(text: str) -> str:
        return f"'{text}" if text[:1] in _FORMULA_SIGNS and not _NUMBER.fullmatch(text) else text

    return _write_csv(rows, file, fit)


def _write_table(rows: Rows, file: IO[bytes]) -> int:
    from tracectrl_logging.cli.render.table import table_lines  # noqa: PLC0415 - one of several ways

    count = 0
    for count, line in enumerate(table_lines(rows)):  # noqa: B007 - the names are line 0
        file.write(line.encode("utf-8", "replace") + b"\n")
    return count


def _parquet(asked: _Asked, target: str | None, *, force: bool) -> int:
    """Run the query into a Parquet file, which goes to stdout where *target* is none."""
    if target is not None and not is_special(target):
        return make_file(target, asked.save, force=force)
    if target is None:
        return _copy_parquet(asked, sys.stdout.buffer)
    return write_file(target, lambda file: _copy_parquet(asked, file), force=force)


def _copy_parquet(asked: _Asked, file: IO[bytes]) -> int:
    import os  # noqa: PLC0415 - one of several ways
    import shutil  # noqa: PLC0415 - as above
    import tempfile  # noqa: PLC0415 - as above

    checked_terminal(file, "parquet")
    with tempfile.TemporaryDirectory(prefix="tracectrl-logs-") as directory:
        made = os.path.join(directory, "rows.parquet")
        count = asked.save(made)
        with open(made, "rb") as rows:
            shutil.copyfileobj(rows, file)
    return count


def _print_ready() -> NoReturn:
    for index, (name, ready) in enumerate(READY.items()):
        click.echo(("\n" if index else "") + f"{name}: {ready.about}\n")
        click.echo("".join(f"    {line}\n" for line in ready.sql.splitlines()), nl=False)
    sys.exit(0)


_WRITERS: dict[str, Callable[[Any, IO[bytes]], int]] = {
    "json": _write_json,
    "compact": _write_compact,
    "csv": _write_csv,
    "spreadsheet": _write_for_spreadsheet,
    "table": _write_table,
}

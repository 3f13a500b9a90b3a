"""``tracectrl-logs query``: SQL over all sessions."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from tracectrl.errors import MissingExtraError
from tracectrl_logging.cli.common import (
    Problems,
    UnusableError,
    checked_root,
    root_option,
    shown,
)
from tracectrl_logging.reader.ready import READY

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO

    from tracectrl_logging.reader.sql import Rows

_FORMATS = ("table", "json", "csv", "parquet")
_LEAST_MEMORY_MB = 40
_DEFAULT_MEMORY_MB = 100


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
    "-o", "--output", type=click.Path(dir_okay=False), metavar="FILE", help="Write to this file."
)
@click.option("--list", "only_list", is_flag=True, help="Print the ready-made queries.")
@click.option(
    "--memory",
    "memory_mb",
    type=click.IntRange(min=_LEAST_MEMORY_MB),
    metavar="MB",
    default=_DEFAULT_MEMORY_MB,
    show_default=True,
    help="What DuckDB may use; what needs more waits on disk, where it can.",
)
@root_option
def query(
    root: str | None,
    sql: str | None,
    *,
    form: str | None,
    as_json: bool,
    output: str | None,
    only_list: bool,
    memory_mb: int,
) -> None:
    """Run SQL over the log lines and spans of all sessions, by DuckDB.

    SQL is one query, "-" for one on stdin, or the name of a ready-made one: "errors" or "slow". It
    sees three views and nothing else, neither files nor the network:

    \b
      logs      timestamp, level, logger, message, session_id, trace_id,
                span_id, trace_flags, service, exception (type, message,
                stacktrace), stack, extras (JSON), file
      spans     name, kind, session_id, trace_id, span_id, trace_flags,
                parent_span_id, start_time, end_time, duration_ns, status,
                status_message, service, scope, attributes, events, links,
                resource (JSON), file
      sessions  session_id, first_time, last_time, duration_ns, logs, spans,
                errors, services

    Times are in UTC. Parquet needs -o FILE, unless stdout is a file or a pipe. Needs the extra
    "sql": pip install 'tracectrl-logging[sql]'.

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
    text = _sql_of(sql)
    path = checked_root(root)
    problems = Problems()
    try:
        count = _run(text, path, problems, form=form, output=output, memory_mb=memory_mb)
    except (MissingExtraError, ValueError) as error:
        problems.flush()
        said = shown(str(error))
        hint = "; --memory MB gives it more" if "too little memory" in said else ""
        raise UnusableError(said + hint) from error
    problems.exit(found=count > 0)


def _sql_of(sql: str | None) -> str:
    if sql is None:
        text = "Missing argument 'SQL'; --list prints the ready-made queries"
        raise click.UsageError(text)
    if sql == "-":
        sql = sys.stdin.buffer.read().decode(errors="replace")
    ready = READY.get(sql.strip())
    return sql if ready is None else ready.sql


def _run(
    sql: str, root: str, problems: Problems, *, form: str, output: str | None, memory_mb: int
) -> int:
    """Run the query and print its rows; return how many these were."""
    from tracectrl_logging.reader import sql as database  # noqa: PLC0415 - not for ``--help``

    if form == "parquet":
        return _parquet(sql, root, output, memory_mb, problems)
    if form == "table" and output is None:
        from tracectrl_logging.cli.table import print_table  # noqa: PLC0415 - one of several ways

        with database.query(sql, root, memory_mb=memory_mb, on_damage=problems) as rows:
            return print_table(rows)
    with database.query(sql, root, memory_mb=memory_mb, on_damage=problems) as rows:
        if output is None:
            return _WRITERS[form](rows, sys.stdout.buffer)
        with open(output, "wb") as file:
            return _WRITERS[form](rows, file)


def _write_json(rows: Rows, file: IO[bytes]) -> int:
    from tracectrl_logging.reader.cells import converter, dumps, unique  # noqa: PLC0415 - as above

    columns = [
        (name, converter(form)) for name, form in zip(unique(rows.columns), rows.forms, strict=True)
    ]
    count = 0
    for row in rows:
        values = {name: convert(cell) for (name, convert), cell in zip(columns, row, strict=True)}
        file.write(dumps(values) + b"\n")
        count += 1
    return count


def _write_csv(rows: Rows, file: IO[bytes]) -> int:
    import csv  # noqa: PLC0415 - one of several ways
    import io  # noqa: PLC0415 - as above

    from tracectrl_logging.reader.cells import converter, text_of  # noqa: PLC0415 - as above

    converters = [converter(form) for form in rows.forms]
    text = io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows.columns)
    count = 0
    for row in rows:
        writer.writerow(
            [text_of(convert(cell)) for convert, cell in zip(converters, row, strict=True)]
        )
        count += 1
    text.flush()
    text.detach()
    return count


def _write_table(rows: Rows, file: IO[bytes]) -> int:
    from tracectrl_logging.cli.table import table_lines  # noqa: PLC0415 - one of several ways

    count = 0
    for count, line in enumerate(table_lines(rows)):  # noqa: B007 - the names are line 0
        file.write(line.encode("utf-8", "replace") + b"\n")
    return count


def _parquet(sql: str, root: str, output: str | None, memory_mb: int, problems: Problems) -> int:
    import shutil  # noqa: PLC0415 - one of several ways
    import tempfile  # noqa: PLC0415 - as above

    from tracectrl_logging.reader.sql import save_parquet  # noqa: PLC0415 - as above

    if output is None and sys.stdout.isatty():
        text = "--format parquet needs -o FILE on a terminal"
        raise click.UsageError(text)
    place = None if output is None else os.path.dirname(os.path.abspath(output))
    # Whole or not at all: DuckDB writes its file anew with each attempt.
    with tempfile.TemporaryDirectory(prefix=".tracectrl-logs-", dir=place) as directory:
        made = os.path.join(directory, "rows.parquet")
        count = save_parquet(sql, made, root, memory_mb=memory_mb, on_damage=problems)
        if output is not None:
            os.replace(made, output)
        else:
            with open(made, "rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
    return count


def _print_ready() -> NoReturn:
    for index, (name, ready) in enumerate(READY.items()):
        click.echo(("\n" if index else "") + f"{name}: {ready.about}\n")
        click.echo("".join(f"    {line}\n" for line in ready.sql.splitlines()), nl=False)
    sys.exit(0)


_WRITERS: dict[str, Callable[[Any, IO[bytes]], int]] = {
    "json": _write_json,
    "csv": _write_csv,
    "table": _write_table,
}

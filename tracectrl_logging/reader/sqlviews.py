"""The tables that SQL sees: their columns, and how each is taken from a line.

Taking a column out of JSON costs more than anything else, so a view computes those alone that the
query uses; which these are, the database's own planner says, asked about empty tables.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tracectrl_logging.reader.sqlfeed import SEPARATOR
from tracectrl_logging.reader.timeline.tally import ERROR_LEVELS

if TYPE_CHECKING:
    from typing import Final

    from tracectrl_logging.reader.model import Kind

_TIME: Final = "TIMESTAMP WITH TIME ZONE"
_EXCEPTION: Final = 'STRUCT("type" VARCHAR, message VARCHAR, stacktrace VARCHAR)'

COLUMNS: Final[dict[Kind, dict[str, str]]] = {
    "log": {
        "timestamp": _TIME,
        "level": "VARCHAR",
        "logger": "VARCHAR",
        "message": "VARCHAR",
        "session_id": "VARCHAR",
        "trace_id": "VARCHAR",
        "span_id": "VARCHAR",
        "trace_flags": "VARCHAR",
        "service": "VARCHAR",
        "exception": _EXCEPTION,
        "stack": "VARCHAR",
        "extras": "JSON",
        "file": "VARCHAR",
    },
    "span": {
        "name": "VARCHAR",
        "kind": "VARCHAR",
        "session_id": "VARCHAR",
        "trace_id": "VARCHAR",
        "span_id": "VARCHAR",
        "trace_flags": "VARCHAR",
        "parent_span_id": "VARCHAR",
        "start_time": _TIME,
        "end_time": _TIME,
        "duration_ns": "BIGINT",
        "status": "VARCHAR",
        "status_message": "VARCHAR",
        "service": "VARCHAR",
        "scope": "VARCHAR",
        "attributes": "JSON",
        "events": "JSON",
        "links": "JSON",
        "resource": "JSON",
        "file": "VARCHAR",
    },
}
"""The columns of each table and their types."""

TABLES: Final[dict[Kind, str]] = {"log": "logs", "span": "spans"}

_PLACED: Final = frozenset({"session_id", "file"})
_NO_KEY: Final = frozenset({"extras", "file"})

_NO_TEXT: Final = r"[\[{].*|true|false|[-+.0-9eE]+"
"""What a list, an object, a boolean or a number looks like as text."""

_LEVELS = ", ".join(f"'{level}'" for level in sorted(ERROR_LEVELS))
SESSIONS: Final = f"""
CREATE VIEW sessions AS SELECT
  session_id,
  min(first_time) AS first_time,
  max(last_time) AS last_time,
  TRY_CAST((epoch_us(max(last_time))::HUGEINT - epoch_us(min(first_time))) * 1000 AS BIGINT)
    AS duration_ns,
  count(*) FILTER (is_log) AS logs,
  count(*) FILTER (NOT is_log) AS spans,
  count(*) FILTER (is_error) AS errors,
  coalesce(list_sort(list(DISTINCT service) FILTER (service IS NOT NULL)), []) AS services
FROM (
  SELECT session_id, timestamp AS first_time, timestamp AS last_time, true AS is_log,
    coalesce(level IN ({_LEVELS}), false) AS is_error, service FROM logs
  UNION ALL
  SELECT session_id, start_time, end_time, false, false, service FROM spans
) GROUP BY session_id"""  # noqa: S608 - of our own constants
"""The view of sessions in numbers."""

# What would plan for empty tables, or would hide a column.
_DISABLED: Final = (
    "statistics_propagation,filter_pushdown,late_materialization,compressed_materialization,"
    "join_filter_pushdown"
)


def create_empty(con: Any) -> None:
    """Create the tables without rows, for :func:`used_columns`."""
    for kind, columns in COLUMNS.items():
        body = ", ".join(f'"{name}" {form}' for name, form in columns.items())
        con.execute(f"CREATE TABLE {TABLES[kind]} ({body})")
    con.execute(SESSIONS)


def drop_empty(con: Any) -> None:
    """Undo :func:`create_empty`."""
    con.execute("DROP VIEW sessions")
    for table in TABLES.values():
        con.execute(f"DROP TABLE {table}")


def used_columns(con: Any, sql: str) -> dict[Kind, set[str]] | None:
    """Return which columns of which tables the query *sql* reads; ``None`` where that is not known.

    Raises:
        duckdb.Error: the query is wrong.
    """
    con.execute(f"SET disabled_optimizers = '{_DISABLED}'")
    try:
        nodes = plan_of(con, sql)
    finally:
        con.execute("RESET disabled_optimizers")
    if nodes is None or any(node["name"] == "EMPTY_RESULT" for node in nodes):
        return None
    used: dict[Kind, set[str]] = {}
    for node in nodes:
        info = node.get("extra_info") or {}
        table = info.get("Table")
        if table is None:
            continue
        kind = _kind_of(table)
        if kind is None:
            return None
        listed = info.get("Projections", [])
        names = {_column(text) for text in ([listed] if isinstance(listed, str) else listed)}
        if not names <= COLUMNS[kind].keys():
            return None
        used.setdefault(kind, set()).update(names)
    return used


def plan_of(con: Any, sql: str) -> list[dict[str, Any]] | None:
    """Return the operators of the plan for *sql*; ``None`` where there is none to see.

    Raises:
        duckdb.Error: the query is wrong.
    """
    rows = con.execute(f"EXPLAIN (FORMAT JSON) {sql}").fetchall()
    try:
        waiting = list(json.loads(rows[0][1]))
        nodes = []
        while waiting:
            node = waiting.pop()
            nodes.append({"name": node["name"], "extra_info": node.get("extra_info")})
            waiting.extend(node["children"])
    except (ValueError, LookupError, TypeError):
        return None
    return nodes


def is_placed(used: set[str]) -> bool:
    """Tell whether a view with these columns needs to know which file a line is in."""
    return not used.isdisjoint(_PLACED)


def view(
    kind: Kind, used: set[str], source: str, root: str, *, max_line_bytes: int, careful: bool
) -> str:
    """Return the statement that creates the view of the lines that come from the pipe *source*.

    Columns that are not *used* are there, and are null.
    """
    keys = [name for name in COLUMNS[kind] if name in used - _NO_KEY]
    paths = ", ".join(f"'$.{key}'" for key in keys)
    placed = "name: 'VARCHAR', sid: 'VARCHAR', " if is_placed(used) else ""
    fields = [
        f'{_expression(kind, name, keys, root) if name in used else "NULL"}::{form} AS "{name}"'
        for name, form in COLUMNS[kind].items()
    ]
    good = "json_valid(line)" if careful else "true"
    reader = (
        f"read_csv('{source}', columns={{{placed}line: 'VARCHAR'}}, auto_detect=false, header=false, "
        f"delim='{SEPARATOR.decode()}', quote='', escape='', compression='none', "
        f"max_line_size={max_line_bytes}, buffer_size={max_line_bytes})"
    )
    # A line that is no object is for the careful way to find and to leave out.
    checked = (
        f"SELECT * FROM {reader} WHERE CASE WHEN line IS NULL OR NOT {good} THEN false "  # noqa: S608
        "WHEN json_type(line) = 'OBJECT' THEN true ELSE error('not a JSON object') END"
    )
    taken = f"*, json_extract_string(line, [{paths}]) AS texts" if keys else "*"
    return f"CREATE VIEW {TABLES[kind]} AS SELECT {', '.join(fields)} FROM (SELECT {taken} FROM ({checked}))"  # noqa: S608


def empty_view(kind: Kind) -> str:
    """Return the statement that creates the view of a table that the query does not read."""
    fields = ", ".join(f'NULL::{form} AS "{name}"' for name, form in COLUMNS[kind].items())
    return f"CREATE VIEW {TABLES[kind]} AS SELECT {fields} WHERE false"


def reads_once(nodes: list[dict[str, Any]], feeds: int) -> bool:
    """Tell whether a plan reads each of so many pipes once, as it must: nothing is in it twice."""
    reads = 0
    for node in nodes:
        if node["name"].startswith("REC"):  # a recursive query runs parts of itself again
            return False
        reads += "READ_CSV" in (node["name"], (node["extra_info"] or {}).get("Function"))
    return reads <= feeds


def load(con: Any, kind: Kind) -> None:
    """Put the lines that a view shows into a table behind it, for a query that reads them twice."""
    table = TABLES[kind]
    con.execute(f"ALTER VIEW {table} RENAME TO {table}_read")
    con.execute(f"CREATE TABLE {table}_held AS FROM {table}_read")
    con.execute(f"CREATE VIEW {table} AS FROM {table}_held")


def literal(text: str) -> str:
    """Return *text* as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def _expression(kind: Kind, name: str, keys: list[str], root: str) -> str:
    if name == "file":
        return f"{literal(root)} || name"
    if name == "extras":
        known = {key: None for key in COLUMNS[kind] if key not in _NO_KEY}
        return f"json_merge_patch(line, '{json.dumps(known)}')"
    text = f"texts[{keys.index(name) + 1}]"
    if name == "session_id":
        # An ID is text that is not empty. Only what may be JSON of another type is asked for its own.
        return (
            f"CASE WHEN {text} IS NULL OR {text} = '' THEN sid->>'$' "
            f"WHEN regexp_full_match({text}, '{_NO_TEXT}', 's') "
            f"AND json_type(line, '$.session_id') <> 'VARCHAR' THEN sid->>'$' ELSE {text} END"
        )
    if name == "exception":
        kept = ", ".join(f"'{key}': line->>'$.exception.{key}'" for key in _exception_keys())
        alone = ", ".join(
            f"'{key}': {text if key == 'stacktrace' else 'NULL'}" for key in _exception_keys()
        )
        return (
            f"CASE WHEN {text} IS NULL THEN NULL WHEN json_type(line, '$.exception') = 'OBJECT' "
            f"THEN {{{kept}}} ELSE {{{alone}}} END"
        )
    form = COLUMNS[kind][name]
    if form == "JSON":
        return f"json_extract(line, '$.{name}')"
    return text if form == "VARCHAR" else f"TRY_CAST({text} AS {form})"


def _exception_keys() -> tuple[str, ...]:
    return ("type", "message", "stacktrace")


def _kind_of(table: str) -> Kind | None:
    name = table.rpartition(".")[2]
    return next((kind for kind, known in TABLES.items() if known == name), None)


def _column(text: str) -> str:
    """Return the column of a projection, of which a part may be meant: ``exception.type``."""
    return text.partition(".")[0].strip('"')

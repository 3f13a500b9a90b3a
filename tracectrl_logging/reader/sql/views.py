"""The tables that SQL sees: their columns, and how each is taken from a line.

Taking a column out of JSON costs more than anything else, so a pipe has those alone that the query
uses; which these are, the database's own planner says, asked about a view that has all.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tracectrl.schema import ERROR, OPEN
from tracectrl_logging.reader.sql.connection import PLAN
from tracectrl_logging.reader.sql.fields import ESCAPED, SEPARATOR

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

    from tracectrl.schema import Kind

_TIME: Final = "TIMESTAMP WITH TIME ZONE"
_EXCEPTION: Final = 'STRUCT("type" VARCHAR, message VARCHAR, stacktrace VARCHAR)'

SESSION: Final = "session"
"""A column that the view of sessions alone sees: the session whose file a line is in."""
PARENT: Final = "session_parent"
PREVIOUS: Final = "session_previous"
"""Columns that it alone sees, too: the sessions that a line names as its own's."""
MARK: Final = "session_mark"
"""And what a line says of its session's state: ``running`` or ``crashed``, or of which block that is."""
_HIDDEN: Final = (SESSION, PARENT, PREVIOUS, MARK)

COLUMNS: Final[dict[Kind, dict[str, str]]] = {
    "log": {
        "timestamp": _TIME,
        "level": "VARCHAR",
        "severity_number": "INTEGER",
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
        "state": "VARCHAR",
        "observed_time": _TIME,
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

_LINE: Final = "line"

_STORED: Final[dict[Kind, str]] = {kind: f"stored_{table}" for kind, table in TABLES.items()}


def _has(state: str) -> str:
    """Return what tells whether a line says *state*, or that a block is in it which has no second line."""
    blocks = f"histogram({MARK}) FILTER (starts_with({MARK}, '{state} '))"
    return f"(coalesce(bool_or({MARK} = '{state}'), false) OR coalesce(list_contains(map_values({blocks}), 1), false))"


_SESSIONS: Final = f"""
CREATE VIEW sessions AS SELECT
  {SESSION} AS session_id,
  min(first_time) AS first_time,
  max(last_time) AS last_time,
  TRY_CAST((epoch_us(max(last_time))::HUGEINT - epoch_us(min(first_time))) * 1000 AS BIGINT)
    AS duration_ns,
  count(*) FILTER (is_log) AS logs,
  count(*) FILTER (NOT is_log) AS spans,
  count(*) FILTER (is_log AND is_error) AS errors,
  count(*) FILTER (NOT is_log AND is_error) AS error_spans,
  count(*) FILTER (is_open) AS open_spans,
  coalesce(list_sort(list(DISTINCT service) FILTER (service IS NOT NULL)), []) AS services,
  nullif(min({PARENT}), {SESSION}) AS parent,
  nullif(min({PREVIOUS}), {SESSION}) AS previous,
  CASE WHEN {_has("running")} THEN 'running' WHEN {_has("crashed")} THEN 'crashed' ELSE 'ended' END
    AS state
FROM (
  SELECT {SESSION}, timestamp AS first_time, timestamp AS last_time, true AS is_log,
    coalesce(severity_number >= {ERROR}, false) AS is_error, false AS is_open, service,
    {PARENT}, {PREVIOUS}, {MARK} FROM {_STORED["log"]}
  UNION ALL
  SELECT {SESSION}, least(start_time, end_time, observed_time),
    greatest(start_time, end_time, observed_time), false, coalesce(status = 'ERROR', false),
    end_time IS NULL AND coalesce(state = '{OPEN}', false), service, {PARENT}, {PREVIOUS}, {MARK}
  FROM {_STORED["span"]}
) GROUP BY {SESSION}"""  # noqa: S608 - of our own constants
PUBLIC: Final = ";".join(
    (
        *(
            f"CREATE VIEW {TABLES[kind]} AS SELECT * EXCLUDE ({', '.join(_HIDDEN)}) FROM {_STORED[kind]}"  # noqa: S608 - as above
            for kind in TABLES
        ),
        _SESSIONS,
    )
)
"""The statements that create the views which a query is written for."""
DROPPED: Final = ";".join(
    f"DROP VIEW {view}" for view in ("sessions", *TABLES.values(), *_STORED.values())
)
"""The statements that drop all views."""


def used_columns(nodes: list[dict[str, Any]]) -> dict[Kind, set[str]] | None:
    """Return which columns of which tables a query reads whose plan has the operators *nodes*.

    Returns:
        ``None`` where that is not known.
    """
    if any(node["name"] == "EMPTY_RESULT" for node in nodes):
        return None
    used: dict[Kind, set[str]] = {}
    for kind, names in _reads(nodes):
        used.setdefault(kind, set()).update(names)
    return used


def plan_of(con: Any, sql: str, params: Any = None) -> list[dict[str, Any]] | None:
    """Return the operators of the plan for *sql*; ``None`` where there is none to see.

    Raises:
        duckdb.Error: the query is wrong.
    """
    rows = con.execute(f"{PLAN}{sql}", params).fetchall()
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


def names_of(kind: Kind, used: set[str] | None) -> list[str]:
    """Return the columns of a table that are *used*, all where that is ``None``, in their order."""
    return [name for name in _columns(kind) if used is None or name in used]


def view(kind: Kind, names: Sequence[str], source: str, root: str, line_bytes: int) -> str:
    """Return the statement that creates the view of the lines that come from the pipe *source*.

    Columns that are not among *names* are there, and are null. The planner knows nothing of a pipe, so
    it leaves out what a query does not use, and that alone.

    Args:
        kind: log lines or spans.
        names: the columns that the pipe has.
        source: the path of the pipe.
        root: what the names of files begin with.
        line_bytes: the length of the longest line.
    """
    fields = ", ".join(f"{kind}_{name}: 'VARCHAR'" for name in (_LINE, *names))
    taken = ", ".join(
        f'{_expression(kind, name, root) if name in names else "NULL"}::{form} AS "{name}"'
        for name, form in _columns(kind).items()
    )
    return (
        f"CREATE VIEW {_STORED[kind]} AS SELECT {taken} FROM {_reader(source, fields, line_bytes)} "  # noqa: S608
        f"WHERE {kind}_{_LINE} IS NOT NULL"
    )


def empty_view(kind: Kind) -> str:
    """Return the statement that creates the view of a table that the query does not read."""
    fields = ", ".join(f'NULL::{form} AS "{name}"' for name, form in _columns(kind).items())
    return f"CREATE VIEW {_STORED[kind]} AS SELECT {fields} WHERE false"


def reads_once(nodes: list[dict[str, Any]]) -> bool:
    """Tell whether a plan reads each pipe once, as it must: nothing is in it twice."""
    if any(node["name"].startswith("REC") for node in nodes):  # runs parts of itself again
        return False
    kinds = [kind for kind, _ in _reads(nodes)]
    return len(kinds) == len({*kinds})


def load(con: Any, kind: Kind) -> None:
    """Put the lines that a view shows into a table behind it, for a query that reads them twice."""
    table = _STORED[kind]
    con.execute(f"ALTER VIEW {table} RENAME TO {table}_read")
    con.execute(f"CREATE TABLE {table}_held AS FROM {table}_read")
    con.execute(f"CREATE VIEW {table} AS FROM {table}_held")


def quoted(name: str) -> str:
    """Return *name* as the name of a column in SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return *text* as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def _expression(kind: Kind, name: str, root: str) -> str:
    column, form = f"{kind}_{name}", _columns(kind)[name]
    if form in {"JSON", _EXCEPTION}:
        return f"{column}::JSON"
    text = f"CASE WHEN starts_with({column}, '{ESCAPED}') THEN {column}[2:]->>'$' ELSE {column} END"
    if name == "file":
        return f"({literal(root)} || {text})"
    return f"({text})" if form == "VARCHAR" else f"TRY_CAST({column} AS {form})"


def _columns(kind: Kind) -> dict[str, str]:
    return {**COLUMNS[kind], **dict.fromkeys(_HIDDEN, "VARCHAR")}


def _reads(nodes: list[dict[str, Any]]) -> Iterator[tuple[Kind, set[str]]]:
    """Yield the table and the columns of each operator that reads a pipe."""
    for node in nodes:
        info = node["extra_info"] or {}
        if "READ_CSV" not in (node["name"], info.get("Function")):
            continue
        listed = info.get("Projections", [])
        names = [text.strip('"') for text in ([listed] if isinstance(listed, str) else listed)]
        for kind in TABLES:
            if f"{kind}_{_LINE}" in names:
                own = {name.removeprefix(f"{kind}_") for name in names}
                yield kind, own & _columns(kind).keys()


def _reader(source: str, fields: str, line_bytes: int) -> str:
    return (
        f"read_csv({literal(source)}, columns={{{fields}}}, auto_detect=false, header=false, "
        f"delim='{SEPARATOR}', quote='', escape='', compression='none', "
        f"max_line_size={line_bytes}, buffer_size={line_bytes})"
    )

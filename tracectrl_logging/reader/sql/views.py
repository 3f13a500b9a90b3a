"""The tables that SQL sees: their columns, and how each is taken from a line.

Taking a column out of JSON costs more than anything else, so a view computes those alone that the
query uses; which these are, the database's own planner says, asked about empty tables.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tracectrl.files.names import OVERFLOW_STEM
from tracectrl.schema import ERROR, LEVELS, UNKNOWN, severity_of_name
from tracectrl_logging.reader.sql.connection import PLAN
from tracectrl_logging.reader.sql.passing import SEPARATOR

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from tracectrl.schema import Kind

_TIME: Final = "TIMESTAMP WITH TIME ZONE"
_EXCEPTION: Final = 'STRUCT("type" VARCHAR, message VARCHAR, stacktrace VARCHAR)'

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

SESSION: Final = "session"
"""A column that the view of sessions alone sees: the session whose file a line is in."""

_PLACED: Final = frozenset({"session_id", "file", SESSION})
_NO_KEY: Final = frozenset({"extras", "file", SESSION})

_LINE: Final = "line"
_MIB: Final = 1024 * 1024

_NO_TEXT: Final = r"[\[{].*|true|false|[-+.0-9eE]+"
"""What a list, an object, a boolean or a number looks like as text."""

_STORED: Final[dict[Kind, str]] = {kind: f"stored_{table}" for kind, table in TABLES.items()}
_DROPPED: Final = "unreadable_lines"
COUNTER: Final = f"CREATE SEQUENCE {_DROPPED}"
"""The statement that creates what counts the lines which only the database found damaged."""

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
  coalesce(list_sort(list(DISTINCT service) FILTER (service IS NOT NULL)), []) AS services
FROM (
  SELECT {SESSION}, timestamp AS first_time, timestamp AS last_time, true AS is_log,
    coalesce(severity_number >= {ERROR}, false) AS is_error, service FROM {_STORED["log"]}
  UNION ALL
  SELECT {SESSION}, least(start_time, end_time), greatest(start_time, end_time), false,
    coalesce(status = 'ERROR', false), service FROM {_STORED["span"]}
) GROUP BY {SESSION}"""  # noqa: S608 - of our own constants
PUBLIC: Final = ";".join(
    (
        *(
            f"CREATE VIEW {TABLES[kind]} AS SELECT * EXCLUDE ({SESSION}) FROM {_STORED[kind]}"  # noqa: S608 - as above
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


def planned_view(kind: Kind, source: str) -> str:
    """Return the statement that creates a view which tells, when planned, what a query reads.

    It has a column of its own for each of the table's, and reads a pipe as the true view does: of
    that the planner knows nothing, so it leaves out what the query does not use, and that alone.
    """
    columns = _columns(kind)
    fields = ", ".join(f"{kind}_{name}: 'VARCHAR'" for name in (_LINE, *columns))
    taken = ", ".join(f'{kind}_{name}::{form} AS "{name}"' for name, form in columns.items())
    return (
        f"CREATE VIEW {_STORED[kind]} AS SELECT {taken} FROM {_reader(source, fields, _MIB)} "  # noqa: S608
        f"WHERE {kind}_{_LINE} IS NOT NULL"
    )


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


def is_placed(used: set[str]) -> bool:
    """Tell whether a view with these columns needs to know which file a line is in."""
    return not used.isdisjoint(_PLACED)


def keys_of(kind: Kind, used: set[str]) -> list[str]:
    """Return the keys of a line that a view with the columns *used* looks at."""
    keys = {*used, "level"} if "severity_number" in used else used
    return [name for name in COLUMNS[kind] if name in keys - _NO_KEY]


def view(kind: Kind, used: set[str], source: str, root: str, line_bytes: int) -> str:
    """Return the statement that creates the view of the lines that come from the pipe *source*.

    Columns that are not *used* are there, and are null. A line that the database cannot read is left
    out and counted.

    Args:
        kind: log lines or spans.
        used: the columns that the query reads.
        source: the path of the pipe.
        root: what the names of files begin with.
        line_bytes: the length of the longest line.
    """
    keys = keys_of(kind, used)
    paths = ", ".join(f"'$.{key}'" for key in keys) or "'$'"
    placed = "name: 'VARCHAR', sid: 'VARCHAR', " if is_placed(used) else ""
    fields = [
        f'{_expression(kind, name, keys, root) if name in used else "NULL"}::{form} AS "{name}"'
        for name, form in _columns(kind).items()
    ]
    line = f"{kind}_{_LINE}"
    reader = _reader(source, f"{placed}{line}: 'VARCHAR'", line_bytes)
    texts = f"TRY(json_extract_string({line}, [{paths}]))"
    # What counts is part of the value, so that no condition of the query's goes before it. Where all
    # of many lines are good, CASE costs nothing, unlike coalesce().
    counted = f"CASE WHEN nextval('{_DROPPED}') < 0 THEN [] END"
    return (
        f"CREATE VIEW {_STORED[kind]} AS SELECT {', '.join(fields)} FROM "  # noqa: S608
        f"(SELECT *, CASE WHEN read_texts IS NOT NULL THEN read_texts ELSE {counted} END AS texts "
        f"FROM (SELECT *, {line} AS line, {texts} AS read_texts FROM {reader} "
        f"WHERE {line} IS NOT NULL)) WHERE texts IS NOT NULL"
    )


def has_dropped(con: Any) -> bool:
    """Tell whether a view has left out a line that the database could not read."""
    (row,) = con.execute("SELECT count(last_value) FROM duckdb_sequences()").fetchall() or ((0,),)
    return bool(row[0])


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


def _expression(kind: Kind, name: str, keys: list[str], root: str) -> str:
    if name in _NO_KEY:
        known = {key: None for key in COLUMNS[kind] if key not in _NO_KEY}
        return {
            "file": f"{literal(root)} || name",
            SESSION: f"coalesce(sid->>'$', '{OVERFLOW_STEM}')",
            "extras": f"json_merge_patch(line, '{json.dumps(known)}')",
        }[name]
    text = f"texts[{keys.index(name) + 1}]"
    if name == "severity_number":
        level = f"texts[{keys.index('level') + 1}]"
        numbers = " ".join(f"WHEN '{it}' THEN {severity_of_name(it)}" for it in LEVELS)
        return f"CASE {level} {numbers} ELSE TRY_CAST({text} AS INTEGER) END"
    if name == "session_id":
        of_file = f"coalesce(sid->>'$', '{UNKNOWN}')"
        # An ID is text that is not empty. Only what may be JSON of another type is asked for its own.
        return (
            f"CASE WHEN {text} IS NULL OR {text} = '' THEN {of_file} "
            f"WHEN regexp_full_match({text}, '{_NO_TEXT}', 's') "
            f"AND json_type(line, '$.session_id') <> 'VARCHAR' THEN {of_file} ELSE {text} END"
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
    return _plain_expression(kind, name, text)


def _plain_expression(kind: Kind, name: str, text: str) -> str:
    if name == "service":  # which is text: a number names none
        return (
            f"CASE WHEN regexp_full_match({text}, '{_NO_TEXT}', 's') "
            f"AND json_type(line, '$.service') <> 'VARCHAR' THEN NULL ELSE {text} END"
        )
    form = COLUMNS[kind][name]
    if form == "JSON":
        return f"json_extract(line, '$.{name}')"
    return text if form == "VARCHAR" else f"TRY_CAST({text} AS {form})"


def _columns(kind: Kind) -> dict[str, str]:
    return {**COLUMNS[kind], SESSION: "VARCHAR"}


def _exception_keys() -> tuple[str, ...]:
    return ("type", "message", "stacktrace")


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
        f"delim='{SEPARATOR.decode()}', quote='', escape='', compression='none', "
        f"max_line_size={line_bytes}, buffer_size={line_bytes})"
    )

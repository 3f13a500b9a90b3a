"""SQL over the sessions in ClickHouse: its own dialect, over the views that files have, too.

The server runs the query read-only, within bounds of time, memory and rows; which of its other tables the
user may read, the server decides. The ready questions, which are written for DuckDB, are asked in
ClickHouse's words here.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from tracectrl.schema import ERROR, LEVELS, LOG_KEYS, PARENT_KEY, PREVIOUS_KEY, SPELLINGS
from tracectrl_logging.reader.clickhouse.connection import MOST_S, ServerError
from tracectrl_logging.reader.genai import names
from tracectrl_logging.reader.model import UnsupportedError
from tracectrl_logging.reader.sql.ready import READY
from tracectrl_logging.reader.sql.rows import Form, QueryError, Rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Final

    from tracectrl.schema import Kind
    from tracectrl_logging.reader.clickhouse.connection import Connection
    from tracectrl_logging.reader.clickhouse.tables import Table
    from tracectrl_logging.reader.store import OnStart, Params

_MOST_ROWS: Final = 10_000_000
_THREADS: Final = 4
_MEGABYTE: Final = 1_000_000
_TOO_MUCH: Final = 241
_TOO_LONG: Final = 159
_EXCEPTION: Final = ("type", "message", "stacktrace")
_OWN: Final = ", ".join(f"'{key}'" for key in LOG_KEYS)


def asked(
    connection: Connection,
    tables: Mapping[Kind, Table],
    sql: str,
    *,
    params: Params,
    memory_mb: int,
    timeout_s: float | None,
    on_start: OnStart | None,
) -> Rows:
    """Run *sql* over the *tables* behind *connection*; see :meth:`Store.query`.

    Raises:
        QueryError: the SQL is wrong, or needs more than it may use.
        StoreError: the server cannot be reached, or refuses.
    """
    if params is not None and not hasattr(params, "keys"):
        msg = "parameters must be a dictionary for {name:String} in ClickHouse's SQL, got a list"
        raise QueryError(msg)
    for name in params or ():
        # Where the SQL has none of them, the client would put values into it.
        if not re.search(rf"\{{{re.escape(str(name))}:[^}}]+\}}", sql):
            msg = f"a parameter must be in the SQL, as {{{name}:String}} or of another type, got {name!r}"
            raise QueryError(msg)
    settings = {
        "max_memory_usage": memory_mb * _MEGABYTE,
        "max_bytes_before_external_sort": memory_mb * _MEGABYTE // 2,
        "max_bytes_before_external_group_by": memory_mb * _MEGABYTE // 2,
        "max_execution_time": min(timeout_s or MOST_S, MOST_S),
        "max_result_rows": _MOST_ROWS,
        "max_threads": _THREADS,
    }
    whole = f"WITH {_views(tables)} SELECT * FROM (\n{_translated(sql)}\n)"  # noqa: S608 - read-only
    try:
        answer = connection.answer(whole, params, settings)  # type: ignore[arg-type]
    except ServerError as error:
        raise _query_error(error, memory_mb) from error
    forms = [(name, _form(name, kind.name)) for name, kind in answer.columns]
    if not forms:  # which an answer without rows has not
        described = connection.rows(f"DESCRIBE ({whole})", params, settings)  # type: ignore[arg-type]
        forms = [(name, _form(name, kind)) for name, kind, *_ in described]

    def values() -> Iterator[tuple[Any, ...]]:
        try:
            for row in answer.rows:
                yield tuple(map(_value, row))
        except ServerError as error:
            raise _query_error(error, memory_mb) from error

    if on_start is not None:
        on_start(answer.end)
    return Rows(forms, values(), answer.end)


def _translated(sql: str) -> str:
    """Return *sql*, or where it is a ready question's that question in ClickHouse's SQL."""
    for name, ready in READY.items():
        if ready.sql == sql:
            if name not in _READY:
                known = ", ".join(_READY)
                msg = f"the question {name!r} is for files; a store in ClickHouse has {known}, and its own SQL"
                raise UnsupportedError(msg)
            return _READY[name]
    return sql.strip().rstrip(";")


def _query_error(error: ServerError, memory_mb: int) -> QueryError:
    if error.code == _TOO_MUCH:
        return QueryError(f"{memory_mb} MB are too little memory for this query")
    if error.code == _TOO_LONG:
        return QueryError(f"the query takes longer than it may: {error}")
    return QueryError(str(error))


_TEXTS: Final = (
    *("TraceId", "SpanId", "ParentSpanId", "SeverityText", "ServiceName", "Body", "ScopeName"),
    *("SpanName", "SpanKind", "StatusCode", "StatusMessage", "Events.Name", "Links.SpanId"),
)
_MAPS: Final = ("ResourceAttributes", "LogAttributes", "SpanAttributes")


# --- the views --------------------------------------------------------------------------------------


def _views(tables: Mapping[Kind, Table]) -> str:
    """Return the common table expressions ``logs``, ``spans`` and ``sessions``."""
    hidden = ", ".join(_kin(""))
    views = {
        "stored_logs": _logs(_there(tables["log"])),
        "stored_spans": _spans(_there(tables["span"])),
        "logs": f"SELECT * EXCEPT ({hidden}) FROM stored_logs",  # noqa: S608 - names of our own
        "spans": f"SELECT * EXCEPT ({hidden}) FROM stored_spans",  # noqa: S608 - as above
        "sessions": _SESSIONS,
    }
    return ", ".join(f"{name} AS ({sql})" for name, sql in views.items())


def _there(table: Table) -> Table:
    """Return *table*, or in the place of one that is not there one without rows."""
    if table.columns:
        return table
    texts = ", ".join(f"'' AS `{name}`" for name in _TEXTS)
    maps = ", ".join(f"map('', '') AS {name}" for name in _MAPS)
    numbers = "toUInt8(0) AS SeverityNumber, toUInt8(0) AS TraceFlags, toUInt64(0) AS Duration"
    time = "fromUnixTimestamp64Nano(toInt64(0)) AS Timestamp"
    return table._replace(name=f"(SELECT {time}, {numbers}, {texts}, {maps} WHERE 0)")


def _logs(table: Table) -> str:
    spelt = ", ".join(f"'{name}'" for name in SPELLINGS)
    names = ", ".join(f"'{level}'" for level in SPELLINGS.values())
    own = ", ".join(f"'{level}'" for level in LEVELS)
    level = f"if(SeverityText IN ({own}), SeverityText, transform(upper(SeverityText), [{spelt}], [{names}], toString(SeverityText)))"
    rest = (
        "concat('{', arrayStringConcat(arrayMap(kv -> concat(toJSONString(kv.1), ':', kv.2), arrayFilter("
        f"kv -> kv.1 NOT IN ({_OWN}), JSONExtractKeysAndValuesRaw(TracectrlLine))), ','), '}}')"
    )
    extras = "toJSONString(LogAttributes)"
    fields = {
        "timestamp": _time("toUnixTimestamp64Nano(Timestamp)"),
        "level": f"nullIf({level}, '')",
        "severity_number": "nullIf(toInt32(SeverityNumber), 0)",
        "logger": _text("ScopeName"),
        "message": _text("Body"),
        "session_id": table.session,
        "trace_id": _text("TraceId"),
        "span_id": _text("SpanId"),
        "trace_flags": "if(TraceId = '', NULL, lower(hex(TraceFlags)))",
        "service": _text("toString(ServiceName)"),
        **{f"exception_{key}": _text(f"LogAttributes['exception.{key}']") for key in _EXCEPTION},
        "stack": _text("LogAttributes['code.stacktrace']"),
        "extras": f"if({table.uid} = '', {extras}, {rest})" if table.is_set_up else extras,
        **_kin("LogAttributes"),
        "host": _text(table.host),
    }
    return _select(table, fields, "1")


def _spans(table: Table) -> str:
    state = "SpanAttributes['tracectrl.span.state']"
    is_unsettled = f"(Duration = 0 AND {state} IN ('open', 'void'))"
    ended = (
        f"SELECT {table.named_session}, TraceId, SpanId FROM {table.name} WHERE NOT (Duration = 0 AND {state} = 'open')"  # noqa: S608 - names of our own
        f" AND SpanId IN (SELECT SpanId FROM {table.name} WHERE {is_unsettled})"
    )

    def part(key: str, column: str) -> str:
        if not table.is_set_up:
            return column
        return f"if({table.uid} = '', {column}, nullIf(JSONExtractRaw(TracectrlLine, '{key}'), ''))"

    is_open = f"{is_unsettled} AND {state} = 'open'"
    fields = {
        "name": "toString(SpanName)",
        "kind": "replaceOne(upper(SpanKind), 'SPAN_KIND_', '')",
        "session_id": table.session,
        "trace_id": _text("TraceId"),
        "span_id": _text("SpanId"),
        "parent_span_id": _text("ParentSpanId"),
        "start_time": _time(table.start_ns),
        "end_time": f"if({is_open}, NULL, {_time(table.end_ns)})",
        "duration_ns": f"if({is_open}, NULL, toInt64(Duration))",
        "status": f"if({is_open}, NULL, replaceOne(upper(StatusCode), 'STATUS_CODE_', ''))",
        "status_message": _text("StatusMessage"),
        "state": f"if({is_open}, 'open', NULL)",
        "service": _text("toString(ServiceName)"),
        "scope": "ScopeName",
        "attributes": part("attributes", "toJSONString(SpanAttributes)"),
        "events": part("events", "toJSONString(Events.Name)"),
        "links": part("links", "toJSONString(Links.SpanId)"),
        "resource": part("resource", "toJSONString(ResourceAttributes)"),
        **_kin("SpanAttributes"),
        "host": _text(table.host),
    }
    settled = f"NOT {is_unsettled} OR ({is_open} AND ({table.named_session}, TraceId, SpanId) NOT IN ({ended}))"
    return _select(table, fields, settled)


def _select(table: Table, fields: dict[str, str], condition: str) -> str:
    listed = ", ".join(f"{sql} AS {name}" for name, sql in fields.items())
    return f"SELECT {listed} FROM {table.name} WHERE {condition}"  # noqa: S608 - as above


def _text(sql: str) -> str:
    return f"nullIf({sql}, '')"


def _time(ns: str) -> str:
    return f"fromUnixTimestamp64Micro(intDiv({ns}, 1000), 'UTC')"


def _kin(attributes: str) -> dict[str, str]:
    names = {"session_parent": PARENT_KEY, "session_previous": PREVIOUS_KEY}
    return {name: _text(f"{attributes}['{key}']") for name, key in names.items()}


_SESSIONS: Final = f"""
SELECT session_id, min(a.first) AS first_time, max(a.last) AS last_time,
  dateDiff('microsecond', first_time, last_time) * 1000 AS duration_ns,
  countIf(is_log) AS logs, countIf(NOT is_log) AS spans,
  countIf(is_log AND is_error) AS errors, countIf(NOT is_log AND is_error) AS error_spans,
  countIf(is_open) AS open_spans,
  arraySort(groupUniqArrayIf(assumeNotNull(a.service), a.service IS NOT NULL)) AS services,
  nullIf(min(a.parent), session_id) AS parent, nullIf(min(a.previous), session_id) AS previous
FROM (
  SELECT session_id, timestamp AS first, timestamp AS last, true AS is_log,
    coalesce(severity_number >= {ERROR}, false) AS is_error, false AS is_open, service,
    session_parent AS parent, session_previous AS previous FROM stored_logs
  UNION ALL
  SELECT session_id, start_time, coalesce(end_time, start_time), false, coalesce(status = 'ERROR', false),
    state IS NOT NULL, service, session_parent, session_previous FROM stored_spans
) AS a GROUP BY session_id"""  # noqa: S608 - of our own constants


# --- the ready questions ----------------------------------------------------------------------------


def _first(found: tuple[str, ...]) -> str:
    return f"coalesce({', '.join(_attribute(name) for name in found)})"


def _attribute(name: str) -> str:
    return f"nullIf(JSONExtractString(attributes, '{name}'), '')"


def _span_kind() -> str:
    """Return the expression for what a span is of, as for files."""
    cases = [
        f"CASE {_attribute(name)} "
        + " ".join(f"WHEN '{value}' THEN '{kind}'" for value, kind in kinds.items())
        + " ELSE NULL END"
        for name, kinds in names.KINDS.items()
    ]
    return f"coalesce({', '.join(cases)}, '')"


_READY: Final = {
    "errors": f"""
SELECT countIf(is_log) AS lines, countIf(NOT is_log) AS spans, uniqExact(a.sid) AS sessions,
  max(a.time) AS last_time, min(a.sid) AS session_id, logger, exception, message
FROM (
  SELECT true AS is_log, timestamp AS time, session_id AS sid, logger, exception_type AS exception, message
  FROM logs WHERE severity_number >= {ERROR}
  UNION ALL
  SELECT false, end_time, session_id, scope, NULL,
    if(status_message IS NULL, name, concat(name, ': ', status_message))
  FROM spans WHERE status = 'ERROR'
) AS a GROUP BY is_log, logger, exception, message
ORDER BY count() DESC, last_time DESC, message LIMIT 50""",  # noqa: S608 - as above
    "slow": """
SELECT duration_ns / 1e6 AS duration_ms, status, start_time, session_id, service, name
FROM spans ORDER BY duration_ns DESC, start_time LIMIT 50""",
    "tools": f"""
SELECT tool, count() AS calls, countIf(status = 'ERROR') AS errors, uniqExact(a.sid) AS sessions,
  quantileExactInclusive(0.5)(duration_ns) / 1e6 AS median_ms, max(duration_ns) / 1e6 AS longest_ms,
  min(a.sid) AS session_id
FROM (
  SELECT coalesce({_first(names.TOOL)}, name) AS tool, status, session_id AS sid, duration_ns
  FROM spans WHERE {_span_kind()} = 'tool'
) AS a GROUP BY tool ORDER BY calls DESC, tool LIMIT 50""",  # noqa: S608 - as above
}


# --- values -----------------------------------------------------------------------------------------

_JSON: Final = frozenset({"extras", "attributes", "events", "links", "resource"})
_NUMBER: Final = re.compile(r"U?Int\d+|Float\d+|Decimal.*|BFloat16")
_WRAPPED: Final = re.compile(r"(?:Nullable|LowCardinality)\((.*)\)", re.DOTALL)


def _form(name: str, kind: str) -> Form:
    """Return the type *kind* of the column *name* as those of the other stores."""
    bare = kind
    while (match := _WRAPPED.fullmatch(bare)) is not None:
        bare = match[1]
    if bare == "String":
        return Form("JSON", "json", ()) if name in _JSON else Form(kind, "varchar", ())
    if bare.startswith("DateTime"):
        return Form(kind, "timestamp with time zone", ())
    return Form(kind, "double" if _NUMBER.fullmatch(bare) else bare.lower(), ())


def _value(value: Any) -> Any:
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=timezone.utc)
    return value

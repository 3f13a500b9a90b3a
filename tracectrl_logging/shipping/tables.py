"""What a ClickHouse database is to have, and the statements that are missing for it.

The tables are those of OpenTelemetry's exporter: they are made where they are not there, in its own words, and
are only added to where they are. Collectors and dashboards go on with the same rows.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tracectrl.schema import SESSION_ATTRIBUTE
from tracectrl_logging.reader.clickhouse.tables import ATTRIBUTES, NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from tracectrl.schema import Kind
    from tracectrl_logging.reader.clickhouse.connection import Connection

WINDOW: Final = 10_000
"""How many of the last blocks a table knows again, so that one which is sent twice is there once."""

TEXT_SINCE: Final = (26, 2)
"""The first release with text indexes that need no setting."""

_MAP: Final = "Map(LowCardinality(String), String)"
_TEXT: Final = "text(tokenizer = 'array')"
_BLOOM: Final = "bloom_filter(0.001) GRANULARITY 1"

_COLUMNS: Final[dict[Kind, str]] = {
    "log": f"""
  Timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)),
  TraceId String CODEC(ZSTD(1)),
  SpanId String CODEC(ZSTD(1)),
  TraceFlags UInt8,
  SeverityText LowCardinality(String) CODEC(ZSTD(1)),
  SeverityNumber UInt8,
  ServiceName LowCardinality(String) CODEC(ZSTD(1)),
  Body String CODEC(ZSTD(1)),
  ResourceSchemaUrl LowCardinality(String) CODEC(ZSTD(1)),
  ResourceAttributes {_MAP} CODEC(ZSTD(1)),
  ScopeSchemaUrl LowCardinality(String) CODEC(ZSTD(1)),
  ScopeName String CODEC(ZSTD(1)),
  ScopeVersion LowCardinality(String) CODEC(ZSTD(1)),
  ScopeAttributes {_MAP} CODEC(ZSTD(1)),
  LogAttributes {_MAP} CODEC(ZSTD(1)),
  EventName String CODEC(ZSTD(1)),
  INDEX idx_trace_id TraceId TYPE {{index}},
  INDEX idx_res_attr_key mapKeys(ResourceAttributes) TYPE {{index}},
  INDEX idx_log_attr_key mapKeys(LogAttributes) TYPE {{index}},
  INDEX idx_log_attr_value mapValues(LogAttributes) TYPE {{index}}""",
    "span": f"""
  Timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)),
  TraceId String CODEC(ZSTD(1)),
  SpanId String CODEC(ZSTD(1)),
  ParentSpanId String CODEC(ZSTD(1)),
  TraceState String CODEC(ZSTD(1)),
  SpanName LowCardinality(String) CODEC(ZSTD(1)),
  SpanKind LowCardinality(String) CODEC(ZSTD(1)),
  ServiceName LowCardinality(String) CODEC(ZSTD(1)),
  ResourceAttributes {_MAP} CODEC(ZSTD(1)),
  ScopeName String CODEC(ZSTD(1)),
  ScopeVersion String CODEC(ZSTD(1)),
  SpanAttributes {_MAP} CODEC(ZSTD(1)),
  Duration UInt64 CODEC(T64, ZSTD(1)),
  StatusCode LowCardinality(String) CODEC(ZSTD(1)),
  StatusMessage String CODEC(ZSTD(1)),
  Events Nested (Timestamp DateTime64(9), Name LowCardinality(String), Attributes {_MAP}) CODEC(ZSTD(1)),
  Links Nested (TraceId String, SpanId String, TraceState String, Attributes {_MAP}) CODEC(ZSTD(1)),
  INDEX idx_trace_id TraceId TYPE {{index}},
  INDEX idx_span_attr_key mapKeys(SpanAttributes) TYPE {{index}},
  INDEX idx_duration Duration TYPE minmax GRANULARITY 1""",
}
_ORDER: Final[dict[Kind, str]] = {
    "log": "toStartOfFiveMinutes(Timestamp), ServiceName, Timestamp",
    "span": "ServiceName, SpanName, toDateTime(Timestamp), Timestamp",
}
_OURS: Final = {
    "TracectrlLine": "String CODEC(ZSTD(3))",
    "TracectrlUid": "String CODEC(ZSTD(1))",
    "TracectrlSeen": "DateTime64(6) CODEC(Delta(8), ZSTD(1))",
}
_SETTING: Final = re.compile(r"\bnon_replicated_deduplication_window = (\d+)")
_TTL: Final = re.compile(r"\bTTL toDateTime\(Timestamp\) \+ toIntervalDay\((\d+)\)")


def missing(connection: Connection, database: str, ttl_days: int | None = None) -> Iterator[str]:
    """Yield the statements that give *database* what it does not have yet.

    Args:
        connection: to the server.
        database: its name.
        ttl_days: after how many days rows go; ``None`` leaves that as it is.

    Raises:
        StoreError: the server cannot be reached, or refuses.
    """
    ((version,),) = connection.rows("SELECT version()")
    major, minor, *_ = map(int, re.findall(r"\d+", version))
    index = _TEXT if (major, minor) >= TEXT_SINCE else _BLOOM
    for kind, table in NAMES.items():
        yield from _missing(connection, database, kind, table, index=index, ttl_days=ttl_days)


def _missing(
    connection: Connection,
    database: str,
    kind: Kind,
    table: str,
    *,
    index: str,
    ttl_days: int | None,
) -> Iterator[str]:
    named = {"database": database, "table": table}

    def asked(sql: str) -> list[Any]:
        where = "database = {database:String} AND table = {table:String}"
        return [row[0] for row in connection.rows(f"{sql} WHERE {where}", named)]

    made = asked("SELECT engine_full FROM (SELECT *, name AS table FROM system.tables)")
    columns = {*asked("SELECT name FROM system.columns")}
    indexes = {*asked("SELECT name FROM system.data_skipping_indices")}
    ttl = "" if ttl_days is None else f"TTL toDateTime(Timestamp) + toIntervalDay({ttl_days})"
    if not made:
        yield (
            f"CREATE TABLE IF NOT EXISTS {table} ({_COLUMNS[kind].format(index=index)}\n)"
            f" ENGINE = MergeTree PARTITION BY toDate(Timestamp) ORDER BY ({_ORDER[kind]}) {ttl}"
            " SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1"
        )
    elif ttl_days is not None:
        found = _TTL.search(made[0])
        if found is None or int(found[1]) != ttl_days:
            yield f"ALTER TABLE {table} MODIFY {ttl}"
    own = f"{ATTRIBUTES[kind]}['{SESSION_ATTRIBUTE}']"
    for name, form in {"SessionId": f"String MATERIALIZED {own} CODEC(ZSTD(1))", **_OURS}.items():
        if name not in columns:
            yield f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {name} {form}"
    for name, form in (
        ("idx_tracectrl_session", f"SessionId TYPE {index}"),
        ("idx_tracectrl_seen", "TracectrlSeen TYPE minmax GRANULARITY 1"),
    ):
        if name not in indexes:
            yield f"ALTER TABLE {table} ADD INDEX IF NOT EXISTS {name} {form}"
    engine = made[0] if made else "MergeTree"
    window = _SETTING.search(engine)
    is_replicated = engine.startswith(("Replicated", "Shared"))  # which know as many by themselves
    if not is_replicated and (window is None or int(window[1]) < WINDOW):
        yield f"ALTER TABLE {table} MODIFY SETTING non_replicated_deduplication_window = {WINDOW}"

"""The tables of OpenTelemetry's ClickHouse exporter, and what ``setup`` has added to them.

Both may be there or not: what a table has is asked of the server. A row of ``ship`` has the line as it
was written in ``TracectrlLine``, and in ``TracectrlUid`` which one of its host's lines it is; a row of
anybody else's has neither, and its line is made from its columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tracectrl.schema import SESSION_ATTRIBUTE, UNKNOWN
from tracectrl_logging.reader.model import StoreError, UnsupportedError

if TYPE_CHECKING:
    from typing import Final

    from tracectrl.schema import Kind
    from tracectrl_logging.reader.clickhouse.connection import Connection

NAMES: Final[dict[Kind, str]] = {"log": "otel_logs", "span": "otel_traces"}
"""The exporter's tables."""

ATTRIBUTES: Final[dict[Kind, str]] = {"log": "LogAttributes", "span": "SpanAttributes"}
"""The column of what a line says that no other column has."""

NUMBERS: Final[dict[Kind, int]] = {"log": 0, "span": 1}
"""What stands for the kind of a line in an answer."""

LEAST_NS: Final = 0
MOST_NS: Final = 4_291_747_199_999_999_000
"""The times that a row may have, to the end of 2105: partitions and five-minute keys have no others.

A line of another time is at the nearer of the two; the line itself says which it is of.
"""

# What makes a line of a row that is none of ours, as a JSON array; arrays of times in nanoseconds.
_COLUMNS: Final[dict[Kind, str]] = {
    "log": "toString(toUnixTimestamp64Nano(Timestamp)), TraceId, SpanId, TraceFlags, toString(SeverityText),"
    " SeverityNumber, Body, ScopeName, ResourceAttributes, LogAttributes",
    "span": "toString(toUnixTimestamp64Nano(Timestamp)), toString(Duration), TraceId, SpanId, ParentSpanId,"
    " TraceState, toString(SpanName), toString(SpanKind), toString(StatusCode), StatusMessage, ScopeName,"
    " ResourceAttributes, SpanAttributes,"
    " arrayMap(t -> toString(toUnixTimestamp64Nano(t)), Events.Timestamp),"
    " CAST(Events.Name, 'Array(String)'), Events.Attributes,"
    " Links.TraceId, Links.SpanId, Links.Attributes",
}


class Table(NamedTuple):
    """One of the exporter's tables, as it is: expressions of SQL over its columns."""

    kind: Kind
    name: str
    columns: frozenset[str]
    """The names of its columns; empty where there is no such table."""

    @property
    def attributes(self) -> str:
        """What a line says beyond the other columns, a map of texts."""
        return ATTRIBUTES[self.kind]

    @property
    def named_session(self) -> str:
        """The session that a row names; empty for none."""
        own = f"{self.attributes}['{SESSION_ATTRIBUTE}']"
        return "SessionId" if "SessionId" in self.columns else own

    @property
    def session(self) -> str:
        """The session of a row."""
        return f"if({self.named_session} = '', '{UNKNOWN}', {self.named_session})"

    @property
    def is_set_up(self) -> bool:
        """Whether rows may have the line as it was written."""
        return {"TracectrlLine", "TracectrlUid", "TracectrlSeen"} <= self.columns

    @property
    def uid(self) -> str:
        """Which one of its host's lines a row is; empty for a row of somebody else's."""
        return "TracectrlUid" if self.is_set_up else "''"

    @property
    def line(self) -> str:
        """The line of a row: as it was written, or a JSON array of its columns."""
        made = f"toJSONString(tuple({_COLUMNS[self.kind]}))"
        return f"if({self.uid} = '', {made}, TracectrlLine)" if self.is_set_up else made

    @property
    def host(self) -> str:
        """The machine of a row."""
        return "ResourceAttributes['host.name']"

    @property
    def start_ns(self) -> str:
        """When the line was, or the span started, in nanoseconds."""
        return "toUnixTimestamp64Nano(Timestamp)"

    @property
    def end_ns(self) -> str:
        """When the line was, or the span ended, in nanoseconds."""
        if self.kind == "log":
            return self.start_ns
        return f"(toUnixTimestamp64Nano(Timestamp) + toInt64(least(Duration, {MOST_NS})))"

    def of_session(self, name: str, *, is_list: bool = False) -> str:
        """Return the condition that a row is of the session, or of one of the list, in a parameter."""
        given = f"{{{name}:{'Array(String)' if is_list else 'String'}}}"
        sign = "IN" if is_list else "="
        if "SessionId" not in self.columns:
            # The index is over the attribute's key; every row of a session but the unknown one's has it.
            own = f"{self.attributes}['{SESSION_ATTRIBUTE}'] {sign} {given}"
        else:
            own = f"SessionId {sign} {given}"
        has_unknown = f"has({given}, '{UNKNOWN}')" if is_list else f"{given} = '{UNKNOWN}'"
        return f"({own} OR ({has_unknown} AND {self.named_session} = ''))"


def tables_of(connection: Connection, database: str) -> dict[Kind, Table]:
    """Return the tables that the *database* has.

    Raises:
        StoreError: it has none, or cannot be read.
    """
    rows = connection.rows(
        "SELECT table, name, type FROM system.columns"
        " WHERE database = {database:String} AND table IN {tables:Array(String)}",
        {"database": database, "tables": list(NAMES.values())},
    )
    found: dict[str, dict[str, str]] = {}
    for table, name, form in rows:
        found.setdefault(table, {})[name] = form
    if not found:
        names = " and ".join(NAMES.values())
        msg = f"the database '{database}' has no tables {names}, as OpenTelemetry's exporter makes them"
        raise StoreError(msg)
    for kind, table in NAMES.items():
        form = found.get(table, {}).get(ATTRIBUTES[kind], "Map()")
        if not form.startswith("Map("):
            msg = f"{table}.{ATTRIBUTES[kind]} must be a Map, as the exporter has it by default, got {form}"
            raise UnsupportedError(msg)
    return {kind: Table(kind, name, frozenset(found.get(name, ()))) for kind, name in NAMES.items()}

"""The engine of ClickHouse for each run of these tests, a database for each test.

- ``database``: the URL of a database of the test's own, without tables; ``client`` is connected to it.
- ``otel``: the same, with the exporter's tables; ``set_up`` has what ``setup`` adds to them.
- ``command``: runs the command in this process.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from tracectrl._json import well_formed
from tracectrl._time import ns_of
from tracectrl.schema import severity
from tracectrl.spans.values import text
from tracectrl_logging.reader import open_store
from tracectrl_logging.reader.filters.search import Query, Search
from tracectrl_logging.reader.otlp import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from click.testing import Result

    from tracectrl_logging.reader import Line

reason = "the engine, chdb, cannot be installed here"
pytest.importorskip("chdb", reason=reason)
clickhouse_connect = pytest.importorskip("clickhouse_connect", reason=reason)

ENGINE = Path(__file__).with_name("engine.py")
_numbers = itertools.count(1)


class Engine:
    """A process with the engine, on a port of loopback."""

    def __init__(self, directory: Path, *args: str, port: int = 0) -> None:
        self.log = Path(f"{directory}.log")
        self._command = [sys.executable, str(ENGINE), str(directory), *args]
        self.port = port
        self.start()

    def start(self) -> None:
        """Start it, on the port that it had."""
        self.process = subprocess.Popen(
            [*self._command, "--port", str(self.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def kill(self) -> None:
        """Kill it, as the machine would."""
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Run the engine; it lets anybody in."""
    engine = Engine(tmp_path_factory.mktemp("engine") / "data")
    yield engine
    engine.kill()


@pytest.fixture
def database(engine: Engine) -> str:
    """Make a database, and return its URL."""
    name = f"db{next(_numbers)}"
    with contextlib.closing(
        clickhouse_connect.get_client(port=engine.port, host="127.0.0.1")
    ) as it:
        it.command(f"CREATE DATABASE {name}")
    return f"clickhouse://127.0.0.1:{engine.port}/{name}"


@pytest.fixture
def client(engine: Engine, database: str) -> Iterator[Any]:
    """Connect to that database."""
    name = database.rpartition("/")[2]
    client = clickhouse_connect.get_client(
        host="127.0.0.1", port=engine.port, database=name, autogenerate_session_id=False
    )
    yield client
    client.close()


@pytest.fixture
def otel(client: Any, database: str) -> str:
    """Make the exporter's tables in that database; nobody sets them up."""
    client.command(LOGS)
    client.command(TRACES)
    return database


def add_columns(client: Any) -> None:
    """Add to the exporter's tables what makes lines whole."""
    for table, attributes in (("otel_logs", "LogAttributes"), ("otel_traces", "SpanAttributes")):
        client.command(SET_UP.format(table=table, attributes=attributes))


def make_tables(client: Any) -> None:
    """Make the exporter's tables, with what makes lines whole."""
    client.command(LOGS)
    client.command(TRACES)
    add_columns(client)


@pytest.fixture
def set_up(client: Any, otel: str) -> str:
    """Add to these tables what makes lines whole."""
    add_columns(client)
    return otel


@pytest.fixture
def own_engine(tmp_path: Path) -> Iterator[Callable[..., tuple[Engine, str, Any]]]:
    """Return what runs an engine that may be killed: it, the URL of its tables, and a client."""
    with contextlib.ExitStack() as stack:

        def own(*args: str, **client_args: Any) -> tuple[Engine, str, Any]:
            engine = Engine(tmp_path / "own", *args)
            stack.callback(engine.kill)
            client = clickhouse_connect.get_client(
                host="127.0.0.1", port=engine.port, autogenerate_session_id=False, **client_args
            )
            stack.callback(client.close)
            make_tables(client)
            return engine, f"clickhouse://127.0.0.1:{engine.port}/default", client

        yield own


@pytest.fixture
def logs_table() -> str:
    """Return the statement that makes the exporter's table of log lines."""
    return LOGS


@pytest.fixture(name="put")
def put_fixture() -> Callable[..., None]:
    """Return :func:`put`."""
    return put


@pytest.fixture
def load(client: Any) -> Callable[..., None]:
    """Return what puts the lines under a root into the tables."""
    return lambda root, **more: put(client, list(written(root)), **more)


@pytest.fixture
def command() -> Callable[..., Result]:
    """Return what runs the command with arguments."""
    from tracectrl_logging.cli.group import group  # noqa: PLC0415 - needs click

    return lambda *args: CliRunner().invoke(group, args, prog_name="tracectrl-logs")


# --- rows -----------------------------------------------------------------------------------------

MAP = "Map(LowCardinality(String), String)"
LOGS = f"""CREATE TABLE otel_logs (
 Timestamp DateTime64(9), TraceId String, SpanId String, TraceFlags UInt8,
 SeverityText LowCardinality(String), SeverityNumber UInt8, ServiceName LowCardinality(String), Body String,
 ResourceSchemaUrl LowCardinality(String), ResourceAttributes {MAP}, ScopeSchemaUrl LowCardinality(String),
 ScopeName String, ScopeVersion LowCardinality(String), ScopeAttributes {MAP}, LogAttributes {MAP}, EventName String
) ENGINE = MergeTree PARTITION BY toDate(Timestamp)
ORDER BY (toStartOfFiveMinutes(Timestamp), ServiceName, Timestamp)"""
TRACES = f"""CREATE TABLE otel_traces (
 Timestamp DateTime64(9), TraceId String, SpanId String, ParentSpanId String, TraceState String,
 SpanName LowCardinality(String), SpanKind LowCardinality(String), ServiceName LowCardinality(String),
 ResourceAttributes {MAP}, ScopeName String, ScopeVersion String, SpanAttributes {MAP}, Duration UInt64,
 StatusCode LowCardinality(String), StatusMessage String,
 Events Nested (Timestamp DateTime64(9), Name LowCardinality(String), Attributes {MAP}),
 Links Nested (TraceId String, SpanId String, TraceState String, Attributes {MAP})
) ENGINE = MergeTree PARTITION BY toDate(Timestamp)
ORDER BY (ServiceName, SpanName, toDateTime(Timestamp), Timestamp)"""
SET_UP = """ALTER TABLE {table}
 ADD COLUMN SessionId String MATERIALIZED {attributes}['session.id'],
 ADD INDEX idx_session SessionId TYPE bloom_filter(0.001) GRANULARITY 1,
 ADD COLUMN TracectrlLine String CODEC(ZSTD(3)),
 ADD COLUMN TracectrlUid String CODEC(ZSTD(1)),
 ADD COLUMN TracectrlSeen DateTime64(6),
 ADD INDEX idx_seen TracectrlSeen TYPE minmax GRANULARITY 1"""
MOST_NS = 4_291_747_199_999_999_000


def written(root: Path) -> Iterator[Line]:
    """Yield the lines under *root*: log lines in the order of writing, then spans in that of their times."""
    store = open_store(root)
    for hit in store.search(Search(query=Query(""))):
        yield hit.line  # type: ignore[union-attr]
    for sid in sorted(store.ids()):
        yield from (line for line in store.read(sid) if line.kind == "span")


def row_of(  # noqa: C901 - one column after the other
    line: Line, number: int = 0, *, host: str = "h1", seen_ns: int = 0
) -> dict[str, Any]:
    """Return the row of *line*, the host's number *number*; of 0 it is another sender's, with columns alone."""
    row, is_log = line.row, line.kind == "log"
    said = (
        dict(encode._exception(row.get("exception")))
        if is_log
        else dict(row.get("attributes") or {})
    )
    if is_log:
        if row.get("stack") is not None:
            said[encode.STACK] = row["stack"]
        for key, value in row.items():
            if key not in encode._PLACED:
                said.setdefault(key, value)
    elif row.get("state") and "end_time" not in row:
        said[encode.STATE_ATTRIBUTE] = row["state"]
    attributes = {well_formed(key): _text(value) for key, value in said.items()}
    if line.session_id != "unknown":
        attributes["session.id"] = well_formed(line.session_id)
    service = row.get("service")
    resource = (
        {} if is_log else {key: _text(value) for key, value in (row.get("resource") or {}).items()}
    )
    if isinstance(service, str):
        resource.setdefault("service.name", service)
    if number:
        resource["host.name"] = host
    start, end = (_ns(line), 0) if is_log else encode._start_and_end(row)
    columns = {
        "Timestamp": _stamp(start),
        "TraceId": _text(row.get("trace_id")),
        "SpanId": _text(row.get("span_id")),
        "ServiceName": resource.get("service.name", ""),
        "ResourceAttributes": resource,
    }
    if number:
        columns |= {
            "TracectrlLine": line.raw.decode(),
            "TracectrlUid": f"{number:012d}",
            "TracectrlSeen": _stamp(seen_ns),
        }
    if is_log:
        flags = row.get("trace_flags")
        return columns | {
            "TraceFlags": int(flags, 16) if isinstance(flags, str) and len(flags) == 2 else 0,
            "SeverityText": _text(row.get("level")),
            "SeverityNumber": severity(row),
            "ScopeName": _text(row.get("logger")),
            "Body": _text(row.get("message")),
            "LogAttributes": attributes,
        }
    events = [it for it in row.get("events") or [] if isinstance(it, dict)]
    return columns | {
        "ParentSpanId": _text(row.get("parent_span_id")),
        "SpanName": _text(row.get("name")),
        "SpanKind": _text(row.get("kind")).capitalize(),
        "ScopeName": _text(row.get("scope")),
        "SpanAttributes": attributes,
        "Duration": max((end or start) - start, 0),
        "StatusCode": _text(row.get("status")).capitalize(),
        "StatusMessage": _text(row.get("status_message")),
        "Events.Timestamp": [_stamp(ns_of(it.get("timestamp")) or 0) for it in events],
        "Events.Name": [_text(it.get("name")) for it in events],
        "Events.Attributes": [
            {key: _text(value) for key, value in (it.get("attributes") or {}).items()}
            for it in events
        ],
    }


def put(
    client: Any, lines: list[Line], *, as_written: bool = True, first: int = 1, **more: Any
) -> None:
    """Put *lines* into the tables, with the lines as they were written or with columns alone."""
    for kind, table in (("log", "otel_logs"), ("span", "otel_traces")):
        rows = [
            row_of(line, number if as_written else 0, **more)
            for number, line in enumerate(lines, first)
            if line.kind == kind
        ]
        if rows:
            body = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
            settings = {"max_partitions_per_insert_block": 0}
            client.raw_insert(table, insert_block=body, fmt="JSONEachRow", settings=settings)


def _ns(line: Line) -> int:
    own = ns_of(line.row.get("timestamp"))
    return (ns_of(line.time) or 0) if own is None else own


def _stamp(ns: int) -> str:
    ns = min(max(ns, 0), MOST_NS)
    return f"{ns // 10**9:010d}.{ns % 10**9:09d}"


def _text(value: object) -> str:
    return well_formed(text(value))

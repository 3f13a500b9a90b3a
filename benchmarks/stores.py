"""What a store of many machines costs beside its engine's own client, asked and filled by hand.

``python benchmarks/stores.py`` needs the extra ``clickhouse`` and the group ``stores``, whose engine runs in
a process of its own, and takes about a minute. All figures are processor time of both processes, but for
shipping, which is that of the client alone; whoever is compared runs in turns. ``--lines`` is how many log
lines the sessions of 100 lie among, ``--check`` fails above a bar.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import clickhouse_connect
import orjson

from tracectrl.files.names import log_path
from tracectrl_logging.reader import open_store
from tracectrl_logging.reader.filters.search import Query, Search
from tracectrl_logging.reader.filters.sessions import SessionQuery
from tracectrl_logging.shipping.ship import Batch, Sender, run
from tracectrl_logging.shipping.state import State
from tracectrl_logging.shipping.tables import missing
from tracectrl_logging.shipping.target import connected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ENGINE = Path(__file__).parents[1] / "tests" / "stores" / "engine.py"
TICK = os.sysconf("SC_CLK_TCK")
PER_SESSION = 100
_LEAST_S = 0.15
_LINE = """concat('{"timestamp":"', formatDateTime(at, '%Y-%m-%dT%H:%i:%S.%f', 'UTC'), 'Z","level":"INFO","logger":"app",',
 '"message":"', said, '","session_id":"', sid, '","n":', toString(number), '}')"""
_ROWS = """
SELECT at AS Timestamp, 'INFO' AS SeverityText, 9 AS SeverityNumber, 'app' AS ScopeName, said AS Body, 'api' AS ServiceName,
 map('host.name', 'h1') AS ResourceAttributes, map('session.id', sid, 'n', toString(number)) AS LogAttributes {ours}
FROM (SELECT number, concat('order-', toString(intDiv(number, 5000) * 50 + number % 50)) AS sid,
 concat('request ', toString(cityHash64(number) % 1000000), if(number % 100003 = 7, ' declined', ' done')) AS said,
 toDateTime64('2026-11-30 00:00:00', 9, 'UTC') + toIntervalMillisecond(number * 60000 / {lines} * 1000) AS at
 FROM numbers({lines}))"""
_OURS = f", {_LINE} AS TracectrlLine, leftPad(toString(number), 12, '0') AS TracectrlUid, at AS TracectrlSeen"


class Bar(NamedTuple):
    """A figure, and what it may be."""

    name: str
    figure: float
    most: float
    said: str


class Engine:
    """The engine in a process of its own."""

    def __init__(self, directory: str) -> None:
        self.process = subprocess.Popen(  # noqa: S603 - our own
            [sys.executable, str(ENGINE), directory], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None  # noqa: S101 - for the type checker
        self.port = int(self.process.stdout.readline())
        self.clients: dict[str, Any] = {}

    def client(self, database: str = "default") -> Any:
        """Return the engine's own client of a database."""
        if database not in self.clients:
            self.clients[database] = clickhouse_connect.get_client(
                host="127.0.0.1", port=self.port, database=database, autogenerate_session_id=False
            )
        return self.clients[database]

    def database(self, name: str, *, is_set_up: bool) -> str:
        """Make a database with the exporter's tables; return its URL."""
        self.client().command(f"CREATE DATABASE {name}")
        url = f"clickhouse://127.0.0.1:{self.port}/{name}"
        connection, address = connected(url)
        for statement in list(missing(connection, address.database)):
            if is_set_up or statement.startswith("CREATE TABLE"):
                connection.run(statement)
        return url

    def cpu_s(self) -> float:
        """Return the processor time of it, and of this process."""
        fields = (
            Path(f"/proc/{self.process.pid}/stat")
            .read_text(encoding="ascii")
            .rpartition(")")[2]
            .split()
        )
        return (int(fields[11]) + int(fields[12])) / TICK + time.process_time()

    def close(self) -> None:
        """End it."""
        for client in self.clients.values():
            client.close()
        self.process.kill()
        self.process.communicate()


def in_turns(
    engine: Engine, ways: dict[str, Callable[[], object]], rounds: int
) -> dict[str, float]:
    """Return what each of *ways* costs, in seconds: the median of rounds, each long enough for the clock."""
    for way in ways.values():
        way()
    costs: dict[str, list[float]] = {name: [] for name in ways}
    least_s = _LEAST_S if rounds > 1 else 2 / TICK
    for _ in range(rounds):
        for name, way in ways.items():
            count, before = 0, engine.cpu_s()
            while (spent := engine.cpu_s() - before) < least_s:
                way()
                count += 1
            costs[name].append(spent / count)
    return {name: statistics.median(some) for name, some in costs.items()}


# --- shipping ---------------------------------------------------------------------------------------


def write(root: Path, lines: int) -> None:
    """Write so many lines, as our formatter does, of sessions of 100."""
    root.mkdir()
    for first in range(0, lines, PER_SESSION):
        sid = f"order-{first // PER_SESSION}"
        with log_path(sid, root).open("w", encoding="utf-8") as file:
            for n in range(first, min(first + PER_SESSION, lines)):
                row = {
                    "timestamp": f"2026-11-30T10:{n // 60 % 60:02}:{n % 60:02}.{n % 10**6:06}Z",
                    "level": "INFO",
                }
                row |= {"logger": "app.orders", "message": f"request {n} done", "session_id": sid}
                row |= {"trace_id": f"{n:032x}", "span_id": f"{n:016x}", "trace_flags": "01"}
                row |= {"service": "api", "n": str(n), "path": "/orders", "took_ms": n / 7}  # type: ignore[dict-item]
                file.write(json.dumps(row, separators=(",", ":")) + "\n")


def ship(url: str, root: Path, state: str) -> None:
    """Send the lines by ``ship --once``."""
    connection, _ = connected(url)
    with State(state, [str(root), url]) as kept:
        sender = Sender(connection, kept, "h1", print, print)
        with open_store(root).tail(after=sender.cursor) as tail:
            run(tail, sender, Batch(), once=True)
    connection.close()


_HAND = [
    "Timestamp",
    "TraceId",
    "SpanId",
    "TraceFlags",
    "SeverityText",
    "SeverityNumber",
    "ServiceName",
    "ScopeName",
    "Body",
]
_HAND += ["ResourceAttributes", "LogAttributes", "TracectrlLine"]


def by_hand(client: Any, root: Path) -> None:
    """Read, map and insert the same lines, by the engine's client."""
    rows: list[list[Any]] = []
    resource = {"service.name": "api", "host.name": "h1"}
    for path in sorted(root.iterdir()):
        for raw in path.read_bytes().splitlines():
            row = orjson.loads(raw)
            attributes = {"session.id": row["session_id"], "n": row["n"], "path": row["path"]}
            attributes["took_ms"] = str(row["took_ms"])
            stamp = datetime.fromisoformat(row["timestamp"].replace("Z", "+00:00"))
            texts = row["service"], row["logger"], row["message"]
            ids = row["trace_id"], row["span_id"], 1, row["level"], 9
            rows.append([stamp, *ids, *texts, resource, attributes, raw.decode()])
    client.insert("otel_logs", rows, column_names=_HAND)


def shipping(engine: Engine, directory: Path, lines: int, rounds: int) -> Iterator[Bar]:
    """Yield what a shipped line costs this process."""
    url = engine.database("shipped", is_set_up=True)
    root = directory / "traces"
    write(root, lines)
    client = engine.client("shipped")
    ours, theirs = [], []
    for number in range(rounds):
        before = time.process_time()
        ship(url, root, str(directory / f"state{number}"))
        between = time.process_time()
        by_hand(client, root)
        ours.append((between - before) / lines * 1e6)
        theirs.append((time.process_time() - between) / lines * 1e6)
    said = f"{statistics.median(ours):.1f} us beside {statistics.median(theirs):.1f} us"
    yield Bar("ship, a line", statistics.median(ours), 30.0, said)
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    yield Bar("ship, beside read, map and insert by hand", ratio, 1.5, said)


# --- asking -----------------------------------------------------------------------------------------


def asking(engine: Engine, lines: int, rounds: int) -> Iterator[Bar]:
    """Yield what questions cost beside the same in SQL."""
    sessions = max(lines // PER_SESSION, 1)
    urls = {}
    for name, ours in (("asked", _OURS), ("plain", "")):
        urls[name] = engine.database(name, is_set_up=bool(ours))
        names = "Timestamp, SeverityText, SeverityNumber, ScopeName, Body, ServiceName, ResourceAttributes, LogAttributes"
        names += ", TracectrlLine, TracectrlUid, TracectrlSeen" if ours else ""
        rows = _ROWS.format(lines=lines, ours=ours)
        engine.client(name).command(f"INSERT INTO {name}.otel_logs ({names}) {rows}")
    store, plain = open_store(urls["asked"]), open_store(urls["plain"])
    list(store.ids(limit=1)), list(plain.ids(limit=1))
    client = engine.client("asked")
    sid = f"order-{sessions // 2}"

    def sql(text: str) -> Callable[[], object]:
        return lambda: client.query(text).result_rows

    def asked(
        name: str, ways: dict[str, Callable[[], object]], most: float, other: str = "SQL"
    ) -> Bar:
        costs = in_turns(engine, ways, rounds)
        first, second = costs.values()
        return Bar(
            name,
            first / second,
            most,
            f"{first * 1e3:.1f} ms beside {second * 1e3:.1f} ms of {other}",
        )

    newest = (
        "SELECT SessionId, max(Timestamp) AS last, count(), min(Timestamp), countIf(SeverityNumber >= 17) FROM otel_logs"
        " GROUP BY SessionId ORDER BY last DESC LIMIT 20"
    )
    found = list(store.search(Search(query=Query("declined", literal=True))))
    assert len(found) == len(range(7, lines, 100_003)), len(found)  # noqa: S101 - else nothing is compared
    assert len(list(store.read(sid))) == PER_SESSION  # noqa: S101 - as above
    whole = {
        "one session": (
            {
                "ours": lambda: list(store.read(sid)),
                "sql": sql(
                    f"SELECT TracectrlLine FROM otel_logs WHERE SessionId = '{sid}' ORDER BY Timestamp"  # noqa: S608 - ours
                ),
            },
            2.0,
        ),
        "newest 20": (
            {"ours": lambda: list(store.sessions(SessionQuery(limit=20))), "sql": sql(newest)},
            1.5,
        ),
        "grep of a word": (
            {
                "ours": lambda: list(store.search(Search(query=Query("declined", literal=True)))),
                "sql": sql(
                    "SELECT TracectrlLine FROM otel_logs WHERE position(TracectrlLine, 'declined') > 0 ORDER BY SessionId, Timestamp"
                ),
            },
            1.5,
        ),
        "count by level": (
            {
                "ours": lambda: list(store.query("SELECT level, count() FROM logs GROUP BY level")),
                "sql": sql("SELECT SeverityText, count() FROM otel_logs GROUP BY SeverityText"),
            },
            1.5,
        ),
    }
    for name, (ways, most) in whole.items():
        yield asked(name, ways, most)
    yield asked(
        "one session, beside the tables without setup",
        {"ours": lambda: list(store.read(sid)), "plain": lambda: list(plain.read(sid))},
        0.05,
        "those",
    )


def main() -> None:
    """Measure, and print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--smoke", action="store_true", help="do next to nothing")
    given = parser.parse_args()
    if given.smoke:
        given.lines, given.rounds = 50 * PER_SESSION, 1
    is_over = False
    with (
        tempfile.TemporaryDirectory() as directory,
        contextlib.closing(Engine(str(Path(directory, "engine")))) as engine,
    ):
        for bars in (
            shipping(engine, Path(directory), max(given.lines // 25, 100), given.rounds),
            asking(engine, given.lines, given.rounds),
        ):
            for bar in bars:
                is_over |= bar.figure > bar.most
                sign = "above" if bar.figure > bar.most else "bar"
                print(  # noqa: T201 - for whoever has started it
                    f"{bar.name:45} {bar.figure:8.3f}  ({sign} {bar.most:g}; {bar.said})",
                    flush=True,
                )
    sys.exit(1 if given.check and is_over else 0)


if __name__ == "__main__":
    main()

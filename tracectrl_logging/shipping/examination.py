"""The examination of a store of many machines: whether it answers, what it lacks, how far behind its senders are."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from tracectrl._json import timestamp_ns
from tracectrl_logging.doctor.finding import MOST_POSITIONS, Finding
from tracectrl_logging.reader import UnknownSessionError, open_store
from tracectrl_logging.reader.clickhouse.tables import tables_of
from tracectrl_logging.reader.filters.sessions import SessionQuery
from tracectrl_logging.reader.model import StoreError, UnsupportedError, unheard
from tracectrl_logging.shipping.tables import missing
from tracectrl_logging.shipping.target import connected

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from tracectrl.schema import Kind
    from tracectrl_logging.reader.clickhouse.address import Address
    from tracectrl_logging.reader.clickhouse.connection import Connection
    from tracectrl_logging.reader.clickhouse.tables import Table
    from tracectrl_logging.reader.store import Store

_SETUP: Final = "tracectrl-logs setup --to URL"
_SKEW_S: Final = 2.0
_LAG_S: Final = 60.0
_DAY_NS: Final = 86_400_000_000_000
_HOSTS: Final = 100
_SESSIONS: Final = 1000
_SETTLED_S: Final = 60.0
_SECOND_NS: Final = 1_000_000_000
_KINDS_OF_STATEMENT: Final = (
    ("COLUMN", "columns"),
    ("INDEX", "indexes"),
    ("CREATE TABLE", "tables"),
)


class _Facts(NamedTuple):
    """What the checks stand on."""

    name: str
    """The store's, without a password."""
    database: str
    connection: Connection
    tables: dict[Kind, Table]

    def there(self) -> list[Table]:
        """Return the tables that there are."""
        return [table for table in self.tables.values() if table.columns]


def examine_store(url: str, directory: str | None = None) -> Iterator[Finding]:
    """Yield the findings of the store at *url*.

    Args:
        url: of a ClickHouse database.
        directory: a trace directory whose sessions are compared with those of the store.

    Raises:
        ValueError: the URL is not understood; the message does not quote it.
        MissingExtraError: the client is not installed.
        OSError: the directory cannot be read.
    """
    connection, address = connected(url)
    try:
        yield from _examined(connection, address, url, directory)
    except StoreError as error:
        yield Finding(
            severity="error",
            check="store",
            subject=address.name,
            message=str(error).removeprefix(f"{address.name} ").removeprefix(f"{address.name}: "),
        )
    finally:
        connection.close()


def _examined(
    connection: Connection, address: Address, url: str, directory: str | None
) -> Iterator[Finding]:
    ((version,),) = connection.rows("SELECT version()")
    yield Finding(
        severity="ok", check="store", subject=address.name, message=f"answers: ClickHouse {version}"
    )
    yield from _clock(connection, address.name)
    try:
        tables = tables_of(connection, address.database)
    except UnsupportedError as error:
        yield Finding(severity="error", check="tables", subject=address.name, message=str(error))
        return
    except StoreError as error:
        yield Finding(
            severity="error", check="tables", subject=address.name, message=str(error), mend=_SETUP
        )
        return
    facts = _Facts(address.name, address.database, connection, tables)
    for check in (_lacking, _before_setup, _senders):
        yield from check(facts)
    if directory is not None:
        yield from _differing(facts, open_store(directory, on_damage=unheard), url)


def _clock(connection: Connection, name: str) -> Iterator[Finding]:
    """This machine's clock and the server's differ."""
    before = time.time()
    ((now_ns,),) = connection.rows("SELECT toUnixTimestamp64Nano(now64(9))")
    after = time.time()
    server = now_ns / _SECOND_NS
    skew_s = max(before - server, server - after)
    if skew_s > _SKEW_S:
        way = "ahead of" if before > server else "behind"
        yield Finding(
            severity="warning",
            check="clock-skew",
            subject=name,
            message=f"this machine's clock is {skew_s:.0f} s {way} the server's: times like --since -1h are by the one,"
            " what tail -f waits for by the other",
            mend="let both be set by NTP",
        )


def _lacking(facts: _Facts) -> Iterator[Finding]:
    """What ``setup`` would add, and what it costs to be without it."""
    statements = list(missing(facts.connection, facts.database))
    window = [it for it in statements if "deduplication_window" in it]
    rest = [it for it in statements if it not in window]
    if rest:
        counts = Counter(
            next(name for key, name in _KINDS_OF_STATEMENT if key in it) for it in rest
        )
        said = ", ".join(
            f"{counts[name]} {name}" for _, name in _KINDS_OF_STATEMENT if counts[name]
        )
        rows, size = _size(facts, "1")
        yield Finding(
            severity="warning",
            check="not-set-up",
            subject=facts.name,
            message=f"lacks {said} of setup's: a question about one session reads all of {rows:,} rows, {size}, and"
            " ship is refused",
            mend=_SETUP,
            positions=tuple(it.partition("(")[0].strip() for it in rest[:MOST_POSITIONS]),
        )
    if window:
        yield Finding(
            severity="error",
            check="deduplication",
            subject=facts.name,
            message="its tables do not know again as many blocks as setup says: what ship sends twice may be there twice",
            mend=_SETUP,
            positions=tuple(window),
        )
    if not statements:
        yield Finding(
            severity="ok", check="setup", subject=facts.name, message="all that setup adds is there"
        )


def _before_setup(facts: _Facts) -> Iterator[Finding]:
    """Rows from before ``setup``, which the index does not hold."""
    for table in facts.there():
        if "SessionId" not in table.columns:
            continue
        rows, size = _size(
            facts,
            "name NOT IN (SELECT name FROM system.parts_columns WHERE active AND database = {database:String}"
            " AND table = {table:String} AND column = 'SessionId')",
            table,
        )
        if rows:
            yield Finding(
                severity="warning",
                check="not-indexed",
                subject=table.name,
                message=f"{rows:,} rows, {size}, are from before setup: each question about one session reads them all",
                mend=f"ALTER TABLE {table.name} MATERIALIZE INDEX idx_tracectrl_session, when the server has time",
            )


def _size(facts: _Facts, condition: str, table: Table | None = None) -> tuple[int, str]:
    """Return how many rows the parts that meet *condition* have, of *table* or of all, and what they take on disk."""
    rows = size = 0
    for each in facts.there() if table is None else [table]:
        ((some, bytes_),) = facts.connection.rows(
            "SELECT sum(rows), sum(data_compressed_bytes) FROM system.parts WHERE active"  # noqa: S608 - of our own
            f" AND database = {{database:String}} AND table = {{table:String}} AND {condition}",
            {"database": facts.database, "table": each.name},
        )
        rows, size = rows + some, size + bytes_
    return rows, f"{size / 1e6:,.1f} MB"


def _senders(facts: _Facts) -> Iterator[Finding]:
    """How far behind each machine's ``ship`` was when it last sent, and whether its clock is ahead."""
    tables = [table for table in facts.there() if table.is_set_up]
    if not tables:
        return
    # Of each machine the last block that was sent, and the latest line in it.
    each = " UNION ALL ".join(
        f"SELECT {it.host} AS host, toUnixTimestamp64Nano(toDateTime64(TracectrlSeen, 9)) AS seen, max({it.end_ns}) AS last,"  # noqa: S608 - as above
        f" min({it.end_ns}) AS first FROM {it.name} WHERE TracectrlUid != ''"
        " AND TracectrlSeen >= fromUnixTimestamp64Nano({least:Int64}) GROUP BY host, seen"
        for it in tables
    )
    ((now_ns,),) = facts.connection.rows("SELECT toUnixTimestamp64Nano(now64(9))")
    found = list(
        facts.connection.rows(
            "SELECT host, max(seen) AS sent, argMax(last, seen), max(last - seen) FROM"  # noqa: S608 - as above
            f" ({each}) GROUP BY host ORDER BY sent, host LIMIT {_HOSTS}",
            {"least": max(now_ns - _DAY_NS, 0)},
        )
    )
    for host, sent_ns, last_ns, ahead_ns in found:
        lag_s = (sent_ns - last_ns) / _SECOND_NS
        is_late = lag_s > _LAG_S
        yield Finding(
            severity="warning" if is_late else "info",
            check="lag",
            subject=host or "(no host.name)",
            message=f"sent last {(now_ns - sent_ns) / _SECOND_NS:.0f} s ago, {max(lag_s, 0):.1f} s after its latest line",
            mend="tracectrl-logs ship --status on that machine says what it waits for"
            if is_late
            else "",
        )
        if ahead_ns > _SKEW_S * _SECOND_NS:
            yield Finding(
                severity="warning",
                check="clock-skew",
                subject=host or "(no host.name)",
                message=f"has lines whose time is up to {ahead_ns / _SECOND_NS:.0f} s after they were sent: its clock is ahead"
                " of the server's",
                mend="let it be set by NTP",
            )
    if not found:
        yield Finding(
            severity="info",
            check="lag",
            subject=facts.name,
            message="ship has sent nothing in the last day",
        )


def _differing(facts: _Facts, local: Store, url: str) -> Iterator[Finding]:
    """Sessions that lie in both places, of which the store lacks lines, or has them otherwise."""
    store = open_store(url, on_damage=unheard)
    until = timestamp_ns(time.time_ns() - int(_SETTLED_S * _SECOND_NS))
    differing, absent, compared = [], 0, 0
    for summary in local.sessions(SessionQuery(limit=_SESSIONS)):
        if (summary.last_time or "") > until:  # what is written now is on its way
            continue
        compared += 1
        try:
            lacks = _lacks(local, store, summary.session_id)
        except UnknownSessionError:
            absent += 1
            continue
        if lacks:
            differing.append(f"{summary.session_id}: {lacks}")
    if differing:
        yield Finding(
            severity="error",
            check="sessions-differ",
            subject=facts.name,
            message=f"lacks lines of sessions that lie in {local.name}, too, or has them otherwise",
            mend="tracectrl-logs ship --status says up to where lines were sent; rows of other senders are never the same",
            count=len(differing),
            positions=tuple(differing[:MOST_POSITIONS]),
        )
    yield Finding(
        severity="info",
        check="sessions-compared",
        subject=local.name,
        message=f"of its latest {compared} sessions that are a minute old {absent} are not in {facts.name},"
        f" {len(differing)} differ",
    )


def _lacks(local: Store, store: Store, sid: str) -> int:
    """Return how many of the lines of *sid* in *local* are not in *store* as they are.

    Raises:
        UnknownSessionError: one of both does not have the session.
    """
    there: Counter[Any] = Counter(hash(line.raw) for line in store.read(sid))
    there.subtract(hash(line.raw) for line in local.read(sid))
    return -sum(itertools.filterfalse(lambda count: count > 0, there.values()))

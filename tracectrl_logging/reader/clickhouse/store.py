"""The store of many machines: sessions in ClickHouse, written by ``ship`` or by a collector's exporter.

The engine narrows, by session, time, level and text; what is meant, in which order, and what it comes to
is decided by the same code as for files.
"""

from __future__ import annotations

import itertools
from functools import cached_property, partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from tracectrl._json import timestamp_ns
from tracectrl._time import ns_of
from tracectrl_logging.reader.clickhouse.address import address_of
from tracectrl_logging.reader.clickhouse.connection import Connection
from tracectrl_logging.reader.clickhouse.lines import FIELDS, WRITTEN, lines_of
from tracectrl_logging.reader.clickhouse.narrowing import Conditions, merged
from tracectrl_logging.reader.clickhouse.tables import LEAST_NS, MOST_NS, tables_of
from tracectrl_logging.reader.filters.search import Count, hits
from tracectrl_logging.reader.filters.selection import ALL, Selection
from tracectrl_logging.reader.model import UnknownSessionError, UnsupportedError, warn
from tracectrl_logging.reader.store import DEFAULT_COUNT, KINDS
from tracectrl_logging.reader.timeline.open_spans import settled
from tracectrl_logging.reader.timeline.order import in_time_order, merge
from tracectrl_logging.reader.timeline.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from typing import Final

    from tracectrl.schema import Kind
    from tracectrl_logging.reader.clickhouse.tables import Table
    from tracectrl_logging.reader.clickhouse.tail import ClickHouseTail
    from tracectrl_logging.reader.filters.search import Hit, Search, Wanted
    from tracectrl_logging.reader.filters.sessions import SessionQuery
    from tracectrl_logging.reader.model import Line, Report, SessionSummary
    from tracectrl_logging.reader.sql import Rows
    from tracectrl_logging.reader.store import OnProgress, OnStart, Params

_FIRST: Final = 32
_BATCH: Final = 512
_WINDOWS_NS: Final = tuple(hours * 3_600_000_000_000 for hours in (1, 24, 24 * 30))
_RUNNING_NS: Final = 300_000_000_000
_MERGED: Final[tuple[Kind, ...]] = ("span", "log")  # at equal times in this order
_row = attrgetter("row")


class ClickHouseStore:
    """Sessions in the ClickHouse database that *url* names.

    The arguments are those of :func:`tracectrl_logging.reader.open_store`.

    A session's lines may come from many machines: those of one time, and in a search all, are in the
    order of the machines' names, and for each in the order of writing.

    Raises:
        ValueError: *url* is not understood; the message does not quote it.
        MissingExtraError: the client is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        on_damage: Report | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        self._address = address_of(url)
        self._report = on_damage or warn
        self._on_progress = on_progress
        self._connection = Connection(self._address)

    @property
    def name(self) -> str:
        """The URL, without a password."""
        return self._address.name

    @cached_property
    def _tables(self) -> dict[Kind, Table]:
        return tables_of(self._connection, self._address.database)

    def ids(self, prefix: str = "", *, limit: int | None = None) -> Iterator[str]:
        """Yield IDs as :meth:`Store.ids` says."""
        return itertools.islice(self._ids(prefix, limit), limit)

    def sessions(self, query: SessionQuery, *, at_once: bool = False) -> Iterable[SessionSummary]:
        """Return what :meth:`Store.sessions` says; the latest few without reading all."""
        del at_once
        is_latest = query.limit is not None and query.sort == "last"
        found = self._latest(query) if is_latest else self._summaries(query, self._listed(query))
        return query.in_order(found)

    def is_running(self, sid: str, owners: Collection[str | None] = ()) -> bool:
        """Tell whether the session *sid*, with something that has not ended, had a line of late.

        Nobody sees from afar which processes live: one that has been silent for five minutes is taken
        for dead.
        """
        return bool(owners) and self._is_recent(sid)

    def read(self, sid: str, selection: Selection = ALL) -> Iterator[Line]:
        """Return lines as :meth:`Store.read` says; whether there is such a session is asked where there are none."""

        def of_kind(kind: Kind) -> Iterator[Line]:
            test = selection.predicate(kind)
            if kind == "span" and (selection.level or selection.logger):
                return iter(())
            conditions = self._of_session(kind, sid)
            if kind == "log":  # an open span is settled by lines of other times
                conditions.select(selection)
            lines = self._written([conditions])
            found = settled(lines, _row) if kind == "span" else lines
            return in_time_order(it for it in found if test is None or test(it.row))

        lines = merge([of_kind(kind) for kind in _MERGED])
        first = list(itertools.islice(lines, 1))
        if not first:
            self._check(sid)
        return itertools.chain(first, lines)

    def search(self, search: Search, sids: Collection[str] = ()) -> Iterator[Hit | Count]:
        """Return results as :meth:`Store.search` says; rows that cannot match are not sent."""
        for sid in sids:
            self._check(sid)
        return self._search(search, sids)

    def tail(
        self,
        sids: Collection[str] = (),
        selection: Selection = ALL,
        *,
        kinds: Sequence[Kind] = KINDS,
        count: int | None = DEFAULT_COUNT,
        after: str | None = None,
        complete: bool = True,
    ) -> ClickHouseTail:
        """Return the end of sessions as :meth:`Store.tail` says."""
        from tracectrl_logging.reader.clickhouse.tail import ClickHouseTail  # noqa: PLC0415 - this alone

        del complete  # a row is whole
        return ClickHouseTail(
            self._connection,
            self._tables,
            sids,
            selection,
            name=self.name,
            report=self._report,
            kinds=kinds,
            count=count,
            after=after,
        )

    def query(
        self,
        sql: str,
        *,
        params: Params = None,
        memory_mb: int = 100,
        timeout_s: float | None = None,
        on_start: OnStart | None = None,
    ) -> Rows:
        """Return the rows as :meth:`Store.query` says, by ClickHouse and in its SQL."""
        from tracectrl_logging.reader.clickhouse.query import asked  # noqa: PLC0415 - this alone

        return asked(
            self._connection,
            self._tables,
            sql,
            params=params,
            memory_mb=memory_mb,
            timeout_s=timeout_s,
            on_start=on_start,
        )

    def query_to_parquet(
        self, sql: str, path: str, *, params: Params = None, memory_mb: int = 100
    ) -> int:
        """Refuse: the server writes Parquet itself.

        Raises:
            UnsupportedError: always.
        """
        del sql, path, params, memory_mb
        msg = "a store in ClickHouse has no --format parquet; json and csv are there, and the server's own FORMAT Parquet"
        raise UnsupportedError(msg)

    # --- which sessions ---------------------------------------------------------------------------

    def _ids(self, prefix: str, limit: int | None) -> Iterator[str]:
        tables = self._here()
        if prefix and self._is_there(prefix):
            yield prefix
        each = " UNION ALL ".join(
            f"SELECT {table.session} AS sid FROM {table.name} WHERE startsWith(sid, {{prefix:String}})"  # noqa: S608 - names of our own
            for table in tables
        )
        most = "" if limit is None else f" LIMIT {limit:d}"
        sql = f"SELECT DISTINCT sid FROM ({each}) WHERE sid != {{prefix:String}}{most}"  # noqa: S608 - as above
        for (sid,) in self._connection.rows(sql, {"prefix": prefix}):
            yield sid

    def _here(self) -> list[Table]:
        return [table for table in self._tables.values() if table.columns]

    def _is_there(self, sid: str) -> bool:
        each = " UNION ALL ".join(
            f"(SELECT 1 FROM {table.name} WHERE {table.of_session('sid')} LIMIT 1)"  # noqa: S608 - as above
            for table in self._here()
        )
        return bool(list(self._connection.rows(each, {"sid": sid})))

    def _check(self, sid: str) -> None:
        if not self._is_there(sid):
            raise UnknownSessionError(sid)

    def _is_recent(self, sid: str) -> bool:
        each = " UNION ALL ".join(
            f"SELECT max({table.end_ns}) AS last FROM {table.name} WHERE {table.of_session('sid')}"  # noqa: S608 - as above
            for table in self._here()
        )
        sql = f"SELECT toUnixTimestamp64Nano(now64(9)) - max(last) FROM ({each})"  # noqa: S608 - as above
        age_ns: int
        ((age_ns,),) = self._connection.rows(sql, {"sid": sid})
        return abs(age_ns) < _RUNNING_NS  # what is far in the future says nothing

    def _listed(self, query: SessionQuery, least_ns: int = LEAST_NS) -> Iterator[tuple[str, int]]:
        """Yield the sessions that may be meant, the latest first, each with a time that no line is after.

        *least_ns* leaves out those with no line at this time or later.
        """
        params: dict[str, Any] = {}
        having = []
        if query.since is not None:
            least_ns = max(least_ns, min(ns_of(query.since) or 0, MOST_NS))
        if query.until is not None:
            having.append("min(first) <= {until:Int64}")
            params["until"] = max((ns_of(query.until) or 0) + 999, LEAST_NS)
        if query.errors:
            having.append("max(is_error)")
        if query.services:
            having.append("hasAny(groupUniqArray(service), {services:Array(String)})")
            params["services"] = sorted(query.services)
        levels = []
        each = []
        for table in self._here():
            level = Conditions(table)
            if table.kind == "log":
                level.select(Selection(level="ERROR"))
                levels.append(level)
                is_error = level.text
            else:
                is_error = "upper(StatusCode) IN ('ERROR', 'STATUS_CODE_ERROR')"
            # A session's first time is needed only where it is asked for: else the rest may be skipped.
            is_late = f"{table.end_ns} >= {{least:Int64}}" if not having and least_ns else "1"
            each.append(
                f"SELECT {table.session} AS sid, {table.start_ns} AS first, {table.end_ns} AS last,"  # noqa: S608 - as above
                f" {is_error} AS is_error, toString(ServiceName) AS service FROM {table.name} WHERE {is_late}"
            )
        params |= {"least": least_ns, **merged(levels)}
        having.append("max(last) >= {least:Int64}")
        sql = (
            f"SELECT sid, max(last) AS latest FROM ({' UNION ALL '.join(each)}) GROUP BY sid"  # noqa: S608 - as above
            f" HAVING {' AND '.join(having)} ORDER BY latest DESC, sid"
        )
        return self._connection.rows(sql, params)

    def _latest(self, query: SessionQuery) -> list[SessionSummary]:
        """Return the latest sessions that *query* means, at least: those of an hour, or of more if need be."""
        newest = self._newest_ns()
        for window_ns in (*_WINDOWS_NS, None):
            least_ns = LEAST_NS if window_ns is None else max(newest - window_ns, LEAST_NS)
            found, is_enough = self._latest_of(query, self._listed(query, least_ns))
            if is_enough or least_ns == LEAST_NS:
                return found
        return found

    def _latest_of(
        self, query: SessionQuery, listed: Iterator[tuple[str, int]]
    ) -> tuple[list[SessionSummary], bool]:
        """Return the summaries of those *listed* that are meant, until no other can be among the latest."""
        limit = query.limit or 0
        found: list[SessionSummary] = []
        with_next = list(itertools.islice(listed, _FIRST))
        while with_next:
            found += self._summaries(query, with_next)
            found = sorted(found, key=query.key)[:limit]
            with_next = list(itertools.islice(listed, _FIRST))
            if len(found) == limit and with_next:
                _, latest_ns = with_next[0]
                bound = "~" if latest_ns >= MOST_NS - 999 else timestamp_ns(latest_ns)
                if bound < (found[-1].last_time or ""):
                    break
        return found, len(found) == limit

    def _newest_ns(self) -> int:
        lasts = [f"SELECT max({it.end_ns}) AS last FROM {it.name}" for it in self._here()]  # noqa: S608 - as above
        each = " UNION ALL ".join(lasts)
        ((newest,),) = self._connection.rows(f"SELECT max(last) FROM ({each})")  # noqa: S608 - as above
        return int(newest)

    def _summaries(
        self, query: SessionQuery, listed: Iterable[tuple[str, int]]
    ) -> Iterator[SessionSummary]:
        waiting = iter(listed)
        while some := [sid for sid, _ in itertools.islice(waiting, _BATCH)]:
            several = []
            for kind in KINDS:
                conditions = Conditions(self._tables[kind])
                conditions.add(conditions.table.of_session("sids", is_list=True), sids=some)
                several.append(conditions)
            lines = self._written(several, first="sid, k")
            for sid, own in itertools.groupby(lines, attrgetter("session_id")):
                summary = self._summary(sid, own, query)
                if summary is not None and query.means(summary):
                    yield summary
            if self._on_progress is not None:
                self._on_progress(len(some), None)

    def _summary(
        self, sid: str, lines: Iterable[Line], query: SessionQuery
    ) -> SessionSummary | None:
        """Return the session *sid* in numbers; ``None`` where no line meets one of the conditions."""
        tally, unmet = Tally(), list(query.on_lines())

        def tested(some: Iterable[Line]) -> Iterator[dict[str, Any]]:
            for line in some:
                if unmet:
                    unmet[:] = [condition for condition in unmet if not condition(line.row)]
                yield line.row

        for kind, own in itertools.groupby(lines, attrgetter("kind")):
            tally.add(kind, tested(settled(own, _row) if kind == "span" else own))  # noqa: B031 - one of both
        if unmet:
            return None
        is_running = bool(tally.owners) and self._is_recent(sid)
        return tally.summary(sid, tally.state(is_running=is_running))

    # --- lines ------------------------------------------------------------------------------------

    def _of_session(self, kind: Kind, sid: str) -> Conditions:
        conditions = Conditions(self._tables[kind])
        conditions.add(self._tables[kind].of_session("sid"), sid=sid)
        return conditions

    def _written(self, several: Sequence[Conditions], first: str = "") -> Iterator[Line]:
        """Yield the lines of the rows that meet the conditions of their tables, in the order of writing.

        *first* is what goes before that order.
        """
        each = " UNION ALL ".join(
            conditions.select_from(FIELDS) for conditions in several if conditions.table.columns
        )
        if not each:
            return iter(())
        order = f"{first}, {WRITTEN}" if first else WRITTEN
        sql = f"SELECT * FROM ({each}) ORDER BY {order}"  # noqa: S608 - as above
        return lines_of(self._connection.rows(sql, merged(several)), self.name, self._report)

    def _search(self, search: Search, sids: Collection[str]) -> Iterator[Hit | Count]:
        for sid, lines in self._matching(search, sids):
            found = hits(search, sid, lines)
            if not search.counting:
                yield from found
            elif count := sum(hit.is_match for hit in found):
                yield Count(sid, count)

    def _matching(
        self, search: Search, sids: Collection[str]
    ) -> Iterator[tuple[str, Callable[[Wanted | None], Iterator[Line]]]]:
        """Yield sessions that may have a match, by their IDs, each with what gives its log lines."""
        conditions = Conditions(self._tables["log"])
        if not conditions.table.columns:
            return
        if sids:
            conditions.add(conditions.table.of_session("sids", is_list=True), sids=sorted(sids))
        conditions.select(search.selection)
        if search.query.needle is not None:
            conditions.find(search.query.needle)
        if not search.before and not search.after:
            lines = self._written([conditions], first="sid")
            for sid, own in itertools.groupby(lines, attrgetter("session_id")):
                yield sid, partial(_picked, own)
            return
        sql = f"SELECT DISTINCT {conditions.table.session} AS sid FROM {conditions.table.name} WHERE {conditions.text} ORDER BY sid"  # noqa: S608 - as above
        for (sid,) in self._connection.rows(sql, conditions.params):
            yield sid, partial(self._logs_of, sid)

    def _logs_of(self, sid: str, wanted: Wanted | None) -> Iterator[Line]:
        return _picked(self._written([self._of_session("log", sid)]), wanted)


def _picked(lines: Iterable[Line], wanted: Wanted | None) -> Iterator[Line]:
    return (it for it in lines if wanted is None or wanted(it.raw, it.row))

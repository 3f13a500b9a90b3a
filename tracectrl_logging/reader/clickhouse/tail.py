"""The end of sessions in ClickHouse: what is there, and what comes.

``ship`` writes blocks: all rows of one have the same ``TracectrlSeen``, the moment at which it was sent,
and appear at once. So a poll asks which blocks there are of the last moments, and then for the rows of
those that are new. The moments overlap, since blocks of several machines are on their way at once. Rows
of other senders have no such moment: they are known by what they say, and looked for by their own times.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import zlib
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from tracectrl_logging.reader.clickhouse.lines import FIELDS, lines_of
from tracectrl_logging.reader.clickhouse.narrowing import Conditions, merged
from tracectrl_logging.reader.clickhouse.tables import LEAST_NS
from tracectrl_logging.reader.model import (
    Closing,
    Damage,
    InvalidCursorError,
    StoreUnavailableError,
)
from tracectrl_logging.reader.timeline.open_spans import (
    Held,
    end_of,
    is_open,
    is_unsettled,
    span_key,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from typing import Final

    from tracectrl.schema import Kind
    from tracectrl_logging.reader.clickhouse.connection import Connection
    from tracectrl_logging.reader.clickhouse.tables import Table
    from tracectrl_logging.reader.filters.selection import Selection
    from tracectrl_logging.reader.model import Line, Report

OVERLAP_NS: Final = 30_000_000_000
"""How much later than the others a block, or another sender's row, may appear."""

_VERSION: Final = "c1."
_MOST_BYTES: Final = 64 * 1024 * 1024
_HOUR_NS: Final = 3_600_000_000_000
_WINDOWS_NS: Final = (_HOUR_NS, 24 * _HOUR_NS, 24 * 30 * _HOUR_NS)
_QUIET_S: Final = 0.5
_AWAY_S: Final = 5.0
_MARKS: Final = 1000
_ROWS: Final = 20_000
_row = attrgetter("row")


class _Source(NamedTuple):
    """The blocks of a table, or its rows of other senders."""

    table: Table
    rows: str
    """The condition that picks its rows."""
    since: str
    """The condition that leaves out what is older than the parameter ``low``."""
    mark: str
    """What a row came with: its block, or a digest of what it says."""
    at_ns: str
    """The moment of the block, or the time of the row."""


class _Found(NamedTuple):
    """A line that has come."""

    end: str
    """By what it is sorted: the time when it was written, about."""
    line: Line
    mark: str
    own: str
    """By what it is known among those of its mark."""
    at_ns: int


class ClickHouseTail(Closing):
    """The end of sessions in the *tables* behind *connection*, as :class:`~tracectrl_logging.reader.Tail`.

    The other arguments are those of :meth:`~tracectrl_logging.reader.store.Store.tail`; *name* is the
    store's. Where the store cannot be reached, :meth:`poll` says so once, and goes on when it can.
    """

    def __init__(
        self,
        connection: Connection,
        tables: Mapping[Kind, Table],
        sids: Collection[str],
        selection: Selection,
        *,
        name: str,
        report: Report,
        kinds: Sequence[Kind],
        count: int | None,
        after: str | None,
    ) -> None:
        if count is not None and count < 0:
            msg = f"count must be 0 or more lines, or None for all, got {count!r}"
            raise ValueError(msg)
        self._connection = connection
        self._tables = [tables[kind] for kind in kinds if tables[kind].columns]
        self._sources = [source for table in self._tables for source in _sources(table)]
        self._name, self._report = name, report
        self._sids, self._selection = sorted(sids), selection
        self._tests = {kind: selection.predicate(kind) for kind in kinds}
        self._is_away = self._is_behind = False
        self._given: list[_Found] = []
        self._marked = 0
        self._known: dict[str, int] = {}
        self._low_ns = LEAST_NS
        self._last: Iterator[Line] = iter(())
        if after is not None:
            self._low_ns, self._known = _position(after) if after else (LEAST_NS, {})
            return
        self._low_ns = self._now_ns() - OVERLAP_NS
        for source in self._sources:
            self._known.update((mark, at_ns) for mark, at_ns, _ in self._marks(source, None))
        self._last = self._all() if count is None else iter(self._latest(count))

    def last(self) -> Iterator[Line]:
        """Return the last lines."""
        return self._last

    def poll(self) -> list[Line]:
        """Return what has come, in time order, a span where it ends."""
        try:
            found = self._new()
        except StoreUnavailableError as error:
            if not self._is_away:
                self._report(Damage(self._name, None, f"{error}; waiting for it"))
            self._is_away = True
            found = []
        else:
            self._is_away = False
        self._given, self._marked = sorted(found, key=itemgetter(0)), 0
        return [it.line for it in self._given]

    @property
    def cursor(self) -> str:
        """Where it stands: behind all that :meth:`last` and :meth:`poll` have returned."""
        return self.cursor_after(len(self._given))

    def cursor_after(self, count: int) -> str:
        """Return where it stands behind the first *count* lines that :meth:`poll` returned last."""
        self._marked = max(self._marked, count)
        left = self._given[self._marked :]
        partly = {it.mark for it in left}
        known = {mark: at_ns for mark, at_ns in self._known.items() if mark not in partly}
        given = (it for it in self._given[: self._marked] if it.mark in partly)
        known |= {it.own: it.at_ns for it in given}
        low_ns = min([self._low_ns, *(it.at_ns for it in left)])
        packed = zlib.compress(orjson.dumps([low_ns, known]))
        return _VERSION + base64.urlsafe_b64encode(packed).rstrip(b"=").decode()

    def pause_s(self, poll_s: float) -> float:
        """Return how many seconds to wait before the next :meth:`poll`."""
        if self._is_away:
            return _AWAY_S
        return 0.0 if self._is_behind else max(poll_s, _QUIET_S)

    @property
    def is_behind(self) -> bool:
        """Whether there was more to read than the last :meth:`poll` has read."""
        return self._is_behind

    @property
    def is_rewritten(self) -> bool:
        """``False``: what is stored stays."""
        return False

    def close(self) -> None:
        """Forget what was read; the connection is the store's."""
        self._given = []

    # --- what is there ----------------------------------------------------------------------------

    def _all(self) -> Iterator[Line]:
        """Yield all lines that were there, in time order."""
        held: Held[Line] = Held()
        for line in held.sift(self._there("end, host, uid, ns", LEAST_NS), _row):
            if self._is_meant(line):
                yield line
        yield from filter(self._is_meant, held.rest())

    def _latest(self, count: int) -> list[Line]:
        """Return the last *count* lines that were there: of an hour, or of more if need be."""
        if not count or not self._tables:
            return []
        each = " UNION ALL ".join(
            f"SELECT max({it.end_ns}) AS last FROM {it.name}"  # noqa: S608 - names of our own
            for it in self._tables
        )
        ((newest,),) = self._connection.rows(f"SELECT max(last) FROM ({each})")  # noqa: S608 - as above
        for window_ns in (*_WINDOWS_NS, newest):
            lines = self._there("end DESC, host DESC, uid DESC, ns DESC", newest - window_ns)
            found = list(itertools.islice(self._not_ended(lines), count))
            if len(found) == count or window_ns >= newest:
                break
        return found[::-1]

    def _not_ended(self, lines: Iterator[Line]) -> Iterator[Line]:
        """Yield those of *lines*, the last first, that are meant: of an open span where it has no end."""
        ended: set[Any] = set()
        for line in lines:
            if line.kind == "span":
                key = line.session_id, span_key(line.row)
                was_seen = key in ended
                ended.add(key)
                if is_unsettled(line.row) and (was_seen or not is_open(line.row)):
                    continue
            if self._is_meant(line):
                yield line

    def _there(self, order: str, least_ns: int) -> Iterator[Line]:
        """Yield the lines that end at *least_ns* or later, without those that :meth:`poll` will give."""
        several = []
        each = []
        for source in self._sources:
            conditions = self._narrowed(source)
            conditions.select(self._selection)
            conditions.add(f"{source.table.end_ns} >= {{least:Int64}}", least=least_ns)
            several.append(conditions)
            each.append(conditions.select_from(_asked(source)))
        sql = f"SELECT * FROM ({' UNION ALL '.join(each)}) ORDER BY {order}"  # noqa: S608 - as above
        rows = self._connection.rows(sql, merged(several))
        there = (row for row in rows if row[-1] < self._low_ns or row[-2] in self._known)
        return lines_of(there, self._name, self._report)

    # --- what comes -------------------------------------------------------------------------------

    def _new(self) -> list[_Found]:
        """Return the lines of marks that are not known yet; they are, then."""
        low_ns = max(self._low_ns, self._now_ns() - OVERLAP_NS)
        found: list[_Found] = []
        known = dict(self._known)
        self._is_behind = False
        for source in self._sources:
            most = _MARKS + len(self._known)
            listed = self._marks(source, most)
            if len(listed) >= most:
                low_ns, self._is_behind = min(low_ns, listed[-1][1]), True
            new: list[str] = []
            left = _ROWS
            for mark, at_ns, count in listed:
                if mark in self._known:
                    continue
                if left <= 0:
                    low_ns, self._is_behind = min(low_ns, at_ns), True
                    break
                left -= count
                new.append(mark)
                known[mark] = at_ns
            found += self._of(source, new) if new else ()
        self._known = {mark: at_ns for mark, at_ns in known.items() if at_ns >= low_ns}
        self._low_ns = low_ns
        return found

    def _now_ns(self) -> int:
        ((now_ns,),) = self._connection.rows("SELECT toUnixTimestamp64Nano(now64(9))")
        return int(now_ns)

    def _marks(self, source: _Source, most: int | None) -> list[tuple[str, int, int]]:
        """Return the marks of *source* that are not too old, each with its moment and its rows."""
        conditions = self._narrowed(source)
        conditions.add(source.since, low=self._low_ns)
        limit = "" if most is None else f" LIMIT {most} WITH TIES"
        sql = (
            f"SELECT {source.mark} AS mark, min({source.at_ns}) AS at, count()"  # noqa: S608 - as above
            f" FROM {source.table.name} WHERE {conditions.text} GROUP BY mark ORDER BY at{limit}"
        )
        return list(self._connection.rows(sql, conditions.params))

    def _of(self, source: _Source, marks: list[str]) -> Iterator[_Found]:
        """Yield the lines of *marks* that are meant, in the order of writing."""
        conditions = self._narrowed(source)
        conditions.add(source.since, low=self._low_ns)
        conditions.add(f"{source.mark} IN {{marks:Array(String)}}", marks=marks)
        sql = f"{conditions.select_from(_asked(source))} ORDER BY host, uid, ns"
        for row in self._connection.rows(sql, conditions.params):
            own = f"{row[-2]} {row[3]}"
            for line in lines_of([row], self._name, self._report) if own not in self._known else ():
                is_void = line.kind == "span" and is_unsettled(line.row) and not is_open(line.row)
                if not is_void and self._is_meant(line):
                    end = end_of(line.kind, line.row) or line.time
                    yield _Found(end, line, row[-2], own, row[-1])

    def _narrowed(self, source: _Source) -> Conditions:
        conditions = Conditions(source.table)
        conditions.add(source.rows)
        if self._sids:
            conditions.add(source.table.of_session("sids", is_list=True), sids=self._sids)
        return conditions

    def _is_meant(self, line: Line) -> bool:
        test = self._tests[line.kind]
        return test is None or test(line.row)


def _sources(table: Table) -> Iterator[_Source]:
    """Yield what the rows of *table* come from: blocks, where there are such, and other senders."""
    letter = table.kind[0]
    if table.is_set_up:
        at_ns = "toUnixTimestamp64Nano(TracectrlSeen)"
        yield _Source(
            table,
            "TracectrlUid != ''",
            "TracectrlSeen >= fromUnixTimestamp64Nano({low:Int64})",
            f"concat('{letter}', {table.host}, '@', toString({at_ns}))",
            at_ns,
        )
    since = f"Timestamp >= fromUnixTimestamp64Nano(greatest({{low:Int64}} - {_HOUR_NS}, 0)) AND {table.end_ns} >= {{low:Int64}}"
    yield _Source(
        table,
        f"{table.uid} = ''",
        since,
        f"concat('{letter}', hex(sipHash128({table.line})))",
        table.end_ns,
    )


def _asked(source: _Source) -> str:
    return f"{FIELDS}, {source.table.end_ns} AS end, {source.mark} AS mark, {source.at_ns} AS at"


def _position(text: str) -> tuple[int, dict[str, int]]:
    """Return what the cursor *text* says: the time that it goes back to, and what is known since.

    Raises:
        InvalidCursorError: that is no cursor of such a store.
    """
    try:
        if not text.startswith(_VERSION):
            raise ValueError  # noqa: TRY301 - all is said below
        packed = text[len(_VERSION) :].encode("ascii")
        data = base64.b64decode(packed + b"=" * (-len(packed) % 4), b"-_", validate=True)
        unpacking = zlib.decompressobj()
        low_ns, known = orjson.loads(unpacking.decompress(data, _MOST_BYTES))
        if type(low_ns) is not int or not all(type(at_ns) is int for at_ns in known.values()):
            raise TypeError  # noqa: TRY301 - as above
    except (ValueError, TypeError, AttributeError, binascii.Error, zlib.error):
        msg = "a cursor must be one that a tail of this store has given"
        raise InvalidCursorError(msg) from None
    return low_ns, known

"""SQL over all sessions, by DuckDB.

The query runs in a database in memory, which sees the files through the views ``logs``, ``spans`` and
``sessions`` alone: it can neither read nor write any other file, load no extension and reach no
network.

A query runs on unparsed lines first. Only where these turn out to be damaged, or where the answer is
too large to be held back until that is known, each line is looked at before the database gets it.
"""

from __future__ import annotations

import os
import tempfile
import threading
from concurrent.futures import Future, wait
from functools import partial
from typing import TYPE_CHECKING, Any

from tracectrl.errors import MissingExtraError
from tracectrl.files.names import root_path
from tracectrl_logging.reader import sqlviews
from tracectrl_logging.reader.sqlfeed import Feed, NeedsCareError, TooLongError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType, TracebackType
    from typing import Final

    from typing_extensions import Self

    from tracectrl_logging.reader.records import Damage, Kind, Report

DEFAULT_MEMORY_MB: Final = 100
"""What DuckDB may use; what needs more goes to a temporary directory."""

_MIB = 1024 * 1024
_LINE_BYTES = (1 * _MIB, 12 * _MIB, 65 * _MIB)
_SLACK_BYTES = _MIB + 65536  # a block, and the names in front of a line
_MOST_THREADS = 4
_HELD_ROWS = 2000
_HELD_CHARACTERS = 4_000_000
_FETCHED = 256
_KINDS = frozenset({"SELECT", "EXPLAIN", "MULTI"})  # the last is PIVOT


class QueryError(ValueError):
    """The SQL is wrong, or could not be run; the message is one line."""


class Rows:
    """The rows of an answer, as an iterator of tuples; read once.

    DuckDB's types are Python's: timestamps are aware and in UTC, JSON is text.
    """

    def __init__(
        self,
        columns: list[tuple[str, Any]],
        rows: Iterator[tuple[Any, ...]],
        end: Callable[[], None],
    ) -> None:
        self.columns = tuple(name for name, _ in columns)
        """The names of the columns."""
        self.types = tuple(str(form) for _, form in columns)
        """Their types, as DuckDB writes them."""
        self.forms = tuple(form for _, form in columns)
        """Their types as DuckDB's objects."""
        self._rows = rows
        self._end = end

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """Return the rows themselves."""
        return self

    def __next__(self) -> tuple[Any, ...]:
        """Return the next row."""
        return next(self._rows)

    def __enter__(self) -> Self:
        """Return the rows; leaving the block closes them."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close them."""
        self.close()

    def close(self) -> None:
        """End the query, where it has not ended."""
        self._end()


def query(
    sql: str,
    root: str | os.PathLike[str] | None = None,
    *,
    memory_mb: int = DEFAULT_MEMORY_MB,
    on_damage: Report,
) -> Rows:
    """Run *sql*; see :func:`tracectrl_logging.reader.query`."""
    duckdb = _duckdb()
    run = _Run(duckdb, sql, os.fspath(root_path(root)), memory_mb)
    try:
        return run.rows(on_damage)
    except BaseException:
        run.close()
        raise


def save_parquet(
    sql: str,
    path: str,
    root: str | os.PathLike[str] | None = None,
    *,
    memory_mb: int = DEFAULT_MEMORY_MB,
    on_damage: Report,
) -> int:
    """Write the answer to *sql* to the file at *path*; return how many rows there are.

    Raises:
        QueryError: as :func:`query` says.
        OSError: the root cannot be read.
    """
    duckdb = _duckdb()
    run = _Run(duckdb, sql, os.fspath(root_path(root)), memory_mb, target=path)
    try:
        return run.save(on_damage)
    finally:
        run.close()


def _duckdb() -> ModuleType:
    try:
        import duckdb  # noqa: PLC0415 - an extra
    except ImportError as error:
        feature, package, extra = "SQL", "duckdb", "sql"
        raise MissingExtraError(feature, package, extra) from error
    return duckdb


class _Run:
    """One query: attempts until one of them has read everything."""

    def __init__(
        self, duckdb: ModuleType, sql: str, root: str, memory_mb: int, target: str | None = None
    ) -> None:
        self._duckdb, self._sql, self._root = duckdb, sql, root
        self._memory_mb, self._target = memory_mb, target
        self._careful = False
        self._length = 0
        self._attempt: _Attempt | None = None
        os.scandir(root).close()  # raises where it cannot be read

    def rows(self, on_damage: Report) -> Rows:
        """Return the answer."""
        while True:
            attempt = self._begin()
            try:
                cursor = attempt.start()
                columns = [(item[0], item[1]) for item in cursor.description]
                held, is_all = _fetched(attempt)
                if is_all:
                    attempt.finish()
            except self._duckdb.Error as error:
                self._next(error)
                continue
            except (NeedsCareError, TooLongError):
                self._next()
                continue
            if is_all:
                _tell(attempt, on_damage)
                self.close()
                return Rows(columns, iter(held), self.close)
            break
        # More than is held back: now every line is looked at first, and nothing is run twice.
        self._careful = True
        attempt = self._begin(is_last=True)
        try:
            cursor = attempt.start()
        except self._duckdb.Error as error:
            raise self._error(error) from error
        columns = [(item[0], item[1]) for item in cursor.description]
        return Rows(columns, self._streamed(attempt, on_damage), self.close)

    def save(self, on_damage: Report) -> int:
        """Write the answer to the target."""
        while True:
            attempt = self._begin()
            try:
                count = attempt.save(self._target or "")
                attempt.finish()
            except self._duckdb.Error as error:
                self._next(error)
            except (NeedsCareError, TooLongError):
                self._next()
            else:
                _tell(attempt, on_damage)
                return count

    def close(self) -> None:
        """End what is running."""
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            attempt.stop()

    def _begin(self, *, is_last: bool = False) -> _Attempt:
        self.close()
        length = max(1, self._length) if is_last else self._length
        self._attempt = _Attempt(
            self._duckdb,
            self._sql,
            self._root,
            memory_mb=self._memory_mb,
            target=self._target,
            careful=self._careful,
            max_line_bytes=_LINE_BYTES[length],
            is_last=is_last,
        )
        return self._attempt

    def _next(self, error: Exception | None = None) -> None:
        """Make the next attempt one that does better; raise where none does.

        Raises:
            QueryError: the failure is the query's own.
        """
        attempt = self._attempt
        failure = None if attempt is None else attempt.stop()
        if isinstance(failure, TooLongError) and self._length + 1 < len(_LINE_BYTES):
            self._length += 1
        elif failure is not None and not isinstance(failure, NeedsCareError):
            raise failure
        elif not self._careful and (attempt is None or attempt.is_bound):
            self._careful = True
        elif error is not None:
            raise self._error(error) from error

    def _error(self, error: Exception) -> QueryError:
        text = _one_line(str(error))
        if isinstance(error, self._duckdb.OutOfMemoryException):
            text = f"{self._memory_mb} MB are too little memory for this query: {text}"
        return QueryError(text)

    def _streamed(self, attempt: _Attempt, on_damage: Report) -> Iterator[tuple[Any, ...]]:
        try:
            while rows := attempt.fetch():
                yield from rows
            attempt.finish()
        except self._duckdb.Error as error:
            raise self._error(error) from error
        finally:
            _tell(attempt, on_damage)
            self.close()


class _Attempt:
    """One connection, with pipes of its own."""

    def __init__(
        self,
        duckdb: ModuleType,
        sql: str,
        root: str,
        *,
        memory_mb: int,
        target: str | None,
        careful: bool,
        max_line_bytes: int,
        is_last: bool,
    ) -> None:
        self.damages: list[Damage] = []
        self.is_bound = False
        """Whether the query is right, so that what goes wrong later may be the lines' fault."""
        self._duckdb, self._sql, self._root = duckdb, sql, root
        self._careful, self._max_line_bytes, self._is_last = careful, max_line_bytes, is_last
        self._feeds: dict[Kind, Feed] = {}
        self._is_open = True
        self._spilled = tempfile.TemporaryDirectory(prefix="tracectrl-logs-")
        self._con = duckdb.connect(
            config={
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "memory_limit": f"{memory_mb}MB",
                "temp_directory": self._spilled.name,
                "threads": str(min(_MOST_THREADS, os.cpu_count() or 1)),
            }
        )
        self._con.execute("SET TimeZone = 'UTC'")
        self._allowed = [] if target is None else [target]

    def start(self) -> Any:
        """Run the query and return its cursor."""
        self._prepare()
        return self._wait(lambda: self._con.execute(self._sql))

    def fetch(self) -> list[tuple[Any, ...]]:
        """Return the next rows; none at the end."""
        rows: list[tuple[Any, ...]] = self._wait(lambda: self._con.fetchmany(_FETCHED))
        return rows

    def save(self, path: str) -> int:
        """Run the query into the Parquet file at *path*; return how many rows it has."""
        self._prepare()
        self._wait(lambda: self._con.sql(self._sql).write_parquet(path))
        (row,) = self._con.execute(
            f"SELECT sum(num_rows) FROM parquet_file_metadata({sqlviews.literal(path)})"  # noqa: S608
        ).fetchall()
        return int(row[0] or 0)

    def finish(self) -> None:
        """Check that the query has seen all that it wanted; raise what it was that went wrong."""
        failure = self.stop()
        if failure is not None:
            raise failure

    def stop(self) -> Exception | None:
        """End everything and return what went wrong with a feed, if anything did."""
        if self._is_open:
            self._is_open = False
            # The connection first: a feed ends once nobody is left who could read from it.
            self._con.interrupt()
            self._con.close()
            for feed in self._feeds.values():
                feed.close()
            self._spilled.cleanup()
        failures = (feed.failure for feed in self._feeds.values())
        return next((failure for failure in failures if failure is not None), None)

    def _prepare(self) -> None:
        con = self._con
        is_plain = _is_plain(self._duckdb, con, self._sql)
        sqlviews.create_empty(con)
        used = sqlviews.used_columns(con, self._sql) if is_plain else None
        sqlviews.drop_empty(con)
        self.is_bound = True
        self._create_views(used)
        con.execute("SET allowed_paths = $1", [[*self._allowed, *map(_path, self._feeds.values())]])
        con.execute("SET enable_external_access = false")
        nodes = sqlviews.plan_of(con, self._sql) if is_plain else None
        is_held = nodes is None or not sqlviews.reads_once(nodes, len(self._feeds))
        if is_held:  # rows in the order of their arrival would take the memory of a whole group
            con.execute("SET preserve_insertion_order = false")
        con.execute("SET lock_configuration = true")
        for feed in self._feeds.values():
            feed.start()
        if is_held:
            for kind in self._feeds:
                self._wait(partial(sqlviews.load, con, kind))

    def _wait(self, work: Callable[[], Any]) -> Any:
        """Return what *work* does; a signal, like that of Ctrl-C, ends the query at once.

        DuckDB does not hand control back to the interpreter before it is done.
        """
        done: Future[Any] = Future()

        def run() -> None:
            try:
                done.set_result(work())
            except BaseException as error:  # noqa: BLE001 - raised where it is waited for
                done.set_exception(error)

        threading.Thread(target=run, name="tracectrl-query", daemon=True).start()
        try:
            return done.result()
        except BaseException:
            if not done.done():
                self._con.interrupt()
                wait([done])
            raise

    def _create_views(self, used: dict[Kind, set[str]] | None) -> None:
        for kind, columns in sqlviews.COLUMNS.items():
            wanted = set(columns) if used is None else used.get(kind)
            if wanted is None:  # not read at all
                self._con.execute(sqlviews.empty_view(kind))
                continue
            feed = self._feeds[kind] = Feed(
                self._root,
                kind,
                self.damages.append,
                with_place=sqlviews.is_placed(wanted),
                careful=self._careful,
                max_line_bytes=self._max_line_bytes,
                skips_long=self._is_last,
            )
            self._con.execute(
                sqlviews.view(
                    kind,
                    wanted,
                    _path(feed),
                    os.path.join(self._root, ""),
                    max_line_bytes=self._max_line_bytes + _SLACK_BYTES,
                    careful=self._careful,
                )
            )
        self._con.execute(sqlviews.SESSIONS)


def _path(feed: Feed) -> str:
    return f"/dev/fd/{feed.fd}"


def _is_plain(duckdb: ModuleType, con: Any, sql: str) -> bool:
    """Tell whether *sql* is a plain query, whose plan can be had.

    Raises:
        QueryError: it is not one query.
        duckdb.Error: it is no SQL.
    """
    try:
        statements = con.extract_statements(sql)
    except duckdb.Error as error:
        raise QueryError(_one_line(str(error))) from error
    if len(statements) > 1 and not statements[0].query:
        return False  # PIVOT before DuckDB 2: it makes a type of what it finds first
    if len(statements) != 1:
        msg = "there is no SQL" if not statements else f"one query at a time, not {len(statements)}"
        raise QueryError(msg)
    kind = statements[0].type.name
    if kind not in _KINDS:
        msg = f"only queries are run, like SELECT, and not {kind}"
        raise QueryError(msg)
    return bool(kind == "SELECT")


def _fetched(attempt: _Attempt) -> tuple[list[tuple[Any, ...]], bool]:
    """Return the first rows, and whether these are all."""
    held: list[tuple[Any, ...]] = []
    characters = 0
    while rows := attempt.fetch():
        held += rows
        characters += sum(len(cell) for row in rows for cell in row if isinstance(cell, str))
        if len(held) > _HELD_ROWS or characters > _HELD_CHARACTERS:
            return [], False
    return held, True


def _tell(attempt: _Attempt, on_damage: Report) -> None:
    damages, attempt.damages[:] = list(attempt.damages), []
    for damage in damages:
        on_damage(damage)


def _one_line(text: str) -> str:
    """Return the part of DuckDB's message that says what is wrong."""
    said = text.partition("\nLINE ")[0].partition("\n\nPossible solutions")[0]
    return " ".join(said.split())

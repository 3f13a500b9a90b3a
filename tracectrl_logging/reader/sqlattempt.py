"""One attempt to run a query: a connection of its own, which reads the lines through pipes."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from concurrent.futures import Future, wait
from functools import partial
from typing import TYPE_CHECKING, Any

from tracectrl_logging.reader import sqlviews
from tracectrl_logging.reader.sqlfeed import Feed

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from tracectrl_logging.reader.model import Damage, Kind

_SLACK_BYTES = 1024 * 1024 + 65536  # a block, and the names in front of a line
_MOST_THREADS = 4
_FETCHED = 256
_AGAIN_S = 0.01
_KINDS = frozenset({"SELECT", "EXPLAIN", "MULTI"})  # the last is PIVOT


class QueryError(ValueError):
    """The SQL is wrong, or could not be run; the message is one line."""


class Attempt:
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
        with contextlib.suppress(FileNotFoundError):  # DuckDB replaces none but by a third file
            os.unlink(path)
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

        thread = threading.Thread(target=run, name="tracectrl-query", daemon=True)
        try:
            thread.start()
            return done.result()
        except RuntimeError:  # the work's, or no thread can be started
            raise
        except BaseException:
            while not done.done():  # what has not begun yet does not feel the first one
                self._con.interrupt()
                wait([done], _AGAIN_S)
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
        sql.encode()
        statements = con.extract_statements(sql)
    except UnicodeEncodeError as error:
        msg = f"the SQL is not UTF-8: {sql!r}"
        raise QueryError(msg) from error
    except duckdb.Error as error:
        raise QueryError(one_line(str(error))) from error
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


def one_line(text: str) -> str:
    """Return the part of DuckDB's message that says what is wrong."""
    said = text.partition("\nLINE ")[0].partition("\n\nPossible solutions")[0]
    return " ".join(said.split())

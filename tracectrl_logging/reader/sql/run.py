"""One query in the process that is its own: the lines come in through pipes, rows go out in batches."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

import duckdb

from tracectrl_logging.reader.sql import views
from tracectrl_logging.reader.sql.connection import is_plain, locked_connection, query_error
from tracectrl_logging.reader.sql.feed import Feed, limits_of_memory
from tracectrl_logging.reader.sql.rows import QueryError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final, TypeAlias

    from tracectrl.schema import Kind
    from tracectrl_logging.reader.model import Damage, Report

    Batch: TypeAlias = list[tuple[Any, ...]]

_FETCHED: Final = 256
_PLACE_BYTES: Final = 65536
"""What the names of its file and its session may take beside a line."""
_PLANNED_BYTES: Final = 1024 * 1024
_NANOSECONDS: Final = frozenset({"TIMESTAMP_NS", "TIME_NS"})


class Run:
    """One query, on a connection with pipes of its own.

    The user's SQL meets a connection that is locked: it reads the pipes and nothing else, and its
    settings can be changed no more.

    Args:
        sql: the query.
        root: the trace directory.
        params: the values of its parameters.
        memory_mb: what DuckDB may use.
        spill: the directory for what needs more; ``None`` for none.
        target: the Parquet file that the rows go to.
    """

    def __init__(
        self,
        sql: str,
        root: str,
        *,
        params: Any = None,
        memory_mb: int,
        spill: str | None,
        target: str | None = None,
    ) -> None:
        os.scandir(root).close()  # raises where it cannot be read
        self._sql, self._params, self._root = sql, params, root
        self._memory_mb, self._spill, self._target = memory_mb, spill, target
        self._limits = limits_of_memory(memory_mb)
        self._damages: list[Damage] = []
        self._feeds: dict[Kind, Feed] = {}
        self._is_open = True
        self._con = self._connected(keeps_order=True)

    def rows(self, on_damage: Report) -> tuple[list[tuple[str, Any]], Iterator[Batch]]:
        """Return the columns, each with its type, and the rows in batches.

        Raises:
            QueryError: the SQL is wrong, or needs more memory; so does reading the rows.
            OSError: the root cannot be read.
        """
        try:
            self._prepare()
            cursor = self._con.execute(self._with_digits(), self._params)
            columns = [(item[0], item[1]) for item in cursor.description]
            first = self._con.fetchmany(_FETCHED)
        except duckdb.Error as error:
            raise self._error(error) from error
        return columns, self._batches(first, on_damage)

    def save(self, on_damage: Report) -> int:
        """Write the answer to the target, a Parquet file; return how many rows it has."""
        path = self._target or ""
        with contextlib.suppress(FileNotFoundError):  # DuckDB replaces none but by a third file
            os.unlink(path)
        try:
            self._prepare()
            self._con.sql(self._sql, params=self._params).write_parquet(path)
            (row,) = self._con.execute(
                f"SELECT sum(num_rows) FROM parquet_file_metadata({views.literal(path)})"  # noqa: S608
            ).fetchall()
            self._finish(on_damage)
        except duckdb.Error as error:
            raise self._error(error) from error
        return int(row[0] or 0)

    def close(self) -> None:
        """End what is running."""
        if self._is_open:
            self._is_open = False
            # The connection first: a feed ends once nobody is left who could read from it.
            self._con.interrupt()
            self._con.close()
            for feed in self._feeds.values():
                feed.close()

    def _batches(self, rows: Batch, on_damage: Report) -> Iterator[Batch]:
        try:
            while rows:
                yield rows
                rows = self._con.fetchmany(_FETCHED)
            self._finish(on_damage)
        except duckdb.Error as error:
            raise self._error(error) from error
        finally:
            self.close()

    def _finish(self, on_damage: Report) -> None:
        """Report what the query could not see; raise why it has not seen all that there is."""
        self.close()
        for feed in self._feeds.values():
            if feed.failure is not None:
                raise feed.failure
        for damage in self._damages:
            on_damage(damage)

    def _error(self, error: Exception) -> QueryError:
        said = query_error(error)
        if isinstance(error, duckdb.OutOfMemoryException):
            return QueryError(f"{self._memory_mb} MB are too little memory for this query: {said}")
        return said

    def _connected(self, *, keeps_order: bool) -> Any:
        """Return a connection that is locked, and may read new pipes."""
        for feed in self._feeds.values():
            feed.close()
        self._feeds = {
            kind: Feed(self._root, kind, self._damages.append, self._limits)
            for kind in views.TABLES
        }
        paths = [_path(feed) for feed in self._feeds.values()]
        if self._target is not None:
            paths.append(self._target)
        return locked_connection(
            paths, memory_mb=self._memory_mb, spill=self._spill, keeps_order=keeps_order
        )

    def _with_digits(self) -> str:
        """Return the SQL such that nanoseconds, of which Python's times have none, come as text."""
        if "ns" not in self._sql.lower() or not is_plain(self._con, self._sql):
            return self._sql  # no view holds them
        described = self._con.execute(f"DESCRIBE {self._sql}", self._params).fetchall()
        if not any(kind in _NANOSECONDS for _, kind, *_ in described):
            return self._sql
        fields = [
            f"replace(c{at}::VARCHAR, ' ', 'T') AS {views.quoted(name)}"
            if kind in _NANOSECONDS
            else f"c{at} AS {views.quoted(name)}"
            for at, (name, kind, *_) in enumerate(described)
        ]
        names = ", ".join(f"c{at}" for at in range(len(described)))
        return f"SELECT {', '.join(fields)} FROM ({self._sql}\n) AS t({names})"  # noqa: S608

    def _prepare(self) -> None:
        nodes = self._planned()
        used = None if nodes is None else views.used_columns(nodes)
        is_read_once = nodes is not None and views.reads_once(nodes)
        if is_read_once:
            self._create_views(used)
            again = views.plan_of(self._con, self._sql, self._params)
            is_read_once = again is not None and views.reads_once(again)
        if not is_read_once:  # rows in the order of their arrival would take a whole group's memory
            self._con.close()
            self._con = self._connected(keeps_order=False)
            self._create_views(used)
        for kind in views.TABLES if used is None else used:
            self._feeds[kind].start(self._names(kind, used))
            if not is_read_once:
                views.load(self._con, kind)

    def _planned(self) -> list[dict[str, Any]] | None:
        """Return the query's plan; ``None`` where it has none.

        Raises:
            QueryError: it is not one query.
            duckdb.Error: it is no SQL.
        """
        if not is_plain(self._con, self._sql):
            return None
        for kind, feed in self._feeds.items():
            names = self._names(kind, None)
            self._con.execute(views.view(kind, names, _path(feed), "", _PLANNED_BYTES))
        self._con.execute(views.PUBLIC)
        nodes = views.plan_of(self._con, self._sql, self._params)
        self._con.execute(views.DROPPED)
        return nodes

    def _create_views(self, used: dict[Kind, set[str]] | None) -> None:
        for kind, feed in self._feeds.items():
            if used is not None and kind not in used:
                self._con.execute(views.empty_view(kind))
                continue
            root = os.path.join(self._root, "")
            line_bytes = feed.measured() + _PLACE_BYTES
            self._con.execute(
                views.view(kind, self._names(kind, used), _path(feed), root, line_bytes)
            )
        self._con.execute(views.PUBLIC)

    @staticmethod
    def _names(kind: Kind, used: dict[Kind, set[str]] | None) -> list[str]:
        return views.names_of(kind, None if used is None else used[kind])


def _path(feed: Feed) -> str:
    return f"/dev/fd/{feed.fd}"

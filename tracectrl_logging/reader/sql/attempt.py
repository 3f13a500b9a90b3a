"""One attempt to run a query: a connection of its own, which reads the lines through pipes."""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING, Any

import duckdb

from tracectrl_logging.reader.sql import views
from tracectrl_logging.reader.sql.feed import Feed
from tracectrl_logging.reader.sql.rows import QueryError

if TYPE_CHECKING:
    from tracectrl.schema import Kind
    from tracectrl_logging.reader.model import Damage

_SLACK_BYTES = 1024 * 1024 + 65536  # a block, and the names in front of a line
_MOST_THREADS = 4
_FETCHED = 256
_KINDS = frozenset({"SELECT", "MULTI"})  # the last is PIVOT
_EXPLAIN = re.compile(
    r"\s*EXPLAIN\b(?:\s+ANALYZE\b)?(?:\s*\(\s*(?:ANALYZE|FORMAT)\b[^()]*\))?", re.IGNORECASE
)
_NANOSECONDS = frozenset({"TIMESTAMP_NS", "TIME_NS"})
_SPILL_TIMES = 20
"""How many times as much as the memory temporary files may take, and what part of the free space."""
_SPILL_PART = 2


class Attempt:
    """One connection, with pipes of its own.

    The user's SQL meets a connection that is locked: it reads the pipes and nothing else, and its
    settings can be changed no more.
    """

    def __init__(
        self,
        sql: str,
        root: str,
        *,
        params: Any,
        memory_mb: int,
        spill: str | None,
        target: str | None,
        careful: bool,
        max_line_bytes: int,
        is_last: bool,
    ) -> None:
        self.damages: list[Damage] = []
        self.is_bound = False
        """Whether the query is right, so that what goes wrong later may be the lines' fault."""
        self._sql, self._params, self._root = sql, params, root
        self._memory_mb, self._spill = memory_mb, spill
        self._careful, self._max_line_bytes, self._is_last = careful, max_line_bytes, is_last
        self._is_open = True
        self._allowed = [] if target is None else [target]
        self._feeds: dict[Kind, Feed] = {}
        self._con = self._connected(keeps_order=True)

    def start(self) -> Any:
        """Run the query and return its cursor."""
        self._prepare()
        return self._con.execute(self._with_digits(), self._params)

    def fetch(self) -> list[tuple[Any, ...]]:
        """Return the next rows; none at the end."""
        rows: list[tuple[Any, ...]] = self._con.fetchmany(_FETCHED)
        return rows

    def save(self, path: str) -> int:
        """Run the query into the Parquet file at *path*; return how many rows it has."""
        with contextlib.suppress(FileNotFoundError):  # DuckDB replaces none but by a third file
            os.unlink(path)
        self._prepare()
        self._con.sql(self._sql, params=self._params).write_parquet(path)
        (row,) = self._con.execute(
            f"SELECT sum(num_rows) FROM parquet_file_metadata({views.literal(path)})"  # noqa: S608
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
        failures = (feed.failure for feed in self._feeds.values())
        return next((failure for failure in failures if failure is not None), None)

    def _connected(self, *, keeps_order: bool) -> Any:
        """Return a connection that is locked, and may read new pipes."""
        for feed in self._feeds.values():
            feed.close()
        self._feeds = {
            kind: Feed(
                self._root,
                kind,
                self.damages.append,
                careful=self._careful,
                max_line_bytes=self._max_line_bytes,
                skips_long=self._is_last,
            )
            for kind in views.TABLES
        }
        paths = [*self._allowed, *map(_path, self._feeds.values())]
        return locked_connection(
            paths, memory_mb=self._memory_mb, spill=self._spill, keeps_order=keeps_order
        )

    def _with_digits(self) -> str:
        """Return the SQL such that nanoseconds, of which Python's times have none, come as text."""
        if "ns" not in self._sql.lower() or not _is_plain(self._con, self._sql):
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
        self.is_bound = True
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
            self._feeds[kind].start()
            if not is_read_once:
                views.load(self._con, kind)

    def _planned(self) -> list[dict[str, Any]] | None:
        """Return the query's plan; ``None`` where it has none.

        Raises:
            QueryError: it is not one query.
            duckdb.Error: it is no SQL.
        """
        if not _is_plain(self._con, self._sql):
            return None
        for kind, feed in self._feeds.items():
            self._con.execute(views.planned_view(kind, _path(feed)))
        self._con.execute(views.SESSIONS)
        nodes = views.plan_of(self._con, self._sql, self._params)
        self._con.execute("DROP VIEW sessions")
        for table in views.TABLES.values():
            self._con.execute(f"DROP VIEW {table}")
        return nodes

    def _create_views(self, used: dict[Kind, set[str]] | None) -> None:
        for kind, columns in views.COLUMNS.items():
            wanted = set(columns) if used is None else used.get(kind)
            if wanted is None:  # not read at all
                self._con.execute(views.empty_view(kind))
                continue
            feed = self._feeds[kind]
            feed.with_place = views.is_placed(wanted)
            self._con.execute(
                views.view(
                    kind,
                    wanted,
                    _path(feed),
                    os.path.join(self._root, ""),
                    max_line_bytes=self._max_line_bytes + _SLACK_BYTES,
                    careful=self._careful,
                )
            )
        self._con.execute(views.SESSIONS)


def locked_connection(
    paths: list[str], *, memory_mb: int, spill: str | None, keeps_order: bool
) -> Any:
    """Return a connection to a new database in memory, which no SQL reaches out of.

    Args:
        paths: the files that it may read and write, and no others.
        memory_mb: the memory that DuckDB keeps to, in MB, as far as it counts.
        spill: the directory for what needs more; ``None`` for none.
        keeps_order: rows come in the order of the lines, where the query does not say another.
    """
    nowhere = spill or os.devnull
    settings: dict[str, Any] = {
        "allow_community_extensions": "false",
        "allow_persistent_secrets": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "extension_directory": nowhere,
        "memory_limit": f"{memory_mb}MB",
        "preserve_insertion_order": str(keeps_order),
        "python_enable_replacements": "false",
        "secret_directory": nowhere,
        "temp_directory": spill or "",
        "threads": str(min(_MOST_THREADS, os.cpu_count() or 1)),
    }
    if spill is not None:
        disk = os.statvfs(spill)
        free = disk.f_bavail * disk.f_frsize
        most = min(memory_mb * 1_000_000 * _SPILL_TIMES, free // _SPILL_PART)
        settings["max_temp_directory_size"] = f"{most}B"
    con = duckdb.connect(config=settings)
    con.execute("SET TimeZone = 'UTC'")
    con.execute("SET home_directory = $1", [nowhere])
    con.execute("SET allowed_paths = $1", [paths])
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")
    return con


def _path(feed: Feed) -> str:
    return f"/dev/fd/{feed.fd}"


def _is_plain(con: Any, sql: str) -> bool:
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
    if kind == "EXPLAIN":  # with ANALYZE it would run whatever it explains
        said = _EXPLAIN.match(sql)
        _is_plain(con, sql[said.end() :] if said is not None else "")
        return False
    if kind not in _KINDS:
        msg = f"only queries are run, like SELECT, and not {kind}"
        raise QueryError(msg)
    return bool(kind == "SELECT")


def one_line(text: str) -> str:
    """Return the part of DuckDB's message that says what is wrong."""
    said = text.partition("\nLINE ")[0].partition("\n\nPossible solutions")[0]
    return " ".join(said.split())

"""SQL over all sessions, by DuckDB.

The query runs in a database in memory, in a process of its own, which sees the files through the
views ``logs``, ``spans`` and ``sessions`` alone: it can neither read nor write any other file, load no
extension and reach no network, and it uses no more memory and disk than it may.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from tracectrl.errors import require
from tracectrl.files.names import root_path
from tracectrl_logging.reader.sql.process import QueryProcess
from tracectrl_logging.reader.sql.rows import DEFAULT_MEMORY_MB, QueryError, Rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tracectrl_logging.reader.model import Report
    from tracectrl_logging.reader.store import OnStart

__all__ = ["DEFAULT_MEMORY_MB", "QueryError", "Rows", "query", "save_parquet"]


def query(
    sql: str,
    root: str | os.PathLike[str] | None = None,
    *,
    params: Sequence[Any] | Mapping[str, Any] | None = None,
    memory_mb: int = DEFAULT_MEMORY_MB,
    timeout_s: float | None = None,
    on_start: OnStart | None = None,
    on_damage: Report,
) -> Rows:
    """Run *sql*; see :func:`tracectrl_logging.reader.query`."""
    process = _started(
        sql, root, params=params, memory_mb=memory_mb, timeout_s=timeout_s, report=on_damage
    )
    try:
        if on_start is not None:
            on_start(process.close)
        columns = process.receive("columns")
    except BaseException:
        process.close()
        raise
    return Rows(columns, _rows(process), process.close)


def save_parquet(
    sql: str,
    path: str,
    root: str | os.PathLike[str] | None = None,
    *,
    params: Sequence[Any] | Mapping[str, Any] | None = None,
    memory_mb: int = DEFAULT_MEMORY_MB,
    on_damage: Report,
) -> int:
    """Write the answer to *sql* to the file at *path*; return how many rows there are.

    Raises:
        QueryError: as :func:`query` says.
        OSError: the root cannot be read.
    """
    process = _started(sql, root, params=params, memory_mb=memory_mb, target=path, report=on_damage)
    try:
        count: int = process.receive("count")
    finally:
        process.close()
    return count


def _started(
    sql: str,
    root: str | os.PathLike[str] | None,
    *,
    params: Sequence[Any] | Mapping[str, Any] | None = None,
    memory_mb: int,
    timeout_s: float | None = None,
    target: str | None = None,
    report: Report,
) -> QueryProcess:
    require("SQL", "sql", "duckdb")
    place = os.fspath(root_path(root))
    return QueryProcess(
        sql,
        params,
        place,
        memory_mb=memory_mb,
        timeout_s=timeout_s,
        target=target,
        report=report,
    )


def _rows(process: QueryProcess) -> Iterator[tuple[Any, ...]]:
    try:
        while rows := process.receive("rows"):
            yield from rows
    finally:
        process.close()

"""A connection that pasted SQL may be bound and run on, and what is made of that SQL before."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import duckdb

from tracectrl_logging.reader.sql.rows import QueryError

if TYPE_CHECKING:
    from typing import Final

_MOST_THREADS: Final = 4
_KINDS: Final = frozenset({"SELECT", "MULTI"})  # the last is PIVOT
_EXPLAIN: Final = re.compile(
    r"\s*EXPLAIN\b(?:\s+ANALYZE\b)?(?:\s*\(\s*(?:ANALYZE|FORMAT)\b[^()]*\))?", re.IGNORECASE
)
_SPILL_TIMES: Final = 20
"""How many times as much as the memory temporary files may take, and what part of the free space."""
_SPILL_PART: Final = 2
PLAN: Final = "EXPLAIN (FORMAT JSON) "
"""What stands in front of SQL whose plan is asked for."""


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


def is_plain(con: Any, sql: str) -> bool:
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
        raise query_error(error) from error
    if len(statements) > 1 and not statements[0].query:
        return False  # PIVOT before DuckDB 2: it makes a type of what it finds first
    if len(statements) != 1:
        msg = f"the SQL must be one query, got {len(statements) or 'none'}"
        raise QueryError(msg)
    try:
        kind = statements[0].type.name
    except ValueError:  # one that the Python package does not know
        kind = sql.split(maxsplit=1)[0].upper()
    if kind == "EXPLAIN":  # with ANALYZE it would run whatever it explains
        said = _EXPLAIN.match(sql)
        is_plain(con, sql[said.end() :] if said is not None else "")
        return False
    if kind not in _KINDS:
        msg = f"only queries are run, like SELECT, and not {kind}"
        raise QueryError(msg)
    return bool(kind == "SELECT")


def query_error(error: Exception) -> QueryError:
    """Return what DuckDB says in *error*: what is wrong in one line, where and how to mend it."""
    said, _, place = str(error).partition("\nLINE ")
    what, *more = said.partition("\n\nPossible solutions")[0].strip().split("\n")
    if more and "candidate" not in more[0].lower() and "did you mean" not in more[0].lower():
        what, more = " ".join((what, *more)), []
    hints = [" ".join(" ".join(more).split())] if more else []
    number, _, line = place.partition("\n")[0].partition(": ")
    if line:
        hints.append(f"line {number}: {line.removeprefix(PLAN).strip()}")
    return QueryError(" ".join(what.split()), "; ".join(hints) or None)

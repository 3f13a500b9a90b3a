"""The process that a query runs in: it sets itself limits, runs the query, and sends the rows."""

from __future__ import annotations

import contextlib
import resource
import shutil
import sys
from typing import TYPE_CHECKING, Any

import duckdb

from tracectrl_logging.reader.child import answer_with
from tracectrl_logging.reader.sql.connection import query_error
from tracectrl_logging.reader.sql.rows import Form, QueryError
from tracectrl_logging.reader.sql.run import Run

if TYPE_CHECKING:
    from typing import Final

    from tracectrl_logging.reader.child import Send
    from tracectrl_logging.reader.sql.process import Question

_BESIDE_BYTES: Final = 96 * 1024 * 1024
"""What the interpreter and the lines on their way may take beside DuckDB."""

_MEGABYTE: Final = 1_000_000
_DEPTH: Final = 5000
"""How deep calls may be: the parser takes 1024 levels, each of which may be three calls."""


def main() -> None:
    """Be the process."""
    sys.setrecursionlimit(_DEPTH)
    answer_with(_answer_within, at_end=_remove_spill)


def _answer_within(question: Question, send: Send) -> None:
    limit(question.memory_mb)
    answer(question, send)


def _remove_spill(question: Question) -> None:
    if question.spill is not None:
        shutil.rmtree(question.spill, ignore_errors=True)


def limit(memory_mb: int) -> None:
    """Have the kernel refuse this process more memory than a query may use; it dumps no core."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, ValueError):  # there is /proc on Linux alone
        with open("/proc/self/statm", encoding="ascii") as file:
            pages = int(file.read().split()[5])
        most = pages * resource.getpagesize() + memory_mb * _MEGABYTE + _BESIDE_BYTES
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        if hard != resource.RLIM_INFINITY:
            most = min(most, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def answer(question: Question, send: Send) -> None:
    """Run the query; send its columns, rows, damage and end, or the error."""

    def report(damage: object) -> None:
        send("damage", damage)

    try:
        run = Run(
            question.sql,
            question.root,
            params=question.params,
            memory_mb=question.memory_mb,
            spill=question.spill,
            target=question.target,
        )
        if question.target is not None:
            send("count", run.save(report))
        else:
            columns, batches = run.rows(report)
            send("columns", [(name, form_of(kind)) for name, kind in columns])
            for rows in batches:
                send("rows", rows)
        send("end")
    except (QueryError, OSError) as error:
        send("error", error)
    except MemoryError:
        send("error", QueryError(f"{question.memory_mb} MB are too little memory for this query"))
    except duckdb.Error as error:
        send("error", query_error(error))
    except Exception as error:  # noqa: BLE001 - a value that Python has no form for
        send("error", QueryError(f"the rows cannot be read: {type(error).__name__}: {error}"))


def form_of(kind: Any) -> Form:
    """Return one of DuckDB's types as a :class:`Form`."""
    name = str(kind.id)
    parts = kind.children if name in _NESTED else ()
    return Form(
        str(kind), name, tuple((key, form_of(part)) for key, part in parts if key != "size")
    )


_NESTED: Final = frozenset({"list", "array", "struct", "map", "union"})

"""The process that a query runs in: it sets itself limits, runs the query, and sends the rows."""

from __future__ import annotations

import contextlib
import os
import pickle
import resource
import shutil
import sys
import threading
from typing import IO, TYPE_CHECKING, Any

import duckdb

from tracectrl_logging.reader.sql.connection import query_error
from tracectrl_logging.reader.sql.rows import Form, QueryError
from tracectrl_logging.reader.sql.run import Run

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from tracectrl_logging.reader.sql.process import Question

_BESIDE_BYTES: Final = 96 * 1024 * 1024
"""What the interpreter and the lines on their way may take beside DuckDB."""

_MEGABYTE: Final = 1_000_000
_DEPTH: Final = 5000
"""How deep calls may be: the parser takes 1024 levels, each of which may be three calls."""


def main() -> None:
    """Answer the question that stdin holds, on stdout; stdin's end ends the process."""
    stdin = sys.stdin.buffer
    question: Question = pickle.load(stdin)  # noqa: S301 - from the process that has started this one
    sys.setrecursionlimit(_DEPTH)
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    threading.Thread(target=_end_with, args=(stdin, question.spill), daemon=True).start()

    def send(name: str, value: object = None) -> None:
        pickle.dump((name, value), out, pickle.HIGHEST_PROTOCOL)
        out.flush()

    status = 1
    try:
        limit(question.memory_mb)
        answer(question, send)
        status = 0
    except BrokenPipeError:  # nobody listens any more
        pass
    finally:
        os._exit(status)


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


def answer(question: Question, send: Callable[..., None]) -> None:
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


def _end_with(stream: IO[bytes], spill: str | None) -> None:
    """End this process where whoever has started it ends."""
    stream.read()
    if spill is not None:
        shutil.rmtree(spill, ignore_errors=True)
    os._exit(1)


_NESTED: Final = frozenset({"list", "array", "struct", "map", "union"})

"""The process that a query runs in, seen from outside.

DuckDB's own limits do not cover every allocation, and some of its functions do not notice an
interrupt. The kernel's limits and SIGKILL hold whatever a query does.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from typing import TYPE_CHECKING, Any, NamedTuple

from tracectrl_logging.reader.child import Child
from tracectrl_logging.reader.sql.rows import QueryError

if TYPE_CHECKING:
    from tracectrl_logging.reader.model import Report


class Question(NamedTuple):
    """What a query's process is told at its start."""

    sql: str
    params: Any
    """The values of the SQL's parameters, a list or a dictionary; ``None`` for none."""
    root: str
    memory_mb: int
    target: str | None
    """The Parquet file that the rows go to, instead of to whoever asks."""
    spill: str | None
    """The directory for what needs more memory; ``None`` where there is no place for one."""


class QueryProcess:
    """One query in a process of its own; :meth:`close` ends it and removes what it left on disk."""

    def __init__(
        self,
        sql: str,
        params: Any,
        root: str,
        *,
        memory_mb: int,
        timeout_s: float | None,
        target: str | None,
        report: Report,
    ) -> None:
        self._report = report
        self._child: Child | None = None
        self._memory_mb = memory_mb
        self._timeout_s: float | None = None
        self._spill: str | None = None
        try:
            with contextlib.suppress(OSError):  # no directory can be written to
                self._spill = tempfile.mkdtemp(prefix="tracectrl-logs-")
            question = Question(sql, params, root, memory_mb, target, self._spill)
            self._child = Child("tracectrl_logging.reader.sql.worker", question)
            if timeout_s is not None:
                self._timeout_s = timeout_s
                self._child.end_after(timeout_s)
        except BaseException:
            self.close()
            raise

    def receive(self, *wanted: str) -> Any:
        """Return the value of the next message, which has one of the names *wanted*.

        Returns:
            ``None`` where the query has come to its end without one.

        Raises:
            QueryError: the SQL is wrong, or needs more than it may use.
            OSError: the root cannot be read.
        """
        while True:
            name, value = self._message()
            if name == "damage":
                self._report(value)
            elif name == "error":
                raise value
            elif name in wanted:
                return value
            elif name == "end":
                return None

    def close(self) -> None:
        """End the process, whatever it is doing."""
        child, self._child = self._child, None
        if child is not None:
            child.close()
        if self._spill is not None:
            shutil.rmtree(self._spill, ignore_errors=True)
            self._spill = None

    def _message(self) -> tuple[str, Any]:
        if self._child is None:
            return "end", None
        message = self._child.message()
        if message is not None:
            return message
        if self._child.is_late:
            msg = f"the query takes longer than {self._timeout_s:g} s"
            raise QueryError(msg)
        msg = (
            f"the query's process has ended (status {self._child.status()}), "
            f"most likely because {self._memory_mb} MB are too little memory for it"
        )
        raise QueryError(msg)

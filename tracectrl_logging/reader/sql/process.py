"""The process that a query runs in, seen from outside: started, listened to, ended at any moment.

DuckDB's own limits do not cover every allocation, and some of its functions do not notice an
interrupt. The kernel's limits and SIGKILL hold whatever a query does.
"""

from __future__ import annotations

import contextlib
import pickle
import shutil
import subprocess
import sys
import tempfile
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from tracectrl_logging.reader.sql.rows import QueryError

if TYPE_CHECKING:
    from typing import Final

    from tracectrl_logging.reader.model import Report

_PROGRAM: Final = (
    "import sys; sys.path[:] = sys.argv[1:]; "
    "from tracectrl_logging.reader.sql.worker import main; main()"
)


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
        target: str | None,
        report: Report,
    ) -> None:
        self._report = report
        self._process: subprocess.Popen[bytes] | None = None
        self._memory_mb = memory_mb
        self._spill: str | None = None
        self._timer: threading.Timer | None = None
        self._timeout_s: float | None = None
        try:
            with contextlib.suppress(OSError):  # no directory can be written to
                self._spill = tempfile.mkdtemp(prefix="tracectrl-logs-")
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, with what it imports
                [sys.executable, "-I", "-c", _PROGRAM, *sys.path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for whoever asks, who then ends this
            )
            question = Question(sql, params, root, memory_mb, target, self._spill)
            stream = self._process.stdin
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):  # it has ended: receive() says so
                    stream.write(pickle.dumps(question))
                    stream.flush()
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

    def end_after(self, seconds: float) -> None:
        """End the process where it is still there after so many seconds."""

        def end() -> None:
            process = self._process
            if process is not None:
                self._timeout_s = seconds
                process.kill()

        self._timer = threading.Timer(seconds, end)
        self._timer.daemon = True
        self._timer.start()

    def close(self) -> None:
        """End the process, whatever it is doing."""
        if self._timer is not None:
            self._timer.cancel()
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                with contextlib.suppress(BrokenPipeError):
                    if stream is not None:
                        stream.close()
        if self._spill is not None:
            shutil.rmtree(self._spill, ignore_errors=True)
            self._spill = None

    def _message(self) -> tuple[str, Any]:
        if self._process is None:
            return "end", None
        try:
            message: tuple[str, Any] = pickle.load(self._process.stdout)  # type: ignore[arg-type] # noqa: S301 - from a process that this one has started
        except (EOFError, pickle.UnpicklingError) as error:
            if self._timeout_s is not None:
                msg = f"the query takes longer than {self._timeout_s:g} s"
                raise QueryError(msg) from error
            msg = (
                f"the query's process has ended (status {self._process.wait()}), "
                f"most likely because {self._memory_mb} MB are too little memory for it"
            )
            raise QueryError(msg) from error
        return message

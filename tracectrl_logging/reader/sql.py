"""SQL over all sessions, by DuckDB.

The query runs in a database in memory, which sees the files through the views ``logs``, ``spans`` and
``sessions`` alone: it can neither read nor write any other file, load no extension and reach no
network.

A query runs on unparsed lines first. Only where these turn out to be damaged, or where the answer is
too large to be held back until that is known, each line is looked at before the database gets it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from tracectrl.errors import MissingExtraError
from tracectrl.files.names import root_path
from tracectrl_logging.reader.files.lines import MAX_LINE_BYTES
from tracectrl_logging.reader.sqlattempt import Attempt, QueryError, one_line
from tracectrl_logging.reader.sqllines import NeedsCareError, TooLongError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType, TracebackType
    from typing import Final

    from typing_extensions import Self

    from tracectrl_logging.reader.model import Report

__all__ = ["DEFAULT_MEMORY_MB", "QueryError", "Rows", "query", "save_parquet"]

DEFAULT_MEMORY_MB: Final = 100
"""What DuckDB may use; what needs more goes to a temporary directory."""

_MIB = 1024 * 1024
_LINE_BYTES = (1 * _MIB, 12 * _MIB, MAX_LINE_BYTES)
_HELD_ROWS = 2000
_HELD_CHARACTERS = 4_000_000


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
        self._attempt: Attempt | None = None
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

    def _begin(self, *, is_last: bool = False) -> Attempt:
        self.close()
        length = max(1, self._length) if is_last else self._length
        self._attempt = Attempt(
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
        text = one_line(str(error))
        if isinstance(error, self._duckdb.OutOfMemoryException):
            text = f"{self._memory_mb} MB are too little memory for this query: {text}"
        return QueryError(text)

    def _streamed(self, attempt: Attempt, on_damage: Report) -> Iterator[tuple[Any, ...]]:
        try:
            while rows := attempt.fetch():
                yield from rows
            attempt.finish()
        except self._duckdb.Error as error:
            raise self._error(error) from error
        finally:
            _tell(attempt, on_damage)
            self.close()


def _fetched(attempt: Attempt) -> tuple[list[tuple[Any, ...]], bool]:
    """Return the first rows, and whether these are all."""
    held: list[tuple[Any, ...]] = []
    characters = 0
    while rows := attempt.fetch():
        held += rows
        characters += sum(len(cell) for row in rows for cell in row if isinstance(cell, str))
        if len(held) > _HELD_ROWS or characters > _HELD_CHARACTERS:
            return [], False
    return held, True


def _tell(attempt: Attempt, on_damage: Report) -> None:
    damages, attempt.damages[:] = list(attempt.damages), []
    for damage in damages:
        on_damage(damage)

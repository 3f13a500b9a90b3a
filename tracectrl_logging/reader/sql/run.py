"""One query: attempts until one of them has read everything.

A query runs on unparsed lines first. Only where these turn out to be damaged, or where the answer is
too large to be held back until that is known, each line is looked at before the database gets it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import duckdb

from tracectrl_logging.reader.files.lines import MAX_LINE_BYTES
from tracectrl_logging.reader.sql.attempt import Attempt, one_line
from tracectrl_logging.reader.sql.passing import NeedsCareError, TooLongError
from tracectrl_logging.reader.sql.rows import QueryError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TypeAlias

    from tracectrl_logging.reader.model import Report

    Batch: TypeAlias = list[tuple[Any, ...]]

_MIB = 1024 * 1024
_LINE_BYTES = (1 * _MIB, 12 * _MIB, MAX_LINE_BYTES)
_HELD_ROWS = 2000
_HELD_CHARACTERS = 4_000_000


class Run:
    """One query: attempts until one of them has read everything."""

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
        self._sql, self._params, self._root, self._memory_mb = sql, params, root, memory_mb
        self._spill, self._target = spill, target
        self._careful = False
        self._length = 0
        self._attempt: Attempt | None = None
        os.scandir(root).close()  # raises where it cannot be read

    def rows(self, on_damage: Report) -> tuple[list[tuple[str, Any]], Iterable[Batch]]:
        """Return the columns, each with its type, and the rows in batches."""
        while True:
            attempt = self._begin()
            try:
                cursor = attempt.start()
                columns = [(item[0], item[1]) for item in cursor.description]
                held, is_all = _fetched(attempt)
                if is_all:
                    attempt.finish()
            except duckdb.Error as error:
                self._next(error)
                continue
            except (NeedsCareError, TooLongError):
                self._next()
                continue
            if is_all:
                _tell(attempt, on_damage)
                self.close()
                return columns, [held]
            break
        # More than is held back: now every line is looked at first, and nothing is run twice.
        self._careful = True
        attempt = self._begin(is_last=True)
        try:
            cursor = attempt.start()
        except duckdb.Error as error:
            raise self._error(error) from error
        columns = [(item[0], item[1]) for item in cursor.description]
        return columns, self._streamed(attempt, on_damage)

    def save(self, on_damage: Report) -> int:
        """Write the answer to the target."""
        while True:
            attempt = self._begin()
            try:
                count = attempt.save(self._target or "")
                attempt.finish()
            except duckdb.Error as error:
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
            self._sql,
            self._root,
            params=self._params,
            memory_mb=self._memory_mb,
            spill=self._spill,
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
        if isinstance(error, duckdb.OutOfMemoryException):
            text = f"{self._memory_mb} MB are too little memory for this query: {text}"
        return QueryError(text)

    def _streamed(self, attempt: Attempt, on_damage: Report) -> Iterator[Batch]:
        try:
            while rows := attempt.fetch():
                yield rows
            attempt.finish()
        except duckdb.Error as error:
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

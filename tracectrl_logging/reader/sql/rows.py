"""What a query answers: rows, the types of their columns, or the error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tracectrl_logging.reader.model import Closing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import tzinfo
    from typing import Final


DEFAULT_MEMORY_MB: Final = 100
"""The memory, in MB, that DuckDB may use; what needs more goes to a temporary directory."""


class QueryError(ValueError):
    """The SQL is wrong, or could not be run; the message is one line.

    Args:
        what: what is wrong.
        hint: where, or how to mend it, in one line.
    """

    def __init__(self, what: str, hint: str | None = None) -> None:
        super().__init__(what)
        self.hint = hint
        """Where it is, or how to mend it, in one line; ``None`` where that is not known."""

    def __reduce__(self) -> tuple[type[QueryError], tuple[str, str | None]]:
        """Return what makes another of it, in another process."""
        return type(self), (str(self), self.hint)


class Form(NamedTuple):
    """The type of a column: its text as DuckDB writes it, its class, the types that it is made of."""

    text: str
    id: str
    children: tuple[tuple[str, Form], ...]

    def __str__(self) -> str:
        return self.text


class Rows(Closing):
    """The rows of an answer, as an iterator of tuples; read once.

    DuckDB's types are Python's: timestamps are aware and in UTC, JSON is text.
    """

    def __init__(
        self,
        columns: list[tuple[str, Form]],
        rows: Iterator[tuple[Any, ...]],
        end: Callable[[], None],
    ) -> None:
        self.columns = tuple(name for name, _ in columns)
        """The names of the columns."""
        self.types = tuple(str(form) for _, form in columns)
        """Their types, as DuckDB writes them."""
        self.forms = tuple(form for _, form in columns)
        """Their types, taken apart."""
        self.tz: tzinfo | None = None
        """The zone in which whoever prints the rows shows their times; ``None`` for UTC."""
        self._rows = rows
        self._end = end

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """Return the rows themselves."""
        return self

    def __next__(self) -> tuple[Any, ...]:
        """Return the next row."""
        return next(self._rows)

    def close(self) -> None:
        """End the query, where it has not ended."""
        self._end()

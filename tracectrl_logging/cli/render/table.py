"""Rows of a database as a table for people: streamed, escaped, cut to the terminal's width."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from tracectrl_logging.cli.render.columns import GAP, cut, padded, width_of
from tracectrl_logging.cli.render.screen import Screen
from tracectrl_logging.cli.text import shown
from tracectrl_logging.reader.sql.cells import converter, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracectrl_logging.reader.sql import Rows

_MEASURED = 1000
_MEASURED_CHARACTERS = 4_000_000
_LEAST = 6
_NUMBERS = frozenset(
    "tinyint smallint integer bigint hugeint utinyint usmallint uinteger ubigint uhugeint float double decimal".split()  # noqa: SIM905 - shorter so
)


def print_table(rows: Rows) -> int:
    """Print *rows*, each a line below the names of the columns; return how many there are.

    Where a terminal is too narrow for so many columns, each row is a block of lines.
    """
    screen = Screen()
    table = _Table(rows, screen.width)
    if screen.width is not None and table.is_too_wide:
        for number, cells in enumerate(table.lines, 1):
            _print_block(number, table.titles, cells, screen)
        return table.count
    for index, line in enumerate(table):
        screen.line([(line, "" if index else "bold")])
    return table.count


def table_lines(rows: Rows) -> Iterator[str]:
    """Yield the names of the columns, then the rows; nothing where there are none."""
    return iter(_Table(rows, None))


class _Table:
    """Rows, and how wide their columns are; the first rows say that."""

    def __init__(self, rows: Rows, width: int | None) -> None:
        self.titles = [shown(name) for name in rows.columns]
        self.count = 0
        self._converters = [converter(form, rows.tz) for form in rows.forms]
        self._are_numbers = [form.id in _NUMBERS for form in rows.forms]
        self._is_cut = width is not None
        texts = (self._texts(row) for row in rows)
        first = list(_first(texts))
        self.lines = itertools.chain(first, texts)
        self._is_empty = not first
        widths = [max(map(width_of, column)) for column in zip(self.titles, *first, strict=True)]
        self._widths = widths if width is None else _fitted(widths, width)
        self.is_too_wide = width is not None and _total(self._widths) > width

    def __iter__(self) -> Iterator[str]:
        if self._is_empty:
            return
        yield self._line(self.titles)
        for cells in self.lines:
            yield self._line(cells)

    def _texts(self, row: tuple[object, ...]) -> list[str]:
        self.count += 1
        return [
            shown(text_of(convert(cell)))
            for convert, cell in zip(self._converters, row, strict=True)
        ]

    def _line(self, cells: list[str]) -> str:
        parts = [
            _aligned(cell, size, is_number=is_number, is_cut=self._is_cut)
            for cell, size, is_number in zip(cells, self._widths, self._are_numbers, strict=True)
        ]
        return GAP.join(parts).rstrip()


def _first(texts: Iterator[list[str]]) -> Iterator[list[str]]:
    """Yield the rows that say how wide the columns are: not so many that they fill the memory."""
    characters = 0
    for cells in itertools.islice(texts, _MEASURED):
        yield cells
        characters += sum(map(len, cells))
        if characters > _MEASURED_CHARACTERS:
            return


def _print_block(number: int, titles: list[str], cells: list[str], screen: Screen) -> None:
    screen.line([(f"row {number}", "bold")])
    widest = max(map(width_of, titles))
    room = max((screen.width or 0) - widest - len(GAP), _LEAST)
    for title, cell in zip(titles, cells, strict=True):
        name = _aligned(title, widest, is_number=False, is_cut=False)
        screen.line([(name + GAP, "dim"), (_aligned(cell, room, is_number=False, is_cut=True), "")])


def _total(widths: list[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _aligned(text: str, width: int, *, is_number: bool, is_cut: bool) -> str:
    return padded(cut(text, width) if is_cut else text, width, to_the_right=is_number)


def _fitted(widths: list[int], room: int) -> list[int]:
    """Return the widths made smaller, the widest first, until a line has *room*."""
    fitted = list(widths)
    over = _total(fitted) - room
    while over > 0 and max(fitted) > _LEAST:
        widest = max(fitted)
        below = max((width for width in fitted if width < widest), default=_LEAST)
        which = [index for index, width in enumerate(fitted) if width == widest]
        less = min(widest - max(below, _LEAST), -(-over // len(which)))
        for index in which:
            taken = min(less, max(over, 0))
            fitted[index] -= taken
            over -= taken
    return fitted

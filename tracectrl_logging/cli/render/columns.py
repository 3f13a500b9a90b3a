"""Texts as columns of a terminal, which are not characters: 漢 takes two, an accent may take none."""

from __future__ import annotations

GAP = "  "
"""What stands between columns."""

_ELLIPSIS = "…"
_DEEPEST = 12


def width_of(text: str) -> int:
    """Return how many columns *text* takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415 - for few texts only

    return cell_len(text)


def cut(text: str, width: int) -> str:
    """Return *text*, or as much of it as *width* columns hold with an ellipsis."""
    if width_of(text) <= width:
        return text
    if text.isascii():
        return text[: width - 1].rstrip() + _ELLIPSIS
    from rich.cells import set_cell_size  # noqa: PLC0415 - as above

    return set_cell_size(text, width - 1).rstrip() + _ELLIPSIS


def padded(text: str, width: int, *, to_the_right: bool = False) -> str:
    """Return *text* with spaces up to *width* columns, on its right or, for numbers, on its left."""
    space = " " * (width - width_of(text))
    return space + text if to_the_right else text + space


def guides(depth: int) -> str:
    """Return what stands in front of a row that lies *depth* levels deep; from 12 on, with a number."""
    return "│ " * depth if depth <= _DEEPEST else "│ " * _DEEPEST + f"({depth}) "

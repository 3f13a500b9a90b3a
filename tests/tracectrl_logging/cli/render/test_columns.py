"""Texts as columns: by what a terminal shows, not by characters."""

from __future__ import annotations

import pytest

from tracectrl_logging.cli.render.columns import cut, padded, width_of

ACCENT = "e\u0301"


@pytest.mark.parametrize(
    ("text", "width"), [("", 0), ("abc", 3), ("漢字", 4), (ACCENT * 3, 3), ("a漢", 3)]
)
def test_width(text: str, width: int) -> None:
    """East Asian characters take two columns, combining accents none."""
    assert width == width_of(text)
    assert width + 2 == len(padded(text, width + 2)) - len(text) + width


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("漢字", 4, "漢字"),
        ("漢字", 3, "漢…"),
        ("a漢字", 3, "a…"),
        ("ab cd", 4, "ab…"),
        (ACCENT * 4, 3, ACCENT * 2 + "…"),
    ],
)
def test_cut(text: str, width: int, expected: str) -> None:
    """What is too wide ends in an ellipsis, and is never wider than asked for."""
    assert expected == cut(text, width)
    assert width_of(cut(text, width)) <= width


def test_numbers_stand_on_the_right() -> None:
    """Spaces go to the left of a number, and to the right of a text, none where there is no room."""
    assert ("  7", "漢 ", "abcd") == (
        padded("7", 3, to_the_right=True),
        padded("漢", 3),
        padded("abcd", 2),
    )

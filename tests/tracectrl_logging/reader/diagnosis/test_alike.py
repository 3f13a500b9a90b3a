"""Tests of tracectrl_logging.reader.diagnosis.alike."""

from __future__ import annotations

import pytest

from tracectrl_logging.reader.diagnosis.alike import are_related, pattern


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("order 4711 took 3.5 ms", "order # took # ms"),
        ("user 0f8fad5b-d9cb-469f-a165-70867728950e left", "user # left"),
        ("at 2026-01-02T03:04:05.678Z, then 03:04:05", "at #, then #"),
        ("commit deadbeef01 by 0xFF", "commit # by #"),
        ("a decade faded", "a decade faded"),
    ],
)
def test_pattern(text: str, expected: str) -> None:
    """Numbers, IDs and times are values; words that look like them are not."""
    assert expected == pattern(text)


def test_related() -> None:
    """A text that quotes another is about the same failure, with the same values where that is asked."""
    assert are_related("no space on volume 3", "save failed: no space on volume 4")
    assert not are_related("no space on volume 3", "no space on volume 4", exactly=True)
    assert are_related("no space on volume 3", "x: no space on volume 3", exactly=True)
    assert are_related("payment service refused the card", "the card was refused by the payment")
    assert not are_related("payment refused", "index is being built")

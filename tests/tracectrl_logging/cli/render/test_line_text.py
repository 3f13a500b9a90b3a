"""How numbers look to people."""

from __future__ import annotations

import pytest

from tracectrl_logging.cli.render.line_text import count, duration


@pytest.mark.parametrize(
    ("ns", "expected"),
    [
        (0, "0 ns"),
        (999, "999 ns"),
        (1000, "1.00 µs"),
        (12_345, "12.3 µs"),
        (123_456, "123 µs"),
        (1_500_000, "1.50 ms"),
        (59_990_000_000, "60.0 s"),
        (60_000_000_000, "1m 00s"),
        (3_725_000_000_000, "1h 02m 05s"),
        (-5_000_000, "-5.00 ms"),
    ],
)
def test_duration(ns: int, expected: str) -> None:
    """A duration is in the unit that reads best; one that runs backwards is, too."""
    assert expected == duration(ns)


def test_count() -> None:
    """One thing is singular, any other number of them plural."""
    assert ("0 spans", "1 span", "2 spans") == tuple(count(number, "span") for number in range(3))

"""What became of each session, as text and as rows."""

from __future__ import annotations

import pytest

from tracectrl_logging.cli.render.change_report import time_of


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (-(10**9), "1938-04-24T22:13:20.000000Z"),
        (-(10**12), "0001-01-01T00:00:00.000000Z"),
        (10**12, "9999-12-31T23:59:59.000000Z"),
    ],
)
def test_times(seconds: int, expected: str) -> None:
    """A file may have any time; one that has no text is shown as the nearest that has."""
    assert expected == time_of(seconds * 10**9)

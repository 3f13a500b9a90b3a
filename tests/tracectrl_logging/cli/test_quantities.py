"""Ages and sizes as people write and read them."""

from __future__ import annotations

import click
import pytest

from tracectrl_logging.cli.quantities import age, readable, size


def test_options() -> None:
    """What is not understood is wrong use."""
    assert (604800.0, 1024) == (age("7d"), size("1KiB"))
    with pytest.raises(click.BadParameter, match="7d"):
        age("a week")
    with pytest.raises(click.BadParameter, match="1GiB"):
        size("much")


@pytest.mark.parametrize(
    ("size_b", "expected"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1_234_567, "1.2 MB"),
        (10**10, "10.0 GB"),
        (10**16, "10000.0 TB"),
    ],
)
def test_readable(size_b: int, expected: str) -> None:
    """A size is shown in the unit that reads best."""
    assert expected == readable(size_b)

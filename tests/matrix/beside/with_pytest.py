"""pytest with ``caplog`` and a report of what was logged; one of two tests fails."""

from __future__ import annotations

import pytest
import shop


@pytest.fixture(autouse=True, scope="module")
def logging_set_up() -> None:
    """Set logging up as the program does."""
    shop.set_up({"class": "logging.NullHandler"})


@pytest.mark.parametrize("order", shop.ORDERS)
def test_order(order: int, caplog: pytest.LogCaptureFixture) -> None:
    """Work, keep what caplog has of it, and fail at the second order."""
    with shop.session():
        shop.work(order)
    for record in caplog.records:
        shop.emit({"level": record.levelname, "message": record.getMessage()})
    shop.emit({"text": caplog.text})
    assert order == 1

"""Which lines are meant."""

from __future__ import annotations

from typing import Any

import pytest

from tracectrl_logging.reader.filters.conditions import Condition
from tracectrl_logging.reader.filters.selection import Selection

LOG: dict[str, Any] = {
    "timestamp": "2026-11-21T10:05:00.000000Z",
    "level": "WARNING",
    "logger": "shop.cart",
    "trace_id": "ab" * 16,
    "tool": "search",
}
SPAN: dict[str, Any] = {
    "name": "ask",
    "start_time": "2026-11-21T10:05:00.000000Z",
    "trace_id": "ab" * 16,
    "attributes": {"tool": "search"},
}


def test_nothing_given_means_every_line() -> None:
    """There is nothing to ask a line then."""
    assert (None, None) == (Selection().predicate("log"), Selection().predicate("span"))


@pytest.mark.parametrize(
    ("options", "log", "span"),
    [
        ({"since": "2026-11-21T10:05:00.000000Z"}, True, True),
        ({"since": "2026-11-21T10:05:00.000001Z"}, False, False),
        ({"until": "2026-11-21T10:05:00.000000Z"}, True, True),
        ({"until": "2026-11-21T10:04:59.999999Z"}, False, False),
        ({"level": "WARNING"}, True, False),
        ({"level": "error"}, False, False),
        ({"logger": "shop"}, True, False),
        ({"logger": "shop.cart"}, True, False),
        ({"logger": "sho"}, False, False),
        ({"trace_id": "abab"}, True, True),
        ({"trace_id": "ba"}, False, False),
        ({"where": (Condition("tool=search"),)}, True, True),
        ({"where": (Condition("tool=search"), Condition("tool=find"))}, False, False),
        ({"level": "INFO", "where": (Condition("tool=search"),)}, True, False),
    ],
)
def test_each_option(options: dict[str, Any], log: bool, span: bool) -> None:  # noqa: FBT001
    """A line is meant where it meets all that is given; a span has no level and no logger."""
    selection = Selection(**options)
    wants_log, wants_span = selection.predicate("log"), selection.predicate("span")
    assert wants_log is not None
    assert wants_span is not None
    assert (log, span) == (wants_log(LOG), wants_span(SPAN))


def test_a_line_without_what_is_asked_for_is_not_meant() -> None:
    """No key, or one of another type, raises nothing."""
    odd = {"timestamp": 3, "level": [], "logger": None, "trace_id": 7}
    for selection in (
        Selection(since="2026"),
        Selection(level="INFO"),
        Selection(logger="shop"),
        Selection(trace_id="a"),
    ):
        test = selection.predicate("log")
        assert test is not None
        assert (False, False) == (test({}), test(odd))

"""Conditions on lines."""

from __future__ import annotations

from typing import Any

import pytest

from tracectrl_logging.reader.conditions import Condition

ROW: dict[str, Any] = {
    "level": "WARNING",
    "logger": "shop.cart",
    "tool": "search",
    "count": 3,
    "ratio": 0.5,
    "ok": True,
    "none": None,
    "code": "404",
    "a.b": "dotted",
    "tags": ["x", "y"],
    "took_ms": 1500,
    "exception": {"type": "ValueError", "message": "no"},
    "http": {"request": {"method": "GET"}, "status.code": 503},
    "duration_ns": 1_500_000_000,
    "attributes": {"gen_ai.tool.name": "lookup", "peer": "b"},
    "wait": "2.5s",
    "pause": 0.3,
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tool=search", True),
        ("tool==search", True),
        ("tool = search", True),
        ("tool=Search", False),
        ("tool!=search", False),
        ("tool!=find", True),
        ("tool~^se", True),
        ("tool~x", False),
        ("tool!~x", True),
        ("count=3", True),
        ("count=3.0", True),
        ("count>2", True),
        ("count>=3", True),
        ("count<3", False),
        ("count>10", False),
        ("ratio<0.75", True),
        ("code=404", True),
        ("code>=400", True),
        ("code<50", False),
        ("ok=true", True),
        ("ok=True", True),
        ("ok!=false", True),
        ("none=null", True),
        ("a.b=dotted", True),
        ("tags~x", True),
        ('tags=["x", "y"]', True),
        ("exception.type=ValueError", True),
        ("http.request.method=GET", True),
        ("http.status.code>=500", True),
        ("gen_ai.tool.name=lookup", True),
        ("peer=b", True),
        ("tool=a=b", False),
        ("count>" + "9" * 5000, False),
    ],
)
def test_values(text: str, *, expected: bool) -> None:
    """Numbers are compared as numbers, the rest as text; keys are names or paths."""
    assert expected is Condition(text)(ROW)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("level>=WARNING", True),
        ("level>=warn", True),
        ("level>WARNING", False),
        ("level>INFO", True),
        ("level<ERROR", True),
        ("level=warning", True),
        ("level!=ERROR", True),
        ("level=NOTICE", False),
    ],
)
def test_levels(text: str, *, expected: bool) -> None:
    """Levels are compared by severity."""
    assert expected is Condition(text)(ROW)


def test_a_level_of_its_own_is_compared_as_text() -> None:
    """A custom level has a name and no place among the others."""
    row = {"level": "NOTICE"}
    assert Condition("level=NOTICE")(row)
    assert Condition("level!=INFO")(row)
    assert not Condition("level>=DEBUG")(row)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("duration>1s", True),
        ("duration>1500ms", False),
        ("duration>=1500ms", True),
        ("duration<2s", True),
        ("duration>1m", False),
        ("took>1s", True),
        ("took_ms>1s", True),
        ("took_ms<1.4s", False),
        ("wait>2s", True),
        ("wait<1min", True),
        ("pause=300ms", True),
        ("pause>300ms", False),
        ("absent>1s", False),
        ("tool>1s", True),
    ],
)
def test_durations(text: str, *, expected: bool) -> None:
    """A unit in the condition is compared in time, whatever unit the line's key ends in."""
    assert expected is Condition(text)(ROW)


def test_a_duration_past_all_numbers() -> None:
    """No number that JSON holds raises."""
    assert Condition("duration>1s")({"duration": 1.7e308})
    assert Condition("duration>1s")({"duration_ns": 10**400})


@pytest.mark.parametrize(
    "text", ["absent=x", "absent>1", "absent~x", "a.c=1", "tool.x=1", "level.x=1"]
)
def test_what_is_not_there_equals_nothing(text: str) -> None:
    """A missing key meets a condition only where it says "not"."""
    assert not Condition(text)(ROW)
    assert Condition(text.replace("=", "!=").replace("~", "!~").replace(">", "!="))(ROW)


@pytest.mark.parametrize("text", ["", "tool", "=x", ">=WARNING", " = ", "~x"])
def test_what_is_no_condition_is_named(text: str) -> None:
    """The error says what was given and what is meant."""
    with pytest.raises(ValueError, match="a condition is a key, one of") as caught:
        Condition(text)
    assert repr(text) in str(caught.value)


def test_a_bad_pattern_and_an_unknown_level_are_named() -> None:
    """Both errors hold the condition."""
    with pytest.raises(ValueError, match=r"no regular expression in 'tool~\('"):
        Condition("tool~(")
    with pytest.raises(ValueError, match=r"levels in an order are DEBUG, .* not 'LOUD'"):
        Condition("level>=LOUD")

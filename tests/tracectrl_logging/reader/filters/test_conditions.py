"""Conditions on lines."""

from __future__ import annotations

from typing import Any

import pytest

from tracectrl_logging.reader.filters.conditions import Condition

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
    """A level that only somebody's program knows has a name and no place among the others."""
    row = {"level": "LOUD"}
    assert Condition("level=LOUD")(row)
    assert Condition("level!=INFO")(row)
    assert not Condition("level>=DEBUG")(row)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"level": "AUDIT", "severity_number": 20}, True),
        ({"level": "NOTICE"}, False),
        ({"level": "warn"}, True),
        ({"level": 45}, True),
        ({"level": "Fatal"}, True),
        ({"level": 20}, False),
    ],
)
def test_a_level_has_a_rank(row: dict[str, Any], expected: bool) -> None:  # noqa: FBT001 - a table
    """Levels are ordered by the number of their severity, in any spelling."""
    assert expected is Condition("level>=WARNING")(row)
    assert expected is Condition("level>=warn")(row)
    assert expected is Condition("level>=30")(row)
    assert expected is not Condition("level<WARNING")(row)


def test_names_of_others() -> None:
    """What another library calls a key is understood where the line has ours for it."""
    row = {"level": "ERROR", "message": "boom", "logger": "a", "timestamp": "t"}
    assert Condition("event=boom")(row)
    assert Condition("name=a")(row)
    assert Condition("msg=other")({**row, "msg": "other"})


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
        ("tool>1s", False),
        ("tool!=1s", True),
        ("none>1s", False),
        ("tags>1s", False),
        ("ok<1s", False),
    ],
)
def test_durations(text: str, *, expected: bool) -> None:
    """A unit in the condition is compared in time, whatever unit the line's key ends in."""
    assert expected is Condition(text)(ROW)


@pytest.mark.parametrize(
    ("sign", "value", "kinds"),
    [
        (">", "2", {"number", "digits"}),
        (">=", "2", {"number", "digits"}),
        ("<", "9", {"number", "digits"}),
        (">", "", {"text", "digits"}),
        (">=", "A", {"text"}),
        ("<", "x", {"text", "digits"}),
        (">", "true", {"text"}),
        ("<=", "null", {"digits"}),
        (">", "{", set()),
        ("<", "0.5s", set()),
    ],
)
def test_an_order_is_of_one_kind(sign: str, value: str, kinds: set[str]) -> None:
    """Number and number, or text and text; what is neither comes before and after nothing."""
    held: dict[str, Any] = {
        "number": 3,
        "digits": "4",
        "text": "user",
        "null": None,
        "true": True,
        "false": False,
        "list": [1],
        "empty": [],
        "object": {"a": 1},
    }
    condition = Condition(f"k{sign}{value}")
    assert kinds == {kind for kind, found in held.items() if condition({"k": found})}


@pytest.mark.parametrize("key", ["timestamp", "start_time", "end_time"])
@pytest.mark.parametrize(
    ("sign", "value", "expected"),
    [
        (">=", "2026-11-21T10:00:00Z", True),
        (">", "2026-11-21T10:00:00Z", True),
        ("<=", "2026-11-21T10:00:00Z", False),
        ("<=", "2026-11-21T10:00:01Z", True),
        (">=", "2026-11-21T12:00:00.00001+02:00", True),
        (">", "2026-11-21T12:00:00.5+02:00", False),
        ("<", "2026-11-21T05:00:01-0500", True),
        ("=", "2026-11-21 10:00:00.5", True),
        ("=", "2026-11-21T12:00:00,500+02", True),
        ("!=", "2026-11-21T10:00:00.500000000Z", False),
        ("!=", "2026-11-21T10:00:00", True),
        (">", "2026-11-21", True),
        ("<", "2026-11-22", True),
        ("<", "now", True),
        ("~", "^2026-11-21T1[02]", True),
        ("=", "never", False),
        ("!=", "never", True),
    ],
)
def test_times_are_moments(key: str, sign: str, value: str, *, expected: bool) -> None:
    """However both sides are spelt: with another offset, more digits or fewer, or none."""
    condition = Condition(f"{key}{sign}{value}")
    for spelt in ("2026-11-21T10:00:00.500000Z", "2026-11-21T12:00:00.5+02:00"):
        assert expected is condition({key: spelt})


@pytest.mark.parametrize("found", [None, True, 5, "soon", [], {}])
def test_what_is_no_time_is_never_before_or_after_one(found: object) -> None:
    """It only is not equal to one."""
    for sign in (">", ">=", "<", "<=", "="):
        assert not Condition(f"timestamp{sign}2026-11-21")({"timestamp": found})
    assert Condition("timestamp!=2026-11-21")({"timestamp": found})


def test_seconds_of_foreign_lines() -> None:
    """Where a time is a number, a number is what it is compared with."""
    assert Condition("timestamp>1700000000")({"timestamp": 1_800_000_000})


@pytest.mark.parametrize(
    "value", ["soon", "2026-11-31", "10:61", "9999-12-31T23:59:59-14:00", "1xs"]
)
@pytest.mark.parametrize("sign", [">", ">=", "<", "<="])
def test_no_time_to_compare_with_is_named(sign: str, value: str) -> None:
    """An order with what is no time is refused, with what is one."""
    with pytest.raises(ValueError, match="a time must be") as caught:
        Condition(f"timestamp{sign}{value}")
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        "1xs",
        "5sec",
        "10MB",
        "1S",
        "2 seconds",
        "1,5s",
        ".5s",
        "+1s",
        "1e3s",
        "1h30m",
        "1h 30min",
        "-3y",
    ],
)
@pytest.mark.parametrize("sign", [">", ">=", "<", "<="])
def test_no_duration_to_compare_with_is_named(sign: str, value: str) -> None:
    """What was meant as a duration and is none is refused, with what is one."""
    with pytest.raises(
        ValueError, match=r"a duration must be a number and one of ns, us, ms"
    ) as caught:
        Condition(f"duration{sign}{value}")
    assert repr(value) in str(caught.value)
    assert not Condition(f"duration={value}")({"duration": 1})


@pytest.mark.parametrize("value", ["1.2.3", "2026-11-21", "1.0rc1", "4bf92f3577b3", "x1s", "v2"])
def test_texts_with_digits_in_an_order(value: str) -> None:
    """Versions, days and IDs are texts like others."""
    assert Condition(f"k>={value}")({"k": value})


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
    with pytest.raises(ValueError, match="a condition must be a key, one of") as caught:
        Condition(text)
    assert repr(text) in str(caught.value)


def test_a_bad_pattern_and_an_unknown_level_are_named() -> None:
    """Both errors hold the condition."""
    with pytest.raises(ValueError, match=r"no regular expression in 'tool~\('"):
        Condition("tool~(")
    with pytest.raises(ValueError, match=r"levels in an order must be DEBUG, .* got 'LOUD'"):
        Condition("level>=LOUD")


def test_durations_without_bounds() -> None:
    """A duration of four hundred digits is longer than any, and breaks nothing."""
    row = {"duration": f"{'9' * 400}s"}
    assert Condition("duration>1s")(row)
    assert not Condition(f"duration<{'9' * 400}s")({"duration": f"{'9' * 400}s"})

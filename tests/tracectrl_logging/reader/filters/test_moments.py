"""Moments as people write them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from tracectrl._time import canonical, time_of
from tracectrl_logging.reader.filters.moments import moment

NOW = datetime(2026, 11, 21, 12, 30, 15, 250_000, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-3h", "2026-11-21T09:30:15.250000Z"),
        ("3h", "2026-11-21T09:30:15.250000Z"),
        ("3h ago", "2026-11-21T09:30:15.250000Z"),
        ("-1.5h", "2026-11-21T11:00:15.250000Z"),
        ("-250ms", "2026-11-21T12:30:15.000000Z"),
        ("-2d", "2026-11-19T12:30:15.250000Z"),
        ("1w", "2026-11-14T12:30:15.250000Z"),
        ("now", "2026-11-21T12:30:15.250000Z"),
        ("today", "2026-11-21T00:00:00.000000Z"),
        ("yesterday", "2026-11-20T00:00:00.000000Z"),
        ("2026-11-20", "2026-11-20T00:00:00.000000Z"),
        ("2026-11-20T10:05", "2026-11-20T10:05:00.000000Z"),
        ("2026-11-20 10:05:07", "2026-11-20T10:05:07.000000Z"),
        ("2026-11-20T10:05:07.123456Z", "2026-11-20T10:05:07.123456Z"),
        ("2026-11-20T10:05:07.5+02:00", "2026-11-20T08:05:07.500000Z"),
        ("2026-11-20T10:05-0130", "2026-11-20T11:35:00.000000Z"),
        ("10:05", "2026-11-21T10:05:00.000000Z"),
        ("9:05:30", "2026-11-21T09:05:30.000000Z"),
        (" 10:05 ", "2026-11-21T10:05:00.000000Z"),
    ],
)
def test_forms(text: str, expected: str) -> None:
    """Ages, dates and clocks, all in UTC to the microsecond."""
    assert expected == moment(text, now=NOW)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10:05", "2026-11-21T05:05:00.000000Z"),
        ("2026-11-20", "2026-11-19T19:00:00.000000Z"),
        ("today", "2026-11-20T19:00:00.000000Z"),
        ("2026-11-20T10:05Z", "2026-11-20T10:05:00.000000Z"),
        ("-3h", "2026-11-21T09:30:15.250000Z"),
    ],
)
def test_time_zone(text: str, expected: str) -> None:
    """A text that names no time zone is of the one that is asked for."""
    assert expected == moment(text, tz=timezone(timedelta(hours=5)), now=NOW)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "3",
        "-3y",
        "2026-13-01",
        "2026-11-31",
        "25:00",
        "24:00",
        "2026-11-21T24:00",
        "10:61",
        "2026-11-20T",
        "-" + "9" * 30 + "d",
    ],
)
def test_anything_else_is_an_error_that_names_it(text: str) -> None:
    """What is no time is named, with what is."""
    with pytest.raises(ValueError, match="a time must be like -3h, 2026-11-21") as caught:
        moment(text, now=NOW)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("9999-12-31T23:59:59-14:00", 0),
        ("0001-01-01T00:00:00+14:00", 0),
        ("9999-12-31T23:59:59", -1),
        ("0001-01-01", 1),
    ],
)
def test_a_time_that_utc_does_not_have_is_named(text: str, hours: int) -> None:
    """At the ends of the calendar an offset leads out of it."""
    with pytest.raises(ValueError, match="one of the years 1 to 9999 of UTC") as caught:
        moment(text, tz=timezone(timedelta(hours=hours)), now=NOW)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    "text", ["2026-11-20T10:05:00.1234567891234+02", "2026-11-20T08:05:00.123456Z"]
)
def test_what_lines_may_hold_is_a_time(text: str) -> None:
    """More digits than are kept, and an offset of whole hours, are read as in lines."""
    assert "2026-11-20T08:05:00.123456Z" == moment(text, now=NOW) == time_of(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1h30m", 5400),
        ("-1h30m", 5400),
        ("- 1h 30m ago", 5400),
        ("2 hours ago", 7200),
        ("1 day, 2 hours and 3 minutes ago", None),
        ("1 day, 2 hours, 3 minutes ago", 93_780),
        ("90 Seconds", 90),
        ("1.5 hrs ago", 5400),
        ("250ms", 0.25),
        ("2 weeks", 1_209_600),
        ("1m30", None),
        ("3 fortnights ago", None),
    ],
)
def test_how_long_ago(text: str, seconds: float | None) -> None:
    """Several parts count together; units are letters or words."""
    if seconds is None:
        with pytest.raises(ValueError, match="1h30m"):
            moment(text, now=NOW)
    else:
        assert canonical(NOW - timedelta(seconds=seconds)) == moment(text, now=NOW)


@pytest.mark.parametrize(
    "text",
    [
        "@1763633100",
        "@1763633100.0",
        "@1763633100000",
        "1763633100000000000",
        "2025-11-20 10:05:00.000000Z",
        "2025-11-20 10:05:00 UTC",
        "2025-11-20t10:05:00z",
        "2025-11-20 12:05:00+02:00",
        "2025-11-20T10:04:60Z",
        "Thu Nov 20 10:05:00 2025",
    ],
)
def test_what_commands_print_and_lines_hold(text: str) -> None:
    """Seconds since the epoch, what a command has printed, and other writers' forms are moments."""
    assert "2025-11-20T10:05:00.000000Z" == moment(text, now=NOW)


def test_early_seconds() -> None:
    """Behind an at sign a small number is one since the epoch, too."""
    assert "1970-01-01T00:01:30.500000Z" == moment("@90.5", now=NOW)


def test_datetimes() -> None:
    """A datetime is itself, in UTC where it names no time zone."""
    naive = datetime(2026, 11, 21, 10, 5)  # noqa: DTZ001 - as people write them
    aware = naive.replace(tzinfo=timezone(timedelta(hours=2)))
    assert "2026-11-21T10:05:00.000000Z" == moment(naive)
    assert "2026-11-21T08:05:00.000000Z" == moment(aware)


def test_without_a_present_the_clock_is_asked() -> None:
    """Ages count from the time of the call."""
    before = datetime.now(timezone.utc) - timedelta(hours=1)
    found = datetime.fromisoformat(moment("-1h").removesuffix("Z") + "+00:00")
    assert before <= found <= datetime.now(timezone.utc)

"""Times in the zone that is asked for, up to the ends of the calendar."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from tracectrl_logging.cli.render.time_format import TimeFormat

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    Command = Callable[..., Result]
    Write = Callable[..., Path]

TIMES = [
    ("0001-01-01T00:00:00.000000Z", "Asia/Tokyo", "0001-01-01 09:18:59.000", "0001-01-01 09:18:59 LMT"),
    ("0001-01-01T00:00:00.000000Z", "America/New_York", "0001-01-01 00:00:00.000Z", "0001-01-01 00:00:00 UTC"),
    ("9999-12-31T23:59:59.000000Z", "Asia/Tokyo", "9999-12-31 23:59:59.000Z", "9999-12-31 23:59:59 UTC"),
    ("0999-06-01T12:00:00.000000Z", "UTC", "0999-06-01 12:00:00.000", "0999-06-01 12:00:00 UTC"),
    ("2026-11-21T10:00:00.123456Z", "Asia/Tokyo", "2026-11-21 19:00:00.123", "2026-11-21 19:00:00 JST"),
    ("2026-99-21T10:00:00.123456Z", "Asia/Tokyo", "2026-99-21 10:00:00.123Z", "2026-99-21 10:00:00 UTC"),
    ("", "Asia/Tokyo", "-", " UTC"),
]  # fmt: skip


@pytest.mark.parametrize(("time", "zone", "expected", "second"), TIMES)
def test_ends_of_the_calendar(time: str, zone: str, expected: str, second: str) -> None:
    """A time that the zone does not have is that of UTC, and says so; years have four digits."""
    times = TimeFormat(ZoneInfo(zone))
    assert (expected, second) == (times.time(time), times.second(time))


def test_an_hour_that_comes_twice() -> None:
    """Where summer ends a time has its offset, since it says too little otherwise."""
    times = TimeFormat(ZoneInfo("Europe/Berlin"))
    for time, expected in (
        ("2026-10-24T23:59:59.999000Z", "2026-10-25 01:59:59.999"),
        ("2026-10-25T00:30:00.500000Z", "2026-10-25 02:30:00.500+02:00"),
        ("2026-10-25T01:30:00.500000Z", "2026-10-25 02:30:00.500+01:00"),
        ("2026-10-25T02:00:00.000000Z", "2026-10-25 03:00:00.000"),
        ("2026-03-29T01:00:00.000000Z", "2026-03-29 03:00:00.000"),
    ):
        assert expected == times.time(time)


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("show", "s", "--flat"), "2026-02-03 09:00:00.000~  INFO      a: none"),
        (("show", "s"), "    0.000~ INFO      a: none"),
        (("grep", "none"), "s  2026-02-03 09:00:00.000000Z~  INFO      a: none"),
    ],
)
@pytest.mark.parametrize("time", [b"", b'"timestamp":null,', b'"timestamp":"soon",'])
def test_borrowed(
    args: tuple[str, ...], expected: str, time: bytes, command: Command, write: Write
) -> None:
    """A line without a time of its own shows that it has that of the line before."""
    own = b'{"timestamp":"2026-02-03T09:00:00Z","level":"INFO","logger":"a","message":"one"}'
    write("s.logs.jsonl", own, b'{%b"level":"INFO","logger":"a","message":"none"}' % time)
    lines = command(*args).stdout.splitlines()
    assert 1 == sum("~" in line for line in lines)
    assert expected == lines[-1]


def test_without_a_zone() -> None:
    """Times are of UTC, without more words."""
    times = TimeFormat()
    assert "0001-01-01 00:00:00.000" == times.time("0001-01-01T00:00:00.000000Z")
    assert "0001-01-01 00:00:00 UTC" == times.second("0001-01-01T00:00:00.000000Z")


@pytest.mark.parametrize("is_terminal", [True, False])
@pytest.mark.parametrize(
    "args", [("show", "s", "--flat"), ("show", "s"), ("grep", ""), ("sessions",)]
)
@pytest.mark.parametrize(("time", "zone"), [item[:2] for item in TIMES[:3]])
def test_commands(
    args: tuple[str, ...],
    time: str,
    zone: str,
    *,
    is_terminal: bool,
    command: Command,
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each command spells such a time in the zone, or marks it as UTC's."""
    row = {"timestamp": time, "level": "INFO", "logger": "app", "message": "m"}
    write("s.logs.jsonl", json.dumps(row).encode())
    if is_terminal:
        monkeypatch.setattr(
            "click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False
        )
    text = command(*args, "--tz", zone, TERM="xterm", NO_COLOR="1", PAGER="cat").stdout
    day = time[:10]
    assert day in text
    local = f"{day} 09:18:59"
    marked = (f"{day} 00:00:00", f"{day} 23:59:59")
    places = [text[at + 19 :] for spelt in marked if (at := text.find(spelt)) >= 0]
    assert local in text or any("Z" in rest[:9] or " UTC" == rest[:4] for rest in places)

"""Time zones by every name that ``TZ`` may hold."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import TZPATH

import pytest

from tracectrl_logging.cli.zones import zone_named

SUMMER, WINTER = datetime(2026, 7, 1, 12), datetime(2026, 1, 1, 12)  # noqa: DTZ001 - of any zone


@pytest.mark.parametrize(
    ("name", "summer", "winter"),
    [
        ("UTC", "+00:00", "+00:00"),
        ("", "+00:00", "+00:00"),
        ("Europe/Berlin", "+02:00", "+01:00"),
        (":Europe/Berlin", "+02:00", "+01:00"),
        ("CET-1CEST,M3.5.0,M10.5.0/3", "+02:00", "+01:00"),
        ("EST5EDT", "-04:00", "-05:00"),
        ("FOO-1BAR", "+02:00", "+01:00"),
        ("<+03>-3", "+03:00", "+03:00"),
        ("<-03>3<-02>,M3.5.0/-2,M10.5.0/-1", "-02:00", "-03:00"),
        ("NZST-12NZDT,M9.5.0,M4.1.0/3", "+12:00", "+13:00"),
    ],
)
def test_names(name: str, summer: str, winter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A zone has the offsets of its rules, named by an option or by the environment."""
    monkeypatch.setenv("TZ", name)
    for zone in (zone_named("local"), *([zone_named(name)] if name else [])):
        offsets = [moment.replace(tzinfo=zone).isoformat()[-6:] for moment in (SUMMER, WINTER)]
        assert [summer, winter] == offsets


@pytest.mark.skipif(not TZPATH, reason="no zones on this machine")
def test_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """A zone may be the path of its file."""
    from pathlib import Path  # noqa: PLC0415 - where there are zones

    found = [Path(place, "Europe/Berlin") for place in TZPATH]
    path = next((path for path in found if path.exists()), None)
    if path is None:
        pytest.skip("no zones on this machine")
    for name in (str(path), f":{path}"):
        monkeypatch.setenv("TZ", name)
        assert "+02:00" == SUMMER.replace(tzinfo=zone_named("local")).isoformat()[-6:]


@pytest.mark.parametrize("name", ["X", "Europe/Nowhere", "/nowhere", "../x", "a\0b"])
def test_none(name: str) -> None:
    """What is no zone is an error of the kinds that callers expect."""
    with pytest.raises((LookupError, ValueError, OSError)):
        zone_named(name)

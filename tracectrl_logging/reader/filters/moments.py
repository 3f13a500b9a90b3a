"""Moments as people write them: ``-3h``, ``2026-11-21``, ``10:05``.

A moment is given back in the form of a line's time (RFC 3339, UTC, microseconds), so that the two
compare as texts.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo

from tracectrl._time import canonical

_AGO = re.compile(r"-?\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d|w)(?:\s+ago)?", re.ASCII)
_UNIT_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_FULL = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)"
    r"(?:[T ](?P<clock>\d\d:\d\d(?::\d\d)?)(?:[.,](?P<fraction>\d+))?)?"
    r"\s*(?P<offset>Z|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)
_CLOCK = re.compile(r"(?P<hour>\d?\d)(?P<rest>:\d\d(?::\d\d)?)(?:[.,](?P<fraction>\d+))?", re.ASCII)
_DAYS = {"today": 0, "yesterday": -1}


def moment(text: str | datetime, *, tz: tzinfo = timezone.utc, now: datetime | None = None) -> str:
    """Return the moment that *text* names, in UTC to the microsecond.

    Args:
        text: a time before now (``-3h``, ``90s``, ``2d``; units ``ms``, ``s``, ``m``, ``h``, ``d``,
            ``w``), ``now``, ``today``, ``yesterday``, a date (its first moment), a date and a time
            with or without an offset from UTC, or a time of today. A datetime is itself.
        tz: the time zone of a text or a datetime that names none.
        now: the present, for ``-3h`` and ``10:05``; ``None`` asks the clock.

    Raises:
        ValueError: *text* is none of these; the message says what is.
    """
    try:
        if isinstance(text, datetime):
            found: datetime | None = text if text.tzinfo is not None else text.replace(tzinfo=tz)
        else:
            found = _moment(text.strip(), tz, now or datetime.now(timezone.utc))
    except (ValueError, OverflowError):
        found = None
    if found is None:
        wanted = "like -3h, 2026-11-21, 2026-11-21T10:05, 10:05, today or now"
        msg = f"a time must be {wanted}, got {text!r}"
        raise ValueError(msg)
    try:
        return canonical(found)
    except OverflowError as error:
        msg = f"a time must be in one of the years 1 to 9999 of UTC, got {text!r}"
        raise ValueError(msg) from error


def _moment(text: str, tz: tzinfo, now: datetime) -> datetime | None:
    if text == "now":
        return now
    if (ago := _AGO.fullmatch(text)) is not None:
        return now - timedelta(seconds=float(ago[1]) * _UNIT_S[ago[2]])
    today = now.astimezone(tz).date()
    if text in _DAYS:
        day = today + timedelta(days=_DAYS[text])
        return datetime(day.year, day.month, day.day, tzinfo=tz)
    if (match := _CLOCK.fullmatch(text)) is not None:
        return _at(str(today), f"{match['hour']:0>2}{match['rest']}", match["fraction"], tz)
    if (match := _FULL.fullmatch(text)) is not None:
        zone = tz if match["offset"] is None else _zone(match["offset"])
        return _at(match["date"], match["clock"] or "00:00", match["fraction"], zone)
    return None


def _at(date: str, clock: str, fraction: str | None, zone: tzinfo) -> datetime:
    moment = datetime.fromisoformat(f"{date}T{clock}")
    return moment.replace(microsecond=int((fraction or "")[:6].ljust(6, "0")), tzinfo=zone)


def _zone(offset: str) -> tzinfo:
    if offset == "Z":
        return timezone.utc
    minutes = int(offset[1:3]) * 60 + int(offset[3:].lstrip(":") or 0)
    return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))

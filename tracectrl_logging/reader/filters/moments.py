"""Moments as people write them: ``-3h``, ``2026-11-21``, ``10:05``.

A moment is given back in the form of a line's time (RFC 3339, UTC, microseconds), so that the two
compare as texts.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo

from tracectrl._time import canonical, time_of

_UNIT_S = {
    **dict.fromkeys(("ms", "msec", "millisecond"), 0.001),
    **dict.fromkeys(("s", "sec", "second"), 1),
    **dict.fromkeys(("m", "min", "minute"), 60),
    **dict.fromkeys(("h", "hr", "hour"), 3600),
    **dict.fromkeys(("d", "day"), 86_400),
    **dict.fromkeys(("w", "wk", "week"), 604_800),
}
_PART = re.compile(
    rf"([0-9]+(?:\.[0-9]+)?)\s*({'|'.join(sorted(_UNIT_S, key=len, reverse=True))})s?(?![a-z])",
    re.ASCII,
)
_AGO = re.compile(rf"-?\s*((?:{_PART.pattern}[\s,]*)+)(?:ago)?", re.ASCII | re.IGNORECASE)
_EPOCH = re.compile(r"@(\d{1,19})(\.\d+)?", re.ASCII)
_FULL = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)"
    r"(?:[Tt ](?P<clock>\d\d:\d\d(?::\d\d)?)(?:[.,](?P<fraction>\d+))?)?"
    r"\s*(?P<offset>[Zz]|UTC|GMT|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)
_CLOCK = re.compile(r"(?P<hour>\d?\d)(?P<rest>:\d\d(?::\d\d)?)(?:[.,](?P<fraction>\d+))?", re.ASCII)
_LEAP_SECOND = 60
_DIGITS_OF_LINES = 9  # with fewer, a number on a line is no time
_DAYS = {"today": 0, "yesterday": -1}


def moment(text: str | datetime, *, tz: tzinfo = timezone.utc, now: datetime | None = None) -> str:
    """Return the moment that *text* names, in UTC to the microsecond.

    Args:
        text: a time before now (``-3h``, ``1h30m``, ``2 hours ago``; the units are milliseconds to
            weeks, as words or ``ms``, ``s``, ``m``, ``h``, ``d``, ``w``), ``now``, ``today``,
            ``yesterday``, a date (its first moment), a date and a time with or without an offset
            from UTC, a time of today, seconds since the epoch behind ``@``, or any form of a time
            that lines have. A datetime is itself.
        tz: the time zone of a text or a datetime that names none.
        now: the present, for ``-3h`` and ``10:05``; ``None`` asks the clock.

    Raises:
        ValueError: *text* is none of these; the message says what is.
    """
    try:
        if isinstance(text, datetime):
            found: datetime | None = text if text.tzinfo is not None else text.replace(tzinfo=tz)
        else:
            now = now or datetime.now(timezone.utc)
            found = now if text.strip() == "now" else _moment(text.strip(), tz, now)
    except (ValueError, OverflowError):
        found = None
    if found is None:
        wanted = "like -3h, 2026-11-21, 2026-11-21T10:05, 10:05, 1h30m, @1763719500, today or now"
        msg = f"a time must be {wanted}, got {text!r}"
        raise ValueError(msg)
    try:
        return canonical(found)
    except OverflowError as error:
        msg = f"a time must be in one of the years 1 to 9999 of UTC, got {text!r}"
        raise ValueError(msg) from error


def _moment(text: str, tz: tzinfo, now: datetime) -> datetime | None:
    if (ago := _AGO.fullmatch(text)) is not None:
        parts = _PART.findall(ago[1].lower())
        return now - timedelta(seconds=sum(float(count) * _UNIT_S[unit] for count, unit in parts))
    if (epoch := _EPOCH.fullmatch(text)) is not None:
        text = text[1:]
        if len(epoch[1]) < _DIGITS_OF_LINES:
            return datetime.fromtimestamp(float(text), timezone.utc)
    today = now.astimezone(tz).date()
    if text in _DAYS:
        day = today + timedelta(days=_DAYS[text])
        return datetime(day.year, day.month, day.day, tzinfo=tz)
    if (match := _CLOCK.fullmatch(text)) is not None:
        return _at(str(today), f"{match['hour']:0>2}{match['rest']}", match["fraction"], tz)
    if (match := _FULL.fullmatch(text)) is not None:
        zone = tz if match["offset"] is None else _zone(match["offset"])
        return _at(match["date"], match["clock"] or "00:00", match["fraction"], zone)
    found = time_of(text)
    return None if found is None else datetime.fromisoformat(f"{found[:-1]}+00:00")


def _at(date: str, clock: str, fraction: str | None, zone: tzinfo) -> datetime:
    seconds = int(clock[6:] or 0)
    if seconds > _LEAP_SECOND or clock >= "24":
        raise ValueError
    moment = datetime.fromisoformat(f"{date}T{clock[:5]}") + timedelta(seconds=seconds)
    return moment.replace(microsecond=int((fraction or "")[:6].ljust(6, "0")), tzinfo=zone)


def _zone(offset: str) -> tzinfo:
    if offset[0] not in "+-":
        return timezone.utc
    minutes = int(offset[1:3]) * 60 + int(offset[3:].lstrip(":") or 0)
    return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))

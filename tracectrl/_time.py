"""Every form of a time that lines have, to one: RFC 3339 in UTC to the microsecond, and back to ns.

Texts of that one form compare as the moments do.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Final

# A time of our own lines, where it is a day of the calendar for sure: a 29th of February is looked at closer.
_PLAIN = re.compile(
    r"(?!0000)\d{4}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])"
    r"|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
    r"T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{6}Z",
    re.ASCII,
)

# RFC 3339 in full, ISO 8601 without seconds, Python's asctime, "UTC" and "GMT" behind a space.
_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(?::(\d\d)(?:[.,](\d+))?)?"
    r"\s*([Zz]|UTC|GMT|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)
_CTIME = re.compile(r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}", re.ASCII)
_EPOCH = re.compile(r"\d{9,19}(?:\.\d+)?", re.ASCII)
_NS: Final = 1_000_000_000
_LEAP_SECOND: Final = 60
# From how many on a number since the epoch counts in a smaller unit: the year 5138 in seconds.
_UNITS: Final = ((10**17, 1), (10**14, 1000), (10**11, 1_000_000))
_LEAST: Final = 10**8  # a smaller number is something else than a time since 1973


def time_of(value: object) -> str | None:
    """Return the time *value* in the form of a log line's ``timestamp``, ``None`` for no time.

    Other writers' forms are understood: RFC 3339 in full, no offset from UTC for UTC, Python's
    ``asctime``, and seconds, milli-, micro- or nanoseconds since the epoch, which their size tells.
    """
    if type(value) is str:
        if _PLAIN.fullmatch(value):
            return value
        return _of_text(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _of_number(value)
    return None


def ns_of(time: object) -> int | None:
    """Return a time as :func:`time_of` reads it in nanoseconds since the epoch; all its digits count."""
    if isinstance(time, str) and time.isdecimal() and _EPOCH.fullmatch(time):
        time = int(time)
    if isinstance(time, int) and not isinstance(time, bool):
        return time * _unit_ns(time) if _LEAST <= time < 10**19 else None
    canonical = time_of(time)
    if canonical is None:
        return None
    from datetime import datetime, timedelta, timezone  # noqa: PLC0415 - not for each command

    try:
        moment = datetime.fromisoformat(f"{canonical[:-1]}+00:00")
    except ValueError:  # no day of the calendar
        return None
    since = moment - datetime(1970, 1, 1, tzinfo=timezone.utc)
    ns = since // timedelta(microseconds=1) * 1000
    if isinstance(time, str) and (match := _ISO.fullmatch(time.strip())) and match[4]:
        ns += int(f"{match[4]:0<9}"[6:9])
    return ns


def canonical(moment: datetime) -> str:
    """Return *moment*, which knows its time zone, in the form of a line's time.

    Raises:
        OverflowError: it is in no year of UTC from 1 to 9999.
    """
    from datetime import timezone  # noqa: PLC0415 - as above

    text = moment.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec="microseconds")
    return f"{text}Z"


def _of_text(text: str) -> str | None:
    text = text.strip()
    match = _ISO.fullmatch(text)
    if match is None:
        if _EPOCH.fullmatch(text):
            return _of_number(float(text) if "." in text else int(text))
        return _of_ctime(text) if _CTIME.fullmatch(text) else None
    from datetime import datetime, timedelta, timezone  # noqa: PLC0415 - for foreign lines only

    date, clock, second, fraction, offset = match.groups()
    if clock >= "24":  # which is a time of the next day for some Pythons, and for others none
        return None
    try:
        moment = datetime.fromisoformat(f"{date}T{clock}:00+00:00")
        seconds = int(second or 0)
        if seconds > _LEAP_SECOND:
            return None
        moment += timedelta(seconds=seconds)  # the 60th is the next minute's first, as in POSIX
        if offset is not None and offset[0] in "+-":
            minutes = int(offset[1:3]) * 60 + int(offset[3:].lstrip(":") or 0)
            moment -= timedelta(minutes=-minutes if offset[0] == "-" else minutes)
    except (ValueError, OverflowError):
        return None
    moment = moment.astimezone(timezone.utc)
    return f"{moment.replace(tzinfo=None).isoformat()}.{(fraction or '')[:6]:0<6}Z"


def _of_ctime(text: str) -> str | None:
    from datetime import datetime, timezone  # noqa: PLC0415 - as above

    try:
        return canonical(
            datetime.strptime(text, "%a %b %d %H:%M:%S %Y").replace(tzinfo=timezone.utc)
        )
    except ValueError:
        return None


def _of_number(number: float) -> str | None:
    if not _LEAST <= number < 10**19:
        return None
    from datetime import datetime, timedelta, timezone  # noqa: PLC0415 - as above

    unit = _unit_ns(number)
    us = number * unit // 1000 if isinstance(number, int) else round(number * unit / 1000)
    try:
        return canonical(datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=us))
    except OverflowError:
        return None


def _unit_ns(number: float) -> int:
    """Return the unit that so many since the epoch are counted in, in nanoseconds."""
    return next((unit for least, unit in _UNITS if number >= least), _NS)

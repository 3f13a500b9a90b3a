"""Times for people, in the zone that they ask for."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from tracectrl._time import time_of
from tracectrl.schema import TIME_KEY

if TYPE_CHECKING:
    from datetime import datetime, tzinfo
    from typing import Any, Final

    from tracectrl_logging.reader.model import Line

WIDTH: Final = len("2025-01-01 00:00:00.000")
"""The columns of a time to the millisecond."""

BORROWED: Final = "~"
"""What stands behind the time of a line that has none itself: it is that of the line before."""

_SECOND: Final = len("2025-01-01T00:00:00")


def mark_of(line: Line, row: dict[str, Any]) -> str:
    """Return what stands behind the time of *line*, which says *row*: mostly nothing."""
    own = row.get(TIME_KEY[line.kind])
    return BORROWED if line.time and own != line.time and time_of(own) is None else ""


class TimeFormat:
    """Spells the times of lines; *tz* is the zone, ``None`` for UTC."""

    def __init__(self, tz: tzinfo | None = None) -> None:
        self._tz = tz
        self._second = lru_cache(maxsize=1024)(self._spelt)

    def of(self, line: Line, row: dict[str, Any], *, exact: bool = False) -> str:
        """Return the time of *line*, which says *row*, with :data:`BORROWED` behind one of another's.

        It is :meth:`exact`, or to the millisecond.
        """
        return (self.exact if exact else self.time)(line.time) + mark_of(line, row)

    def time(self, time: str) -> str:
        """Return the *time* of a line to the millisecond, ``-`` for none.

        A time that the zone does not have, at an end of the calendar, is that of UTC, with its ``Z``;
        one that it has twice, where summer ends, has its offset.
        """
        if not time:
            return "-"
        second, mark = self._second(time[:_SECOND])
        return f"{second}{time[_SECOND:WIDTH]}{mark}"

    def to_the_second(self, time: str) -> str:
        """Return the *time* of a line to the second, ``-`` for none; like :meth:`time`."""
        return "".join(self._second(time[:_SECOND])) if time else "-"

    def second(self, time: str) -> str:
        """Return the *time* of a line to the second, with the zone's name."""
        moment = self._moment(time[:_SECOND])
        zone = None if moment is None else moment.tzname()
        return f"{self._second(time[:_SECOND])[0]} {zone or 'UTC'}"

    def exact(self, time: str) -> str:
        """Return the *time* of a line to the microsecond, with its offset, for another program."""
        if not time:
            return "-"
        moment = None if self._tz is None else self._moment(time[:-1])
        return time.replace("T", " ") if moment is None else moment.isoformat(" ", "microseconds")

    def _spelt(self, second: str) -> tuple[str, str]:
        """Return how *second* is spelt, and what is put after it where that alone says too little."""
        moment = None if self._tz is None else self._moment(second)
        if moment is None:
            return second.replace("T", " "), "" if self._tz is None else "Z"
        text = moment.isoformat(" ", "seconds")
        other = moment.replace(fold=1 - moment.fold)
        mark = "" if moment.utcoffset() == other.utcoffset() else text[_SECOND:]
        return text[:_SECOND], mark

    def _moment(self, second: str) -> datetime | None:
        from datetime import datetime, timezone  # noqa: PLC0415 - where a zone is given

        try:
            utc = datetime.fromisoformat(second).replace(tzinfo=timezone.utc)
            return utc if self._tz is None else utc.astimezone(self._tz)
        except (ValueError, OverflowError):  # no day of the calendar, or one at its end
            return None

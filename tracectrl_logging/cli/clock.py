"""Times for people, in the zone that they ask for."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime, tzinfo
    from typing import Final

WIDTH: Final = len("2025-01-01 00:00:00.000")
"""The columns of a time to the millisecond."""

_SECOND: Final = len("2025-01-01T00:00:00")


class Clock:
    """Spells the times of lines; *tz* is the zone, ``None`` for UTC."""

    def __init__(self, tz: tzinfo | None = None) -> None:
        self._tz = tz
        self._second = lru_cache(maxsize=1024)(self._spelt)

    def time(self, time: str) -> str:
        """Return the *time* of a line to the millisecond, ``-`` for none."""
        if not time:
            return "-"
        return f"{self._second(time[:_SECOND])}{time[_SECOND:WIDTH]}"

    def second(self, time: str) -> str:
        """Return the *time* of a line to the second, with the zone's name."""
        moment = self._moment(time[:_SECOND])
        zone = None if moment is None else moment.tzname()
        return f"{self._second(time[:_SECOND])} {zone or 'UTC'}"

    def _spelt(self, second: str) -> str:
        moment = None if self._tz is None else self._moment(second)
        return second.replace("T", " ") if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"

    def _moment(self, second: str) -> datetime | None:
        from datetime import datetime, timezone  # noqa: PLC0415 - where a zone is given

        try:
            utc = datetime.fromisoformat(second).replace(tzinfo=timezone.utc)
            return utc if self._tz is None else utc.astimezone(self._tz)
        except (ValueError, OverflowError):  # no day of the calendar, or one at its end
            return None

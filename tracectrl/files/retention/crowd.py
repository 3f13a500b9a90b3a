"""In which order sessions go where there are more than so many: those of a crowd first.

Whoever may open sessions can open as many as they like, all of them newer than those that are there.
By age alone the made-up ones would stay, and throw out all others. They come in crowds; so no hour
takes more than a share of the number that is to be kept, while other hours have fewer.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from tracectrl.files.listing import StoredSession

PART: Final = 10
"""An hour's share is one in so many of those that are to be kept..."""

LEAST_SHARE: Final = 10
"""...but no less than this: so few are no crowd."""

_HOUR_S: Final = 3600
_MINUTE_S: Final = 60


class Order(NamedTuple):
    """What :func:`order` returns."""

    sessions: list[StoredSession]
    """Those that may go, in the order in which they do."""
    spared: int
    """How many neither go nor count, because they are of a crowd within the last hour."""


def order(sessions: Iterable[StoredSession], keep: int, now_ns: int) -> Order:
    """Return in which order *sessions* go until *keep* of them are left.

    An hour that has more than its share is a crowd. Its sessions go first, of the fullest hour first
    and in that of the fullest minute, until it has no more than its share or than any other; then the
    oldest go. A crowd of the last hour stays, for nothing tells yet who is of it, and no more of it
    than the share counts. Where none are to be kept, all go.
    """
    share = max(LEAST_SHARE, keep // PART)
    hours: dict[int, list[StoredSession]] = defaultdict(list)
    minutes: Counter[int] = Counter()
    for session in sorted(sessions, key=attrgetter("last_write_ns")):
        age_s = max(0.0, session.age_s(now_ns))
        hours[int(age_s // _HOUR_S)].append(session)
        minutes[int(age_s // _MINUTE_S)] += 1

    def fullest_minute_last(session: StoredSession) -> tuple[int, int]:
        minute = int(max(0.0, session.age_s(now_ns)) // _MINUTE_S)
        return minutes[minute], -session.last_write_ns

    spared = 0
    if keep and len(hours[0]) > share:
        spared = len(hours.pop(0)) - share
    going: list[StoredSession] = []
    crowds = [(-len(found), hour) for hour, found in hours.items() if len(found) > share]
    heapq.heapify(crowds)
    for _, hour in crowds:
        hours[hour].sort(key=fullest_minute_last)
    while crowds:
        _, hour = crowds[0]
        found = hours[hour]
        going.append(found.pop())
        if len(found) > share:
            heapq.heapreplace(crowds, (-len(found), hour))
        else:
            heapq.heappop(crowds)
    rest = [session for found in hours.values() for session in found]
    return Order(going + sorted(rest, key=attrgetter("last_write_ns")), spared)

"""The list of sessions, read once for all that ask for the same, and its changes as events."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio

from tracectrl_logging.viewer import questions
from tracectrl_logging.viewer.streams import event

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from typing import Final

    from starlette.datastructures import QueryParams

    from tracectrl_logging.reader.filters.sessions import SessionQuery
    from tracectrl_logging.reader.model import Damage, SessionSummary
    from tracectrl_logging.viewer.streams import EventStream, Pauses, Streams

SESSIONS: Final = 200
"""How many sessions are given where nobody says."""

_LEAST_PAUSE_S: Final = 0.5
_PAUSE_PER_COST: Final = 5
_LONG_S: Final = 0.5  # of a list that takes longer to read, what was found last is shown meanwhile
_KEPT_S: Final = 60
_MOST: Final = 32


class Found(NamedTuple):
    """The list as it was at one moment."""

    summaries: list[SessionSummary]
    problems: list[Damage]
    cost_s: float = 0.0
    at: float = 0.0
    is_first_look: bool = False
    """Whether it is what could be found at once."""


class _List:
    """One question, and a store that reads only what has changed when it is asked again."""

    def __init__(self, query: SessionQuery, streams: Streams) -> None:
        self.lock = anyio.Lock()
        self.found: Found | None = None
        self._query = query
        self._problems: list[Damage] = []
        self._store = streams.opened(self._problems.append)

    def read(self, *, at_once: bool = False) -> Found:
        """Read it; *at_once* as :meth:`Store.sessions` says."""
        started = time.monotonic()
        self._problems.clear()
        summaries = list(self._store.sessions(self._query, at_once=at_once))
        now = time.monotonic()
        self.found = Found(summaries, list(self._problems), now - started, now, at_once)
        return self.found

    def fresh(self) -> Found | None:
        """Return what was found, where reading it anew would cost more than it tells."""
        found = self.found
        is_old = found is None or time.monotonic() - found.at > pause_s(found) / 2
        return None if found is None or is_old or found.is_first_look else found


class Lists:
    """The lists that are asked for, each with a question of its own."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._lists: dict[str, _List] = {}

    async def read(self, params: QueryParams, *, at_once: bool = False) -> Found:
        """Return the sessions that are meant; *at_once* what is known of them by now, or soon.

        Raises:
            UnclearError: a parameter cannot be understood.
        """
        key = str(sorted(params.multi_items()))
        one = self._lists.pop(key, None)
        if one is None:
            one = _List(questions.session_query(params, SESSIONS), self._streams)
            self._let_go()
        self._lists[key] = one  # the last that was asked for
        known = one.found
        if at_once and known is not None and known.cost_s > _LONG_S:
            return known
        async with one.lock:
            found = one.fresh()
            if found is None:
                is_first = at_once and one.found is None
                found = await self._streams.run(partial(one.read, at_once=is_first))
            return found

    def stream(self, params: QueryParams, encode: Callable[[SessionSummary], Any]) -> EventStream:
        """Return the list as the event ``list``, and each session that is new or changed as ``session``.

        Each stream begins with the list as it is, so that whoever comes back misses nothing, or where
        that takes long with what can be found at once. Where sessions have left it there is a list again.

        Raises:
            UnclearError: a parameter cannot be understood.
        """
        questions.session_query(params, SESSIONS)

        async def events(pauses: Pauses) -> AsyncGenerator[bytes, None]:
            known: dict[str, SessionSummary] | None = None
            while True:
                found = await self.read(params, at_once=known is None)
                new = {summary.session_id: summary for summary in found.summaries}
                is_whole = known is None or not known.keys() <= new.keys()
                old = known or {}
                changed = [it for it in found.summaries if old.get(it.session_id) != it]
                if is_whole:
                    yield event("list", {"rows": list(map(encode, found.summaries))})
                else:
                    for summary in reversed(
                        changed
                    ):  # the latest last, so that it comes to stand first
                        yield event("session", encode(summary))
                yield pauses.comment(spoken=is_whole or bool(changed))
                is_first, known = known is None, new
                if not is_first and not await pauses.wait(pause_s(found)):
                    return

        return self._streams.stream(events)

    def _let_go(self) -> None:
        """Let go of lists that nobody has asked for lately, and of the oldest where there are many."""
        now = time.monotonic()
        old = [key for key, it in self._lists.items() if it.found and now - it.found.at > _KEPT_S]
        for key in [*old, *list(self._lists)[: len(self._lists) - len(old) - _MOST + 1]]:
            self._lists.pop(key, None)


def pause_s(found: Found) -> float:
    """Return how many seconds to wait before the list is read again: longer where that costs much."""
    return max(_LEAST_PAUSE_S, found.cost_s * _PAUSE_PER_COST)

"""The state of a session while its lines are sent: whether it is running, has ended or has crashed."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from tracectrl_logging.reader.model import UnknownSessionError
from tracectrl_logging.reader.timeline.tally import Standing

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from tracectrl_logging.reader.model import Line, State
    from tracectrl_logging.reader.store import Store

_EVERY_S: Final = 1.0
"""How long a process may be gone before anybody asks."""


class States:
    """Tells the state of the session *sid* of *store*, once and then whenever it is another one."""

    def __init__(self, store: Store, sid: str) -> None:
        self._store = store
        self._sid = sid
        self._standing = Standing()
        self._told: State | None = None
        self._asked_at = float("-inf")

    def see(self, lines: Iterable[Line]) -> None:
        """Take note of lines of the session: all of them must come here once."""
        for line in lines:
            self._standing.note(line.kind, line.row)

    def see_all(self) -> None:
        """Take note of all lines that are there; those that come here again change nothing."""
        with contextlib.suppress(UnknownSessionError):
            self.see(self._store.read(self._sid))

    def changed(self) -> State | None:
        """Return the state; ``None`` where it was told before, or asked for a moment ago."""
        now = time.monotonic()
        if now - self._asked_at < _EVERY_S:
            return None
        self._asked_at = now
        state: State = "ended"
        with contextlib.suppress(UnknownSessionError):
            is_running = self._store.is_running(self._sid, self._standing.owners)
            state = self._standing.state(is_running=is_running)
        if state == self._told:
            return None
        self._told = state
        return state

"""Which sessions of a directory the store has acknowledged, line for line: what ``prune --shipped`` may remove."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from tracectrl_logging.reader import open_store
from tracectrl_logging.reader.model import unheard
from tracectrl_logging.shipping.state import checkpoint_at

if TYPE_CHECKING:
    from typing import Final

_QUIET_S: Final = 10.0
_POLL_S: Final = 0.05
_SLACK_NS: Final = 1_000_000_000
"""How much earlier than it was a file's time of modification may be."""


class Acknowledged(NamedTuple):
    """What was in the store, at one moment."""

    unsent: frozenset[str]
    """The sessions with a line that was not."""
    before_ns: int
    """The moment: of a session that has been written to since, nobody knows."""

    def is_whole(self, sid: str | None, last_write_ns: int) -> bool:
        """Tell whether all lines of *sid* are there; ``None`` is the file with the lines of many sessions."""
        is_sent = not self.unsent if sid is None else sid not in self.unsent
        return is_sent and last_write_ns < self.before_ns - _SLACK_NS


def acknowledged(directory: str, path: str, whose: tuple[str, ...]) -> Acknowledged:
    """Return what the store has of *directory*, by the state of ``ship`` at *path*, which is *whose* it says.

    Lines that were not sent are read.

    Raises:
        ValueError: there is no such state, or of another directory, or nothing was sent.
        InvalidCursorError: files have gone that were not sent.
        OSError: the state or the directory cannot be read.
    """
    checkpoint = checkpoint_at(path, whose)
    if not checkpoint.number:
        msg = f"nothing of {directory!r} was sent, by the state {path!r}; --state FILE, or --to URL, names another"
        raise ValueError(msg)
    before_ns = time.time_ns()
    unsent: set[str] = set()
    with open_store(directory, on_damage=unheard).tail(after=checkpoint.cursor) as tail:
        while True:
            found = tail.poll()
            unsent.update(line.session_id for line in found)
            pause_s = tail.pause_s(_QUIET_S)
            if not found and pause_s >= _QUIET_S:
                return Acknowledged(frozenset(unsent), before_ns)
            time.sleep(min(pause_s, _POLL_S))

"""What stands between a writer and the disk's troubles: losses are counted, reported, made up for.

A line that cannot be written never raises into the application. The first failure of a minute goes
to the owner's report, every one is counted, and the first line that can be written again is
followed by one that says how many are missing.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING, Any

from tracectrl._json import encode_line, timestamp_ns

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracectrl.files.appender import Appender

LOSS_LOGGER = "tracectrl"
"""The logger that lines about losses name."""

_REPORT_EVERY_S = 60.0


class Sink:
    """Appends lines and keeps count of those that could not be.

    Args:
        appender: where the lines go.
        report: called in the ``except`` block of a failure, once a minute at most, with what
            :meth:`append` was given as its *context*.
        say: called with the session ID and the number of lost lines after the first line that can
            be written again; ``None`` appends a log line that says so to the session's file.
    """

    def __init__(
        self,
        appender: Appender,
        report: Callable[[Any], None],
        say: Callable[[str, int], None] | None = None,
    ) -> None:
        self._appender = appender
        self._report = report
        self._say = self._append_loss if say is None else say
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._unsaid = 0
        self._quiet_until = float("-inf")
        self.lost = 0

    def append(self, sid: str, line: bytes, context: Any = None) -> bool:
        """Append *line* to the file of the session *sid*; return whether it is there."""
        try:
            self._appender.append(sid, line)
        except OSError:
            self.lose(1)
            now = time.monotonic()
            if now >= self._quiet_until:
                self._quiet_until = now + _REPORT_EVERY_S
                with contextlib.suppress(Exception):  # a handleError of the user's may raise
                    self._report(context)
            return False
        if self._unsaid:
            self._make_up(sid)
        return True

    def lose(self, count: int) -> None:
        """Count *count* lines as lost."""
        with self._own_lock():
            self.lost += count
            self._unsaid += count

    def flush(self) -> None:
        """Do nothing: what :meth:`append` was given is in the file already."""

    def close(self) -> None:
        """Close the files; a later line opens its file again."""
        self._appender.close()

    def _make_up(self, sid: str) -> None:
        with self._own_lock():
            lost, self._unsaid = self._unsaid, 0
        if lost:
            self._say(sid, lost)

    def _append_loss(self, sid: str, lost: int) -> None:
        row = {
            "timestamp": timestamp_ns(time.time_ns()),
            "level": "ERROR",
            "logger": LOSS_LOGGER,
            "message": f"{lost} lines could not be written",
            "session_id": sid,
            "lost": lost,
        }
        try:
            self._appender.append(sid, encode_line(row))
        except OSError:
            with self._own_lock():
                self._unsaid += lost

    def _own_lock(self) -> threading.RLock:
        if self._pid != os.getpid():
            # A forked child: a thread that is not here may hold the lock, and the losses so far
            # are for the parent to tell.
            self._lock = threading.RLock()
            self.lost = self._unsaid = 0
            self._pid = os.getpid()  # last: who sees it sees the rest
        return self._lock

"""What stands between a writer and the disk's troubles: losses are counted, reported, made up for.

A line that cannot be written never raises into the application. The first failure of a minute goes
to the owner's report, every one is counted, and the first line that can be written again is
followed by one that says how many are missing; so does closing, where no line has come since.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING, Any

from tracectrl._json import encode_line, timestamp_ns
from tracectrl.session import UNKNOWN

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
        losses: where the log lines go that say how many are missing, if not among the others; its
            files are not kept open.
        unit: what those lines call a line.
    """

    def __init__(
        self,
        appender: Appender,
        report: Callable[[Any], None],
        *,
        losses: Appender | None = None,
        unit: str = "lines",
    ) -> None:
        self._appender = appender
        self._report = report
        self._losses = appender if losses is None else losses
        self._unit = unit
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._unsaid = 0
        self._sid = UNKNOWN  # whose line was the last that is missing
        self._quiet_until = float("-inf")
        self.lost = 0

    def append(self, sid: str, line: bytes, context: Any = None) -> bool:
        """Append *line* to the file of the session *sid*; return whether it is there."""
        try:
            self._appender.append(sid, line)
        except Exception:  # noqa: BLE001 - whatever it was, the line is not there
            self.lose(1, sid)
            if self._may_report():
                with contextlib.suppress(Exception):  # a handleError of the user's may raise
                    self._report(context)
            return False
        if self._unsaid:
            self._make_up(sid)
        return True

    def lose(self, count: int, sid: str = UNKNOWN) -> None:
        """Count *count* lines as lost, of the session *sid* among others."""
        with self._own_lock():
            self.lost += count
            self._unsaid += count
            self._sid = sid

    def flush(self) -> None:
        """Say what is missing, if that is unsaid; what was appended is in the files already."""
        if self._unsaid:
            self._make_up(self._sid)

    def close(self) -> None:
        """Close the files; a later line opens its file again."""
        self.flush()
        self._appender.close()

    def _may_report(self) -> bool:
        now = time.monotonic()
        with self._own_lock():
            if now < self._quiet_until:
                return False
            self._quiet_until = now + _REPORT_EVERY_S
        return True

    def _make_up(self, sid: str) -> None:
        with self._own_lock():
            lost, self._unsaid = self._unsaid, 0
        if not lost:
            return
        row = {
            "timestamp": timestamp_ns(time.time_ns()),
            "level": "ERROR",
            "logger": LOSS_LOGGER,
            "message": f"{lost} {self._unit} could not be written",
            "session_id": sid,
            "lost": lost,
        }
        try:
            self._losses.append(sid, encode_line(row))
        except Exception:  # noqa: BLE001 - to be said later, then
            with self._own_lock():
                self._unsaid += lost
        if self._losses is not self._appender:
            self._losses.close()

    def _own_lock(self) -> threading.RLock:
        if self._pid != os.getpid():
            # A forked child: a thread that is not here may hold the lock, and the losses so far
            # are for the parent to tell.
            self._lock = threading.RLock()
            self.lost = self._unsaid = 0
            self._pid = os.getpid()  # last: who sees it sees the rest
        return self._lock

"""What stands between a writer and the disk's troubles: losses are counted, reported, made up for.

A line that cannot be written never raises into the application. The first failure of a minute goes
to the owner's report, every one is counted, and the first line that can be written again is
followed by one that says how many are missing. Flushing and closing say it, too, where no line came
since.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Final

from tracectrl._json import encode_line, timestamp_ns
from tracectrl.files.write.reentrant import ReentrantLock
from tracectrl.files.write.within import is_within, threads_within, under
from tracectrl.schema import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracectrl.files.write.appender import Appender

LOSS_LOGGER = "tracectrl"
"""The logger that lines about losses name."""

ONE: Final = (None,)
"""What is added to :attr:`Sink.missed` for a line."""

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
        self._lock = ReentrantLock()
        self._pid = os.getpid()
        self._unsaid = 0
        self._lost_of: str | None = None
        self._quiet_until = float("-inf")
        self._lost = 0
        self.missed: Final[list[None]] = []
        """One item for each line that was lost where no stack was left to call :meth:`lose`.

        ``missed += ONE`` calls nothing, and so is possible at the recursion limit, too.
        """

    def append(self, sid: str, line: bytes, context: Any = None) -> bool:
        """Append *line* to the file of the session *sid*; return whether it is there."""
        try:
            self._appender.append(sid, line)
        except Exception:  # noqa: BLE001 - a line that is not there is lost, whatever the reason
            self.fail(sid, context)
            return False
        if self._unsaid or self.missed:
            try:  # noqa: SIM105 - suppress() is a call, and there may be no stack left for it
                self._make_up(sid)
            except Exception:  # noqa: BLE001, S110 - it is said later, then; this line is there
                pass
        return True

    def fail(self, sid: str, context: Any = None) -> None:
        """Count and report, in an ``except`` block, that there is a line less of the session *sid*."""
        self.lose(1, sid)
        try:
            if self._may_report():
                self._report(context)
        except Exception:  # noqa: BLE001, S110 - a handleError of the user's may raise
            pass

    @property
    def lost(self) -> int:
        """How many lines were lost so far, in this process."""
        self.lose(0)
        return self._lost + len(self.missed)

    def lose(self, count: int, sid: str | None = None) -> None:
        """Count *count* lines, the last of them of the session *sid*, as lost."""
        if is_within():
            self.missed.extend(ONE * count)
        else:
            under(self._own_lock(), threads_within(), self._count, count, sid)

    def _count(self, count: int, sid: str | None) -> None:
        missed = len(self.missed)
        del self.missed[:missed]
        count += missed
        self._lost += count
        self._unsaid += count
        self._lost_of = sid or self._lost_of

    def flush(self) -> None:
        """Say what is missing; what :meth:`append` was given is in the file already."""
        if (self._unsaid or self.missed) and self._pid == os.getpid():
            self._make_up(self._lost_of or UNKNOWN)

    def close(self) -> None:
        """Say what is missing and close the files; a later line opens its file again."""
        self.flush()
        self._appender.close()

    def _may_report(self) -> bool:
        """Tell whether a failure may be reported now, once a minute, and take the turn."""
        return not is_within() and under(self._own_lock(), threads_within(), self._take_turn)

    def _take_turn(self) -> bool:
        now = time.monotonic()
        if now < self._quiet_until:
            return False
        self._quiet_until = now + _REPORT_EVERY_S
        return True

    def _make_up(self, sid: str) -> None:
        if is_within():
            return
        self.lose(0)
        lost = under(self._own_lock(), threads_within(), self._take_unsaid)
        if not lost:
            return
        try:
            row = {
                "timestamp": timestamp_ns(time.time_ns()),
                "level": "ERROR",
                "logger": LOSS_LOGGER,
                "message": f"{lost} {self._unit} could not be written",
                "session_id": sid,
                "lost": lost,
            }
            self._losses.append(sid, encode_line(row))
        except Exception:  # noqa: BLE001 - to be said later, then
            under(self._own_lock(), threads_within(), self._give_back, lost)
        if self._losses is not self._appender:
            self._losses.close()

    def _take_unsaid(self) -> int:
        unsaid, self._unsaid = self._unsaid, 0
        return unsaid

    def _give_back(self, unsaid: int) -> None:
        self._unsaid += unsaid

    def _own_lock(self) -> ReentrantLock:
        if self._pid != os.getpid():
            # A forked child: a thread that is not here may hold the lock, and the losses so far
            # are for the parent to tell.
            self._lock = ReentrantLock()
            self._lost = self._unsaid = 0
            self.missed.clear()
            self._pid = os.getpid()  # last: who sees it sees the rest
        return self._lock

"""What stands between a writer and the disk's troubles: losses are counted, reported, made up for.

A line that cannot be written never raises into the application. The first failure of a minute goes
to the owner's report, every one is counted, and once a line can be written again there is one that says
how many are missing, in the file of each session that lost any. Flushing and closing say it, too, where
no line came since.
"""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from tracectrl._json import encode_line, timestamp_ns
from tracectrl.files.write.reentrant import ReentrantLock
from tracectrl.files.write.within import R, is_within, threads_within, under
from tracectrl.schema import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracectrl.files.write.appender import Appender

LOSS_LOGGER = "tracectrl"
"""The logger that lines about losses name."""

ONE: Final = (None,)
"""What is added to :attr:`Sink.missed` for a line."""

_REPORT_EVERY_S = 60.0
_OF_ANY_FILE: Final = tuple(
    getattr(errno, name, None) for name in ("ENOSPC", "EDQUOT", "EIO", "EROFS", "EMFILE", "ENFILE")
)
_MOST_SESSIONS: Final = 32  # whose losses are told apart: to tell is a line for each

Losses: TypeAlias = dict[str | None, int]
"""How many lines each session has lost; those of ``None`` are of any."""


def tally(losses: Losses, sid: str | None, count: int) -> None:
    """Add *count* lines of the session *sid*, where that is known, to *losses*."""
    known = sid if sid in losses or len(losses) < _MOST_SESSIONS else None
    losses[known] = losses.get(known, 0) + count


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
        self._unsaid: Losses = {}
        self._quiet_until = float("-inf")
        self._lost = 0
        self.missed: Final[list[str | None]] = []
        """The session, where it is known, of each line that was lost where :meth:`lose` cannot be called.

        ``missed += ONE`` calls nothing, and so is possible at the recursion limit, too. Whoever has the
        stack for it calls :meth:`lose` afterwards: a child that is forked meanwhile takes it for its own.
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
                self._make_up()
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
        """Count *count* lines of the session *sid*, where that is known, as lost; and what was missed."""
        if is_within():
            self.missed.extend((sid,) * count)
        else:
            self._locked(self._count, count, sid)

    def _count(self, count: int, sid: str | None) -> None:
        unsaid = dict(self._unsaid)
        missed = self.missed[:]
        for each in missed:
            tally(unsaid, each or sid, 1)
        if count:
            tally(unsaid, sid, count)
        length = len(missed)
        # By no call: where no stack is left for one, nothing has happened, or all.
        self._unsaid = unsaid
        self._lost += length + count
        del self.missed[:length]

    def flush(self) -> None:
        """Say what is missing; what :meth:`append` was given is in the file already."""
        if self._unsaid or self.missed:
            self._make_up()

    def close(self) -> None:
        """Say what is missing and close the files; a later line opens its file again."""
        self.flush()
        self._appender.close()

    def _may_report(self) -> bool:
        """Tell whether a failure may be reported now, once a minute, and take the turn."""
        return not is_within() and self._locked(self._take_turn)

    def _take_turn(self) -> bool:
        now = time.monotonic()
        if now < self._quiet_until:
            return False
        self._quiet_until = now + _REPORT_EVERY_S
        return True

    def _make_up(self) -> None:
        """Say what is missing, as long as that can be written."""
        if is_within():
            return
        self.lose(0)
        unsaid = self._locked(self._take_unsaid)
        try:
            while unsaid and self._has_said(*next(iter(unsaid.items()))):
                del unsaid[next(iter(unsaid))]
        finally:
            if unsaid:  # to be said later, then
                self._locked(self._give_back, unsaid)
            if self._losses is not self._appender:
                self._losses.close()

    def _has_said(self, sid: str | None, lost: int) -> bool:
        """Say that *sid* has *lost* lines: in its file, else in that of no session; tell whether it is there."""
        text = f"{lost} {self._unit} could not be written"
        places = [(UNKNOWN, f"{text}; whose they are is not known")]
        if sid is not None:
            places = [(sid, text), (UNKNOWN, f"{text}; they are of the session {sid!r}")]
        for place, message in places:
            row = {
                "timestamp": timestamp_ns(time.time_ns()),
                "level": "ERROR",
                "logger": LOSS_LOGGER,
                "message": message,
                "session_id": place,
                "lost": lost,
            }
            try:
                self._losses.append(place, encode_line(row))
            except Exception as error:  # noqa: BLE001 - to be said later, then
                if isinstance(error, OSError) and error.errno in _OF_ANY_FILE:
                    break
            else:
                return True
        return False

    def _take_unsaid(self) -> Losses:
        unsaid, self._unsaid = self._unsaid, {}
        return unsaid

    def _give_back(self, unsaid: Losses) -> None:
        for sid, lost in unsaid.items():
            tally(self._unsaid, sid, lost)

    def _locked(self, act: Callable[..., R], *args: Any) -> R:
        """Return what *act* returns, called under the lock."""
        if self._pid != os.getpid():
            # A forked child: a thread that is not here may hold the lock, and the losses so far
            # are for the parent to tell.
            self._lock = ReentrantLock()
            self._lost, self._unsaid = 0, {}
            self._pid = os.getpid()  # last: who sees it sees the rest
        return under(self._lock, threads_within(), act, *args)

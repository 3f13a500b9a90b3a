"""Removing whole sessions, the oldest first, never one that is being written."""

from __future__ import annotations

import time
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Literal, TypeAlias

from tracectrl.files.directory import Directory
from tracectrl.files.listing import id_of, scan
from tracectrl.files.names import OVERFLOW_STEM, root_path
from tracectrl.files.presence import remove_left
from tracectrl.files.retention.crowd import order
from tracectrl.files.retention.exclusive import (
    BeingWrittenError,
    gripped,
    move_aside,
    remove_stale,
    take_all_away,
)
from tracectrl.files.write.rotation import SETTLED_AFTER_S
from tracectrl.schema import UNKNOWN

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from typing import Final

    from tracectrl.files.listing import StoredSession

    MayGo: TypeAlias = Callable[[str | None, int], bool]
    Report: TypeAlias = Callable[["Pruned"], object]

Reason: TypeAlias = Literal["older_than", "max_total", "keep"]

_UNCOUNTED: Final = frozenset({UNKNOWN, OVERFLOW_STEM})
"""Files of lines without a session and of many: *keep* speaks of sessions."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What became of a session that is past a limit."""

    session_id: str | None
    """``None`` for the file that takes the lines of new sessions past a limit."""
    files: int
    size_bytes: int
    last_write_ns: int
    """When, in nanoseconds since the epoch."""
    reason: Reason
    """The limit."""
    action: Literal["remove", "in_use", "failed"]
    """It was removed (or would be), is being written, or could not be removed."""
    error: OSError | None = None


@dataclass(slots=True)
class PruneTotals:
    """The numbers of one :func:`prune`."""

    removed: int = 0
    """Sessions that were removed, or would be."""
    freed_bytes: int = 0
    """What their files and those of ended runs held."""
    in_use: int = 0
    """Sessions past a limit that are being written."""
    failed: int = 0
    kept: int = 0
    """Sessions that are there still, these two included."""
    kept_bytes: int = 0


def prune(
    root: str | os.PathLike[str] | None = None,
    *,
    older_than_s: float | None = None,
    max_total_bytes: int | None = None,
    keep: int | None = None,
    dry_run: bool = False,
    report: Report | None = None,
    may_go: MayGo | None = None,
) -> PruneTotals:
    """Remove the sessions past these limits, the oldest first, with all of their files.

    A session's age is that of the last write to it. One that is being written is left, and so is
    everything that is not named as a session's file or is no regular file.

    Whoever opens many sessions at once does not throw out others by *keep*: it takes those of the
    most crowded hours first. An hour is crowded that has more than a tenth of *keep*, and more than
    10. A crowd of the last hour stays for now, and no more of it than that counts.

    Args:
        root: the trace directory; ``None`` takes ``TRACECTRL_TRACE_DIR``, else ``./traces``.
        older_than_s: remove sessions of a greater age, in seconds.
        max_total_bytes: remove sessions until the files of all take no more than this.
        keep: remove sessions until so many are left; ``unknown`` does not count and stays.
        dry_run: change nothing, but report as if.
        report: called for each session past a limit, after it was dealt with.
        may_go: called with the ID of a session past a limit, and with when it was written to last; the
            session stays where that returns ``False``, without a report.

    Raises:
        ValueError: no limit is given.
        OSError: the root does not exist, is no directory or may not be listed. A session that
            cannot be removed does not raise, and is no reason to leave the others.
    """
    if older_than_s is None and max_total_bytes is None and keep is None:
        msg = "prune needs a limit: older_than_s, max_total_bytes or keep"
        raise ValueError(msg)
    with Directory(root_path(root)) as directory:
        return _prune(
            directory, older_than_s, max_total_bytes, keep, report, dry_run=dry_run, may_go=may_go
        )


def _prune(
    directory: Directory,
    older_than_s: float | None,
    max_total_bytes: int | None,
    keep: int | None,
    report: Report | None,
    *,
    dry_run: bool,
    may_go: MayGo | None,
) -> PruneTotals:
    stored = scan(directory)
    run = _Run(directory, stored.sessions, report, dry_run=dry_run, may_go=may_go)
    if not dry_run:
        run.totals.freed_bytes += remove_stale(directory, stored.temporary)
        remove_left(directory.root, dir_fd=directory.fd)
    waiting = sorted(stored.sessions, key=attrgetter("last_write_ns"), reverse=True)
    while waiting:
        session = waiting[-1]
        reason: Reason
        if older_than_s is not None and session.age_s(run.now_ns) > older_than_s:
            reason = "older_than"
        elif max_total_bytes is not None and run.totals.kept_bytes > max_total_bytes:
            reason = "max_total"
        else:
            break  # what follows is younger still
        run.deal_with(waiting.pop(), reason)
    if keep is not None and run.countable > keep:
        counted = [session for session in waiting if session.stem not in _UNCOUNTED]
        going, spared = order(counted, keep, run.now_ns)
        for session in going:
            if run.countable - spared <= keep:
                break
            run.deal_with(session, "keep")
    run.finish()
    return run.totals


class _Run:
    """One run of :func:`prune`: what it has done so far."""

    def __init__(
        self,
        directory: Directory,
        sessions: list[StoredSession],
        report: Report | None,
        *,
        dry_run: bool,
        may_go: MayGo | None,
    ) -> None:
        self.now_ns = time.time_ns()
        self.totals = PruneTotals()
        self.totals.kept = len(sessions)
        self.totals.kept_bytes = sum(session.size_bytes for session in sessions)
        self.countable = sum(session.stem not in _UNCOUNTED for session in sessions)
        self._directory = directory
        self._report = report
        self._dry_run = dry_run
        self._may_go = may_go
        self._aside: list[tuple[StoredSession, Reason, str | None]] = []

    def deal_with(self, session: StoredSession, reason: Reason) -> None:
        """Remove *session*, or move it aside, or leave it."""
        sid = None if session.stem == OVERFLOW_STEM else id_of(session, self._directory)
        if self._may_go is not None and not self._may_go(sid, session.last_write_ns):
            return
        try:
            with gripped(self._directory, session) as grip:
                if not self._dry_run and not grip.forgotten:
                    take_all_away(self._directory, session, grip)
                elif not self._dry_run:
                    aside = move_aside(self._directory, session, grip)
                    self._aside.append((aside, reason, sid))
                    self._take_off(session)
                    return
        except BeingWrittenError:
            self._left(session, reason, sid)
        except OSError as error:
            self._left(session, reason, sid, error)
        else:
            self._take_off(session)
            self._removed(session, reason, sid)

    def finish(self) -> None:
        """Remove what was moved aside and has rested since."""
        if self._aside:
            time.sleep(SETTLED_AFTER_S)
        for session, reason, sid in self._aside:
            try:
                with gripped(self._directory, session) as grip:
                    take_all_away(self._directory, session, grip)
            except (BeingWrittenError, OSError) as error:
                self.totals.kept += 1
                self.totals.kept_bytes += session.size_bytes
                self._left(session, reason, sid, error if isinstance(error, OSError) else None)
            else:
                self._removed(session, reason, sid)

    def _take_off(self, session: StoredSession) -> None:
        self.totals.kept -= 1
        self.totals.kept_bytes -= session.size_bytes
        self.countable -= session.stem not in _UNCOUNTED

    def _removed(self, session: StoredSession, reason: Reason, sid: str | None) -> None:
        self.totals.removed += 1
        self.totals.freed_bytes += session.size_bytes
        self._tell(session, reason, sid, "remove")

    def _left(
        self, session: StoredSession, reason: Reason, sid: str | None, error: OSError | None = None
    ) -> None:
        if error is None:
            self.totals.in_use += 1
            self._tell(session, reason, sid, "in_use")
        else:
            self.totals.failed += 1
            self._tell(session, reason, sid, "failed", error)

    def _tell(
        self,
        session: StoredSession,
        reason: Reason,
        sid: str | None,
        action: Literal["remove", "in_use", "failed"],
        error: OSError | None = None,
    ) -> None:
        if self._report is not None:
            self._report(
                Pruned(
                    session_id=sid,
                    files=len(session.suffixes),
                    size_bytes=session.size_bytes,
                    last_write_ns=session.last_write_ns,
                    reason=reason,
                    action=action,
                    error=error,
                )
            )

"""Following sessions: what is written from now on, merged by time, each line once.

A process's second line must not come before its first, which may be in another file: one that was
looked at a moment before, that a listing has missed, that is new, or that has been compressed since.
So all files that change are read as they are in one instant, in which all of them are known; what is
read is handed out in the next round, together with what that one finds of the same time or before;
and where such an instant is not found soon, the lines wait for a few seconds.
"""

from __future__ import annotations

import itertools
import os
import time
from collections import Counter
from datetime import datetime, timedelta
from operator import itemgetter
from typing import TYPE_CHECKING

from tracectrl._time import time_of
from tracectrl.files.names import root_path, stem_of
from tracectrl_logging.reader.files.followed import damaged_lines, parse_whole
from tracectrl_logging.reader.files.last_lines import Backlog, MovedError, Wanted, log_line
from tracectrl_logging.reader.files.tracked import QUIET_BACKUP_S, QUIET_S, Tracked
from tracectrl_logging.reader.model import Damage, DamagedLineWarning
from tracectrl_logging.reader.parsing import row_of
from tracectrl_logging.reader.store import DEFAULT_COUNT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from types import TracebackType

    from typing_extensions import Self

    from tracectrl_logging.reader.files.followed import Followed
    from tracectrl_logging.reader.filters.selection import Selection
    from tracectrl_logging.reader.model import Line, Report

_time = itemgetter(0)
_ATTEMPTS = 10
_ROUND_BYTES = 8 * 1024 * 1024
_AHEAD = 4
_LEAST_BYTES = 16 * 1024
_SOON_S = 0.03
_LOOKS = 20
_SETTLE_S = 0.1
_HOLD_S = 3.0
_BUSY_S = 0.2
_LATE = timedelta(minutes=10)


class Follower:
    """Reads what is written to the log files of sessions in rounds, and never waits.

    Use :meth:`begin` once, then :meth:`poll` again and again. It is a context manager that closes
    the files. The arguments are those of :func:`tracectrl_logging.reader.follow`.
    """

    def __init__(
        self,
        *sids: str,
        root: str | os.PathLike[str] | None = None,
        selection: Selection | None = None,
        on_damage: Report | None = None,
    ) -> None:
        self._directory = os.path.abspath(root_path(root))
        predicate = None if selection is None else selection.predicate("log")
        self._wanted = Wanted(predicate, _stems(sids) if sids else None)
        self._report = on_damage or _warn
        self._damaged: Counter[str] = Counter()
        self._tracked = self._new_tracked()
        self._sure_at = time.monotonic()

    def begin(self, count: int | None = DEFAULT_COUNT, *, complete: bool = True) -> Iterator[Line]:
        """Return the last *count* lines until now as an iterator; :meth:`poll` gives those after.

        Args:
            count: how many; ``None`` for all.
            complete: leave a last line whose newline is not there yet to :meth:`poll`.

        Raises:
            OSError: the root is no directory or may not be listed.
            ValueError: *count* is negative.
        """
        if count is not None and count < 0:
            msg = f"count is 0 or more lines, or None for all, not {count!r}"
            raise ValueError(msg)
        backlog = Backlog(self._directory, self._wanted, self._report, complete=complete)
        for attempt in range(_ATTEMPTS):
            if attempt:
                self._tracked.close()
                self._tracked = self._new_tracked()
            files = self._tracked.begin(complete=complete)
            lines = backlog.last(files, count)
            try:
                first = next(lines, None)
            except MovedError:
                continue
            return _with_first(first, lines)
        return iter(())

    def poll(self) -> list[Line]:
        """Return what has come, in time order."""
        limit = max((time for file in self._pending() for time, _, _ in file.pending), default="")
        parts, is_sure = self._looked_at()
        active = list(self._tracked.active)
        share = max(_LEAST_BYTES, _ROUND_BYTES // max(1, len(active)))
        has_read = False
        for file, status in (item for part in parts for item in part):
            if file.pending_bytes < share * _AHEAD:
                has_read |= self._read(file, status, share)
            else:
                file.drained = False  # for all that is known
        behind = [file.reached for file in active if not file.drained] if has_read else []
        now = time.monotonic()
        if is_sure:
            self._sure_at = now
        # Else something may be missing that was written before: for that all wait, but not for long.
        may_go = is_sure or now - self._sure_at > _HOLD_S
        due = self._due(min([limit, *behind])) if may_go else []
        self._retire()
        return due

    def pause_s(self, poll_s: float) -> float:
        """Return how many seconds to wait before the next :meth:`poll`: *poll_s* where it is quiet."""
        if any(not file.drained for file in self._tracked.active):
            return 0.0
        return min(poll_s, _SOON_S) if any(self._pending()) else poll_s

    def close(self) -> None:
        """Close the files."""
        self._tracked.close()

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the files."""
        self.close()

    def _new_tracked(self) -> Tracked:
        return Tracked(self._directory, self._wanted.stems, self._tell)

    def _pending(self) -> Iterator[Followed]:
        return (file for file in self._tracked.active if file.pending)

    def _looked_at(self) -> tuple[Iterator[list[tuple[Followed, os.stat_result]]], bool]:
        """Return what there is to read, in parts as large as descriptors allow.

        And whether nothing is in it whose process wrote something before that is not. For that the
        files that change are looked at as they are in one instant, in which all of them are known
        and no other has changed.
        """
        deadline = time.monotonic() + _SETTLE_S
        tracked = self._tracked
        woken: set[Followed] = set()
        while True:
            tracked.update()
            busy_since = time.monotonic() - _BUSY_S
            busy: list[Followed] = []
            quiet: list[Followed] = []
            for file in tracked.active:
                is_busy = not file.drained or file.changed_at > busy_since or file in woken
                (busy if is_busy else quiet).append(file)
            if len(busy) >= tracked.max_open:
                return map(self._statuses, _parts(busy + quiet, tracked.max_open)), (
                    tracked.is_complete()
                )
            part, is_sure = self._snapshot(busy)
            woken |= {file for file in quiet if self._has_changed(file)}
            is_sure = is_sure and woken.isdisjoint(quiet)
            is_sure = is_sure and tracked.is_complete() and tracked.is_current()
            if is_sure or time.monotonic() > deadline:
                break
        left = [] if is_sure else _parts(quiet, tracked.max_open - len(busy))
        return itertools.chain([part], map(self._statuses, left)), is_sure

    def _has_changed(self, file: Followed) -> bool:
        """Tell whether *file*, which was read to its end, is another by now."""
        if file.parsed.packed is not None or self._tracked.is_gone(file):
            return False
        if file.fd >= 0:
            return file.status().st_size != file.size
        return not self._tracked.is_unchanged(file)

    def _statuses(self, files: list[Followed]) -> list[tuple[Followed, os.stat_result]]:
        return [(file, file.status()) for file in self._opened(files)]

    def _snapshot(
        self, files: list[Followed]
    ) -> tuple[list[tuple[Followed, os.stat_result]], bool]:
        """Return those of *files* that may have something to read, and whether as in one instant.

        What is read ends there: else a line could be read whose process wrote another before it, to
        a file that was read already. So all are looked at until two looks agree.
        """
        opened = self._opened(files)
        before = [file.status() for file in opened]
        for _ in range(_LOOKS):
            now = [file.status() for file in opened]
            if all(one.st_size == other.st_size for one, other in zip(before, now, strict=True)):
                return list(zip(opened, now, strict=True)), True
            before = now
        return list(zip(opened, before, strict=True)), False

    def _opened(self, files: list[Followed]) -> list[Followed]:
        opened = [file for file in files if self._is_to_be_read(file)]
        return [file for file in opened if file.fd >= 0]  # there may be less room than was thought

    def _is_to_be_read(self, file: Followed) -> bool:
        tracked = self._tracked
        if file.drained and (
            file.parsed.packed is not None or (file.fd < 0 and tracked.is_unchanged(file))
        ):
            return False
        if tracked.opened(file):
            return True
        file.drained = tracked.is_gone(file)  # if so, what was not read of it is lost
        return False

    def _read(self, file: Followed, status: os.stat_result, budget_bytes: int) -> bool:
        """Read on in *file* as it is said to be; return whether there was anything."""
        is_plain = file.parsed.packed is None
        if is_plain:
            file.mtime_ns, file.ctime_ns = status.st_mtime_ns, status.st_ctime_ns
            if file.size == status.st_size and file.drained:
                return False
            file.size = status.st_size
        file.changed_at = time.monotonic()
        end = status.st_size if is_plain else None
        lines = file.read(budget_bytes, lambda what: self._tell(file, what), end)
        file.reached = min(filter(None, [self._take(file, raw) for raw in lines]), default="")
        for what, count in self._damaged.items():
            self._tell(file, damaged_lines(count, what))
        self._damaged.clear()
        if not is_plain and file.drained:
            self._finish(file)
        return True

    def _finish(self, file: Followed) -> None:
        """Read the end of a file that nobody writes any more, which may lack its newline."""
        if file.fd < 0:
            return  # the rest may come from a copy
        self._take(file, file.rest())
        self._tracked.shut(file)
        file.size = file.offset

    def _take(self, file: Followed, raw: bytes) -> str:
        """Keep the line *raw* where it is meant; return its time, ``""`` for none."""
        if not raw or raw.isspace():
            return ""
        try:
            row, raw = parse_whole(raw)
        except ValueError as damage:
            self._damaged[str(damage)] += 1
            return ""
        moment = time_of(row.get("timestamp")) or ""
        if self._wanted.means(file, row):
            pending = file.pending
            # A line that is late by little was late on its way to the file; else a clock was set.
            order = moment
            if pending and moment < pending[-1][0] and not _is_near(moment, pending[-1][0]):
                order = pending[-1][0]
            pending.append((order, moment, raw))
            file.pending_bytes += len(raw)
        return moment

    def _due(self, cut: str) -> list[Line]:
        """Return the lines up to the time *cut*."""
        due: list[tuple[str, Line]] = []
        for file in self._pending():
            path = os.path.join(self._tracked.directory, file.name)
            later = []
            for item in file.pending:
                order, moment, raw = item
                if order > cut:
                    later.append(item)
                else:
                    # Parsed again: what waits is kept small.
                    due.append((order, log_line(row_of("log", raw), raw, moment or order, path)))
                    file.pending_bytes -= len(raw)
            file.pending = later
        due.sort(key=_time)
        return [line for _, line in due]

    def _retire(self) -> None:
        """Leave the files that are quiet or gone."""
        now = time.monotonic()
        for file in list(self._tracked.active):
            if file.pending or not file.drained:
                continue
            is_gone = self._tracked.is_gone(file)
            is_packed = file.parsed.packed is not None
            quiet_s = QUIET_BACKUP_S if file.parsed.backup else QUIET_S
            if is_gone or is_packed or now - file.changed_at > quiet_s:
                if not is_packed and (is_gone or file.parsed.backup):
                    self._finish(file)
                if not file.pending:
                    self._tracked.leave(file)

    def _tell(self, file: Followed, what: str) -> None:
        self._report(Damage(os.path.join(self._directory, file.name), None, what))


def _parts(files: list[Followed], size: int) -> Iterator[list[Followed]]:
    return (files[at : at + size] for at in range(0, len(files), size))


def _stems(sids: Iterable[str]) -> frozenset[str]:
    """Return the stems of the files of *sids*; a stem may also stand for a long ID itself."""
    own = {sid for sid in sids if sid.startswith("%~")}
    return frozenset({stem_of(sid) for sid in sids} | own)


def _is_near(moment: str, other: str) -> bool:
    """Tell whether two times, or texts that are none, are not far apart."""
    try:
        apart = datetime.fromisoformat(other[:-1]) - datetime.fromisoformat(moment[:-1])
    except ValueError:
        return False
    return apart < _LATE


def _with_first(first: Line | None, lines: Iterator[Line]) -> Iterator[Line]:
    if first is not None:
        yield first
        yield from lines


def _warn(damage: Damage) -> None:
    import warnings  # noqa: PLC0415 - for damage only

    warnings.warn(str(damage), DamagedLineWarning, stacklevel=3)


class FileTail:
    """The end of sessions in a directory of files, as :class:`~tracectrl_logging.reader.Tail`."""

    def __init__(
        self,
        directory: str,
        sids: Collection[str],
        selection: Selection,
        report: Report,
        *,
        count: int | None,
        complete: bool,
    ) -> None:
        self._follower = Follower(*sids, root=directory, selection=selection, on_damage=report)
        self._last = self._follower.begin(count, complete=complete)

    def last(self) -> Iterator[Line]:
        """Return the last lines."""
        return self._last

    def poll(self) -> list[Line]:
        """Return what has come."""
        return self._follower.poll()

    def pause_s(self, poll_s: float) -> float:
        """Return how many seconds to wait."""
        return self._follower.pause_s(poll_s)

    def close(self) -> None:
        """Close the files."""
        self._follower.close()

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the files."""
        self.close()

"""Compressing the files of idle sessions, while writers and readers go on.

A session's live file becomes its newest backup first, as with a rotation, so that a session that
wakes up has a new live file; then each backup is compressed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from tracectrl.files.compression import DEFAULT_LEVEL, LEVELS, Format, require
from tracectrl.files.directory import Directory
from tracectrl.files.listing import id_of, scan
from tracectrl.files.names import OVERFLOW_STEM, parsed_suffix, root_path
from tracectrl.files.retention.exclusive import (
    BeingWrittenError,
    gripped,
    move_aside,
    remove_stale,
)
from tracectrl.files.retention.replacement import pack, refuse_linked
from tracectrl.files.write.rotation import SETTLED_AFTER_S

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from tracectrl.files.listing import StoredSession

    Report: TypeAlias = Callable[["Compressed"], object]


@dataclass(frozen=True, slots=True)
class Compressed:
    """What became of a session with files that are not compressed."""

    session_id: str | None
    """``None`` for the file that takes the lines of new sessions past a limit."""
    files: int
    """How many files were compressed, or would be."""
    size_bytes: int
    """What they held before."""
    packed_bytes: int | None
    """What they hold now; ``None`` where nobody has tried."""
    last_write_ns: int
    """When, in nanoseconds since the epoch."""
    action: Literal["compress", "in_use", "failed"]
    """They were compressed (or would be), are being written, or could not be compressed."""
    error: OSError | None = None


@dataclass(slots=True)
class CompressTotals:
    """The numbers of one :func:`compress`."""

    compressed: int = 0
    """Sessions with files that were compressed, or would be."""
    files: int = 0
    size_bytes: int = 0
    packed_bytes: int = 0
    in_use: int = 0
    """Sessions that are being written."""
    failed: int = 0


def compress(
    root: str | os.PathLike[str] | None = None,
    *,
    packed: Format = "gz",
    level: int | None = None,
    idle_s: float = 0.0,
    dry_run: bool = False,
    report: Report | None = None,
) -> CompressTotals:
    """Compress the files of all sessions that nobody writes; their age stays what it is.

    Args:
        root: the trace directory; ``None`` takes ``TRACECTRL_TRACE_DIR``, else ``./traces``.
        packed: ``"gz"``, or ``"zst"``, which needs the extra ``zstd``.
        level: 1 to 9 for gzip, 1 to 22 for Zstandard; ``None`` for 6 and 3.
        idle_s: leave sessions that were written less than so many seconds ago. The command's
            minute lets those who follow lines read them before their file is compressed.
        dry_run: change nothing, but report as if.
        report: called for each session with files to compress, after it was dealt with.

    Raises:
        ValueError: the format or the level is not known.
        MissingExtraError: the format needs a package that is not installed.
        OSError: the root does not exist, is no directory or may not be listed. A session that
            cannot be compressed does not raise, and is no reason to leave the others.
    """
    if packed not in get_args(Format):
        msg = f"packed must be 'gz' or 'zst', got {packed!r}"
        raise ValueError(msg)
    levels = LEVELS[packed]
    if level is None:
        level = DEFAULT_LEVEL[packed]
    if level not in levels:
        msg = f"the level for {packed} must be {levels[0]} to {levels[-1]}, got {level!r}"
        raise ValueError(msg)
    require(packed)
    with Directory(root_path(root)) as directory:
        stored = scan(directory)
        if not dry_run:
            remove_stale(directory, stored.temporary)
        now_ns = time.time_ns()
        run = _Run(directory, packed, level, report, dry_run=dry_run)
        for session in sorted(stored.sessions, key=attrgetter("last_write_ns")):
            if session.plain_bytes and not (idle_s and session.age_s(now_ns) < idle_s):
                run.deal_with(session)
        run.finish()
        return run.totals


class _Run:
    """One run of :func:`compress`: what it has done so far."""

    def __init__(
        self,
        directory: Directory,
        packed: str,
        level: int,
        report: Report | None,
        *,
        dry_run: bool,
    ) -> None:
        self.totals = CompressTotals()
        self._directory = directory
        self._packed = packed
        self._level = level
        self._report = report
        self._dry_run = dry_run
        self._aside: list[StoredSession] = []

    def deal_with(self, session: StoredSession) -> None:
        """Compress the files of *session*, or leave them for :meth:`finish`, or for good."""
        error = None
        try:
            with gripped(self._directory, session) as grip:
                plain = [grip.statuses[suffix] for suffix in grip.fds]
                for suffix, status in zip(grip.fds, plain, strict=True):
                    refuse_linked(status, session.stem + suffix)
                if not self._dry_run:
                    session = move_aside(self._directory, session, grip, least_bytes=1)
        except BeingWrittenError:
            self._tell(session, "in_use")
        except OSError as raised:
            error = raised
            self._tell(session, "failed", error=error)
        else:
            if self._dry_run:
                files = sum(status.st_size > 0 for status in plain)
                self._tell(session, "compress", files, session.plain_bytes)
            elif grip.forgotten:
                self._aside.append(session)
            else:
                self._pack(session)

    def finish(self) -> None:
        """Compress what somebody has open but has not written for long."""
        if self._aside:
            time.sleep(SETTLED_AFTER_S)
        for session in self._aside:
            self._pack(session, is_forgotten=True)

    def _pack(self, session: StoredSession, *, is_forgotten: bool = False) -> None:
        files = before = after = 0
        action: Literal["compress", "in_use", "failed"] = "compress"
        error = None
        try:
            for suffix in _backups(session):
                if self._directory.status(session.stem + suffix).st_size:
                    size, packed_size = pack(
                        self._directory,
                        session.stem,
                        suffix,
                        self._packed,
                        self._level,
                        is_forgotten=is_forgotten,
                    )
                    files, before, after = files + 1, before + size, after + packed_size
        except (BeingWrittenError, FileNotFoundError):
            action = "compress" if files else "in_use"
        except OSError as raised:
            action, error = "failed", raised
        self._tell(session, action, files, before, after, error=error)

    def _tell(
        self,
        session: StoredSession,
        action: Literal["compress", "in_use", "failed"],
        files: int = 0,
        size_bytes: int = 0,
        packed_bytes: int | None = None,
        *,
        error: OSError | None = None,
    ) -> None:
        self.totals.compressed += action == "compress"
        self.totals.in_use += action == "in_use"
        self.totals.failed += action == "failed"
        self.totals.files += files
        self.totals.size_bytes += size_bytes
        self.totals.packed_bytes += packed_bytes or 0
        if self._report is not None:
            is_shared = session.stem == OVERFLOW_STEM
            self._report(
                Compressed(
                    session_id=None if is_shared else id_of(session, self._directory),
                    files=files,
                    size_bytes=size_bytes,
                    packed_bytes=packed_bytes,
                    last_write_ns=session.last_write_ns,
                    action=action,
                    error=error,
                )
            )


def _backups(session: StoredSession) -> list[str]:
    """Return the ends of the names of the plain backups of *session*, the oldest first."""
    parsed = {suffix: parsed_suffix(suffix) for suffix in session.suffixes}
    found = [suffix for suffix, name in parsed.items() if name.backup and not name.packed]
    return sorted(found, key=lambda suffix: -parsed[suffix].backup)

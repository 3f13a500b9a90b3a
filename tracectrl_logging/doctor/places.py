"""The checks of the directory and of the names in it; no file is opened."""

from __future__ import annotations

import os
import re
import stat
import sys
import time
from typing import TYPE_CHECKING

from tracectrl.files.listing import TEMPORARY_PREFIX, scan_names, why_unread
from tracectrl.files.names import is_stem, parse_name
from tracectrl.files.presence import PRESENCE_DIRECTORY
from tracectrl_logging.doctor.finding import MOST_POSITIONS, Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tracectrl_logging.doctor.finding import Severity

try:
    import fcntl
    import resource
except ImportError:  # pragma: no cover - Windows has neither
    fcntl = resource = None  # type: ignore[assignment]


_HAS_LOCKS = "fcntl" in sys.modules
_OTHERS = 0o077
_STALE_S = 3600.0
_FEW_DESCRIPTORS = 128
_NEARLY = 0.9
_OURS = (TEMPORARY_PREFIX, PRESENCE_DIRECTORY)
_ALMOST = re.compile(r"[._-](?:logs|spans)\.json", re.IGNORECASE)
_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISSOCK, "a socket"),
)


def missing(directory: str) -> Finding:
    """Return the finding for a root that does not exist or is no directory."""
    is_there = os.path.lexists(directory)
    return Finding(
        severity="error",
        check="root",
        subject=directory,
        message="is no directory" if is_there else "does not exist: nothing has been written to it",
        mend="--root DIR or TRACECTRL_TRACE_DIR names the directory that the program writes to",
    )


def writable(directory: str) -> Iterator[Finding]:
    """This user cannot write to the root, or read it."""
    for mode, word in ((os.W_OK | os.X_OK, "written to"), (os.R_OK | os.X_OK, "read")):
        if not os.access(directory, mode):
            yield Finding(
                severity="error",
                check="root",
                subject=directory,
                message=f"cannot be {word} by this user",
                mend="chown or chmod it, or set TRACECTRL_TRACE_DIR to a directory of this user",
            )


def locks(directory: str) -> Iterator[Finding]:
    """The file system knows no flock: pruning and compressing cannot tell who writes."""
    if not _HAS_LOCKS or not os.access(directory, os.R_OK):
        return
    fd = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:  # somebody has it: there are locks
        pass
    except OSError as error:
        yield Finding(
            severity="warning",
            check="flock",
            subject=directory,
            message=f"the file system has no locks ({error.strerror}): prune and compress cannot"
            " tell whether a session is being written",
            mend="keep the root on a local file system, or prune and compress with --idle 1h",
        )
    finally:
        os.close(fd)


def modes(directory: str) -> Iterator[Finding]:
    """Other users may read the files."""
    found = [
        (name, stat.S_IMODE(status.st_mode))
        for name, status in _session_files(directory)
        if stat.S_ISREG(status.st_mode) and status.st_mode & _OTHERS
    ]
    mode = stat.S_IMODE(os.stat(directory).st_mode)
    if mode & _OTHERS and not mode & stat.S_ISVTX:
        yield Finding(
            severity="warning" if found else "info",
            check="modes",
            subject=directory,
            message=f"other users may enter it: mode {mode:04o}",
            mend=f"chmod 700 {directory}",
        )
    if found:
        yield Finding(
            severity="warning",
            check="modes",
            subject=found[0][0] if len(found) == 1 else f"{len(found)} files",
            message=f"other users may read or write it: mode {found[0][1]:04o}",
            mend=f"chmod go-rwx {directory}/*.jsonl*",
            count=len(found),
            positions=_first([name for name, _ in found]),
        )


def strangers(directory: str) -> Iterator[Finding]:
    """Something other than a file stands at the place of one: nothing is written there."""
    for name, status in _session_files(directory):
        for is_kind, word in _KINDS:
            if is_kind(status.st_mode):
                yield Finding(
                    severity="error",
                    check="planted",
                    subject=name,
                    message=f"is {word}: the lines of this session cannot be written, or read",
                    mend=f"find out who made it; rm {os.path.join(directory, name)!r}",
                )


def _of_files(
    check: str, found: list[str], message: str, mend: str, severity: Severity = "warning"
) -> Finding:
    """Return the finding *check* about the files *found*, one or several."""
    return Finding(
        severity=severity,
        check=check,
        subject=found[0] if len(found) == 1 else f"{len(found)} files",
        message=message,
        mend=mend,
        count=len(found),
        positions=_first(found),
    )


def names(directory: str) -> Iterator[Finding]:
    """Some names are not those of session files, so no command reads the files."""
    unread = set(_unread(directory))
    nearly: list[str] = []
    foreign: list[str] = []
    for entry in _entries(directory):
        parsed = parse_name(entry.name)
        if parsed is not None:
            nearly += [] if is_stem(parsed.stem) else [entry.name]
        elif entry.name not in unread and not entry.name.startswith(_OURS):
            (nearly if _ALMOST.search(entry.name) else foreign).append(entry.name)
    if nearly:
        yield _of_files(
            "names",
            nearly,
            "named as no session's file is, so no command reads it",
            "rename it: tracectrl.files.log_path(ID) says how a session's file is named",
        )
    if foreign:
        yield _of_files(
            "other-files",
            foreign,
            "not a session's: no command reads, compresses or removes it",
            "keep the trace directory for session files alone",
            severity="info",
        )


def unread(directory: str) -> Iterator[Finding]:
    """Some names begin as a session file's and end in a form that no command reads."""
    found = _unread(directory)
    for reason in sorted({why_unread(name) for name in found}):
        alike = [name for name in found if why_unread(name) == reason]
        yield _of_files(
            "unread-files",
            alike,
            reason,
            "rotate with gzip or zstd, and names by number or date; unpack what is there",
        )


def leftovers(directory: str) -> Iterator[Finding]:
    """A run of compress was killed."""
    names = [
        entry.name
        for entry in _entries(directory)
        if entry.name.startswith(TEMPORARY_PREFIX)
        and time.time() - entry.stat(follow_symlinks=False).st_mtime > _STALE_S
    ]
    if names:
        yield _of_files(
            "leftovers",
            names,
            "left by a compress that was killed; no line is lost",
            "tracectrl-logs compress removes it",
        )


def limits(directory: str) -> Iterator[Finding]:
    """A limit of the process is close: open files, or the size of a file."""
    if not _HAS_LOCKS:  # pragma: no cover
        return
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < _FEW_DESCRIPTORS:
        yield Finding(
            severity="warning",
            check="descriptors",
            subject="RLIMIT_NOFILE",
            message=f"a process may have {soft} files open; a handler takes up to half of them for sessions",
            mend="ulimit -n 1024, or more",
        )
    most, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    near = [
        name
        for name, status in _session_files(directory)
        if 0 <= most < sys.maxsize and status.st_size >= most * _NEARLY
    ]
    if near:
        yield Finding(
            severity="warning",
            check="file-size",
            subject=near[0],
            message=f"close to the size that a process may write: {most} bytes (RLIMIT_FSIZE)",
            mend="max_bytes= and backup_count= of SessionFileHandler, or ulimit -f unlimited",
            count=len(near),
            positions=_first(near),
        )


def _session_files(directory: str) -> Iterator[tuple[str, os.stat_result]]:
    for entry in _entries(directory):
        if parse_name(entry.name) is not None:
            try:
                yield entry.name, entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # taken away since
                continue


def _unread(directory: str) -> list[str]:
    found: list[str] = []
    if os.access(directory, os.R_OK | os.X_OK):
        scan_names(directory, unread=found)
    return found


def _entries(directory: str) -> Iterator[os.DirEntry[str]]:
    if os.access(directory, os.R_OK | os.X_OK):
        with os.scandir(directory) as entries:
            yield from entries


def _first(names: list[str]) -> tuple[str, ...]:
    return tuple(sorted(names)[:MOST_POSITIONS])


CHECKS: tuple[Callable[[str], Iterator[Finding]], ...] = (
    writable,
    locks,
    modes,
    strangers,
    names,
    unread,
    leftovers,
    limits,
)

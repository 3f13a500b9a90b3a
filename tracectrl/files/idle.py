"""Taking away the files of sessions that nobody writes, without losing a line.

A session is *being written* while a process has one of its uncompressed files open and the last
write is less than an hour ago. After that hour, an open file is one that a process has forgotten,
and the session is idle as well.

Nobody holds a file for writing while it is held alone (:mod:`tracectrl.files.hold`), and who waited
for it finds that it has no name any more, so a file that no process has open can be taken away at once.
A writer may have opened it before it was renamed, and hold it since: then it is not alone, and stays.
A forgotten one is renamed first, as a rotation does:
a writer looks at its path every half second, so it writes to the renamed file for so long, and never
after. Only a file that has rested under its new name is taken away; nothing is lost where that does
not happen.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat
import time
from typing import TYPE_CHECKING, NamedTuple

from tracectrl.files.hold import changing_names, opened_alone
from tracectrl.files.rotation import PACKED, shift
from tracectrl.files.stored import LIVE_SUFFIXES, live_suffix, parsed_suffix

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final

    from tracectrl.files.stored import StoredSession

FORGOTTEN_AFTER_S: Final = 3600.0
"""An open file that was not written for so long does not keep its session."""

SETTLED_AFTER_S: Final = 1.0
"""So long after its renaming a file is not written any more: writers look twice as often."""

_MANY: Final = 100

_FLAGS: Final = (
    os.O_WRONLY
    | os.O_APPEND
    | os.O_CREAT
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


class BeingWrittenError(Exception):
    """Some process writes the session, or did since it was listed."""


class Grip(NamedTuple):
    """The uncompressed files of an idle session, while nobody opens them for writing."""

    sizes: dict[str, int]
    """How large they are, by suffix."""
    fds: dict[str, int]
    """The descriptors of the live files, and of the backups unless there are many."""
    forgotten: bool
    """Some process has one of them open all the same."""


@contextlib.contextmanager
def gripped(root: str, session: StoredSession) -> Iterator[Grip]:
    """Change the names of the files of *session*, which is idle and as it was listed.

    Be quick: other changes of names in *root* wait meanwhile.

    Raises:
        BeingWrittenError: it is not.
        OSError: a file cannot be opened.
    """
    # Closed after the names are free again: the kernel takes its time over a large file.
    with contextlib.ExitStack() as files:
        try:
            with changing_names(root):
                yield _grip(root, session, files)
        except (BlockingIOError, FileNotFoundError) as error:
            raise BeingWrittenError from error


def move_aside(
    root: str, session: StoredSession, grip: Grip, *, least_bytes: int = 0
) -> StoredSession:
    """Make the live files of *session* backups, the newest ones; inside :func:`gripped`.

    Those stay that are smaller than *least_bytes*.
    """
    suffixes = session.suffixes
    for live in LIVE_SUFFIXES:
        if grip.sizes.get(live, -1) >= least_bytes:
            count = _unbroken(live, suffixes)
            shift(_path(root, session, live), count)
            suffixes = tuple(_shifted(live, count, suffix) for suffix in suffixes)
    return session.with_suffixes(suffixes)


def take_all_away(root: str, session: StoredSession, grip: Grip) -> None:
    """Remove all files of *session*, inside :func:`gripped`."""
    for suffix in session.suffixes:
        path = _path(root, session, suffix)
        live_path = _path(root, session, live_suffix(suffix))
        if suffix in grip.fds:
            take_away(path, live_path, grip.fds[suffix])
        elif suffix in grip.sizes:
            with opened_alone(path) as (fd, alone):
                if alone or grip.forgotten:  # else somebody has opened it before it was renamed
                    take_away(path, live_path, fd)
        else:
            os.unlink(path)


def take_away(path: str, live_path: str, fd: int) -> None:
    """Remove the file at *path*, which is open as *fd*, while nobody changes its name.

    What somebody writes to it in this very moment is moved to the file at *live_path*.
    """
    size = os.fstat(fd).st_size
    os.unlink(path)
    grown = os.fstat(fd).st_size
    if grown > size:
        tail = os.pread(fd, grown - size, size)
        live = os.open(live_path, _FLAGS, 0o600)
        try:
            os.write(live, tail if tail.endswith(b"\n") else tail + b"\n")
        finally:
            os.close(live)


def remove_stale(root: str, temporary: list[str]) -> int:
    """Remove what ended runs have left of *temporary*, names of files being compressed into.

    Returns:
        How many bytes that freed.
    """
    freed = 0
    for name in temporary:
        path = os.path.join(root, name)
        with contextlib.suppress(OSError), opened_alone(path) as (fd, alone):
            status = os.fstat(fd)
            if alone and stat.S_ISREG(status.st_mode):
                os.unlink(path)
                freed += status.st_size
    return freed


def _grip(root: str, session: StoredSession, files: contextlib.ExitStack) -> Grip:
    """Open the files of *session*, and see whether they are those that were listed."""
    sizes: dict[str, int] = {}
    fds: dict[str, int] = {}
    forgotten = False
    statuses = []
    for suffix in session.suffixes:
        path = _path(root, session, suffix)
        if parsed_suffix(suffix).packed:
            status = os.lstat(path)
        else:
            is_kept = suffix in LIVE_SUFFIXES or len(fds) < _MANY
            with contextlib.ExitStack() as closed_at_once:
                fd, alone = (files if is_kept else closed_at_once).enter_context(opened_alone(path))
                status = os.fstat(fd)
            if is_kept:
                fds[suffix] = fd
            forgotten |= not alone
            sizes[suffix] = status.st_size
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        statuses.append(status)
    newest = max(status.st_mtime_ns for status in statuses)
    total = sum(status.st_size for status in statuses)
    if (newest, total) != (session.last_write_ns, session.size_bytes) or _has_more(root, session):
        raise BeingWrittenError
    if forgotten and session.age_s(time.time_ns()) < FORGOTTEN_AFTER_S:
        raise BeingWrittenError
    return Grip(sizes, fds, forgotten)


def _has_more(root: str, session: StoredSession) -> bool:
    """Tell whether there are files of *session* that were not listed.

    A listing may miss a file that is renamed meanwhile: it is beside one that was not missed.
    """
    known = set(session.suffixes)
    for live in LIVE_SUFFIXES:
        numbers = {1}
        for number in _numbers(live, known):
            numbers |= {number - 1, number, number + 1}
        names = [f"{live}.{number}" for number in numbers if number > 0]
        for suffix in (live, *(name + packed for name in names for packed in PACKED)):
            if suffix not in known and os.path.lexists(_path(root, session, suffix)):
                return True
    return False


def _numbers(live: str, suffixes: Iterable[str]) -> set[int]:
    """Return the numbers of the backups of one kind, 0 for others of its files."""
    return {parsed_suffix(suffix).backup for suffix in suffixes if suffix.startswith(live)}


def _unbroken(live: str, suffixes: Iterable[str]) -> int:
    """Return how many backups must move up to make room for one more: those before a gap."""
    numbers = _numbers(live, suffixes)
    return next(number for number in itertools.count(1) if number not in numbers) - 1


def _shifted(live: str, count: int, suffix: str) -> str:
    """Return what moving *live* and its newest *count* backups up by one makes of *suffix*."""
    _, _, backup, packed = parsed_suffix(suffix)
    if not suffix.startswith(live) or backup > count or (packed and not backup):
        return suffix
    return f"{live}.{backup + 1}{f'.{packed}' if packed else ''}"


def _path(root: str, session: StoredSession, suffix: str) -> str:
    return os.path.join(root, session.stem + suffix)

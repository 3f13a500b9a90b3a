"""Taking away the files of sessions that nobody writes, without losing a line.

A session is *being written* while a process has one of its uncompressed files open and the last
write is less than an hour ago. After that hour, an open file is one that a process has forgotten,
and the session is idle as well.

Nobody holds a file for writing while it is held alone (:mod:`tracectrl.files.locks`), and who waited
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

from tracectrl.files.names import LIVE_SUFFIXES, live_suffix, number_of, parsed_suffix
from tracectrl.files.write.rotation import PACKED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final

    from tracectrl.files.directory import Directory
    from tracectrl.files.listing import StoredSession

FORGOTTEN_AFTER_S: Final = 3600.0
"""An open file that was not written for so long does not keep its session."""

_MANY: Final = 100

_APPEND: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT


class BeingWrittenError(Exception):
    """Some process writes the session, or did since it was listed."""


class Grip(NamedTuple):
    """The uncompressed files of an idle session, while nobody opens them for writing."""

    statuses: dict[str, os.stat_result]
    """The status of each file, the compressed ones included, by suffix."""
    fds: dict[str, int | None]
    """The descriptors by suffix: of the live files, and of the backups unless there are many."""
    forgotten: bool
    """Some process has one of them open all the same."""


@contextlib.contextmanager
def gripped(directory: Directory, session: StoredSession) -> Iterator[Grip]:
    """Change the names of the files of *session*, which is idle and as it was listed.

    Be quick: other changes of names in *directory* wait meanwhile.

    Raises:
        BeingWrittenError: it is not.
        OSError: a file cannot be opened, or is no regular file.
    """
    # Closed after the names are free again: the kernel takes its time over a large file.
    with contextlib.ExitStack() as files:
        try:
            with directory.changing_names():
                yield _grip(directory, session, files)
        except (BlockingIOError, FileNotFoundError) as error:
            raise BeingWrittenError from error


def move_aside(
    directory: Directory, session: StoredSession, grip: Grip, *, least_bytes: int = 0
) -> StoredSession:
    """Make the live files of *session* backups, the newest ones; inside :func:`gripped`.

    Those stay that are smaller than *least_bytes*.
    """
    suffixes = session.suffixes
    for live in LIVE_SUFFIXES:
        if live in grip.fds and grip.statuses[live].st_size >= least_bytes:
            count = _unbroken(live, suffixes)
            directory.shift(session.stem + live, count)
            suffixes = tuple(_shifted(live, count, suffix) for suffix in suffixes)
    return session.with_suffixes(suffixes)


def take_all_away(directory: Directory, session: StoredSession, grip: Grip) -> None:
    """Remove all files of *session*, inside :func:`gripped`; OSError where one is another by now."""
    for suffix in session.suffixes:
        name, live = session.stem + suffix, session.stem + live_suffix(suffix)
        if suffix not in grip.fds:
            directory.remove(name, grip.statuses[suffix])
        elif (fd := grip.fds[suffix]) is not None:
            take_away(directory, name, live, fd, grip.statuses[suffix].st_size)
        else:
            with directory.opened_alone(name) as (fd, alone):
                if not os.path.samestat(os.fstat(fd), grip.statuses[suffix]):
                    raise BeingWrittenError
                if alone or grip.forgotten:  # else somebody has opened it before it was renamed
                    take_away(directory, name, live, fd, grip.statuses[suffix].st_size)


def take_away(directory: Directory, name: str, live: str, fd: int, size: int) -> None:
    """Remove the file *name*, which is open as *fd*, while nobody changes its name.

    What somebody has written to it since it had *size* bytes is moved to the file *live*: where this
    process, or the disk, takes longer than writers wait, they go on.

    Raises:
        OSError: *name* is another file's by now, and stays; or it cannot be removed.
    """
    directory.remove(name, os.fstat(fd))
    grown = os.fstat(fd).st_size
    if grown > size:
        tail = os.pread(fd, grown - size, size)
        new = directory.open_regular(live, _APPEND)
        try:
            os.write(new, tail if tail.endswith(b"\n") else tail + b"\n")
        finally:
            os.close(new)


def remove_stale(directory: Directory, temporary: list[str]) -> int:
    """Remove what ended runs have left of *temporary*, names of files being compressed into.

    Returns:
        How many bytes that freed.
    """
    freed = 0
    for name in temporary:
        with contextlib.suppress(OSError), directory.opened_alone(name) as (fd, alone):
            status = os.fstat(fd)
            if alone and stat.S_ISREG(status.st_mode):
                directory.remove(name, status)
                freed += status.st_size
    return freed


def _grip(directory: Directory, session: StoredSession, files: contextlib.ExitStack) -> Grip:
    """Open the files of *session*, and see whether they are those that were listed."""
    fds: dict[str, int | None] = {}
    statuses: dict[str, os.stat_result] = {}
    forgotten = False
    for suffix in session.suffixes:
        name = session.stem + suffix
        if parsed_suffix(suffix).packed:
            status = directory.status(name)
        else:
            is_kept = suffix in LIVE_SUFFIXES or len(fds) < _MANY
            with contextlib.ExitStack() as closed_at_once:
                opened = directory.opened_alone(name)
                fd, alone = (files if is_kept else closed_at_once).enter_context(opened)
                status = os.fstat(fd)
            fds[suffix] = fd if is_kept else None
            forgotten |= not alone
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", name)
        statuses[suffix] = status
    newest = max(status.st_mtime_ns for status in statuses.values())
    total = sum(status.st_size for status in statuses.values())
    if (newest, total) != (session.last_write_ns, session.size_bytes) or _has_more(
        directory, session
    ):
        raise BeingWrittenError
    if forgotten and session.age_s(time.time_ns()) < FORGOTTEN_AFTER_S:
        raise BeingWrittenError
    return Grip(statuses, fds, forgotten)


def _has_more(directory: Directory, session: StoredSession) -> bool:
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
            if suffix not in known and directory.has(session.stem + suffix):
                return True
    return False


def _numbers(live: str, suffixes: Iterable[str]) -> set[int]:
    """Return the numbers of the files of one kind that rotation has named, 0 for the live one's."""
    return {number_of(suffix) for suffix in suffixes if suffix.startswith(live)} - {-1}


def _unbroken(live: str, suffixes: Iterable[str]) -> int:
    """Return how many backups must move up to make room for one more: those before a gap."""
    numbers = _numbers(live, suffixes)
    return next(number for number in itertools.count(1) if number not in numbers) - 1


def _shifted(live: str, count: int, suffix: str) -> str:
    """Return what moving *live* and its newest *count* backups up by one makes of *suffix*."""
    number, packed = number_of(suffix), parsed_suffix(suffix).packed
    if not suffix.startswith(live) or not 0 <= number <= count or (packed and not number):
        return suffix
    return f"{live}.{number + 1}{f'.{packed}' if packed else ''}"

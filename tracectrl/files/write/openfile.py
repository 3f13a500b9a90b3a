"""A session's file that is open for appending, and the table of those that are."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import TYPE_CHECKING

from tracectrl.files.locks import FLAGS
from tracectrl.files.write.here import here
from tracectrl.files.write.reentrant import ReentrantLock
from tracectrl.files.write.torn import is_swallowed
from tracectrl.files.write.within import threads_within

if TYPE_CHECKING:
    from typing import Final

AT_ONCE: Final = float("-inf")
"""The time for a look at the path of a file of which nobody knows enough."""

_TURNS: Final = 4


class File:
    """An open file of a session, and the lock that guards its descriptor.

    It closes the descriptor that it is given, when it is let go of, too.
    """

    __slots__ = (
        "__weakref__",
        "check_at",
        "end",
        "fd",
        "identity",
        "is_held",
        "key",
        "lock",
        "path",
        "rotating",
        "shared",
        "singles",
        "torn",
        "turn",
        "used",
    )

    def __init__(self, key: str | None, path: str, lock: ReentrantLock) -> None:
        self.key = key  # in the table; None for no session's own file
        self.path = path
        self.fd = -1
        self.identity = (0, 0)  # device and inode
        self.is_held = True  # as tracectrl.files.locks says it
        self.end = -1  # after our last write; others may have written since
        self.torn = False  # the file ends in half a line
        self.rotating = False
        self.shared = False  # others have written to it, too, since it was looked at
        self.used: bool | None = None  # since it was passed over; None: not since it was opened
        self.singles = 0  # how often in a row it was closed behind a single line before
        self.turn = 0  # see Table; the one of the last line
        self.lock = lock
        self.check_at = AT_ONCE

    def status(self) -> os.stat_result | None:
        """Return the file's status; ``None`` where the descriptor is ours no more.

        Daemons close all descriptors that they find, and the number is somebody else's soon.
        """
        try:
            status = os.fstat(self.fd)
        except (OSError, TypeError):  # TypeError: the interpreter's end has taken os to pieces
            return None
        return status if (status.st_dev, status.st_ino) == self.identity else None

    def is_gone(self) -> bool:
        """Tell whether the file has no name any more: what is written to it nobody will read."""
        status = self.status()
        return status is not None and not status.st_nlink

    def has_swallowed(self, data: bytes, since: int, end: int) -> bool:
        """Tell what :func:`~tracectrl.files.write.torn.is_swallowed` does, of a file that is closed, too.

        A signal handler that logs may have closed it behind the write.
        """
        if self.fd >= 0:
            return is_swallowed(self.fd, data, since, end)
        try:
            fd = os.open(self.path, FLAGS)
        except OSError:
            return False
        try:
            status = os.fstat(fd)
            is_it = (status.st_dev, status.st_ino) == self.identity
            return is_it and is_swallowed(fd, data, since, status.st_size)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Close it, unless the descriptor is somebody else's by now."""
        try:
            if self.fd < 0:
                return
        except AttributeError:  # a signal handler raised before there was one
            return
        fd = self.fd if self.status() is not None else -1
        self.fd = -1  # first: a signal handler may raise as soon as it is closed
        if fd >= 0:
            try:  # noqa: SIM105 - suppress() costs as much as the call
                os.close(fd)
            except OSError:
                pass

    __del__ = close


class Table:
    """The open files, and the lock for changing what is in it.

    The first to go are at the front. To move a file back at each use would cost every line; it is
    marked, and moved where its turn to go has come (a clock, as for the pages of memory).

    A turn begins with each line that finds its file closed.
    """

    __slots__ = ("_stand_ins", "files", "here", "lock", "pid", "spare_locks", "turn", "writing")

    def __init__(self) -> None:
        self.files: OrderedDict[str | None, File] = OrderedDict()
        self.lock = ReentrantLock()
        self.pid = os.getpid()
        self.here = here()
        self.spare_locks: list[ReentrantLock] = []  # see Appender._open
        self._stand_ins: list[File] = []
        self.turn = 0
        self.writing = threads_within()  # threads that have a writer's lock, or wait for one

    def forget(self, file: File) -> None:
        """Take *file* out, whoever else does so, too; its lock is the caller's."""
        if self.files.get(file.key) is file:
            self.files.pop(file.key, None)

    def is_full_of_later(self, limit: int, turn: int, idle_since: float) -> bool:
        """Tell whether there are *limit* files, and the next to go was used since that *turn* began.

        And has not been idle. Then it stays, and another is the next.
        """
        files = self.files
        try:
            key = next(iter(files))
            first = files[key]
            if len(files) < limit or first.turn < turn or first.check_at < idle_since:
                return False
            files.move_to_end(key)
        except (RuntimeError, KeyError, StopIteration):  # other threads are at it meanwhile
            return False
        return True

    def stand_in(self, key: str, check_at: float) -> File | None:
        """Put a file that is not open in the place of the session's, which is written once.

        Whoever wants to write to that, too, waits for the lock, as behind any write, and then opens
        it. ``None`` where somebody has opened it by now.
        """
        try:
            file = self._stand_ins.pop()
        except IndexError:
            file = File(key, "", ReentrantLock())
        file.key, file.turn, file.check_at = key, self.turn, check_at
        if self.files.setdefault(key, file) is file:  # under no lock: in one step, as forget() is
            return file
        self.take_back(file)
        return None

    def take_back(self, stand_in: File) -> None:
        """Keep what stood in for a file, and is not in the table any more, for the next time."""
        self._stand_ins.append(stand_in)

    def surplus(self, limit: int, file: File, idle_since: float) -> list[File]:
        """Return which files are to be closed, so that there are no more than *limit*.

        And those that have been idle. *file* stays. The table's lock is the caller's.
        """
        files = self.files
        going: list[File] = []
        turns = _TURNS
        # How many there are is asked for in each turn: other threads forget files meanwhile.
        while (is_surplus := len(files) > limit) or turns > 0:
            turns -= 1
            key = next(iter(files))
            first = files[key]
            is_idle = first.check_at < idle_since
            if first is file or (first.used and not is_idle):
                if first.used:
                    first.used = False
            elif is_surplus or is_idle:
                going.append(first)
                limit += 1
            else:
                break
            files.move_to_end(key)
        return going

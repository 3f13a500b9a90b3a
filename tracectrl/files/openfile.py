"""A session's file that is open for appending, and the table of those that are."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from tracectrl.files.here import here

if TYPE_CHECKING:
    from typing import Final

AT_ONCE: Final = float("-inf")
"""The time for a look at the path of a file of which nobody knows enough."""

_TURNS: Final = 4
_WRITE_AT_MOST_S: Final = 0.05


class File:
    """An open file of a session, and the lock that guards its descriptor.

    It closes the descriptor that it is given, when it is let go of, too.
    """

    __slots__ = (
        "check_at",
        "end",
        "fd",
        "identity",
        "key",
        "lock",
        "path",
        "rotating",
        "torn",
        "used",
    )

    def __init__(
        self,
        key: str | None,
        path: str,
        status: os.stat_result,
        lock: threading.RLock,
    ) -> None:
        self.key = key  # in the table; None for no session's own file
        self.path = path
        self.fd = -1
        self.identity = (status.st_dev, status.st_ino)
        self.end = status.st_size  # after our last write; others may have written since
        self.torn = False  # the file ends in half a line
        self.rotating = False
        self.used = False  # since it was opened or passed over
        self.lock = lock
        self.check_at = AT_ONCE

    def status(self) -> os.stat_result | None:
        """Return the file's status; ``None`` where the descriptor is ours no more.

        Daemons close all descriptors that they find, and the number is somebody else's soon.
        """
        try:
            status = os.fstat(self.fd)
        except OSError:
            return None
        return status if (status.st_dev, status.st_ino) == self.identity else None

    def is_gone(self) -> bool:
        """Tell whether the file has no name any more: what is written to it nobody will read."""
        status = self.status()
        return status is not None and not status.st_nlink

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
    """

    __slots__ = ("files", "here", "lock", "pid", "spare_locks")

    def __init__(self) -> None:
        self.files: OrderedDict[str | None, File] = OrderedDict()
        self.lock = threading.RLock()
        self.pid = os.getpid()
        self.here = here()
        self.spare_locks: list[threading.RLock] = []  # see Appender._open

    def forget(self, file: File) -> None:
        """Take *file* out, whoever else does so, too; its lock is the caller's."""
        if self.files.get(file.key) is file:
            self.files.pop(file.key, None)

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
                first.used = False
            elif is_surplus or is_idle:
                going.append(first)
                limit += 1
            else:
                break
            files.move_to_end(key)
        return going


def is_torn(fd: int, size: int) -> bool:
    """Tell whether the file ends in half a line that nobody is still writing."""
    while size and os.pread(fd, 1, size - 1) != b"\n":
        _await_writer(fd)
        before, size = size, os.fstat(fd).st_size
        if size == before:
            return True
    return False


def _await_writer(fd: int) -> None:
    """Wait until a write that another process is in the middle of is complete.

    A long write becomes visible page by page, but keeps the inode locked until its end, and so
    must wait whoever allocates space: here for a byte that is there already.
    """
    try:
        os.posix_fallocate(fd, 0, 1)
    except (AttributeError, OSError):  # not on this system, or not on this file system
        time.sleep(_WRITE_AT_MOST_S)

"""Which processes live, as the kernel knows it: each has a locked file under the root.

A line that only matters as long as its process lives names the process by the ID of its file. A process
ID would be somebody else's after a while, and another one's in another container. The lock is a record
lock (``fcntl``), which no child inherits by ``fork``, no other program by ``exec``, and which ends
with the process, however it ends. It ends, too, where the process closes another descriptor of the
same file; so nobody opens a file of its own process.

What a process has left is removed by the next one that comes, and by pruning.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import re
import threading
import time
import weakref
from typing import TYPE_CHECKING, NamedTuple

from tracectrl.files.locks import claim, is_claimed

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

PRESENCE_DIRECTORY: Final = ".running"
"""The directory under the root in which the files of processes are."""

_ID: Final = re.compile(r"[0-9a-f]{16}", re.ASCII)
_ID_BYTES: Final = 8
_EACH: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_DIRECTORY_FLAGS: Final = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _EACH
_ATTEMPTS: Final = 10
_POLL_S: Final = 0.001


class _Presence(NamedTuple):
    """A file of this process."""

    path: str
    fd: int
    identity: tuple[int, int]

    @property
    def id(self) -> str:
        return os.path.basename(self.path)

    def is_there(self) -> bool:
        """Tell whether it is open still, and has its name: daemons close whatever they find."""
        try:
            status = os.fstat(self.fd)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self.identity and status.st_nlink > 0


roots: Final[weakref.WeakKeyDictionary[object, str]] = weakref.WeakKeyDictionary()
"""The root of each writer of the process."""

_making: dict[int, threading.RLock] = {}  # by process: nobody may be there to let go in a child
_ids: dict[int, str] = {}  # by process: a forked child has another
_own: dict[tuple[int, str], _Presence] = {}  # by process and root


def announce(root: str) -> str | None:
    """Return the ID by which this process is known under *root*, for as long as it lives.

    It is the same under each root. ``None`` where there can be no such file: the system has no locks,
    the disk is full.
    """
    key = os.getpid(), root
    known = _own.get(key)
    if known is not None and known.is_there():
        claim(known.fd)  # anew, should it be lost
        return known.id
    try:
        with _making.setdefault(key[0], threading.RLock()):
            known = _own.get(key)
            if known is None or not known.is_there():
                known = _made(root, _ids.setdefault(key[0], os.urandom(_ID_BYTES).hex()))
                if not _own:
                    atexit.register(_leave)
                _own[key] = known
    except OSError:
        return None
    return known.id


def announce_everywhere() -> str | None:
    """Do as :func:`announce` does under the roots of all writers."""
    found = {announce(root) for root in set(roots.values())} - {None}
    return next(iter(found), None)


def is_present(root: str, presence_id: str) -> bool:
    """Tell whether the process lives that is known under *root* by this ID."""
    if _ID.fullmatch(presence_id) is None:
        return False
    if _is_own(presence_id):
        return True
    try:
        fd = os.open(os.path.join(root, PRESENCE_DIRECTORY, presence_id), os.O_RDONLY | _EACH)
    except OSError:
        return False
    try:
        return is_claimed(fd)
    finally:
        os.close(fd)


def any_present(root: str, presence_ids: Iterable[str | None]) -> bool:
    """Tell whether one of the processes lives that are known under *root* by these IDs."""
    return any(it is not None and is_present(root, it) for it in presence_ids)


def remove_left(root: str, *, dir_fd: int | None = None) -> None:
    """Remove the files under *root* of processes that are gone.

    A relative *root* is one in the directory that is open as *dir_fd*, where that is given.
    """
    with contextlib.suppress(OSError):
        at = os.open(os.path.join(root, PRESENCE_DIRECTORY), _DIRECTORY_FLAGS, dir_fd=dir_fd)
        try:
            _remove_left(at)
        finally:
            os.close(at)


def _remove_left(at: int) -> None:
    for name in os.listdir(at):
        if _ID.fullmatch(name) is None or _is_own(name):
            continue
        with contextlib.suppress(OSError):
            fd = os.open(name, os.O_RDONLY | _EACH, dir_fd=at)
            try:
                if not is_claimed(fd):
                    os.unlink(name, dir_fd=at)
            finally:
                os.close(fd)


def _made(root: str, presence_id: str) -> _Presence:
    """Make a file for this process.

    Raises:
        OSError: it cannot be made, or not be locked.
    """
    directory = os.path.join(root, PRESENCE_DIRECTORY)
    path = os.path.join(directory, presence_id)
    remove_left(root)
    for _ in range(_ATTEMPTS):
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | _EACH, 0o600)
        except FileNotFoundError:  # the first process here, or the last one has just left
            with contextlib.suppress(FileExistsError):
                os.mkdir(directory, 0o700)
            continue
        status = os.fstat(fd)
        made = _Presence(path, fd, (status.st_dev, status.st_ino))
        if claim(fd) and made.is_there():  # else somebody took it for one that was left
            return made
        os.close(fd)
        time.sleep(_POLL_S)
    raise OSError(errno.EAGAIN, "somebody has it", path)


def _is_own(presence_id: str) -> bool:
    return presence_id == _ids.get(os.getpid())


def _leave() -> None:
    """Remove the files of this process at its end."""
    pid = os.getpid()
    for (owner, _), presence in list(_own.items()):
        if owner == pid:
            _remove(presence)


def _remove(presence: _Presence) -> None:
    if presence.is_there():
        with contextlib.suppress(OSError):
            os.unlink(presence.path)
            os.rmdir(os.path.dirname(presence.path))  # where no other process is there
        with contextlib.suppress(OSError):
            os.close(presence.fd)

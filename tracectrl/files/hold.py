"""Who has a session's file open for writing, as the kernel knows it.

Every writer holds a shared ``flock`` on the file as long as its descriptor is open, at no cost per
line; the kernel lets go of it when the process ends, however it ends. Whoever wants to take a file
away (pruning, compressing) asks for the exclusive one, and learns whether anybody writes.

Where the system or the file system has no ``flock``, nobody seems to write.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

try:
    import fcntl

    _SHARED = fcntl.LOCK_SH | fcntl.LOCK_NB  # made once: it is asked for at each opening
except ImportError:  # pragma: no cover - Windows has no flock
    fcntl = None  # type: ignore[assignment]

FLAGS: Final = (
    os.O_RDWR  # a writer reads, too: a torn tail
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a FIFO must not block; a regular file does not care
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
"""For a session's file: never a link, nor a FIFO that nobody reads."""
_DIRECTORY_FLAGS: Final = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_POLL_S: Final = 0.001
_PATIENCE_S: Final = 1.0

_this_thread = threading.local()


def hold(fd: int) -> None:
    """Say that the file open as *fd* is being written, until the descriptor is closed.

    Whoever is taking the file away has it exclusively, for the length of a few system calls; for
    longer than a second nobody waits.
    """
    if fcntl is None:  # pragma: no cover
        return
    try:
        fcntl.flock(fd, _SHARED)
    except OSError:
        with contextlib.suppress(BlockingIOError):
            _wait_for(fd, fcntl.LOCK_SH)


@contextlib.contextmanager
def opened_alone(path: str | os.PathLike[str]) -> Iterator[tuple[int, bool]]:
    """Open the file at *path* to take it away; nobody opens it for writing meanwhile.

    Yields:
        The descriptor, and whether nobody else has the file open for writing. Be quick where that
        is so: a writer that wants the file waits.

    Raises:
        OSError: there is no such file, or it is a symbolic link.
    """
    fd = os.open(path, FLAGS)
    try:
        yield fd, _is_alone(fd)
    finally:
        _let_go(fd)


@contextlib.contextmanager
def changing_names(root: str | os.PathLike[str]) -> Iterator[None]:
    """Rename and remove files in *root* while nobody else does who asks like this.

    Raises:
        BlockingIOError: somebody has been at it for a second, or this very thread is, and a signal
            handler asks.
        OSError: there is no such directory.
    """
    if fcntl is None:  # pragma: no cover
        yield
        return
    if getattr(_this_thread, "is_changing_names", False):
        raise BlockingIOError(errno.EWOULDBLOCK, "in the middle of it", os.fspath(root))
    _this_thread.is_changing_names = True
    try:
        fd = os.open(root, _DIRECTORY_FLAGS)
        try:
            _wait_for(fd, fcntl.LOCK_EX)
            yield
        finally:
            _let_go(fd)
    finally:
        _this_thread.is_changing_names = False


def _is_alone(fd: int) -> bool:
    if fcntl is None:  # pragma: no cover
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno != errno.EWOULDBLOCK  # else a file system without locks
    return True


def _wait_for(fd: int, kind: int) -> None:
    """Lock *fd*; raise BlockingIOError where somebody else has it for longer than a second."""
    deadline: float | None = None
    while True:
        try:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno != errno.EWOULDBLOCK:  # a file system without locks
                return
            now = time.monotonic()
            deadline = now + _PATIENCE_S if deadline is None else deadline
            if now >= deadline:
                raise
            time.sleep(_POLL_S)
        else:
            return


def _let_go(fd: int) -> None:
    """Close *fd* and its lock, of which a child that was forked meanwhile has a copy."""
    if fcntl is not None:
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_UN)
    os.close(fd)

"""Who has a session's file open for writing, as the kernel knows it.

Every writer holds a shared ``flock`` on the file as long as its descriptor is open, at no cost per
line; the kernel lets go of it when the process ends, however it ends. Whoever wants to take a file
away (pruning, compressing) asks for the exclusive one, and learns whether anybody writes.

A forked child has a copy of each lock, and one that does not know of it keeps it when its parent is
killed: of a session's file that is no harm, but nobody would change names any more. So whoever has
something alone says so by a record lock, too (``fcntl``), which ends with the process that took it
and is no child's: an exclusive ``flock`` beside which there is none was left behind, and is not
waited for. A record lock of its own a process cannot see, so its threads have a table beside it;
and it is lost where the process closes another descriptor of the same file or directory, who lists
it for one. Then the ``flock`` is there still, which is waited for a little while in any case.

Where the system or the file system has no ``flock``, nobody seems to write.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import struct
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

try:
    import fcntl

    _SHARED = fcntl.LOCK_SH | fcntl.LOCK_NB  # made once: it is asked for at each opening
    _ALONE = fcntl.LOCK_EX | fcntl.LOCK_NB
    _TAKE, _LET_GO, _ASK_FOR = fcntl.F_RDLCK, fcntl.F_UNLCK, fcntl.F_WRLCK
    _SET, _GET, _record_lock = fcntl.F_SETLK, fcntl.F_GETLK, fcntl.fcntl
except ImportError:  # pragma: no cover - Windows has no flock
    fcntl = None  # type: ignore[assignment]
    _SHARED, _ALONE = 1, 2

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
_LEFT_AFTER_S: Final = 0.05
_SURE_AFTER: Final = 4
_RECORD: Final = struct.Struct("hhqqi")  # type, whence, start, length, process
_HAS_RECORDS: Final = sys.platform == "linux"  # elsewhere they are laid out in other ways

# By process: threads have the record locks of theirs together, and a forked child has no thread else.
_asking: dict[int, threading.Lock] = {}
_alone: dict[tuple[int, int, int], _Alone] = {}  # by process, device and inode


def hold(fd: int) -> bool:
    """Say that the file open as *fd* is being written, until the descriptor is closed.

    Whoever is taking the file away has it exclusively, for the length of a few system calls; for
    longer than a second nobody waits.

    Returns:
        Whether it could be said. If not, the file may be taken away at any moment: whoever writes to
        it looks behind each line whether it has a name still. See also :func:`may_hold`.
    """
    if fcntl is None:  # pragma: no cover
        return True
    try:
        fcntl.flock(fd, _SHARED)
    except OSError:
        try:
            _wait_for(fd, fcntl.LOCK_SH, lambda: _is_left(fd))
        except BlockingIOError:
            return False
    return True


def may_hold(fd: int) -> bool:
    """Do as :func:`hold`, and wait for nobody."""
    try:
        fcntl.flock(fd, _SHARED)
    except OSError:
        return False
    return True


def is_held(fd: int) -> bool:
    """Tell whether a process says of the file open as *fd* that it is writing it.

    Whoever asks has the file alone for a moment, and says so as the module tells; so those who ask at
    once do not take each other for writers.
    """
    if fcntl is None:  # pragma: no cover
        return False
    pid = os.getpid()
    with _asking.get(pid) or _asking.setdefault(pid, threading.Lock()):
        return not _is_free(fd) and _is_sure(fd)


def _is_free(fd: int) -> bool:
    """Tell whether the file could be had alone, for the moment that this takes."""
    _say(fd, _TAKE)
    try:
        fcntl.flock(fd, _ALONE)
    except OSError as error:
        return error.errno != errno.EWOULDBLOCK  # a file system without locks
    else:
        fcntl.flock(fd, fcntl.LOCK_UN)
        return True
    finally:
        _say(fd, _LET_GO)


def _is_sure(fd: int) -> bool:
    """Tell whether it is a writer that has the file, and none who asks as well."""
    deadline = time.monotonic() + _PATIENCE_S
    sure = 0
    while _key(fd) not in _alone:
        if _others_say(fd):  # who has it may be one who asks
            sure = 0
            time.sleep(_POLL_S)
        else:  # that one may have let go of it in this very moment
            sure += 1
        if sure == _SURE_AFTER or time.monotonic() >= deadline:
            return sure > 0
        if _is_free(fd):
            break
    return False


def claim(fd: int) -> bool:
    """Take the record lock of the file open as *fd* for this process alone; return whether it has it."""
    return _has_taken(fd, _ALONE)


def is_claimed(fd: int) -> bool:
    """Tell whether another process has the record lock of the file open as *fd*.

    As long as the descriptor is open nobody can take it then, whoever else asks meanwhile.
    """
    return not _has_taken(fd, _SHARED)


def _has_taken(fd: int, kind: int) -> bool:
    if fcntl is None:  # pragma: no cover
        return kind == _SHARED
    try:
        fcntl.lockf(fd, kind)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def opened_alone(
    path: str | os.PathLike[str], *, dir_fd: int | None = None
) -> Iterator[tuple[int, bool]]:
    """Open the file at *path* to take it away; nobody opens it for writing meanwhile.

    A relative *path* is one in the directory that is open as *dir_fd*, where that is given.

    Yields:
        The descriptor, and whether nobody else has the file open for writing. Be quick where that
        is so: a writer that wants the file waits.

    Raises:
        OSError: there is no such file, or it is a symbolic link.
    """
    fd = os.open(path, FLAGS, dir_fd=dir_fd)
    alone = _Alone(fd)
    try:
        yield fd, alone.take()
    finally:
        alone.let_go()


@contextlib.contextmanager
def changing_names(root: str | os.PathLike[str], *, dir_fd: int | None = None) -> Iterator[None]:
    """Rename and remove files in *root* while nobody else does who asks like this.

    A relative *root* is one in the directory that is open as *dir_fd*, where that is given.

    Raises:
        BlockingIOError: somebody has been at it for a second, or this very thread is, and a signal
            handler asks.
        OSError: there is no such directory.
    """
    if fcntl is None:  # pragma: no cover
        yield
        return
    fd = os.open(root, _DIRECTORY_FLAGS, dir_fd=dir_fd)
    alone = _Alone(fd)
    try:
        alone.take_turn(os.fspath(root))
        yield
    finally:
        alone.let_go()


class _Alone:
    """What is open as *fd* and is somebody's alone, by the three locks that the module speaks of."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._pid = os.getpid()
        self.thread = threading.get_ident()
        self._key = (0, 0, 0)
        self._to_close = [fd]  # any that is closed takes the process's record lock with it

    def take(self) -> bool:
        """Take it, unless somebody has it; return whether nobody else has."""
        if fcntl is None:  # pragma: no cover
            return True
        if not self._comes_first():
            return False
        _say(self._fd, _TAKE)
        try:
            fcntl.flock(self._fd, _ALONE)
        except OSError as error:
            if error.errno == errno.EWOULDBLOCK:  # else a file system without locks
                self._give_way()
                return False
        return True

    def take_turn(self, path: str) -> None:
        """Take it when nobody else has it; raise BlockingIOError where that is for a second."""
        deadline = time.monotonic() + _PATIENCE_S
        while not self._is_turn():
            if self._is_within() or time.monotonic() >= deadline:
                raise BlockingIOError(errno.EWOULDBLOCK, "somebody is in the middle of it", path)
            time.sleep(_POLL_S)
        is_certain = _others_say(self._fd) is False
        try:
            _wait_for(self._fd, fcntl.LOCK_EX, lambda: is_certain)
        except BlockingIOError:
            if not is_certain:
                raise

    def let_go(self) -> None:
        """Let it go and close it. A child that was forked meanwhile lets nothing go.

        What another thread has meanwhile is closed by that thread, when it lets go.
        """
        if self._pid != os.getpid():
            os.close(self._fd)
            return
        if fcntl is not None:
            with contextlib.suppress(OSError):
                fcntl.flock(self._fd, fcntl.LOCK_UN)
        other = _alone.get(self._key)
        if other is None or other is self:
            self._close()
        else:
            other._to_close.append(self._fd)  # noqa: SLF001 - of the same class
            if _alone.get(self._key) is not other:  # it has let go in this very moment
                other._close()  # noqa: SLF001 - as above
        if _alone.get(self._key) is self:
            del _alone[self._key]

    def _close(self) -> None:
        """Close what is to be closed, each once; with it the record lock is gone."""
        while self._to_close:
            with contextlib.suppress(IndexError):
                os.close(self._to_close.pop())

    def _is_turn(self) -> bool:
        """Say that it is taken, unless somebody else does; of two at a time neither does."""
        if not self._comes_first():
            return False
        if not _others_say(self._fd):
            _say(self._fd, _TAKE)
            if not _others_say(self._fd):
                return True
        self._give_way()
        return False

    def _comes_first(self) -> bool:
        """Tell whether no thread of this process had it; none has it from now on."""
        self._key = _key(self._fd)
        return _alone.setdefault(self._key, self) is self

    def _is_within(self) -> bool:
        """Tell whether this very thread has it: a signal handler asks."""
        other = _alone.get(self._key)
        return other is not None and other.thread == self.thread

    def _give_way(self) -> None:
        if _alone.get(self._key) is self:
            _say(self._fd, _LET_GO)
            del _alone[self._key]


def _key(fd: int) -> tuple[int, int, int]:
    status = os.fstat(fd)
    return os.getpid(), status.st_dev, status.st_ino


def _is_left(fd: int) -> bool:
    """Tell whether nobody who lives has *fd* alone: who is locked out by it need not wait."""
    return _key(fd) not in _alone and _others_say(fd) is False


def _say(fd: int, kind: int) -> None:
    """Take this process's record lock, or let it go. For reading: a directory allows no other."""
    if _HAS_RECORDS:
        try:  # noqa: SIM105 - suppress() costs as much as the call
            _record_lock(fd, _SET, _whole(kind))
        except OSError:
            pass


@functools.cache
def _whole(kind: int) -> bytes:
    """Return a record lock of a *kind* on a whole file, as the system takes it."""
    return _RECORD.pack(kind, os.SEEK_SET, 0, 0, 0)


def _others_say(fd: int) -> bool | None:
    """Tell whether another process has a record lock; ``None`` where nobody knows."""
    if not _HAS_RECORDS:
        return None
    try:
        answer = _record_lock(fd, _GET, _whole(_ASK_FOR))
    except OSError:
        return None
    return bool(_RECORD.unpack(answer)[0] != _LET_GO)


def _wait_for(fd: int, kind: int, is_left: Callable[[], bool]) -> None:
    """Lock *fd*; raise BlockingIOError where somebody else has it for longer than a second.

    Where *is_left* says so, for longer than a moment.
    """
    start = time.monotonic()
    while True:
        try:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno != errno.EWOULDBLOCK:  # a file system without locks
                return
            waited = time.monotonic() - start
            if waited >= _PATIENCE_S or (waited >= _LEFT_AFTER_S and is_left()):
                raise
            time.sleep(_POLL_S)
        else:
            return

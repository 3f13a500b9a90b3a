"""The one way a line gets into a session's file.

One line is one ``write``, newline included, to a descriptor opened for append: lines of several
threads and processes never mix, and when :meth:`Appender.append` returns, killing the process
loses nothing. The module is long, for all that an open file goes through is one object's.

Locks. Each open file has its own, held for the length of one write, so that nobody closes the
descriptor meanwhile; the table of open files has one, held for dictionary work alone. Nobody waits
for either while holding the other, and nothing is imported under one. A file leaves the table only
under its own lock: while one thread writes, no other has a second descriptor of the same file. All
are reentrant: a signal handler may log, and so may garbage, in the middle of anything. Two threads that
have a lock each, and want the other's for such a line, would wait for ever: so who has a writer's lock,
whichever writer's it is (:mod:`tracectrl.files.write.within`), takes no other. For such a line a file is
opened of its own, as another process would. A file that is opened for a single
line (:mod:`tracectrl.files.write.once`) is in no table, but what stands in for it is, with a lock. A fork
copies locks that threads of the parent hold, and those threads are not there to let go: a child has a
table, and so locks and descriptors, of its own.

Half lines. Our own are known from what ``write`` returns, those of writers before us from the file's
last byte, unless the file is as long as we left it. Another process may leave one at any moment,
killed in a long ``write`` or on a full disk, and the kernel then appends our line to it. The
descriptor's position tells: after a write it is the end of the file as that write left it. Where
nobody else has written in between, that is all; else the byte before our line is looked at, and a
line that was swallowed is written again.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
import weakref
from threading import get_ident
from typing import TYPE_CHECKING

from tracectrl.files.locks import FLAGS, hold, may_hold
from tracectrl.files.names import OVERFLOW_STEM, encoders, root_path, stem_of
from tracectrl.files.presence import roots
from tracectrl.files.root import make_root
from tracectrl.files.write.numbers import least_number, moved_up, open_descriptors
from tracectrl.files.write.once import append_once
from tracectrl.files.write.openfile import AT_ONCE, File, Table
from tracectrl.files.write.position import best_seek, held_seek
from tracectrl.files.write.reentrant import ReentrantLock
from tracectrl.files.write.rotation import LOOK_EVERY_S, has_left, rotate
from tracectrl.files.write.torn import is_torn, whole_at
from tracectrl.files.write.within import under

if TYPE_CHECKING:
    from typing import Final

    from tracectrl.files.write.position import Seek

try:
    import resource
except ImportError:  # pragma: no cover - Windows has no such limits
    resource = None  # type: ignore[assignment]

_FLAGS: Final = FLAGS | os.O_APPEND | os.O_CREAT
_MAX_OPEN_FILES: Final = 1024
_IDLE_S: Final = 60.0
_MAX_LEFT: Final = 1 << 14
_SHARE_EVERY_S: Final = 1.0
_NOT_LEFT: Final = -1, 0, 0
_SINGLES: Final = 3  # else bursts of one or two lines by chance would be taken for single ones
_MINUTE_S: Final = 60.0
_HERE: Final = os.SEEK_CUR


class Appender:
    """Appends lines to the files of many sessions, through a bounded set of open descriptors.

    Args:
        root: the directory; ``None`` as :func:`tracectrl.files.names.root_path` says.
        suffix: what comes after the stem in a file's name.
        max_open_files: descriptors held at most; those that are not used go first. ``None``
            takes half of ``RLIMIT_NOFILE``. Once the process has five eighths of it open in all, it takes a
            fifth, and all appenders of the process two fifths together; 1024 at most.
        max_bytes: a file that would grow beyond this is rotated first; 0 for never.
        backup_count: how many rotated files are kept; 0 for no rotation.
        max_sessions_per_minute: files of new sessions that may be made in a minute; the lines of
            further ones go to the file of :data:`~tracectrl.files.names.OVERFLOW_STEM`. 0 for no
            bound.

    Raises:
        TypeError: an option is of another type.
        ValueError: a number is out of range, or the root is empty.
        OSError: the root cannot be made or written to; the message says the mend.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None,
        suffix: str,
        *,
        max_open_files: int | None = None,
        max_bytes: int = 0,
        backup_count: int = 0,
        max_sessions_per_minute: int = 0,
    ) -> None:
        if max_open_files is not None:
            whole_number("max_open_files", max_open_files, 1)
        whole_number("max_bytes", max_bytes, 0)
        whole_number("backup_count", backup_count, 0)
        whole_number("max_sessions_per_minute", max_sessions_per_minute, 0)
        self.root: Final = os.path.abspath(root_path(root))
        self._prefix = os.path.join(self.root, "")
        self._suffix = suffix
        self._max_bytes = max_bytes if backup_count else 0
        self._backup_count = backup_count
        self._limit, self._limit_beside_others, self._many_open = _limits(max_open_files)
        self._least_fd = least_number()
        self._share_at = float("-inf")
        self.shares: Final = max_open_files is None
        _appenders.append(weakref.ref(self, _appenders.remove))
        roots[self] = self.root
        self._rotate_at = float("-inf")
        self.max_sessions_per_minute = max_sessions_per_minute
        self._new: dict[str, float] = {}  # when they were admitted, the oldest first
        # Looked for here, under no lock: to import is to wait for others, and these may log; and at
        # the interpreter's end, or in another root, nothing can be imported.
        encoders()
        held_seek()
        self._lseek: Seek = os.lseek
        self._table = Table()
        self._tables = {self._table.pid: self._table}
        self._closed = object()  # another one whenever a file is closed
        # Of files that were closed with a newline at their ends: how long they were, since to look
        # there costs more; in which turn; and behind how many single lines in a row.
        self._left: dict[str | None, tuple[int, int, int]] = {}
        make_root(self.root)

    def append(self, sid: str, line: bytes) -> None:  # noqa: C901, PLR0912, PLR0915 - one call
        """Append *line*, which ends in a newline, to the file of the session *sid*.

        Raises:
            OSError: the line is not in the file; the next one starts on a line of its own.
        """
        retried = False
        thread = get_ident()
        while True:
            table = self._table
            if not table.here[0]:
                table = self._own_table()
            writing = table.writing
            is_within = thread in writing  # a signal handler, or garbage
            file = self._opened_apart(table, sid) if is_within else table.files.get(sid)
            if file is None:
                table.turn += 1
                left = self._left.get(sid)
                if left is not None and left[2] >= _SINGLES and self._append_once(sid, line, left):
                    return
                file = self._opened(table, sid)
            else:
                file.used = True
                file.turn = table.turn
            try:
                writing[thread] = True
                with file.lock:  # not acquire(): a signal handler that raises would leave it taken
                    try:
                        is_due = time.monotonic() >= file.check_at or (
                            self._max_bytes and file.end + len(line) > self._max_bytes
                        )
                        if file.fd < 0 or (is_due and not self._may_write(file, len(line))):
                            table.forget(file)
                            continue
                        data = b"\n" + line if file.torn else line
                        start = file.end
                        written = os.write(file.fd, data)
                        try:
                            end = self._lseek(file.fd, 0, _HERE)
                        except OSError:  # a signal handler has logged and closed it, or a daemon
                            end = -1
                        file.end = end
                        missing = len(data) - written
                        if missing <= 1:  # without its newline it is a line, too
                            file.torn = missing != 0
                            if missing:
                                file.check_at = AT_ONCE
                            if start != end - written:
                                if end - written < start or not file.shared:
                                    if file.fd >= 0 and file.status() is None:
                                        _distrust()  # the line is in somebody else's file
                                        table.forget(file)
                                        continue
                                    file.shared = True
                                if file.has_swallowed(data[:written], start, end):
                                    continue
                            # In this very moment, and the line with it; or in a write that took long.
                            if (is_due or time.monotonic() >= file.check_at) and file.is_gone():
                                table.forget(file)
                                continue
                            return
                        file.check_at = AT_ONCE
                        if written:  # more than the newline in front of it
                            file.torn = written != 1 or data is line
                    except OSError as error:
                        file.check_at = AT_ONCE
                        if error.errno != errno.EBADF:
                            raise
                        _distrust()
                        table.forget(file)
                        if retried:
                            raise
                        retried = True  # somebody closed our descriptor
                        continue
            finally:
                if not is_within:
                    writing.pop(thread, None)
            if retried:
                msg = f"wrote {written} of {len(data)} bytes to {file.path}"
                raise OSError(errno.EIO, msg)
            retried = True  # the half line stays; the whole one follows on a fresh line

    def close(self) -> None:
        """Close every descriptor; a later :meth:`append` opens its file again."""
        table = self._table if self._table.here[0] else self._own_table()
        for file in list(table.files.values()):
            self._shut(table, file)

    @property
    def open_files(self) -> int:
        """How many descriptors are open now."""
        return len(self._table.files)

    def leave_to_parent(self) -> None:
        """Close what the process has open that this one was forked from."""
        if not self._table.here[0]:
            self._own_table()

    def _own_table(self) -> Table:
        """Return the table of this process, a forked child that has its parent's still."""
        fresh = Table()
        tables = self._tables
        table = tables.setdefault(fresh.pid, fresh)  # atomic: threads agree on one
        self._table = table
        for pid in list(tables):
            if pid != table.pid:
                tables.pop(pid, None)
        return table

    def _may_write(self, file: File, size: int) -> bool:
        """Tell whether *file* is still the one at its path, with room for *size* bytes."""
        now = time.monotonic()  # before it is looked at: see LOOK_EVERY_S
        if not file.is_held:  # who has it alone was slow
            file.is_held = may_hold(file.fd)
        status = file.status()
        if status is None or has_left(file.path, status):
            return False
        present = status.st_size
        if file.check_at == AT_ONCE and present != file.end:  # others have seen to the half line
            file.torn = is_torn(file.fd, present)
            file.end = present
        file.check_at = now + LOOK_EVERY_S if file.is_held else now
        file.shared = False
        self._lseek = best_seek()
        if (
            not self._max_bytes
            or not present
            or present + size <= self._max_bytes
            or file.rotating  # a signal handler logs in the middle of it
            or now < self._rotate_at
        ):
            return True
        file.rotating = True
        try:
            if rotate(file.fd, file.path, self._backup_count):
                file.check_at = AT_ONCE  # for the threads that wait for it
                return False
            self._rotate_at = time.monotonic() + LOOK_EVERY_S
            return True
        finally:
            file.rotating = False

    def _append_once(self, sid: str, line: bytes, left: tuple[int, int, int]) -> bool:
        """Append *line* to the file of *sid*, which was *left*, and close it again; tell whether it is done.

        If not, there is room for one more open file, or the session's last line is later than that of
        the file whose place it would take, or something is not as it was: in any case the line is to
        be appended in the usual way.
        """
        table = self._table
        now = time.monotonic()
        if not table.is_full_of_later(self._limit, left[1], now - _IDLE_S):
            return False
        stand_in = table.stand_in(sid, now + LOOK_EVERY_S)
        if stand_in is None:
            return False
        is_done = under(
            stand_in.lock, table.writing, self._append_behind, table, stand_in, sid, line, left
        )
        table.take_back(stand_in)
        return is_done

    def _append_behind(
        self, table: Table, stand_in: File, sid: str, line: bytes, left: tuple[int, int, int]
    ) -> bool:
        whole, _, singles = left
        new: int | None = None
        try:
            if table.files.get(sid) is stand_in:
                path, most = self._path(stem_of(sid)), self._max_bytes
                new = append_once(path, line, whole, self._lseek, most, stand_in.check_at)
        finally:
            self._closed = object()
            if new is not None:
                self._left[sid] = new, stand_in.turn, singles
            table.forget(stand_in)
        return new is not None

    def _opened_apart(self, table: Table, sid: str) -> File:
        """Open the file of *sid* for one line, as another process would: see the locks above."""
        return self._open(table, *self._place(table, sid))

    def _place(self, table: Table, sid: str) -> tuple[str | None, str]:
        """Return the key and the path of the file that takes the lines of *sid*."""
        path = self._path(stem_of(sid))
        if (
            self.max_sessions_per_minute
            and not self._has_file(path)
            and not self._admits(table, sid)
        ):
            return None, self._path(OVERFLOW_STEM)
        return sid, path

    def _opened(self, table: Table, sid: str) -> File:
        key, path = self._place(table, sid)
        if key is None and (known := table.files.get(key)) is not None:
            known.used = True
            known.turn = table.turn
            return known
        closed = self._closed
        fresh = self._open(table, key, path)
        fresh.turn = table.turn
        file, surplus = under(table.lock, table.writing, self._entered, table, fresh, closed)
        if file is not fresh:
            fresh.close()
        for victim in surplus:
            self._shut(table, victim)
        return file

    def _entered(self, table: Table, fresh: File, closed: object) -> tuple[File, list[File]]:
        """Put *fresh* into the table; return the file that is there now, and those to be closed for it."""
        idle_since = fresh.check_at - _IDLE_S
        file = fresh
        if closed is not self._closed:  # another opened it, wrote, and closed it meanwhile
            fresh.end = -1
            fresh.check_at = AT_ONCE
        try:
            file = table.files.setdefault(fresh.key, fresh)
            return file, table.surplus(self._limit, file, idle_since)
        except (RuntimeError, KeyError, StopIteration):
            return file, []  # others forget files meanwhile; the next opening sees to the rest

    def _has_file(self, path: str) -> bool:
        """Tell whether the session whose file is at *path* is no new one; its file may be rotated."""
        return os.path.lexists(path) or (self._max_bytes > 0 and os.path.lexists(f"{path}.1"))

    def _admits(self, table: Table, sid: str) -> bool:
        """Tell whether the session *sid* may have a new file of its own, and count it once."""
        if get_ident() in table.writing:
            return self._admits_now(sid, forgets=False)
        return under(table.lock, table.writing, self._admits_now, sid)

    def _admits_now(self, sid: str, *, forgets: bool = True) -> bool:
        new = self._new
        since = time.monotonic() - _MINUTE_S
        while forgets and new and new[first := next(iter(new))] <= since:
            del new[first]
        if sid not in new:  # else another thread is making it
            if len(new) >= self.max_sessions_per_minute:
                return False
            new[sid] = time.monotonic()
        return True

    def _path(self, stem: str) -> str:
        return f"{self._prefix}{stem}{self._suffix}"

    def _open(self, table: Table, key: str | None, path: str) -> File:  # noqa: C901, PLR0912 - one call
        is_again = False
        while True:
            check_at = time.monotonic() + LOOK_EVERY_S
            try:
                fd = os.open(path, _FLAGS, 0o600)
            except OSError as error:
                if error.errno == errno.ENOENT and not (is_again and os.path.isdir(self.root)):
                    make_root(self.root)  # another thread may have made it since
                    is_again = True
                    continue
                if error.errno in (errno.EMFILE, errno.ENFILE) and self._shrink(table):
                    continue
                if error.errno == errno.ELOOP:
                    raise _refused(path, "a symbolic link") from None
                raise
            file: File | None = None
            try:
                lowest, fd = fd, moved_up(fd, self._least_fd)
                if fd != lowest:
                    os.close(lowest)
                is_held = hold(fd)
                status = os.fstat(fd)
                if not stat.S_ISREG(status.st_mode):
                    raise _refused(path, "not a regular file")  # noqa: TRY301 - closed below
                if status.st_nlink:  # else it was taken away before we held it
                    # To make one costs half a microsecond. Who still waits for the lock of a file
                    # that is closed lets go of it at once: that another file has it is no harm.
                    try:
                        lock = table.spare_locks.pop()
                    except IndexError:
                        lock = ReentrantLock()
                    file = File(key, path, lock)
                    file.is_held = is_held
                    file.check_at = check_at if is_held else AT_ONCE
                    inode, size = status.st_ino, status.st_size
                    file.identity = status.st_dev, inode
                    file.end = size
                    whole, _, singles = self._left.get(key, _NOT_LEFT)
                    if singles < _SINGLES:
                        file.singles = singles
                    else:
                        file.used = False  # it has come back soon: this line is no single one
                    file.torn = whole != whole_at(inode, size) and is_torn(fd, size)
                    file.fd = fd
                    _claim(file)
                    if (
                        open_descriptors(lowest, fd, self._least_fd) >= self._many_open
                        and check_at >= self._share_at
                    ):
                        self._share(check_at)
                    return file
            except BaseException:
                if file is None or file.fd != fd:  # else the file closes it
                    os.close(fd)
                raise
            os.close(fd)

    def _share(self, now: float) -> None:
        """Have all appenders that choose their own bound be content with a part of what is left."""
        self._share_at = now + _SHARE_EVERY_S
        sharing = [it for it in _living() if it.shares]
        parts = max(2, sum(it.open_files > 0 for it in sharing))
        for each in sharing:
            each.be_content_with(2 * self._limit_beside_others // parts)

    def _shrink(self, table: Table) -> bool:
        """Have half of the open files closed, else of another appender's; return whether any were."""
        if get_ident() in table.writing:
            return False
        return self.halve() or any(it.halve() for it in _living())

    def halve(self) -> bool:
        """Close half of the open files and be content with that many from now on, if there are any."""
        number = self.open_files
        return number > 0 and self.be_content_with(number - max(1, number // 2))

    def be_content_with(self, limit: int) -> bool:
        """Close what is open beyond *limit*, and open no more from now on; return whether any was closed."""
        self._limit = min(self._limit, max(1, limit))
        table = self._table
        files = list(table.files.values()) if table.here[0] else []
        surplus = files[: len(files) - limit] if len(files) > limit else []
        for file in surplus:
            self._shut(table, file)
        return bool(surplus)

    def distrust(self) -> None:
        """Look at each open file before its next line."""
        for file in list(self._table.files.values()):
            file.check_at = AT_ONCE

    def _shut(self, table: Table, file: File) -> None:
        """Close *file* once nobody writes to it any more; in the middle of a write nothing is closed."""
        if get_ident() not in table.writing:
            under(file.lock, table.writing, self._shut_now, table, file)

    def _shut_now(self, table: Table, file: File) -> None:
        table.forget(file)
        self._closed = object()
        if file.fd < 0:
            return
        if not file.torn:
            if len(self._left) >= _MAX_LEFT and file.key not in self._left:
                self._left.clear()
            singles = file.singles + 1 if file.used is None else 0
            turn = file.turn if singles else 0  # which nobody will ask for; it saves memory
            self._left[file.key] = whole_at(file.identity[1], file.end), turn, singles
        file.close()
        table.spare_locks.append(file.lock)  # once: who comes after us leaves before this


_appenders: Final[list[weakref.ref[Appender]]] = []


_claims: Final[dict[int, weakref.ref[File]]] = {}
"""Which file was last opened as which descriptor."""


def _claim(file: File) -> None:
    """Note the descriptor of *file*; where it is still taken for another one's, trust none."""
    former = _claims.get(file.fd)
    if former is not None and (other := former()) is not None and other.fd == file.fd:
        _distrust()
    _claims[file.fd] = weakref.ref(file)


def _distrust() -> None:
    """Have each open file looked at before its next line: somebody else closes our descriptors."""
    for appender in _living():
        appender.distrust()


def _leave_to_parent() -> None:
    """Close, in a forked child, what its parent has open: it is the parent that writes there."""
    for appender in _living():
        appender.leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)


def _living() -> list[Appender]:
    """Return the appenders of the process."""
    return [appender for it in _appenders.copy() if (appender := it()) is not None]


def whole_number(name: str, value: object, least: int) -> None:
    """Raise what says why *value* is no number of at least *least* for the option *name*."""
    if isinstance(value, bool) or not isinstance(value, int):
        msg = f"{name} must be an int, got {type(value).__name__} {value!r}"
        raise TypeError(msg)
    if value < least:
        wanted = f"at least {least}" if least else "0 (off) or more"
        msg = f"{name} must be {wanted}, got {value!r}"
        raise ValueError(msg)


def _limits(max_open_files: int | None) -> tuple[int, int, int]:
    """Return how many files may be open, how many of them where the process has many, and what is many."""
    if max_open_files is not None:
        return max_open_files, max_open_files, sys.maxsize
    if resource is None:  # pragma: no cover
        return 128, 128, sys.maxsize
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MAX_OPEN_FILES, _MAX_OPEN_FILES, sys.maxsize
    few, more = (max(1, min(_MAX_OPEN_FILES, part)) for part in (soft // 5, soft // 2))
    return more, few, soft * 5 // 8


def _refused(path: str, what: str) -> OSError:
    return OSError(errno.ELOOP, f"refusing to log into {what}; remove it", path)

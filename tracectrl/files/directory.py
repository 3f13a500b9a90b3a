"""A directory that is opened once, and whose files are reached through it from then on.

Whoever may write to the directory above, or to this one, may put a link at any path between two
steps. What is reached by descriptor stays the same directory, whatever its path leads to by then,
and no link in it is followed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING

from tracectrl.files.locks import changing_names, opened_alone
from tracectrl.files.write.rotation import shift

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Final

    from typing_extensions import Self

_FLAGS: Final = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_EACH: Final = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a FIFO must not block
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_HAS_DIR_FD: Final = os.open in os.supports_dir_fd
_HAS_TIMES_BY_FD: Final = os.utime in os.supports_fd


class Directory:
    """An open directory; its files are named without it.

    The path that opens it may be a link: which directory is meant is its user's choice, once.
    Where the system cannot reach files by a directory's descriptor, their paths are used.

    Raises:
        OSError: there is no such directory, or it may not be opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self.fd = os.open(self.path, _FLAGS) if _HAS_DIR_FD else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.fd is not None:
            os.close(self.fd)

    @property
    def root(self) -> str:
        """The path of the directory for system calls that are given :attr:`fd` as ``dir_fd``."""
        return self.path if self.fd is None else "."

    def place(self, name: str) -> str:
        """Return what system calls are given for the file *name*, with :attr:`fd` as ``dir_fd``."""
        return name if self.fd is not None else os.path.join(self.path, name)

    def open(self, name: str, flags: int) -> int:
        """Open the file *name*, which is created for its owner alone; no link, no FIFO without end.

        Raises:
            OSError: as :func:`os.open`; a symbolic link is ELOOP.
        """
        return os.open(self.place(name), flags | _EACH, 0o600, dir_fd=self.fd)

    def open_regular(self, name: str, flags: int) -> int:
        """Open the file *name* as :meth:`open`; OSError where it is no regular file."""
        fd = self.open(name, flags)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(errno.EINVAL, "not a regular file", name)
        return fd

    def status(self, name: str) -> os.stat_result:
        """Return the status of *name*, of a link its own."""
        return os.stat(self.place(name), dir_fd=self.fd, follow_symlinks=False)

    def has(self, name: str) -> bool:
        """Tell whether there is anything called *name*."""
        try:
            self.status(name)
        except OSError:
            return False
        return True

    def is_at(self, name: str, status: os.stat_result) -> bool:
        """Tell whether *name* is that of the very file whose *status* this is."""
        try:
            return os.path.samestat(status, self.status(name))
        except OSError:
            return False

    def remove(self, name: str, status: os.stat_result) -> None:
        """Remove *name* if it is that of the file whose *status* this is; no other is removed.

        Raises:
            OSError: it is another's by now (ESTALE), or cannot be removed.
        """
        self._expect(name, status)
        os.unlink(self.place(name), dir_fd=self.fd)

    def rename(self, name: str, target: str, status: os.stat_result) -> None:
        """Give the file whose *status* this is, which is called *name*, the name *target*.

        Raises:
            OSError: it is not there before or after (ESTALE), or cannot be renamed.
        """
        self._expect(name, status)
        self._replace(self.place(name), self.place(target))
        self._expect(target, status)

    def set_times(self, name: str, fd: int, status: os.stat_result) -> None:
        """Give the file *name*, which is open as *fd*, the times of *status*."""
        target = fd if _HAS_TIMES_BY_FD else self.place(name)
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))

    def shift(self, name: str, count: int) -> None:
        """Move *name* and its newest *count* backups up by one, inside :meth:`changing_names`."""
        shift(self.place(name), count, replace=self._replace)

    def opened_alone(self, name: str) -> AbstractContextManager[tuple[int, bool]]:
        """Open the file *name* as :func:`tracectrl.files.locks.opened_alone` does."""
        return opened_alone(self.place(name), dir_fd=self.fd)

    def changing_names(self) -> AbstractContextManager[None]:
        """Do as :func:`tracectrl.files.locks.changing_names` does, in this directory."""
        return changing_names(self.root, dir_fd=self.fd)

    @contextlib.contextmanager
    def entries(self) -> Iterator[Iterator[os.DirEntry[str]]]:
        """List the directory in the way in which asking for the status of its files is quickest."""
        with os.scandir(self.path if self.fd is None else self.fd) as entries:
            yield entries

    def _replace(self, place: str, target: str) -> None:
        os.replace(place, target, src_dir_fd=self.fd, dst_dir_fd=self.fd)

    def _expect(self, name: str, status: os.stat_result) -> None:
        if not self.is_at(name, status):
            raise OSError(errno.ESTALE, "replaced by another file meanwhile", name)

"""Rotation by size, safe with several processes writing one file.

The names are those of :class:`logging.handlers.RotatingFileHandler`: ``NAME.1`` is the newest
backup. The lock is an ``flock`` on the file being rotated: whoever gets it second finds another
file at the path and rotates nothing. The rename of the live file comes last, so no process can
rotate its successor before the chain of backups is in order. A process that still writes through
an old descriptor writes into ``NAME.1``: the line is kept.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows has no flock
    fcntl = None  # type: ignore[assignment]


def rotate(fd: int, path: str, backup_count: int) -> None:
    """Move the file at *path*, open as *fd*, to ``path.1``; older backups move up by one.

    Does nothing where *path* is no longer the file that *fd* is open on.

    Raises:
        OSError: a rename failed; no line is lost by that.
    """
    with _exclusively(fd):
        if not is_file_at(fd, path):
            return
        for number in range(backup_count - 1, 0, -1):
            for suffix in ("", ".gz", ".zst"):
                with contextlib.suppress(FileNotFoundError):
                    os.replace(f"{path}.{number}{suffix}", f"{path}.{number + 1}{suffix}")
        os.replace(path, f"{path}.1")


def is_file_at(fd: int, path: str) -> bool:
    """Tell whether *path* names the file that *fd* is open on."""
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except OSError:
        return False


@contextlib.contextmanager
def _exclusively(fd: int) -> Iterator[None]:
    if fcntl is None:  # pragma: no cover
        yield
        return
    fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)

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

_PACKED = ("", ".gz", ".zst")


def rotate(fd: int, path: str, backup_count: int) -> bool:
    """Move the file at *path*, open as *fd*, to ``path.1``; older backups move up by one.

    Returns:
        Whether *path* is free for a new file, by this or another process; ``False`` where a rename
        failed: an oversized file is better than a lost line.
    """
    try:
        with _exclusively(fd):
            if is_file_at(fd, path):
                _shift(path, backup_count)
    except OSError:
        return False
    return True


def _shift(path: str, backup_count: int) -> None:
    for suffix in _PACKED:
        with contextlib.suppress(FileNotFoundError):
            os.remove(f"{path}.{backup_count}{suffix}")
    for number in range(backup_count - 1, 0, -1):
        for suffix in _PACKED:
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

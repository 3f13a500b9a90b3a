"""Rotation by size, safe with several processes writing one file.

The names are those of :class:`logging.handlers.RotatingFileHandler`: ``NAME.1`` is the newest
backup. One process at a time changes names in a root: whoever comes second finds another file at
the path and rotates nothing. A process that still writes through an old descriptor writes into
``NAME.1``: the line is kept. The oldest backup goes only when its writers have noticed.
"""

from __future__ import annotations

import contextlib
import os
import time

from tracectrl.files.hold import changing_names, opened_alone

PACKED = ("", ".gz", ".zst")
"""What a backup's name may end in, compressed or not."""

MOVED_WITHIN_S = 0.02
"""How long a writer may go on writing without a look at whether its file is still at its path."""

_CLOCK_S = 0.02  # the times of files are those of the kernel's last tick


def rotate(fd: int, path: str, backup_count: int) -> bool:
    """Move the file at *path*, open as *fd*, to ``path.1``; older backups move up by one.

    Those beyond a gap stay where they are: it is room enough. So what a rotation costs is a matter
    of the backups that there are, not of *backup_count*.

    Returns:
        Whether *path* is free for a new file, by this or another process; ``False`` where a rename
        failed: an oversized file is better than a lost line.
    """
    try:
        with changing_names(os.path.dirname(path)):
            if is_at(path, os.fstat(fd)):
                count = _unbroken(path, backup_count)
                if count == backup_count:
                    _await_writers(f"{path}.{backup_count}")
                    for suffix in PACKED:
                        with contextlib.suppress(FileNotFoundError):
                            os.remove(f"{path}.{backup_count}{suffix}")
                    count -= 1
                shift(path, count)
    except OSError:
        return False
    return True


def _await_writers(path: str) -> None:
    """Wait until whoever writes to the backup at *path* has noticed that it is one.

    That is a matter of milliseconds since it was renamed, which is what its ctime says at least.
    """
    with contextlib.suppress(OSError), opened_alone(path) as (fd, is_alone):
        if not is_alone:
            age = time.time() - os.fstat(fd).st_ctime
            if age < MOVED_WITHIN_S + _CLOCK_S:
                time.sleep(MOVED_WITHIN_S + _CLOCK_S - max(0.0, age))


def _unbroken(path: str, most: int) -> int:
    """Return how many backups there are before the first gap, or *most*."""
    for number in range(1, most + 1):
        if not any(os.path.lexists(f"{path}.{number}{suffix}") for suffix in PACKED):
            return number - 1
    return most


def shift(path: str, count: int) -> None:
    """Move *path* and its newest *count* backups up by one; inside :func:`changing_names`."""
    for number in range(count, 0, -1):
        for suffix in PACKED:
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{path}.{number}{suffix}", f"{path}.{number + 1}{suffix}")
    os.replace(path, f"{path}.1")


def is_at(path: str, status: os.stat_result) -> bool:
    """Tell whether *path* names the very file whose *status* this is."""
    try:
        return os.path.samestat(status, os.lstat(path))
    except OSError:
        return False

"""Rotation by size, safe with several processes writing one file.

The names are those of :class:`logging.handlers.RotatingFileHandler`: ``NAME.1`` is the newest
backup. One process at a time changes names in a root: whoever comes second finds another file at
the path and rotates nothing. A process that still writes through an old descriptor writes into
a backup: the line is kept. A backup to which somebody may write still is not removed; it waits
behind the others, under the first free number, for a later rotation.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from tracectrl.files.locks import changing_names, opened_alone

if TYPE_CHECKING:
    from collections.abc import Callable

PACKED = ("", ".gz", ".zst")
"""What a backup's name may end in, compressed or not."""

LOOK_EVERY_S = 0.5
"""How long a writer may go on writing without a look at whether its file is still at its path."""

SETTLED_AFTER_S = 2 * LOOK_EVERY_S
"""So long after its renaming a file is not written any more; the kernel's times have a slack."""

_MOST_REMOVED = 10  # in one rotation, where backup_count was lowered: others wait meanwhile


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
                shift(path, _make_room(path, backup_count))
    except OSError:
        return False
    return True


def _make_room(path: str, backup_count: int) -> int:
    """Remove the backups past *backup_count* that nobody writes; return how many are to move up."""
    count = before = _unbroken(path)
    for number in range(count, backup_count, -1):
        # Compressed backups behind the others are an archive, which compressing has made.
        if before - count == _MOST_REMOVED or not os.path.lexists(f"{path}.{number}"):
            break
        # The last of those that are held takes its place, in one step: a gap there would never close.
        if _remove(f"{path}.{number}", f"{path}.{count}" if number < count else None):
            count -= 1
    if count < backup_count:
        return count
    oldest = f"{path}.{backup_count}"
    if _remove(oldest):
        for suffix in PACKED[1:]:
            if os.path.lexists(oldest + suffix):
                os.remove(oldest + suffix)
    else:
        for suffix in PACKED:
            with contextlib.suppress(FileNotFoundError):
                os.replace(oldest + suffix, f"{path}.{count + 1}{suffix}")
    return backup_count - 1


def _remove(path: str, successor: str | None = None) -> bool:
    """Remove the backup at *path*; return whether it is gone: not where somebody may write to it.

    Nobody does who has not got it open, and nobody looks at the path so rarely as to write to what
    has been a backup for :data:`SETTLED_AFTER_S`. The file at *successor*, where that is given, takes
    its place.
    """
    try:
        with opened_alone(path) as (fd, is_alone):
            if not is_alone and time.time() - os.fstat(fd).st_ctime < SETTLED_AFTER_S:
                return False
            _replace(path, successor)
    except FileNotFoundError:
        if successor is not None:
            os.replace(successor, path)
    except OSError:  # a link, or not ours to open
        _replace(path, successor)
    return True


def _replace(path: str, successor: str | None) -> None:
    if successor is None:
        os.remove(path)
    else:
        os.replace(successor, path)


def _unbroken(path: str) -> int:
    """Return how many backups there are before the first gap."""
    number = 1
    while any(os.path.lexists(f"{path}.{number}{suffix}") for suffix in PACKED):
        number += 1
    return number - 1


def shift(path: str, count: int, *, replace: Callable[[str, str], object] | None = None) -> None:
    """Move *path* and its newest *count* backups up by one; inside :func:`changing_names`.

    *replace* renames a file; :func:`os.replace` where it is not given.
    """
    move = os.replace if replace is None else replace
    for number in range(count, 0, -1):
        for suffix in PACKED:
            with contextlib.suppress(FileNotFoundError):
                move(f"{path}.{number}{suffix}", f"{path}.{number + 1}{suffix}")
    move(path, f"{path}.1")


def is_at(path: str, status: os.stat_result) -> bool:
    """Tell whether *path* names the very file whose *status* this is."""
    try:
        return os.path.samestat(status, os.lstat(path))
    except OSError:
        return False


def has_left(path: str, status: os.stat_result) -> bool:
    """Tell whether the file whose *status* this is is at *path* no more.

    Where nobody can look, for the directory is closed to this process for one, it has not been seen to
    leave.
    """
    try:
        return not os.path.samestat(status, os.lstat(path))
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False

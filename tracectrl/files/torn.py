"""Half lines: whether a file ends in one, and whether a line of ours was appended to one.

Whoever is killed in a long ``write``, or fills the disk, leaves one behind.
"""

from __future__ import annotations

import os
import time
from typing import Final

_WRITE_AT_MOST_S: Final = 0.05


def whole_at(inode: int, size: int) -> int:
    """Return what says that the file *inode* ended in a whole line at this *size* in bytes.

    One number, for as little memory as can be: there is one for each of many sessions.
    """
    return size << 64 | inode


def is_torn(fd: int, size: int) -> bool:
    """Tell whether the file ends in half a line that nobody is still writing."""
    while size and os.pread(fd, 1, size - 1) != b"\n":
        _await_writer(fd)
        before, size = size, os.fstat(fd).st_size
        if size == before:
            return True
    return False


def is_swallowed(fd: int, data: bytes, end: int) -> bool:
    """Tell whether *data*, written to the file up to *end*, goes on somebody's half line.

    Where the descriptor is a forked child's, too, *end* may be past our line, and *data* is not
    found: then nothing is said of it.
    """
    start = end - len(data)
    if start <= 0 or data.startswith(b"\n"):
        return False
    try:
        return os.pread(fd, 1, start - 1) != b"\n" and os.pread(fd, len(data), start) == data
    except OSError:
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

"""Half lines: whether a file ends in one, and whether a line of ours was appended to one.

Whoever is killed in a long ``write``, or fills the disk, leaves one behind.
"""

from __future__ import annotations

import os
import time
from typing import Final

_WRITE_AT_MOST_S: Final = 0.05
_FAR_BYTES: Final = 1 << 24


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


def is_swallowed(fd: int, data: bytes, since: int, end: int) -> bool:
    """Tell whether *data* goes on somebody's half line.

    It was written when the file was as long as *since* at least, and ends at *end*, or before that
    where others use the same descriptor: a signal handler that logs, a forked child. Where it is not
    found nothing is said of it.
    """
    start = end - len(data)
    if start <= 0 or data.startswith(b"\n"):
        return False
    try:
        # In one call each: a signal handler may close the descriptor, and another file be opened.
        found = os.pread(fd, len(data) + 1, start - 1)
        if found[1:] == data:
            return not found.startswith(b"\n")
        if not 0 <= since <= start or end - since > _FAR_BYTES:
            return False
        found = os.pread(fd, end - since + 1, since - 1) if since else b"\n" + os.pread(fd, end, 0)
    except OSError:
        return False
    return data in found and b"\n" + data not in found


def _await_writer(fd: int) -> None:
    """Wait until a write that another process is in the middle of is complete.

    A long write becomes visible page by page, but keeps the inode locked until its end, and so
    must wait whoever allocates space: here for a byte that is there already.
    """
    try:
        os.posix_fallocate(fd, 0, 1)
    except (AttributeError, OSError):  # not on this system, or not on this file system
        time.sleep(_WRITE_AT_MOST_S)

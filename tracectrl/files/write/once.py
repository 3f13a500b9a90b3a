"""One line for a file that is opened for it and closed behind it.

For sessions that log by turns, more of them than there may be open files. To keep the file of each
open until its turn comes again would close, for every line, one whose turn comes sooner: nobody
would ever find a file open. And what may be used by other threads later, in other calls, costs more
to open and to close than what is nobody else's.
"""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING

from tracectrl.files.locks import FLAGS, hold
from tracectrl.files.write.torn import is_swallowed, is_torn, whole_at

if TYPE_CHECKING:
    from typing import Final

    from tracectrl.files.write.position import Seek

_FLAGS: Final = FLAGS | os.O_APPEND
_UNKNOWN: Final = -1  # of no file and no size


def append_once(  # noqa: PLR0917 - one call
    path: str, line: bytes, whole: int, seek: Seek, most: int, check_at: float
) -> int | None:
    """Append *line* to the file at *path*, where all is as it was when it was closed.

    Args:
        path: of a file that is there.
        line: ends in a newline.
        whole: what :func:`~tracectrl.files.write.torn.whole_at` said when the file was closed.
        seek: tells the descriptor's position.
        most: bytes that the file may have with the line before it is rotated; 0 for no bound.
        check_at: the time from which on another file may be at *path*, and this one be removed.

    Returns:
        What :func:`~tracectrl.files.write.torn.whole_at` says now; ``None`` where the line is not in the
        file, or not by itself. It is to be appended in a way that mends that, or says why not.

    Raises:
        OSError: a signal handler's own; what fails here is no error.
    """
    new = None
    try:
        fd = os.open(path, _FLAGS)
        try:
            is_held = hold(fd)
            status = os.fstat(fd)
            inode, size = status.st_ino, status.st_size
            if (
                not is_held
                or not status.st_nlink  # it was taken away before we held it
                or (most and size + len(line) > most)
                or (
                    whole_at(inode, size) != whole  # others have written, or it is another
                    and (not stat.S_ISREG(status.st_mode) or is_torn(fd, size))
                )
                or time.monotonic() >= check_at
            ):
                return None
            written = os.write(fd, line)
            if written < len(line) - 1:  # without its newline it is a line, too
                return None
            new = _UNKNOWN  # the line is there, whatever fails from here on
            end = seek(fd, 0, os.SEEK_CUR)
            if end - written != size and is_swallowed(fd, line[:written], size, end):
                return None
            # Removed, and the line with it, while the write took its time.
            if time.monotonic() >= check_at and not os.fstat(fd).st_nlink:
                return None
            if written == len(line):
                new = whole_at(inode, end)
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno is None:
            raise
    return new

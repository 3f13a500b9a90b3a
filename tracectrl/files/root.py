"""The trace directory, as those find it who write to it."""

from __future__ import annotations

import contextlib
import errno
import os


def make_root(root: str) -> None:
    """Make the directory *root* and its parents, each for its owner alone.

    Raises:
        OSError: it cannot be made or written to; the message says the mend.
    """
    try:
        missing = []
        path = root
        while not os.path.isdir(path):
            missing.append(path)
            path = os.path.dirname(path)
        for path in reversed(missing):
            with contextlib.suppress(FileExistsError):
                os.mkdir(path, 0o700)
        if not os.path.isdir(root):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(root, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        msg = (
            f"{error.strerror}; session files need a directory that this process may write to:"
            " pass root=... or set TRACECTRL_TRACE_DIR"
        )
        raise type(error)(error.errno, msg, root) from error

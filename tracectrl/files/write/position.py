"""Where in its file a descriptor stands, asked without letting other threads run meanwhile.

``os.lseek`` gives the interpreter away for a call that takes a tenth of a microsecond, since it
cannot know that; where other threads want it, to get it back takes fifty times as long. Called
through :class:`ctypes.PyDLL` it stays, and the call by itself takes a little longer: for a program
of one thread ``os.lseek`` is the better one.
"""

from __future__ import annotations

import functools
import os
import threading
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable


Seek: TypeAlias = "Callable[[int, int, int], int]"
"""``lseek`` for the offset 0: takes descriptor, 0 and whence; -1 or an OSError where that fails."""

sleepers: set[int] = set()
"""The IDs of threads that wait nearly always, and count as none here."""


def best_seek() -> Seek:
    """Return the one for the threads that there are now."""
    is_alone = threading.active_count() - len(sleepers) <= 1
    return os.lseek if is_alone else held_seek()


@functools.cache
def held_seek() -> Seek:
    """Return the one for a program of several threads: through :mod:`ctypes`, where that is there."""
    try:
        import ctypes  # noqa: PLC0415 - nothing is done at import

        lseek = ctypes.PyDLL(None).lseek
        lseek.restype = ctypes.c_longlong
        return lseek if _is_right(lseek) else os.lseek
    except Exception:  # noqa: BLE001 - forbidden, in whatever way: memory, an audit hook
        return os.lseek


def _is_right(lseek: Seek) -> bool:
    """Try it: the arguments' types are not declared, which would double what a call costs."""
    with open(__file__, "rb", buffering=0) as file:
        fd = file.fileno()
        size = os.lseek(fd, 0, os.SEEK_END)
        found = lseek(fd, 0, os.SEEK_SET), lseek(fd, 0, os.SEEK_END), lseek(fd, 0, os.SEEK_CUR)
        return found == (0, size, size) and lseek(-1, 0, os.SEEK_CUR) == -1

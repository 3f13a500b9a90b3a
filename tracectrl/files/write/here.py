"""Whether this is still the process that something was made in, or a child forked from it.

Not a fork hook: servers that fork in C run none.
"""

from __future__ import annotations

import mmap
import os
import sys
from typing import Any

_WIPE_ON_FORK = 18  # MADV_WIPEONFORK of Linux, which Python does not name


class _Here:
    """What :func:`here` returns where the kernel does not help."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._value = 1

    def __getitem__(self, index: int) -> int:
        return self._value if os.getpid() == self._pid else 0

    def __setitem__(self, index: int, value: int) -> None:
        self._value = value


def here() -> Any:
    """Return what is ``[1]`` in this process, or set to another number, and ``[0]`` in its forked children.

    To ask for the process ID is a system call, and before each line that is much. A page that the
    kernel wipes in a child says the same, whoever forks and whatever hooks are run.
    """
    if sys.platform != "linux":
        return _Here()
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        page.madvise(_WIPE_ON_FORK)
    except (ValueError, OSError):  # an old kernel, a sandbox
        return _Here()
    page[0] = 1
    return page

"""High numbers for the descriptors of open files, away from those that a program gets for its own.

A daemon closes all descriptors that it finds, and the next file that it opens has the lowest number that
is free. If that were a session file's, the next line would go into the program's own file.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

try:
    import fcntl
    import resource

    _DUPLICATE: Final[int] = fcntl.F_DUPFD_CLOEXEC
except (ImportError, AttributeError):  # pragma: no cover - Windows has none of it
    fcntl = None  # type: ignore[assignment]

_LEAST: Final = 256  # the kernel's table of descriptors is as long as the highest needs


def least_number() -> int:
    """Return the lowest number for an open file of a session: 256, or a quarter of ``RLIMIT_NOFILE``."""
    if fcntl is None:  # pragma: no cover
        return 0
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _LEAST if soft == resource.RLIM_INFINITY else min(_LEAST, soft // 4)


def moved_up(fd: int, least: int) -> int:
    """Return a duplicate of *fd* whose number is *least* or more; *fd* where it has one, or none is free.

    *fd* stays open: that it is closed has to be noticed where it was opened, whatever interrupts this.
    """
    if fd >= least:
        return fd
    try:
        return fcntl.fcntl(fd, _DUPLICATE, least)
    except OSError:
        return fd


def open_descriptors(lowest: int, fd: int, least: int) -> int:
    """Return how many descriptors the process has open, about.

    Args:
        lowest: the number that the latest one got when it was opened, the lowest that was free.
        fd: what :func:`moved_up` made of it: behind all from *least* on, which are the appenders'.
        least: of :func:`least_number`.
    """
    if lowest >= least:
        return lowest
    return lowest + fd - least if fd >= least else sys.maxsize  # none was free from there on

"""Whether the server that we run in still listens: a server that is told to stop closes its socket first.

Servers wait for the answers that are under way before they end, and tell applications of it only
afterwards, so that a stream would hold them up for ever. What all of them do at once is to close the
socket that they listen on, and that a process can see without touching the server.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import Scope

_DESCRIPTORS = ("/proc/self/fd", "/dev/fd")


class Listening:
    """The sockets of this process that accept connections for one server.

    Args:
        scope: of a request that has come by one of them.
    """

    def __init__(self, scope: Scope) -> None:
        _, port = scope.get("server") or (None, None)
        self._sockets = _listening(port)

    def has_ended(self) -> bool:
        """Return whether one of them was closed; ``False`` where none was found."""
        return any(_identity(fd) != identity for fd, identity in self._sockets)


def _listening(port: int | None) -> list[tuple[int, tuple[int, int]]]:
    found = []
    for fd in _open_descriptors():
        identity = _identity(fd)
        if identity is None or not _accepts(fd, port):
            continue
        found.append((fd, identity))
    return found


def _open_descriptors() -> list[int]:
    for directory in _DESCRIPTORS:
        with contextlib.suppress(OSError):
            return [int(name) for name in os.listdir(directory) if name.isdecimal()]
    return []


def _identity(fd: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _accepts(fd: int, port: int | None) -> bool:
    """Return whether *fd* is a socket that accepts connections at *port*; ``None`` for a path."""
    with contextlib.suppress(OSError):
        copy = socket.socket(fileno=os.dup(fd))
        with copy:
            if not copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return False
            name = copy.getsockname()
            return name[1] == port if isinstance(name, tuple) else port is None
    return False

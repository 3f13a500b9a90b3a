"""Putting a compressed file at the place of a backup, whatever else happens to the names.

The compressed file is complete and on the disk before it gets a name that readers know, and the
plain one goes right after. A run that is killed in between leaves both: readers take them for one,
and the next run does it again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import time
import zlib
from typing import IO, TYPE_CHECKING, NamedTuple

from tracectrl.files.hold import changing_names, hold, opened_alone
from tracectrl.files.idle import FORGOTTEN_AFTER_S, BeingWrittenError, take_away
from tracectrl.files.packed import FORMATS, packing, unpacked
from tracectrl.files.rotation import is_at
from tracectrl.files.stored import TEMPORARY_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

_READ_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a FIFO must not block
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_NEW_FLAGS: Final = (
    os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
)
_CHUNK_BYTES: Final = 1024 * 1024
_NUMBERS_TO_TRY: Final = 1000


class _Plain(NamedTuple):
    """The file that was compressed."""

    live_path: str
    number: int
    """Which backup it was."""
    status: os.stat_result
    size: int
    """How many of its bytes were compressed."""
    twins: list[os.stat_result]
    """What a killed run has left beside it."""
    is_forgotten: bool
    """See :func:`pack`."""


def pack(
    live_path: str, number: int, packed: str, level: int, *, is_forgotten: bool = False
) -> tuple[int, int]:
    """Compress the backup *number* of the file at *live_path*.

    Args:
        live_path: the file being written of which it is a backup.
        number: which one.
        packed: ``"gz"`` or ``"zst"``.
        level: how hard to compress.
        is_forgotten: some process has had it open for long without writing, and it has rested under
            its name since (see :mod:`tracectrl.files.idle`). Else who has it open has just come.

    Returns:
        The sizes before and after.

    Raises:
        BeingWrittenError: somebody writes it, or it is there no more.
        OSError: it cannot be done, and nothing has changed; what already stands at the place of the
            compressed file is never overwritten, unless it is the beginning of the plain one.
    """
    path = f"{live_path}.{number}"
    try:
        fd = os.open(path, _READ_FLAGS)
    except FileNotFoundError as error:
        raise BeingWrittenError from error
    with open(fd, "rb") as plain:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        twins = _twins(path, plain)
        with _temporary(os.path.dirname(live_path)) as (name, file):
            plain.seek(0)
            with packing(file, packed, level, status.st_mtime) as stream:
                size = _copy(plain, stream)
            _complete(name, file, status)
            _publish(name, packed, _Plain(live_path, number, status, size, twins, is_forgotten))
            return size, os.fstat(file.fileno()).st_size


def _publish(name: str, packed: str, plain: _Plain) -> None:
    """Put the file *name* at the place of *plain*, and take that away."""
    with contextlib.ExitStack() as files:  # closed after the names are free again
        try:
            with changing_names(os.path.dirname(plain.live_path)):
                path = _present_path(plain)
                fd, alone = files.enter_context(opened_alone(path))
                now = os.fstat(fd)
                if now.st_size != plain.size or not (alone or _is_left(plain, now)):
                    raise BeingWrittenError
                places = [f"{path}.{kind}" for kind in FORMATS]
                for place in filter(os.path.lexists, places):
                    if not any(is_at(place, twin) for twin in plain.twins):
                        raise OSError(errno.EEXIST, "holds other lines", place)
                target = f"{path}.{packed}"
                os.replace(name, target)
                for place in places:
                    if place != target:
                        with contextlib.suppress(FileNotFoundError):
                            os.unlink(place)
                take_away(path, plain.live_path, fd)
        except (BlockingIOError, FileNotFoundError) as error:
            raise BeingWrittenError from error


def _present_path(plain: _Plain) -> str:
    """Return what *plain* is called now: rotations may have moved it up."""
    for number in range(plain.number, plain.number + _NUMBERS_TO_TRY):
        path = f"{plain.live_path}.{number}"
        if is_at(path, plain.status):
            return path
    raise BeingWrittenError


def _is_left(plain: _Plain, now: os.stat_result) -> bool:
    """Tell whether *plain*, which somebody has open, was and is forgotten."""
    return plain.is_forgotten and time.time() - now.st_mtime >= FORGOTTEN_AFTER_S


def _twins(path: str, plain: IO[bytes]) -> list[os.stat_result]:
    """Return the compressed files beside *plain*, which a killed run has left.

    Raises:
        OSError: one of them is something else.
    """
    found = []
    for packed in FORMATS:
        place = f"{path}.{packed}"
        try:
            fd = os.open(place, _READ_FLAGS)
        except FileNotFoundError:
            continue
        with open(fd, "rb") as raw:
            found.append(os.fstat(fd))
            plain.seek(0)
            if not _begins_with(plain, raw, packed):
                raise OSError(errno.EEXIST, "holds other lines", place)
    return found


def _begins_with(plain: IO[bytes], raw: IO[bytes], packed: str) -> bool:
    """Tell whether *plain* begins with all that can be read of *raw*, which is *packed*."""
    try:
        twin = unpacked(raw, packed)
        while chunk := twin.read(_CHUNK_BYTES):
            if plain.read(len(chunk)) != chunk:
                return False
    except EOFError:  # cut off
        return True
    except (OSError, zlib.error, ImportError):  # damaged, or nothing here can read it
        return False
    return True


@contextlib.contextmanager
def _temporary(root: str) -> Iterator[tuple[str, IO[bytes]]]:
    """Make a file that no reader knows; it is removed unless it is renamed meanwhile."""
    while True:
        name = os.path.join(root, TEMPORARY_PREFIX + secrets.token_hex(8))
        fd = os.open(name, _NEW_FLAGS, 0o600)
        with open(fd, "wb") as file:
            hold(fd)  # so that no other run takes it for stale
            status = os.fstat(fd)
            if not is_at(name, status):
                continue
            try:
                yield name, file
            finally:
                if is_at(name, status):
                    os.unlink(name)
        return


def _copy(source: IO[bytes], target: IO[bytes]) -> int:
    size = 0
    while chunk := source.read(_CHUNK_BYTES):
        target.write(chunk)
        size += len(chunk)
    return size


def _complete(name: str, file: IO[bytes], status: os.stat_result) -> None:
    """Bring *file* to the disk, with the owner and the time of the file it replaces."""
    file.flush()
    if hasattr(os, "fchown") and os.fstat(file.fileno()).st_uid != status.st_uid:
        with contextlib.suppress(PermissionError):
            os.fchown(file.fileno(), status.st_uid, status.st_gid)
    os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.fsync(file.fileno())

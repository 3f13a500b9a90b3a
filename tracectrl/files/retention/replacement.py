"""Putting a compressed file at the place of a backup, whatever else happens to the names.

The compressed file is complete and on the disk before it gets a name that readers know, and the
plain one goes right after, once the compressed one is seen at its place. A run that is killed in
between leaves both: readers take them for one, and the next run does it again.

The directory may be another user's to write to, who swaps files for links between any two steps. So
a file is timed, compared and removed as the one that is open, and no file of two names is compressed:
the other one may be foreign.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import time
import zlib
from typing import IO, TYPE_CHECKING, NamedTuple

from tracectrl.files.compression import FORMATS, packing, unpacked
from tracectrl.files.listing import TEMPORARY_PREFIX
from tracectrl.files.locks import hold
from tracectrl.files.names import live_suffix, number_of
from tracectrl.files.retention.exclusive import FORGOTTEN_AFTER_S, BeingWrittenError, take_away

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from tracectrl.files.directory import Directory

_CHUNK_BYTES: Final = 1024 * 1024
_NUMBERS_TO_TRY: Final = 1000
_NAMES_TO_TRY: Final = 100


class _Plain(NamedTuple):
    """The file that was compressed."""

    live: str
    """The name of the file being written of which it is a backup."""
    name: str
    """What it was called."""
    number: int
    """Which one it was; -1 where rotation does not move it."""
    status: os.stat_result
    size: int
    """How many of its bytes were compressed."""
    twins: list[os.stat_result]
    """What a killed run has left beside it."""
    is_forgotten: bool
    """See :func:`pack`."""


def pack(
    directory: Directory,
    stem: str,
    suffix: str,
    packed: str,
    level: int,
    *,
    is_forgotten: bool = False,
) -> tuple[int, int]:
    """Compress a backup in *directory*.

    Args:
        directory: where the files are.
        stem: the start of the backup's name, up to the session's end.
        suffix: the end of its name.
        packed: ``"gz"`` or ``"zst"``.
        level: how hard to compress.
        is_forgotten: some process has had it open for long without writing, and it has rested under
            its name since (see :mod:`tracectrl.files.retention.exclusive`). Else who has it open has just come.

    Returns:
        The sizes before and after.

    Raises:
        BeingWrittenError: somebody writes it, or it is there no more.
        OSError: it cannot be done, and the plain file stays; what already stands at the place of the
            compressed file is never overwritten, unless it is the beginning of the plain one.
    """
    name = stem + suffix
    live, number = stem + live_suffix(suffix), number_of(suffix)
    try:
        fd = directory.open_regular(name, os.O_RDONLY)
    except FileNotFoundError as error:
        raise BeingWrittenError from error
    with open(fd, "rb") as plain:
        status = os.fstat(fd)
        refuse_linked(status, name)
        twins = _twins(directory, name, plain)
        with _temporary(directory) as (new, file):
            plain.seek(0)
            with packing(file, packed, level, status.st_mtime) as stream:
                size = _copy(plain, stream)
            _complete(directory, new, file, status)
            _publish(
                directory,
                new,
                os.fstat(file.fileno()),
                packed,
                _Plain(live, name, number, status, size, twins, is_forgotten),
            )
            return size, os.fstat(file.fileno()).st_size


def refuse_linked(status: os.stat_result, name: str) -> None:
    """Raise OSError where the file of this *status*, called *name*, has another name, too.

    To compress it would free nothing, and may copy what is foreign: whoever may write to the
    directory may have put the name there.
    """
    if status.st_nlink > 1:
        raise OSError(errno.EMLINK, "has another name (a hard link)", name)


def _publish(
    directory: Directory, new: str, status: os.stat_result, packed: str, plain: _Plain
) -> None:
    """Put the file *new*, whose *status* is given, at the place of *plain*, and take that away."""
    with contextlib.ExitStack() as files:  # closed after the names are free again
        try:
            with directory.changing_names():
                name = _present_name(directory, plain)
                fd, alone = files.enter_context(directory.opened_alone(name))
                now = os.fstat(fd)
                if not os.path.samestat(now, plain.status):
                    raise BeingWrittenError
                if now.st_size != plain.size or not (alone or _is_left(plain, now)):
                    raise BeingWrittenError
                refuse_linked(now, name)
                target = f"{name}.{packed}"
                others = _places(directory, name, plain)
                directory.rename(new, target, status)
                for place, twin in others.items():
                    if place != target:
                        directory.remove(place, twin)
                take_away(directory, name, plain.live, fd, plain.size)
        except (BlockingIOError, FileNotFoundError) as error:
            raise BeingWrittenError from error


def _places(directory: Directory, name: str, plain: _Plain) -> dict[str, os.stat_result]:
    """Return what stands at the places of the file *name* compressed: twins of *plain* and no others.

    Raises:
        OSError: there is something else.
    """
    found = {}
    for packed in FORMATS:
        place = f"{name}.{packed}"
        if directory.has(place):
            for twin in plain.twins:
                if directory.is_at(place, twin):
                    found[place] = twin
                    break
            else:
                raise OSError(errno.EEXIST, "holds other lines", place)
    return found


def _present_name(directory: Directory, plain: _Plain) -> str:
    """Return what *plain* is called now: rotations may have moved it up."""
    names = [plain.name]
    if plain.number > 0:
        last = plain.number + _NUMBERS_TO_TRY
        names += [f"{plain.live}.{number}" for number in range(plain.number + 1, last)]
    for name in names:
        if directory.is_at(name, plain.status):
            return name
    raise BeingWrittenError


def _is_left(plain: _Plain, now: os.stat_result) -> bool:
    """Tell whether *plain*, which somebody has open, was and is forgotten."""
    return plain.is_forgotten and time.time() - now.st_mtime >= FORGOTTEN_AFTER_S


def _twins(directory: Directory, name: str, plain: IO[bytes]) -> list[os.stat_result]:
    """Return the compressed files beside *plain*, called *name*, which a killed run has left.

    Raises:
        OSError: one of them is something else.
    """
    found = []
    for packed in FORMATS:
        place = f"{name}.{packed}"
        try:
            fd = directory.open_regular(place, os.O_RDONLY)
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
def _temporary(directory: Directory) -> Iterator[tuple[str, IO[bytes]]]:
    """Make a file that no reader knows; it is removed unless it is renamed meanwhile."""
    for _ in range(_NAMES_TO_TRY):
        name = TEMPORARY_PREFIX + secrets.token_hex(8)
        fd = directory.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        with open(fd, "wb") as file:
            is_held = hold(fd)  # so that no other run takes it for stale
            status = os.fstat(fd)
            if not is_held or not directory.is_at(name, status):
                continue
            try:
                yield name, file
            finally:
                with contextlib.suppress(OSError):
                    directory.remove(name, status)
        return
    raise OSError(errno.ESTALE, "each new file is replaced at once by somebody", directory.path)


def _copy(source: IO[bytes], target: IO[bytes]) -> int:
    size = 0
    while chunk := source.read(_CHUNK_BYTES):
        target.write(chunk)
        size += len(chunk)
    return size


def _complete(directory: Directory, name: str, file: IO[bytes], status: os.stat_result) -> None:
    """Bring *file* to the disk, with the owner and the times of the file that it replaces."""
    file.flush()
    fd = file.fileno()
    if hasattr(os, "fchown") and os.fstat(fd).st_uid != status.st_uid:
        with contextlib.suppress(PermissionError):
            os.fchown(fd, status.st_uid, status.st_gid)
    directory.set_times(name, fd, status)
    os.fsync(fd)

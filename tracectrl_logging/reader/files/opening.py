"""Opening the files of a session while their writers go on.

Names change meanwhile: rotation moves files up, compressing replaces them, pruning removes them. So
what was opened is compared with the names again, and opened anew where they differ.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
import zlib
from typing import IO, TYPE_CHECKING, NamedTuple

from tracectrl.files.locks import is_held
from tracectrl.files.names import LOG_SUFFIX, SPAN_SUFFIX
from tracectrl_logging.reader.files.root import session_named
from tracectrl_logging.reader.model import Damage

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from tracectrl.files.listing import StoredName, StoredSession
    from tracectrl.schema import Kind
    from tracectrl_logging.reader.model import Report

UNREADABLE = (OSError, EOFError, zlib.error)
"""What reading a file may raise, a compressed one included."""

SUFFIX_OF: dict[Kind, str] = {"log": LOG_SUFFIX, "span": SPAN_SUFFIX}
"""What the name of the file being written ends in, by what its lines are."""

KIND_OF: dict[str, Kind] = {"logs": "log", "spans": "span"}
"""What the lines of a file are, by what its name says."""

FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a FIFO must not block
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
"""With which a session's file is opened for reading."""

_BUFFER_BYTES = 128 * 1024
_PEEK_BYTES = 64 * 1024
_ATTEMPTS = 10
_PACKED = ("", ".gz", ".zst")


class OpenFile(NamedTuple):
    """A file of a session, open for reading lines."""

    path: str
    stream: IO[bytes]
    end: int | None = None
    """How many bytes it had when it was opened; ``None`` for a compressed file.

    Reading ends there: what is written faster than it is read has no end of its own.
    """


def open_chain(found: StoredSession, kind: Kind, report: Report) -> list[OpenFile]:
    """Open the files of one *kind*, the oldest first; the caller closes them.

    A file that is gone, and for good, is not missed.
    """
    names = _of_kind(found.names, kind)
    files: list[OpenFile] = []
    damages: list[Damage] = []
    for attempt in range(_ATTEMPTS):
        if attempt:
            close_all(files)
            now = session_named(found.root, found.stem)
            names = [] if now is None else _of_kind(now.names, kind)
        damages.clear()
        files, identities = _open_all(found.root, names, damages)
        if identities is None:  # a file was gone
            continue
        if not attempt and found.is_as_listed():  # one question instead of several for each file
            break
        if all(_is_at(*item) for item in identities.items()) and not _are_rotated(
            found, kind, names
        ):
            break
    for damage in damages:
        report(damage)
    return files


def close_all(files: list[OpenFile]) -> None:
    """Close *files*."""
    for file in files:
        file.stream.close()


def is_being_written(found: StoredSession) -> bool:
    """Tell whether a process has one of the files *found* open for writing."""
    for suffix in found.suffixes:
        if suffix in SUFFIX_OF.values():
            with contextlib.suppress(OSError):
                fd = os.open(os.path.join(found.root, found.stem + suffix), FLAGS)
                try:
                    if is_held(fd):
                        return True
                finally:
                    os.close(fd)
    return False


def is_as_named(found: StoredSession, kind: Kind, read: dict[str, tuple[int, int]]) -> bool:
    """Tell whether the files of one *kind* that were *read* are still all there are.

    Args:
        found: the files as they were listed.
        kind: which of them.
        read: the device and the inode of what was read at each path.
    """
    names = _of_kind(found.names, kind)
    return all(_is_at(*item) for item in read.items()) and not _are_rotated(found, kind, names)


def _of_kind(names: Iterable[StoredName], kind: Kind) -> list[StoredName]:
    return [name for name in names if KIND_OF[name.parsed.kind] == kind]


def _are_rotated(found: StoredSession, kind: Kind, names: list[StoredName]) -> bool:
    return bool(names) and is_rotated(found, kind, {name.parsed.backup for name in names})


def is_rotated(found: StoredSession, kind: Kind, numbers: Container[int]) -> bool:
    """Tell whether there is a backup at the first number that is not among *numbers*.

    Then rotation has moved all before up by one.
    """
    number = next(number for number in itertools.count(1) if number not in numbers)
    path = os.path.join(found.root, f"{found.stem}{SUFFIX_OF[kind]}.{number}")
    return any(os.path.lexists(path + packed) for packed in _PACKED)


def _open_all(
    root: str, names: list[StoredName], damages: list[Damage]
) -> tuple[list[OpenFile], dict[str, tuple[int, int]] | None]:
    """Open *names* in the order of their lines; a file under two names is opened once.

    Returns:
        The files, and the device and the inode of what was opened at each path; ``None`` where
        one of *names* is no file's any more.
    """
    opened: list[tuple[tuple[int, bool], OpenFile]] = []
    identities: dict[str, tuple[int, int]] = {}
    seen: set[tuple[int, int]] = set()
    is_missing = False
    # The live file first: what is renamed behind it is found again at the next number.
    for name in sorted(
        names, key=lambda name: (name.parsed.backup, name.parsed.packed is not None)
    ):
        path = os.path.join(root, name.name)
        try:
            file, identity = _open(path, name.parsed.packed)
        except FileNotFoundError:
            is_missing = True
            continue
        except (OSError, ValueError, ImportError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            damages.append(Damage(path, None, reason or str(error)))
            continue
        identities[path] = identity
        number = name.parsed.backup
        if identity in seen or any(
            _is_all_in(file, other) for (at, _), other in opened if at == -number
        ):
            file.stream.close()
            continue
        seen.add(identity)
        for item in [item for item in opened if item[0][0] == -number]:
            if _is_all_in(item[1], file):  # one that was cut off, or is only being made
                item[1].stream.close()
                opened.remove(item)
        opened.append(((-number, name.parsed.packed is None), file))
    files = [file for _, file in sorted(opened, key=lambda item: item[0])]
    return files, None if is_missing else identities


def _is_at(path: str, identity: tuple[int, int]) -> bool:
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return (status.st_dev, status.st_ino) == identity


def _open(path: str, packed: str | None) -> tuple[OpenFile, tuple[int, int]]:
    fd = os.open(path, FLAGS)
    raw = open(fd, "rb", buffering=_BUFFER_BYTES)  # noqa: SIM115 - the caller closes it
    status = os.fstat(fd)
    stream: IO[bytes] = raw
    try:
        if not stat.S_ISREG(status.st_mode):
            msg = "not a regular file"
            raise ValueError(msg)  # noqa: TRY301 - closed below
        if packed is not None:
            from tracectrl.files.compression import unpacked  # noqa: PLC0415 - only for such a file

            stream = unpacked(raw, packed)
    except BaseException:
        raw.close()
        raise
    end = status.st_size if packed is None else None
    return OpenFile(path, stream, end), (status.st_dev, status.st_ino)


def _is_all_in(file: OpenFile, other: OpenFile) -> bool:
    """Tell whether *other* begins with all of *file*: one file that is being compressed, or unpacked.

    What cannot be read of *file*, since it is only being made, is not missed.
    """
    is_in = True
    try:
        while is_in and (part := file.stream.read(_PEEK_BYTES)):
            is_in = other.stream.read(len(part)) == part
    except UNREADABLE:
        pass
    file.stream.seek(0)
    other.stream.seek(0)
    return is_in

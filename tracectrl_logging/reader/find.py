"""Which files belong to which session, and opening them while their writers go on.

A session's files are the live one and its backups (``.1`` is the newest), each plain or compressed,
for its log lines and for its spans. Anything else in the root is somebody else's: files with other
names, directories, devices and symbolic links, which the writers do not follow either.
"""

from __future__ import annotations

import io
import os
import stat
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, NamedTuple

from tracectrl.files.names import (
    LOG_SUFFIX,
    SPAN_SUFFIX,
    ParsedName,
    id_of_stem,
    parse_name,
    root_path,
    session_id_of,
    stem_of,
)
from tracectrl_logging.reader.records import Damage, UnknownSessionError

if TYPE_CHECKING:
    from tracectrl_logging.reader.records import Kind, Report

UNREADABLE = (OSError, EOFError, zlib.error)
"""What reading a file may raise, a compressed one included."""

_SUFFIX = {"log": LOG_SUFFIX, "span": SPAN_SUFFIX}
_KIND: dict[str, Kind] = {"logs": "log", "spans": "span"}
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a FIFO must not block
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_BUFFER_BYTES = 128 * 1024
_PEEK_BYTES = 64 * 1024
_ATTEMPTS = 10


class StoredName(NamedTuple):
    """A file of a session: its name, and what the name says."""

    name: str
    parsed: ParsedName


class OpenFile(NamedTuple):
    """A file of a session, open for reading lines."""

    path: str
    stream: IO[bytes]


@dataclass(frozen=True, slots=True)
class SessionFiles:
    """The names of one session's files under a root, as they were when it was listed."""

    root: str
    stem: str
    names: tuple[StoredName, ...]


def find_all(root: str | os.PathLike[str] | None = None, *, start: str = "") -> list[SessionFiles]:
    """Return the files of every session under *root* whose names begin with *start*, in no order.

    Raises:
        OSError: the root does not exist, is no directory or may not be listed.
    """
    directory = os.fspath(root_path(root))
    by_stem: dict[str, list[StoredName]] = {}
    with os.scandir(directory) as entries:
        for entry in entries:
            name = entry.name
            if ".jsonl" not in name or not name.startswith(start):
                continue
            parsed = parse_name(name)
            if parsed is None or not entry.is_file(follow_symlinks=False):
                continue
            by_stem.setdefault(parsed.stem, []).append(StoredName(name, parsed))
    return [
        SessionFiles(directory, stem, tuple(names))
        for stem, names in by_stem.items()
        if _is_stem(stem)
    ]


def find(sid: str, root: str | os.PathLike[str] | None = None) -> SessionFiles:
    """Return the files of the session *sid*, which may also be the stem of a file's name.

    Raises:
        UnknownSessionError: there are none.
        OSError: as :func:`find_all` says.
    """
    stems = [stem_of(sid)] if sid else []
    if sid.startswith("%~"):  # what stands for a long ID that cannot be read back
        stems.append(sid)
    for stem in stems:
        found = _find_stem(stem, root)
        if found is not None:
            return found
    raise UnknownSessionError(sid)


def id_of(found: SessionFiles, report: Report | None = None) -> str:
    """Return the session ID of the files *found*.

    Where no file holds the long ID that the name is a digest of, the stem stands for it, and
    *report* is told.
    """
    sid = id_of_stem(found.stem)
    if sid is not None:
        return sid
    damage: Damage | None = None
    for name in found.names:
        path = os.path.join(found.root, name.name)
        try:
            return session_id_of(path)
        except (*UNREADABLE, ValueError):
            damage = Damage(path, None, "holds no line with the session ID its name abbreviates")
    if damage is not None and report is not None:
        report(damage)
    return found.stem


def open_chain(found: SessionFiles, kind: Kind, report: Report) -> list[OpenFile]:
    """Open the files of one *kind*, the oldest first; the caller closes them.

    A writer may rotate meanwhile. That moves every backup up by one: the number after the highest
    then exists, and the opening starts over. A file that is gone by now is not missed.
    """
    names = _of_kind(found, kind)
    files: list[OpenFile] = []
    damages: list[Damage] = []
    for _ in range(_ATTEMPTS):
        damages.clear()
        files = _open_all(found.root, names, damages)
        if not names or not _is_rotated(found, kind, names):
            break
        close_all(files)
        names = _of_kind(_find_stem(found.stem, found.root), kind)
    for damage in damages:
        report(damage)
    return files


def close_all(files: list[OpenFile]) -> None:
    """Close *files*."""
    for file in files:
        file.stream.close()


def _is_stem(stem: str) -> bool:
    try:
        id_of_stem(stem)
    except ValueError:
        return False
    return True


def _find_stem(stem: str, root: str | os.PathLike[str] | None) -> SessionFiles | None:
    for found in find_all(root, start=stem + "."):
        if found.stem == stem:
            return found
    return None


def _of_kind(found: SessionFiles | None, kind: Kind) -> list[StoredName]:
    names = () if found is None else found.names
    return [name for name in names if _KIND[name.parsed.kind] == kind]


def _is_rotated(found: SessionFiles, kind: Kind, names: list[StoredName]) -> bool:
    number = 1 + max(name.parsed.backup for name in names)
    path = os.path.join(found.root, f"{found.stem}{_SUFFIX[kind]}.{number}")
    return os.path.lexists(path) or os.path.lexists(path + ".gz")


def _open_all(root: str, names: list[StoredName], damages: list[Damage]) -> list[OpenFile]:
    """Open *names* in the order of their lines; a file under two names is opened once."""
    opened: list[tuple[tuple[int, bool], OpenFile]] = []
    seen: set[tuple[int, int]] = set()
    # The live file first: what is renamed behind it is found again at the next number.
    for name in sorted(
        names, key=lambda name: (name.parsed.backup, name.parsed.packed is not None)
    ):
        path = os.path.join(root, name.name)
        try:
            file, identity = _open(path, name.parsed.packed)
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            damages.append(Damage(path, None, reason or str(error)))
            continue
        twin = opened[-1] if opened and opened[-1][0][0] == -name.parsed.backup else None
        if identity in seen or (twin is not None and _begin_alike(twin[1], file)):
            file.stream.close()
            continue
        seen.add(identity)
        opened.append(((-name.parsed.backup, name.parsed.packed is None), file))
    return [file for _, file in sorted(opened, key=lambda item: item[0])]


def _open(path: str, packed: str | None) -> tuple[OpenFile, tuple[int, int]]:
    if packed not in (None, "gz"):
        msg = f".{packed} files are not supported"
        raise ValueError(msg)
    fd = os.open(path, _FLAGS)
    raw = open(fd, "rb", buffering=_BUFFER_BYTES)  # noqa: SIM115 - the caller closes it
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raw.close()
        msg = "not a regular file"
        raise ValueError(msg)
    stream: IO[bytes] = raw
    if packed is not None:
        import gzip  # noqa: PLC0415 - only for a compressed file

        unpacked = gzip.GzipFile(fileobj=raw, mode="rb")
        unpacked.myfileobj = raw  # type: ignore[assignment] # closed together
        stream = io.BufferedReader(unpacked, _BUFFER_BYTES)
    return OpenFile(path, stream), (status.st_dev, status.st_ino)


def _begin_alike(plain: OpenFile, packed: OpenFile) -> bool:
    """Tell whether *packed* is *plain* in the middle of being compressed: one file, not two."""
    lines = []
    for file in (plain, packed):
        try:
            lines.append(file.stream.readline(_PEEK_BYTES))
            file.stream.seek(0)
        except UNREADABLE:
            return False
    return lines[0] == lines[1]

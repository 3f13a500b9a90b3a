"""What is stored under a root: which sessions, which files, how large, how old.

One pass over the directory, one ``stat`` a file, and little memory: a root may hold hundreds of
thousands of sessions.
"""

from __future__ import annotations

import os
import stat
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from tracectrl.files.directory import Directory
from tracectrl.files.names import (
    LOG_SUFFIX,
    OVERFLOW_STEM,
    SPAN_SUFFIX,
    ParsedName,
    id_of_stem,
    parse_name,
    session_id_of,
)

if TYPE_CHECKING:
    from typing import Final

TEMPORARY_PREFIX: Final = ".compressing-"
"""What the name of a file begins with that is being compressed into; no session's file does."""

LIVE_SUFFIXES: Final = (LOG_SUFFIX, SPAN_SUFFIX)
"""What the names of the files that are being written end in."""

_NS: Final = 1_000_000_000


class StoredSession(NamedTuple):
    """The files of a session as they were when the root was listed."""

    stem: str
    suffixes: tuple[str, ...]
    """What follows the stem in the files' names, in no order."""
    last_write_ns: int
    """The newest time of modification among the files, in nanoseconds since the epoch."""
    size_bytes: int
    """The sizes of the files together."""
    plain_bytes: int
    """That of the files which are not compressed."""

    def age_s(self, now_ns: int) -> float:
        """Return how many seconds before *now_ns* the last write was."""
        return (now_ns - self.last_write_ns) / _NS

    def with_suffixes(self, suffixes: tuple[str, ...]) -> StoredSession:
        """Return the session after its files were given other names."""
        return self._replace(suffixes=suffixes)


class Stored(NamedTuple):
    """What :func:`scan` found."""

    sessions: list[StoredSession]
    """In no order; the file of the lines past a limit is among them, as :data:`OVERFLOW_STEM`."""
    temporary: list[str]
    """The names of files that are, or were once, being compressed into."""


def scan(directory: Directory) -> Stored:
    """Return what is stored in *directory*.

    Only regular files that are named as a session's count; symbolic links are not followed.

    Raises:
        OSError: the directory may not be listed.
    """
    found: dict[str, StoredSession] = {}
    temporary: list[str] = []
    with directory.entries() as entries:
        for entry in entries:
            name = entry.name
            if name.startswith(TEMPORARY_PREFIX):
                temporary.append(name)
                continue
            parts = _parts(name)
            if parts is None:
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # taken away since
                continue
            if not stat.S_ISREG(status.st_mode):
                continue
            stem, (suffix, alone, is_packed) = parts
            size = status.st_size
            plain = 0 if is_packed else size
            known = found.get(stem)
            if known is None:
                if is_stem(stem):
                    found[stem] = StoredSession(stem, alone, status.st_mtime_ns, size, plain)
                continue
            stem, suffixes, last_write_ns, known_size, known_plain = known
            found[stem] = StoredSession(
                stem,
                _joined(suffixes, suffix),
                max(last_write_ns, status.st_mtime_ns),
                known_size + size,
                known_plain + plain,
            )
    return Stored(list(found.values()), temporary)


def scan_names(root: str | os.PathLike[str]) -> dict[str, tuple[str, ...]]:
    """Return the stems of the sessions stored under *root*, and what follows them in files' names.

    That takes a third of the time of :func:`scan`, which says what counts.

    Raises:
        OSError: the root does not exist, is no directory or may not be listed.
    """
    found: dict[str, tuple[str, ...]] = {}
    with Directory(root) as directory, directory.entries() as entries:
        for entry in entries:
            parts = _parts(entry.name)
            if parts is None or not entry.is_file(follow_symlinks=False):
                continue
            stem, (suffix, alone, _) = parts
            known = found.get(stem)
            if known is not None:
                found[stem] = _joined(known, suffix)
            elif is_stem(stem):
                found[stem] = alone
    return found


def sid_of(
    root: str | os.PathLike[str], session: StoredSession, *, dir_fd: int | None = None
) -> str | None:
    """Return the ID of *session*; ``None`` for the file of many sessions' lines.

    Where no file holds the long ID that the name is a digest of, the stem stands for it. A relative
    *root* is one in the directory that is open as *dir_fd*, where that is given.
    """
    if session.stem == OVERFLOW_STEM:
        return None
    sid = id_of_stem(session.stem)
    for suffix in session.suffixes if sid is None else ():
        try:
            return session_id_of(os.path.join(root, session.stem + suffix), dir_fd=dir_fd)
        except (OSError, ValueError, ImportError):
            continue
    return session.stem if sid is None else sid


@lru_cache(maxsize=4096)
def parsed_suffix(suffix: str) -> ParsedName:
    """Return what *suffix*, one of a :class:`StoredSession`, says."""
    parsed = parse_name(f"x{suffix}")
    if parsed is None:
        msg = f"not the end of a session file's name: {suffix!r}"
        raise ValueError(msg)
    return parsed


def live_suffix(suffix: str) -> str:
    """Return the suffix of the file being written of which *suffix* is a backup's."""
    return LOG_SUFFIX if parsed_suffix(suffix).kind == "logs" else SPAN_SUFFIX


class _End(NamedTuple):
    """The end of file names, the same object for all that end alike."""

    suffix: str
    alone: tuple[str, ...]
    is_packed: bool


def _parts(name: str) -> tuple[str, _End] | None:
    """Return the stem and the end of a session file's *name*, ``None`` for a file of another kind.

    What :func:`parse_name` says, in half the time.
    """
    for live, usual in _LIVE_ENDS:  # nearly all of them
        if name.endswith(live) and len(name) > len(live):
            return name[: -len(live)], usual
    for live in LIVE_SUFFIXES:
        stem, found, rest = name.rpartition(live)
        if found and stem and (end := _end(live, rest)) is not None:
            return stem, end
    return None


@lru_cache(maxsize=4096)
def _end(live: str, rest: str) -> _End | None:
    suffix = live + rest
    parsed = parse_name(f"x{suffix}")
    if parsed is None or len(parsed.stem) > 1:
        return None
    return _End(suffix, (suffix,), parsed.packed is not None)


_LIVE_ENDS: Final = tuple((live, _End(live, (live,), is_packed=False)) for live in LIVE_SUFFIXES)


@lru_cache(maxsize=4096)
def _joined(suffixes: tuple[str, ...], suffix: str) -> tuple[str, ...]:
    """Return one tuple for all sessions with the same files."""
    return (*suffixes, suffix)


def is_stem(stem: str) -> bool:
    """Tell whether *stem* is that of a session's files, or of the file of many sessions' lines."""
    if stem == OVERFLOW_STEM:
        return True
    try:
        id_of_stem(stem)
    except ValueError:
        return False
    return True

"""Which session files lie in a directory: the one listing behind every command.

One pass over the directory finds the sessions, by their names alone or with the times and sizes of
their files, in little memory: a directory may hold hundreds of thousands of sessions. Anything else in
it is somebody else's: files with other names, directories, devices and symbolic links, which the
writers do not follow either.

The names of one session are asked for one by one (:func:`probed`), where a listing would take longer.
"""

from __future__ import annotations

import itertools
import os
import stat
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from tracectrl.files.names import (
    LIVE_SUFFIXES,
    OVERFLOW_STEM,
    ParsedName,
    id_of_stem,
    is_stem,
    number_of,
    parse_name,
    parsed_suffix,
    session_id_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final

    from tracectrl.files.directory import Directory

TEMPORARY_PREFIX: Final = ".compressing-"
"""The start of the name of a file that is being compressed into; no session's file has it."""

_NS: Final = 1_000_000_000

_WIDEST_GAP: Final = 128
"""How many numbers of backups may be missing in a row, where somebody has removed some."""

_PACKED: Final = ("", ".gz", ".zst")

_UNREADABLE: Final = ("xz", "bz2", "lz4", "zip", "lzma", "z", "br", "7z", "lz", "lzo", "sz")
NOT_READ: Final = "not read"
"""The start of what is said of a file that no command reads."""

_BEFORE_ENDINGS: Final = (".", "-", "_")
_SAMPLE: Final = 4096


class StoredName(NamedTuple):
    """A file of a session: its name, and what the name says."""

    name: str
    parsed: ParsedName


class StoredSession(NamedTuple):
    """The files of a session as they were when their directory was listed."""

    root: str
    """The directory."""
    stem: str
    suffixes: tuple[str, ...]
    """What follows the stem in the files' names, in no order."""
    last_write_ns: int = 0
    """The newest time of modification among the files, in nanoseconds since the epoch; 0 where
    nobody has asked for it, as with the sizes."""
    size_bytes: int = 0
    """The sizes of the files together."""
    plain_bytes: int = 0
    """The sizes of the files which are not compressed."""
    at_rest_ns: int | None = None
    """The directory's time of modification, where nothing was renamed during the listing."""

    @property
    def names(self) -> list[StoredName]:
        """The names, and what they say."""
        names = []
        for suffix in self.suffixes:
            parsed = parsed_suffix(suffix)._replace(stem=self.stem)
            names.append(StoredName(self.stem + suffix, parsed))
        return names

    def age_s(self, now_ns: int) -> float:
        """Return how many seconds before *now_ns* the last write was."""
        return (now_ns - self.last_write_ns) / _NS

    def with_suffixes(self, suffixes: tuple[str, ...]) -> StoredSession:
        """Return the session after its files were given other names."""
        return self._replace(suffixes=suffixes)

    def is_as_listed(self) -> bool:
        """Tell whether no file in the directory was made, renamed or removed since the listing."""
        return self.at_rest_ns is not None and os.stat(self.root).st_mtime_ns == self.at_rest_ns

    def is_gone(self) -> bool:
        """Tell whether none of the files is there any more."""
        start = os.path.join(self.root, self.stem)
        return not any(os.path.lexists(start + suffix) for suffix in self.suffixes)


class Stored(NamedTuple):
    """The content of a directory, as :func:`scan` found it."""

    sessions: list[StoredSession]
    """In no order; the file of the lines past a limit is among them, as :data:`OVERFLOW_STEM`."""
    temporary: list[str]
    """The names of files that are, or were once, being compressed into."""


def scan(directory: Directory) -> Stored:
    """Return the sessions in *directory* with the times and sizes of their files.

    Raises:
        OSError: the directory may not be listed.
    """
    found: dict[str, StoredSession] = {}
    temporary: list[str] = []
    root = directory.path
    with directory.entries() as entries:
        for entry, stem, end in _session_files(entries, ("",), temporary):
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # taken away since
                continue
            if not stat.S_ISREG(status.st_mode):
                continue
            size = status.st_size
            plain = 0 if end.is_packed else size
            known = found.get(stem)
            if known is None:
                if is_stem(stem):
                    found[stem] = StoredSession(
                        root, stem, end.alone, status.st_mtime_ns, size, plain
                    )
                continue
            found[stem] = StoredSession(
                root,
                stem,
                joined(known.suffixes, end.suffix),
                max(known.last_write_ns, status.st_mtime_ns),
                known.size_bytes + size,
                known.plain_bytes + plain,
            )
    return Stored(list(found.values()), temporary)


def scan_names(
    root: str | os.PathLike[str],
    starts: tuple[str, ...] = ("",),
    unread: list[str] | None = None,
) -> dict[str, tuple[str, ...]]:
    """Return the stems of the sessions under *root*, each with the ends of its files' names.

    That takes a third of the time of :func:`scan`.

    Args:
        root: the directory.
        starts: files count whose names begin with one of these.
        unread: the names of files are added here that begin as a session's and end otherwise.

    Raises:
        OSError: the root does not exist, is no directory or may not be listed.
    """
    found: dict[str, tuple[str, ...]] = {}
    with os.scandir(root) as entries:
        for entry, stem, end in _session_files(entries, starts, unread=unread):
            if not entry.is_file(follow_symlinks=False):
                continue
            known = found.get(stem)
            if known is not None:
                found[stem] = joined(known, end.suffix)
            elif is_stem(stem):
                found[stem] = end.alone
    return found


def stems(root: str | os.PathLike[str]) -> Iterator[str]:
    """Yield the stems of the sessions under *root* as the listing goes, some of them repeatedly.

    Raises:
        OSError: as :func:`scan_names` says.
    """
    with os.scandir(root) as entries:
        for entry, stem, _ in _session_files(entries, ("",)):
            if is_stem(stem) and entry.is_file(follow_symlinks=False):
                yield stem


def probed(root: str, stem: str) -> tuple[str, ...]:
    """Return the ends of the names of one session's files, without a listing.

    The names that a session can have are known, so the kernel is asked for one by one: a few hundred
    questions, less than a millisecond, where the listing of 100,000 names takes a tenth of a second. A
    backup is found where no more than 128 numbers before it are missing.

    Rotation and compressing go on meanwhile. Files only move up by number, so asking from the lowest
    up meets each; and a packed file is there before the plain one goes, so the plain name is asked
    first.
    """
    found: list[str] = []
    for live in LIVE_SUFFIXES:
        last = 0
        for backup in itertools.count():
            if backup > last + _WIDEST_GAP:
                break
            numbered = f"{live}.{backup}" if backup else live
            for packed in _PACKED:
                try:
                    mode = os.lstat(f"{root}/{stem}{numbered}{packed}").st_mode
                except OSError:
                    continue
                if stat.S_ISREG(mode):
                    found.append(numbered + packed)
                    last = backup
    return tuple(found)


def is_by_others(root: str | os.PathLike[str]) -> bool:
    """Tell whether some of the first names in *root* are not those that are asked for one by one.

    Who rotates from outside does so with all files of a directory, so a few thousand of them tell.
    """
    with os.scandir(root) as entries:
        sample = itertools.islice(entries, _SAMPLE)
        unusual = [entry for entry in sample if not entry.name.endswith(LIVE_SUFFIXES)]
        unread: list[str] = []
        found = _session_files(unusual, ("",), unread=unread)
        return any(number_of(end.suffix) < 0 for _, _, end in found) or bool(unread)


def why_unread(name: str) -> str:
    """Return what is said of the file *name*, which begins as a session's and ends otherwise."""
    ending = name.rpartition(".")[2].lower()
    if ending in _UNREADABLE:
        return f"{NOT_READ}: compressed files that are read end in .gz or .zst, not .{ending}"
    return f"{NOT_READ}: the name begins as that of a session's file and ends otherwise"


def id_of(session: StoredSession, directory: Directory | None = None) -> str:
    """Return the ID of *session*.

    The stem stands for it where the name abbreviates a long ID that no file holds, for the file of
    many sessions' lines, and where that file is there and a session has its name for its ID. Its files
    are reached through *directory*, where that is given.
    """
    stem = session.stem
    if stem == OVERFLOW_STEM:
        return stem
    sid = id_of_stem(stem)
    for suffix in session.suffixes if sid is None else ():
        name = stem + suffix
        try:
            if directory is None:
                return session_id_of(os.path.join(session.root, name))
            return session_id_of(directory.place(name), dir_fd=directory.fd)
        except (OSError, ValueError, ImportError):
            continue
    if sid == OVERFLOW_STEM and any(
        os.path.lexists(os.path.join(session.root, OVERFLOW_STEM + live)) for live in LIVE_SUFFIXES
    ):
        return stem
    return stem if sid is None else sid


@lru_cache(maxsize=4096)
def joined(suffixes: tuple[str, ...], suffix: str) -> tuple[str, ...]:
    """Return *suffixes* and *suffix*: one tuple for all sessions with the same files."""
    return (*suffixes, suffix)


class _End(NamedTuple):
    """The end of file names, the same object for all that end alike."""

    suffix: str
    alone: tuple[str, ...]
    is_packed: bool


def _session_files(
    entries: Iterable[os.DirEntry[str]],
    starts: tuple[str, ...],
    temporary: list[str] | None = None,
    unread: list[str] | None = None,
) -> Iterator[tuple[os.DirEntry[str], str, _End]]:
    """Yield the *entries* that are named as a session's file, with the stem and the end of the name.

    Whether the stem is one, and what the entry is, is still to be asked.
    """
    is_any = starts == ("",)
    for entry in entries:
        name = entry.name
        if not is_any and not name.startswith(starts):
            continue
        for live, usual in _LIVE_ENDS:  # nearly all of them
            if name.endswith(live) and len(name) > len(live):
                yield entry, name[: -len(live)], usual
                break
        else:
            if ".jsonl" in name:
                for live in LIVE_SUFFIXES:
                    stem, found, rest = name.rpartition(live)
                    if found and stem and (end := _end(live, rest)) is not None:
                        yield entry, stem, end
                        break
                else:
                    if unread is not None and _is_unread(entry):
                        unread.append(name)
            elif temporary is not None and name.startswith(TEMPORARY_PREFIX):
                temporary.append(name)


def _is_unread(entry: os.DirEntry[str]) -> bool:
    """Tell whether *entry*, which is not named as a session's file, begins like one."""
    for live in LIVE_SUFFIXES:
        stem, found, rest = entry.name.partition(live)
        if found and rest[:1] in _BEFORE_ENDINGS and is_stem(stem):
            return entry.is_file(follow_symlinks=False)
    return False


@lru_cache(maxsize=4096)
def _end(live: str, rest: str) -> _End | None:
    suffix = live + rest
    parsed = parse_name(f"x{suffix}")
    if parsed is None or len(parsed.stem) > 1:
        return None
    return _End(suffix, (suffix,), parsed.packed is not None)


_LIVE_ENDS: Final = tuple((live, _End(live, (live,), is_packed=False)) for live in LIVE_SUFFIXES)

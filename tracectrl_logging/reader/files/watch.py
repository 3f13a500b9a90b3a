"""The log files in a directory, and what has become of their names since the last look."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

from tracectrl.files.names import LOG_SUFFIX, OVERFLOW_STEM, ParsedName, is_stem, parse_name

if TYPE_CHECKING:
    from collections.abc import Collection
    from collections.abc import Set as AbstractSet

# Two changes of a directory within one tick of the kernel's clock have one time.
_TICK_NS = 20_000_000
_SETTLE_S = 0.1
_MANY = 20_000


class Seen(NamedTuple):
    """A name, and the number of the file that it names now."""

    name: str
    parsed: ParsedName
    ino: int


class Changes(NamedTuple):
    """What is different since the last look."""

    appeared: list[Seen]
    """Names that are new, or name another file now; the oldest backups first."""
    present: AbstractSet[int] | None
    """The numbers of all files that have a name; ``None`` where that is as before, or not known."""
    complete: bool
    """Whether every file is known that was there when the look began."""


class Watch:
    """Looks at the names of the log files in *directory*, which need not exist.

    A directory whose time has not changed is not listed again.

    Args:
        directory: the root.
        stems: the sessions whose files are meant, ``None`` for all; the file that takes the lines
            of many sessions always is.
    """

    def __init__(self, directory: str, stems: Collection[str] | None = None) -> None:
        self.directory = directory
        self._stems = None if stems is None else frozenset(stems)
        self._starts = (
            ("",)
            if stems is None
            else tuple(f"{stem}{LOG_SUFFIX}" for stem in (*stems, OVERFLOW_STEM))
        )
        self._names: dict[str, int] = {}
        self._listed: tuple[int, int, int] | None = None
        self._looked: tuple[int, int, int] | None = None
        self._asks_files = False
        self._wrong: set[tuple[str, int]] = set()
        self._wrong_before = self._wrong

    def __getitem__(self, name: str) -> int | None:
        """Return the number of the file called *name* at the last look, ``None`` for none."""
        return self._names.get(name)

    def correct(self, seen: Seen) -> None:
        """Take *seen* as not seen: the name is another file's by now, or nobody's.

        Where it is so twice running, a listing does not say the numbers that files have (over FUSE,
        it need not): then each file is asked for its own from now on.
        """
        self._asks_files |= (seen.name, seen.ino) in self._wrong_before
        self._wrong.add((seen.name, seen.ino))
        self._names.pop(seen.name, None)
        self.forget()

    def forget(self) -> None:
        """List the directory the next time, whatever its time is."""
        self._listed = None

    def is_current(self) -> bool:
        """Tell whether the directory is as it was before the last listing, by its time."""
        return len(self._names) > _MANY or self._time() == self._looked

    def look(self) -> Changes:
        """Return what has changed since the last call.

        A listing may miss a file that is renamed meanwhile. So it is repeated, for not too long,
        until of each session's files two listings in turn have said the same.

        Raises:
            OSError: the directory is there, but cannot be listed.
        """
        listed, now_ns = self._time(), time.time_ns()
        self._looked = listed
        self._wrong_before, self._wrong = self._wrong, set()
        if listed is not None and listed == self._listed:
            return Changes([], None, complete=True)
        deadline = time.monotonic() + _SETTLE_S
        found = self._list()
        restless: set[str] | None = None
        # What changes in the very tick of the listing does not change the directory's time again.
        while not (is_quiet := _was_quiet(listed, now_ns) and self._time() == listed):
            if restless == set() or len(found) > _MANY or time.monotonic() > deadline:
                break
            self._looked = listed = self._time()
            now_ns = time.time_ns()
            before, found = found, self._list()
            changed = {_stem(name) for name, _ in before.items() ^ found.items()}
            restless = changed if restless is None else restless & changed
        self._listed = listed if is_quiet else None
        complete = is_quiet or restless == set() or len(found) > _MANY
        before, self._names = self._names, found
        changed_names = [name for name, ino in found.items() if before.get(name) != ino]
        appeared = [
            Seen(name, parsed, found[name])
            for name in changed_names
            if (parsed := parse_name(name)) is not None and self._means(parsed.stem)
        ]
        appeared.sort(key=lambda seen: -seen.parsed.backup)
        return Changes(appeared, set(found.values()) if complete else None, complete=complete)

    def _time(self) -> tuple[int, int, int] | None:
        try:
            status = os.stat(self.directory)
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino, status.st_mtime_ns

    def _list(self) -> dict[str, int]:
        starts = self._starts
        number = _own_number if self._asks_files else os.DirEntry.inode
        try:
            with os.scandir(self.directory) as entries:
                return {
                    entry.name: number(entry)
                    for entry in entries
                    if LOG_SUFFIX in entry.name and entry.name.startswith(starts)
                }
        except FileNotFoundError:
            return {}

    def _means(self, stem: str) -> bool:
        if self._stems is None:
            return is_stem(stem)
        return stem in self._stems or stem == OVERFLOW_STEM


def _was_quiet(changed: tuple[int, int, int] | None, now_ns: int) -> bool:
    return changed is not None and now_ns - changed[-1] > _TICK_NS


def _own_number(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_ino
    except OSError:
        return entry.inode()


def _stem(name: str) -> str:
    return name.partition(LOG_SUFFIX)[0]

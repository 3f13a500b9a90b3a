"""The log files in a directory, and what has become of their names since the last look."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

from tracectrl.files.names import LOG_SUFFIX, OVERFLOW_STEM, ParsedName, parse_name

if TYPE_CHECKING:
    from collections.abc import Collection

# Two changes of a directory within one tick of the kernel's clock have one time.
_TICK_NS = 20_000_000
_LISTINGS = 3
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
    gone: list[int]
    """The numbers of the files that have no name any more."""


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

    def __getitem__(self, name: str) -> int | None:
        """Return the number of the file called *name* at the last look, ``None`` for none."""
        return self._names.get(name)

    def forget(self) -> None:
        """List the directory the next time, whatever its time is."""
        self._listed = None

    def is_current(self) -> bool:
        """Tell whether the names are those of the last look, as far as can be told quickly."""
        if self._time() != self._looked:
            return False
        # Its time says nothing of what has changed in the tick of the listing.
        is_quiet = self._listed is not None
        return is_quiet or len(self._names) > _MANY or self._list() == self._names

    def look(self) -> Changes:
        """Return what has changed since the last call.

        Raises:
            OSError: the directory is there, but cannot be listed.
        """
        for _ in range(_LISTINGS):
            now_ns = time.time_ns()
            listed = self._looked = self._time()
            if listed is not None and listed == self._listed:
                return Changes([], [])
            found = self._list()
            if self._time() == listed:  # else a file that was renamed meanwhile may be missing
                break
        # What changes in the very tick of the listing does not change the directory's time again.
        is_quiet = listed is not None and now_ns - listed[-1] > _TICK_NS
        self._listed = listed if is_quiet else None
        before, self._names = self._names, found
        changed = [name for name, ino in found.items() if before.get(name) != ino]
        appeared = [
            Seen(name, parsed, found[name])
            for name in changed
            if (parsed := parse_name(name)) is not None and self._means(parsed.stem)
        ]
        appeared.sort(key=lambda seen: -seen.parsed.backup)
        lost = [ino for name, ino in before.items() if found.get(name) != ino]
        if not lost:
            return Changes(appeared, [])
        present = set(found.values())
        return Changes(appeared, [ino for ino in lost if ino not in present])

    def _time(self) -> tuple[int, int, int] | None:
        try:
            status = os.stat(self.directory)
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino, status.st_mtime_ns

    def _list(self) -> dict[str, int]:
        starts = self._starts
        try:
            with os.scandir(self.directory) as entries:
                return {
                    entry.name: entry.inode()
                    for entry in entries
                    if LOG_SUFFIX in entry.name and entry.name.startswith(starts)
                }
        except FileNotFoundError:
            return {}

    def _means(self, stem: str) -> bool:
        return self._stems is None or stem in self._stems or stem == OVERFLOW_STEM

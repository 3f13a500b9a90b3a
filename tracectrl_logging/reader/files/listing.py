"""The names of session files under a root, sorted by session.

Anything else in the root is somebody else's: files with other names, directories, devices and
symbolic links, which the writers do not follow either.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

from tracectrl.files.names import ParsedName, parse_name
from tracectrl.files.stored import parsed_suffix

if TYPE_CHECKING:
    from collections.abc import Iterable

LISTINGS = 3
"""How often a root is listed that changes all the time."""

TICK_NS = 20_000_000
"""Two changes of a directory within one tick of the kernel's clock have one time."""


class StoredName(NamedTuple):
    """A file of a session: its name, and what the name says."""

    name: str
    parsed: ParsedName


class SessionFiles(NamedTuple):
    """The names of one session's files under a root, as they were when it was listed."""

    root: str
    stem: str
    suffixes: tuple[str, ...]
    """What follows the stem in the names."""

    @property
    def names(self) -> list[StoredName]:
        """The names, and what they say."""
        names = []
        for suffix in self.suffixes:
            _, kind, backup, packed = parsed_suffix(suffix)
            parsed = ParsedName(self.stem, kind, backup, packed)
            names.append(StoredName(self.stem + suffix, parsed))
        return names

    def is_gone(self) -> bool:
        """Tell whether none of the files is there any more."""
        return not any(os.path.lexists(os.path.join(self.root, it.name)) for it in self.names)


def listed(directory: str, starts: tuple[str, ...] = ("",)) -> dict[str, list[StoredName]]:
    """Return the session files whose names begin with one of *starts*, by their stems.

    A listing may miss a file that is renamed meanwhile, under either name; then the next one is
    asked as well.
    """
    by_stem: dict[str, list[StoredName]] = {}
    known: set[str] = set()
    for _ in range(LISTINGS):
        before_ns = os.stat(directory).st_mtime_ns
        was_quiet = time.time_ns() - before_ns > TICK_NS
        with os.scandir(directory) as entries:
            for entry in entries:
                name = entry.name
                if ".jsonl" not in name or not name.startswith(starts) or name in known:
                    continue
                parsed = parse_name(name)
                if parsed is None or not entry.is_file(follow_symlinks=False):
                    continue
                by_stem.setdefault(parsed.stem, []).append(StoredName(name, parsed))
        if was_quiet and os.stat(directory).st_mtime_ns == before_ns:
            break
        known = {stored.name for names in by_stem.values() for stored in names}
    return by_stem


def suffixes_of(stem: str, names: Iterable[StoredName]) -> tuple[str, ...]:
    """Return what follows *stem* in each of *names*."""
    return tuple(it.name[len(stem) :] for it in names)

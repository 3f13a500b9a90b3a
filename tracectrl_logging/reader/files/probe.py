"""The names of one session's files, without listing a root of hundreds of thousands of others.

Which names a session can have is known, so they are asked for one by one: a few hundred questions,
less than a millisecond, where a listing takes a tenth of a second. In a root with few names the
listing is as quick, and is asked instead: it finds a backup past any gap in the numbers, too.

Rotation and compressing go on meanwhile. Files only move up by number, so asking from the lowest up
meets each; and a packed file is there before the plain one goes, so the plain name is asked first.
"""

from __future__ import annotations

import itertools
import os
import stat
from typing import TYPE_CHECKING

from tracectrl.files.names import LOG_SUFFIX, SPAN_SUFFIX, ParsedName
from tracectrl_logging.reader.files.listing import StoredName, listed

if TYPE_CHECKING:
    from typing import Final

_SMALL_BYTES: Final = 128 * 1024
"""A directory of this size (not of what is in it) has a thousand names or two."""

_WIDEST_GAP: Final = 32
"""How many numbers of backups may be missing in a row, where somebody has removed some."""

_KINDS: Final = (("logs", LOG_SUFFIX), ("spans", SPAN_SUFFIX))
_PACKED: Final = ((None, ""), ("gz", ".gz"), ("zst", ".zst"))


def names_in(directory: str, stem: str) -> list[StoredName]:
    """Return the names of the session files in *directory* whose stem is *stem*, in no order.

    Raises:
        OSError: the directory does not exist, is none or may not be listed.
    """
    if os.stat(directory).st_size <= _SMALL_BYTES:
        return listed(directory, (f"{stem}.",)).get(stem, [])
    return list(
        itertools.chain.from_iterable(
            _probed(directory, stem, kind, suffix) for kind, suffix in _KINDS
        )
    )


def _probed(directory: str, stem: str, kind: str, suffix: str) -> list[StoredName]:
    found: list[StoredName] = []
    last = 0
    for backup in itertools.count():
        if backup > last + _WIDEST_GAP:
            return found
        numbered = f"{stem}{suffix}.{backup}" if backup else f"{stem}{suffix}"
        for packed, ending in _PACKED:
            name = numbered + ending
            try:
                mode = os.lstat(f"{directory}/{name}").st_mode
            except OSError:
                continue
            if stat.S_ISREG(mode):
                found.append(StoredName(name, ParsedName(stem, kind, backup, packed)))
                last = backup
    return found  # pragma: no cover - the count has no end

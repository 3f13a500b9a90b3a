"""Small files that no rotation or compression has touched, read whole and at once.

Under a large root nearly all files are such, and most of the time that reading them line by line takes
is spent around the lines. What is out of the ordinary in any way is left to those who read line by line
(:mod:`tracectrl_logging.reader.files.lines`), damage too.
"""

from __future__ import annotations

import functools
import os
import re
from typing import TYPE_CHECKING, Any

import orjson

from tracectrl.files.names import parsed_suffix
from tracectrl.schema import TIME_KEY, as_own
from tracectrl_logging.reader.files.opening import FLAGS, KIND_OF, SUFFIX_OF, is_rotated

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from tracectrl.files.listing import StoredSession
    from tracectrl.schema import Kind

_MOST_BYTES: Final = 64 * 1024
"""A file that is longer is read line by line: there the lines are what takes the time."""

_TIME: Final = rb'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)"'
_TIMES: Final[dict[Kind, bytes]] = {
    "log": rb'\n\{"timestamp": ?%b' % _TIME,
    "span": rb'"start_time": ?%b, ?"end_time": ?%b' % (_TIME, _TIME),
}
"""The times in lines as our writers make them, or as Python's own encoder would."""


def whole_rows(
    found: StoredSession, kind: Kind, look: Callable[[int], object] | None = None
) -> list[dict[str, Any]] | None:
    """Return the lines of one *kind* of the session whose files are *found*, under our keys.

    ``None`` where they are to be read line by line. *look*, if it is given, is called with
    the descriptor of the file.
    """
    data = _content(found, kind, look)
    if not data:
        return None if data is None else []
    key = TIME_KEY[kind]
    try:
        rows = list(map(orjson.loads, data[:-1].split(b"\n")))
        for row in rows:
            if type(row) is not dict or key not in row:
                return None
    except ValueError:
        return None
    return list(map(as_own, rows)) if kind == "log" else rows


def latest_time(found: StoredSession) -> str | None:
    """Return the latest time in the lines of the session whose files are *found*, ``""`` for none.

    ``None`` where that takes reading line by line: a line is none that our writers make.
    """
    latest = b""
    for kind in _TIMES:
        data = _content(found, kind)
        if data is None:
            return None
        times = _times_of(kind)(b"\n" + data)
        if len(times) != data.count(b"\n"):
            return None
        if times:
            latest = max(latest, max(times) if kind == "log" else max(map(max, times)))
    return latest.decode("ascii")


@functools.cache
def _times_of(kind: Kind) -> Callable[[bytes], list[Any]]:
    return re.compile(_TIMES[kind]).findall


def _content(
    found: StoredSession, kind: Kind, look: Callable[[int], object] | None = None
) -> bytes | None:
    """Return the content of the only file of its *kind*: whole lines, nothing where there is none.

    ``None`` where there are several files, or one that is not small, plain and at rest.
    """
    own = _sole(found.suffixes, kind)
    if not own:
        return own if own is None else b""
    # As much memory as that takes, and one byte more than there was: to be given 64 KiB takes longer.
    most = min(found.size_bytes + 1, _MOST_BYTES) if found.size_bytes else _MOST_BYTES
    try:
        fd = os.open(f"{found.root}/{found.stem}{own}", FLAGS)
        try:
            data = os.read(fd, most)
            if look is not None:
                look(fd)
        finally:
            os.close(fd)
        is_all = found.is_as_listed() or not is_rotated(found, kind, {0})
    except OSError:
        return None
    return data if is_all and len(data) < most and data[-1:] in b"\n" else None


@functools.lru_cache(maxsize=1024)
def _sole(suffixes: tuple[str, ...], kind: Kind) -> str | None:
    """Return the suffix of the only file of its *kind*, ``""`` for none, ``None`` for any other case."""
    own = [it for it in suffixes if KIND_OF[parsed_suffix(it).kind] == kind]
    if not own:
        return ""
    return own[0] if own == [SUFFIX_OF[kind]] else None

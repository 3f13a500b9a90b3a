"""Leaving sessions out of a search whose files cannot hold what is searched for.

Their files are read as bytes, whole or in large blocks, and not line by line. A file in which a
line is damaged, as far as its ends, NUL bytes or its encoding show that, is left to those who look
closer and say so.
"""

from __future__ import annotations

import os
import re
import stat
import zlib
from operator import itemgetter
from typing import TYPE_CHECKING

from tracectrl.files.names import parsed_suffix
from tracectrl.schema import OTLP_SIGNS
from tracectrl_logging.reader.files.opening import FLAGS, UNREADABLE, is_as_named
from tracectrl_logging.reader.filters.search import OWN_LEVELS, own_level

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from tracectrl.files.listing import StoredSession
    from tracectrl_logging.reader.files.root import Listing
    from tracectrl_logging.reader.filters.needle import Needle

_BLOCK_BYTES: Final = 4 * 1024 * 1024
_LONG_LINE_BYTES: Final = 16 * 1024 * 1024
_SMALL_PACKED_BYTES: Final = 256 * 1024
_GROWTH_BYTES: Final = 4096
_GZIP: Final = 31  # for zlib: with gzip's header and checksum

_FIRST: Final = frozenset(b"{")
_LAST: Final = frozenset(b"}")
_STARTS: Final = frozenset({b'{"timestamp":"'})
_OTLP: Final = re.compile(b'"(?:%b)"' % "|".join(OTLP_SIGNS["log"]).encode())
_start = itemgetter(slice(0, 14))
_first = itemgetter(0)
_last = itemgetter(-1)


class Sieve:
    """Tells which sessions of *listing* may have a log line with *needle*."""

    def __init__(self, listing: Listing, needle: Needle) -> None:
        self._listing = listing
        self._needle = needle

    def lets_through(self, session: StoredSession) -> bool:
        """Tell whether the log lines of *session* have to be looked at one by one."""
        listing = self._listing
        read: dict[str, tuple[int, int]] = {}
        for suffix in session.suffixes:
            _, kind, _, packed = parsed_suffix(suffix)
            if kind == "logs":
                path = f"{listing.root}/{session.stem}{suffix}"
                if self._may_match(path, packed, read):
                    return True
        return not (listing.is_at_rest() or is_as_named(session, "log", read))

    def _may_match(self, path: str, packed: str | None, read: dict[str, tuple[int, int]]) -> bool:
        try:
            fd = os.open(path, FLAGS)
        except OSError:
            return True
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                return True
            read[path] = (status.st_dev, status.st_ino)
            data = _content(fd, status.st_size, packed)
            if data is None:
                return self._may_match_in_blocks(fd, packed)
            return self._is_suspect(data)
        except (*UNREADABLE, ImportError):
            return True
        finally:
            os.close(fd)

    def _may_match_in_blocks(self, fd: int, packed: str | None) -> bool:
        with open(fd, "rb", buffering=0, closefd=False) as raw:
            if packed is None:
                return self._is_suspect_of(raw.read)
            from tracectrl.files.compression import unpacked  # noqa: PLC0415 - only for such a file

            with unpacked(raw, packed) as stream:
                return self._is_suspect_of(stream.read)

    def _is_suspect_of(self, read: Callable[[int], bytes]) -> bool:
        """Do as :meth:`_is_suspect` with what *read* returns, some lines at a time."""
        rest = b""
        while block := read(_BLOCK_BYTES):
            rest += block
            end = rest.rfind(b"\n") + 1
            if end:
                if self._is_suspect(rest[:end]):
                    return True
                rest = rest[end:]
            elif len(rest) > _LONG_LINE_BYTES:
                return True
        return self._is_suspect(rest)

    def _is_suspect(self, data: bytes) -> bool:
        """Tell whether one of the lines *data* may match, or is damaged."""
        if self._needle.may_be_in(data):
            return True
        lines = data.split(b"\n")
        return not _are_whole(data, lines) or self._may_read_otherwise(lines)

    def _may_read_otherwise(self, lines: list[bytes]) -> bool:
        """Tell whether one of *lines* may read as it is not stored, and match as it reads.

        A line of our own begins with its time and one of the five levels; such a one is what it is.
        OTLP/JSON reads as a flat line, and another writer's level as one of the five.
        """
        if _STARTS.issuperset(map(_start, lines)) and OWN_LEVELS.issuperset(map(own_level, lines)):
            return False
        odd = [
            line
            for line in lines
            if _start(line) not in _STARTS or own_level(line) not in OWN_LEVELS
        ]
        return self._needle.is_in_level or any(_OTLP.search(line) is not None for line in odd)


def _content(fd: int, size_bytes: int, packed: str | None) -> bytes | None:
    """Return what a file holds, at once; ``None``, with nothing read, where it may be much."""
    most = _SMALL_PACKED_BYTES if packed else _BLOCK_BYTES
    if size_bytes <= most and packed != "zst":
        data = os.read(fd, most + 1 if packed else size_bytes + _GROWTH_BYTES)
        if packed is None:
            if len(data) < size_bytes + _GROWTH_BYTES:
                return data
        elif len(data) <= most:
            unpacking = zlib.decompressobj(_GZIP)
            data = unpacking.decompress(data, _BLOCK_BYTES)
            if unpacking.eof and not unpacking.unused_data:
                return data
        os.lseek(fd, 0, os.SEEK_SET)
    return None


def _are_whole(data: bytes, lines: list[bytes]) -> bool:
    """Tell whether each of *lines*, which are those of *data*, is a JSON object by its ends."""
    if lines.pop() or b"\0" in data:
        return False
    try:
        if not _FIRST.issuperset(map(_first, lines)) or not _LAST.issuperset(map(_last, lines)):
            return False
        if not data.isascii():
            data.decode()
    except (IndexError, UnicodeDecodeError):  # an empty line, and what is no text
        return False
    return True

"""Which plain file a compressed one was made from, and so how far it has been read already."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from tracectrl_logging.reader.files.followed import CHUNK_BYTES, HEAD_BYTES, TAIL_BYTES, began_by

if TYPE_CHECKING:
    from tracectrl_logging.reader.files.followed import Followed


class _Content(NamedTuple):
    """What a compressed file holds."""

    head: bytes
    size: int
    tail: bytes


def is_read(mtime_ns: int, known: list[Followed]) -> bool:
    """Tell whether a copy of that time is surely of one of the *known* files, read to its end."""
    return any(
        plain.fd < 0 and plain.mtime_ns == mtime_ns and plain.offset == plain.size
        for plain in known
    )


def place_in_copy(copy: Followed, known: list[Followed]) -> int | None:
    """Return up to where the compressed file *copy* has been read as one of the *known* plain ones.

    A plain file that is still open is taken as read from then on: its descriptor may be closed at
    any time, and what is left of it comes from the copy.

    Args:
        copy: the compressed file, open.
        known: what may be the plain file, the likeliest first.

    Returns:
        Where to go on, ``None`` where there is nothing to come.
    """
    content = _content_of(copy)
    for plain in known:
        differs = plain.head is not None and plain.head != content.head
        if differs or plain.parsed.packed is not None:
            continue
        if plain.fd >= 0:
            size = os.fstat(plain.fd).st_size
            start = max(0, size - TAIL_BYTES)
            tail = os.pread(plain.fd, size - start, start)
            if size and size == content.size and content.tail == tail:
                start, plain.offset, plain.size, plain.drained = plain.offset, size, size, True
                return start if start < size else None
        elif 0 < plain.offset <= content.size and _continues(copy, plain, content):
            return plain.offset if plain.offset < content.size else None
    return 0


def _continues(copy: Followed, plain: Followed, content: _Content) -> bool:
    """Tell whether *copy* holds what was read of *plain*, and perhaps more."""
    if plain.tail is None:
        return began_by(content.head, plain.ctime_ns)
    return copy.at(plain.offset - len(plain.tail), len(plain.tail)) == plain.tail


def _content_of(copy: Followed) -> _Content:
    """Read *copy* to its end, or as far as that can be done."""
    head = tail = b""
    size = 0
    while chunk := copy.at(size, CHUNK_BYTES):
        if not size:
            head = chunk[:HEAD_BYTES].partition(b"\n")[0]
        tail = (tail + chunk)[-TAIL_BYTES:]
        size += len(chunk)
    copy.error = None  # it is met again where the file is read
    return _Content(head, size, tail)

"""A cursor: up to where the lines of sessions were handed out, as text.

Of each session's log lines and spans it has the contents that are of interest, the newest first: down
to one of which, as of all that is older, every line was handed out.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from tracectrl_logging.reader.files.following.content import ALL, MARK_SIZE, Content
from tracectrl_logging.reader.model import InvalidCursorError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tracectrl.schema import Kind
    from tracectrl_logging.reader.files.following.contents import Chain, Key

_VERSION = "1."
_MOST_BYTES = 64 * 1024 * 1024
_KINDS: dict[str, Kind] = {"l": "log", "s": "span"}
_LETTERS: dict[Kind, str] = {"log": "l", "span": "s"}
_FARTHEST = 1 << 62
_HAS_MORE = 1
_NOT_PLACED = 2


class Position(NamedTuple):
    """How far a content was handed out."""

    content: Content
    has_more: bool
    """Whether there was more in it."""


def text_of(chains: Iterable[Chain]) -> str:
    """Return up to where *chains* were handed out as text: letters, digits and ``.-_`` alone."""
    sessions: dict[str, dict[str, list[Any]]] = {}
    for chain in chains:
        entries = [_entry(content) for content in chain.contents if content.head is not None]
        if entries:
            stem, kind = chain.key
            sessions.setdefault(stem, {})[_LETTERS[kind]] = entries
    packed = zlib.compress(orjson.dumps(sessions))
    return _VERSION + base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def positions_of(text: str) -> dict[Key, list[Position]]:
    """Return what the cursor *text* says; each position has a content of its own.

    Raises:
        InvalidCursorError: that is no cursor.
    """
    try:
        if not text.startswith(_VERSION):
            raise ValueError  # noqa: TRY301 - all is said below
        packed = text[len(_VERSION) :].encode("ascii")
        data = base64.b64decode(packed + b"=" * (-len(packed) % 4), b"-_", validate=True)
        unpacking = zlib.decompressobj()
        rows = orjson.loads(unpacking.decompress(data, _MOST_BYTES))
        if not unpacking.eof:
            raise ValueError  # noqa: TRY301 - as above
        return dict(_positions(rows))
    except (ValueError, TypeError, LookupError, AttributeError, binascii.Error, zlib.error):
        msg = "a cursor must be one that a tail has given, got " + repr(_shortened(text))
        raise InvalidCursorError(msg) from None


def _positions(
    sessions: dict[str, dict[str, list[Any]]],
) -> Iterator[tuple[Key, list[Position]]]:
    for stem, kinds in sessions.items():
        for letter, entries in kinds.items():
            kind = _KINDS[letter]
            yield (stem, kind), [_position(stem, kind, entry) for entry in entries]


def _entry(content: Content) -> list[Any]:
    offset, mark, given = content.position()
    flags = _HAS_MORE * (not content.is_all_given()) | _NOT_PLACED * (not content.is_placed)
    entry = [_letters(content.head or b""), offset, _letters(mark), flags]
    if given:
        entry.append({str(start): number for start, number in given.items()})
    return entry


def _position(stem: str, kind: Kind, entry: list[Any]) -> Position:
    head, offset, mark, flags, *given = entry
    if type(offset) is not int or type(flags) is not int:
        raise TypeError
    if not ALL <= offset < _FARTHEST:
        raise ValueError
    content = Content(stem, kind, _bytes(head), offset)
    content.mark, content.before = _bytes(mark), None
    content.is_placed = not flags & _NOT_PLACED
    for skip in given:
        content.skip = {offset + int(start): int(number) for start, number in skip.items()}
    return Position(content, bool(flags & _HAS_MORE))


def _letters(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()


def _bytes(text: str) -> bytes:
    data = base64.urlsafe_b64decode(text)
    if len(data) != MARK_SIZE:
        raise ValueError
    return data


def _shortened(text: object) -> object:
    most = 40
    return f"{text[:most]}..." if isinstance(text, str) and len(text) > most else text

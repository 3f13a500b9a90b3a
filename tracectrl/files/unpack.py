"""Reading what is compressed, as far as that can be done.

A file that is cut off or damaged still holds much that can be read. So all that comes before the
damage is returned, to the byte, and only then is the damage raised: again at each attempt to read on.
"""

from __future__ import annotations

import io
import zlib
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

    from typing_extensions import Buffer

_GZIP: Final = 31  # for zlib: with gzip's header and checksum
_INPUT_BYTES: Final = 64 * 1024
_PIECE_BYTES: Final = 128 * 1024


class Decoder(Protocol):
    """What reads one member of a file, as ``compression.zstd.ZstdDecompressor`` does."""

    @property
    def eof(self) -> bool:
        """Whether the member is complete."""

    @property
    def unused_data(self) -> bytes:
        """What was given of the next member."""

    @property
    def needs_input(self) -> bool:
        """Whether nothing comes before more is given."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Return what comes after *data* was given, at most so much."""


class GzipDecoder:
    """Reads one member of a gzip file."""

    def __init__(self) -> None:
        self._inflating = zlib.decompressobj(_GZIP)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        """Whether the member is complete."""
        return self._inflating.eof

    @property
    def unused_data(self) -> bytes:
        """What was given of the next member."""
        return self._inflating.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Return what comes after *data* was given, at most so much."""
        inflating = self._inflating
        piece = inflating.decompress(inflating.unconsumed_tail + data, max_length)
        self.needs_input = not inflating.unconsumed_tail and len(piece) < max_length
        return piece


class Format(NamedTuple):
    """How a format is read."""

    name: str
    """What people call it."""
    begin: Callable[[], Decoder]
    """Makes what reads one member."""
    damage: type[Exception]
    """What that raises where the file is damaged."""
    filling: bytes = b""
    """What may stand between the members, and after the last."""
    may_be_empty: bool = False
    """A file of no bytes is one that holds nothing."""


GZIP: Final = Format("gzip", GzipDecoder, zlib.error, b"\0", may_be_empty=True)


class Unpacked(io.BufferedReader):
    """What the compressed file *file* holds; closing it closes *file*."""

    def __init__(self, file: IO[bytes], packed: Format) -> None:
        super().__init__(_Content(file, packed), _PIECE_BYTES)

    def read(self, size: int | None = -1, /) -> bytes:
        """Return *size* bytes, fewer at the end or before damage; all of them where it is negative."""
        if size is None or size < 0:
            return super().read(size)
        parts: list[bytes] = []
        while size:
            try:
                data = self.read1(min(size, _PIECE_BYTES))
            except (OSError, EOFError):
                if not parts:
                    raise
                break  # the next call raises it again
            if not data:
                break
            parts.append(data)
            size -= len(data)
        return b"".join(parts)


class _Content(io.RawIOBase):
    """The bytes that a compressed file holds, piece by piece."""

    def __init__(self, file: IO[bytes], packed: Format) -> None:
        self._file = file
        self._format = packed
        self._restart()

    def _restart(self) -> None:
        self._pieces = _pieces(self._file, self._format)
        self._left = memoryview(b"")
        self._at = 0
        self._failure: tuple[type[Exception], tuple[Any, ...]] | None = None

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it can be rewound, which starts over."""
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        """Read as :class:`io.RawIOBase` says."""
        if not self._left:
            if self._failure is not None:
                failure, args = self._failure
                raise failure(*args)
            try:
                self._left = memoryview(next(self._pieces, b""))
            except (OSError, EOFError) as error:
                self._failure = type(error), error.args  # itself would hold who has called
                raise
        with memoryview(buffer) as target:
            size = min(len(target), len(self._left))
            target[:size] = self._left[:size]
        self._left = self._left[size:]
        self._at += size
        return size

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a place in the content, from its start or from here."""
        if whence == io.SEEK_END:
            msg = "where the content of a compressed file ends is not known"
            raise io.UnsupportedOperation(msg)
        place = offset + self._at if whence == io.SEEK_CUR else offset
        if place < self._at:
            self._file.seek(0)
            self._restart()
        if place > self._at:
            with memoryview(bytearray(_PIECE_BYTES)) as skipped:
                while self._at < place and self.readinto(skipped[: place - self._at]):
                    pass
        return self._at

    def tell(self) -> int:
        """Return the place in the content."""
        return self._at

    def close(self) -> None:
        """Close it, and the file that it reads."""
        if not self.closed:
            super().close()
            self._file.close()


def _pieces(file: IO[bytes], packed: Format) -> Iterator[bytes]:
    """Yield what *file* holds, all of it that can be read.

    Raises:
        EOFError: the file is cut off.
        OSError: it is damaged.
    """
    data = file.read(_INPUT_BYTES)
    start = 0
    if not data and not packed.may_be_empty:
        msg = f"the {packed.name} file is empty"
        raise EOFError(msg)
    while data:
        decoder = packed.begin()
        given, given_at = data, start
        size = 0
        try:
            while not decoder.eof:
                piece = decoder.decompress(given, _PIECE_BYTES)
                size += len(piece)
                if piece:
                    yield piece
                given = b""
                if decoder.needs_input and not decoder.eof:
                    given_at = file.tell()
                    given = file.read(_INPUT_BYTES)
                    if not given:
                        msg = f"the {packed.name} file is cut off"
                        raise EOFError(msg)
        except packed.damage as error:
            yield from _before_damage(file, packed, start, given_at, size)
            what = str(error).rpartition(": ")[2]  # after what the library says of all damage
            msg = f"damaged {packed.name}: {what}"
            if start and not size:
                msg = f"what follows at byte {start} is not {packed.name}"
            raise OSError(msg) from error
        data = decoder.unused_data.lstrip(packed.filling)
        while not data and (more := file.read(_INPUT_BYTES)):
            data = more.lstrip(packed.filling)
        start = file.tell() - len(data)


def _before_damage(
    file: IO[bytes], packed: Format, start: int, given_at: int, size: int
) -> Iterator[bytes]:
    """Yield what a decoder that was given too much at once has lost.

    Args:
        file: the file.
        packed: its format.
        start: where in it the damaged member starts.
        given_at: up to where all is well.
        size: how many bytes of the member were read before.
    """
    decoder = packed.begin()
    file.seek(start)
    while True:
        room = given_at - file.tell()
        block = file.read(min(room, _INPUT_BYTES) if room > 0 else _INPUT_BYTES)
        step = len(block) if room > 0 else 1
        for at in range(0, len(block), step or 1):
            given = block[at : at + step]
            while True:
                try:
                    piece = decoder.decompress(given, _PIECE_BYTES)
                except packed.damage:
                    return
                if len(piece) > size:
                    yield piece[size:]
                size = max(0, size - len(piece))
                given = b""
                if decoder.eof:
                    return
                if decoder.needs_input:
                    break

"""Compressed session files: gzip from the standard library, Zstandard where it is installed.

Zstandard is ``compression.zstd`` since Python 3.14; before that, the package ``backports.zstd``.

A file that is cut off or damaged still holds much that can be read. So all that comes before the
damage is returned, to the byte, and only then is the damage raised: again at each attempt to read on.
"""

from __future__ import annotations

import io
import sys
import zlib
from importlib import import_module
from typing import IO, TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias, cast

from tracectrl.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

    from typing_extensions import Buffer

Format: TypeAlias = Literal["gz", "zst"]

FORMATS: Final = ("gz", "zst")
"""The formats, which are also what the files' names end in."""

DEFAULT_LEVEL: Final = {"gz": 6, "zst": 3}
LEVELS: Final = {"gz": range(1, 10), "zst": range(1, 23)}
"""How hard to compress: what the formats themselves call a level."""

# To look for a module that cannot be there takes long, for each file.
_ZSTD: Final = ("compression.zstd", "backports.zstd")[sys.version_info < (3, 14) :]
_MAX_GZIP_TIME: Final = 0xFFFFFFFF
_GZIP: Final = 31  # for zlib: with gzip's header and checksum
_INPUT_BYTES: Final = 64 * 1024
_PIECE_BYTES: Final = 128 * 1024


def unpacked(raw: IO[bytes], packed: str) -> IO[bytes]:
    """Return what the file *raw*, packed as ``"gz"`` or ``"zst"``, holds; closing it closes *raw*.

    What can be read before the damage of a file is returned; then reading raises OSError or EOFError.

    Raises:
        MissingExtraError: Zstandard is not installed; *raw* stays open.
    """
    if packed == "gz":
        return _Unpacked(raw, _AS_GZIP)
    zstd = _zstd()
    return _Unpacked(raw, _Decoding("Zstandard", zstd.ZstdDecompressor, zstd.ZstdError))


def packing(raw: IO[bytes], packed: str, level: int, mtime_s: float) -> IO[bytes]:
    """Return a stream that packs what is written to it into *raw*; closing it leaves *raw* open.

    Raises:
        MissingExtraError: Zstandard is not installed.
    """
    if packed == "gz":
        import gzip  # noqa: PLC0415 - only to compress

        seconds = int(mtime_s) if 0 <= mtime_s <= _MAX_GZIP_TIME else 0  # it has 32 bits for it
        stream = gzip.GzipFile("", "wb", compresslevel=level, fileobj=raw, mtime=seconds)
        return cast("IO[bytes]", stream)
    zstd = _zstd()
    options = {
        zstd.CompressionParameter.compression_level: level,
        zstd.CompressionParameter.checksum_flag: 1,
    }
    return cast("IO[bytes]", zstd.ZstdFile(raw, mode="wb", options=options))


def require(packed: str) -> None:
    """Raise MissingExtraError where files cannot be packed as ``"gz"`` or ``"zst"``."""
    if packed == "zst":
        _zstd()


def _zstd() -> Any:
    for name in _ZSTD:
        try:
            return import_module(name)
        except ImportError:
            continue
    feature, package, extra = "a .zst file", "backports.zstd", "zstd"
    raise MissingExtraError(feature, package, extra)


class _Decoder(Protocol):
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


class _GzipDecoder:
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


class _Decoding(NamedTuple):
    """How a format is read."""

    name: str
    """What people call it."""
    begin: Callable[[], _Decoder]
    """Makes what reads one member."""
    damage: type[Exception]
    """What that raises where the file is damaged."""
    filling: bytes = b""
    """What may stand between the members, and after the last."""
    may_be_empty: bool = False
    """A file of no bytes is one that holds nothing."""


_AS_GZIP: Final = _Decoding("gzip", _GzipDecoder, zlib.error, b"\0", may_be_empty=True)


class _Unpacked(io.BufferedReader):
    """What the compressed file *file* holds; closing it closes *file*."""

    def __init__(self, file: IO[bytes], decoding: _Decoding) -> None:
        super().__init__(_Content(file, decoding), _PIECE_BYTES)

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

    def __init__(self, file: IO[bytes], decoding: _Decoding) -> None:
        self._file = file
        self._decoding = decoding
        self._restart()

    def _restart(self) -> None:
        self._pieces = _pieces(self._file, self._decoding)
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


def _pieces(file: IO[bytes], decoding: _Decoding) -> Iterator[bytes]:
    """Yield what *file* holds, all of it that can be read.

    Raises:
        EOFError: the file is cut off.
        OSError: it is damaged.
    """
    data = file.read(_INPUT_BYTES)
    start = 0
    if not data and not decoding.may_be_empty:
        msg = f"the {decoding.name} file is empty"
        raise EOFError(msg)
    while data:
        decoder = decoding.begin()
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
                        msg = f"the {decoding.name} file is cut off"
                        raise EOFError(msg)
        except decoding.damage as error:
            yield from _before_damage(file, decoding, start, given_at, size)
            what = str(error).rpartition(": ")[2]  # after what the library says of all damage
            msg = f"damaged {decoding.name}: {what}"
            if start and not size:
                msg = f"what follows at byte {start} is not {decoding.name}"
            raise OSError(msg) from error
        data = decoder.unused_data.lstrip(decoding.filling)
        while not data and (more := file.read(_INPUT_BYTES)):
            data = more.lstrip(decoding.filling)
        start = file.tell() - len(data)


def _before_damage(
    file: IO[bytes], decoding: _Decoding, start: int, given_at: int, size: int
) -> Iterator[bytes]:
    """Yield what a decoder that was given too much at once has lost.

    Args:
        file: the file.
        decoding: how its format is read.
        start: where in it the damaged member starts.
        given_at: up to where all is well.
        size: how many bytes of the member were read before.
    """
    decoder = decoding.begin()
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
                except decoding.damage:
                    return
                if len(piece) > size:
                    yield piece[size:]
                size = max(0, size - len(piece))
                given = b""
                if decoder.eof:
                    return
                if decoder.needs_input:
                    break

"""Compressed session files: gzip from the standard library, Zstandard where it is installed.

Zstandard is ``compression.zstd`` since Python 3.14; before that, the package ``backports.zstd``.
"""

from __future__ import annotations

import io
import sys
from importlib import import_module
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias, cast

from tracectrl.errors import MissingExtraError

if TYPE_CHECKING:
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
_BUFFER_BYTES: Final = 128 * 1024


def unpacked(raw: IO[bytes], packed: str) -> IO[bytes]:
    """Return what the file *raw*, packed as ``"gz"`` or ``"zst"``, holds; closing it closes *raw*.

    Reading it raises OSError, EOFError or :class:`zlib.error` where the file is damaged.

    Raises:
        MissingExtraError: Zstandard is not installed; *raw* stays open.
    """
    if packed == "gz":
        import gzip  # noqa: PLC0415 - only for a compressed file

        stream = gzip.GzipFile(fileobj=raw, mode="rb")
        stream.myfileobj = raw  # type: ignore[assignment] # closed together
        return io.BufferedReader(stream, _BUFFER_BYTES)
    zstd = _zstd()
    content = _Zstandard(zstd.ZstdFile(raw, mode="rb"), raw, zstd.ZstdError)
    return cast("IO[bytes]", io.BufferedReader(content, _BUFFER_BYTES))


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


class _Zstandard(io.RawIOBase):
    """A Zstandard file being read, whose damage is an OSError like that of other files."""

    def __init__(self, stream: Any, raw: IO[bytes], error: type[Exception]) -> None:
        self._stream = stream
        self._raw = raw
        self._error = error

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it can be rewound, which starts over."""
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        """Read as :class:`io.RawIOBase` says."""
        try:
            return int(self._stream.readinto(buffer))
        except self._error as error:
            raise OSError(str(error)) from error

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a place in the content."""
        return int(self._stream.seek(offset, whence))

    def tell(self) -> int:
        """Return the place in the content."""
        return int(self._stream.tell())

    def close(self) -> None:
        """Close it, and the file that it reads."""
        if not self.closed:
            super().close()
            self._stream.close()
            self._raw.close()


def _zstd() -> Any:
    for name in _ZSTD:
        try:
            return import_module(name)
        except ImportError:
            continue
    feature, package, extra = "a .zst file", "backports.zstd", "zstd"
    raise MissingExtraError(feature, package, extra)

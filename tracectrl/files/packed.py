"""Compressed session files: gzip from the standard library, Zstandard where it is installed.

Zstandard is ``compression.zstd`` since Python 3.14; before that, the package ``backports.zstd``.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias, cast

from tracectrl.errors import MissingExtraError

if TYPE_CHECKING:
    from typing import Final

Format: TypeAlias = Literal["gz", "zst"]

FORMATS: Final = ("gz", "zst")
"""The formats, which are also what the files' names end in."""

DEFAULT_LEVEL: Final = {"gz": 6, "zst": 3}
LEVELS: Final = {"gz": range(1, 10), "zst": range(1, 23)}
"""How hard to compress: what the formats themselves call a level."""

# To look for a module that cannot be there takes long, for each file.
_ZSTD: Final = ("compression.zstd", "backports.zstd")[sys.version_info < (3, 14) :]
_MAX_GZIP_TIME: Final = 0xFFFFFFFF


def unpacked(raw: IO[bytes], packed: str) -> IO[bytes]:
    """Return what the file *raw*, packed as ``"gz"`` or ``"zst"``, holds; closing it closes *raw*.

    What can be read before the damage of a file is returned; then reading raises OSError or EOFError.

    Raises:
        MissingExtraError: Zstandard is not installed; *raw* stays open.
    """
    from tracectrl.files import unpack  # noqa: PLC0415 - only for a compressed file

    if packed == "gz":
        return unpack.Unpacked(raw, unpack.GZIP)
    zstd = _zstd()
    return unpack.Unpacked(raw, unpack.Format("Zstandard", zstd.ZstdDecompressor, zstd.ZstdError))


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

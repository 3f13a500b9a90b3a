"""Compressed files: what is packed can be read, what is damaged says so."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.errors import MissingExtraError
from tracectrl.files.compression import DEFAULT_LEVEL, FORMATS, LEVELS, packing, require, unpacked

if TYPE_CHECKING:
    from pathlib import Path

LINES = b"".join(b'{"n":%d}\n' % number for number in range(50_000))
DAMAGE = (OSError, EOFError, zlib.error)


def packed_as(packed: str, data: bytes = LINES, level: int | None = None) -> bytes:
    """Return *data* compressed."""
    raw = io.BytesIO()
    with packing(raw, packed, level or DEFAULT_LEVEL[packed], 1.0) as stream:
        stream.write(data)
    return raw.getvalue()


@pytest.mark.parametrize("packed", FORMATS)
def test_round_trip(packed: str) -> None:
    """What was written is read, line by line, from the start again after a seek."""
    data = packed_as(packed)
    assert len(data) < len(LINES) / 2
    with unpacked(io.BytesIO(data), packed) as stream:
        assert [b'{"n":0}\n', b'{"n":1}\n'] == [stream.readline(), stream.readline()]
        assert 16 == stream.tell()
        stream.seek(0)
        assert LINES == stream.read()


@pytest.mark.parametrize("packed", FORMATS)
def test_levels(packed: str) -> None:
    """Every level that is offered is one."""
    for level in LEVELS[packed]:
        with unpacked(io.BytesIO(packed_as(packed, b"x\n", level)), packed) as stream:
            assert b"x\n" == stream.read()


def test_gzip_of_others() -> None:
    """It is plain gzip: the standard library reads it, and the reader reads the library's."""
    assert LINES == gzip.decompress(packed_as("gz"))
    with unpacked(io.BytesIO(gzip.compress(LINES)), "gz") as stream:
        assert LINES == stream.read()


@pytest.mark.parametrize("mtime_s", [-1e9, 1e12])
def test_impossible_times(mtime_s: float) -> None:
    """A time that gzip cannot hold is left out."""
    raw = io.BytesIO()
    with packing(raw, "gz", 1, mtime_s) as stream:
        stream.write(b"x")
    assert b"x" == gzip.decompress(raw.getvalue())


def test_zstandard_of_others(zstd: Any) -> None:
    """It is plain Zstandard; several frames one after the other are one file."""
    assert LINES == zstd.decompress(packed_as("zst"))
    with unpacked(io.BytesIO(zstd.compress(b"a\n") + zstd.compress(b"b\n")), "zst") as stream:
        assert [b"a\n", b"b\n"] == stream.readlines()


@pytest.mark.parametrize("packed", FORMATS)
@pytest.mark.parametrize("damage", ["cut", "garbage", "flipped", "tail"])
def test_damage(packed: str, damage: str) -> None:
    """Damage raises what the reader expects of any file, never an error of the decompressor's."""
    data = packed_as(packed)
    damaged = {
        "cut": data[: len(data) // 2],
        "garbage": b"garbage" * 100,
        "flipped": data[:200] + b"\xff" * 50 + data[250:],
        "tail": data + b"garbage" * 100,
    }[damage]
    with unpacked(io.BytesIO(damaged), packed) as stream, pytest.raises(DAMAGE):
        list(stream)


@pytest.mark.parametrize("packed", FORMATS)
def test_closing(packed: str, tmp_path: Path) -> None:
    """Closing the stream closes the file; closing what packs leaves it open."""
    path = tmp_path / "file"
    with path.open("wb") as raw:
        packing(raw, packed, 1, 1.0).close()
        assert not raw.closed
    packed_raw = path.open("rb")
    unpacked(packed_raw, packed).close()
    assert packed_raw.closed


def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Zstandard the error says what to install; gzip needs nothing."""
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    monkeypatch.setitem(sys.modules, "backports.zstd", None)
    require("gz")
    with pytest.raises(MissingExtraError, match="pip install 'backports-zstd"):
        require("zst")
    with pytest.raises(MissingExtraError):
        unpacked(io.BytesIO(b""), "zst")

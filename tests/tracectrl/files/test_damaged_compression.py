"""What is damaged is read up to the damage, as a person with the format's own tool can."""

from __future__ import annotations

import contextlib
import gzip
import io
import random
import weakref
from typing import IO, TYPE_CHECKING, Any

import pytest

from tracectrl.files.compression import DEFAULT_LEVEL, FORMATS, packing, unpacked

if TYPE_CHECKING:
    from collections.abc import Callable

NOISE = random.Random(0)  # noqa: S311 - to compress badly
LINES = [b'{"n":%d,"noise":"%x"}\n' % (n, NOISE.getrandbits(200)) for n in range(20_000)]
WHOLE = b"".join(LINES)
READING: dict[str, Callable[[IO[bytes]], bytes]] = {
    "read": lambda stream: _until_damage(lambda: stream.read(100_000)),
    "read1": lambda stream: _until_damage(lambda: stream.read1(64 * 1024)),  # type: ignore[attr-defined]
    "readline": lambda stream: _until_damage(stream.readline),
}


def _until_damage(read: Callable[[], bytes]) -> bytes:
    """Return all that *read* returns before it raises, which it then goes on doing."""
    found: list[bytes] = []
    with pytest.raises((OSError, EOFError)):
        found.extend(iter(read, b""))
    with pytest.raises((OSError, EOFError)):
        read()
    return b"".join(found)


def packed_as(packed: str, data: bytes = WHOLE) -> bytes:
    """Return *data* compressed."""
    raw = io.BytesIO()
    with packing(raw, packed, DEFAULT_LEVEL[packed], 1.0) as stream:
        stream.write(data)
    return raw.getvalue()


@pytest.mark.parametrize("how", READING)
@pytest.mark.parametrize("packed", FORMATS)
@pytest.mark.parametrize("damage", ["checksum", "junk", "more"])
def test_nothing_is_lost_of_complete_data(damage: str, packed: str, how: str) -> None:
    """A wrong checksum at the end, and what follows that is none of it, cost no byte."""
    data = packed_as(packed)
    damaged = {
        "checksum": data[:-6] + bytes(byte ^ 255 for byte in data[-6:]),
        "junk": data + b"junk",
        "more": data + data[:2] + b"junk" * 1000,
    }[damage]
    if damage == "checksum" and packed == "zst":
        damaged = data[:-1] + bytes([data[-1] ^ 255])
    with unpacked(io.BytesIO(damaged), packed) as stream:
        found = READING[how](stream)
    assert WHOLE == found


@pytest.mark.parametrize("how", READING)
@pytest.mark.parametrize("part", [0.3, 0.5, 0.99])
def test_cut_off_gzip(part: float, how: str) -> None:
    """All is read that zlib can read, but for the line that breaks off."""
    import zlib  # noqa: PLC0415 - for this alone

    data = packed_as("gz")
    data = data[: int(len(data) * part)]
    readable = zlib.decompressobj(31).decompress(data)
    with unpacked(io.BytesIO(data), "gz") as stream:
        found = READING[how](stream)
    if how == "readline":
        readable = readable[: readable.rfind(b"\n") + 1]
    assert readable == found


@pytest.mark.parametrize("how", READING)
def test_cut_off_zstandard(how: str, zstd: Any) -> None:
    """All blocks that are whole are read."""
    data = packed_as("zst")
    data = data[: len(data) // 2]
    readable = zstd.ZstdDecompressor().decompress(data)
    with unpacked(io.BytesIO(data), "zst") as stream:
        found = READING[how](stream)
    if how == "readline":
        readable = readable[: readable.rfind(b"\n") + 1]
    assert len(readable) > len(WHOLE) / 4
    assert readable == found


@pytest.mark.parametrize("how", READING)
@pytest.mark.parametrize("packed", FORMATS)
def test_damage_inside(packed: str, how: str) -> None:
    """What stands before the damage is read, however much is decompressed at once."""
    data = bytearray(packed_as(packed))
    middle = len(data) // 2
    data[middle : middle + 64] = b"\xff" * 64
    with unpacked(io.BytesIO(bytes(data)), packed) as stream:
        found = READING[how](stream)
    same = next(
        (at for at in range(len(found)) if found[at] != WHOLE[at]), min(len(found), len(WHOLE))
    )
    assert same > len(WHOLE) * (0.45 if packed == "gz" else 0.3)


@pytest.mark.parametrize("packed", FORMATS)
def test_damage_after_a_whole_member(packed: str) -> None:
    """What was read of an earlier member is not returned again when a later one is damaged."""
    data = packed_as(packed) + packed_as(packed, b"last\n")[:-1] + b"!"
    with unpacked(io.BytesIO(data), packed) as stream:
        assert WHOLE + b"last\n" == READING["read"](stream)


def test_the_error_names_the_place() -> None:
    """What follows a complete file is told from damage in it."""
    data = gzip.compress(b"x\n")
    with unpacked(io.BytesIO(data + b"junk"), "gz") as stream:
        assert b"x\n" == stream.readline()
        with pytest.raises(OSError, match=f"^what follows at byte {len(data)} is not gzip$"):
            stream.readline()


def test_zeros_fill_up_a_gzip_file() -> None:
    """As after a tape's last block: they are no damage, between members neither."""
    data = gzip.compress(b"a\n") + bytes(100_000) + gzip.compress(b"b\n") + bytes(512)
    with unpacked(io.BytesIO(data), "gz") as stream:
        assert [b"a\n", b"b\n"] == stream.readlines()


@pytest.mark.parametrize("packed", FORMATS)
def test_rewinding_after_damage(packed: str) -> None:
    """After the damage was met, what stands before it can be read again."""
    with unpacked(io.BytesIO(packed_as(packed) + b"junk"), packed) as stream:
        READING["read"](stream)
        stream.seek(len(LINES[0]))
        assert LINES[1] == stream.readline()
        stream.seek(0)
        assert LINES[0] == stream.readline()


@pytest.mark.parametrize("packed", FORMATS)
def test_places(packed: str) -> None:
    """Places in the content are known, from the start or from here; its end is not."""
    with unpacked(io.BytesIO(packed_as(packed)), packed) as stream:
        stream.seek(1_000_000)
        stream.seek(5, io.SEEK_CUR)
        assert (1_000_005, WHOLE[1_000_005:1_000_009]) == (stream.tell(), stream.read(4))
        with pytest.raises(io.UnsupportedOperation):
            stream.seek(0, io.SEEK_END)
        stream.seek(10**9)
        assert (b"", WHOLE[:3]) == (stream.read(), stream.seek(0) or stream.read(3))


@pytest.mark.parametrize("packed", FORMATS)
def test_damage_holds_nobody(packed: str) -> None:
    """Who has met the damage, and what it holds, is freed at once."""

    class Caller:
        """Has a descriptor, or more."""

    def read(stream: IO[bytes]) -> weakref.ref[Caller]:
        caller = Caller()
        with contextlib.suppress(OSError, EOFError):
            stream.read()
        return weakref.ref(caller)

    with unpacked(io.BytesIO(packed_as(packed)[:-3] + b"..."), packed) as stream:
        assert read(stream)() is None

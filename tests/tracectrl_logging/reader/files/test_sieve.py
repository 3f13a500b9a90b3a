"""Leaving files out that cannot match."""

from __future__ import annotations

import gzip
import os
import time
from typing import TYPE_CHECKING

import pytest

from tracectrl_logging.reader.files import sieve as module
from tracectrl_logging.reader.files.root import Listing
from tracectrl_logging.reader.files.sieve import Sieve
from tracectrl_logging.reader.filters.needle import Needle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[..., Path]

FINE = b'{"message":"nothing"}'


def passing(root: Path, word: str = "word") -> set[str]:
    """Return the stems of the sessions that are let through."""
    listing = Listing(root)
    sieve = Sieve(listing, Needle(word))
    return {session.stem for session in listing.sessions if sieve.lets_through(session)}


def test_by_content(write: Write, root: Path) -> None:
    """Any of a session's log files may hold the word, compressed ones too; spans do not count."""
    write("none.logs.jsonl", FINE)
    write("none.spans.jsonl", b'{"name":"word"}')
    write("live.logs.jsonl", FINE, b'{"message":"a word"}')
    write("backup.logs.jsonl", FINE)
    write("backup.logs.jsonl.2", b'{"message":"a word"}')
    write("packed.logs.jsonl.1.gz").write_bytes(gzip.compress(b'{"message":"a word"}\n'))
    write("other.logs.jsonl.1.gz").write_bytes(gzip.compress(FINE + b"\n"))
    write("empty.logs.jsonl")
    assert {"live", "backup", "packed"} == passing(root)


@pytest.mark.parametrize(
    "data",
    [
        b"garbage\n",
        FINE + b"\n\0\0\0\n",
        FINE + b'\n{"message":\n' + FINE + b"\n",
        FINE + b'\nage":1}\n',
        FINE,
        FINE + b"\n\n",
        b'{"message":"\xff"}\n',
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_damage(data: bytes, packed: bool, write: Write, root: Path) -> None:  # noqa: FBT001
    """A damaged file is left to those who look closer."""
    write("fine.logs.jsonl", FINE)
    path = write("s.logs.jsonl.1.gz" if packed else "s.logs.jsonl")
    path.write_bytes(gzip.compress(data) if packed else data)
    assert {"s"} == passing(root)


def test_truncated(write: Write, root: Path) -> None:
    """So is a compressed file that was cut off, or is none."""
    path = write("s.logs.jsonl.1.gz")
    path.write_bytes(gzip.compress(FINE * 100)[:-9])
    write("t.logs.jsonl.1.gz", b"no gzip")
    write("u.logs.jsonl.1.zst", b"no zstd")
    assert {"s", "t", "u"} == passing(root)


def test_large_files(write: Write, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large files are read in blocks; a word across their ends is found."""
    monkeypatch.setattr(module, "_BLOCK_BYTES", 64)
    monkeypatch.setattr(module, "_SMALL_PACKED_BYTES", 16)
    monkeypatch.setattr(module, "_LONG_LINE_BYTES", 512)
    for shift in range(70):
        padding = b'{"message":"%s"}' % (b"x" * shift)
        write(f"s{shift}.logs.jsonl", padding, FINE, b'{"message":"a word"}', FINE)
        write(f"n{shift}.logs.jsonl", padding, FINE, FINE, FINE)
    write("long.logs.jsonl", b'{"message":"%s"}' % (b"x" * 1000))
    lines = (FINE + b"\n") * 50
    write("p.logs.jsonl.1.gz").write_bytes(gzip.compress(lines + b'{"message":"word"}\n'))
    write("q.logs.jsonl.1.gz").write_bytes(gzip.compress(lines))
    write("two.logs.jsonl.1.gz").write_bytes(gzip.compress(lines) + gzip.compress(b'{"word":1}\n'))
    assert {"long", "p", "two", *(f"s{shift}" for shift in range(70))} == passing(root)


def test_rotated_since(write: Write, root: Path) -> None:
    """A file that was moved, or a session that changed, since the root was listed is not missed."""
    for sid in "abcd":
        write(f"{sid}.logs.jsonl", FINE)
    os.utime(root, (time.time() - 1,) * 2)
    listing = Listing(root)
    sieve = Sieve(listing, Needle("word"))
    assert not any(map(sieve.lets_through, listing.sessions))
    os.rename(root / "a.logs.jsonl", root / "a.logs.jsonl.1")
    os.rename(root / "b.logs.jsonl", root / "b.logs.jsonl.1")
    write("b.logs.jsonl", FINE)
    (root / "c.logs.jsonl").unlink()
    passed = {session.stem for session in listing.sessions if sieve.lets_through(session)}
    assert {"a", "b", "c"} == passed


def test_replaced_by_others(write: Write, root: Path) -> None:
    """What took a file's place and is no file does not hang."""
    write("s.logs.jsonl", FINE)
    listing = Listing(root)
    (root / "s.logs.jsonl").unlink()
    os.mkfifo(root / "s.logs.jsonl")
    (session,) = listing.sessions
    assert Sieve(listing, Needle("word")).lets_through(session)


def test_lines_among_others(write: Write, root: Path) -> None:
    """The file that takes the lines of sessions past a limit is looked at like any other."""
    write("s.logs.jsonl", FINE)
    write("%overflow.logs.jsonl", b'{"session_id":"s"}', b'{"session_id":"t"}')
    assert set() == passing(root)
    write("%overflow.logs.jsonl", b'{"session_id":"s"}', b'{"session_id":"t"')
    assert {"%overflow"} == passing(root)

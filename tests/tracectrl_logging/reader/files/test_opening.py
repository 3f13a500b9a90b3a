"""Opening the files of a session, whatever happens to their names meanwhile."""

from __future__ import annotations

import gzip
import io
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.files.compression import FORMATS, packing
from tracectrl_logging import SessionFileHandler
from tracectrl_logging.reader import Damage, read
from tracectrl_logging.reader.file_store import FileStore
from tracectrl_logging.reader.files import opening as chain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[..., Path]


def opened(root: Path, sid: str, damages: list[Damage] | None = None) -> list[str]:
    """Return the names of the log files of *sid* in the order in which they are read."""
    files = chain.open_chain(
        FileStore(root).files_of(sid)[0], "log", ([] if damages is None else damages).append
    )
    chain.close_all(files)
    return [os.path.basename(file.path) for file in files]


def test_oldest_first(write: Write, root: Path) -> None:
    """A session's files are read from the highest backup down to the live file, packed or not."""
    for name in ("s.logs.jsonl", "s.logs.jsonl.1", "s.logs.jsonl.2", "s.logs.jsonl.10"):
        write(name, name.encode())
    (root / "s.logs.jsonl.3.gz").write_bytes(gzip.compress(b"{}\n"))
    expected = ["s.logs.jsonl.10", "s.logs.jsonl.3.gz", "s.logs.jsonl.2", "s.logs.jsonl.1"]
    assert [*expected, "s.logs.jsonl"] == opened(root, "s")


def test_being_unpacked(write: Write, root: Path) -> None:
    """A plain file that holds no more than the beginning of the packed one hides nothing of it."""
    whole = b'{"n":1}\n{"n":2}\n'
    path = write("s.logs.jsonl")
    (root / "s.logs.jsonl.gz").write_bytes(gzip.compress(whole))
    for content in (b"", b'{"n":1}\n', b'{"n":'):
        path.write_bytes(content)
        assert ["s.logs.jsonl.gz"] == opened(root, "s")
    path.write_bytes(whole)
    assert ["s.logs.jsonl"] == opened(root, "s")
    write("s.logs.jsonl.1")
    write("s.logs.jsonl.01", b'{"n":0}')
    assert ["s.logs.jsonl.01", "s.logs.jsonl"] == opened(root, "s")


def test_rotated_by_the_handler(root: Path) -> None:
    """What the handler rotates is found, the whole chain of it."""
    handler = SessionFileHandler(root, max_bytes=200, backup_count=3)
    record = logging.makeLogRecord({"name": "app", "msg": "x" * 100, "session_id": "s"})
    for _ in range(6):
        handler.emit(record)
    handler.close()
    expected = ["s.logs.jsonl.3", "s.logs.jsonl.2", "s.logs.jsonl.1", "s.logs.jsonl"]
    assert expected == opened(root, "s")


def test_being_compressed(write: Write, root: Path) -> None:
    """A file that stands there plain and packed at once is read once; two files that begin alike are two."""
    path = write("s.logs.jsonl.1", b'{"n":1}', b'{"n":2}')
    packed = root / "s.logs.jsonl.1.gz"
    whole = gzip.compress(path.read_bytes())
    for content in (whole, gzip.compress(b'{"n":1}\n'), whole[:-10], b""):
        packed.write_bytes(content)
        assert ["s.logs.jsonl.1"] == opened(root, "s")
    packed.write_bytes(gzip.compress(b'{"n":1}\n{"n":3}\n'))
    assert ["s.logs.jsonl.1.gz", "s.logs.jsonl.1"] == opened(root, "s")


def test_continued_after_packing(write: Write, root: Path) -> None:
    """A live file beside a packed one with other lines continues it: both are read."""
    write("s.logs.jsonl", b'{"n":2}')
    (root / "s.logs.jsonl.gz").write_bytes(gzip.compress(b'{"n":1}\n'))
    assert ["s.logs.jsonl.gz", "s.logs.jsonl"] == opened(root, "s")


def test_rotated_while_opening(write: Write, root: Path) -> None:
    """A rotation between listing the root and opening the files loses no file."""
    write("s.logs.jsonl", b'{"n":2}')
    write("s.logs.jsonl.1", b'{"n":1}')
    found = FileStore(root).files_of("s")[0]
    os.rename(root / "s.logs.jsonl.1", root / "s.logs.jsonl.2")
    os.rename(root / "s.logs.jsonl", root / "s.logs.jsonl.1")
    write("s.logs.jsonl", b'{"n":3}')
    files = chain.open_chain(found, "log", print)
    numbers = [file.stream.read() for file in files]
    chain.close_all(files)
    assert [b'{"n":1}\n', b'{"n":2}\n', b'{"n":3}\n'] == numbers


def test_one_file_under_two_names(write: Write, root: Path) -> None:
    """A file that a rotation has just given a second name is read once."""
    os.link(write("s.logs.jsonl", b"{}"), root / "s.logs.jsonl.1")
    assert ["s.logs.jsonl"] == opened(root, "s")


def test_gone_meanwhile(write: Write, root: Path) -> None:
    """A file that was deleted after the listing is not missed."""
    write("s.logs.jsonl", b"{}")
    backup = write("s.logs.jsonl.1", b"{}")
    found = FileStore(root).files_of("s")[0]
    backup.unlink()
    damages: list[Damage] = []
    files = chain.open_chain(found, "log", damages.append)
    chain.close_all(files)
    assert (1, []) == (len(files), damages)


def test_unreadable(write: Write, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may not be opened is reported, packed or not."""
    path = write("s.logs.jsonl", b"{}")
    packed = write("s.logs.jsonl.1.zst", b"")
    damages: list[Damage] = []

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert [] == opened(root, "s", damages)
    assert [
        Damage(str(path), None, "Permission denied"),
        Damage(str(packed), None, "Permission denied"),
    ] == damages


def test_missing_package(write: Write, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that nothing here can read is reported with what to install; the others are read."""
    write("s.logs.jsonl", b"{}")
    write("s.logs.jsonl.1.zst", b"")
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    monkeypatch.setitem(sys.modules, "backports.zstd", None)
    damages: list[Damage] = []
    assert ["s.logs.jsonl"] == opened(root, "s", damages)
    (damage,) = damages
    assert "pip install 'backports-zstd" in damage.reason


@pytest.mark.parametrize("packed", FORMATS)
@pytest.mark.parametrize("data", ["whole", "cut", "garbage", "flipped", "empty"])
def test_damaged_packed_files(data: str, packed: str, root: Path) -> None:
    """A compressed file is read as far as it goes; what is damaged is reported, never raised."""
    root.mkdir()
    lines = b"".join(b'{"n":%d}\n' % number for number in range(20_000))
    whole = io.BytesIO()
    with packing(whole, packed, 1, 0) as stream:
        stream.write(lines)
    full = whole.getvalue()
    stored = {
        "whole": full,
        "cut": full[: len(full) * 3 // 4],
        "garbage": b"garbage" * 100,
        "flipped": full[:1000] + b"\xff" * 100 + full[1100:],
        "empty": b"",
    }[data]
    (root / f"s.logs.jsonl.1.{packed}").write_bytes(stored)
    (root / "s.logs.jsonl").write_bytes(b'{"n":20000}\n')
    damages: list[Damage] = []
    numbers = [line.row["n"] for line in read("s", root, on_damage=damages.append)]
    if data == "whole":
        assert (list(range(20_001)), []) == (numbers, damages)
    else:
        assert 20_000 == numbers[-1]
        assert data == "flipped" or numbers[:-1] == list(range(len(numbers) - 1))
        assert bool(damages) is (data != "empty" or packed == "zst")


CHANGES = {
    "compressed": {"s.logs.jsonl.2": "s.logs.jsonl.2.gz", "s.logs.jsonl.1": "s.logs.jsonl.1.zst"},
    "moved aside": {
        "s.logs.jsonl.2": "s.logs.jsonl.3",
        "s.logs.jsonl.1": "s.logs.jsonl.2",
        "s.logs.jsonl": "s.logs.jsonl.1",
    },
    "both": {
        "s.logs.jsonl.2": "s.logs.jsonl.3.gz",
        "s.logs.jsonl.1": "s.logs.jsonl.2.zst",
        "s.logs.jsonl": "s.logs.jsonl.1.gz",
    },
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("after", range(4))
def test_changes_while_opening(
    change: str, after: int, write: Write, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever happens to the names after any number of openings: each line is read once."""
    for number, name in enumerate(("s.logs.jsonl.2", "s.logs.jsonl.1", "s.logs.jsonl")):
        write(name, b'{"n":%d}' % number)
    found = FileStore(root).files_of("s")[0]
    opening = chain._open
    count = 0

    def do() -> None:
        for old, new in CHANGES[change].items():
            packed = new.rpartition(".")[2]
            if packed not in FORMATS:
                os.rename(root / old, root / new)
                continue
            with (root / new).open("wb") as raw, packing(raw, packed, 1, 0) as stream:
                stream.write((root / old).read_bytes())
            (root / old).unlink()

    def open_and_change(path: str, packed: str | None) -> Any:
        nonlocal count
        if count == after:
            do()
        count += 1
        opened = opening(path, packed)
        if count == after == 3:
            do()
            count += 1
        return opened

    monkeypatch.setattr(chain, "_open", open_and_change)
    files = chain.open_chain(found, "log", print)
    data = b"".join(file.stream.read() for file in files)
    chain.close_all(files)
    assert b'{"n":0}\n{"n":1}\n{"n":2}\n' == data


def test_changes_without_an_end(write: Write, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the names never rest, what could be opened is read."""
    write("s.logs.jsonl", b"{}")
    monkeypatch.setattr(chain, "_is_at", lambda *_: False)
    assert ["s.logs.jsonl"] == opened(root, "s")


def test_three_of_one_file(write: Write, root: Path) -> None:
    """A plain file with both compressed ones beside it, from two killed runs, is read once."""
    path = write("s.logs.jsonl.1", b'{"n":1}', b'{"n":2}')
    for packed in FORMATS:
        with (
            path.with_name(f"{path.name}.{packed}").open("wb") as raw,
            packing(raw, packed, 1, 0) as stream,
        ):
            stream.write(path.read_bytes())
    assert ["s.logs.jsonl.1"] == opened(root, "s")
    path.unlink()
    assert 1 == len(opened(root, "s"))


def test_a_gap_is_filled(write: Write, root: Path) -> None:
    """A file that was moved to a number that was free between two others is not missed."""
    write("s.logs.jsonl", b"2")
    write("s.logs.jsonl.5", b"1")
    found = FileStore(root).files_of("s")[0]
    os.rename(root / "s.logs.jsonl", root / "s.logs.jsonl.1")
    write("s.logs.jsonl", b"3")
    files = chain.open_chain(found, "log", print)
    assert b"1\n2\n3\n" == b"".join(file.stream.read() for file in files)
    chain.close_all(files)

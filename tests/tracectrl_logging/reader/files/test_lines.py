"""One file, line by line: damage is reported and hides nothing else."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest

from tracectrl._time import time_of
from tracectrl.files.compression import FORMATS, packing
from tracectrl_logging.reader import Damage, Line
from tracectrl_logging.reader.file_store import FileStore
from tracectrl_logging.reader.files import lines as lines_module
from tracectrl_logging.reader.files.lines import lines
from tracectrl_logging.reader.parsing import parse

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[..., Path]

GOOD = b'{"timestamp":"2025-01-01T00:00:00.000000Z","message":"good"}'


def read(root: Path, sid: str = "s") -> tuple[list[Line], list[tuple[int | None, str]]]:
    """Return the log lines of *sid*, and the damage by line number."""
    damages: list[Damage] = []
    found = list(lines(FileStore(root).files_of(sid)[0], "log", sid, damages.append))
    return found, [(damage.line, damage.reason) for damage in damages]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"garbage", "not JSON"),
        (b'{"a":1', "not JSON"),
        (b'{"a":1}{"a":2}', "not JSON"),
        (b"[1, 2]", "not a JSON object"),
        (b"1", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b'{"a":"\xff\xfe"}', "not UTF-8"),
        (b"{}\xef\xbb\xbf", "not JSON"),
        (b'{"a":\0\0\0\0 1}', "holds NUL bytes"),
        (b"\0\0\0\0", "holds NUL bytes"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
        (b"9" * 5000, "not a JSON object"),
    ],
    ids=lambda value: None if isinstance(value, str) else repr(value[:12]),
)
def test_damage(bad: bytes, reason: str, write: Write, root: Path) -> None:
    """A damaged line is reported with its number and why; those around it are returned."""
    path = write("s.logs.jsonl", GOOD, bad, GOOD)
    found, damages = read(root)
    assert [(str(path), 1), (str(path), 3)] == [(line.path, line.number) for line in found]
    assert [(2, reason)] == damages


@pytest.mark.parametrize("front", [b"\xef\xbb\xbf", b"\0" * 5000, b"\0\xef\xbb\xbf"])
def test_what_stands_in_front_of_a_line(front: bytes, write: Write, root: Path) -> None:
    """A line behind a byte order mark, or behind the hole that a truncation left, is a line."""
    write("s.logs.jsonl", front + GOOD, GOOD)
    found, damages = read(root)
    assert [GOOD, GOOD] == [line.raw for line in found]
    assert [] == damages


def test_blank_lines(write: Write, root: Path) -> None:
    """Blank lines are neither lines nor damage, but count as numbers."""
    write("s.logs.jsonl", b"", GOOD, b"  \t\r", GOOD + b"\r", b"")
    found, damages = read(root)
    assert ([2, 4], []) == ([line.number for line in found], damages)
    assert [GOOD, GOOD] == [line.raw for line in found]


def test_truncated_last_line(write: Write, root: Path) -> None:
    """Half a line at the end is damage; a whole one without a newline is a line."""
    path = write("s.logs.jsonl", GOOD)
    with path.open("ab") as file:
        file.write(GOOD[:-5])
    found, damages = read(root)
    assert ([1], [2]) == ([line.number for line in found], [number for number, _ in damages])
    assert damages[0][1].startswith("cut off")
    with path.open("ab") as file:
        file.write(GOOD[-5:])
    assert ([GOOD, GOOD], []) == ([line.raw for line in read(root)[0]], read(root)[1])


def test_long_line(write: Write, root: Path) -> None:
    """A line of ten megabytes is a line like any other."""
    message = "x" * 10_000_000
    write("s.logs.jsonl", json.dumps({"message": message}).encode(), GOOD)
    found, damages = read(root)
    assert (message, "good", []) == (*(line.row["message"] for line in found), damages)


def test_overlong_line(write: Write, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line beyond the bound is damage; what follows it is read, and memory stays bounded."""
    monkeypatch.setattr(lines_module, "MAX_LINE_BYTES", 100)
    write("s.logs.jsonl", GOOD, b"x" * 1000, GOOD, b"y" * 100)
    found, damages = read(root)
    assert ([1, 3], [2, 4]) == ([line.number for line in found], [number for number, _ in damages])


def test_truncated_gzip(write: Write, root: Path) -> None:
    """What a truncated gzip file still holds is returned; where it breaks off is reported."""
    write("s.logs.jsonl", GOOD)
    rows = [b'{"n":%d,"noise":"%d"}\n' % (number, hash(str(number))) for number in range(20_000)]
    packed = gzip.compress(b"".join(rows))
    (root / "s.logs.jsonl.1.gz").write_bytes(packed[: len(packed) // 2])
    found, damages = read(root)
    assert (rows[0].strip(), GOOD) == (found[0].raw, found[-1].raw)
    assert len(found) > 1000
    assert [("the file cannot be read from here on", len(found))] == [
        (why.partition(":")[0], number) for number, why in damages
    ]


@pytest.mark.parametrize("ending", ["", "\n"])
@pytest.mark.parametrize("packed", FORMATS)
@pytest.mark.parametrize("count", [1, 2_000])
def test_junk_after_a_compressed_file(
    packed: str, ending: str, count: int, write: Write, root: Path
) -> None:
    """What follows the data is damage, and hides no line of it: a last one without a newline neither."""
    rows = [b'{"n":%d}' % number for number in range(count)]
    path = write(f"s.logs.jsonl.1.{packed}")
    with path.open("wb") as raw, packing(raw, packed, 1, 0.0) as stream:
        stream.write(b"\n".join(rows) + ending.encode())
    with path.open("ab") as raw:
        raw.write(b"junk")
    found, damages = read(root)
    assert rows == [line.raw for line in found]
    assert ["the file cannot be read from here on"] == [why.partition(":")[0] for _, why in damages]


@pytest.mark.parametrize("data", [b"no gzip at all", b"", b"\x1f\x8b\x08\x00garbage"])
def test_no_gzip(data: bytes, write: Write, root: Path) -> None:
    """A packed file that is none hides nothing."""
    write("s.logs.jsonl", GOOD)
    (root / "s.logs.jsonl.1.gz").write_bytes(data)
    found, damages = read(root)
    assert ([GOOD], 1 if data else 0) == ([line.raw for line in found], len(damages))


def test_lone_surrogates(write: Write, root: Path) -> None:
    """A lone surrogate as a JSON escape, as the writer keeps one in an ID, is no damage."""
    raw = rb'{"session_id":"\ud800"}'
    write("s.logs.jsonl", raw)
    found, damages = read(root)
    assert ([("\ud800", raw)], []) == (
        [(line.row["session_id"], line.raw) for line in found],
        damages,
    )


def test_not_a_number(write: Write, root: Path) -> None:
    """NaN of a careless writer is read as null, and the line's bytes become strict JSON."""
    write("s.logs.jsonl", b'{"a":NaN,"b":-Infinity,"c":1}')
    found, damages = read(root)
    assert ([b'{"a":null,"b":null,"c":1}'], []) == ([line.raw for line in found], damages)


def test_big_integers() -> None:
    """The bytes of a line keep an integer past 64 bits, whatever the parser makes of it."""
    raw = b'{"n":123456789012345678901234567890}'
    assert raw == parse(raw)[1]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2025-01-02T03:04:05.678901Z", "2025-01-02T03:04:05.678901Z"),
        ("2025-01-02T03:04:05Z", "2025-01-02T03:04:05.000000Z"),
        ("2025-01-02 03:04:05,678", "2025-01-02T03:04:05.678000Z"),
        ("2025-01-02T03:04:05.678901234+02:00", "2025-01-02T01:04:05.678901Z"),
        ("2025-01-02T03:04:05-0130", "2025-01-02T04:34:05.000000Z"),
        ("2025-01-02T03:04:05+01", "2025-01-02T02:04:05.000000Z"),
        ("0001-01-01T00:00:00+02:00", None),
        ("2025-13-01T00:00:00", None),
        ("yesterday", None),
        ("", None),
        (1735787045.5, "2025-01-02T03:04:05.500000Z"),
        (1735787045123, "2025-01-02T03:04:05.123000Z"),
        (1735787045123456789, "2025-01-02T03:04:05.123456Z"),
        ("1735787045", "2025-01-02T03:04:05.000000Z"),
        ("2025-01-02 03:04:05,123", "2025-01-02T03:04:05.123000Z"),
        ("2025-01-02t03:04z", "2025-01-02T03:04:00.000000Z"),
        ("2025-01-02 03:04:05 UTC", "2025-01-02T03:04:05.000000Z"),
        ("2025-01-02T23:59:60Z", "2025-01-03T00:00:00.000000Z"),
        ("Thu Jan  2 03:04:05 2025", "2025-01-02T03:04:05.000000Z"),
        ("2025-01-02T23:59:61Z", None),
        (5, None),
        (True, None),
        (float("nan"), None),
        (10**30, None),
        (None, None),
        (["2025"], None),
    ],
)
def test_time_of(value: object, expected: str | None) -> None:
    """Times of other writers become comparable; what is no time is ``None``."""
    assert expected == time_of(value)


def test_lines_without_time(write: Write, root: Path) -> None:
    """A line without a time has that of the line before it, the empty text before any."""
    write("s.logs.jsonl", b"{}", GOOD, b'{"timestamp":5}', b'{"message":"x"}')
    assert ["", *["2025-01-01T00:00:00.000000Z"] * 3] == [line.time for line in read(root)[0]]


def test_what_is_written_meanwhile(write: Write, root: Path) -> None:
    """Reading a file ends where the file ended when it was opened, however fast it grows."""
    path = write("s.logs.jsonl", *[b'{"n":%d}' % number for number in range(10)])
    read_so_far = []
    for line in lines(FileStore(root).files_of("s")[0], "log", "s", list[Damage]().append):
        read_so_far.append(line.row["n"])
        with path.open("ab") as file:
            file.write(b'{"n":10}\n' * 1000)
    assert list(range(10)) == read_so_far


@pytest.mark.parametrize("extra", ["logRecords", "timeUnixNano", "scope_logs"])
def test_a_line_of_another_writer_is_no_otlp(extra: str, root: Path) -> None:
    """A foreign line with an extra that is called as a part of OTLP/JSON is a log line."""
    root.mkdir()
    line = {"msg": "pay", "level": "error", "time": "2026-02-03T09:15:27Z", extra: 3}
    (root / "s.logs.jsonl").write_text(json.dumps(line) + "\n")
    (found,) = FileStore(root).read("s")
    assert ("pay", "ERROR", 3) == (found.row["message"], found.row["level"], found.row[extra])


@pytest.mark.parametrize(
    "time",
    ["2026-02-30T00:00:00.000000Z", "2026-01-01T99:00:00.000000Z", "0000-01-01T00:00:00.000000Z"],
)
def test_no_day_of_the_calendar(time: str) -> None:
    """What looks like a time and is in no calendar is none."""
    assert time_of(time) is None
    assert "2024-02-29T00:00:00.000000Z" == time_of("2024-02-29T00:00:00.000000Z")

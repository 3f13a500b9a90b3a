"""``compress``: compress the files of sessions that nobody writes."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tracectrl.files.write.appender import Appender

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    Command = Callable[..., Result]
    Write = Callable[..., Path]

LINE = b'{"timestamp":"2025-01-02T03:04:05.000000Z","session_id":"s","message":"%s"}' % (b"x" * 900)
STAMP = 1735787045


@pytest.mark.parametrize("packed", ["gz", "zst"])
def test_read_as_before(packed: str, command: Command, write: Write, root: Path) -> None:
    """Every command says the same about a compressed session, and one that woke up goes on."""
    write("s.logs.jsonl", LINE, LINE)
    write("s.spans.jsonl", b'{"name":"n","start_time":"2025-01-02T03:04:05.000000Z"}')
    questions = (("show", "s"), ("show", "s", "--json"), ("sessions",), ("grep", "xxx"))
    before = [command(*question).stdout for question in questions]
    assert 0 == command("compress", "--idle", "0s", "--format", packed).exit_code
    assert [f"s.logs.jsonl.1.{packed}", f"s.spans.jsonl.1.{packed}"] == sorted(os.listdir(root))
    assert before == [command(*question).stdout for question in questions]
    appender = Appender(root, ".logs.jsonl")
    appender.append("s", LINE + b"\n")
    appender.close()
    assert "3" == command("grep", "-c", "xxx").stdout.strip()


def test_text(command: Command, write: Write) -> None:
    """Each session is named with its sizes; the last line sums up."""
    for name in ("a.logs.jsonl", "a.logs.jsonl.1"):
        os.utime(write(name, LINE, LINE), (STAMP, STAMP))
    dry = command("compress", "--dry-run")
    assert [
        "2025-01-02 03:04:05  a  2 files, 3.9 kB",
        "would compress: 1 session, 3.9 kB",
    ] == dry.stdout.splitlines()
    result = command("compress")
    assert (0, "") == (result.exit_code, result.stderr)
    line, total = result.stdout.splitlines()
    assert line.startswith("2025-01-02 03:04:05  a  2 files, 3.9 kB to 2")
    assert total.startswith("compressed: 1 session, 3.9 kB to 2")
    again = command("compress")
    assert (1, "compressed: 0 sessions, 0 B to 0 B\n") == (again.exit_code, again.stdout)


def test_json(command: Command, write: Write, root: Path) -> None:
    """A row for each session, those that are being written among them."""
    os.utime(write("a.logs.jsonl", LINE), (STAMP, STAMP))
    appender = Appender(root, ".logs.jsonl")
    appender.append("open", b"{}\n")
    result = command("compress", "--idle", "0s", "--json", "--level", "9")
    first, second = map(json.loads, result.stdout_bytes.splitlines())
    assert {
        "session_id": "a",
        "action": "compress",
        "files": 1,
        "bytes": len(LINE) + 1,
        "packed_bytes": (root / "a.logs.jsonl.1.gz").stat().st_size,
        "last_write": "2025-01-02T03:04:05.000000Z",
        "dry_run": False,
        "error": None,
    } == first
    assert ("open", "in_use", 0, None) == (
        second["session_id"],
        second["action"],
        second["files"],
        second["packed_bytes"],
    )
    text = command("compress", "--idle", "0s")
    assert (1, True) == (text.exit_code, text.stdout.endswith("; 1 being written\n"))
    appender.close()


def test_idle(command: Command, write: Write, root: Path) -> None:
    """``--idle`` leaves what was written a moment ago; it is a minute where nobody says otherwise."""
    path = write("s.logs.jsonl", LINE)
    assert 1 == command("compress").exit_code
    os.utime(path, (time.time() - 50,) * 2)
    assert 1 == command("compress").exit_code
    os.utime(path, (time.time() - 61,) * 2)
    assert 0 == command("compress", "--dry-run").exit_code
    assert 1 == command("compress", "--idle", "10m").exit_code
    assert 0 == command("compress", "--idle", "0s").exit_code
    assert ["s.logs.jsonl.1.gz"] == os.listdir(root)


def test_failing(command: Command, write: Write) -> None:
    """What cannot be compressed is said on stderr; the status is 2 where nothing else was."""
    write("s.logs.jsonl.1", LINE)
    write("s.logs.jsonl.1.gz", b"other")
    result = command("compress", "--idle", "0s")
    assert (2, "Warning: cannot compress s: holds other lines\n") == (
        result.exit_code,
        result.stderr,
    )
    write("t.logs.jsonl", LINE)
    assert 0 == command("compress", "--idle", "0s").exit_code


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--format", "xz"), "'gz', 'zst'"),
        (("--level", "10"), "gz must be 1 to 9, got 10"),
        (("--level", "0"), "gz must be 1 to 9, got 0"),
        (("--format", "zst", "--level", "23"), "zst must be 1 to 22, got 23"),
        (("--idle", "soon"), "a number with a unit"),
    ],
)
def test_wrong_use(
    args: tuple[str, ...], said: str, command: Command, write: Write, root: Path
) -> None:
    """Wrong use ends with 2, says what is wanted, and compresses nothing."""
    write("s.logs.jsonl", LINE)
    result = command("compress", *args)
    assert (2, "") == (result.exit_code, result.stdout)
    assert said in result.stderr
    assert ["s.logs.jsonl"] == os.listdir(root)


def test_missing_package(command: Command, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Zstandard, ``--format zst`` says what to install."""
    write("s.logs.jsonl", LINE)
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    monkeypatch.setitem(sys.modules, "backports.zstd", None)
    result = command("compress", "--format", "zst")
    assert 2 == result.exit_code
    assert "pip install 'backports-zstd" in result.stderr

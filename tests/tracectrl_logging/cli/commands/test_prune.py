"""``prune``: remove old sessions."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.files.write.appender import Appender

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    Command = Callable[..., Result]
    Write = Callable[..., Path]

WHEN = "2025-01-02 03:04:05"
STAMP = 1735787045  # the same


@pytest.fixture
def old(write: Write) -> Callable[..., None]:
    """Return the function that makes files of long ago, three bytes each."""

    def make(*names: str) -> None:
        for name in names:
            os.utime(write(name, b"{}"), (STAMP, STAMP))

    return make


def rows(result: Result) -> list[dict[str, Any]]:
    """Return the rows of a command's output."""
    return [json.loads(line) for line in result.stdout_bytes.splitlines()]


def test_text(command: Command, old: Callable[..., None], write: Write, root: Path) -> None:
    """Each session is named with what it held; the last line sums up."""
    old("a.logs.jsonl", "a.spans.jsonl", "%1B%5B2J.logs.jsonl")
    write("new.logs.jsonl", b"{}")
    dry = command("prune", "--older-than", "7d", "--dry-run")
    assert 0 == dry.exit_code
    assert "would remove: 2 sessions, 9 B; 1 session left, 3 B\n" in dry.stdout
    assert 4 == len(os.listdir(root))
    result = command("prune", "--older-than", "7d")
    assert (0, "") == (result.exit_code, result.stderr)
    assert [
        rf"{WHEN}  \x1b[2J  1 file, 3 B",
        f"{WHEN}  a  2 files, 6 B",
        "removed: 2 sessions, 9 B; 1 session left, 3 B",
    ] == sorted(result.stdout.splitlines())
    assert ["new.logs.jsonl"] == os.listdir(root)


def test_json(command: Command, old: Callable[..., None], root: Path) -> None:
    """A row for each session past a limit, those that are being written among them."""
    old("a.logs.jsonl", "%overflow.logs.jsonl.1.gz")
    appender = Appender(root, ".logs.jsonl")
    appender.append("open", b"{}\n")
    expected = {
        "action": "remove",
        "reason": "older_than",
        "files": 1,
        "bytes": 3,
        "last_write": "2025-01-02T03:04:05.000000Z",
        "dry_run": False,
        "error": None,
    }
    result = command("prune", "--older-than", "0s", "--json")
    found = {row["session_id"]: row for row in rows(result)}
    assert {"session_id": "a", **expected} == found["a"]
    assert {"session_id": None, **expected} == found[None]
    assert ("in_use", {*found["a"]}) == (found["open"]["action"], {*found["open"]})
    appender.close()


def test_being_written(command: Command, root: Path) -> None:
    """Where there is nothing but sessions that are being written, there is nothing to do."""
    appender = Appender(root, ".logs.jsonl")
    appender.append("open", b"{}\n")
    result = command("prune", "--keep", "0")
    expected = "removed: 0 sessions, 0 B; 1 session left, 3 B; 1 being written\n"
    assert (1, expected) == (result.exit_code, result.stdout)
    appender.close()


def test_limits(command: Command, write: Write, root: Path) -> None:
    """Sizes and numbers are limits, too, alone or together."""
    for number in range(5):
        path = write(f"s{number}.logs.jsonl", b"x" * 999)
        os.utime(path, (time.time() - 100 + number,) * 2)
    removed = [
        [row["session_id"] for row in rows(command("prune", "--json", *args))]
        for args in (
            ("--max-total", "5KB"),
            ("--max-total", "4KiB"),
            ("--keep", "3"),
            ("--keep", "2", "--max-total", "1000", "--older-than", "1h"),
        )
    ]
    assert [[], ["s0"], ["s1"], ["s2", "s3"]] == removed
    assert ["s4.logs.jsonl"] == os.listdir(root)


def test_nothing_to_remove(command: Command, write: Write) -> None:
    """The status is 1, and JSON has no rows."""
    write("s.logs.jsonl", b"{}")
    assert 1 == command("prune", "--keep", "5").exit_code
    result = command("prune", "--keep", "5", "--json")
    assert (1, "", "") == (result.exit_code, result.stdout, result.stderr)


def test_failing(
    command: Command, old: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be removed is said on stderr; the status is 2 where nothing else was removed."""
    old("a.logs.jsonl")

    def refuse(name: str, *, dir_fd: int) -> None:
        raise PermissionError(1, "Operation not permitted", f"{dir_fd}/{name}")

    monkeypatch.setattr(os, "unlink", refuse)
    result = command("prune", "--keep", "0")
    assert (2, "Warning: cannot remove a: Operation not permitted\n") == (
        result.exit_code,
        result.stderr,
    )
    (row,) = rows(command("prune", "--keep", "0", "--json"))
    assert "failed" == row["action"]
    assert "Operation not permitted" in row["error"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "--older-than AGE, --max-total SIZE, --keep N"),
        (("--dry-run",), "--older-than AGE, --max-total SIZE, --keep N"),
        (("--older-than", "7"), "a number with a unit, as in 30s"),
        (("--max-total", "x"), "as in 500KB, 10GB or 1GiB, got 'x'"),
        (("--keep", "-1"), "--keep"),
        (("--keep", "many"), "--keep"),
    ],
)
def test_wrong_use(
    args: tuple[str, ...], said: str, command: Command, old: Callable[..., None], root: Path
) -> None:
    """Wrong use ends with 2, says what is wanted, and removes nothing."""
    old("a.logs.jsonl")
    result = command("prune", *args)
    assert (2, "") == (result.exit_code, result.stdout)
    assert said in result.stderr
    assert ["a.logs.jsonl"] == os.listdir(root)

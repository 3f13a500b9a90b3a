"""All sessions under a root."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tracectrl.files import log_path
from tracectrl.files.stored import scan_names
from tracectrl_logging.reader.files import root as module
from tracectrl_logging.reader.files.root import Stock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[..., Path]


def test_times_and_sizes(write: Write, root: Path) -> None:
    """A session's newest time and all its bytes are known."""
    for number, name in enumerate(("s.logs.jsonl", "s.logs.jsonl.1", "s.spans.jsonl.1.gz"), 1):
        path = write(name)
        path.write_bytes(b"x" * number)
        os.utime(path, ns=(number, 1000 + number))
    (session,) = Stock(root).sessions
    assert ("s", 1003, 6, 3) == (
        session.stem,
        session.last_write_ns,
        session.size_bytes,
        session.plain_bytes,
    )
    assert {"s.logs.jsonl", "s.logs.jsonl.1", "s.spans.jsonl.1.gz"} == {
        name.name for name in Stock(root).files(session).names
    }


def test_without_times(write: Write, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a large root nobody asks for times that are not wanted."""
    write("s.logs.jsonl", b"{}")
    monkeypatch.setattr(module, "_FEW", 1)
    stock = Stock(root, with_times=False)
    assert [0] == [session.last_write_ns for session in stock.sessions]
    assert not stock.with_times
    assert Stock(root).sessions[0].last_write_ns > 0


def test_by_id(root: Path) -> None:
    """Sessions are sorted by their IDs, not by their files' names."""
    root.mkdir()
    ids = ["%", "../x", "Z", "a b", "a", "é" * 100, "x" * 300, "\x1b[2J"]
    for sid in ids:
        log_path(sid, root).write_bytes(b'{"session_id":"%s"}\n' % sid.encode())
    stock = Stock(root)
    stock.sort_by_id()
    assert sorted(ids) == [stock.id_of(session) for session in stock.sessions]


def test_gone_meanwhile(write: Write, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is moved before its status is asked for counts as written just now."""
    path = write("s.logs.jsonl", b"{}")
    os.utime(path, (1, 1))

    def move_after(directory: str) -> dict[str, tuple[str, ...]]:
        found = scan_names(directory)
        if path.exists():
            path.rename(root / "s.logs.jsonl.1")
        return found

    monkeypatch.setattr(module, "scan_names", move_after)
    (session,) = Stock(root).sessions
    assert session.age_s(time.time_ns()) < 60
    assert {".logs.jsonl", ".logs.jsonl.1"} == set(session.suffixes)


def test_at_rest(write: Write, root: Path) -> None:
    """It is known whether the root has changed since."""
    write("s.logs.jsonl", b"{}")
    assert not Stock(root).is_at_rest()  # too fresh to tell
    os.utime(root, (1, 1))
    stock = Stock(root)
    assert stock.is_at_rest()
    write("t.logs.jsonl", b"{}")
    assert not stock.is_at_rest()


def test_missing_root(root: Path) -> None:
    """A root that is not there is an error."""
    with pytest.raises(FileNotFoundError):
        Stock(root)


PROGRAM = """
import sys
from tracectrl_logging.reader.files import root as module
module._FEW = 10
one, several = (module.Stock(sys.argv[1], parallel=parallel) for parallel in (False, True))
assert 500 == len(one.sessions)
assert one.sessions == several.sessions
"""


def test_in_parallel(write: Write, root: Path) -> None:
    """Several processes find out the same."""
    for number in range(500):
        path = write(f"{number}.logs.jsonl", b"x" * number)
        os.utime(path, ns=(number, number))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, root], capture_output=True, text=True, check=False
    )
    assert (0, "") == (done.returncode, done.stderr)

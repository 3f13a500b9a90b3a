"""The names of one session's files in a root of any size."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tracectrl.files.names import stem_of
from tracectrl_logging.reader import UnknownSessionError, read
from tracectrl_logging.reader.files import find, probe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[..., Path]

OWN = [
    "s.logs.jsonl",
    "s.logs.jsonl.1",
    "s.logs.jsonl.2.gz",
    "s.logs.jsonl.30.zst",
    "s.spans.jsonl.gz",
    "s.spans.jsonl.3",
]


@pytest.fixture(params=["listed", "probed"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have every root listed, or every one probed, as the largest ones are."""
    chosen = str(request.param)
    monkeypatch.setattr(probe, "_SMALL_BYTES", 2**40 if chosen == "listed" else -1)
    return chosen


@pytest.mark.usefixtures("way")
def test_names(write: Write, root: Path) -> None:
    """All names of the session are found, gaps between backups or not, and nobody else's."""
    for name in (*OWN, "s.x.logs.jsonl", "s2.logs.jsonl", "s.logs.jsonl.bak", "s.logs.jsonl.01"):
        write(name, b"{}")
    assert sorted(OWN) == sorted(stored.name for stored in probe.names_in(str(root), "s"))
    assert [] == probe.names_in(str(root), "other")


@pytest.mark.usefixtures("way")
def test_only_regular_files(write: Write, root: Path) -> None:
    """Directories, pipes and symbolic links are not session files."""
    live = write("other.logs.jsonl", b"{}")
    (root / "s.logs.jsonl").mkdir()
    (root / "s.logs.jsonl.1").symlink_to(live)
    os.mkfifo(root / "s.spans.jsonl")
    with pytest.raises(UnknownSessionError):
        find.find("s", root)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("sid", ["s", "a b", "x" * 300, "../x"])
def test_reading(sid: str, root: Path) -> None:
    """A session is read whichever way its names were found."""
    stem = stem_of(sid)
    root.mkdir()
    for number, name in enumerate((".logs.jsonl.2", ".logs.jsonl.1", ".logs.jsonl")):
        row = b'{"message":"%d","session_id":"%s"}\n' % (number, sid.encode())
        (root / f"{stem}{name}").write_bytes(row)
    assert ["0", "1", "2"] == [line.row["message"] for line in read(sid, root)]


@pytest.mark.usefixtures("way")
def test_lines_past_a_limit(write: Write, root: Path) -> None:
    """A session whose lines are among those of others is found, too."""
    write("%overflow.logs.jsonl", b'{"message":"x","session_id":"s"}')
    assert ["x"] == [line.row["message"] for line in read("s", root)]


@pytest.mark.usefixtures("way")
def test_missing_root(tmp_path: Path) -> None:
    """A root that is not there is an error of the system's, not an unknown session."""
    with pytest.raises(FileNotFoundError):
        find.find("s", tmp_path / "gone")

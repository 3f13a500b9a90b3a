"""The reader's public face."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tracectrl.session import session
from tracectrl_logging import reader

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[..., Path]


def test_public_names() -> None:
    """These names are public."""
    assert [
        "Damage",
        "DamagedLineWarning",
        "Follower",
        "Line",
        "Node",
        "SessionSummary",
        "UnknownSessionError",
        "follow",
        "nest",
        "read",
        "sessions",
        "tail",
        "walk",
    ] == reader.__all__


def test_root_of_the_environment(
    root: Path, logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an argument the root is the one that the writers take."""
    with session("s"):
        logger.info("hello")
    monkeypatch.setenv("TRACECTRL_TRACE_DIR", str(root))
    assert ["s"] == [summary.session_id for summary in reader.sessions()]
    assert ["hello"] == [line.row["message"] for line in reader.read("s")]


def test_a_session_that_was_removed(
    write: Write, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that was removed after the root was listed is not listed; an empty file is."""
    write("gone.logs.jsonl", b"{}")
    write("empty.logs.jsonl")
    found = reader.find.find_all(root)
    (root / "gone.logs.jsonl").unlink()
    monkeypatch.setattr(reader.find, "find_all", lambda _: found)
    assert ["empty"] == [summary.session_id for summary in reader.sessions(root)]


def test_errors_come_at_once(root: Path) -> None:
    """A missing root and an unknown session raise when ``read`` is called, not at the first line."""
    with pytest.raises(FileNotFoundError):
        reader.read("s", root)
    root.mkdir()
    with pytest.raises(reader.UnknownSessionError):
        reader.read("s", root)


def test_damage_is_a_warning(write: Write, root: Path) -> None:
    """Where nobody asks for damage, it is a warning that names the place."""
    write("s.logs.jsonl", b"garbage", b"{}")
    with pytest.warns(reader.DamagedLineWarning, match=r"s\.logs\.jsonl: line 1: not JSON"):
        assert 1 == len(list(reader.read("s", root)))


def test_a_file_as_damage() -> None:
    """Damage names the line where there is one."""
    assert "f: line 3: why" == str(reader.Damage("f", 3, "why"))
    assert "f: why" == str(reader.Damage("f", None, "why"))

"""A call in a process of its own, which ends whatever it is doing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tracectrl_logging.mcp import process
from tracectrl_logging.mcp.params import ToolError
from tracectrl_logging.mcp.process import Call

if TYPE_CHECKING:
    from pathlib import Path

SLOW = {"pattern": "^(a+)+$"}


@pytest.fixture
def slow(root: Path) -> str:
    """Have a line on which a pattern takes for ever; return the root."""
    root.mkdir()
    (root / "a.logs.jsonl").write_text(json.dumps({"message": "a" * 40 + "!"}) + "\n")
    return str(root)


def test_answer(stored: Path) -> None:
    """What cannot be read comes with the answer; an error is one here, too."""
    (stored / "many.logs.jsonl").write_bytes(b"no JSON\n")
    with Call(str(stored), "sessions", {"errors": True}) as call:
        said = json.loads(call.answer())
    assert 1 == len(said["problems"])
    with (
        Call(str(stored), "why", {"session": "\x1bnope"}) as call,
        pytest.raises(ToolError) as caught,
    ):
        call.answer()
    assert str(caught.value).startswith(r"there is no session '\x1bnope'")


def test_no_store() -> None:
    """An address that no store has is named, as the command names it."""
    with Call("gopher://logs", "sessions", {}) as call, pytest.raises(ToolError, match="gopher://"):
        call.answer()


def test_late(slow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes too long is ended, and says how to ask."""
    monkeypatch.setattr(process, "TIMEOUT_S", 1)
    with Call(slow, "search", SLOW) as call, pytest.raises(ToolError) as caught:
        call.answer()
    assert (
        "search took longer than 1 s; ask for less: since, level, where or a simpler pattern"
        == (str(caught.value))
    )


def test_gone(slow: str) -> None:
    """A process that is killed is an error, not a wait."""
    call = Call(slow, "search", SLOW)
    call.close()
    with pytest.raises(ToolError, match="search ended without an answer"):
        call.answer()

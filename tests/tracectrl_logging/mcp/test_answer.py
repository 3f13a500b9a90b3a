"""Answers of a bounded size, and cursors."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracectrl_logging.mcp.answer import (
    ANSWER_BYTES,
    ROW_BYTES,
    Answer,
    cursor_of,
    fitted,
    state_of,
)
from tracectrl_logging.mcp.params import ToolError


def deep(levels: int) -> Any:
    """Return lists in lists."""
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "row",
    [
        {"message": "x" * 10_000_000},
        {"message": "\0" * 1_000_000},
        {"message": "漢" * 1_000_000},
        {"message": "\U000e0041" * 100_000},
        {"x" * 1_000_000: 1},
        {f"key {i}": i for i in range(100_000)},
        {f"{i} {'y' * 300}": {f"{i} {'y' * 300}": "z" * 900} for i in range(80)},
        {"list": [["x" * 900] * 80] * 80},
        {"deep": deep(500)},
        {"number": 10**4000},
    ],
    ids=["text", "control", "wide", "unseen", "key", "keys", "all", "lists", "deep", "number"],
)
def test_long_rows(row: dict[str, Any]) -> None:
    """Whatever makes a row long, it becomes short JSON that says what was cut, and keeps its first key."""
    cut = fitted(json.dumps(row).encode(), 500)

    assert len(cut) <= ROW_BYTES
    assert next(iter(row))[:8] == next(iter(json.loads(cut)))[:8]
    assert "cut: " in cut.decode()


def test_short_rows() -> None:
    """What has nothing to be cut stays as it is written; text is cut where the caller says."""
    row = b'{"n":123456789012345678901234567890,"f":1.50,"m":"%s"}' % (b"x" * 400)
    assert row == fitted(row, 500)
    assert row == fitted(row, 400)
    short = json.loads(fitted(row, 100))
    assert "x" * 100 + "… [cut: 400 characters]" == short["m"]


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.text()), max_size=5))
def test_seen(row: dict[str, Any]) -> None:
    """What nobody sees is an escape, and the JSON is the same."""
    text = json.dumps({**row, "all": "\x1b\x9b\u200b\u202e\ufeff\U000e0041"}, ensure_ascii=False)
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        raw = json.dumps(row).encode()
    seen = fitted(raw, 10_000).decode()

    assert json.loads(raw) == json.loads(seen)
    assert not {"\x1b", "\x9b", "\u200b", "\u202e", "\ufeff", "\U000e0041"} & {*seen}


def test_bounds() -> None:
    """An answer ends at its limit, or at its size; what is said besides is short as well."""
    answer = Answer(3, 500)
    assert [True, True, True, False] == [answer.add(b'{"a":1}') for _ in range(4)]
    answer = Answer(1000, 10_000)
    row = json.dumps({"message": "x" * 9_000}).encode()
    count = [answer.add(row) for _ in range(10)].count(True)
    text = answer.text("next", ["y" * 1000] * 1000, {"session_id": "z" * 100_000})

    assert count == ANSWER_BYTES // 9_000
    assert len(text) < ANSWER_BYTES + 8 * 1024
    said = json.loads(text)
    assert ("next", count + 1, 10) == (said["next"], len(said["rows"]), len(said["problems"]))
    assert "instruction" in said["notice"]


def test_cursor() -> None:
    """A cursor gives back its state, for the same question alone."""
    cursor = cursor_of({"a": 1}, ["sid\n", 3])
    assert ["sid\n", 3] == state_of({"a": 1}, cursor)
    with pytest.raises(ToolError, match="cursor is that of another question; ask the same"):
        state_of({"a": 2}, cursor)


@pytest.mark.parametrize("cursor", ["", "x", "é", "AAAA", cursor_of({}, 1)[:-3], "W10", "eyJ9"])
def test_no_cursor(cursor: str) -> None:
    """What is no cursor is named."""
    with pytest.raises(ToolError, match='cursor must be the "next" of an answer, got '):
        state_of({}, cursor)

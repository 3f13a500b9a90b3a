"""Stored lines with a type in front, and rows as arrays."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracectrl_logging.reader import Line
from tracectrl_logging.reader.json_rows import Compact, typed


def typed_log(raw: bytes) -> bytes:
    """Return the log line *raw* with its type."""
    return typed(Line("log", json.loads(raw), raw, "", "file", 1))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"{}", b'{"type":"log"}'),
        (b"{ }", b'{"type":"log" }'),
        (b'{"a":1}', b'{"type":"log","a":1}'),
        (
            b'{"n":123456789012345678901234567890,"f":1.50}',
            b'{"type":"log","n":123456789012345678901234567890,"f":1.50}',
        ),
        (b'{"a":{"type":1}}', b'{"type":"log","a":{"type":1}}'),
        (b'{"type":"x"}', b'{"type":"log","extra_type":"x"}'),
        (
            b'{"a":"type","type":{"type":1e3},"b":[2]}',
            b'{"type":"log","a":"type","extra_type":{"type":1e3},"b":[2]}',
        ),
        (b'{ "a" : [1] , "type" : 1 }', b'{"type":"log", "a" : [1] , "extra_type" : 1 }'),
        (b'{"type":1,"extra_type":2}', b'{"type":"log","extra_extra_type":1,"extra_type":2}'),
        (b'{"\\u0074ype":1}', b'{"type":"log","extra_type":1}'),
        ('{"ü":"type","type":"ü"}'.encode(), '{"type":"log","ü":"type","extra_type":"ü"}'.encode()),
    ],
)
def test_typed(raw: bytes, expected: bytes) -> None:
    """The type is the first key; a key of that name steps aside; nothing else changes."""
    assert expected == typed_log(raw)
    assert "log" == json.loads(typed_log(raw))["type"]


def expanded(text: bytes) -> list[dict[str, Any]]:
    """Return the rows that *text* stands for, as the docs say."""
    columns: dict[int, list[str]] = {}
    rows = []
    for line in map(json.loads, text.splitlines()):
        if isinstance(line, dict):
            columns[line["columns"][0]] = line["columns"][1:]
        else:
            rows.append(dict(zip(columns[line[0]], line[1:], strict=True)))
    return rows


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(st.dictionaries(st.text(), VALUES, max_size=4), max_size=8))
def test_compact(rows: list[dict[str, Any]]) -> None:
    """The arrays stand for the rows that they were made of, whatever is in keys and values."""
    compact = Compact()
    lines = [compact(json.dumps(row, ensure_ascii=False).encode()) for row in rows]

    assert rows == expanded(b"\n".join(lines))


def test_compact_says_columns_once() -> None:
    """Names stand before the first row that has them, in their order; values stay as they are written."""
    compact = Compact()

    assert b'{"columns":[0,"a","b"]}\n[0,1.50,{"c": [1]}]' == compact(b'{"a":1.50,"b":{"c": [1]}}')
    assert b'{"columns":[1,"b"]}\n[1,123456789012345678901]' == compact(
        b'{"b":123456789012345678901}'
    )
    assert b'[0,"x",null]' == compact(b'{ "a" : "x" , "b" : null }')
    assert b'{"columns":[2]}\n[2]' == compact(b"{}")


def test_compact_is_bounded() -> None:
    """However many kinds of rows there are, numbers stay small, and each row has its own names."""
    compact = Compact()
    rows = [{f"key {i % 150}": i} for i in range(400)]
    lines = [compact(json.dumps(row).encode()) for row in rows]

    assert rows == expanded(b"\n".join(lines))
    assert 63 == max(json.loads(line.splitlines()[-1])[0] for line in lines)

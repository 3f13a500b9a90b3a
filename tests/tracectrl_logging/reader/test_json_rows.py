"""Stored lines with a type in front."""

from __future__ import annotations

import json

import pytest

from tracectrl_logging.reader import Line
from tracectrl_logging.reader.json_rows import typed


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

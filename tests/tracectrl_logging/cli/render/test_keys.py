"""Which keys of a line are shown."""

from __future__ import annotations

import json

import pytest

from tracectrl_logging.cli.render.keys import Keys
from tracectrl_logging.reader import Line

RAW = (
    b'{"message":"m","n":123456789012345678901234567890,"f":1.50,"type":"own",'
    b'"exception":{"type":"E","message":"no"},"a.b":{"c":[1,{"d":2}]}, "attributes" : {"tool":"x","k":{"z":1}}}'
)


def line(raw: bytes = RAW) -> Line:
    """Return the log line *raw*."""
    return Line("log", json.loads(raw), raw, "", "file", 1)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("n,f", b'{"type":"log","n":123456789012345678901234567890,"f":1.50}'),
        ("message,none", b'{"type":"log","message":"m"}'),
        ("exception.type", b'{"type":"log","exception.type":"E"}'),
        ("a.b.c", b'{"type":"log","a.b.c":[1,{"d":2}]}'),
        ("tool,k.z,attributes.tool", b'{"type":"log","tool":"x","attributes.tool":"x"}'),
        ("type", b'{"type":"log","extra_type":"own"}'),
        ("extra_type", b'{"type":"log","extra_type":"own"}'),
        ("", b'{"type":"log"}'),
    ],
)
def test_fields(fields: str, expected: bytes) -> None:
    """Only the fields are there, in the order asked for, each value as it is stored."""
    assert expected == Keys(fields.split(",")).json(line())


@pytest.mark.parametrize(
    ("hidden", "gone"),
    [
        ("message", lambda row: row.pop("message")),
        ("exception.type", lambda row: row["exception"].pop("type")),
        ("a.b.c", lambda row: row["a.b"].pop("c")),
        ("tool", lambda row: row["attributes"].pop("tool")),
        ("attributes.k.z", lambda row: row["attributes"]["k"].pop("z")),
        ("type", lambda row: row.pop("extra_type")),
        ("none", lambda _: None),
    ],
)
def test_hidden(hidden: str, gone: object) -> None:
    """All but what is hidden is there; whoever hides ``type`` hides the line's own."""
    expected = {**json.loads(RAW), "type": "log", "extra_type": "own"}
    assert callable(gone)
    gone(expected)
    keys = Keys(None, [hidden])
    assert expected == json.loads(keys.json(line()))
    own = {key: value for key, value in expected.items() if key not in {"type", "extra_type"}}
    text = keys.row(line().row)
    assert own == {key: value for key, value in text.items() if key != "type"}


def test_both() -> None:
    """What is hidden is not shown, whether it is a field or not."""
    keys = Keys(["message", "n"], ["n"])
    assert b'{"type":"log","message":"m"}' == keys.json(line())
    assert {"message": "m"} == keys.extras(keys.row(line().row))


def test_deep() -> None:
    """A line as deep as the reader takes them has keys like any other."""
    raw = b'{"a":' + b"[" * 1000 + b"]" * 1000 + b',"b":1}'
    deep = Line("log", {"a": [], "b": 1}, raw, "", "file", 1)
    assert b'{"type":"log","b":1}' == Keys(["b"]).json(deep)
    assert b'{"type":"log","b":1}' == Keys(None, ["a"]).json(deep)


def test_all() -> None:
    """Without fields a line has the extras it has."""
    keys = Keys(None)
    assert keys.extras(line().row) is None
    assert line().row == keys.row(line().row)

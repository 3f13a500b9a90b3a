"""Tests of tracectrl.files.write.values: values that are too long are cut."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracectrl._json import encode_line
from tracectrl.files import log_path
from tracectrl.files.write.appender import Appender
from tracectrl.files.write.values import CuttingAppender, cut, open_appender

if TYPE_CHECKING:
    from pathlib import Path


def parsed(row: dict[str, Any], most: int = 64) -> dict[str, Any]:
    """Return what the line of *row* says when it was cut."""
    return json.loads(cut(encode_line(row), most))  # type: ignore[no-any-return]


def test_text() -> None:
    """A text keeps its beginning, and says how long it was; with that it is no longer than the bound."""
    row = parsed({"message": "é" * 1000, "level": "INFO", "n": 2**60})
    assert {"message": "é" * 21 + "… [cut, 2000 bytes]", "level": "INFO", "n": 2**60} == row
    assert 63 == len(row["message"].encode())
    assert {"message": "é" * 32} == parsed({"message": "é" * 32})


def test_ids_stay() -> None:
    """The IDs of a line are never cut, so that it stays its session's."""
    ids = {"session_id": "s" * 200, "trace_id": "t" * 200, "attributes": {"session.id": "s" * 200}}
    assert ids == parsed(ids)


def test_inside() -> None:
    """A field of a span or an exception is one like any other; a list or object is a field as a whole."""
    long = "x" * 100
    row = parsed(
        {
            "attributes": {"a": long, "b": 1},
            "events": [{"name": "e", "attributes": {"a": long}}],
            "exception": {"type": "ValueError", "stacktrace": long},
            "extra": {"a": long, "b": [1]},
            "many": list(range(100)),
        }
    )
    short = f"{'x' * 44}… [cut, 100 bytes]"
    assert {"a": short, "b": 1} == row["attributes"]
    assert {"name": "e", "attributes": {"a": short}} == row["events"][0]
    assert {"type": "ValueError", "stacktrace": short} == row["exception"]
    assert row["many"].startswith("[0,1,2,3,")
    assert row["many"].endswith("… [cut, 291 bytes]")
    assert row["extra"].startswith('{"a":"xxx')


def test_otlp() -> None:
    """In OTLP/JSON texts are cut, wherever they stand."""
    value = {"key": "a", "value": {"stringValue": "x" * 100}}
    row = parsed({"resourceSpans": [{"scopeSpans": [{"spans": [{"attributes": [value]}]}]}]})
    spans = row["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert spans[0]["attributes"][0]["value"]["stringValue"].endswith("[cut, 100 bytes]")


@pytest.mark.parametrize("line", [b"no JSON" * 30 + b"\n", b"[" * 5000, b'"%b"\n' % (b"x" * 99)])
def test_what_is_no_line(line: bytes) -> None:
    """What is no JSON object comes back as it is."""
    assert line == cut(line, 64)


JSON = st.recursive(
    st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(max_size=3), JSON))
def test_any(row: dict[str, Any]) -> None:
    """Whatever a line holds, no field of it is longer than the bound, and short ones are as they were."""
    line = encode_line(row)
    before, after = json.loads(line), json.loads(cut(line, 64))
    for key, value in before.items():
        size = len(value.encode()) if isinstance(value, str) else len(json.dumps(value))
        if isinstance(value, str):
            assert len(after[key].encode(errors="surrogatepass")) <= 64
            assert (value == after[key]) is (size <= 64)
        elif size <= 64:
            assert value == after[key]


def test_appender(root: Path) -> None:
    """An appender cuts where a bound is set; without one it is the plain one."""
    appender = open_appender(root, ".logs.jsonl", max_value_bytes=64)
    appender.append("s", encode_line({"message": "x" * 100}))
    appender.append("s", encode_line({"message": "short"}))
    appender.close()
    with open(log_path("s", root), encoding="utf-8") as file:
        first, second = map(json.loads, file)
    assert (64, "short") == (len(first["message"].encode()), second["message"])
    assert isinstance(appender, CuttingAppender)
    assert Appender is type(open_appender(root, ".logs.jsonl", max_value_bytes=0))


@pytest.mark.parametrize(("value", "kind"), [(63, ValueError), (-1, ValueError), ("9", TypeError)])
def test_wrong(root: Path, value: Any, kind: type[Exception]) -> None:
    """A bound that a mark has no room in, and what is no number, is refused."""
    with pytest.raises(kind, match="max_value_bytes must be"):
        open_appender(root, ".logs.jsonl", max_value_bytes=value)

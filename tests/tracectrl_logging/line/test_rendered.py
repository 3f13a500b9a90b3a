"""Lines that somebody else rendered."""

from __future__ import annotations

import json
from typing import Any

import hypothesis
import orjson
import pytest
from hypothesis import strategies as st

from tracectrl_logging.line.rendered import as_line


def line_of(rendered: str | bytes) -> bytes | None:
    """Return the line alone."""
    return as_line(rendered)[0]


@pytest.mark.parametrize(
    "text",
    ['{"a":1}', '{ "a" : "ü" }', '{"b": 2, "a": 1e5}', '{"a": {"b": [null, true]}}', "{}"],
)
def test_strict_json_stays(text: str) -> None:
    """One line of strict JSON stays as it is to the byte, as str and as bytes."""
    assert text.encode() + b"\n" == line_of(text)
    assert text.encode() + b"\n" == line_of(text.encode() + b"\n")
    assert text.encode() + b"\n" == line_of(f"\n  {text} \r\n")


@pytest.mark.parametrize("indent", [0, 2, "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_several_lines_become_one(indent: int | str, newline: str) -> None:
    """JSON on several lines becomes one line with the same content, in the same order."""
    row = {"b": {"x": [1, "a\nb"]}, "a": None}
    line = line_of(json.dumps(row, indent=indent).replace("\n", newline))
    assert line is not None
    assert (1, row) == (len(line.splitlines()), json.loads(line))
    assert ["b", "a"] == list(json.loads(line))


def test_what_only_python_reads_becomes_strict() -> None:
    """NaN, infinities and lone surrogates, which ``json`` writes, become strict JSON."""
    line = line_of(json.dumps({"a": [float("nan"), float("inf")], "b": "x\ud800"}))
    assert b'{"a":[null,null],"b":"x\\\\ud800"}\n' == line


@pytest.mark.parametrize(
    "text",
    ["", "hello", "[1]", "1", "null", "{", "}", "{a: 1}", '{"a":1', '{"a":1} {"b":2}', "{x}"],
)
def test_no_json_object(text: str) -> None:
    """What is no JSON object is none."""
    assert None is line_of(text)
    assert None is line_of(text.encode())


def test_too_deep() -> None:
    """JSON that is too deep to read is none; nothing raises."""
    assert None is line_of('{"a":' * 200_000 + "1" + "}" * 200_000)


def test_no_utf8() -> None:
    """Bytes that are no UTF-8 are no JSON; a str with a lone surrogate is made UTF-8."""
    assert None is line_of(b'{"a": "\xff"}')
    line = line_of('{"a": "\ud800"}')
    assert line is not None
    assert {"a": "\\ud800"} == orjson.loads(line)


def test_huge_integer() -> None:
    """An integer that no parser takes does not raise."""
    line = line_of('{"a": ' + "9" * 5000 + "}")
    assert line is None or line.endswith(b"\n")


@pytest.mark.parametrize(
    ("text", "sid"),
    [
        ('{"session_id": "s1"}', "s1"),
        ('{"session_id":\n"s1"}', "s1"),
        ('{"session_id": "a\\ud800"}', "a\ud800"),
        ('{"session_id": ""}', None),
        ('{"session_id": null}', None),
        ('{"session_id": 7}', None),
        ('{"a": {"session_id": "s1"}}', None),
        ("session_id", None),
    ],
)
def test_session_id(text: str, sid: str | None) -> None:
    """The session ID that a line holds says the file it belongs to."""
    assert sid == as_line(text)[1]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@hypothesis.given(
    row=st.dictionaries(st.text(), JSON, max_size=4), indent=st.sampled_from([None, 0, 3])
)
def test_any_json_object(row: dict[str, Any], indent: int | None) -> None:
    """Whatever the standard library renders becomes one line of the same keys."""
    line = line_of(json.dumps(row, indent=indent))
    assert line is not None
    assert (1, list(row)) == (line.count(b"\n"), list(orjson.loads(line)))

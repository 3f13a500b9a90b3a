"""Bytes without which a pattern cannot match."""

from __future__ import annotations

import contextlib
import json
import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tracectrl_logging.reader.filters.needle import Needle, needle_for
from tracectrl_logging.reader.filters.search import Query
from tracectrl_logging.reader.parsing import parse


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("timeout", "timeout"),
        ("time.*out of luck", "out of luck"),
        ("^timeouts?$", "timeout"),
        (r"rate limit \(429\)", None),
        (r"rate limit 429\.", "rate limit 429."),
        (r"\bword\b", "word"),
        (r"\d+ tokens", " tokens"),
        ("a+bc", "bc"),
        ("ab+", "ab"),
        ('"user":"ann"', "user"),
        ("a|b", None),
        ("x{0}", None),
        (r"\x41bc", None),
        ("", None),
        (".*", None),
        ("\n", None),
    ],
)
def test_regular_expressions(pattern: str, expected: str | None) -> None:
    """The longest text that has to be there is found, as far as it is plain to see."""
    needle = needle_for(pattern, literal=False, ignore_case=False)
    assert expected == (None if needle is None else needle.text)


def test_case() -> None:
    """Where case is ignored, bytes are compared without it, letters that look alike included."""
    needle = needle_for("KEYS", literal=True, ignore_case=True)
    assert needle is not None
    assert needle.may_be_in(b'{"message":"some Keys"}')
    assert needle.may_be_in('{"message":"\u212aeys"}'.encode())
    assert not needle.may_be_in(b'{"message":"others"}')
    assert needle_for("ÜBUNG", literal=True, ignore_case=True) is None


@pytest.mark.parametrize(
    ("text", "data", "expected"),
    [
        ("ü", b'{"a":"\\u00fc"}', True),
        ("a/b", b'{"a":"a\\/b"}', True),
        ("a b", b'{"a":"a\\/b"}', False),
        ("null", b'{"a":NaN}', True),
        ("1,", b'{"a":-Infinity}', True),
        ("word", b'{"a":NaN}', False),
        ("word", b'{"a":"\\n"}', False),
    ],
)
def test_other_spellings(text: str, data: bytes, expected: bool) -> None:  # noqa: FBT001
    """What JSON can spell in another way is never missed."""
    assert expected is Needle(text).may_be_in(data)


_TEXTS = st.text(
    st.sampled_from('abkKsSiI\u212a\u0131éÉ/\\"\n\t .,:0n\u2028\U0001f600'), max_size=6
)


@given(
    pattern=_TEXTS.filter(bool),
    message=_TEXTS,
    before=_TEXTS,
    spelling=st.sampled_from(["ascii", "utf-8", "nan"]),
    literal=st.booleans(),
    ignore_case=st.booleans(),
)
@example(pattern="ü", message="ü", before="", spelling="ascii", literal=True, ignore_case=False)
@example(pattern=":nul", message="", before="", spelling="nan", literal=True, ignore_case=False)
def test_never_missed(
    pattern: str, message: str, before: str, spelling: str, *, literal: bool, ignore_case: bool
) -> None:
    """A line that matches holds the needle, however it is spelt."""
    row: dict[str, object] = {"message": before + message + pattern}
    if spelling == "nan":
        row["number"] = float("nan")
    line = json.dumps(row, ensure_ascii=spelling == "ascii").encode() + b"\n"
    query = None
    with contextlib.suppress(re.error):
        query = Query(pattern, literal=literal, ignore_case=ignore_case)
    assume(query is not None)
    assert query is not None
    parsed, raw = parse(line)
    if query.needle is not None and query.matches(raw, parsed):
        assert query.needle.may_be_in(line)

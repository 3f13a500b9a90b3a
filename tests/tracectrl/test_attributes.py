"""tracectrl.attributes: names, values, and their form on the wire."""

from __future__ import annotations

import json
import math
from datetime import datetime, timezone
from enum import Enum, IntEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracectrl.attributes import (
    MOST_ATTRIBUTES,
    MOST_CHARACTERS,
    attributes_in,
    checked_attributes,
    is_free,
    text_of,
    value_of,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMES = TEXTS.filter(is_free)
NUMBERS = st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.one_of(
    TEXTS,
    st.booleans(),
    *NUMBERS,
    *(st.lists(it, max_size=3).map(tuple) for it in (TEXTS, st.booleans(), *NUMBERS)),
)
ATTRIBUTES = st.dictionaries(NAMES, VALUES, min_size=1, max_size=5)


class Colour(str, Enum):
    """An enumeration of texts."""

    RED = "red"


class Number(IntEnum):
    """An enumeration of numbers."""

    ONE = 1


class Strange:
    """An object whose text is its own."""

    def __repr__(self) -> str:
        return "<strange>"


class Silent:
    """An object that has no text."""

    def __repr__(self) -> str:
        raise ValueError


class TestValues:
    """What a value becomes."""

    @pytest.mark.parametrize(
        "value", ["text", "", True, 7, -(2**63), 1.5, math.inf, ("a", "b"), (1, 2), (True,), ()]
    )
    def test_what_opentelemetry_has(self, value: Any) -> None:
        """Texts, numbers, truth values and several of one of these stay as they are."""
        assert value == value_of(value)
        assert type(value) is type(value_of(value))

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (Colour.RED, "red"),
            (Number.ONE, "1"),
            (2**63, "9223372036854775808"),
            (b"bytes", "b'bytes'"),
            ({"a": [1, None]}, '{"a": [1, null]}'),
            ([1, "a"], '[1, "a"]'),
            ([1, True], "[1, true]"),
            ([2**64], '["18446744073709551616"]'),
            (Strange(), "<strange>"),
            (Silent(), "<Silent: repr() raised ValueError>"),
            (datetime(2026, 1, 2, tzinfo=timezone.utc), "2026-01-02T00:00:00+00:00"),
            ("lone \ud800", "lone \\ud800"),
        ],
    )
    def test_any_other_becomes_text(self, value: Any, text: str) -> None:
        """The text is the one that a line shows of it."""
        assert text == value_of(value)

    def test_a_list_becomes_a_tuple(self) -> None:
        """What the caller does to the list later is not seen."""
        assert ("a", "b") == value_of(["a", "b"])


class TestNames:
    """What an attribute can be called."""

    @pytest.mark.parametrize(
        "name",
        ["message", "session_id", "level", "session.id", "name", "msg", "asctime", "", "_own"],
    )
    def test_that_cannot_be_taken(self, name: str) -> None:
        """A line's keys, a record's attributes and private names are refused, as by ``extra=``."""
        with pytest.raises(TypeError, match=r"the name of a session's attribute must be text"):
            checked_attributes(..., ..., {name: 1})

    @pytest.mark.parametrize("tags", ["one", [1], 5, {"a": 1}])
    def test_tags_are_a_list_of_texts(self, tags: Any) -> None:
        """A single text would be a list of letters."""
        with pytest.raises(TypeError, match=r"tags must be a list of str, got \w+ "):
            checked_attributes(..., tags, {})

    def test_names_of_our_own(self) -> None:
        """The user and the tags stand under OpenTelemetry's name and one beside it; a set has an order."""
        expected = {"user.id": "7", "session.tags": ("a", "b"), "llm.app": "shop", "gone": None}

        more = {"llm.app": "shop", "gone": None}
        assert expected == checked_attributes(7, {"b", "a"}, more)
        assert {"user.id": None, "session.tags": None} == checked_attributes(None, None, {})


class TestWire:
    """From one process to another."""

    @given(st.text(min_size=1, max_size=20), ATTRIBUTES)
    def test_there_and_back(self, sid: str, attributes: dict[str, Any]) -> None:
        """Each value arrives as it is, in visible ASCII and spaces; for another session nothing does."""
        text = text_of(sid, attributes)

        assert text is not None
        assert text.isascii()
        assert text.isprintable()
        assert attributes == attributes_in(text, sid)
        assert {} == attributes_in(text, sid + "x")
        assert {} == attributes_in(text, None)

    def test_bounds(self) -> None:
        """Up to a number and a length they travel; what is beyond neither leaves nor arrives."""
        most = {f"a{number}": number for number in range(MOST_ATTRIBUTES)}
        long = {"a": "x" * MOST_CHARACTERS}

        assert most == attributes_in(text_of("s", most), "s")
        assert text_of("s", {**most, "more": 1}) is None
        assert text_of("s", long) is None
        assert text_of("s", {}) is None
        assert {} == attributes_in(json.dumps({"session.id": "s", **most, "more": 1}), "s")
        assert {} == attributes_in(json.dumps({"session.id": "s", **long}), "s")

    @pytest.mark.parametrize(
        "text",
        [
            None,
            b"{}",
            "",
            "{",
            "[]",
            '"text"',
            "[" * 8000,
            '{"user.id":"u"}',
            '{"session.id":["s"],"user.id":"u"}',
            '{"session.id":"s","message":"m","_private":1,"":2,"none":null,"object":{"a":1}}',
            '{"session.id":"s","%s":1}' % ("n" * 257),
            '{"session.id":"s","a":' + "[" * 4000 + "]" * 4000 + "}",
        ],
    )
    def test_what_is_not_ours(self, text: Any) -> None:
        """Anything may arrive: nothing raises, and no key of a line is set by it."""
        assert {*attributes_in(text, "s")} <= {"a"}

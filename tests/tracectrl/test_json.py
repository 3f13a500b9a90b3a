"""tracectrl._json: strict JSON, whatever the values are."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import json
import math
import re
import threading
import uuid
from collections import OrderedDict, defaultdict, namedtuple
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracectrl._json import (
    encode_line,
    for_terminal,
    safe_repr,
    timestamp,
    timestamp_ns,
    well_formed,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    ParseLine = Callable[[bytes | str], dict[str, Any]]


class Broken:
    """An object that cannot be shown."""

    def __repr__(self) -> str:
        """Raise."""
        msg = "no"
        raise LookupError(msg)


class BrokenDict(dict[str, Any]):
    """A dict that cannot be read."""

    def items(self) -> Any:
        """Raise."""
        raise LookupError


class Text(str):
    """A string of another class."""

    __slots__ = ()


class Color(enum.Enum):
    """An enumeration."""

    RED = "red"


@dataclasses.dataclass
class Point:
    """A dataclass."""

    x: int
    y: Any


Pair = namedtuple("Pair", "a b")  # noqa: PYI024 - as applications have them


def cycle(depth: int = 1) -> dict[str, Any]:
    """Return a dict that contains itself, *depth* levels below."""
    inner: dict[str, Any] = {}
    outer: Any = inner
    for _ in range(depth):
        outer = {"in": [outer]}
    inner["self"] = outer
    return {"outer": outer, "kept": 1}


def nested(depth: int) -> Any:
    """Return lists in lists."""
    value: Any = "core"
    for _ in range(depth):
        value = [value]
    return value


def only(value: Any, parse_line: ParseLine) -> Any:
    """Return what *value* becomes in a line."""
    line = encode_line({"before": 1, "value": value, "after": 2})
    assert line.endswith(b"\n")
    assert 1 == line.count(b"\n")
    row = parse_line(line)
    assert ["before", "value", "after"] == list(row)
    assert (1, 2) == (row["before"], row["after"])
    return row["value"]


class TestValues:
    """One bad value never loses the line, nor its neighbours."""

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (float("nan"), None),
            (float("inf"), None),
            ([1.5, -math.inf], [1.5, None]),
            (10**100, str(10**100)),
            (-(2**63), -(2**63)),
            (2**64 - 1, 2**64 - 1),
            (2**64, str(2**64)),
            (b"\xff", "b'\\xff'"),
            ({1}, "{1}"),
            (1j, "1j"),
            ("\ud800x", "\\ud800x"),
            ("line\u2028\x00\x1b[31m\n", "line\u2028\x00\x1b[31m\n"),
            ((1, "a"), [1, "a"]),
            (Pair(1, 2), "Pair(a=1, b=2)"),
            (Text("text"), "text"),
            (Text("\ud800"), "\\ud800"),
            (Color.RED, "red"),
            (Point(1, 2), {"x": 1, "y": 2}),
            (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
            (dt.date(2024, 1, 2), "2024-01-02"),
            (decimal.Decimal("1.10"), "Decimal('1.10')"),
            (OrderedDict(a=1), {"a": 1}),
            (defaultdict(list, a=[1]), {"a": [1]}),
            (Broken(), "<Broken: repr() raised LookupError>"),
            ([Broken(), 1], ["<Broken: repr() raised LookupError>", 1]),
        ],
    )
    def test_each(self, value: Any, expected: Any, parse_line: ParseLine) -> None:
        """Alone, and beside one that the encoder refuses."""
        assert expected == only(value, parse_line)
        assert expected == only([{"v": value}, 10**50], parse_line)[0]["v"]

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ({1: "a"}, {"1": "a"}),
            ({None: 1, True: 2, 1.5: 3}, {"null": 1, "true": 2, "1.5": 3}),
            ({(1, 2): "a"}, {"(1, 2)": "a"}),
            ({1: "a", "1": "b"}, {"1": "a", "1_": "b"}),
            ({"\ud800": 1, "\\ud800": 2}, {"\\ud800": 1, "\\ud800_": 2}),
            ({10**100: 1}, {str(10**100): 1}),
            ({1 - 2**64: 1}, {str(1 - 2**64): 1}),
            ({float("nan"): 1}, {"null": 1}),
            ({Text("k"): 1}, {"k": 1}),
            ({b"k": 10**50}, {"b'k'": str(10**50)}),
        ],
    )
    def test_keys(self, value: Any, expected: Any, parse_line: ParseLine) -> None:
        """Whatever they are, they become distinct strings."""
        assert expected == only(value, parse_line)

    def test_an_object_as_key_that_cannot_be_shown(self, parse_line: ParseLine) -> None:
        """A marker."""
        assert {"<Broken: repr() raised LookupError>": 1} == only({Broken(): 1}, parse_line)

    @pytest.mark.parametrize("depth", [1, 2, 10])
    def test_cycles(self, depth: int, parse_line: ParseLine) -> None:
        """The circle is cut where it closes; what is beside it stays."""
        found = only(cycle(depth), parse_line)

        assert 1 == found["kept"]
        assert "contains itself" in json.dumps(found)

    def test_the_same_value_twice_is_no_cycle(self, parse_line: ParseLine) -> None:
        """It is there twice."""
        shared = {"big": 10**50}
        assert [{"big": str(10**50)}] * 2 == only([shared, shared], parse_line)

    @pytest.mark.parametrize("depth", [50, 200, 1000, 100_000])
    def test_depth(self, depth: int, parse_line: ParseLine) -> None:
        """However deep: in full, or as a marker where it is too deep."""
        text = json.dumps(only(nested(depth), parse_line))

        assert "core" in text or "levels deep" in text

    def test_a_container_that_cannot_be_read(self, parse_line: ParseLine) -> None:
        """Its repr stands in; the others stay."""
        value = BrokenDict(a=10**50)
        assert repr(value) == only(value, parse_line)

    def test_an_int_too_long_to_print(self, parse_line: ParseLine) -> None:
        """Newer Pythons refuse: a marker, or the digits."""
        assert only(10**5000, parse_line).startswith(("<int:", "1000"))

    def test_ten_megabytes(self, parse_line: ParseLine) -> None:
        """In full."""
        text = "é" * 5_000_000
        assert text == only(text, parse_line)

    def test_a_dict_that_changes_meanwhile(self) -> None:
        """Another thread may fill what is being logged."""
        shared: dict[str, Any] = {"big": 10**50}
        stop = threading.Event()

        def change() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                shared[f"k{number % 50}"] = number
                shared.pop(f"k{(number + 25) % 50}", None)

        thread = threading.Thread(target=change)
        thread.start()
        try:
            for _ in range(300):
                assert str(10**50).encode() in encode_line({"shared": shared})
        finally:
            stop.set()
            thread.join()


class TestSessionId:
    """The one value that is read back to find its file."""

    @pytest.mark.parametrize("sid", ["\ud800", "a\udfffb", "é", "\0\n", "😀\ud83d"])
    def test_is_kept_exactly(self, sid: str, parse_line: ParseLine) -> None:
        """Lone surrogates too, as a JSON escape."""
        row = parse_line(encode_line({"first": 1, "session_id": sid, "last": 10**50}))

        assert ascii(sid) == ascii(row["session_id"])  # a report cannot hold surrogates
        assert ["first", "session_id", "last"] == list(row)


class TestDefault:
    """The application's own hook."""

    def test_is_asked_for_what_the_encoder_does_not_know(self, parse_line: ParseLine) -> None:
        """And for nothing else, whichever way the line goes."""
        for extra in (0, 10**50):
            line = encode_line({"c": 1j, "s": "x", "n": extra}, lambda value: [value.imag])
            row = parse_line(line)
            assert ([1.0], "x") == (row["c"], row["s"])

    @pytest.mark.parametrize("result", [LookupError(), RecursionError()])
    def test_that_raises(self, result: Exception, parse_line: ParseLine) -> None:
        """The repr stands in."""

        def default(_: Any) -> Any:
            raise result

        assert {"c": "1j"} == parse_line(encode_line({"c": 1j}, default))

    def test_that_answers_the_same_again(self, parse_line: ParseLine) -> None:
        """No endless loop: a text stands in."""
        row = parse_line(encode_line({"before": 1, "c": 1j}, lambda value: value))

        assert (1, True) == (row["before"], isinstance(row["c"], str))


class TestProperties:
    """Anything at all."""

    scalars = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text()
        | st.text(st.characters(categories=["Cs", "Lu"]))
        | st.binary(max_size=5)
        | st.decimals()
        | st.datetimes()
        | st.uuids()
        | st.frozensets(st.integers(), max_size=3)
        | st.builds(Broken)
        | st.builds(object)
        | st.complex_numbers()
    )
    values = st.recursive(
        scalars,
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.tuples(inner, inner)
            | st.dictionaries(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
                inner,
                max_size=4,
            )
        ),
        max_leaves=20,
    )

    @settings(max_examples=25)
    @given(row=st.dictionaries(st.text() | st.text(st.characters(categories=["Cs"])), values))
    def test_every_line_is_strict_json(self, row: dict[str, Any]) -> None:
        """One object, one line, no NaN, no duplicate key, UTF-8, nothing lost."""

        def strict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            assert len(pairs) == len(dict(pairs))
            return dict(pairs)

        def constant(name: str) -> None:
            raise AssertionError(name)

        line = encode_line(row)
        assert b"\n" not in line[:-1]
        found = json.loads(line.decode(), object_pairs_hook=strict, parse_constant=constant)
        assert len(row) == len(found)

    plain: Any = st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text() | st.floats(-1e9, 1e9),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=20,
    )

    @given(value=plain)
    def test_what_json_holds_comes_back(self, value: Any) -> None:
        """The fast way and the careful way give the same."""
        fast = json.loads(encode_line({"value": value}))
        careful = json.loads(encode_line({"value": value, "refused": 10**50}))

        assert value == fast["value"] == careful["value"]


class TestTimestamps:
    """RFC 3339, UTC, microseconds."""

    @pytest.mark.parametrize(
        ("nanoseconds", "expected"),
        [
            (0, "1970-01-01T00:00:00.000000Z"),
            (1_700_000_000_123_456_789, "2023-11-14T22:13:20.123456Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (951_782_400_000_001_000, "2000-02-29T00:00:00.000001Z"),
            (-62_135_596_800_000_000_000, "0001-01-01T00:00:00.000000Z"),
            (253_402_300_799_999_999_999, "9999-12-31T23:59:59.999999Z"),
        ],
    )
    def test_of_nanoseconds(self, nanoseconds: int, expected: str) -> None:
        """Cut to the microsecond, never rounded into the next second."""
        assert expected == timestamp_ns(nanoseconds)

    @pytest.mark.parametrize(
        ("seconds", "expected"),
        [
            (0.0, "1970-01-01T00:00:00.000000Z"),
            (1_700_000_000.5, "2023-11-14T22:13:20.500000Z"),
            (1_700_000_000.1234567, "2023-11-14T22:13:20.123457Z"),
            (0.9999999, "1970-01-01T00:00:01.000000Z"),
            (float("nan"), "1970-01-01T00:00:00.000000Z"),
            (float("inf"), "1970-01-01T00:00:00.000000Z"),
            (1e300, "1970-01-01T00:00:00.000000Z"),
            (None, "1970-01-01T00:00:00.000000Z"),
        ],
    )
    def test_of_seconds(self, seconds: Any, expected: str) -> None:
        """To the nearest microsecond; what no calendar holds becomes the epoch."""
        assert expected == timestamp(seconds)

    @given(
        moment=st.datetimes(
            min_value=dt.datetime(1, 1, 1),  # noqa: DTZ001 - given its zone by timezones=
            timezones=st.just(dt.timezone.utc),
        )
    )
    def test_comes_back(self, moment: dt.datetime) -> None:
        """Any moment, to the microsecond."""
        epoch = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
        microseconds = (moment - epoch) // dt.timedelta(microseconds=1)
        text = timestamp_ns(microseconds * 1000)

        assert moment == dt.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z")

    def test_in_threads(self) -> None:
        """What is kept between calls is never mixed up."""
        expected = {0: "1970-01-01T00:00:00.000000Z", 86_400: "1970-01-02T00:00:00.000000Z"}
        wrong: list[str] = []

        def work(seconds: int) -> None:
            wrong.extend(
                text
                for _ in range(3000)
                if (text := timestamp_ns(seconds * 10**9)) != expected[seconds]
            )

        threads = [threading.Thread(target=work, args=(seconds,)) for seconds in expected]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [] == wrong


OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class TestText:
    """Helpers for text."""

    @given(st.text(st.characters() | st.characters(categories=["Cs"])))
    def test_well_formed(self, text: str) -> None:
        """UTF-8 can hold it; well-formed text is the same object."""
        made = well_formed(text)
        made.encode()
        if not any("\ud800" <= char <= "\udfff" for char in text):
            assert made is text

    @given(st.text())
    def test_for_terminal(self, text: str) -> None:
        """The same JSON, without what a terminal might obey."""
        made = for_terminal(encode_line({"a": text})).decode()

        assert {"a": text} == json.loads(made)
        assert not OBEYED.search(made[:-1])

    def test_for_terminal_whatever_may_be_obeyed(self) -> None:
        """What goes is escaped by its number; all else is as it was."""
        text = "".join(chr(number) for number in range(32, 0x2100))
        line = encode_line({"a": text})
        expected = OBEYED.sub(lambda match: f"\\u{ord(match[0]):04x}", line.decode())

        assert expected == for_terminal(line).decode()

    def test_safe_repr(self) -> None:
        """The repr, or a marker that names the type."""
        assert "[1]" == safe_repr([1])
        assert "<Broken: repr() raised LookupError>" == safe_repr(Broken())

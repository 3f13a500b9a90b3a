"""tracectrl.redaction: secrets stay out, by key, at any depth."""

from __future__ import annotations

import argparse
import collections
import dataclasses
import enum
import types
from typing import Any, NamedTuple

import pydantic
import pytest

from tracectrl import redaction
from tracectrl.redaction import MARKER, Redact, Redactor, redactor


def test_names_compare_without_case_at_any_depth() -> None:
    """In dicts, and in dicts in lists and tuples."""
    fields = {"Password": "x", "a": {"b": [{"PASSWORD": "x", "c": 1}, ({"password": "x"},)]}}

    expected = {
        "Password": MARKER,
        "a": {"b": [{"PASSWORD": MARKER, "c": 1}, [{"password": MARKER}]]},
    }
    assert expected == Redactor("password")(fields)


def test_the_given_fields_stay_as_they_are() -> None:
    """What is logged is the application's."""
    inner = {"password": "x"}
    fields: dict[str, Any] = {"inner": inner, "list": [inner]}
    Redactor("password")(fields)

    assert {"inner": {"password": "x"}, "list": [{"password": "x"}]} == fields
    assert inner is fields["inner"]


@pytest.mark.parametrize(
    "redact",
    [
        lambda key, _: key == "token",
        ["other", lambda key, _: key == "token"],
        lambda _, value: value == "secret",
        {"token"},
        iter(["token"]),
    ],
)
def test_names_callables_and_several_of_both(redact: Redact) -> None:
    """One or many; the callable sees key and value."""
    assert {"token": MARKER, "kept": 1} == Redactor(redact)({"token": "secret", "kept": 1})


def test_a_callable_that_raises_redacts() -> None:
    """Better a marker too many than a secret in the file."""

    def broken(key: str, value: object) -> bool:
        raise LookupError(key, value)

    assert {"a": MARKER} == Redactor(broken)({"a": 1})


def test_a_key_that_is_no_string() -> None:
    """It is compared as text."""
    fields: dict[Any, Any] = {7: "x", "a": 1}

    assert {7: MARKER, "a": 1} == Redactor("7")(fields)


def test_what_cannot_be_looked_into_is_not_shown() -> None:
    """A cycle ends in the marker instead of a RecursionError."""
    cycle: dict[str, Any] = {"a": 1}
    cycle["self"] = cycle

    found: Any = Redactor("password")(cycle)
    while isinstance(found, dict):
        assert 1 == found["a"]
        found = found["self"]
    assert MARKER == found


def test_a_container_that_cannot_be_read() -> None:
    """It is not shown; what stands beside it is."""

    class BrokenDict(dict[str, Any]):
        """A dict that raises."""

        def items(self) -> Any:
            """Raise."""
            raise LookupError

    assert {"a": MARKER, "b": 1} == Redactor("password")({"a": BrokenDict(x=1), "b": 1})


class Tuple(NamedTuple):
    """A named tuple."""

    password: str
    kept: int = 1


@dataclasses.dataclass(frozen=True)
class Data:
    """A dataclass."""

    password: str
    kept: int = 1


class Model(pydantic.BaseModel, extra="allow"):
    """A model of pydantic's; what is passed beside its fields is shown by its repr, too."""

    kept: int = 1


class Attrs:
    """What attrs makes of a class, as far as its fields have names."""

    __attrs_attrs__ = (types.SimpleNamespace(name="password"), types.SimpleNamespace(name="kept"))

    def __init__(self) -> None:
        self.password, self.kept = "geheim", 1


class Struct:
    """What msgspec makes of a class, as far as its fields have names."""

    __struct_fields__ = ("password", "kept")

    def __init__(self) -> None:
        self.password, self.kept = "geheim", 1


@pytest.mark.parametrize(
    "value",
    [
        types.MappingProxyType({"password": "geheim", "kept": 1}),
        collections.UserDict({"password": "geheim", "kept": 1}),
        collections.OrderedDict({"password": "geheim", "kept": 1}),
        types.SimpleNamespace(password="geheim", kept=1),  # noqa: S106
        argparse.Namespace(password="geheim", kept=1),  # noqa: S106
        Tuple("geheim"),
        Data("geheim"),
        Model.model_validate({"password": "geheim"}),
        Attrs(),
        Struct(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_has_fields(value: Any) -> None:
    """A repr would show them: what holds a secret becomes a dict without it."""
    expected: Any = {"password": MARKER, "kept": 1}
    found = Redactor("password")({"a": value, "b": [value]})

    assert {"a": expected, "b": [expected]} == found


@pytest.mark.parametrize(
    "value",
    [
        {Tuple("geheim")},
        frozenset({Data("geheim")}),
        collections.deque([{"password": "geheim"}]),
        {"x": {"password": "geheim"}}.values(),
        {"x": Data("geheim")}.items(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_holds_values(value: Any) -> None:
    """Not lists alone."""
    assert "geheim" not in repr(Redactor("password")({"a": value}))


@pytest.mark.parametrize(
    "value",
    [Tuple("x"), Data("x"), {1, 2}, collections.deque([1]), Model(), collections.UserDict(a=1)],
    ids=lambda value: type(value).__name__,
)
def test_a_form_of_its_own_stays(value: Any) -> None:
    """Where nothing is to be hidden, a set is a set."""
    assert value is Redactor("token")({"a": value})["a"]


def test_pairs_in_a_list_of_headers() -> None:
    """ASGI's are bytes."""
    headers = [(b"Authorization", b"Bearer x"), ["cookie", "y"], (b"accept", b"*/*")]

    expected = [[b"Authorization", MARKER], ["cookie", MARKER], [b"accept", b"*/*"]]
    assert {"headers": expected} == Redactor(["authorization", "cookie"])({"headers": headers})


def test_a_callable_is_asked_about_the_items_of_a_list() -> None:
    """With the key of the list: a secret is one wherever it stands."""
    found = Redactor(lambda key, value: key == "keys" and value == "sk-1")(
        {"keys": ["sk-1", "other", ("sk-1",)], "else": ["sk-1"]}
    )
    assert {"keys": [MARKER, "other", [MARKER]], "else": ["sk-1"]} == found


def test_keys_of_other_kinds() -> None:
    """Bytes are text; a member of a string enumeration is its value; one without text redacts."""

    class Key(str, enum.Enum):
        """A string with a str() of its own."""

        PASSWORD = "password"  # noqa: S105

    class Broken:
        """A key that has no text."""

        def __str__(self) -> str:
            raise LookupError

    broken = Broken()
    fields: dict[Any, Any] = {b"Password": "x", Key.PASSWORD: "x", broken: "x", "kept": 1}

    expected = {b"Password": MARKER, Key.PASSWORD: MARKER, broken: MARKER, "kept": 1}
    assert expected == Redactor("password")(fields)


def test_an_answer_that_cannot_be_read_redacts() -> None:
    """As one that is not given."""

    class Answer:
        """Neither true nor false."""

        def __bool__(self) -> bool:
            raise LookupError

    test: Any = lambda _key, _value: Answer()  # noqa: E731
    assert {"a": MARKER} == Redactor(test)({"a": "geheim"})


def test_value() -> None:
    """It is the value itself where there is nothing to hide."""
    clean: Any = [{"a": (1, 2)}]

    assert clean is Redactor("password").value(clean)
    assert [{"password": MARKER}] == Redactor("password").value([{"password": "x"}])


def test_other_values_pass() -> None:
    """Numbers, None and objects are what they were."""
    thing = object()
    fields = {"i": 1, "f": 1.5, "n": None, "o": thing, "b": b"x"}

    assert fields == Redactor("password")(fields)


def test_a_bare_name_is_one_name() -> None:
    """Not an iterable of letters."""
    assert {"p": 1} == Redactor("password")({"p": 1})


@pytest.mark.parametrize("redact", [[7], [None], [["nested"]]])
def test_refuses_anything_else(redact: Any) -> None:
    """At the set-up, not at the first line."""
    with pytest.raises(TypeError, match="redact"):
        Redactor(redact)


def test_none_is_no_redaction() -> None:
    """The default of the options."""
    assert redactor(None) is None
    assert isinstance(redactor("x"), Redactor)


def test_what_was_harmless_once() -> None:
    """A name that is no secret stays none; what is in its value is looked at each time."""
    redactor = Redactor(["password"])
    plain = {"user": "ann", "tool": "search"}
    for _ in range(2):
        assert plain == redactor(plain)
        assert {"user": {"password": MARKER}, "tool": 1} == redactor(
            {"user": {"password": "hunter2"}, "tool": 1}
        )
        assert {"user": "ann", "Password": MARKER} == redactor({"user": "ann", "Password": "x"})


def test_a_callable_is_asked_about_each_value() -> None:
    """Also where the name has been seen before."""
    redactor = Redactor(lambda _, value: value == "hunter2")

    assert {"user": "ann"} == redactor({"user": "ann"})
    assert {"user": MARKER} == redactor({"user": "hunter2"})


def test_names_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept of them is bounded."""
    monkeypatch.setattr(redaction, "_MAX_KEPT", 4)
    redactor = Redactor(["password"])
    for number in range(10):
        assert {f"n{number}": 1} == redactor({f"n{number}": 1})

    assert len(redactor._harmless) <= 4


def test_a_type_that_has_no_hash() -> None:
    """Its metaclass compares, and does not hash: no line is lost over it."""

    class Comparing(type):
        def __eq__(cls, other: object) -> bool:
            return cls is other

        __hash__ = None  # type: ignore[assignment]

    class Value(metaclass=Comparing):
        pass

    redactor = Redactor(["password"])
    for _ in range(2):
        assert {"v", "password"} == set(redactor({"v": Value(), "password": 1}))
        assert MARKER == redactor({"v": Value(), "password": 1})["password"]

"""tracectrl.redaction: secrets stay out, by key, at any depth."""

from __future__ import annotations

from typing import Any

import pytest

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

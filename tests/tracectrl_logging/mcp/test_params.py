"""Parameters of tools: their schema, and what is said of wrong ones."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from tracectrl_logging.mcp.params import ToolError, checked, schema_of
from tracectrl_logging.mcp.tools import TOOLS


@pytest.mark.parametrize("name", TOOLS)
def test_schema(name: str) -> None:
    """Each tool has a valid schema, which refuses what is not there, and says what each parameter is."""
    schema = schema_of(TOOLS[name].params)
    draft = importlib.import_module("jsonschema").Draft202012Validator
    draft.check_schema(schema)

    assert not draft(schema).is_valid({"other": 1})
    assert all(it["description"] for it in schema["properties"].values())
    assert {param for param, it in TOOLS[name].params.items() if it.default is ...} == {
        *schema["required"]
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "pattern is missing: A regular expression"),
        ({"pattern": None}, "pattern is missing"),
        ({"pattern": 3}, "pattern must be a string, got 3"),
        ({"pattern": "a", "limit": "3"}, "limit must be an integer from 1 to 1000, got '3'"),
        ({"pattern": "a", "limit": 0}, "limit must be an integer from 1 to 1000, got 0"),
        ({"pattern": "a", "limit": 1001}, "limit must be an integer from 1 to 1000, got 1001"),
        ({"pattern": "a", "limit": True}, "limit must be an integer from 1 to 1000, got True"),
        ({"pattern": "a", "where": [1]}, "where must be an array of strings, got [1]"),
        ({"pattern": "a", "literal": "yes"}, "literal must be a boolean, got 'yes'"),
        ({"pattern": "a", "patern": "b"}, "there is no parameter 'patern'; there are pattern, "),
        ({"pattern": {"a": "x" * 500}}, "pattern must be a string, got {'a': 'xxx"),
    ],
)
def test_wrong(given: dict[str, Any], said: str) -> None:
    """The message names the parameter, what it must be and what it was, in a few words."""
    with pytest.raises(ToolError) as caught:
        checked(TOOLS["search"].params, given)
    assert str(caught.value).startswith(said)
    assert len(str(caught.value)) < 300


def test_lenient() -> None:
    """One string is an array of one; ``null`` and what is left out are the default."""
    values = checked(TOOLS["search"].params, {"pattern": "a", "where": "a=b", "level": None})

    assert ["a=b"] == values["where"]
    assert (None, 100, [], False) == tuple(
        values[name] for name in ("level", "limit", "sessions", "invert")
    )


def test_choice() -> None:
    """Of a few words, a wrong one is told the right ones."""
    with pytest.raises(ToolError, match="view must be one of tree, lines, got 'text'"):
        checked(TOOLS["session"].params, {"session": "a", "view": "text"})

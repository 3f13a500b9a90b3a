"""Log lines that match a pattern."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.session import session
from tracectrl_logging import reader
from tracectrl_logging.reader import open_store
from tracectrl_logging.reader.filters.search import Hit, Query, Search

if TYPE_CHECKING:
    import logging
    from pathlib import Path


def found(root: Path, pattern: str, **options: bool) -> list[str]:
    """Return the messages of the lines of the session ``s`` that match."""
    search = Search(query=Query(pattern, **options))
    found = open_store(root).search(search, ["s"])
    return [hit.line.row["message"] for hit in found if isinstance(hit, Hit)]


@pytest.fixture
def _lines(logger: logging.Logger) -> None:
    with session("s"):
        logger.info("plain")
        logger.info('with "quotes" and a \\ and\nünïcode\t.', extra={"user": "ann"})
        logger.error("failed", exc_info=ValueError("it is\nbroken"))


@pytest.mark.usefixtures("_lines")
@pytest.mark.parametrize(
    ("pattern", "options", "expected"),
    [
        ("^plain$", {}, ["plain"]),
        ("PLAIN", {}, []),
        ("PLAIN", {"ignore_case": True}, ["plain"]),
        ('"quotes"', {}, ["quotes"]),
        (r"and\nünï", {}, ["quotes"]),
        ('"user":"ann"', {}, ["quotes"]),
        ("is\nbroken", {}, ["failed"]),
        ("^ValueError$", {}, ["failed"]),
        ('"level":"ERROR"', {}, ["failed"]),
        ("q.otes", {"literal": True}, []),
        ("\t.", {"literal": True}, ["quotes"]),
        ("plain", {"invert": True}, ["quotes", "failed"]),
        ("", {}, ["plain", "quotes", "failed"]),
    ],
)
def test_matches(pattern: str, options: Any, expected: list[str], root: Path) -> None:
    """The stored line, the message and the exception are searched, without JSON's escapes too."""
    names = [
        next(key for key in ("plain", "quotes", "failed") if key in text)
        for text in found(root, pattern, **options)
    ]
    assert expected == names


def test_invalid() -> None:
    """What is no regular expression is refused, unless it is meant as text."""
    with pytest.raises(re.error):
        Query("(")
    assert Query("(", literal=True).matches(b'{"message":"("}', {"message": "("})


@pytest.mark.parametrize(
    "row", [{}, {"message": 1}, {"message": None, "exception": [1]}, {"exception": {"type": 1}}]
)
def test_strange_rows(row: dict[str, Any]) -> None:
    """Values of other types than the contract's are no error."""
    assert not Query("x").matches(b"{}", row)


@pytest.mark.parametrize(
    ("pattern", "options"),
    [
        ('"city"', {"literal": True}),
        ('"city": "Berlin"', {}),
        (r"C:\temp", {"literal": True}),
        (r"C:\\temp", {}),
        ('say "hi"', {}),
        ("line\nbreak", {}),
        ("^C:", {}),
        ("x$", {}),
        ("^say", {}),
        ("ünï", {}),
    ],
)
def test_values_as_they_read(
    pattern: str, options: Any, root: Path, logger: logging.Logger
) -> None:
    """What any value says is found, at any depth, however JSON spells it; inverted, it is left out."""
    with session("s"):
        logger.info(
            "call",
            extra={
                "arguments": '{"city": "Berlin"}',
                "path": "C:\\temp\\x",
                "deep": [{"q": ['say "hi"', "line\nbreak"]}, "ünï\\"],
            },
        )
    assert ["call"] == found(root, pattern, **options)
    assert [] == found(root, pattern, invert=True, **options)


@pytest.mark.parametrize("text", ["José", "http://x", 'a"b', "é/"])
def test_values_of_other_writers(text: str, root: Path) -> None:
    """A file that escapes what need not be escaped is searched for what it says."""
    root.mkdir()
    escaped = json.dumps({"message": "m", "who": [text]}).replace("/", "\\/")
    (root / "s.logs.jsonl").write_text(escaped + "\n" + '{"message":"other"}\n')
    for options in ({"literal": True}, {"ignore_case": True}):
        assert ["m"] == found(root, text, **options)
        assert ["other"] == found(root, text, invert=True, **options)
    assert 1 == sum(1 for _ in reader.grep(text, root, literal=True))

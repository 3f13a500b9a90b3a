"""The reader's public face."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.session import session
from tracectrl_logging import reader
from tracectrl_logging.reader.files.overview import overview
from tracectrl_logging.reader.files.root import Listing
from tracectrl_logging.reader.filters.sessions import SessionQuery

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[..., Path]


def test_public_names() -> None:
    """These names are public."""
    assert [
        "Damage",
        "DamagedLineWarning",
        "Follower",
        "Following",
        "InvalidCursorError",
        "Line",
        "Node",
        "QueryError",
        "Rows",
        "Selection",
        "SessionSummary",
        "Store",
        "StoreError",
        "StoreUnavailableError",
        "Tail",
        "UnknownSessionError",
        "UnsupportedError",
        "follow",
        "grep",
        "nest",
        "open_store",
        "query",
        "read",
        "sessions",
        "tail",
        "walk",
    ] == reader.__all__


def test_root_of_the_environment(
    root: Path, logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an argument the root is the one that the writers take."""
    with session("s"):
        logger.info("hello")
    monkeypatch.setenv("TRACECTRL_TRACE_DIR", str(root))
    assert ["s"] == [summary.session_id for summary in reader.sessions()]
    assert ["hello"] == [line.row["message"] for line in reader.read("s")]


def test_a_session_that_was_removed(write: Write, root: Path) -> None:
    """A session that was removed after the root was listed is not listed; an empty file is."""
    write("gone.logs.jsonl", b"{}")
    write("empty.logs.jsonl")
    listing = Listing(root)
    (root / "gone.logs.jsonl").unlink()
    query = SessionQuery()
    found = list(query.in_order(overview(listing, query, print)))
    assert ["empty"] == [summary.session_id for summary in found]


def test_errors_come_at_once(root: Path) -> None:
    """A missing root and an unknown session raise when ``read`` is called, not at the first line."""
    with pytest.raises(FileNotFoundError):
        reader.read("s", root)
    root.mkdir()
    with pytest.raises(reader.UnknownSessionError):
        reader.read("s", root)


def test_damage_is_a_warning(write: Write, root: Path) -> None:
    """Where nobody asks for damage, it is a warning that names the place."""
    write("s.logs.jsonl", b"garbage", b"{}")
    with pytest.warns(reader.DamagedLineWarning, match=r"s\.logs\.jsonl: line 1: not JSON"):
        assert 1 == len(list(reader.read("s", root)))


def test_a_file_as_damage() -> None:
    """Damage names the line where there is one."""
    assert "f: line 3: why" == str(reader.Damage("f", 3, "why"))
    assert "f: why" == str(reader.Damage("f", None, "why"))


def test_grep(write: Write, root: Path) -> None:
    """The lines of all sessions, or of some, that match and meet all conditions."""
    for sid in "ba":
        write(
            f"{sid}.logs.jsonl",
            b'{"message":"a word","level":"ERROR","logger":"app.db","trace_id":"%s"}' % (b"a" * 32),
            b'{"message":"A WORD","level":"INFO","timestamp":"2025-01-01T10:00:00.000000Z"}',
        )

    def found(pattern: str, **options: Any) -> list[tuple[str, int]]:
        lines = reader.grep(pattern, root, **options)
        return [(line.path.rpartition("/")[2][0], line.number) for line in lines]

    assert [("a", 1), ("b", 1)] == found("w.rd")
    assert [] == found("w.rd", literal=True)
    assert [("a", 1), ("a", 2)] == found("w.rd", ignore_case=True, session_ids="a")
    assert [("a", 2), ("b", 2)] == found("word", invert=True, session_ids=["b", "a"])
    assert [("b", 1)] == found("", level="warning", where="level!=INFO", session_ids=["b"])
    assert [("b", 1)] == found("", logger="app", trace_id="aaa", session_ids=["b"])
    assert [("a", 2), ("b", 2)] == found("", since="2025-01-01", until="2025-01-02")


@pytest.mark.parametrize(
    "options", [{"level": "noon"}, {"since": "noon"}, {"until": "noon"}, {"where": ["noon"]}]
)
def test_grep_wrong_use(options: dict[str, Any], root: Path) -> None:
    """What cannot be understood raises when ``grep`` is called, not at the first line."""
    root.mkdir()
    with pytest.raises(ValueError, match="'noon'"):
        reader.grep("", root, **options)
    with pytest.raises(reader.UnknownSessionError):
        reader.grep("", root, session_ids=["s"])
    with pytest.raises(re.error):
        reader.grep("(", root)

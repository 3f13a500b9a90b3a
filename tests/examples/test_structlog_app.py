"""examples/structlog_app: structlog straight to the files, and through stdlib logging."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def test_direct(run_example: Callable[..., dict[str, Any]]) -> None:
    """Each visit has its events, ``ainfo`` and a traceback included; the level holds."""
    files = run_example("structlog_app/direct.py")
    assert [f"visit-{number}.logs.jsonl" for number in range(5)] == list(files)
    for number in range(5):
        rows = files[f"visit-{number}.logs.jsonl"]
        assert [
            ("INFO", "shop", "came in"),
            ("INFO", "shop", "looked around"),
            ("ERROR", "shop", "cannot pay"),
        ] == [(row["level"], row["logger"], row["message"]) for row in rows]
        assert {(f"visit-{number}", "shop", number)} == {
            (row["session_id"], row["service"], row["visitor"]) for row in rows
        }
        assert ["books", "maps"] == rows[1]["shelves"]
        assert "KeyError" == rows[2]["exception"]["type"]


def test_through_stdlib(run_example: Callable[..., dict[str, Any]]) -> None:
    """The same event from both worlds is the same line, time aside."""
    files = run_example("structlog_app/through_stdlib.py")
    assert ["both-worlds.logs.jsonl"] == list(files)
    first, second = files["both-worlds.logs.jsonl"]
    assert list(first) == list(second)
    del first["timestamp"], second["timestamp"]
    assert {
        "level": "WARNING",
        "logger": "shop",
        "message": "sold out",
        "session_id": "both-worlds",
        "service": "shop",
        "article": "map",
        "left": 0,
    } == first
    assert first == second

"""Warnings: what is damaged is named, and one file's damage does not hide another's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    Command = Callable[..., Result]
    Write = Callable[..., Path]

COMMANDS = [("grep", "."), ("sessions",), ("tail", "-n", "1000"), ("show", "a", "m", "z")]


@pytest.mark.parametrize("args", COMMANDS)
def test_garbage_hides_no_other_damage(
    args: tuple[str, ...], command: Command, write: Write
) -> None:
    """A file of garbage has a few warnings; those before and after it are named, too."""
    good = b'{"message":"x"}'
    write("a.logs.jsonl", good, b"bad", good)
    write("m.logs.jsonl", *[good, b"bad", b"[]"] * 500, good)
    write("z.logs.jsonl", good, b"bad", good, b"1", b"bad", good)
    result = command(*args)
    assert 0 == result.exit_code
    said = result.stderr.splitlines()
    for name in ("a.logs", "m.logs", "z.logs"):
        assert any(name in warning for warning in said)
    assert len(said) < 20
    if args[0] != "tail":  # which does not count lines
        assert any("and 990 more damaged lines in " in it and "m.logs.jsonl" in it for it in said)


def test_many_damaged_files(command: Command, write: Write) -> None:
    """A hundred files are named, and the lines in others are counted."""
    for number in range(120):
        write(f"s{number:03}.logs.jsonl", *[b"bad", b'{"message":"x"}'] * 30)
    said = command("sessions", "--json").stderr.splitlines()
    named = {number for number in range(120) if any(f"s{number:03}.logs" in it for it in said)}
    assert 100 == len(named)
    assert "Warning: and 600 more damaged lines in other files" == said[-1]
    assert len(said) <= 301


def test_one_more(command: Command, write: Write) -> None:
    """Of one line it is said as of one."""
    path = write("s.logs.jsonl", *[b"bad", b'{"message":"x"}'] * 11)
    said = command("show", "s").stderr.splitlines()
    assert f"Warning: and 1 more damaged line in {path}" == said[-1]

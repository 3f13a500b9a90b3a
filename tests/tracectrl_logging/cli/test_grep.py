"""``grep``: log lines that match a pattern, over all sessions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tracectrl.session import session

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    Command = Callable[..., Result]
    Write = Callable[..., Path]


@pytest.fixture
def _lines(logger: logging.Logger) -> None:
    """Log to two sessions and outside."""
    for sid in ("a", "b"):
        with session(sid):
            logger.info("hello from %s", sid)
            logger.warning('it\'s "quoted" (really) ü', extra={"user": "ann"})
    logger.info("outside")


def messages(result: Result) -> list[tuple[str, str]]:
    """Return the sessions and messages of the rows of *result*."""
    rows = map(json.loads, result.stdout_bytes.splitlines())
    return [(row["session_id"], row["message"].split()[0]) for row in rows]


@pytest.mark.usefixtures("_lines")
def test_json(command: Command, root: Path) -> None:
    """The rows are the stored log lines, byte for byte."""
    result = command("grep", "hello", "--json")
    stored = [(root / f"{sid}.logs.jsonl").read_bytes().splitlines()[0] for sid in "ab"]
    assert (0, stored) == (result.exit_code, result.stdout_bytes.splitlines())


@pytest.mark.usefixtures("_lines")
@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["^hello"], [("a", "hello"), ("b", "hello")]),
        (["HELLO", "-i", "--session", "a"], [("a", "hello")]),
        (['"quoted"', "--session", "b"], [("b", "it's")]),
        (['"user":"ann"', "--session", "b"], [("b", "it's")]),
        (["-F", "(really)", "--session", "a"], [("a", "it's")]),
        (["-F", ".", "-v", "--session", "unknown"], []),
        (["-v", "hello|quoted"], [("unknown", "outside")]),
        (["--", "ü$"], [("a", "it's"), ("b", "it's")]),
    ],
)
def test_matches(args: list[str], expected: list[tuple[str, str]], command: Command) -> None:
    """Patterns and options mean what they do for grep."""
    result = command("grep", "--json", *args)
    assert (0 if expected else 1, expected) == (result.exit_code, messages(result))


@pytest.mark.usefixtures("_lines")
def test_text(command: Command) -> None:
    """In a pipe each match is one line, which begins with the session's whole ID."""
    lines = command("grep", "hello").stdout.splitlines()
    assert [
        ("a", "INFO      app: hello from a"),
        ("b", "INFO      app: hello from b"),
    ] == [(line.split("  ")[0], line.split("  ", 2)[2]) for line in lines]


@pytest.mark.usefixtures("_lines")
def test_count(command: Command) -> None:
    """``-c`` prints how many lines match, zero included; with --json, for each session."""
    assert ("2\n", 0) == ((result := command("grep", "-c", "hello")).stdout, result.exit_code)
    assert ("0\n", 1) == ((result := command("grep", "-c", "nothing")).stdout, result.exit_code)
    rows = command("grep", "-c", "--json", "hello|quoted").stdout.splitlines()
    assert [{"session_id": sid, "count": 2} for sid in "ab"] == [json.loads(row) for row in rows]


@pytest.mark.usefixtures("_lines")
def test_session_ids(command: Command, logger: logging.Logger) -> None:
    """``-l`` prints each session with a match once, in a form that cannot drive the terminal."""
    with session("\x1b[2J\n"):
        logger.info("hello")
    assert ["\\x1b[2J\\n", "a", "b"] == command("grep", "-l", "hello").stdout.splitlines()
    rows = command("grep", "-l", "--json", "hello").stdout.splitlines()
    assert [{"session_id": sid} for sid in ("\x1b[2J\n", "a", "b")] == [
        json.loads(row) for row in rows
    ]


@pytest.mark.usefixtures("_lines")
def test_nothing(command: Command) -> None:
    """No match ends with 1 and says nothing; an unknown session is named."""
    result = command("grep", "nothing")
    assert (1, "", "") == (result.exit_code, result.stdout, result.stderr)
    result = command("grep", "hello", "--session", "gone")
    assert (1, "", True) == (result.exit_code, result.stdout, "no session 'gone'" in result.stderr)


@pytest.mark.usefixtures("_lines")
def test_bad_pattern(command: Command) -> None:
    """What is no regular expression ends with 2 and says why."""
    result = command("grep", "(\x1b")
    assert (2, "", 1) == (result.exit_code, result.stdout, result.stderr.count("\n"))
    assert "PATTERN is no regular expression: missing ), unterminated subpattern" in result.stderr
    assert 1 == command("grep", "-F", "(\x1b").exit_code


def test_several_lines_as_one(command: Command, write: Write) -> None:
    """A message of several lines is one line in a pipe, its exception in it."""
    row = {"message": "a\nb", "exception": {"type": "E", "message": "m"}, "timestamp": "?"}
    write("s.logs.jsonl", json.dumps(row).encode())
    assert "s  -  -         -: a\\nb\\nE: m\n" == command("grep", "a").stdout


def test_terminal(command: Command, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal the matches stand under their session's ID, and what matched is marked."""
    for sid in "ab":
        write(f"{sid}.logs.jsonl", b'{"message":"hello you","level":"INFO","logger":"app"}')
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    lines = command("grep", "ell", NO_COLOR="1").stdout.splitlines()
    row = "-  INFO      app: hello you"
    assert ["a", row, "", "b", row] == lines
    assert "\x1b[7mell\x1b[0m" in command("grep", "ell", TERM="xterm").stdout


def test_sessions_past_the_limit(command: Command, write: Write) -> None:
    """The lines that sessions past the limit share a file for count with each session's own."""
    write("s.logs.jsonl", b'{"session_id":"s","message":"one"}')
    write(
        "%overflow.logs.jsonl",
        b'{"session_id":"s","message":"two"}',
        b'{"session_id":"t","message":"one"}',
        b'{"session_id":"u","message":"none of it"}',
    )
    assert ["s", "t"] == command("grep", "-l", "one$|two").stdout.split()
    counts = command("grep", "-c", "--json", "one$|two").stdout_bytes.splitlines()
    assert [("s", 2), ("t", 1)] == [tuple(json.loads(line).values()) for line in counts]
    assert "1\n" == command("grep", "-c", "--session", "t", "").stdout
    assert 0 == command("show", "u").exit_code

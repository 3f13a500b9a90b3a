"""``grep``: log lines that match a pattern, over all sessions."""

from __future__ import annotations

import json
import re
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


def test_compact(command: Command, write: Write) -> None:
    """Text that would be a row, a line or a colour is a value, and keys that would be names are names."""
    text = '\x1b[2J\n[0,"forged"]\n{"columns":[0,"forged"]}\x9b7m\u2028'
    row = {"message": text, text: "a", "columns": [0, "forged"]}
    write("s.logs.jsonl", *[json.dumps(row).encode()] * 2)
    result = command("grep", "forged", "--format", "compact")
    names, *rows = result.stdout_bytes.decode().split("\n")[:-1]

    assert {"columns": [0, "message", text, "columns"]} == json.loads(names)
    assert [[0, text, "a", [0, "forged"]]] * 2 == list(map(json.loads, rows))
    assert all(" " <= char <= "~" for char in names + "".join(rows))


def test_one_format(command: Command, write: Write) -> None:
    """--json goes with the format that it is, and with no other."""
    write("s.logs.jsonl", b'{"message":"a"}')
    assert 0 == command("grep", "a", "--json", "--format", "json").exit_code
    for form in ("text", "compact"):
        result = command("grep", "a", "--format", form, "--json")
        assert 2 == result.exit_code
        assert f"--json and --format {form} do not go together" in result.stderr


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


@pytest.fixture
def _steps(write: Write) -> None:
    """Write two sessions of several steps each."""
    for sid in "ab":
        rows = [
            {
                "timestamp": f"2025-01-01T10:00:0{number}.000000Z",
                "level": "WARNING" if number == 5 else "INFO",
                "logger": "app.db" if number % 2 else "app",
                "message": f"step {number} of {sid}",
                "trace_id": f"{number}{sid}" * 16,
                "took_ms": number * 500,
            }
            for number in range(7)
        ]
        write(f"{sid}.logs.jsonl", *(json.dumps(row).encode() for row in rows))


def steps(result: Result) -> str:
    """Return the numbers and sessions of the rows of *result*."""
    rows = map(json.loads, result.stdout_bytes.splitlines())
    return " ".join(row["message"][5:].replace(" of ", "") for row in rows)


@pytest.mark.usefixtures("_steps")
@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["step", "level>=WARNING"], "5a 5b"),
        (["step", "took>2s", "--session", "a"], "5a 6a"),
        (["step", "took_ms>=2000", "--where", "took_ms<3000", "--session", "a"], "4a 5a"),
        (["", "logger=app.db", "--session", "b"], "1b 3b 5b"),
        (["step [56]", "--level", "warning"], "5a 5b"),
        (["", "--logger", "app.db", "-m", "1"], "1a 1b"),
        (["", "--logger", "app", "-n", "3"], "0a 1a 2a"),
        (["", "--trace", "3b3"], "3b"),
        (["of b", "--since", "2025-01-01T10:00:05"], "5b 6b"),
        (["", "--until", "2025-01-01T11:00:01", "--tz", "Etc/GMT-1", "--session", "a"], "0a 1a"),
        (["-v", "step [0-4]", "level=INFO"], "6a 6b"),
        (["step 3", "--session", "b", "--session", "a"], "3a 3b"),
        (["-m", "2", "of"], "0a 1a 0b 1b"),
        (["step 4", "-C", "1"], "4a 4b"),
    ],
)
def test_which(args: list[str], expected: str, command: Command) -> None:
    """Conditions, options and the pattern must all be met; -v is about the pattern alone."""
    result = command("grep", "--json", *args)
    assert (0, expected) == (result.exit_code, steps(result))


@pytest.mark.usefixtures("_steps")
@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["-A", "1"], "2a 3a -- 5a 6a -- 2b 3b -- 5b 6b"),
        (["-B", "1"], "1a 2a -- 4a 5a -- 1b 2b -- 4b 5b"),
        (["-C", "1"], "1a 2a 3a 4a 5a 6a -- 1b 2b 3b 4b 5b 6b"),
        (["-C", "1", "-A", "0"], "1a 2a -- 4a 5a -- 1b 2b -- 4b 5b"),
        (["-C", "9", "--session", "a"], "0a 1a 2a 3a 4a 5a 6a"),
        (["-C", "1", "-m", "1"], "1a 2a 3a -- 1b 2b 3b"),
        (["-C", "1", "-n", "3"], "1a 2a 3a 4a 5a 6a -- 1b 2b"),
    ],
)
def test_lines_around(args: list[str], expected: str, command: Command) -> None:
    """-A, -B and -C add the lines around a match, each once, and a mark where some are left out."""
    lines = command("grep", "step [25]", *args).stdout.splitlines()
    shown = (re.sub(r".*step (.) of (.).*", r"\1\2", line) for line in lines)
    assert expected == " ".join(shown)


@pytest.mark.usefixtures("_steps")
def test_lines_around_on_a_terminal(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal the session's ID stands before its groups."""
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    lines = command("grep", "step [25]", "-B", "1", NO_COLOR="1").stdout.splitlines()
    assert ["a", "--", "", "b", "--"] == [line for line in lines if "step" not in line]
    coloured = command("grep", "step 2 of a", "-B", "1", TERM="xterm").stdout
    assert "\x1b[2mstep 1 of a\x1b[0m" in coloured


@pytest.mark.usefixtures("_steps")
def test_totals(command: Command) -> None:
    """-c and -l go by what is met besides the pattern, too."""
    assert "4\n" == command("grep", "-c", "step", "took>2s").stdout
    assert ["a", "b"] == command("grep", "-l", "step", "took>2s").stdout.split()
    assert "2\n" == command("grep", "-c", "-m", "1", "step").stdout
    assert ["a"] == command("grep", "-l", "-n", "1", "step").stdout.split()


@pytest.mark.usefixtures("_steps")
def test_time_zone(command: Command) -> None:
    """Times are of the zone that is asked for."""
    text = command("grep", "step 1", "--session", "a", "--tz", "Asia/Tokyo").stdout
    assert "a  2025-01-01 19:00:01.000000+09:00  INFO" in text


@pytest.mark.usefixtures("_steps")
def test_a_condition_as_pattern(command: Command) -> None:
    """Who writes a condition in the pattern's place is told."""
    result = command("grep", "level>=WARNING")
    assert (1, "", True) == (
        result.exit_code,
        result.stdout,
        "nothing matches; if 'level>=WARNING' is a condition" in result.stderr,
    )
    assert not command("grep", "-F", "level>=WARNING").stderr


@pytest.mark.parametrize(
    "args",
    [["x", "noon"], ["x", "--since", "noon"], ["x", "--level", "noon"], ["x", "-w", "noon"]],
)
def test_wrong_use(args: list[str], command: Command, write: Write) -> None:
    """What cannot be understood ends with 2 and is named."""
    write("s.logs.jsonl", b'{"message":"x"}')
    result = command("grep", *args)
    assert (2, "", True) == (result.exit_code, result.stdout, "'noon'" in result.stderr)


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["--since", "9999-12-31T23:59:59-14:00"], "9999-12-31T23:59:59-14:00"),
        (["--until", "0001-01-01T00:00:00+14:00"], "0001-01-01T00:00:00+14:00"),
        (["--until", "9999-12-31T23:00", "--tz", "America/New_York"], "9999-12-31T23:00"),
        (["-w", "duration>1xs"], "1xs"),
        (["timestamp<soon"], "soon"),
    ],
)
@pytest.mark.parametrize("called", [["grep", "x"], ["show", "s"], ["sessions"]])
def test_values_that_cannot_be_compared_with(
    called: list[str], args: list[str], named: str, command: Command, write: Write
) -> None:
    """A time outside of the calendar, or a number with no unit of time, is wrong use."""
    write("s.logs.jsonl", b'{"message":"x","duration":5}')
    if called[0] != "grep" and not args[0].startswith("-"):
        args = ["-w", *args]
    result = command(*called, *args)
    assert (2, "", True) == (result.exit_code, result.stdout, f"'{named}'" in result.stderr)


def test_times_in_conditions(command: Command, write: Write) -> None:
    """A line's time is compared as a moment, as it is with --since."""
    write("s.logs.jsonl", b'{"timestamp":"2026-11-21T10:00:00.500000Z","message":"x"}')
    for meant in ("timestamp>=2026-11-21T10:00:00Z", "timestamp<=2026-11-21T12:00:00.5+02:00"):
        assert "1\n" == command("grep", "", "-c", meant).stdout
    assert 1 == command("grep", "", "timestamp<=2026-11-21T10:00:00Z").exit_code


def test_damage_where_nothing_matches(command: Command, write: Write) -> None:
    """Damaged lines are named, also in files that do not hold what is searched for."""
    path = write("s.logs.jsonl", b'{"message":"a"}', b'{"message', b'{"message":"b"}')
    write("t.logs.jsonl", b'{"message":"word"}')
    result = command("grep", "word", "-l")
    assert (0, "t\n", f"Warning: {path}: line 2: not JSON\n") == (
        result.exit_code,
        result.stdout,
        result.stderr,
    )
    assert 2 == command("grep", "nowhere").exit_code

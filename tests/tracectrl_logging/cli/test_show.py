"""``show``: what happened in a session."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.session import session

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result
    from opentelemetry import trace

    Command = Callable[..., Result]
    Write = Callable[..., Path]


def rows(result: Result) -> list[dict[str, Any]]:
    """Return the rows of *result*, which found something."""
    assert (0, "") == (result.exit_code, result.stderr)
    return [json.loads(line) for line in result.stdout_bytes.splitlines()]


def log(second: int, **fields: Any) -> bytes:
    """Return a log line at *second*."""
    row = {"timestamp": f"2025-01-01T00:00:{second:02}.000000Z", "level": "INFO", "logger": "app"}
    return json.dumps({**row, **fields}).encode()


def span(second: int, name: str, span_id: str, **fields: Any) -> bytes:
    """Return a span line that starts at *second*."""
    row = {"name": name, "start_time": f"2025-01-01T00:00:{second:02}.000000Z", "span_id": span_id}
    return json.dumps({**row, **fields}).encode()


def test_json(
    command: Command, logger: logging.Logger, file_tracer: trace.Tracer, root: Path
) -> None:
    """The rows are the stored lines in time order, byte for byte, with their type in front."""
    with session("s"):
        logger.info("1", extra={"unicode": "ü", "list": [1, 2.50, None]})
        with file_tracer.start_as_current_span("2"):
            logger.info("3")
    result = command("show", "s", "--json")
    assert ["log", "span", "log"] == [row["type"] for row in rows(result)]
    logs = (root / "s.logs.jsonl").read_bytes().splitlines()
    spans = (root / "s.spans.jsonl").read_bytes().splitlines()
    assert [
        b'{"type":"log",' + logs[0][1:],
        b'{"type":"span",' + spans[0][1:],
        b'{"type":"log",' + logs[1][1:],
    ] == result.stdout_bytes.splitlines()


def test_several_sessions_as_json(command: Command, write: Write) -> None:
    """Several sessions are merged in time order; one that is named twice is there once."""
    write("a.logs.jsonl", log(1, n=1), log(3, n=3))
    write("b.logs.jsonl", log(2, n=2), log(4, n=4))
    assert [1, 2, 3, 4] == [row["n"] for row in rows(command("show", "a", "b", "a", "--json"))]


def test_text(command: Command, write: Write) -> None:
    """Lines stand under their spans, with the time since the session's start."""
    write(
        "s.logs.jsonl",
        log(0, message="begins", user="ann", n=1),
        log(2, message="inside\nsecond line", span_id="b", level="WARNING"),
        log(
            4,
            message="failed",
            exception={
                "type": "ValueError",
                "message": "no",
                "stacktrace": "Traceback\n  x\nValueError: no",
            },
            level="ERROR",
            stack="Stack\n  y",
        ),
    )
    write(
        "s.spans.jsonl",
        span(
            2,
            "inner",
            "b",
            parent_span_id="a",
            duration_ns=950,
            status="ERROR",
            status_message="bad\nworse",
        ),
        span(
            1,
            "GET /",
            "a",
            duration_ns=1_500_000,
            status="OK",
            kind="SERVER",
            service="api",
            attributes={"session.id": "s", "k": "v"},
            events=[{"name": "e", "attributes": {"x": 1}}],
        ),
    )
    assert [
        "s",
        "2025-01-01 00:00:00 UTC · 4.00 s · 3 log lines · 2 spans · 1 error · api",
        "",
        "    0.000  INFO      app: begins  user=ann  n=1",
        "    1.000  SPAN      GET /  1.50 ms  server  OK",
        "    2.000  SPAN      │ inner  950 ns  ERROR: bad ...",
        "    2.000  WARNING   │ │ app: inside",
        "                     │ │   second line",
        "    4.000  ERROR     app: failed",
        "                       ValueError: no",
    ] == command("show", "s").stdout.splitlines()
    full = command("show", "s", "--full").stdout.splitlines()
    assert [
        "    1.000  SPAN      GET /  1.50 ms  server  OK",
        "                     │ k=v",
        "                     │ event e",
        "                     │   x=1",
        "    2.000  SPAN      │ inner  950 ns  ERROR: bad",
        "                     │ │ worse",
    ] == full[4:10]
    assert [
        "                       Traceback",
        "                         x",
        "                       ValueError: no",
        "                       Stack",
        "                         y",
    ] == full[-5:]


def test_several_sessions_as_text(command: Command, write: Write) -> None:
    """Each session has a part of its own, in the order they were asked for."""
    write("a.logs.jsonl", log(1, message="in a"))
    write("b.logs.jsonl", log(0, message="in b"))
    lines = command("show", "b", "a").stdout.splitlines()
    assert ["b", "a"] == [line for line in lines if line in ("a", "b")]
    assert "" in lines[4:6]


def test_services(command: Command, write: Write) -> None:
    """Where several services wrote a session, each line says which."""
    write("s.logs.jsonl", log(0, message="x", service="api"), log(1, message="y", service="db"))
    text = command("show", "s").stdout
    assert "[api] app: x" in text
    assert "[db] app: y" in text


def test_start_of_an_id(command: Command, write: Write) -> None:
    """The start of an ID is enough where one session begins so; a whole ID is always meant itself."""
    for name in ("abc", "abd", "ab.c", "xyz"):
        write(f"{name}.logs.jsonl", log(0, message=name))
    assert ["xyz"] == [row["message"] for row in rows(command("show", "x", "--json"))]
    assert ["abc"] == [row["message"] for row in rows(command("show", "abc", "--json"))]
    result = command("show", "ab")
    assert (2, "", "Error: 3 sessions start with 'ab': ab.c, abc, abd\n") == (
        result.exit_code,
        result.stdout,
        result.stderr,
    )
    assert 2 == command("show", "").exit_code


@pytest.mark.parametrize("sid", ["../x", "a b", "übung", "x" * 300, "\x1b[2J\n", "\u202e", "-n"])
def test_hostile_ids(sid: str, command: Command, logger: logging.Logger) -> None:
    """A session is found by its ID, and by what a terminal shows of it."""
    with session(sid):
        logger.info("hello")
    shown = command("sessions").stdout.splitlines()[1].partition("  ")[0]
    for given in (sid, shown):
        assert [sid] == [row["session_id"] for row in rows(command("show", "--json", "--", given))]
        assert shown in command("show", "--", given).stdout


def test_unknown_session(command: Command, write: Write, root: Path) -> None:
    """An unknown ID ends with 1, and what may have been meant is named."""
    write("a1b2c3d4-e5f6.logs.jsonl", log(0))
    expected = f"Error: no session 'a1b3c3d4-e5f6' in {root}; did you mean a1b2c3d4-e5f6?\n"
    assert (1, "", expected) == (
        (result := command("show", "a1b3c3d4-e5f6")).exit_code,
        result.stdout,
        result.stderr,
    )
    assert "did you mean a1b2c3d4-e5f6?" in command("show", "a1b3").stderr
    assert f"Error: no session '\\x1b[2J' in {root}\n" == command("show", "\x1b[2J").stderr


def test_no_lines(command: Command, write: Write) -> None:
    """A session without a line has nothing to show: the status is 1."""
    write("s.logs.jsonl")
    result = command("show", "s")
    assert (1, "", "no lines in session s\n") == (result.exit_code, result.stdout, result.stderr)
    assert (1, b"") == (
        command("show", "s", "--json").exit_code,
        command("show", "s", "--json").stdout_bytes,
    )


HOSTILE = "\x1b[31mred\x1b]0;title\x07 [bold]m[/bold] \u202e \x9b1m \r"


def test_stored_text_is_escaped(command: Command, write: Write) -> None:
    """No text in a line drives the terminal, whichever key it stands in."""
    names = ("level", "logger", "message", "service", HOSTILE)
    exception = {"type": HOSTILE, "message": HOSTILE, "stacktrace": HOSTILE}
    write(
        "s.logs.jsonl",
        log(0, **dict.fromkeys(names, HOSTILE), exception=exception, stack=HOSTILE),
        log(1, service="x"),
    )
    span_names = ("name", "kind", "status", "status_message", "service")
    events = [{"name": HOSTILE, "attributes": {HOSTILE: HOSTILE}}]
    write(
        "s.spans.jsonl",
        json.dumps(
            {
                **dict.fromkeys(span_names, HOSTILE),
                "attributes": {HOSTILE: HOSTILE},
                "events": events,
            }
        ).encode(),
    )
    for args in (("show", "s"), ("show", "s", "--full"), ("grep", "red"), ("sessions",)):
        text = command(*args).stdout
        assert r"\x1b[31mred\x1b]0;title\x07 [bold]m[/bold] \u202e \x9b1m \r" in text
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
        coloured = command(*args, FORCE_COLOR="1", TERM="xterm-256color").stdout
        assert "[bold]m[/bold]" in coloured
        assert not re.search("\x1b(?!\\[[0-9;]*m)|\x9b|\x07|\r|\u202e", coloured)


def test_a_message_cannot_pose_as_a_line(command: Command, write: Write) -> None:
    """The second line of a message stands where no line of the session can begin."""
    forged = "    9.999  ERROR     app: forged"
    write("s.logs.jsonl", log(0, message=f"x\n{forged}"))
    assert forged not in command("show", "s").stdout.splitlines()


def test_strange_values(command: Command, write: Write) -> None:
    """Values of other types than the contract's are shown, whatever they are."""
    strange = {"level": 1, "logger": None, "message": {"a": [1]}, "exception": "text", "stack": 5}
    write("s.logs.jsonl", b"{}", json.dumps(strange).encode(), b'{"message":"\\ud800"}')
    write("s.spans.jsonl", b"{}", b'{"duration_ns":"x","attributes":1,"events":[1],"status":null}')
    for args in (("show", "s"), ("show", "s", "--full")):
        result = command(*args)
        assert (0, "") == (result.exit_code, result.stderr)
        assert '{"a":[1]}' in result.stdout


def test_deep_and_cyclic(command: Command, write: Write) -> None:
    """Ten thousand levels and a cycle are shown, indented no further than is readable."""
    chain = [
        span(0, f"s{number}", str(number), parent_span_id=str(number - 1))
        for number in range(10_000)
    ]
    write("s.spans.jsonl", *chain, span(0, "loop", "x", parent_span_id="x"))
    lines = command("show", "s").stdout.splitlines()
    assert 3 + 10_001 == len(lines)
    assert max(map(len, lines)) < 100
    assert "    0.000  SPAN      │ │ │ │ │ │ │ │ │ │ │ │ (9999) s9999" in lines


def test_long_line(command: Command, write: Write) -> None:
    """A message of ten megabytes is shown whole in a pipe, and as JSON."""
    message = "x" * 10_000_000
    write("s.logs.jsonl", log(0, message=message))
    assert command("show", "s").stdout.endswith(f"{message}\n")
    assert message == rows(command("show", "s", "--json"))[0]["message"]


def test_colours(command: Command, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal gets colours unless NO_COLOR is set; a pipe gets none unless FORCE_COLOR is."""
    write("s.logs.jsonl", log(0, message="x"))
    assert "\x1b" not in command("show", "s").stdout
    assert "\x1b[" in command("show", "s", FORCE_COLOR="1", TERM="xterm").stdout
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    assert "\x1b[" in command("show", "s", TERM="xterm").stdout
    assert "\x1b" not in command("show", "s", TERM="xterm", NO_COLOR="1").stdout
    assert "\x1b" not in command("show", "s", TERM="dumb").stdout


@pytest.mark.parametrize("width", [80, 200])
def test_terminal_width(
    width: int, command: Command, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal no line is longer than it, and what is continued stays in its column."""
    write("s.logs.jsonl", log(0, message="word " * 100, span_id="a"), log(1, message="漢" * 200))
    write("s.spans.jsonl", span(0, "outer", "a"))
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    lines = command("show", "s", COLUMNS=str(width), NO_COLOR="1", TERM="xterm").stdout.splitlines()
    assert max(len(line) + line.count("漢") for line in lines) in range(width - 5, width + 1)
    assert all(line.startswith(" " * 21 + "│   word") for line in lines[5:-1] if "word" in line)

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
            events=[
                {"name": "e", "timestamp": "2025-01-01T00:00:01.25Z", "attributes": {"x": 1}},
                {"name": "bare"},
            ],
            links=[{"trace_id": "8" * 32, "span_id": "c", "attributes": {"why": "retry"}}, {}],
        ),
    )
    assert [
        "s",
        "2025-01-01 00:00:00 UTC · 4.00 s · 3 log lines · 2 spans · 1 error · 1 span in error · api",
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
        "                     │ span_id=a",
        "                     │ event e  2025-01-01 00:00:01.250",
        "                     │   x=1",
        "                     │ event bare",
        f"                     │ link {'8' * 32} c",
        "                     │   why=retry",
        "                     │ link - -",
        "    2.000  SPAN      │ inner  950 ns  ERROR: bad",
        "                     │ │ worse",
        "                     │ │ span_id=b  parent_span_id=a",
        "    2.000  WARNING   │ │ app: inside",
        "                     │ │   second line",
        "                     │ │   span_id=b",
    ] == full[4:19]
    assert [
        "                       Traceback",
        "                         x",
        "                       ValueError: no",
        "                       Stack",
        "                         y",
    ] == full[-5:]
    in_zone = command("show", "s", "--full", "--tz", "Asia/Tokyo", "--hide", "span_id").stdout
    assert "event e  2025-01-01 09:00:01.250" in in_zone
    assert "span_id=b" not in in_zone.replace("parent_span_id", "")


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


def tree(write: Write) -> None:
    """Write a session of two traces: ``outer`` with ``inner`` in it, and ``other``."""
    write(
        "s.logs.jsonl",
        log(0, message="begins", service="api"),
        log(2, message="in outer", trace_id="a1", span_id="b1", user="ann"),
        log(3, message="in inner", trace_id="a1", span_id="b2", level="ERROR", logger="app.db"),
        log(5, message="in other", trace_id="c1", span_id="d1", level="WARNING", tool="search"),
    )
    write(
        "s.spans.jsonl",
        span(
            3, "inner", "b2", trace_id="a1", parent_span_id="b1", attributes={"tool": "x", "k": 1}
        ),
        span(1, "outer", "b1", trace_id="a1", duration_ns=4_000_000_000),
        span(4, "other", "d1", trace_id="c1", parent_span_id="gone"),
    )


PICKED = [
    (("--level", "warning"), ["in inner", "in other"], ["outer", "inner", "other"]),
    (("--logger", "app.db"), ["in inner"], ["outer", "inner"]),
    (("--trace", "A"), ["outer", "in outer", "inner", "in inner"], []),
    (("--span", "b2"), ["inner", "in inner"], []),
    (("--span", "B1"), ["outer", "in outer", "inner", "in inner"], []),
    (("--span", "d1", "--level", "INFO"), ["in other"], ["other"]),
    (("--where", "tool=search"), ["in other"], ["other"]),
    (("--where", "duration>1s"), ["outer"], []),
    (("-w", "tool~.", "-w", "tool!=search"), ["inner"], ["outer"]),
    (("--since", "2025-01-01T00:00:04"), ["other", "in other"], []),
    (("--until", "2025-01-01T01:00:01", "--tz", "Europe/Berlin"), ["begins", "outer"], []),
    (("--since", "2025-01-01T00:00:02", "--until", "2025-01-01T00:00:02"), ["in outer"], ["outer"]),
]


def names_in(text: str) -> list[str]:
    """Return which of the names in the tree stand in *text*, in order."""
    found = re.findall(r"SPAN +(?:│ )*(?:\[api\] )?(\w+)|: (begins|in \w+)", text)
    return [name or message for name, message in found]


@pytest.mark.parametrize(("args", "picked", "above"), PICKED)
def test_picking(
    args: tuple[str, ...], picked: list[str], above: list[str], command: Command, write: Write
) -> None:
    """Flat and as JSON exactly what is picked is shown; nested also the spans above it."""
    tree(write)
    found = rows(command("show", "s", "--json", *args))
    assert picked == [row.get("message", row.get("name")) for row in found]
    assert picked == names_in(command("show", "s", "--flat", *args).stdout)
    assert sorted({*picked, *above}) == sorted(names_in(command("show", "s", *args).stdout))


@pytest.mark.parametrize("more", [(), ("--flat",), ("--json",)])
def test_nothing_picked(more: tuple[str, ...], command: Command, write: Write) -> None:
    """Where nothing is meant, the status is 1 and nothing is printed."""
    tree(write)
    for args in (("--level", "CRITICAL"), ("--trace", "99"), ("--span", "ff"), ("-w", "x=1")):
        result = command("show", "s", *more, *args)
        assert (1, "") == (result.exit_code, result.stdout)
    assert "Error: no span 'ff' in s\n" == command("show", "s", "--span", "ff").stderr
    assert "no such lines in session s\n" == command("show", "s", "-w", "x=1").stderr


@pytest.mark.parametrize(
    "args",
    [
        ("--level", "LOUD"),
        ("--trace", "xyz"),
        ("--span", "-"),
        ("--span", "b"),
        ("--since", "soon"),
        ("--where", "tool"),
        ("--tz", "Nowhere"),
    ],
)
def test_wrong_options(args: tuple[str, ...], command: Command, write: Write) -> None:
    """An option that says nothing usable is named; the status is 2."""
    tree(write)
    result = command("show", "s", *args)
    assert (2, "") == (result.exit_code, result.stdout)
    assert args[1] in result.stderr


def test_flat(command: Command, write: Write) -> None:
    """Lines stand in time order with their times, several sessions together, each line with its own."""
    tree(write)
    write("r.logs.jsonl", log(1, message="elsewhere"), b'{"message":"at no time"}')
    lines = command("show", "s", "--flat", "--tz", "Asia/Kolkata").stdout.splitlines()
    assert "2025-01-01 05:30:00.000  INFO      [api] app: begins" == lines[0]
    assert "2025-01-01 05:30:01.000  SPAN      outer  4.00 s" == lines[1]
    lines = command("show", "s", "r", "--flat").stdout.splitlines()
    assert "2025-01-01 00:00:01.000  INFO      r  app: elsewhere" in lines
    assert "2025-01-01 00:00:05.000  WARNING   s  app: in other  tool=search" == lines[-1]
    write("t.logs.jsonl", b'{"message":"at no time"}')
    assert (
        f"{'-':<23}  -         -: at no time"
        == command("show", "t", "--flat").stdout.splitlines()[0]
    )


def test_head_of_a_part(command: Command, write: Write) -> None:
    """The head says how much of the session is shown, and when it began in the zone asked for."""
    tree(write)
    head = command("show", "s", "--level", "ERROR", "--tz", "Europe/Berlin").stdout.splitlines()[1]
    said = "2025-01-01 01:00:00 CET · 5.00 s · 1 of 4 log lines · 2 of 3 spans · 1 error · api"
    assert said == head


def test_fields(command: Command, write: Write) -> None:
    """``--fields`` picks among extras and attributes, ``--hide`` leaves keys out."""
    tree(write)
    text = command("show", "s", "--flat", "--fields", "tool,trace_id").stdout
    assert "app: in outer  trace_id=a1\n" in text
    assert "inner  tool=x  trace_id=a1\n" in text
    text = command("show", "s", "--flat", "--hide", "user", "--hide", "logger,service").stdout
    assert "INFO      in outer\n" in text
    assert "INFO      begins\n" in text
    assert "user" not in command("show", "s", "--fields", "").stdout
    found = rows(command("show", "s", "--json", "--fields", "message,name"))
    assert {"type": "log", "message": "begins"} == found[0]
    assert {"type": "span", "name": "outer"} == found[1]
    found = rows(command("show", "s", "--json", "--hide", "timestamp,level,logger,service"))
    assert {"type": "log", "message": "begins"} == found[0]


def test_too_large_to_nest(command: Command, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session past the limit is shown flat, whole, and a line on stderr says so."""
    write("s.logs.jsonl", *[log(n % 60, message=f"m{n}", span_id="a") for n in range(100)])
    write("s.spans.jsonl", span(0, "outer", "a"))
    nested = command("show", "s").stdout
    for name, limit in (("MOST_LINES", 10), ("MOST_BYTES", 1000)):
        with monkeypatch.context() as patched:
            patched.setattr(f"tracectrl_logging.cli.render.story.{name}", limit)
            result = command("show", "s")
            assert 0 == result.exit_code
            assert 1 == result.stderr.count("\n")
            assert "session s is too large to nest" in result.stderr
            assert 101 == len(result.stdout.splitlines())
            assert sorted(re.findall("m[0-9]+", nested)) == sorted(
                re.findall("m[0-9]+", result.stdout)
            )
            flat = command("show", "s", "--flat")
            assert ("", flat.stdout) == (flat.stderr, result.stdout)


def test_many_warnings(command: Command, write: Write) -> None:
    """Past ten warnings the damaged lines of a file are counted."""
    lines = [line for n in range(150) for line in (b"bad", b'{"message":"%d"}' % n)]
    path = write("s.logs.jsonl", *lines)
    result = command("show", "s", "--json")
    assert 150 == len(result.stdout.splitlines())
    said = result.stderr.splitlines()
    assert (11, f"Warning: and 140 more damaged lines in {path}") == (len(said), said[-1])

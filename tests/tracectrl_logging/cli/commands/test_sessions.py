"""``sessions``: which sessions there are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len

from tracectrl.session import session

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from click.testing import Result
    from opentelemetry import trace

    Command = Callable[..., Result]
    Write = Callable[..., Path]

HOSTILE_IDS = ["../x", "a b", "übung", "x" * 300, "\x1b[2Ja\nb", "[bold]b[/bold]", "\u202e"]


def log_to(logger: logging.Logger, *ids: str) -> None:
    """Log a line to each of these sessions, one after the other."""
    for sid in ids:
        with session(sid):
            logger.info("hello")


def test_json(command: Command, logger: logging.Logger, file_tracer: trace.Tracer) -> None:
    """A row holds the session's numbers under stable keys, and is strict JSON."""
    with session("s"), file_tracer.start_as_current_span("span"):
        logger.error("broken")
    (line,) = command("sessions", "--json").stdout_bytes.splitlines()
    row = json.loads(line)
    assert [
        "session_id",
        "first_time",
        "last_time",
        "logs",
        "spans",
        "errors",
        "services",
        "duration_ns",
        "first_message",
        "error_spans",
        "model_calls",
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_creation_tokens",
        "reasoning_tokens",
        "cost_usd",
        "open_spans",
        "state",
        "parent",
        "ancestors",
        "previous",
    ] == list(row)
    assert {"session_id": "s", "logs": 1, "spans": 1, "errors": 1, "services": ["api"]} == {
        key: row[key] for key in ("session_id", "logs", "spans", "errors", "services")
    }
    assert "broken" == row["first_message"]
    assert row["first_time"] < row["last_time"]
    assert 0 < row["duration_ns"] < 60_000_000_000


def test_tree(command: Command, logger: logging.Logger) -> None:
    """Sessions stand below the ones that began them and count to these; ``-n`` counts trees."""
    with session("early"):
        logger.info("alone")
    with session("top"):
        logger.info("begun")
        for part in "ab":
            with session(f"part-{part}", parent=True), session(f"sub-{part}", parent=True):
                logger.error("broken")
        with session("part-b", parent="top"):
            logger.info("later")
    with session("next", previous="top"):
        logger.info("goes on")

    rows = [
        (row["session_id"], row["depth"], row["logs"], row["errors"], row["parent"])
        for row in map(json.loads, command("sessions", "--tree", "--json").stdout.splitlines())
    ]
    tree = [
        ("top", 0, 4, 2, None),
        ("part-a", 1, 1, 1, "top"),
        ("sub-a", 2, 1, 1, "part-a"),
        ("part-b", 1, 2, 1, "top"),
        ("sub-b", 2, 1, 1, "part-b"),
    ]
    assert [("next", 0, 1, 0, None), *tree, ("early", 0, 1, 0, None)] == rows
    text = command("sessions", "--tree", "-n", "2").stdout.splitlines()
    assert ["SESSION", "next", "top", *["\u2502"] * 4] == [line.split()[0] for line in text]
    first, *_ = command("sessions", "--json").stdout.splitlines()
    assert ("top", None) == (json.loads(first)["previous"], json.loads(first)["parent"])


def test_a_narrow_tree(command: Command, logger: logging.Logger) -> None:
    """Where each session has lines of its own, they are indented, too; the deepest by a number."""
    with session("s0"):
        logger.info("x")
        for number in range(1, 15):
            session(f"s{number}", parent=True).__enter__()
            logger.info("x")
    with_width = command("sessions", "--tree", COLUMNS="40", FORCE_COLOR="1").stdout
    assert "\u2502 " * 12 + "(14) s14" in with_width


def test_hostile_ids_as_json(command: Command, logger: logging.Logger) -> None:
    """IDs come back exactly, the latest first, that of records outside a session included."""
    logger.info("outside")
    log_to(logger, *HOSTILE_IDS)
    rows = map(json.loads, command("sessions", "--json").stdout_bytes.splitlines())
    assert [*reversed(HOSTILE_IDS), "unknown"] == [row["session_id"] for row in rows]


def test_hostile_ids_as_text(command: Command, logger: logging.Logger) -> None:
    """What an ID holds reaches the terminal neither as an escape sequence nor as markup."""
    log_to(logger, *HOSTILE_IDS)
    for more in ({}, {"FORCE_COLOR": "1"}):
        text = command("sessions", **more).stdout
        assert r"\x1b[2Ja\nb" in text
        assert "[bold]b[/bold]" in text
        assert r"\u202e" in text
        assert "x" * 300 in text
        assert "\x1b[2J" not in text


def test_text(command: Command, write: Write) -> None:
    """A table, unbroken in a pipe; neither services nor messages can drive the terminal either."""
    write(
        "a1b2c3d4-e5f6-7890-abcd-ef1234567890.logs.jsonl",
        b'{"timestamp":"2025-01-01T00:00:00.000000Z","level":"ERROR","service":"\\u001b[1m"}',
        b'{"timestamp":"2025-01-02T03:04:05.678901Z"}',
    )
    write("b.logs.jsonl", b'{"timestamp":"2025-01-01T00:00:00.5Z","message":"a\\n\\u001b[1mb"}')
    write("empty.logs.jsonl")
    assert [
        "SESSION                               LAST (UTC)              DURATION  LOGS  SPANS  ERRORS  SERVICES  FIRST MESSAGE",
        r"a1b2c3d4-e5f6-7890-abcd-ef1234567890  2025-01-02 03:04:05  27h 04m 06s     2      0       1  \x1b[1m",
        r"b                                     2025-01-01 00:00:00         0 ns     1      0       0            a\n\x1b[1mb",
        "empty                                 -                              -     0      0       0",
    ] == command("sessions").stdout.splitlines()


def test_limit(command: Command, logger: logging.Logger) -> None:
    """``--limit`` keeps the latest."""
    log_to(logger, "a", "b", "c")
    rows = command("sessions", "--json", "--limit", "2").stdout_bytes.splitlines()
    assert ["c", "b"] == [json.loads(row)["session_id"] for row in rows]
    assert 3 == len(command("sessions", "-n", "2").stdout.splitlines())


def test_narrow_terminal(command: Command, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the table is too wide for the terminal a session takes a few lines, its ID whole."""
    sid = "a1b2c3d4-e5f6-7890-abcd-ef1234567890"
    message = "wide \u5b57" * 20
    write(
        f"{sid}.logs.jsonl",
        b'{"timestamp":"2025-01-01T00:00:00.000000Z","service":"api","message":"%s"}'
        % message.encode(),
        b'{"timestamp":"2025-01-01T03:04:05.678901Z","level":"ERROR"}',
    )
    write("empty.logs.jsonl")
    monkeypatch.setattr("tracectrl_logging.cli.render.screen.Screen.width", 80)
    assert [
        f"{sid}  api",
        "  2025-01-01 00:00:00 - 03:04:05  3h 04m 06s  2 logs  0 spans  1 error",
        "  " + ("wide \u5b57" * 11) + "…",
        "empty",
        "  no lines  0 logs  0 spans  0 errors",
    ] == command("sessions").stdout.splitlines()


def test_wide_terminal(command: Command, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message is cut where the terminal ends."""
    write("s.logs.jsonl", b'{"message":"%s"}' % (b"0123456789" * 20))
    monkeypatch.setattr("tracectrl_logging.cli.render.screen.Screen.width", 120)
    lines = command("sessions").stdout.splitlines()
    assert [True, 120] == [len(lines[0]) <= 120, len(lines[1])]
    assert lines[1].endswith("…")


def test_columns_of_a_terminal(command: Command, write: Write) -> None:
    """Columns stand below each other where an ID or a service has wide or combining characters."""
    for sid, service in (("%E6%BC%A2%E5%AD%97", "字"), ("s", "e\u0301"), ("plain", "api")):
        row = {"timestamp": "2025-01-01T00:00:00Z", "service": service, "message": "first"}
        write(f"{sid}.logs.jsonl", json.dumps(row).encode())
    lines = command("sessions").stdout.splitlines()
    for title, value in (("LAST", "2025"), ("FIRST MESSAGE", "first")):
        starts = [cell_len(line[: line.index(value)]) for line in lines[1:]]
        assert [lines[0].index(title)] * 3 == starts


def test_nothing_is_cut_in_a_pipe(command: Command, write: Write) -> None:
    """The next program gets the whole first message, all services and the whole ID."""
    message, service, sid = "m" * 5000, "v" * 100, "s" * 128
    row = {"timestamp": "2025-01-01T00:00:00Z", "service": service, "message": message}
    write(f"{sid}.logs.jsonl", json.dumps(row).encode())
    [_, line] = command("sessions").stdout.splitlines()
    assert [sid, service, message] == [line.split()[index] for index in (0, -2, -1)]


def test_many_rows(command: Command, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that wait on disk, whatever is in them, are printed as those that do not."""
    for number, message in enumerate(["first", "l\\ud800ne", "字" * 9, "a\\nb", "\\u001f"]):
        write(f"s{number}.logs.jsonl", b'{"message":"%s"}' % message.encode())
    expected = command("sessions").stdout
    monkeypatch.setattr("tracectrl_logging.cli.render.sessions._MOST_CHARACTERS", 60)
    monkeypatch.setattr("tracectrl_logging.cli.render.sessions._BLOCK_BYTES", 7)
    assert expected == command("sessions").stdout
    assert 6 == expected.count("\n")


def test_uuids_in_a_table(command: Command, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 120 columns has room for a table with UUIDs."""
    for number in range(3):
        write(
            f"a1b2c3d4-e5f6-7890-abcd-ef123456789{number}.logs.jsonl",
            b'{"message":"%s"}' % (b"x" * 99),
        )
    monkeypatch.setattr("tracectrl_logging.cli.render.screen.Screen.width", 120)
    lines = command("sessions").stdout.splitlines()
    assert 4 == len(lines)
    assert {120} == set(map(len, lines[1:]))


@pytest.fixture
def _sessions(write: Write) -> None:
    """Write three sessions, of which the later ones are shorter and have more errors."""
    for number, sid in enumerate("abc", 1):
        first = f"2025-01-0{number}T10:00:00.000000Z"
        last = f"2025-01-0{number}T10:00:0{9 - number}.000000Z"
        rows = [{"timestamp": first, "service": f"s-{sid}", "message": f"hello {sid}"}]
        rows += [{"timestamp": last, "level": "ERROR", "user": "ann"}] * number
        write(f"{sid}.logs.jsonl", *(json.dumps(row).encode() for row in rows))
    write(
        "a.spans.jsonl", b'{"start_time":"2025-01-01T10:00:00.000000Z","attributes":{"tool":"x"}}'
    )
    write("quiet.logs.jsonl", b'{"level":"INFO","tool":"y"}')


@pytest.mark.usefixtures("_sessions")
@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--errors"], "c b a"),
        (["--sort", "duration"], "a b c quiet"),
        (["--sort", "errors"], "c b a quiet"),
        (["--sort", "errors", "-n", "2"], "c b"),
        (["--sort", "duration", "-n", "1", "--errors"], "a"),
        (["--since", "2025-01-02T10:00:08"], "c"),
        (["--since", "2025-01-02T10:00:07"], "c b"),
        (["--until", "2025-01-02T10:00:03"], "b a"),
        (["--since", "2025-01-02", "--until", "2025-01-03"], "b"),
        (["--since", "2025-01-02T11:00", "--until", "2025-01-02T12:00", "--tz", "Etc/GMT-1"], "b"),
        (["--service", "s-b"], "b"),
        (["--service", "s-b", "--service", "s-c"], "c b"),
        (["--where", "tool=x"], "a"),
        (["--where", "user=ann", "--where", "message~hello [ab]"], "b a"),
        (["--where", "tool=y"], "quiet"),
        (["--where", "errors>=2"], "c b"),
        (["--where", "errors>=2", "-w", "message=hello c"], "c"),
        (["--where", "spans=1"], "a"),
        (["--where", "duration>6s"], "b a"),
        (["--where", "duration>6.5"], "b a"),
        (["--where", "duration_ns>7000000000"], "a"),
    ],
)
def test_which(args: list[str], expected: str, command: Command) -> None:
    """Options say which sessions are meant and in which order."""
    rows = map(json.loads, command("sessions", "--json", *args).stdout_bytes.splitlines())
    assert expected.split() == [row["session_id"] for row in rows]


@pytest.mark.usefixtures("_sessions")
def test_none(command: Command) -> None:
    """Where no session is meant the status is 1; an empty root is told apart."""
    result = command("sessions", "--where", "user=bob", "--json")
    assert (1, "") == (result.exit_code, result.stdout)
    assert "no such sessions in" in result.stderr


@pytest.mark.parametrize(
    "args", [["--since", "noon"], ["--where", "tool"], ["--sort", "size"], ["--limit", "0"]]
)
def test_wrong_use(args: list[str], command: Command, write: Write) -> None:
    """What cannot be understood ends with 2 and is named."""
    write("s.logs.jsonl", b"{}")
    result = command("sessions", *args)
    assert (2, "", True) == (result.exit_code, result.stdout, repr(args[1])[1:-1] in result.stderr)


@pytest.mark.usefixtures("_sessions")
def test_time_zone(command: Command) -> None:
    """The table's times are of the zone that is asked for."""
    lines = command("sessions", "--tz", "Asia/Tokyo", "-n", "1").stdout.splitlines()
    assert "LAST (Asia/Tokyo)" in lines[0]
    assert "2025-01-03 19:00:06" in lines[1]


def test_years_apart(command: Command, write: Write) -> None:
    """A duration that no 64 bits hold is null, and the session is there all the same."""
    form = b'{"timestamp":"%s-01-01T00:00:00.000000Z","message":"m"}'
    write("s.logs.jsonl", form % b"0001", form % b"2026")
    (row,) = map(json.loads, command("sessions", "--json").stdout.splitlines())
    assert (None, 2) == (row["duration_ns"], row["logs"])


RECORDED = Path(__file__).parents[2] / "reader" / "genai" / "recorded"


def test_models(command: Callable[..., Result]) -> None:
    """What models have used are columns where any session has some, and conditions."""
    asked = ("sessions", "--root", str(RECORDED), "--where", "reasoning_tokens>=29")
    title, cells = (line.split() for line in command(*asked).stdout.splitlines())
    assert ["ERRORS", "CALLS", "TOKENS", "IN", "OUT", "COST", "SERVICES"] == title[6:-2]
    assert ["pydantic-ai", "0", "3", "260", "69"] == [cells[0], *cells[7:11]]
    (row,) = map(json.loads, command(*asked, "--json").stdout.splitlines())
    assert (3, 260, 69, 64, 0, 29) == tuple(row.values())[10:16]
    assert 1 == command(*asked, "--where", "input_tokens>260").exit_code

"""Files in any state: no command fails, hangs, or hides what can be read."""

from __future__ import annotations

import gzip
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.files.compression import packing
from tracectrl.session import session

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    Command = Callable[..., Result]
    Write = Callable[..., Path]

SHOWS = [("show", "s"), ("show", "s", "--full"), ("show", "s", "--flat"), ("show", "s", "--json")]
COMPACT = ("show", "s", "--format", "compact")
ALL = [
    *SHOWS,
    COMPACT,
    ("sessions",),
    ("sessions", "--json"),
    ("grep", "."),
    ("grep", ".", "--json"),
]


def row(second: int = 0, **fields: Any) -> bytes:
    """Return a log line at *second*."""
    time = f"2025-01-01T00:00:{second:02}.000000Z"
    base = {"timestamp": time, "level": "INFO", "logger": "app", "message": "good"}
    return json.dumps({**base, **fields}).encode()


@pytest.mark.parametrize("args", ALL)
def test_garbage(args: tuple[str, ...], command: Command, write: Write) -> None:
    """Files of only garbage are named on stderr; what is good is shown."""
    noise = bytes(range(256)) * 2000
    write("s.logs.jsonl.2", noise)
    write("s.logs.jsonl.1", b"\0" * 100_000, b"[]", b"1", b'"text"', b"{", b"[" * 100_000)
    write("s.spans.jsonl", noise, b'{"resourceSpans":[{"scopeSpans":1}]}')
    write("s.spans.jsonl.1.gz", noise)
    write("s.spans.jsonl.2.zst", noise)
    write("s.logs.jsonl", row())
    result = command(*args)
    assert 0 == result.exit_code
    assert "s.logs.jsonl.2: lines 1-2000" in result.stderr
    if args[0] != "grep":
        assert "s.spans.jsonl.1.gz" in result.stderr
        assert "s.spans.jsonl.2.zst" in result.stderr
    assert "good" in result.stdout or args[0] == "sessions"


@pytest.mark.parametrize("packed", ["gz", "zst"])
@pytest.mark.parametrize("args", ALL)
def test_cut_off(args: tuple[str, ...], packed: str, command: Command, root: Path) -> None:
    """Of a compressed file that is cut off, what comes before is shown."""
    root.mkdir()
    path = root / f"s.logs.jsonl.1.{packed}"
    with path.open("wb") as raw, packing(raw, packed, 3, 0) as stream:
        for number in range(20_000):
            stream.write(row(n=number * 7919 % 1_000_003) + b"\n")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    result = command(*args)
    assert 0 == result.exit_code
    assert f"s.logs.jsonl.1.{packed}: line " in result.stderr
    assert "the file cannot be read from here on" in result.stderr
    assert 1 == result.stderr.count("\n")


@pytest.mark.parametrize("packed", ["gz", "zst"])
@pytest.mark.parametrize("count", [1, 2_000])
@pytest.mark.parametrize(
    ("args", "lines"),
    [
        (("show", "s", "--json"), None),
        (("grep", "good", "--json"), None),
        (("grep", "last", "--json"), 1),
        (("tail", "-n", "100000", "--json"), None),
        (("tail", "--since", "2020-01-01", "--json"), None),
        (("query", "SELECT message FROM logs", "--json"), None),
    ],
)
def test_junk_after_a_compressed_file(
    args: tuple[str, ...],
    lines: int | None,
    count: int,
    packed: str,
    command: Command,
    root: Path,
) -> None:
    """What follows the data of a compressed file is named, and hides no line of it."""
    root.mkdir()
    path = root / f"s.logs.jsonl.1.{packed}"
    with path.open("wb") as raw, packing(raw, packed, 3, 0) as stream:
        for number in range(1, count):
            stream.write(row(message=f"good {number}") + b"\n")
        stream.write(row(message="good last") + b"\n")
    with path.open("ab") as raw:
        raw.write(b"junk")
    result = command(*args)
    assert (0, lines or count) == (result.exit_code, len(result.stdout.splitlines()))
    assert f"s.logs.jsonl.1.{packed}" in result.stderr
    assert "the file cannot be read from here on: what follows at byte " in result.stderr


@pytest.mark.parametrize("args", ALL)
def test_long_lines(args: tuple[str, ...], command: Command, write: Write) -> None:
    """Lines of ten megabytes, in each place of a line, are lines like others."""
    long = ("x" * 298 + "\\\n") * 33_333
    exception = {"type": "E", "message": "no", "stacktrace": long}
    write(
        "s.logs.jsonl", row(message=long), row(1, extra=[long]), row(2, exception=exception), row(3)
    )
    write("s.spans.jsonl", json.dumps({"name": long, "attributes": {"k": long}}).encode())
    result = command(*args)
    assert (0, "good" in result.stdout) == (result.exit_code, args[0] != "sessions")
    if args == ("show", "s", "--json"):
        assert 5 == len(result.stdout_bytes.splitlines())


def test_long_line_on_a_terminal(
    command: Command, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal gets all of a message of two megabytes, no line too wide, and soon."""
    write("s.logs.jsonl", row(message="word " * 400_000), row(message="漢" * 100_000))
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    text = command("show", "s", COLUMNS="80", TERM="xterm").stdout
    assert 400_000 == sum(line.count("w") for line in text.splitlines())
    assert 100_000 == text.count("漢")
    plain = [line for line in text.splitlines() if "\x1b" not in line]
    assert max(len(line) + line.count("漢") for line in plain) <= 80


@pytest.mark.parametrize("args", ALL)
def test_growing(args: tuple[str, ...], command: Command, logger: logging.Logger) -> None:
    """A session that is written meanwhile is read up to somewhere, without damage."""
    stop = threading.Event()

    def write_on() -> None:
        with session("s"):
            while not stop.wait(0.0001):
                logger.info("good %s", "x" * 2000)

    with session("s"):
        logger.info("good")
    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        for _ in range(3):
            result = command(*args)
            assert (0, "") == (result.exit_code, result.stderr)
    finally:
        stop.set()
        writer.join()


@pytest.mark.parametrize("args", ALL)
def test_times_that_run_backwards(args: tuple[str, ...], command: Command, write: Write) -> None:
    """Times out of order, before the epoch, past the calendar or none at all are shown."""
    times = ["2025-01-01T00:00:09.000000Z", "2025-01-01T00:00:01.000000Z", "1969-01-01", "", "soon"]
    times += [
        "0001-01-01T00:00:00.000000Z",
        "9999-12-31T23:59:59.999999Z",
        "2025-02-31T00:00:00.000000Z",
    ]
    strange: list[Any] = [
        1735689600,
        None,
        [],
        "0000-00-00T99:99:99.000000Z",
        "2025-01-01T00:00:00.000000+99:99",
    ]
    write("s.logs.jsonl", *[row(timestamp=time) for time in [*times, *strange]])
    end = {"end_time": times[1], "duration_ns": -8_000_000_000}
    spans = [
        {"name": "good", "start_time": times[0], **end},
        {"name": "good", "start_time": 5, **end},
    ]
    write("s.spans.jsonl", *[json.dumps(span).encode() for span in spans])
    for tz in ((), ("--tz", "Pacific/Kiritimati"), ("--since", "0001-01-01", "--tz", "local")):
        if args[0] != "show" and tz:
            continue
        result = command(*args, *tz)
        assert (0, "") == (result.exit_code, result.stderr)


def test_many_names(command: Command, root: Path) -> None:
    """Among very many names one session is found, read, and what is none is said to be none."""
    root.mkdir()
    for number in range(5000):
        (root / f"session-{number:04}.logs.jsonl").touch()
    (root / "session-1234.logs.jsonl").write_bytes(row() + b"\n")
    (root / "session-1234.logs.jsonl.1.gz").write_bytes(gzip.compress(row(message="older") + b"\n"))
    result = command("show", "session-1234", "--json")
    assert ["older", "good"] == [json.loads(line)["message"] for line in result.stdout.splitlines()]
    assert "good" in command("show", "session-1234").stdout
    result = command("show", "sesion-1234")
    assert (1, True) == (result.exit_code, "did you mean session-1234" in result.stderr)
    result = command("show", "session-0")
    assert (2, True) == (result.exit_code, "1000 sessions start with" in result.stderr)

"""``tail``: the last lines of sessions, and those that come, as a command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import IO, TYPE_CHECKING

import pytest

from tracectrl.session import session

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from click.testing import Result

    Command = Callable[..., Result]
    Write = Callable[..., Path]
    Start = Callable[..., subprocess.Popen[bytes]]

SECONDS = 30
"""How long a test waits for what comes at once on a machine with nothing else to do."""


@pytest.fixture
def start(root: Path) -> Iterator[Start]:
    """Return the function that starts the command in a process of its own, which ends with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def run(*args: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tracectrl_logging.cli", *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "TRACECTRL_TRACE_DIR": str(root)},
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def stream(pipe: IO[bytes] | None) -> IO[bytes]:
    """Return *pipe*, which is there."""
    assert pipe is not None
    return pipe


@pytest.fixture
def _lines(logger: logging.Logger) -> None:
    """Log to two sessions in turn."""
    for number in range(10):
        with session("ab"[number % 2]):
            logger.info("line %d", number, extra={"number": number})


def numbers(result: Result) -> list[int]:
    """Return the numbers of the rows of *result*."""
    return [json.loads(row)["number"] for row in result.stdout_bytes.splitlines()]


@pytest.mark.usefixtures("_lines")
@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ((), list(range(10))),
        (("-n", "3"), [7, 8, 9]),
        (("a", "-n", "2"), [6, 8]),
        (("a", "b", "-n", "3"), [7, 8, 9]),
        (("--where", "number<4", "-n", "2"), [2, 3]),
        (("--since", "-1h", "--level", "info"), list(range(10))),
    ],
)
def test_json(args: tuple[str, ...], expected: list[int], command: Command) -> None:
    """The rows are the stored lines of the sessions that are meant, the last of them."""
    result = command("tail", *args, "--json")
    assert (0, expected, "") == (result.exit_code, numbers(result), result.stderr)


@pytest.mark.usefixtures("_lines")
def test_text(command: Command, write: Write) -> None:
    """In a pipe each line is one, with its session and its time, and nothing reaches a terminal raw."""
    result = command("tail", "-n", "1")
    assert 1 == result.stdout.count("\n")
    sid, date, time, level, *said = result.stdout.split()
    assert ["b", "INFO", "app:", "line", "9", "number=9"] == [sid, level, *said]
    assert (10, 16) == (len(date), len(time))
    write("c.logs.jsonl", b'{"timestamp":"2999-01-01T00:00:00Z","message":"\\u001b[2J\\nx"}')
    shown = command("tail", "-n1").stdout
    assert "c  2999-01-01 00:00:00.000000Z" in shown
    assert "\x1b" not in shown
    assert 1 == shown.count("\n")


@pytest.mark.usefixtures("_lines")
@pytest.mark.parametrize(
    ("args", "status"),
    [
        (("nowhere",), 1),
        (("--level", "ERROR"), 1),
        (("-n", "0"), 1),
        (("-n", "-1"), 2),
        (("--since", "soon"), 2),
        (("--level", "loud"), 2),
        (("--where", "x"), 2),
    ],
)
def test_status(args: tuple[str, ...], status: int, command: Command) -> None:
    """Nothing found is 1, wrong use is 2; stdout stays empty."""
    result = command("tail", *args)
    assert (status, "") == (result.exit_code, result.stdout)


@pytest.mark.usefixtures("_lines")
def test_damage(command: Command, root: Path) -> None:
    """Damage is named on stderr and hides nothing."""
    with (root / "a.logs.jsonl").open("ab") as file:
        file.write(b"nonsense\n")
    result = command("tail", "--json", "-n", "2")
    assert (0, [8, 9]) == (result.exit_code, numbers(result))
    assert "a.logs.jsonl: a line: not JSON" in result.stderr


@pytest.mark.usefixtures("_lines")
def test_follow(start: Start, logger: logging.Logger) -> None:
    """With -f a line is in the pipe when it is written; an interrupt ends it quietly."""
    tail = start("tail", "-f", "--json", "-n1", "a", "later")
    out = stream(tail.stdout)
    assert 8 == json.loads(out.readline())["number"]
    for number, sid in ((10, "a"), (11, "b"), (12, "later")):
        with session(sid):
            logger.info("more", extra={"number": number})
    assert [10, 12] == [json.loads(out.readline())["number"] for _ in range(2)]
    tail.send_signal(signal.SIGINT)
    rest, said = tail.communicate(timeout=SECONDS)
    assert (130, b"", 1) == (tail.returncode, rest, said.count(b"\n"))
    assert said.startswith(b"Waiting: no session 'later'")


def test_follow_before_the_root(start: Start, write: Write, root: Path) -> None:
    """A root that is not there yet is waited for, and said."""
    tail = start("tail", "-f", "--json")
    assert f"Waiting for the trace directory {root}\n" == stream(tail.stderr).readline().decode()
    write("a.logs.jsonl", b'{"message":"first"}')
    assert "first" == json.loads(stream(tail.stdout).readline())["message"]


@pytest.mark.usefixtures("_lines")
def test_closed_pipe(start: Start) -> None:
    """Who reads may go, also while nothing comes: the command ends, quietly."""
    tail = start("tail", "-f", "--json")
    stream(tail.stdout).readline()
    stream(tail.stdout).close()
    assert (0, b"") == (tail.wait(timeout=SECONDS), stream(tail.stderr).read())


def test_missing_root(command: Command) -> None:
    """Without -f a root that is not there is an error."""
    assert 2 == command("tail").exit_code

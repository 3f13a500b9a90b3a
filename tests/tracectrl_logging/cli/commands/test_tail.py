"""``tail``: the last lines of sessions, and those that come, as a command."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from typing import IO, TYPE_CHECKING

import pytest
from click.testing import CliRunner

from tracectrl.files.retention.compress import compress
from tracectrl.session import session
from tracectrl_logging.cli.group import group
from tracectrl_logging.reader import Follower

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
        (("--cursor-file", "x"), 2),
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


SPAN = (
    b'{"name":"pay","session_id":"a","start_time":"2026-11-21T10:00:00.000000Z",'
    b'"end_time":"2026-11-21T10:00:01.000000Z","duration_ns":1000000000,"status":"OK"}'
)


@pytest.mark.usefixtures("_lines")
def test_follow_gives_spans(start: Start, write: Write) -> None:
    """With -f, log lines and spans come, each with its type; with --level, log lines alone."""
    write("a.spans.jsonl", SPAN)
    both = start("tail", "-f", "--json", "-n2", "--where", "session_id=a")
    text = start("tail", "-f", "-n1", "--where", "name=pay")
    logs = start("tail", "-f", "--json", "-n2", "--level", "INFO", "a")
    first = stream(both.stdout).readline()
    assert b'{"type":"log","timestamp":' == first[:26]
    said = stream(text.stdout).readline().decode().split()
    assert ["a", "2026-11-21", "10:00:00.000000Z", "SPAN", "pay", "1.00", "s", "OK"] == said
    assert [6, 8] == [json.loads(stream(logs.stdout).readline())["number"] for _ in range(2)]
    write("b.spans.jsonl", SPAN)
    stream(both.stdout).readline()
    assert b'{"type":"span","name":"pay"' == stream(both.stdout).readline()[:27]


@pytest.mark.usefixtures("_lines")
def test_cursor_file(start: Start, logger: logging.Logger, root: Path, tmp_path: Path) -> None:
    """With a file for the cursor, it goes on where it was, whatever has been written meanwhile."""
    path = tmp_path / "cursor"
    args = ("tail", "-f", "--json", "--cursor-file", str(path), "a")
    for expected in ([0, 2, 4, 6, 8], [9, 10], [11, 12]):
        process = start(*args)
        out = stream(process.stdout)
        assert expected == [json.loads(out.readline())["number"] for _ in expected]
        while not path.exists():  # which it is behind the last lines that were there
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert (b"", b"") == process.communicate(timeout=SECONDS)
        assert 130 == process.returncode
        with session("a"):
            for number in (1, 2):
                logger.info("more", extra={"number": expected[-1] + number})
        if expected[0]:
            compress(root)
    path.write_text("1.nonsense")
    process = start(*args)
    said = process.communicate(timeout=SECONDS)[1].decode()
    assert (2, 1) == (process.returncode, said.count("\n"))
    assert f"'1.nonsense'; without '{path}' it begins anew" in said


def test_the_file_of_many_sessions(command: Command, start: Start, write: Write) -> None:
    """Its lines are found by its name, and by those of the sessions that they are of; with -f, too."""
    lines = [b'{"session_id":"%s","number":%d}' % (sid, n) for n, sid in enumerate((b"x", b"y"))]
    path = write("%overflow.logs.jsonl", *lines)
    for sid, expected in (("%overflow", [0, 1]), ("x", [0]), ("y", [1])):
        assert expected == numbers(command("tail", "--json", sid))
        following = start("tail", "-f", "--json", "-n9", sid)
        out = stream(following.stdout)
        assert expected == [json.loads(out.readline())["number"] for _ in expected]
        with path.open("ab") as file:
            file.write(b'{"session_id":"%s","number":2}\n' % (b"y" if sid == "y" else b"x"))
        assert 2 == json.loads(out.readline())["number"]
        write("%overflow.logs.jsonl", *lines)


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


@pytest.mark.parametrize("name", [b"%ZZ", b"%", b"\x1b[31m", b"\xff", b"a b", b"%41"])
def test_files_of_no_session(name: bytes, command: Command, write: Write, root: Path) -> None:
    """What is not named as a session's file is nobody's, as for the other commands."""
    write("s.logs.jsonl", b'{"message":"good"}')
    (root / os.fsdecode(name + b".logs.jsonl")).write_bytes(b'{"message":"foreign"}\n')
    for args in (("tail",), ("tail", "--since", "2020-01-01"), ("grep", "foreign")):
        assert "foreign" not in command(*args).stdout
    with Follower(root=root) as follower:
        list(follower.begin())
        with (root / os.fsdecode(name + b".logs.jsonl")).open("ab") as file:
            file.write(b'{"message":"foreign"}\n')
        (root / os.fsdecode(name + b"x.logs.jsonl")).write_bytes(b'{"message":"foreign"}\n')
        assert [] == [line.raw for _ in range(20) for line in follower.poll()]


@pytest.mark.parametrize("args", [("tail",), ("tail", "-n", "5", "--json"), ("tail", "s")])
def test_a_root_that_can_be_listed_only(args: tuple[str, ...]) -> None:
    """Without the right to look into it, the trace directory's files are not read, and that is said."""
    with tempfile.TemporaryDirectory(prefix="tracectrl-tail-") as directory:
        path = os.path.join(directory, "s.logs.jsonl")
        with open(path, "wb") as file:
            file.write(b'{"message":"x"}\n')
        assert 0 == CliRunner().invoke(group, ["--root", directory, *args]).exit_code
        os.chmod(directory, 0o400)
        if not os.geteuid():
            os.chown(directory, 65534, 65534)
        reader, writer = os.pipe()
        child = os.fork()  # who gives up its rights does not get them back
        if not child:
            try:
                if not os.geteuid():
                    os.setuid(65534)
                result = CliRunner().invoke(group, ["--root", directory, *args])
                os.write(writer, json.dumps([result.exit_code, result.stderr]).encode())
            finally:
                os._exit(0)
        os.close(writer)
        with open(reader, "rb") as pipe:
            status, said = json.loads(pipe.read())
        os.waitpid(child, 0)
        os.chmod(directory, 0o700)
    assert (2, 1) == (status, said.count("\n"))
    assert f"Warning: {path}: Permission denied" in said


def test_what_was_counted_is_said_in_the_end(start: Start, root: Path) -> None:
    """With -f, a file that is damaged again and again has a few warnings, and a last one."""
    root.mkdir()
    path = root / "s.logs.jsonl"
    path.write_bytes(b'{"message":"first"}\n')
    process = start("tail", "-f", "--json")
    assert b'{"type":"log","message":"first"}\n' == stream(process.stdout).readline()
    for number in range(15):
        with path.open("ab") as file:
            file.write(b'bad\n{"message":"%d"}\n' % number)
        assert b'{"type":"log","message":"%d"}\n' % number == stream(process.stdout).readline()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=SECONDS)
    warnings = [line for line in said.decode().splitlines() if "Warning" in line]
    assert (11, f"Warning: and 5 more damaged lines in {path}") == (len(warnings), warnings[-1])


PEAK = """
import os, sys
pid = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-m", "tracectrl_logging.cli", *sys.argv[1:]])
_, status, usage = os.wait4(pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss, file=sys.stderr)
"""


def peak_bytes(root: Path, *args: str) -> tuple[int, int]:
    """Return the exit status of ``tail``, and how much memory it has taken at once."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, "--root", str(root), "tail", *args],
        env={key: value for key, value in os.environ.items() if not key.startswith("COVERAGE_")},
        capture_output=True,
        check=False,
    )
    status, peak_kb = done.stderr.decode().split()[-2:]
    return int(status), int(peak_kb) * 1024


@pytest.mark.one_python
@pytest.mark.skipif(sys.platform != "linux", reason="its unit is another elsewhere")
@pytest.mark.parametrize("args", [("-n", "2"), ("-n", "10"), ("--since", "2020-01-01")])
@pytest.mark.parametrize("way", [(), ("--json",)])
@pytest.mark.parametrize("length", [30_000_000, 50_000_000])
def test_long_lines_take_little_memory(
    length: int, args: tuple[str, ...], way: tuple[str, ...], write: Write, root: Path
) -> None:
    """Of lines as long as can be, or longer, a few are in memory, however many there are."""
    start = b'{"timestamp":"2026-11-21T10:00:00.000000Z","message":"'
    long = start + b"x" * length + b'"}'
    write("a.logs.jsonl", start + b'"}', *[long] * 8)
    write("b.logs.jsonl", long)
    with (root / "b.logs.jsonl").open("ab") as file:
        file.write(long[:-2])
    status, peak = peak_bytes(root, *args, *way)
    assert 0 == status
    assert peak < 250_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize("way", [(), ("--json",)])
@pytest.mark.parametrize("length", [30_000_000, 50_000_000])
def test_following_long_lines_takes_little_memory(
    length: int, way: tuple[str, ...], start: Start, write: Write
) -> None:
    """A line as long as can be, or longer, is in memory no more than a few times."""
    path = write("a.logs.jsonl", b'{"message":"first"}')
    process = start("tail", "-f", *way)
    assert b"first" in stream(process.stdout).readline()
    with path.open("ab") as file:
        file.write(b'{"message":"%s"}\n{"message":"last"}\n' % (b"x" * length))
    while b"last" not in stream(process.stdout).readline():
        pass
    with open(f"/proc/{process.pid}/status", encoding="ascii") as proc:
        (peak,) = (int(line.split()[1]) * 1024 for line in proc if line.startswith("VmHWM"))
    assert peak < 250_000_000  # one copy more where it was looked at in the middle of the write


def test_time_zone(command: Callable[..., Result], root: Path) -> None:
    """Times are of the zone that is asked for, in the lines and in --since."""
    root.mkdir()
    lines = [b'{"timestamp":"2026-07-01T%02d:00:00Z","message":"m"}\n' % hour for hour in (9, 10)]
    (root / "s.logs.jsonl").write_bytes(b"".join(lines))
    printed = command("tail", "--tz", "Europe/Berlin", "--since", "2026-07-01T11:30").stdout
    assert ["2026-07-01 12:00:00.000000+02:00"] == re.findall(r"2026\S+ \S+", printed)

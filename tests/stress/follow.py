# ruff: noqa: T201 - a program, which prints
"""Following while eight processes write, with a reader that is killed: exactly their lines, in order.

    python tests/stress/follow.py [--short]

The processes write numbered log lines and spans into twenty sessions that all of them share, with
rotation; ``compress`` runs beside them as it does by default.
The reader notes each line and its cursor; it is killed twenty times, and goes on after the cursor.

How late a line is shown counts from when its writing was done, for readers that have caught up: the last
tenth of the lines is written to one that has. What is judged is that without the time in which the
reader waited for a processor: other programs may load the machine.

Prints what was done and what was found wrong; the exit status is 1 where anything was.
"""

from __future__ import annotations

import argparse
import bisect
import collections
import itertools
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any

from tracectrl.exporter import FileSpanExporter
from tracectrl_logging import SessionFileHandler
from tracectrl_logging.reader import Follower, Line

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

    from tests.stress import common
else:
    import common  # this file is a program: its directory is where it imports from

PROCESSES = 8
SESSIONS = 20
LATE_S = 0.5
"""Within which 99 of 100 lines are to be shown."""


def main() -> int:
    """Run it all; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="6,400 lines, three kills")
    parser.add_argument("--read", help=argparse.SUPPRESS)  # the program's own child
    options = parser.parse_args()
    if options.read:
        return read(*options.read.split("|"))
    lines, kills = (800, 3) if options.short else (12_500, 20)
    start = time.monotonic()
    wrong, latencies = run(lines, kills)
    took = time.monotonic() - start
    print(f"{PROCESSES * lines} lines by {PROCESSES} processes, {kills} kills, {took:.1f} s")
    for what, times in (
        ("in all", [late_s for late_s, _ in latencies]),
        ("without waiting", [late_s - waited_s for late_s, waited_s in latencies]),
    ):
        times.sort()
        of_1000 = [times[len(times) * part // 1000] for part in (500, 990, 999) if times]
        shown = ", ".join(f"{late_s:.3f} s" for late_s in of_1000)
        print(f"{len(times)} lines shown after (50 %, 99 %, 99.9 %), {what}: {shown}")
    if not of_1000 or of_1000[1] > LATE_S:
        wrong.append(f"99 % are not shown within {LATE_S} s")
    for text in wrong[:40]:
        print(f"WRONG: {text}")
    print(f"{len(wrong)} things are wrong" if wrong else "no line lost, none doubled, all in order")
    return 1 if wrong else 0


def run(lines: int, kills: int) -> tuple[list[str], list[tuple[float, float]]]:
    """Follow one root while it is written; return what is wrong, and how late lines were shown."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="tracectrl-stress-") as home:
        root, output = os.path.join(home, "traces"), os.path.join(home, "output")
        os.mkdir(root, 0o700)
        over, kept = context.Event(), context.Event()
        reader = start_reader(root, output)
        wait_for_cursor(output, 1)
        processes = [
            context.Process(target=write, args=(root, number, lines, kept))
            for number in range(PROCESSES)
        ]
        compressing = context.Process(target=compress_all, args=(root, over))
        for process in [*processes, compressing]:
            process.start()
        rng = random.Random(4)  # noqa: S311 - no secret
        for _ in range(kills):
            time.sleep(rng.uniform(0.1, 3))
            reader.send_signal(signal.SIGKILL)
            reader.wait()
            count = cursors(output)
            reader = start_reader(root, output)
            wait_for_cursor(output, count + 1)
        wait_for(output, PROCESSES * before_the_end(lines))
        kept.set()
        for process in processes:
            process.join()
        wait_for(output, PROCESSES * lines)
        over.set()
        compressing.join()
        time.sleep(1)  # for lines that should not be
        wrong = [f"the reader ended with {reader.poll()}"] * (reader.poll() is not None)
        reader.kill()
        reader.wait()
        wrong += [f"a process ended with {it.exitcode}" for it in processes if it.exitcode]
        found, latencies = verify(output, lines)
        return wrong + found, latencies


def start_reader(root: str, output: str) -> subprocess.Popen[bytes]:
    """Start the process that reads."""
    return subprocess.Popen([sys.executable, __file__, "--read", f"{root}|{output}"])


def before_the_end(lines: int) -> int:
    """Return how many lines are written before the reader, which is not killed any more, is up to date."""
    return lines * 9 // 10


def write(root: str, number: int, lines: int, kept: Event) -> None:
    """Be a process that writes, about 200 lines a second; the last tenth when *kept* is set."""
    rng = random.Random(number)  # noqa: S311 - no secret
    handler = SessionFileHandler(root, max_bytes=20_000, backup_count=5_000, max_open_files=8)
    exporter = FileSpanExporter(root, max_bytes=20_000, backup_count=5_000)
    took_ns = 0
    for count in range(lines):
        if count == before_the_end(lines):
            kept.wait()
        sid = f"work-{rng.randrange(SESSIONS)}"
        own = {"writer": number, "number": count, "last_took_ns": took_ns}
        start_ns = time.time_ns()
        if number and not count % 4:
            exporter.export([common.span(sid, **own)])
        else:
            handler.emit(common.record(sid, "x" * rng.randrange(200), **own))
        took_ns = time.time_ns() - start_ns
        if rng.random() < 0.001:
            handler.close()
            time.sleep(0.05)
        elif not count % 20:
            time.sleep(rng.random() * 0.2)
    handler.close()
    exporter.shutdown()


def compress_all(root: str, over: Event) -> None:
    """Compress again and again, as the command does by default."""
    command = [sys.executable, "-m", "tracectrl_logging.cli", "--root", root, "compress"]
    while not over.wait(2):
        subprocess.run(command, stdout=subprocess.DEVNULL, check=False)


def read(root: str, output: str) -> int:
    """Be the process that reads: note lines and, behind them, the cursor, until somebody kills it."""
    fd = os.open(output, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    size = os.fstat(fd).st_size
    noted = os.pread(fd, size, 0)
    end = noted.rfind(b"\n") + 1
    if not noted[:end]:
        follower = Follower(root=root)
        assert not list(follower.begin(0))
    else:
        at = noted.rindex(b"\n= ", 0, end) + 1 if b"\n= " in noted else 0
        end = noted.index(b"\n", at) + 1
        follower = Follower(root=root, after=noted[at + 2 : end - 1].decode())
    os.ftruncate(fd, end)  # what stands behind the last cursor is given again
    os.write(fd, b"= %s\n" % follower.cursor.encode())
    clock = Clock()
    since = 0
    while True:
        lines = follower.poll()
        pause_s = follower.pause_s(0.1)
        clock.note()
        if lines:
            now = time.time_ns()
            parts = [note(line, now, since, clock) for line in lines]
            os.write(fd, b"%s= %s\n" % (b"".join(parts), follower.cursor.encode()))
        if pause_s and not since:
            since = time.time_ns()
        time.sleep(pause_s)
        clock.note(pause_s)


class Clock:
    """How long this process has waited for a processor, until when."""

    def __init__(self) -> None:
        self._times = [time.time_ns()]
        self._waited = [0]
        self._used = time.process_time_ns()

    def note(self, slept_s: float = 0.0) -> None:
        """Note what has passed since the last call: this process was to sleep for *slept_s* of it."""
        now, used = time.time_ns(), time.process_time_ns()
        waited = now - self._times[-1] - (used - self._used) - int(slept_s * 1e9)
        self._waited.append(self._waited[-1] + max(0, waited))
        self._times.append(now)
        self._used = used

    def waited_ns(self, since: int) -> int:
        """Return how much of the time since the first note after then was waiting."""
        return (
            self._waited[-1]
            - self._waited[min(bisect.bisect(self._times, since), len(self._times) - 1)]
        )


def note(line: Line, now: int, since: int, clock: Clock) -> bytes:
    """Return a line about *line*: whose it is, how late it comes, how long the one before took."""
    from tracectrl._time import ns_of  # noqa: PLC0415 - by the reader alone

    row: dict[str, Any] = line.row if line.kind == "log" else line.row["attributes"]
    time_ns = ns_of(line.row["timestamp" if line.kind == "log" else "end_time"]) or 0
    late_ns = now - time_ns if 0 < since < time_ns else -1
    waited_ns = clock.waited_ns(time_ns)
    noted = [row["writer"], row["number"], row["last_took_ns"], late_ns, waited_ns]
    return json.dumps(noted).encode() + b"\n"


def cursors(output: str) -> int:
    """Return how many cursors are noted, as far as they are complete."""
    with open(output, "rb") as file:
        return sum(line.startswith(b"= ") and line.endswith(b"\n") for line in file)


def wait_for_cursor(output: str, count: int) -> None:
    """Wait until so many cursors are noted: the reader has begun."""
    until = time.monotonic() + 60
    while time.monotonic() < until and not (os.path.exists(output) and cursors(output) >= count):
        time.sleep(0.05)


def wait_for(output: str, count: int) -> None:
    """Wait until so many lines are there, or none has come for a minute."""
    seen, since = -1, time.monotonic()
    while seen < count and time.monotonic() - since < 60:
        with open(output, "rb") as file:
            now = sum(line.startswith(b"[") for line in file)
        if now != seen:
            seen, since = now, time.monotonic()
        time.sleep(0.5)


def verify(output: str, lines: int) -> tuple[list[str], list[tuple[float, float]]]:
    """Return what is wrong with the *output*, and how late lines were shown, in seconds."""
    by_writer: dict[int, list[int]] = collections.defaultdict(list)
    late: dict[tuple[int, int], tuple[int, int]] = {}
    took: dict[tuple[int, int], int] = {}
    with open(output, "rb") as file:
        for line in file:
            if line.startswith(b"["):
                writer, number, last_took_ns, late_ns, waited_ns = json.loads(line)
                by_writer[writer].append(number)
                took[writer, number - 1] = last_took_ns
                if late_ns >= 0:
                    late[writer, number] = late_ns, waited_ns
    latencies = [
        ((late_ns - took.get(key, 0)) / 1e9, waited_ns / 1e9)
        for key, (late_ns, waited_ns) in late.items()
    ]
    wrong: list[str] = []
    for writer in range(PROCESSES):
        found = by_writer[writer]
        if found == list(range(lines)):
            continue
        times = collections.Counter(found)
        missing = [number for number in range(lines) if not times[number]]
        doubled = [number for number, count in times.items() if count > 1]
        swapped = [pair for pair in itertools.pairwise(found) if pair[0] > pair[1]]
        wrong.append(
            f"writer {writer}: {len(missing)} missing {missing[:5]}, {len(doubled)} doubled"
            f" {doubled[:5]}, {len(swapped)} out of order {swapped[:5]}"
        )
    return wrong, latencies


if __name__ == "__main__":
    sys.exit(main())

# ruff: noqa: T201 - a program, which prints
"""``tail -f --json`` while eight processes write: exactly their lines, in order, each once.

    python tests/stress/follow.py [--short]

The processes write numbered lines into twenty sessions that all of them share, with rotation, and
one of them in background mode. It is done three times: as it is; while a loop compresses the files
of the sessions; and with sessions that begin one after the other, which a loop compresses too.

Prints what was done and what was found wrong; the exit status is 1 where anything was.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import itertools
import json
import logging
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any

from tracectrl.files.retention.compress import compress
from tracectrl_logging import SessionFileHandler

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

PROCESSES = 8
SESSIONS = 20
ROUNDS = ("rotation", "rotation and compress", "new sessions and compress")


def main() -> int:
    """Run it all; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="6,400 lines, the last time only")
    short = parser.parse_args().short
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
    lines = 800 if short else 12_500
    wrong = []
    for name in ROUNDS[-1:] if short else ROUNDS:
        start = time.monotonic()
        found = run(name, lines)
        took = time.monotonic() - start
        print(f"{name}: {PROCESSES * lines} lines by {PROCESSES} processes, {took:.1f} s")
        wrong += [f"{name}: {text}" for text in found]
    for text in wrong[:40]:
        print(f"WRONG: {text}")
    print(f"{len(wrong)} things are wrong" if wrong else "no line lost, none doubled, all in order")
    return 1 if wrong else 0


def run(name: str, lines: int) -> list[str]:
    """Follow one root while it is written; return what is wrong."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="tracectrl-stress-") as home:
        root, output = os.path.join(home, "traces"), os.path.join(home, "output")
        os.mkdir(root, 0o700)
        over = context.Event()
        with open(output, "wb") as file:
            command = [sys.executable, "-m", "tracectrl_logging.cli", "tail", "-f", "-n0", "--json"]
            tail = subprocess.Popen([*command, "--root", root], stdout=file)
        fresh = "new" in name
        writers = [
            context.Process(target=write, args=(root, number, lines, fresh))
            for number in range(PROCESSES)
        ]
        loops = [context.Process(target=compress_all, args=(root, over))] * ("compress" in name)
        time.sleep(1)
        for process in writers + loops:
            process.start()
        for process in writers:
            process.join()
        wait_for(output, PROCESSES * lines)
        over.set()
        for process in loops:
            process.join()
        time.sleep(1)  # for lines that should not be
        tail.send_signal(signal.SIGINT)
        wrong = [f"a process ended with {it.exitcode}" for it in writers + loops if it.exitcode]
        try:
            status = tail.wait(timeout=10)
        finally:
            tail.kill()
        wrong += [f"tail ended with {status}"] * (status != 130)
        return wrong + verify(output, lines)


def write(root: str, number: int, lines: int, fresh: bool) -> None:  # noqa: FBT001 - of a process
    """Be a process that writes."""
    rng = random.Random(number)  # noqa: S311 - no secret
    handler = SessionFileHandler(
        root, max_bytes=20_000, backup_count=5_000, background=number == 0, max_open_files=8
    )
    for count in range(lines):
        sid = f"work-{rng.randrange(SESSIONS)}"
        if fresh:
            sid += f"-{count // 400}"
        handler.emit(
            logging.makeLogRecord(
                {
                    "name": "stress",
                    "levelname": "INFO",
                    "msg": "x" * rng.randrange(200),
                    "session_id": sid,
                    "writer": number,
                    "number": count,
                }
            )
        )
        if rng.random() < 0.001:
            handler.close()
            time.sleep(0.05)
    handler.close()


def compress_all(root: str, over: Event) -> None:
    """Compress in a loop."""
    while not over.is_set():
        compress(root)
        time.sleep(0.01)


def wait_for(output: str, count: int) -> None:
    """Wait until so many lines are there, or none has come for ten seconds."""
    seen, since = -1, time.monotonic()
    while seen < count and time.monotonic() - since < 10:
        with open(output, "rb") as file:
            now = sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
        if now != seen:
            seen, since = now, time.monotonic()
        time.sleep(0.1)


def verify(output: str, lines: int) -> list[str]:
    """Return what is wrong with the *output*."""
    by_writer: dict[int, list[int]] = collections.defaultdict(list)
    wrong: list[str] = []
    with open(output, encoding="utf-8") as file:
        for line in file:
            row: dict[str, Any] = {}
            with contextlib.suppress(ValueError):
                row = json.loads(line)
            if "number" in row:
                by_writer[row["writer"]].append(row["number"])
            else:
                wrong.append(f"not a line of ours: {line!r}")
    for writer in range(PROCESSES):
        found = by_writer[writer]
        if found == list(range(lines)):
            continue
        count = collections.Counter(found)
        missing = [number for number in range(lines) if not count[number]]
        doubled = [number for number, times in count.items() if times > 1]
        swapped = [pair for pair in itertools.pairwise(found) if pair[0] > pair[1]]
        wrong.append(
            f"writer {writer}: {len(missing)} missing {missing[:5]}, {len(doubled)} doubled"
            f" {doubled[:5]}, {len(swapped)} out of order {swapped[:5]}"
        )
    return wrong


if __name__ == "__main__":
    sys.exit(main())

# ruff: noqa: T201 - a program, which prints
"""Prune and compress in loops while 50 writers write: no line lost, none doubled.

    python tests/stress/prune_and_compress.py [--short]

The writers, threads of ten processes, write numbered lines into sessions that go idle, are closed
and wake up again: synchronous, in background mode, with few descriptors, with rotation. Meanwhile

- one process compresses to gzip in a loop, one to Zstandard, and is killed again and again;
- one prunes: everything older than a day goes, which is made all the time, open files included;
- one makes files look as if nobody had written them for two hours, open ones included;
- one reads finished sessions, which must be complete each time it looks.

Prints what was done and what was found wrong; the exit status is 1 where anything was.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import functools
import json
import logging
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Any

from tracectrl.files import log_path
from tracectrl.files.names import parse_name
from tracectrl.files.retention.compress import compress
from tracectrl.files.retention.prune import prune
from tracectrl_logging import SessionFileHandler
from tracectrl_logging.reader import Damage, UnknownSessionError, read, sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.synchronize import Event
    from pathlib import Path

    from tracectrl.files.retention.compress import Compressed
    from tracectrl.files.retention.prune import Pruned

PROCESSES = 10
THREADS = 5
SESSIONS = 40
SLEEPERS = 20
FINISHED_LINES = 50
HOUR_S = 3600
DAY_S = 86400

KINDS: tuple[dict[str, Any], ...] = (
    {},
    {"background": True},
    {"max_open_files": 2},
    {"max_bytes": 20_000, "backup_count": 900},
    {"background": True, "max_bytes": 20_000, "backup_count": 900},
)


def main() -> int:
    """Run it all; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="ten seconds instead of sixty")
    seconds = 10 if parser.parse_args().short else 60
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="tracectrl-stress-") as home:
        root = os.path.join(home, "traces")
        os.mkdir(root, 0o700)
        ended, over = context.Event(), context.Event()
        start = time.monotonic()
        writers = [
            context.Process(target=write, args=(root, home, number, seconds))
            for number in range(PROCESSES)
        ]
        others = [
            context.Process(target=role, args=(root, home, ended, over))
            for role in (finish, sleep_and_wake, make_old)
        ]
        loops = [
            context.Process(target=role, args=(root, home, ended, over))
            for role in (compress_gz, compress_zst, prune_old, look)
        ]
        for process in writers + others + loops:
            process.start()
        join(writers, seconds + 120)
        ended.set()
        join(others, 60)
        over.set()
        join(loops, 60)
        took = time.monotonic() - start
        wrong = [
            f"{process.name} ended with {process.exitcode}"
            for process in writers + others + loops
            if process.exitcode != 0
        ]
        wrong += verify(root, home)
        return conclude(home, wrong, took)


def join(processes: list[Any], seconds: float) -> None:
    """Wait for *processes*, and end those that take too long."""
    until = time.monotonic() + seconds
    for process in processes:
        process.join(max(0.1, until - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()


def write(root: str, home: str, number: int, seconds: float) -> None:
    """Be a process with five writers; at its end, say how many lines each has written."""
    options = KINDS[number % len(KINDS)]
    handlers = [SessionFileHandler(root, **options) for _ in range(1 + number % 2)]
    until = time.monotonic() + seconds
    written: dict[str, int] = {}

    def be_writer(thread: int) -> None:
        writer, count = f"{number}.{thread}", 0
        rng = random.Random(number * 100 + thread)  # noqa: S311 - no secret
        handler = handlers[thread % len(handlers)]
        while time.monotonic() < until:
            sid = f"work-{rng.randrange(SESSIONS)}"
            for _ in range(rng.randrange(1, 40)):
                handler.emit(record(sid, writer=writer, number=count))
                count += 1
            time.sleep(rng.choice((0, 0.001, 0.02, 0.1, 0.6, 1.2)))
            if rng.random() < 0.05:
                handler.close()
        written[writer] = count

    run_threads([functools.partial(be_writer, thread) for thread in range(THREADS)])
    for handler in handlers:
        handler.close()
    say(home, f"written-{number}", {"written": written, "lost": sum(h.lost for h in handlers)})


def finish(root: str, home: str, ended: Event, over: Event) -> None:
    """Write sessions of fifty lines, one after the other, and say when each is complete."""
    del over
    handler = SessionFileHandler(root, max_bytes=2_000, backup_count=50)
    number = 0
    with open(os.path.join(home, "finished"), "a", buffering=1, encoding="utf-8") as file:
        while not ended.is_set():
            sid = f"finished-{number}"
            for line in range(FINISHED_LINES):
                handler.emit(record(sid, writer=sid, number=line))
            if number % 3 == 0:
                handler.close()  # else it is closed when it is the oldest, or never
            file.write(f"{sid}\n")
            number += 1
            time.sleep(0.1)
    handler.close()


def sleep_and_wake(root: str, home: str, ended: Event, over: Event) -> None:
    """Keep files open that are said to be two days old; after their removal, write again."""
    handler = SessionFileHandler(root)
    rounds = missing = 0
    while not ended.is_set():
        ids = [f"sleeper-{rounds}-{number}" for number in range(SLEEPERS)]
        for sid in ids:
            handler.emit(record(sid, writer=sid, number=0))
            age(log_path(sid, root), 2 * DAY_S)
        deadline = time.monotonic() + 20
        while any(name.startswith(f"sleeper-{rounds}-") for name in os.listdir(root)):
            time.sleep(0.05)
            if time.monotonic() > deadline or over.is_set():
                missing += 1
                break
        for sid in ids:
            handler.emit(record(sid, writer=sid, number=1))
        rounds += 1
    handler.close()
    say(home, "slept", {"rounds": rounds, "never_removed": missing})


def make_old(root: str, home: str, ended: Event, over: Event) -> None:
    """Make sessions of two days ago, and other files look as if forgotten for two hours."""
    del home, over
    rng = random.Random(1)  # noqa: S311 - no secret
    number = 0
    while not ended.is_set():
        handler = SessionFileHandler(root, max_bytes=500, backup_count=5)
        for line in range(20):
            handler.emit(record(f"old-{number}", writer="old", number=line))
        handler.close()
        for name in os.listdir(root):
            parsed = parse_name(name)
            is_idle = parsed and parsed.stem.startswith("work-") and not parsed.packed
            if is_idle and rng.random() < 0.1:
                age(os.path.join(root, name), 2 * HOUR_S)
        make_older(root)
        number += 1
        time.sleep(0.2)
    make_older(root)


def make_older(root: str) -> None:
    """Make all files of sessions of two days ago so old.

    Those of earlier rounds, too: what is compressed meanwhile has another name when it comes to it.
    """
    for name in os.listdir(root):
        if name.startswith("old-"):
            age(os.path.join(root, name), 2 * DAY_S)


def compress_gz(root: str, home: str, ended: Event, over: Event) -> None:
    """Compress to gzip in a loop."""
    del ended
    done: collections.Counter[str] = collections.Counter()
    errors: list[str] = []

    def see(it: Compressed) -> None:
        if it.error:
            errors.append(f"{it.session_id}: {it.error}")

    while not over.is_set():
        totals = compress(root, report=see)
        done["runs"] += 1
        done["files"] += totals.files
        done["in_use"] += totals.in_use
        time.sleep(0.01)
    say(home, "compressed-gz", {**done, "errors": errors[:5]})


def compress_zst(root: str, home: str, ended: Event, over: Event) -> None:
    """Compress to Zstandard in a loop, in a child that is killed in the middle of it."""
    del ended
    rng = random.Random(3)  # noqa: S311 - no secret
    kills = 0
    while not over.is_set():
        child = os.fork()
        if not child:
            while True:
                compress(root, packed="zst")
        time.sleep(rng.random() * 0.5)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        kills += 1
    files = compress(root, packed="zst").files
    say(home, "compressed-zst", {"kills": kills, "files_at_the_end": files})


def prune_old(root: str, home: str, ended: Event, over: Event) -> None:
    """Remove what is older than a day, in a loop; the other limits hit nothing."""
    del ended
    done: collections.Counter[str] = collections.Counter()
    errors: list[str] = []
    taken: set[str] = set()

    def see(it: Pruned) -> None:
        if it.error:
            errors.append(f"{it.session_id}: {it.error}")
        if it.action == "remove":
            taken.add(str(it.session_id).partition("-")[0])

    while not over.is_set():
        totals = prune(root, older_than_s=DAY_S, max_total_bytes=10**12, keep=10**6, report=see)
        done["runs"] += 1
        done["removed"] += totals.removed
        time.sleep(0.05)
    prune(root, older_than_s=DAY_S, report=see)
    say(home, "pruned", {**done, "errors": errors[:5], "kinds": sorted(taken)})


def look(root: str, home: str, ended: Event, over: Event) -> None:
    """Read finished sessions again and again; each must be complete, and nothing damaged."""
    del ended
    rng = random.Random(2)  # noqa: S311 - no secret
    wrong: list[str] = []
    looks = listings = 0

    def seen(damage: Damage) -> None:
        # A line that is being written is half a line to who reads it: there it is no fault.
        if "finished-" in damage.path:
            wrong.append(str(damage))

    while not over.is_set():
        finished = finished_ids(home)
        recent = finished[-10:]
        for sid in recent + rng.sample(finished, min(20, len(finished))):
            found = numbers(root, sid, wrong)
            looks += 1
            if found != list(range(FINISHED_LINES)):
                wrong.append(f"{sid}: {len(found)} lines: {found}")
        listings += 1
        counts = {it.session_id: it.logs for it in sessions(root, on_damage=seen)}
        wrong += [
            f"{sid}: listed with {counts.get(sid)} lines"
            for sid in finished
            if counts.get(sid) != FINISHED_LINES
        ]
    say(home, "looked", {"looks": looks, "listings": listings, "wrong": wrong[:20]})


def verify(root: str, home: str) -> list[str]:
    """Return what is wrong with the files in the end."""
    wrong = verify_work(root, home)
    for sid in finished_ids(home):
        if numbers(root, sid, wrong) != list(range(FINISHED_LINES)):
            wrong.append(f"{sid} is not complete in the end")
    for turn in range(heard(home, "slept").get("rounds", 0)):
        for number in range(SLEEPERS):
            present = numbers(root, f"sleeper-{turn}-{number}", wrong)
            if present != [1]:
                wrong.append(f"sleeper-{turn}-{number} holds {present}")
    names = os.listdir(root)
    wrong += [f"left over: {name}" for name in names if parse_name(name) is None]
    wrong += [f"not removed: {name}" for name in names if name.startswith("old-")]
    backups = [parsed.backup for name in names if (parsed := parse_name(name))]
    wrong += ["more backups than the test is made for"] * (max(backups, default=0) > 800)
    return wrong


def verify_work(root: str, home: str) -> list[str]:
    """Return what is wrong with the lines of the writers."""
    wrong: list[str] = []
    found: collections.Counter[tuple[str, int]] = collections.Counter()
    for number in range(SESSIONS):
        for line in lines(root, f"work-{number}", wrong):
            found[line["writer"], line["number"]] += 1
    expected = 0
    for number in range(PROCESSES):
        said = heard(home, f"written-{number}")
        wrong += [f"process {number} counts {said['lost']} lost"] * bool(said.get("lost"))
        for writer, count in said.get("written", {}).items():
            expected += count
            lost = [at for at in range(count) if not found[writer, at]]
            if lost:
                wrong.append(f"writer {writer}: {len(lost)} of {count} lost: {lost[:5]}")
    doubled = [key for key, count in found.items() if count > 1]
    wrong += [f"{len(doubled)} doubled: {doubled[:5]}"] * bool(doubled)
    wrong += [f"{sum(found.values())} lines, not {expected}"] * (sum(found.values()) != expected)
    return wrong


def conclude(home: str, wrong: list[str], took: float) -> int:
    """Print the figures and what is *wrong*; return the exit status."""
    written = [heard(home, f"written-{number}") for number in range(PROCESSES)]
    count = sum(sum(said.get("written", {}).values()) for said in written)
    print(f"{PROCESSES * THREADS} writers wrote {count} lines; {took:.0f} s in all")
    for name in ("compressed-gz", "compressed-zst", "pruned", "looked", "slept"):
        said = heard(home, name)
        print(f"{name}: {json.dumps({key: said[key] for key in said if key != 'wrong'})}")
        wrong += [f"{name}: {text}" for text in said.get("errors", []) + said.get("wrong", [])]
        wrong += [f"{name}: said nothing"] * (not said)
    wrong += ["sleepers were not removed"] * bool(heard(home, "slept").get("never_removed"))
    kinds = set(heard(home, "pruned").get("kinds", ()))
    wrong += [f"prune took {kinds}"] * (kinds != {"old", "sleeper"})
    for text in wrong[:40]:
        print(f"WRONG: {text}")
    print("no line lost, none doubled" if not wrong else f"{len(wrong)} things are wrong")
    return 1 if wrong else 0


def record(sid: str, **fields: Any) -> logging.LogRecord:
    """Return a record of the session *sid*."""
    return logging.makeLogRecord(
        {"name": "stress", "levelname": "INFO", "msg": "x" * 60, "session_id": sid, **fields}
    )


def lines(root: str, sid: str, wrong: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the lines of a session; damage is *wrong*."""
    with contextlib.suppress(UnknownSessionError):
        for line in read(sid, root, on_damage=lambda it: wrong.append(str(it))):
            yield line.row


def numbers(root: str, sid: str, wrong: list[str]) -> list[int]:
    """Return the numbers of the lines of a session."""
    return sorted(line["number"] for line in lines(root, sid, wrong))


def finished_ids(home: str) -> list[str]:
    """Return the sessions that are complete."""
    with (
        contextlib.suppress(FileNotFoundError),
        open(os.path.join(home, "finished"), encoding="utf-8") as file,
    ):
        return [line.strip() for line in file if line.endswith("\n")]
    return []


def age(path: str | Path, seconds: float) -> None:
    """Make the file at *path* so old, where it is there."""
    with contextlib.suppress(FileNotFoundError):
        os.utime(path, (time.time() - seconds,) * 2)


def say(home: str, name: str, what: dict[str, Any]) -> None:
    """Leave *what* for :func:`heard`."""
    with open(os.path.join(home, f"{name}.json"), "w", encoding="utf-8") as file:
        json.dump(what, file)


def heard(home: str, name: str) -> dict[str, Any]:
    """Return what a process has left, nothing where it has not come so far."""
    with (
        contextlib.suppress(FileNotFoundError, ValueError),
        open(os.path.join(home, f"{name}.json"), encoding="utf-8") as file,
    ):
        said: dict[str, Any] = json.load(file)
        return said
    return {}


def run_threads(tasks: list[Callable[[], None]]) -> None:
    """Run *tasks*, each on a thread of its own, to their ends."""
    threads = [threading.Thread(target=task) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    sys.exit(main())

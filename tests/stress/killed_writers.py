"""300 times SIGKILL at random moments of a writer that says which records it has logged.

    python tests/stress/killed_writers.py [--short]

Each writer goes on where the one before was killed, in the same sessions: with one thread or four,
short lines and lines of 400 KB, with rotation, in background mode (what is flushed is said), through
structlog, with spans. A record is said over a pipe when the call has returned.

After each kill every file is looked at: whole lines, and at most one half, the last; what follows a
half of before is a whole line. At the end each line that was said is there exactly once, by the
reader.

Beside the last writers another process logs into the same sessions, and is never killed: what it
has logged is there, too, whatever halves the others leave in the middle of its file.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import itertools
import os
import random
import signal
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any

import orjson

from tracectrl.exporter import FileSpanExporter
from tracectrl_logging import SessionFileHandler, SessionFileLoggerFactory

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.stress import common
else:
    import common  # this file is a program: its directory is where it imports from

KILLS, KILLS_SHORT = 300, 30
SESSIONS = 3
LATEST_S = 0.06
ROTATION: dict[str, Any] = {"max_bytes": 3_000_000, "backup_count": 10_000}

KINDS: tuple[dict[str, Any], ...] = (
    {"threads": 1, "skew": 0.2},
    {"threads": 4, "skew": 0.5},
    {"threads": 4, "skew": 9.0},
    {"threads": 4, "skew": 2.0, "options": ROTATION},
    {"threads": 2, "skew": 2.0, "options": {"background": True, **ROTATION}, "flushes": True},
    {"threads": 2, "skew": 1.0, "face": "structlog"},
    {"threads": 2, "skew": 1.0, "face": "spans"},
)


def main() -> int:
    """Run it all; return the exit status."""
    verdict = common.Verdict(str(__doc__))
    kills = KILLS_SHORT if verdict.is_short else KILLS
    with common.home() as home:
        one_after_the_other(os.path.join(home, "alone"), kills // 3 * 2, verdict)
        beside_another(os.path.join(home, "beside"), kills - kills // 3 * 2, verdict)
    return verdict.status()


def one_after_the_other(root: str, kills: int, verdict: common.Verdict) -> None:
    """Kill writers which are alone; look at the files after each."""
    rng = random.Random(1)  # noqa: S311 - no secret
    files = Files(root)
    said: list[tuple[int, int]] = []
    for number in range(kills):
        heard = kill_one(root, number, rng)
        said += heard
        if not heard:
            verdict.wrong.append(f"writer {number} said nothing")
        verdict.wrong += [f"after kill {number}: {text}" for text in files.look()]
    verdict.done(f"{kills} writers were killed, {len(said)} records said")
    verdict.done(f"{files.halves} half lines, each the last of its file")
    damaged = check(root, said, verdict)
    verdict.expect(files.halves, damaged, "the halves that the reader tells of")


def beside_another(root: str, kills: int, verdict: common.Verdict) -> None:
    """Kill writers while another process logs into the same sessions."""
    rng = random.Random(2)  # noqa: S311 - no secret
    until = os.pipe()
    survivor, pipe = start(root, kills, {"threads": 2, "skew": 6.0}, until)
    said = []
    for number in range(kills):
        said += kill_one(root, number, rng)
        said += drained(pipe, to_its_end=False)
    os.close(until[1])
    survived = drained(pipe)
    _, status = os.waitpid(survivor, 0)
    os.close(until[0])
    verdict.expect(0, os.waitstatus_to_exitcode(status), "the exit status of the one not killed")
    said += survived
    count = sum(writer == kills for writer, _ in said)
    verdict.done(f"{kills} more were killed beside one that logged {count} records")
    damaged = check(root, said, verdict)
    verdict.done(f"{damaged} lines are damaged by those killed")
    most = kills * max(kind["threads"] for kind in KINDS)
    if damaged > most:
        verdict.wrong.append(f"{damaged} lines are damaged, more than writes were cut off")


def kill_one(root: str, number: int, rng: random.Random) -> list[tuple[int, int]]:
    """Start a writer, kill it at a random moment, return what it has said."""
    pid, pipe = start(root, number, KINDS[number % len(KINDS)])
    first = os.read(pipe, 8)  # a writer that is killed before its first line shows nothing
    time.sleep(rng.random() * LATEST_S)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return unpacked(first) + drained(pipe)


def start(
    root: str, number: int, kind: dict[str, Any], until: tuple[int, int] | None = None
) -> tuple[int, int]:
    """Start the writer *number*, which ends when the parent closes its end of the pipe *until*.

    Returns:
        Its process ID, and the descriptor to read what it says from.
    """
    ours, its = os.pipe()
    pid = os.fork()
    if pid:
        os.close(its)
        return pid, ours
    status = 1
    try:
        os.close(ours)
        if until is not None:
            os.close(until[1])
            os.set_blocking(until[0], False)
        write(root, number, its, until=until, **kind)
        status = 0
    except BaseException:  # noqa: BLE001 - nothing may leave the child but its status
        traceback.print_exc()
    finally:
        os._exit(status)


def write(
    root: str,
    writer: int,
    pipe: int,
    *,
    threads: int,
    skew: float,
    until: tuple[int, int] | None = None,
    options: dict[str, Any] | None = None,
    face: str = "handler",
    flushes: bool = False,
) -> None:
    """Be a writer: log, then say so, until killed or told to end."""
    emit, flush = FACES[face](root, options or {})
    numbers = itertools.count()

    def be_thread(thread: int) -> None:
        rng = random.Random(writer * 10 + thread)  # noqa: S311 - no secret
        while until is None or not is_closed(until[0]):
            batch = [next(numbers) for _ in range(rng.randrange(1, 5) if flushes else 1)]
            for number in batch:
                sid = f"session-{rng.randrange(SESSIONS)}"
                emit(sid, writer, number, common.size_of(rng, skew))
            if flushes:
                flush()
            for number in batch:
                os.write(pipe, writer.to_bytes(4, "big") + number.to_bytes(4, "big"))

    raised = common.run_threads(functools.partial(be_thread, thread) for thread in range(threads))
    if raised:
        raise RuntimeError(raised)


def handler_face(
    root: str, options: dict[str, Any]
) -> tuple[Callable[..., None], Callable[[], None]]:
    """Return what logs a record, and what flushes."""
    handler = SessionFileHandler(root, **options)

    def emit(sid: str, writer: int, number: int, size: int) -> None:
        text = common.text_of(writer, number, size)
        handler.handle(common.record(sid, text, writer=writer, number=number, size=size))

    return emit, handler.flush


def structlog_face(
    root: str, options: dict[str, Any]
) -> tuple[Callable[..., None], Callable[[], None]]:
    """Return what logs an event through structlog's logger, and what flushes."""
    factory = SessionFileLoggerFactory(root, **options)
    logger = factory("stress")

    def emit(sid: str, writer: int, number: int, size: int) -> None:
        text = common.text_of(writer, number, size)
        row = {"session_id": sid, "message": text, "writer": writer, "number": number, "size": size}
        logger.info(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))

    return emit, factory.flush


def span_face(root: str, options: dict[str, Any]) -> tuple[Callable[..., None], Callable[[], None]]:
    """Return what exports a span, and what flushes."""
    exporter = FileSpanExporter(root, **options)

    def emit(sid: str, writer: int, number: int, size: int) -> None:
        text = common.text_of(writer, number, size)
        exporter.export([common.span(sid, message=text, writer=writer, number=number, size=size)])

    return emit, lambda: None


FACES = {"handler": handler_face, "structlog": structlog_face, "spans": span_face}


def is_closed(pipe: int) -> bool:
    """Tell whether nobody holds the other end of *pipe*."""
    try:
        return os.read(pipe, 1) == b""
    except BlockingIOError:
        return False


def drained(pipe: int, *, to_its_end: bool = True) -> list[tuple[int, int]]:
    """Return what was said through *pipe*: until its end, which closes it, or until now."""
    os.set_blocking(pipe, to_its_end)
    data = b""
    with contextlib.suppress(BlockingIOError):
        while more := os.read(pipe, 65_536):
            data += more
    if to_its_end:
        os.close(pipe)
    return unpacked(data)


def unpacked(data: bytes) -> list[tuple[int, int]]:
    """Return the writers and numbers of *data*."""
    whole = len(data) - len(data) % 8
    return [
        (int.from_bytes(data[at : at + 4], "big"), int.from_bytes(data[at + 4 : at + 8], "big"))
        for at in range(0, whole, 8)
    ]


class Files:
    """The files under *root*, as far as they were looked at."""

    def __init__(self, root: str) -> None:
        self.halves = 0
        self._root = root
        self._seen: dict[int, tuple[int, bool]] = {}

    def look(self) -> list[str]:
        """Look at what is new; return what is wrong with it."""
        wrong: list[str] = []
        for name in os.listdir(self._root):
            with open(os.path.join(self._root, name), "rb") as file:
                inode = os.fstat(file.fileno()).st_ino
                offset, is_torn = self._seen.get(inode, (0, False))
                file.seek(offset)
                data = file.read()
            if not data:
                continue
            first, *others = data.split(b"\n")
            if is_torn and first:
                wrong.append(f"{name}: a line goes on a half one: {first[:60]!r}")
            lines = [*others] if is_torn else [first, *others]
            half = lines.pop()
            wrong += [
                f"{name}: not a line: {line[:60]!r} of {len(line)} B"
                for line in lines
                if common.strict(line + b"\n") is None
            ]
            self.halves += bool(half) and common.strict(half + b"\n") is None
            self._seen[inode] = (offset + len(data), bool(half))
        return wrong


def check(root: str, said: list[tuple[int, int]], verdict: common.Verdict) -> int:
    """Note what was *said* and is not there once; return how many lines are damaged."""
    found: collections.Counter[tuple[int, int]] = collections.Counter()
    damaged: list[str] = []
    for number in range(SESSIONS):
        for row in common.rows(root, f"session-{number}", damaged):
            fields = row.get("attributes", row)
            found[fields["writer"], fields["number"]] += 1
            text = common.text_of(fields["writer"], fields["number"], fields["size"])
            if fields["message"] != text:
                verdict.wrong.append(f"another text than was written: {row['session_id']}")
    missing = sorted(set(said) - set(found))
    doubled = sorted(key for key, times in found.items() if times > 1)
    verdict.expect([], missing[:5], f"said and missing, {len(missing)} of {len(said)}")
    verdict.expect([], doubled[:5], f"doubled, {len(doubled)}")
    verdict.done(f"{found.total()} lines are there, by the reader")
    return len(damaged)


if __name__ == "__main__":
    sys.exit(main())

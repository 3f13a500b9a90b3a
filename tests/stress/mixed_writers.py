"""8 processes write 3 sessions, some rotate and some do not, and are killed: no line is lost unsaid.

    python tests/stress/mixed_writers.py [--short]

Handlers, three of them in one process, background mode, structlog and spans; with rotation and
without, with 1 to 3 backups. So backups are removed all the time while writers that have not
noticed may still have them open. A writer says which record it has logged when the call has
returned; another takes its place when it is killed.

Whoever removes a backup says what was in it at that moment. At the end each line that was said is in
a file, or in a backup of which that is said; none is in two files. Of the sessions that somebody
goes on with, no more backups are left than there may be.
"""

from __future__ import annotations

import collections
import contextlib
import fcntl
import functools
import itertools
import os
import random
import signal
import struct
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any

import structlog

from tracectrl.exporter import FileSpanExporter
from tracectrl_logging import (
    SessionFileHandler,
    SessionFileLoggerFactory,
    SessionJSONRenderer,
    add_session_context,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    from tests.stress import common

    Emit: TypeAlias = Callable[[str, int, int, str], None]
    Face: TypeAlias = tuple[Emit, Callable[[], None]]
else:
    import common  # this file is a program: its directory is where it imports from

PROCESSES, SESSIONS = 8, 3
LINES, LINES_SHORT = 1_000_000, 12_000
KILL_EVERY_S, KILL_EVERY_SHORT_S = 0.5, 0.25
STALLED_S = 120.0
SKEW = 14.0
MAX_BYTES = 30_000
BACKUPS = (1, 2, 3)
SAID = struct.Struct(">II")


def main() -> int:
    """Run it all; return the exit status."""
    verdict = common.Verdict(str(__doc__))
    with common.home() as home:
        run(home, verdict)
        files = {
            kind: numbers_in(common.plain_lines(os.path.join(home, "traces"), f".{kind}.jsonl"))
            for kind in ("logs", "spans")
        }
        found, removed = sum(files.values(), collections.Counter()), said_in(home, "removed-")
        said = said_in(home, "logged-")
        verdict.done(f"{len(said)} lines were said, {found.total()} are in files")
        verdict.done(f"{removed.total()} lines were removed with their backups")
        missing = sorted(set(said) - set(found) - set(removed))
        doubled = [key for key, times in found.items() if times > 1]
        verdict.expect([], missing[:5], f"said and missing, {len(missing)} of {len(said)}")
        verdict.expect([], doubled[:5], f"doubled, {len(doubled)}")
        if len(removed) < len(said) // 4:  # how much it is depends on who holds the backups
            verdict.wrong.append("hardly anything was removed")
        go_on(os.path.join(home, "traces"), verdict)
    return verdict.status()


def run(home: str, verdict: common.Verdict) -> None:
    """Have writers write until there are lines enough, and kill one now and then."""
    rng = random.Random(1)  # noqa: S311 - no secret
    numbers = itertools.count()
    lines = LINES_SHORT if verdict.is_short else LINES
    every_s = KILL_EVERY_SHORT_S if verdict.is_short else KILL_EVERY_S
    with open(os.path.join(home, "removing"), "wb") as lock:
        writers = [start(home, next(numbers), kind) for kind in range(PROCESSES)]
        before, stalled_at = 0, time.monotonic() + STALLED_S
        while (count := count_said(home)) < lines and time.monotonic() < stalled_at:
            if count > before:
                before, stalled_at = count, time.monotonic() + STALLED_S
            time.sleep(rng.random() * 2 * every_s)
            kind = rng.randrange(PROCESSES)
            kill(writers[kind], lock.fileno(), verdict)
            writers[kind] = start(home, next(numbers), kind)
        if count < lines:
            verdict.wrong.append("the writers have come to a halt")
        for pid in writers:
            kill(pid, lock.fileno(), verdict)
    verdict.done(f"{next(numbers)} writers were killed")


def kill(pid: int, lock: int, verdict: common.Verdict) -> None:
    """Kill the writer *pid*, but not between removing a backup and saying so."""
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    fcntl.flock(lock, fcntl.LOCK_UN)
    verdict.expect(-signal.SIGKILL, os.waitstatus_to_exitcode(status), "how a writer has ended")


def start(home: str, number: int, kind: int) -> int:
    """Start the writer *number*; return its process ID."""
    pid = os.fork()
    if pid:
        return pid
    try:
        write(home, number, kind)
    except BaseException:  # noqa: BLE001 - nothing may leave the child but its status
        traceback.print_exc()
    finally:
        os._exit(1)


def write(home: str, writer: int, kind: int) -> None:
    """Be a writer: log, then say so, until killed."""
    say_what_is_removed(home, writer)
    faces = list(make_faces(os.path.join(home, "traces"), kind, BACKUPS[writer % len(BACKUPS)]))
    rng = random.Random(writer)  # noqa: S311 - no secret
    logged = os.open(os.path.join(home, f"logged-{writer}"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in itertools.count(0, 4):
        emit, flush = faces[number // 4 % len(faces)]
        batch = range(number, number + 4)
        for each in batch:
            text = common.text_of(writer, each, common.size_of(rng, SKEW))
            emit(f"session-{rng.randrange(SESSIONS)}", writer, each, text)
        flush()
        os.write(logged, b"".join(SAID.pack(writer, each) for each in batch))


def make_faces(root: str, kind: int, backup_count: int) -> Iterator[Face]:
    """Yield what a writer of this *kind* logs through, by turns."""
    rotation: dict[str, Any] = {"max_bytes": MAX_BYTES, "backup_count": backup_count}
    if kind == 0:
        yield handler_face(root, **rotation)
    elif kind == 1:
        yield handler_face(root)
    elif kind == 2:
        yield handler_face(root)
        yield handler_face(root, **rotation)
        yield handler_face(root, max_bytes=MAX_BYTES * 2, backup_count=3)
    elif kind == 3:
        yield handler_face(root, background=True, **rotation)
    elif kind == 4:
        yield structlog_face(root, **rotation)
        yield span_face(root)
    elif kind == 5:
        yield structlog_face(root)
        yield span_face(root, **rotation)
    elif kind == 6:
        yield handler_face(root, max_open_files=1)
        yield span_face(root, max_open_files=2)
    else:
        yield handler_face(root, max_open_files=1, **rotation)


def handler_face(root: str, **options: Any) -> Face:
    """Return what logs a record, and what flushes."""
    handler = SessionFileHandler(root, **options)

    def emit(sid: str, writer: int, number: int, text: str) -> None:
        handler.handle(common.record(sid, text, writer=writer, number=number))

    return emit, functools.partial(flush_all, handler.flush, lambda: handler.lost)


def structlog_face(root: str, **options: Any) -> Face:
    """Return what logs an event through structlog's logger, and what flushes."""
    factory = SessionFileLoggerFactory(root, **options)
    logger = structlog.wrap_logger(
        factory("stress"), processors=[add_session_context, SessionJSONRenderer()]
    )

    def emit(sid: str, writer: int, number: int, text: str) -> None:
        logger.info(text, session_id=sid, writer=writer, number=number)

    return emit, functools.partial(flush_all, factory.flush, lambda: factory.lost)


def span_face(root: str, **options: Any) -> Face:
    """Return what exports a span, and what flushes."""
    exporter = FileSpanExporter(root, **options)

    def emit(sid: str, writer: int, number: int, text: str) -> None:
        exporter.export([common.span(sid, message=text, writer=writer, number=number)])

    return emit, functools.partial(flush_all, exporter.force_flush, lambda: exporter.lost)


def flush_all(flush: Callable[[], object], lost: Callable[[], int]) -> None:
    """Flush; a writer that has lost a line ends."""
    flush()
    if lost():
        raise RuntimeError(lost())


def say_what_is_removed(home: str, writer: int) -> None:
    """From now on say of each backup that is removed here what was in it."""
    lock = os.open(os.path.join(home, "removing"), os.O_RDWR)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    removed = os.open(os.path.join(home, f"removed-{writer}"), flags)
    remove, replace = os.remove, os.replace

    def replace_and_say(successor: str, path: str) -> None:
        if os.path.lexists(path):
            say(path, lambda: replace(successor, path))
        else:
            replace(successor, path)

    def say(path: str, act: Callable[[], object]) -> None:
        fcntl.flock(lock, fcntl.LOCK_SH)
        try:
            with open(path, "rb") as file:
                act()
                size = os.fstat(file.fileno()).st_size
                lines = file.read(size).splitlines(keepends=True)
            found = numbers_in((path, line) for line in lines)
            os.write(removed, b"".join(SAID.pack(*key) for key in found))
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)

    os.remove = lambda path: say(path, lambda: remove(path))  # type: ignore[assignment, misc]
    os.replace = replace_and_say  # type: ignore[assignment]


def numbers_in(lines: Iterator[tuple[str, bytes]]) -> collections.Counter[tuple[int, int]]:
    """Return the writers and numbers of *lines*; what a killed writer has left half is none."""
    found: collections.Counter[tuple[int, int]] = collections.Counter()
    for _, line in lines:
        row = common.strict(line)
        if row is not None:
            fields = row.get("attributes", row)
            found[fields["writer"], fields["number"]] += 1
    return found


def count_said(home: str) -> int:
    """Return how many lines were said so far."""
    names = [name for name in os.listdir(home) if name.startswith("logged-")]
    return sum(os.stat(os.path.join(home, name)).st_size for name in names) // SAID.size


def said_in(home: str, prefix: str) -> collections.Counter[tuple[int, int]]:
    """Return the writers and numbers in the files that are named so."""
    said: collections.Counter[tuple[int, int]] = collections.Counter()
    for name in os.listdir(home):
        if name.startswith(prefix):
            with open(os.path.join(home, name), "rb") as file:
                data = file.read()
            said.update(SAID.iter_unpack(data[: len(data) // SAID.size * SAID.size]))
    return said


def go_on(root: str, verdict: common.Verdict) -> None:
    """Rotate each session a few times, and look at how many backups are left."""
    left = len(backups_in(root))
    verdict.done(f"{left} backups were left")
    handler = SessionFileHandler(root, max_bytes=MAX_BYTES, backup_count=max(BACKUPS))
    with contextlib.closing(handler):
        for number, sid in itertools.product(range(4), range(SESSIONS)):
            text = common.text_of(0, number, MAX_BYTES)
            handler.handle(common.record(f"session-{sid}", text))
    verdict.expect(SESSIONS * max(BACKUPS), len(backups_in(root)), "backups in the end")


def backups_in(root: str) -> list[str]:
    """Return the names of the backups of log files."""
    return [name for name in os.listdir(root) if ".logs.jsonl." in name]


if __name__ == "__main__":
    sys.exit(main())

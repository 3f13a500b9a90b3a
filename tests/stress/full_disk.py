# ruff: noqa: T201 - a program, which prints
"""A disk that is full, gone, read-only, closed to us or broken, while threads log; then it is well.

    python tests/stress/full_disk.py [--short]

The disk is a real tmpfs of 1 MiB that is mounted for it, in a namespace of its own where that is
allowed. It is filled to the brim and freed, runs out of inodes, is mounted read-only, its directory
is closed to a process without privileges, removed, and made again. EIO and short writes come from a
stand-in for os.write in the child: no device fails on demand. Everything through the handler, with
rotation and in background mode, structlog's logger, and the span exporter.

Nothing raises in the application; what is in the files and the writer's count of losses add up to
what was logged, and so do the log lines about losses; the first line afterwards is whole; a failure
is reported once a minute at most. Where nothing can be mounted, the exit status is 77.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import errno
import functools
import io
import itertools
import logging
import multiprocessing
import os
import random
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
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

    from tests.stress import common
else:
    import common  # this file is a program: its directory is where it imports from

THREADS, SESSIONS = 4, 3
NOBODY = 65_534
NOTICED_S = 0.55
LOSSES = 200
WRITTEN_AT_MOST = 800
DISK_BYTES = 1024 * 1024
ROTATION: dict[str, Any] = {"max_bytes": 50_000, "backup_count": 1000}
CLONE_NEWNS, CLONE_NEWUSER = 0x0002_0000, 0x1000_0000


@dataclass
class Face:
    """A writer, and what it reports."""

    emit: Callable[..., Any]
    flush: Callable[[], None]
    close: Callable[[], None]
    lost: Callable[[], int]
    reports: list[str]
    suffix: str = ".logs.jsonl"


def handler_face(root: str, **options: Any) -> Face:
    """Return the handler."""
    reports: list[str] = []

    class Handler(SessionFileHandler):
        def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
            del record
            reports.append(repr(sys.exc_info()[1]))

    handler = Handler(root, **options)

    def emit(sid: str, text: str, **fields: Any) -> None:
        handler.handle(common.record(sid, text, **fields))

    return Face(emit, handler.flush, handler.close, lambda: handler.lost, reports)


class Errors(io.StringIO):
    """Stands in for stderr, where structlog's loggers report."""

    def __init__(self, reports: list[str]) -> None:
        super().__init__()
        self._reports = reports

    def write(self, text: str) -> int:
        """Take *text*; a report begins with a line of its own."""
        if text.startswith("--- Logging error ---"):
            self._reports.append(text)
        return super().write(text)


def structlog_face(root: str, **options: Any) -> Face:
    """Return structlog's own loggers."""
    reports: list[str] = []
    sys.stderr = Errors(reports)
    factory = SessionFileLoggerFactory(root, **options)
    logger = structlog.wrap_logger(
        factory("stress"), processors=[add_session_context, SessionJSONRenderer()]
    )

    def emit(sid: str, text: str, **fields: Any) -> None:
        logger.info(text, session_id=sid, **fields)

    return Face(emit, factory.flush, factory.close, lambda: factory.lost, reports)


def span_face(root: str, **options: Any) -> Face:
    """Return the span exporter."""
    reports: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            reports.append(record.getMessage())

    logger = logging.getLogger("tracectrl")
    logger.addHandler(Handler())
    logger.propagate = False
    exporter = FileSpanExporter(root, **options)

    def emit(sid: str, text: str, **fields: Any) -> None:
        exporter.export([common.span(sid, text=text, **fields)])

    return Face(
        emit,
        lambda: None,
        exporter.shutdown,
        lambda: exporter.lost,
        reports,
        ".spans.jsonl",
    )


FEW = "few descriptors"

FACES: dict[str, Callable[[str], Face]] = {
    "handler": handler_face,
    "spans": span_face,
    "background": functools.partial(handler_face, background=True, queue_size=200),
    "structlog": structlog_face,
    "structlog in background": functools.partial(structlog_face, background=True),
    "rotation": functools.partial(handler_face, **ROTATION),
    FEW: functools.partial(handler_face, max_open_files=1),
    "rotated spans": functools.partial(span_face, **ROTATION),
}


class Load:
    """Logs into a few sessions."""

    def __init__(self, face: Face) -> None:
        self.face = face
        self.emitted: set[int] = set()
        self.raised: list[str] = []
        self._numbers = itertools.count()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Log on four threads for the length of the context."""
        stop = threading.Event()

        def be_thread() -> None:
            rng = random.Random(threading.get_ident())  # noqa: S311 - no secret
            # Lines are not to fill the disk by themselves.
            while not stop.is_set() and len(self.emitted) - self.face.lost() < WRITTEN_AT_MOST:
                self._log(rng, SESSIONS)
                time.sleep(0.0002)

        threads = [threading.Thread(target=be_thread) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def burst(self, count: int, sessions: int = SESSIONS) -> None:
        """Log *count* lines into so many sessions, and see them written or lost."""
        rng = random.Random(count)  # noqa: S311 - no secret
        for _ in range(count):
            self._log(rng, sessions)
        self.face.flush()

    def await_losses(self, count: int) -> None:
        """Wait until *count* lines are lost."""
        until = time.monotonic() + 30
        while self.face.lost() < count and time.monotonic() < until:
            time.sleep(0.002)

    def _log(self, rng: random.Random, sessions: int) -> None:
        number = next(self._numbers)
        size = common.size_of(rng, 3.0) // 40
        try:
            self.face.emit(f"session-{rng.randrange(sessions)}", "x" * size, number=number)
        except BaseException as error:  # noqa: BLE001 - nothing may raise
            self.raised.append(repr(error))
        self.emitted.add(number)


def fill(load: Load, root: str, found: Found) -> None:
    """Fill the disk to the brim while threads log, and free it while they do."""
    del found
    ballast = os.path.join(os.path.dirname(root), "ballast")
    with load.running():
        time.sleep(0.02)
        with open(ballast, "wb", buffering=0) as file:
            for size in (4096, 100, 1):
                with contextlib.suppress(OSError):
                    while file.write(b"x" * size) == size:
                        pass
            load.await_losses(LOSSES)
            file.truncate(0)
        time.sleep(0.02)


def use_up_inodes(load: Load, root: str, found: Found) -> None:
    """Have more sessions than the disk has room for files, and then no more."""
    del found
    load.burst(100, sessions=60)
    mount("-o", "remount,nr_inodes=1000", os.path.dirname(root))


def remount_read_only(load: Load, root: str, found: Found) -> None:
    """Mount the disk read-only, which needs all files closed, and back."""
    del found
    load.face.close()
    mount("-o", "remount,ro", os.path.dirname(root))
    load.burst(50)
    mount("-o", "remount,rw", os.path.dirname(root))


def cover_read_only(load: Load, root: str, found: Found) -> None:
    """Mount a read-only view over the root: the files that are open stay writable."""
    del found
    mount("--bind", root, root)
    mount("-o", "remount,bind,ro", root)
    load.burst(100, sessions=20)
    umount(root)


def close_to_us(load: Load, root: str, found: Found) -> None:
    """Take all rights to the root away from its owner, who is not root, and give them back.

    The files that are open are good: nothing is lost.
    """
    del found
    time.sleep(NOTICED_S)
    os.chmod(root, 0)
    load.burst(50)
    os.chmod(root, 0o700)


def remove_root(load: Load, root: str, found: Found) -> None:
    """Remove the root, which is made again; then put a file at its place, for a while."""
    for blocked in (False, True):
        time.sleep(NOTICED_S)
        found.read(root, load.face.suffix)
        shutil.rmtree(root)
        if blocked:
            with open(root, "wb"):
                pass
        before = load.face.lost()
        load.burst(50)
        if not blocked and load.face.lost() != before:
            found.wrong.append("the root was not made again")
    os.unlink(root)


def break_writes(load: Load, root: str, found: Found) -> None:
    """Let a part of the writes fail or come out short, at the first try or at the second."""
    del root, found
    rng = random.Random(5)  # noqa: S311 - no secret
    write = os.write

    def broken(fd: int, data: bytes) -> int:
        if rng.random() < 0.75:
            return write(fd, data)
        if rng.random() < 0.3:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return write(fd, data[: rng.choice((0, 1, 2, len(data) // 2, len(data) - 2, -1))])

    os.write = broken  # type: ignore[assignment]
    try:
        load.burst(500)
        with load.running():
            time.sleep(0.2)
    finally:
        os.write = write


@dataclass
class Trouble:
    """A kind of trouble: who makes it, on what disk, and as whom it is met."""

    make: Callable[[Load, str, Found], None]
    options: str = ""
    uid: int = 0
    in_short: int = 4
    """How many of the faces are enough for the short form."""
    loses: bool = True
    """Whether lines are lost in it, by a writer whose files are all open."""


TROUBLES = {
    "full": Trouble(fill, in_short=len(FACES)),
    "no inodes": Trouble(use_up_inodes, options=",nr_inodes=20"),
    "read-only": Trouble(remount_read_only),
    "a read-only view": Trouble(cover_read_only),
    "no permission": Trouble(close_to_us, uid=NOBODY, in_short=2, loses=False),
    "no root": Trouble(remove_root, in_short=2),
    "EIO and short writes": Trouble(break_writes, options=",size=64m"),
}


def main() -> int:
    """Run it all; return the exit status."""
    verdict = common.Verdict(str(__doc__))
    reason = enter_namespace()
    if reason is not None:
        return common.skip(reason)
    rounds = 1 if verdict.is_short else 10
    for name, trouble in TROUBLES.items():
        told: collections.Counter[str] = collections.Counter()
        faces = list(FACES)[: trouble.in_short if verdict.is_short else None]
        for face, number in itertools.product(faces, range(rounds)):
            with common.home() as home, mounted(home, trouble.options):
                said = in_child(home, name, face)
            wrong = said.pop("wrong", ["the process said nothing"])
            verdict.wrong += [f"{name}, {face}, round {number}: {text}" for text in wrong]
            told.update(said)
        verdict.done(f"{name}: {dict(told)}, {len(faces)} writers, each {rounds} times")
    return verdict.status()


def enter_namespace() -> str | None:
    """Get the right to mount, seen by nobody else; return why that is impossible."""
    libc = ctypes.CDLL(None, use_errno=True)
    ids = {"setgroups": "deny", "uid_map": f"0 {os.getuid()} 1", "gid_map": f"0 {os.getgid()} 1"}
    if libc.unshare(CLONE_NEWNS) != 0:
        if libc.unshare(CLONE_NEWNS | CLONE_NEWUSER) != 0:
            return f"no namespace of its own: {os.strerror(ctypes.get_errno())}"
        for name, text in ids.items():
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
        leave_out("no permission", "in a user namespace there is nobody else")
    if not is_open_to_all(tempfile.gettempdir()):
        leave_out("no permission", "the directory for temporary files is closed to others")
    try:
        mount("--make-rprivate", "/")
        with common.home() as home, mounted(home, ""):
            return None
    except (OSError, subprocess.CalledProcessError) as error:
        return f"nothing can be mounted: {error}"


def leave_out(name: str, reason: str) -> None:
    """Say that the trouble *name* cannot be made here."""
    if TROUBLES.pop(name, None) is not None:
        print(f"SKIPPED: {name}: {reason}")


def is_open_to_all(path: str) -> bool:
    """Tell whether any user may go through *path*."""
    while os.stat(path).st_mode & stat.S_IXOTH:
        if path == os.sep:
            return True
        path = os.path.dirname(path)
    return False


@contextlib.contextmanager
def mounted(home: str, options: str) -> Iterator[None]:
    """Have a tmpfs of 1 MiB at *home*."""
    mount("-t", "tmpfs", "-o", f"size={DISK_BYTES}{options}", "none", home)
    try:
        os.chmod(home, 0o777)  # noqa: S103 - another user is to make a directory in it
        yield
    finally:
        umount(home)


def mount(*args: str) -> None:
    """Mount something."""
    subprocess.run(["mount", *args], check=True)


def umount(path: str) -> None:
    """Unmount what is at *path*."""
    subprocess.run(["umount", path], check=True)


def in_child(home: str, name: str, face: str) -> dict[str, Any]:
    """Make the trouble *name* for *face* in a process of its own; return what it tells."""
    ours, its = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(
        target=suffer, args=(os.path.join(home, "traces"), name, face, its)
    )
    child.start()
    its.close()
    told: dict[str, Any] = {}
    with contextlib.suppress(EOFError):
        told = ours.recv()
    child.join()
    ours.close()
    return told


def suffer(root: str, name: str, face_name: str, pipe: Any) -> None:
    """Be the application."""
    trouble = TROUBLES[name]
    if trouble.uid:
        load_all(face_name)
        os.setresuid(trouble.uid, trouble.uid, trouble.uid)
    face = FACES[face_name](root)
    load, found = Load(face), Found()
    load.burst(20)
    trouble.make(load, root, found)
    load.burst(1)  # well again; closing says what no line has said
    if max(load.emitted) not in Found().read(root, face.suffix).numbers:
        found.wrong.append("the first line afterwards is not there")
    face.close()
    found.read(root, face.suffix)
    found.compare(load, loses=trouble.loses or face_name == FEW)
    told = {"logged": len(load.emitted), "lost": face.lost(), "halves": found.halves}
    told["empty"] = found.empty
    pipe.send({"wrong": found.wrong, **told})


def load_all(face_name: str) -> None:
    """Have everything imported that is used: another user may not read where it is installed."""
    with tempfile.TemporaryDirectory(prefix="tracectrl-stress-") as scratch:
        root = os.path.join(scratch, "traces")
        face = FACES[face_name](root)
        Load(face).burst(2)
        face.close()
        Found().read(root, face.suffix)


class Found:
    """What is in the files."""

    def __init__(self) -> None:
        self.numbers: collections.Counter[int] = collections.Counter()
        self.told = self.halves = self.empty = 0
        self.wrong: list[str] = []

    def read(self, root: str, suffix: str) -> Found:
        """Add what is in the files under *root*: as they are, and by the reader."""
        before = self.numbers.total(), self.halves
        for name in os.listdir(root):
            with open(os.path.join(root, name), "rb") as file:
                *lines, last = file.read().split(b"\n")
            # Where two have seen to one half line, there is an empty one, which readers skip.
            self.empty += lines.count(b"")
            for line in filter(None, [*lines, last]):
                row = common.strict(line + b"\n")
                if row is None:
                    self.halves += 1
                elif row.get("logger") == "tracectrl":
                    self.told += row["lost"]
                elif suffix in name:
                    self.numbers[row.get("attributes", row)["number"]] += 1
                else:
                    self.wrong.append(f"{name}: {line[:60]!r}")
        damage: list[str] = []
        sids = sorted({name.partition(".")[0] for name in os.listdir(root)})
        lines_read = sum(
            "lost" not in row for sid in sids for row in common.rows(root, sid, damage)
        )
        seen = before[0] + lines_read, before[1] + len(damage)
        if seen != (self.numbers.total(), self.halves):
            self.wrong.append(f"the reader sees {seen}, not {self.numbers.total(), self.halves}")
        return self

    def compare(self, load: Load, *, loses: bool) -> None:
        """Note what does not add up."""
        lost = load.face.lost()
        facts: dict[str, tuple[object, object]] = {
            "raised": ([], load.raised[:3]),
            "doubled": ([], [key for key, times in self.numbers.items() if times > 1][:3]),
            "never logged": (set(), set(self.numbers) - load.emitted),
            "written and lost": (len(load.emitted), len(self.numbers) + lost),
            "the lines about losses": (lost, self.told),
            "reports": (int(loses), len(load.face.reports)),
            "lost something": (loses, lost > 0),
        }
        self.wrong += [
            f"{what}: expected {expected}, found {actual}"
            for what, (expected, actual) in facts.items()
            if expected != actual
        ]


if __name__ == "__main__":
    sys.exit(main())

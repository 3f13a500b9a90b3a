"""10,000 sessions in a process that may have 256 files open: nothing lost, 200 descriptors at most.

    python tests/stress/many_sessions.py [--short]

Eight threads log into all sessions, line by line into another one, and export spans beside it; once
synchronously, once in background mode, once through `configure`. Meanwhile somebody counts, many
times a second, the process's descriptors and threads, as the kernel knows them.
"""

from __future__ import annotations

import collections
import functools
import logging
import multiprocessing
import os
import resource
import sys
import threading
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from tracectrl.exporter import FileSpanExporter
from tracectrl.session import session
from tracectrl_logging import SessionFileHandler, configure

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.stress import common
else:
    import common  # this file is a program: its directory is where it imports from

SESSIONS, SESSIONS_SHORT = 10_000, 600
THREADS = 8
FILES_ALLOWED, FILES_AT_MOST = 256, 200
EXTRA_THREADS_AT_MOST = 1
LINES_EACH = 3
COUNT_EVERY_S = 0.005


def main() -> int:
    """Run it all; return the exit status."""
    verdict = common.Verdict(str(__doc__))
    sessions = SESSIONS_SHORT if verdict.is_short else SESSIONS
    for name in MODES:
        with common.home() as home:
            root = os.path.join(home, "traces")
            ours, its = multiprocessing.Pipe(duplex=False)
            child = multiprocessing.get_context("spawn").Process(
                target=work, args=(name, root, sessions, its)
            )
            child.start()
            its.close()
            said = ours.recv()
            child.join()
            verdict.expect(0, child.exitcode, f"{name}: the exit status")
            wrong = said.pop("wrong")
            verdict.done(f"{name}: {sessions} sessions: {said}")
            wrong += look(root, sessions)
            if said["descriptors"] > FILES_AT_MOST:
                wrong.append(f"{said['descriptors']} descriptors")
            if said["extra_threads"] > EXTRA_THREADS_AT_MOST:
                wrong.append(f"{said['extra_threads']} extra threads")
            verdict.expect(0, said["lost"], f"{name}: lost")
            verdict.wrong += [f"{name}: {text}" for text in wrong]
        verdict.done(f"{name}: all lines are looked at")
    return verdict.status()


def work(name: str, root: str, sessions: int, pipe: Any) -> None:
    """Be the process with few descriptors."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES_ALLOWED, FILES_ALLOWED))
    count = Counting()
    emit, lost, close = MODES[name](root)
    with count:
        raised = common.run_threads(
            functools.partial(be_thread, emit, thread, sessions) for thread in range(THREADS)
        )
        close()
    pipe.send({"wrong": raised, "lost": lost(), **count.most()})


def be_thread(emit: Callable[[str, int], None], thread: int, sessions: int) -> None:
    """Log one line after the other, each into another session."""
    for number in range(LINES_EACH):
        for sid in range(thread, sessions, THREADS):
            emit(f"session-{sid}", number)


class Counting:
    """Counts descriptors and threads, on a thread that does not count itself."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._descriptors = self._threads = self._counts = 0

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def most(self) -> dict[str, int]:
        """Return the largest numbers that were seen."""
        return {
            "descriptors": self._descriptors,
            "extra_threads": self._threads - THREADS - 2,  # the main one, and this
            "counts": self._counts,
        }

    def _run(self) -> None:
        while not self._stop.wait(COUNT_EVERY_S):
            # One descriptor is the listing's own.
            self._descriptors = max(self._descriptors, len(os.listdir("/proc/self/fd")) - 1)
            self._threads = max(self._threads, len(os.listdir("/proc/self/task")))
            self._counts += 1


def by_handler(root: str, **options: Any) -> Any:
    """Log through a handler, and export spans."""
    handler, exporter = SessionFileHandler(root, **options), FileSpanExporter(root)

    def emit(sid: str, number: int) -> None:
        handler.handle(common.record(sid, "message", number=number))
        exporter.export([common.span(sid, number=number)])

    def close() -> None:
        handler.close()
        exporter.shutdown()

    return emit, lambda: handler.lost + exporter.lost, close


def by_configure(root: str) -> Any:
    """Log and trace as an application does."""
    configured = configure(root, console=None)
    logger, tracer = logging.getLogger("stress"), trace.get_tracer("stress")

    def emit(sid: str, number: int) -> None:
        with session(sid), tracer.start_as_current_span("stress", attributes={"number": number}):
            logger.info("message", extra={"number": number})

    handlers = logging.getLogger().handlers
    (handler,) = [it for it in handlers if isinstance(it, SessionFileHandler)]
    return emit, lambda: handler.lost, configured.shutdown


MODES: dict[str, Callable[[str], Any]] = {
    "synchronous": by_handler,
    "background": functools.partial(by_handler, background=True),
    "configure": by_configure,
}


def look(root: str, sessions: int) -> list[str]:
    """Return what is wrong with the files."""
    numbers = list(range(LINES_EACH))
    wrong: list[str] = []
    for suffix, key in ((".logs.jsonl", "number"), (".spans.jsonl", "attributes")):
        seen: dict[str, list[int]] = collections.defaultdict(list)
        for name, line in common.plain_lines(root, suffix):
            row = common.strict(line)
            if row is None or row["session_id"] + suffix != name:
                wrong.append(f"{name}: not a line of its session: {line[:60]!r}")
                continue
            value = row[key]
            seen[row["session_id"]].append(value if isinstance(value, int) else value["number"])
        bad = {
            sid: seen[sid]
            for sid in (f"session-{number}" for number in range(sessions))
            if seen[sid] != numbers
        }
        wrong += [f"{sid}{suffix}: {held}" for sid, held in list(bad.items())[:3]]
        wrong += [f"{suffix}: {len(bad)} sessions are not complete"] * bool(bad)
    for number in range(0, sessions, max(1, sessions // 200)):
        rows = list(common.rows(root, f"session-{number}", wrong))
        if len(rows) != 2 * LINES_EACH:
            wrong.append(f"the reader finds {len(rows)} lines of session-{number}")
    return wrong


if __name__ == "__main__":
    sys.exit(main())

"""Signal handlers and garbage that log, flush, close and fork, in the middle of all that: no deadlock.

    python tests/stress/interrupted.py [--short]

A process has a handler that rotates, one in background mode with a queue of five lines, one that
drops what a full queue does not take, and structlog's factory in background mode. Four threads log
through all of them, make garbage that logs when it is collected, flush, ask what is lost and close,
at random; a signal interrupts the main thread every few milliseconds, wherever that is, and its
handler does the same, or forks a child which logs and ends.

Nobody stands still for longer than a busy machine may take; each line is there once, or is counted
as dropped; no thread gets a hundredth of the turns of another.
"""

from __future__ import annotations

import collections
import contextlib
import faulthandler
import functools
import gc
import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

import orjson

from tracectrl_logging import SessionFileHandler, SessionFileLoggerFactory

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.stress import common
else:
    import common  # this file is a program: its directory is where it imports from

HERE = os.path.dirname(os.path.abspath(__file__))
ROUNDS, ROUNDS_SHORT = 12, 1
SECONDS = 5.0
STILL_S = 30.0
THREADS, SESSIONS = 4, 3
CHILDREN, CHILD_LINES = 40, 3
SIGNAL_EVERY_S = 0.004
DEEPEST = 3  # handlers that interrupt one another
LEAST_SHARE = 0.01


def main() -> int:
    """Run it all; return the exit status."""
    verdict = common.Verdict(str(__doc__))
    for number in range(ROUNDS_SHORT if verdict.is_short else ROUNDS):
        with common.home() as home:
            run(home, number, verdict)
    return verdict.status()


def run(home: str, number: int, verdict: common.Verdict) -> None:
    """Have a process of its own be interrupted, and look at what is there afterwards."""
    program = "import sys, interrupted; interrupted.Interrupted(*sys.argv[1:]).run()"
    process = subprocess.run(
        [sys.executable, "-c", program, home, str(number)], cwd=HERE, check=False, timeout=600
    )
    verdict.expect(0, process.returncode, f"round {number}: the exit status")
    said = common.heard(os.path.join(home, "said"))
    verdict.expect([], said.get("wrong", ["it said nothing"]), f"round {number}: what went wrong")
    for name in NAMES:
        found: collections.Counter[str] = collections.Counter()
        for file, line in common.plain_lines(os.path.join(home, name)):
            row = common.strict(line)
            if row is None:
                verdict.wrong.append(f"{name}: {file}: not a line: {line[:60]!r}")
            elif "lost" not in row:
                found[row["who"]] += 1
        logged, lost = set(said.get("logged", {}).get(name, ())), said.get("lost", {}).get(name)
        missing = sorted(logged - set(found))
        doubled = [who for who, times in found.items() if times > 1]
        what = f"round {number}, {name}"
        verdict.expect([], doubled[:3], f"{what}: doubled, {len(doubled)}")
        verdict.expect(lost, len(missing), f"{what}: missing, such as {missing[:3]}")
        if not name.startswith("drop"):
            verdict.expect(0, lost, f"{what}: lost")
    turns = said.get("turns", [0])
    if min(turns) < max(turns) * LEAST_SHARE:
        verdict.wrong.append(f"round {number}: a thread has to wait: {turns}")
    verdict.done(
        f"round {number}: turns {turns}, {said.get('signals')} signals,"
        f" {said.get('finalized')} finalized, {said.get('children')} children"
    )


NAMES = ("rotating", "blocking", "dropping", "structlog")


class Garbage:
    """What logs when the collector finds it."""

    def __init__(self, log: Callable[[], None]) -> None:
        self._log = log
        self._myself = self

    def __del__(self) -> None:
        """Log."""
        self._log()


class Interrupted:
    """The process that all that happens to."""

    def __init__(self, home: str, seed: str) -> None:
        self._home = home
        self._seed = int(seed)
        self._rng = random.Random(self._seed)  # noqa: S311 - no secret
        self._numbers = itertools.count()
        self._parent = os.getpid()
        self._logged: dict[str, list[str]] = {name: [] for name in NAMES}
        self._wrong: list[str] = []
        self._children: list[int] = []
        self._signals = self._finalized = 0
        self._depth = 0
        self._over = False
        self._forks = itertools.count()
        roots = [os.path.join(home, name) for name in NAMES]
        rotating = SessionFileHandler(roots[0], max_bytes=4000, backup_count=100_000)
        blocking = SessionFileHandler(roots[1], background=True, queue_size=5)
        dropping = SessionFileHandler(
            roots[2], background=True, queue_size=5, overflow="drop_oldest", max_open_files=1
        )
        factory = SessionFileLoggerFactory(roots[3], background=True, queue_size=50)
        logger = factory("interrupted")
        self._writers: list[Any] = [rotating, blocking, dropping, factory]

        def log_event(sid: str, who: str) -> None:
            row = {"session_id": sid, "who": who}
            logger.info(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))

        def log_record(handler: SessionFileHandler, sid: str, who: str) -> None:
            handler.handle(common.record(sid, "text", who=who))

        self._emits: list[Callable[[str, str], None]] = [
            *(functools.partial(log_record, it) for it in (rotating, blocking, dropping)),
            log_event,
        ]

    def run(self) -> None:
        """Log, interrupted, for a while; say what went wrong."""
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of what is done here
        faulthandler.dump_traceback_later(SECONDS + STILL_S, exit=True)
        gc.set_threshold(200)
        signal.signal(signal.SIGALRM, self._be_interrupted)
        turns = [0] * THREADS
        threads = [
            threading.Thread(target=self._be_thread, args=(turns, number), daemon=True)
            for number in range(1, THREADS)
        ]
        for thread in threads:
            thread.start()
        self._interrupt_later()
        self._be_thread(turns, 0)
        self._over = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        for thread in threads:
            thread.join(STILL_S)
        gc.collect()
        for pid in self._children:
            self._wait_for(pid)
        for writer in self._writers:
            writer.close()
        common.say(
            os.path.join(self._home, "said"),
            {
                "wrong": self._wrong + ["a thread hangs"] * any(it.is_alive() for it in threads),
                "logged": self._logged,
                "lost": {
                    name: writer.lost for name, writer in zip(NAMES, self._writers, strict=True)
                },
                "turns": turns,
                "signals": self._signals,
                "finalized": self._finalized,
                "children": len(self._children),
            },
        )

    def _be_thread(self, turns: list[int], thread: int) -> None:
        rng = random.Random(self._seed * THREADS + thread)  # noqa: S311 - no secret
        until = time.monotonic() + SECONDS
        try:
            while time.monotonic() < until:
                self._do_something(rng, "thread")
                turns[thread] += 1
        except BaseException as error:  # noqa: BLE001 - nothing may raise
            self._wrong.append(f"raised {error!r}")

    def _do_something(self, rng: random.Random, who: str) -> None:
        chance = rng.random()
        if chance < 0.9:
            self._log(rng.randrange(len(self._emits)), who)
        elif chance < 0.95:
            kind = rng.randrange(len(self._emits))
            Garbage(functools.partial(self._log, kind, "garbage"))
        elif chance < 0.96:
            rng.choice(self._writers).close()
        elif chance < 0.98:
            rng.choice(self._writers).flush()
        else:
            assert rng.choice(self._writers).lost >= 0

    def _log(self, kind: int, who: str) -> None:
        if os.getpid() != self._parent:
            return  # garbage of the parent's, found in a child
        number = next(self._numbers)
        name = f"{who}-{number}"
        self._emits[kind](f"session-{number % SESSIONS}", name)
        self._logged[NAMES[kind]].append(name)
        self._finalized += who == "garbage"

    def _be_interrupted(self, *_: object) -> None:
        self._signals += 1
        self._depth += 1
        if self._depth < DEEPEST:
            self._interrupt_later()
        try:
            if self._rng.random() < 0.05 and len(self._children) < CHILDREN:
                self._fork()
            else:
                self._do_something(self._rng, "signal")
        except BaseException as error:  # noqa: BLE001 - nothing may raise
            self._wrong.append(f"raised {error!r}")
        finally:
            self._depth -= 1
            self._interrupt_later()

    def _interrupt_later(self) -> None:
        if not self._over:
            signal.setitimer(signal.ITIMER_REAL, self._rng.random() * 2 * SIGNAL_EVERY_S)

    def _fork(self) -> None:
        number = next(self._forks)
        kind = number % len(self._emits)
        names = [f"child-{number}-{line}" for line in range(CHILD_LINES)]
        pid = os.fork()
        if not pid:
            status = 1
            with contextlib.suppress(BaseException):
                for each in names:
                    self._emits[kind](f"session-{number % SESSIONS}", each)
                self._writers[kind].close()
                status = self._writers[kind].lost if NAMES[kind] != "dropping" else 0
            os._exit(status)
        self._children.append(pid)
        if NAMES[kind] != "dropping":
            self._logged[NAMES[kind]] += names

    def _wait_for(self, pid: int) -> None:
        until = time.monotonic() + STILL_S
        while time.monotonic() < until:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                if status:
                    self._wrong.append(f"a child ended with {os.waitstatus_to_exitcode(status)}")
                return
            time.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self._wrong.append("a child hangs")


if __name__ == "__main__":
    sys.exit(main())

# ruff: noqa: T201 - a program, which prints
"""Background mode with a disk that stalls 50 ms on every tenth write.

    python tests/stress/stalling_disk.py [--short]

- How long callers wait: one and four threads, synchronous and in background mode; the 99th
  percentile in background mode is to stay under a tenth of the synchronous one.
- Every way to end a process, each in a process of its own with lines still in the queue: nothing
  that was logged may be missing.
- Every overflow option with a small queue: the lines and the count of the dropped ones add up, and
  lines say the same count.

Prints what was done and what was found wrong; the exit status is 1 where anything was.
"""

from __future__ import annotations

import argparse
import atexit
import json
import logging
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Any

import structlog

from tracectrl.files.write import appender
from tracectrl.session import session
from tracectrl_logging import SessionFileHandler, SessionFileLoggerFactory, SessionJSONRenderer
from tracectrl_logging.reader import read, sessions

if TYPE_CHECKING:
    from collections.abc import Callable

STALL_S = 0.05
EVERY = 10
SESSIONS = 7
PERCENT = 10
PATIENCE_S = 300
ATTEMPTS = 3


class StallingDisk:
    """Stands for ``os`` in the appender: every tenth write takes 50 ms longer, for real."""

    def __init__(self) -> None:
        self.writes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def write(self, fd: int, data: bytes) -> int:
        """Write *data*, sooner or later."""
        self.writes += 1
        if not self.writes % EVERY:
            time.sleep(STALL_S)
        return os.write(fd, data)


def stall() -> None:
    """Have this process write to such a disk from now on."""
    vars(appender)["os"] = StallingDisk()


def main() -> int:
    """Run it all, or one child's part; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="ten seconds instead of sixty")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, root, count = options.child
        CHILDREN[name.partition("/")[0]](name, root, int(count))
        return 0
    count = 200 if options.short else 1000
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(prefix="tracectrl-stress-") as home:
        for callers in (1, 4):
            compare(callers, home, 5 * count, wrong)
        names = [f"overflow/{overflow}" for overflow in ("block", "drop_oldest", "drop_new")]
        names += [name for name in CHILDREN if name not in ("measure", "overflow")]
        roots = {name: os.path.join(home, name.replace("/", "-")) for name in names}
        running = {name: start(name, root, count) for name, root in roots.items()}
        for name, process in running.items():
            check(name, roots[name], finish(name, process, wrong), wrong)
    for text in wrong[:40]:
        print(f"WRONG: {text}")
    print("callers did not wait, nothing lost" if not wrong else f"{len(wrong)} things are wrong")
    return 1 if wrong else 0


def start(name: str, root: str, count: int) -> subprocess.Popen[str]:
    """Start the child *name*, which logs into *root*."""
    command = [sys.executable, __file__, "--child", name, root, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(name: str, process: subprocess.Popen[str], wrong: list[str]) -> dict[str, Any]:
    """Wait for a child and return what it has said of itself."""
    try:
        output, _ = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
        wrong.append(f"{name} hangs")
    said: dict[str, Any] = {}
    for row in output.splitlines():
        try:
            said.update(json.loads(row))
        except ValueError:
            wrong.append(f"{name} says: {row}")
    expected = {"sigterm": 143, "uncaught": 1}.get(name, 0)
    if process.returncode != expected:
        wrong.append(f"{name} ended with {process.returncode}, not {expected}")
    return said


def compare(callers: int, home: str, count: int, wrong: list[str]) -> None:
    """Print how long *callers* wait; too long in background mode is *wrong*.

    A machine that is busy with other things makes everybody wait now and then, so it is looked up
    to three times.
    """
    for attempt in range(ATTEMPTS):
        rows = {}
        for mode in MODES:
            name = f"measure/{mode}/{callers}"
            root = os.path.join(home, f"measure-{mode}-{callers}-{attempt}")
            rows[mode] = finish(name, start(name, root, count), wrong)
            if not rows[mode]:
                return
            print(
                "{0} caller(s), {1}: {lines} lines, 50 % below {p50_us:.0f} µs,"
                " 99 % below {p99_us:.0f} µs, the longest {max_us:.0f} µs".format(
                    callers, mode, **rows[mode]
                )
            )
        percent = 100 * rows["background"]["p99_us"] / rows["synchronous"]["p99_us"]
        print(f"{callers} caller(s): 99th percentile {percent:.2f} % of the synchronous one")
        if percent < PERCENT:
            return
    wrong.append(f"{callers} caller(s): {percent:.1f} % is not below {PERCENT} %")


def check(name: str, root: str, said: dict[str, Any], wrong: list[str]) -> None:
    """Compare the lines in *root* with what the child *said* it has logged."""
    found: list[int] = []
    told = 0
    for summary in sessions(root, on_damage=lambda it: wrong.append(f"{name}: {it}")):
        for line in read(summary.session_id, root):
            if "lost" in line.row:
                told += line.row["lost"]
            elif line.row["number"] != said.get("unsure"):
                found.append(line.row["number"])
    logged, lost = said.get("logged", 0), said.get("lost", 0)
    print(f"{name}: {logged} lines logged, {len(found)} found, {lost} dropped, {told} told")
    if len(found) != len(set(found)):
        wrong.append(f"{name}: {len(found) - len(set(found))} doubled")
    if not logged or len(found) + lost != logged or told != lost:
        missing = sorted(set(range(logged)) - set(found))
        wrong.append(f"{name}: {len(missing)} of {logged} not found, {lost} counted, {told} told")
    if name in ("overflow/drop_oldest", "overflow/drop_new") and not lost:
        wrong.append(f"{name}: nothing was dropped")


def say(**what: Any) -> None:
    """Tell the parent, past any buffer."""
    os.write(1, json.dumps(what).encode() + b"\n")


def handler_for(root: str, **options: Any) -> SessionFileHandler:
    """Return the handler in background mode, on a stalling disk, at the root logger."""
    stall()
    handler = SessionFileHandler(root, **{"background": True, **options})
    logging.root.addHandler(handler)
    logging.root.setLevel("INFO")
    return handler


def log(count: int, first: int = 0) -> None:
    """Log *count* numbered lines, into several sessions."""
    for number in range(first, first + count):
        with session(f"s{number % SESSIONS}"):
            logging.getLogger("stress").info("a line", extra={"number": number})


# --- the children ---------------------------------------------------------------------------------


def measure(name: str, root: str, count: int) -> None:
    """Measure each call; the lines come as they do while a server is busy."""
    _, mode, callers = name.split("/")
    handler = handler_for(root, **MODES[mode])
    if mode == "synchronous":
        count = max(40, count // 10)  # 5 ms a line
    times: list[int] = []

    def call(each: int) -> None:
        logger = logging.getLogger("stress")
        for number in range(each):
            with session(f"s{number % SESSIONS}"):
                before = time.perf_counter_ns()
                logger.info("line %d", number, extra={"number": number, "user": "ann"})
                times.append(time.perf_counter_ns() - before)
            time.sleep(0.0002)

    run_threads([lambda: call(count // int(callers)) for _ in range(int(callers))])
    cuts = statistics.quantiles(times, n=100)
    say(lines=len(times), p50_us=cuts[49] / 1e3, p99_us=cuts[98] / 1e3, max_us=max(times) / 1e3)
    if handler.lost:
        print(f"{handler.lost} lines lost")
    sys.stdout.flush()
    os._exit(0)  # what is queued would take its time


def overflow(name: str, root: str, count: int) -> None:
    """Log more than the queue takes, from four threads."""
    handler = handler_for(root, queue_size=50, overflow=name.partition("/")[2])
    each = count // 4
    run_threads([lambda at=at: log(each, at * each) for at in range(4)])  # type: ignore[misc]
    handler.close()
    say(logged=4 * each, lost=handler.lost)


def normal(_: str, root: str, count: int) -> None:
    """Come to the end of the program."""
    handler_for(root)
    log(count)
    say(logged=count)


def uncaught(_: str, root: str, count: int) -> None:
    """End with an exception that nobody catches."""
    handler_for(root)
    log(count)
    say(logged=count)
    sys.stderr = None
    raise LookupError


def late(_: str, root: str, count: int) -> None:
    """Go on logging: in a thread that outlives the main one, and in exit functions."""
    atexit.register(log, 20, count + 40)  # before the handler's own, so it runs after that
    handler = handler_for(root)
    atexit.register(log, 20, count + 20)
    threading.Timer(0.1, log, (20, count)).start()
    log(count)
    atexit.register(lambda: say(logged=count + 60, lost=handler.lost))


def structlog_factory(_: str, root: str, count: int) -> None:
    """Have nobody but the factory itself to write what is queued; log in an exit function, too."""
    stall()
    atexit.register(lambda: logger.info("late", number=count))  # runs after the factory's own
    structlog.configure(
        processors=[SessionJSONRenderer()],
        logger_factory=SessionFileLoggerFactory(root, background=True),
    )
    logger = structlog.get_logger("stress")
    for number in range(count):
        logger.info("a line", session_id=f"s{number % SESSIONS}", number=number)
    say(logged=count + 1)


def shutdown(_: str, root: str, count: int) -> None:
    """Shut logging down and vanish."""
    handler_for(root)
    log(count)
    logging.shutdown()
    say(logged=count)
    os._exit(0)


def close(_: str, root: str, count: int) -> None:
    """Close the handler, in the middle and in the end, and vanish."""
    handler = handler_for(root)
    log(count // 2)
    handler.close()
    log(count - count // 2, count // 2)
    handler.close()
    say(logged=count)
    os._exit(0)


def flush(_: str, root: str, count: int) -> None:
    """Flush the handler and vanish."""
    handler = handler_for(root)
    log(count)
    handler.flush()
    say(logged=count)
    os._exit(0)


def sigterm(_: str, root: str, count: int) -> None:
    """Be told to end in the middle of logging, with the recipe of docs/how-to/queue.md."""

    def stop(signum: int, frame: object) -> None:
        del frame
        sys.exit(128 + signum)

    signal.signal(signal.SIGTERM, stop)
    handler_for(root)
    acknowledged = 0
    timer = threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGTERM))
    try:
        while True:
            log(1, acknowledged)
            acknowledged += 1
            if acknowledged == count // 10:
                timer.start()
            if acknowledged > count:
                time.sleep(0.001)
    finally:
        # The call that was interrupted has not returned: its line may be there or not.
        say(logged=acknowledged, unsure=acknowledged)


def processes(name: str, root: str, count: int) -> None:
    """Log in children of multiprocessing, which end without their exit functions."""
    context: Any = multiprocessing.get_context(name)
    handler = handler_for(root)
    log(10, 3 * count)
    children = [
        context.Process(target=in_process, args=(root, count, at * count, name != "fork"))
        for at in range(3)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join(PATIENCE_S)
    handler.close()
    say(logged=3 * count + 10)


def in_process(root: str, count: int, first: int, is_new: bool) -> None:  # noqa: FBT001
    """Log *count* lines and return, in a forked process or in a new one."""
    if is_new:
        handler_for(root)
    else:
        stall()
    log(count, first)


MODES: dict[str, dict[str, Any]] = {
    "synchronous": {"background": False},
    "background": {"background": True},
}
CHILDREN: dict[str, Callable[[str, str, int], None]] = {
    "measure": measure,
    "overflow": overflow,
    "normal": normal,
    "uncaught": uncaught,
    "late": late,
    "structlog": structlog_factory,
    "shutdown": shutdown,
    "close": close,
    "flush": flush,
    "sigterm": sigterm,
    "fork": processes,
    "spawn": processes,
    "forkserver": processes,
}


def run_threads(tasks: list[Callable[[], None]]) -> None:
    """Run *tasks*, each on a thread of its own, to their ends."""
    threads = [threading.Thread(target=task) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    sys.exit(main())

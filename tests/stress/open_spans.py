"""200 processes are ended in the middle of their spans, by signals and by themselves; what is told of them.

    python tests/stress/open_spans.py [--short]

Each process is in a session of its own, in three spans that stay open, and in shorter ones, and logs in
all of them. It is ended at a random moment by SIGKILL, SIGTERM, SIGABRT, SIGQUIT or ``os._exit``, by
becoming another program, or it ends as it should; some have a forked child that outlives them and knows
of nothing. Beside them processes run to the end, and others ask for the sessions all the time.

No session is running whose process is gone, from the very moment on. Each that was ended in the middle
has crashed, its open spans are there with their log lines below them, and no command, nor SQL, counts a
span twice. Those that run are running.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
import traceback
import warnings
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from tracectrl.session import session
from tracectrl_logging import configure
from tracectrl_logging.reader import nest, open_store, query, read, sessions, walk

if TYPE_CHECKING:
    from tests.stress import common
else:
    import common  # this file is a program: its directory is where it imports from

PROCESSES, PROCESSES_SHORT = 200, 14
AT_ONCE = 4
OPEN = 3
LATEST_S = 0.08
FORKS = 0.2
LAST_FD = 900
SIGNALS = {it.name: it for it in (signal.SIGKILL, signal.SIGTERM, signal.SIGABRT, signal.SIGQUIT)}
ENDS = (*SIGNALS, "os._exit", "exec", "well")


def main() -> int:
    """Run it all; return the exit status."""
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)  # a shell leaves it ignored in the background
    verdict = common.Verdict(str(__doc__))
    processes = PROCESSES_SHORT if verdict.is_short else PROCESSES
    with common.home() as home:
        root = os.path.join(home, "traces")
        running = [start(root, f"running-{number}", "never", number) for number in range(2)]
        asker = Asker(root)
        try:
            verdict.wrong += common.run_threads(
                functools.partial(end_some, root, range(at, processes, AT_ONCE), asker)
                for at in range(AT_ONCE)
            )
            verdict.wrong += asker.stop()
            check(root, processes, verdict)
        finally:
            for process in running:
                process.kill()
                process.wait()
        states = {it.session_id: it.state for it in sessions(root)}
        for number in range(len(running)):
            verdict.expect(
                "crashed", states[f"running-{number}"], "a session whose process is gone"
            )
        verdict.done(
            f"{processes} processes ended, {asker.asked} times their sessions were asked for"
        )
    return verdict.status()


class Asker:
    """Asks for the sessions as long as processes end: none runs that is known to be gone."""

    def __init__(self, root: str) -> None:
        self.gone: dict[str, bool] = {}
        self.asked = 0
        self._root = root
        self._wrong: list[str] = []
        self._ends = False
        self._threads = [threading.Thread(target=self._ask) for _ in range(2)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> list[str]:
        """Stop, and return what was wrong."""
        self._ends = True
        for thread in self._threads:
            thread.join()
        return self._wrong

    def _ask(self) -> None:
        while not self._ends:
            gone = list(self.gone)  # before it is asked
            states = {it.session_id: it.state for it in sessions(self._root)}
            self.asked += 1
            self._wrong += [
                f"{sid} is running, and its process is gone"
                for sid in gone
                if states.get(sid) == "running"
            ]


def start(root: str, sid: str, end: str, seed: int) -> subprocess.Popen[bytes]:
    """Start a process in the session *sid*, and return when its spans are open."""
    arguments = [sys.executable, __file__, "--process", root, sid, end, str(seed)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE)
    if process.stdout is None or process.stdout.readline() != b"ready\n":
        text = f"{sid} did not begin"
        raise RuntimeError(text)
    return process


def end_some(root: str, numbers: range, asker: Asker) -> None:
    """Start processes one after the other, and end each."""
    rng = random.Random(numbers.start)  # noqa: S311 - no secret
    for number in numbers:
        end = ENDS[number % len(ENDS)]
        sid = f"{end}-{number}"
        process = start(root, sid, end, number)
        time.sleep(rng.random() * LATEST_S)
        if end in SIGNALS:
            process.send_signal(SIGNALS[end])
        if end == "exec":  # it is the same process that goes on
            if process.stdout is not None:
                process.stdout.read(1)  # until the pipe is closed with the program before
        else:
            process.wait()
        asker.gone[sid] = True
        if end == "exec":
            process.kill()
            process.wait()


def check(root: str, processes: int, verdict: Any) -> None:
    """Look at what is told of the sessions."""
    found = {it.session_id: it for it in sessions(root)}
    rows = query("SELECT session_id, spans, open_spans FROM sessions", root)
    counts = {sid: (spans, still_open) for sid, spans, still_open in rows}
    for sid, summary in found.items():
        end = sid.partition("-")[0]
        state = {"well": "ended", "running": "running"}.get(end, "crashed")
        verdict.expect(state, summary.state, f"the state of {sid}")
        if end == "running":
            continue
        verdict.expect(counts[sid], (summary.spans, summary.open_spans), f"SQL's counts of {sid}")
        lines = list(read(sid, root))
        spans = [line.row for line in lines if line.kind == "span"]
        verdict.expect(summary.spans, len(spans), f"the spans that are shown of {sid}")
        still_open = [row["name"] for row in spans if row.get("state") == "open"]
        names = [] if end == "well" else [f"open {number}" for number in range(OPEN)]
        # The one that was short may be open, too, and where it was younger than that it is in no file.
        verdict.expect(names, [it for it in still_open if it != "short"], f"what {sid} had open")
        verdict.expect(0, max(0, still_open.count("short") - 1), f"more short ones of {sid}")
        verdict.expect(len(spans), len({row["span_id"] for row in spans}), f"the spans of {sid}")
        above: list[str] = []
        for depth, line in walk(nest(lines)):
            del above[depth:]
            above.append(str(line.row.get("name")))
            if line.kind == "log" and (depth or line.row["message"] != "short"):
                verdict.expect(line.row["message"], above[depth - 1], f"where a line of {sid} is")
    verdict.expect(processes + 2, len(found), "the number of sessions")
    with open_store(root).tail(count=None) as every:
        spans = [line.row for line in every.last() if line.kind == "span"]
    verdict.expect(
        len(spans), len({row["span_id"] for row in spans}), "the spans of the last lines"
    )
    command = [sys.executable, "-m", "tracectrl_logging.cli", "sessions", "--json", "--root", root]
    told = subprocess.run(command, check=True, capture_output=True).stdout.splitlines()
    states = {row["session_id"]: row["state"] for row in map(json.loads, told)}
    verdict.expect({sid: it.state for sid, it in found.items()}, states, "what the command tells")


def be_process(root: str, sid: str, end: str, seed: int) -> None:
    """Be in spans until the end comes."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    configure(root, console=None, open_spans_after_s=rng.choice([0, 0.01, 0.03]))
    tracer, log = trace.get_tracer("stress"), logging.getLogger("stress")
    with session(sid):
        spans: list[trace.Span] = []
        for number in range(OPEN):
            above = trace.set_span_in_context(spans[-1]) if spans else None
            spans.append(tracer.start_span(f"open {number}", above))
            with trace.use_span(spans[-1]):
                log.info("open %d", number)
        while sum(b'"state":"open"' in line for line in lines_of(root, sid)) < OPEN:
            time.sleep(0.002)
        if rng.random() < FORKS and not forked():
            os.close(1)
            time.sleep(5)
            os._exit(0)
        os.write(1, b"ready\n")
        until = time.monotonic() + rng.random() * LATEST_S
        with trace.use_span(spans[-1]):
            while time.monotonic() < until or end in {"never", *SIGNALS}:
                with tracer.start_as_current_span("short"):
                    log.info("short")
                    time.sleep(rng.random() * 0.05)
        if end == "os._exit":
            os._exit(0)
        if end == "exec":
            os.dup2(1, LAST_FD, inheritable=False)  # closed by the kernel, behind all else
            os.closerange(1, 3)
            os.execv("/bin/sleep", ["sleep", "60"])  # noqa: S606 - no shell is wanted
        for span in reversed(spans):
            span.end()


def forked() -> int:
    """Return what ``os.fork`` does, which warns where there are threads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def lines_of(root: str, sid: str) -> list[bytes]:
    """Return the lines of a session's spans."""
    try:
        with open(os.path.join(root, f"{sid}.spans.jsonl"), "rb") as file:
            return file.readlines()
    except FileNotFoundError:
        return []


if __name__ == "__main__":
    if "--process" in sys.argv:
        try:
            be_process(sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]))
        except BaseException:
            traceback.print_exc()
            raise
    else:
        sys.exit(main())

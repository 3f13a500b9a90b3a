"""200 forks from a process with 8 logging threads, and gunicorn's under load: no deadlock, no loss.

    python tests/stress/forks.py [--short]

The children log through what they have inherited, from threads of their own too: the handler, with
rotation, with few descriptors and in background mode, structlog's loggers, the span exporter. They
end with `os._exit`, as any program does, or as `multiprocessing` ends them; some fork again. All of
them are to be through within a minute.

Then gunicorn with `--preload` and 4 workers, which are replaced all the time, while the master logs,
too: each line and each span of each request that was answered is there once. Where there is no
gunicorn, that part is left out, and the program says so.
"""

from __future__ import annotations

import collections
import functools
import http.client
import importlib.util
import itertools
import logging
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
import warnings
from typing import TYPE_CHECKING, Any

import structlog
from opentelemetry import trace

from tracectrl.exporter import FileSpanExporter
from tracectrl.middleware import SessionWSGIMiddleware
from tracectrl_logging import (
    SessionFileHandler,
    SessionFileLoggerFactory,
    SessionJSONRenderer,
    add_session_context,
    configure,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from multiprocessing.context import ForkProcess
    from typing import TypeAlias

    from tests.stress import common

    Child: TypeAlias = int | ForkProcess
else:
    import common  # this file is a program: its directory is where it imports from

HERE = os.path.dirname(os.path.abspath(__file__))
IN_SHORT = 4
FORKS, FORKS_SHORT = 200, 8
THREADS, SESSIONS = 8, 5
CHILD_THREADS, CHILD_LINES = 2, 10
DEADLINE_S = 60.0
WAYS = ("_exit", "exit", "multiprocessing", "fork")


def main() -> int:
    """Run it all; return the exit status."""
    verdict = common.Verdict(str(__doc__))
    forks = FORKS_SHORT if verdict.is_short else FORKS
    for name in list(FACES)[: IN_SHORT if verdict.is_short else None]:
        with common.home() as home:
            fork_a_lot(home, name, forks, verdict)
    for background in (False, True):
        with common.home() as home:
            serve(home, verdict, background=background)
    return verdict.status()


def fork_a_lot(home: str, name: str, forks: int, verdict: common.Verdict) -> None:
    """Have a process of its own fork, and look at what is there afterwards."""
    root = os.path.join(home, "traces")
    # A program of its own: its children end as it would.
    program = "import sys, forks; forks.be_parent(*sys.argv[1:])"
    arguments = [root, name, str(forks), os.path.join(home, "said")]
    process = subprocess.Popen([sys.executable, "-c", program, *arguments], cwd=HERE)
    try:
        process.wait(DEADLINE_S * 2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        verdict.wrong.append(f"{name}: the parent hangs")
    said = common.heard(os.path.join(home, "said"))
    verdict.expect(0, process.returncode, f"{name}: the exit status")
    verdict.expect([], said.get("wrong", ["said nothing"]), f"{name}: what went wrong")
    expected = {f"parent-{thread}": count for thread, count in enumerate(said.get("counts", []))}
    for fork in range(forks):
        generations = 2 if way_of(fork) == "fork" else 1
        for generation, thread in itertools.product(range(generations), range(CHILD_THREADS + 1)):
            expected[f"child-{fork}-{generation}-{thread}"] = CHILD_LINES
    compare(root, expected, verdict, name)
    verdict.done(
        f"{name}: {forks} forks in {said.get('took_s', 0):.1f} s, {sum(expected.values())} lines"
    )


def compare(
    root: str,
    expected: dict[str, int],
    verdict: common.Verdict,
    name: str,
    others: Iterable[str] = (),
) -> None:
    """Note what is not there, or there twice, of so many numbered lines of each writer.

    Of writers whose names begin as *others* it is not known how many lines there are.
    """
    found: dict[str, list[int]] = collections.defaultdict(list)
    for sid in sorted({file.partition(".")[0] for file in os.listdir(root)}):
        for row in common.rows(root, sid, verdict.wrong):
            if "lost" in row:
                verdict.wrong.append(f"{name}: {row['message']}")
                continue
            writer, _, number = row.get("attributes", row).get("who", "nobody:-1").partition(":")
            found[writer].append(int(number))
    unknown = {writer for writer in found if writer.startswith(tuple(others))}
    for writer, count in (expected | {it: len(found[it]) for it in unknown}).items():
        if sorted(found[writer]) != list(range(count)):
            missing = sorted(set(range(count)) - set(found[writer]))
            verdict.wrong.append(
                f"{name}: {writer} has {len(found[writer])} lines, not {count}: {missing[:3]}"
            )
    verdict.expect(set(), set(found) - set(expected) - unknown, f"{name}: unknown writers")


def be_parent(root: str, name: str, forks: str, said: str) -> None:
    """Fork while eight threads log; say what went wrong."""
    warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of what is done here
    emit, flush, close, lost = FACES[name](root)
    stop = threading.Event()
    counts = [0] * THREADS

    def be_thread(thread: int) -> None:
        while not stop.is_set():
            emit(f"session-{counts[thread] % SESSIONS}", f"parent-{thread}:{counts[thread]}")
            counts[thread] += 1
            time.sleep(0.0005)

    threads = [threading.Thread(target=be_thread, args=(thread,)) for thread in range(THREADS)]
    for thread in threads:
        thread.start()
    begin = time.monotonic()
    children = [start_child(fork, emit, flush) for fork in range(int(forks))]
    wrong = [text for child in children for text in awaited(child, begin + DEADLINE_S)]
    took_s = time.monotonic() - begin
    stop.set()
    for thread in threads:
        thread.join()
    close()
    if lost():
        wrong.append(f"{lost()} lines are lost")
    common.say(said, {"wrong": wrong, "counts": counts, "took_s": took_s})


def way_of(fork: int) -> str:
    """Return how the child *fork* ends."""
    return WAYS[fork % len(WAYS)]


def start_child(fork: int, emit: Callable[[str, str], None], flush: Callable[[], None]) -> Child:
    """Fork; the child logs and ends in its way. Return what can be waited for."""
    work = functools.partial(log_as_child, emit, f"child-{fork}")
    way = way_of(fork)
    if way == "multiprocessing":
        process = multiprocessing.get_context("fork").Process(target=work, args=(0,))
        process.start()
        return process
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        work(0)
        if way == "fork":
            grandchild = os.fork()
            if not grandchild:
                work(1)
            else:
                os.waitpid(grandchild, 0)
        if way != "exit":
            flush()
        status = 0
    except BaseException:  # noqa: BLE001 - nothing may leave the child but its status
        traceback.print_exc()
    if way == "exit":
        # Those are the parent's to wait for, and multiprocessing forgets it for its own forks only.
        vars(multiprocessing.process)["_children"].clear()
        sys.exit(status)  # out of here through all that is around it, as a program ends
    os._exit(status)


def log_as_child(emit: Callable[[str, str], None], name: str, generation: int) -> None:
    """Log from the main thread and two others."""

    def be_thread(thread: int) -> None:
        for number in range(CHILD_LINES):
            emit(f"session-{number % SESSIONS}", f"{name}-{generation}-{thread}:{number}")

    threads = [
        threading.Thread(target=be_thread, args=(thread,)) for thread in range(CHILD_THREADS)
    ]
    for thread in threads:
        thread.start()
    be_thread(CHILD_THREADS)
    for thread in threads:
        thread.join()


def awaited(child: Child, until: float) -> list[str]:
    """Wait for *child*; return what is wrong with its end."""
    while True:
        code = exit_code(child)
        if code is not None:
            return [f"a child ended with {code}"] * (code != 0)
        if time.monotonic() > until:
            pid = child if isinstance(child, int) else child.pid
            os.kill(pid or 0, signal.SIGKILL)
            return ["a child hangs"]
        time.sleep(0.002)


def exit_code(child: Child) -> int | None:
    """Return how *child* has ended, ``None`` where it has not."""
    if not isinstance(child, int):  # it was waited for when the next one was started, perhaps
        return child.exitcode
    done, status = os.waitpid(child, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if done else None


def handler_face(root: str, **options: Any) -> Any:
    """Log through the handler."""
    handler = SessionFileHandler(root, **options)
    logging.getLogger().addHandler(handler)

    def emit(sid: str, who: str) -> None:
        handler.handle(common.record(sid, "message", who=who))

    return emit, handler.flush, handler.close, lambda: handler.lost


def structlog_face(root: str, **options: Any) -> Any:
    """Log through structlog."""
    factory = SessionFileLoggerFactory(root, **options)
    logger = structlog.wrap_logger(
        factory("stress"), processors=[add_session_context, SessionJSONRenderer()]
    )

    def emit(sid: str, who: str) -> None:
        logger.info("message", session_id=sid, who=who)

    return emit, factory.flush, factory.close, lambda: factory.lost


def span_face(root: str, **options: Any) -> Any:
    """Export spans."""
    exporter = FileSpanExporter(root, **options)

    def emit(sid: str, who: str) -> None:
        exporter.export([common.span(sid, who=who)])

    return emit, exporter.force_flush, exporter.shutdown, lambda: exporter.lost


ROTATION: dict[str, Any] = {"max_bytes": 20_000, "backup_count": 10_000}
FACES: dict[str, Callable[[str], Any]] = {
    "handler": handler_face,
    "background": functools.partial(handler_face, background=True),
    "rotation": functools.partial(handler_face, **ROTATION),
    "spans": span_face,
    "few descriptors": functools.partial(handler_face, max_open_files=2),
    "structlog": structlog_face,
    "structlog in background": functools.partial(structlog_face, background=True, **ROTATION),
}

WORKERS, CLIENTS, REQUESTS, REQUESTS_SHORT = 4, 6, 200, 20
REQUESTS_EACH_WORKER = 25
LINES_EACH_REQUEST = 3


def make_app() -> Any:
    """Return the application; gunicorn's master calls this before it forks, and logs itself."""
    configure(console=None, background="BACKGROUND" in os.environ)
    logger, tracer = logging.getLogger("stress"), trace.get_tracer("stress")

    def log_in_master(thread: int) -> None:
        for number in itertools.count():
            extra = {"session_id": "master", "who": f"master-{thread}:{number}"}
            logger.info("from the master", extra=extra)
            time.sleep(0.002)

    for thread in range(THREADS):
        threading.Thread(target=log_in_master, args=(thread,), daemon=True).start()

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        who = environ["PATH_INFO"][1:]
        with tracer.start_as_current_span("request", attributes={"who": f"{who}-span:0"}):
            for number in range(LINES_EACH_REQUEST):
                logger.info("a request", extra={"who": f"{who}:{number}"})
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"done"]

    return SessionWSGIMiddleware(app)


def serve(home: str, verdict: common.Verdict, *, background: bool) -> None:
    """Have gunicorn serve requests, and look at what is there afterwards."""
    if importlib.util.find_spec("gunicorn") is None:
        verdict.done("SKIPPED: gunicorn is not installed")
        return
    name = f"gunicorn{' in background mode' * background}"
    root, port = os.path.join(home, "traces"), free_port()
    environment = {**os.environ, "TRACECTRL_TRACE_DIR": root}
    if background:
        environment["BACKGROUND"] = "1"
    command = [sys.executable, "-m", "gunicorn", "--preload", f"--workers={WORKERS}"]
    command += [f"--max-requests={REQUESTS_EACH_WORKER}", f"--bind=127.0.0.1:{port}"]
    command += [f"--pythonpath={HERE}", "--log-level=error", "forks:make_app()"]
    server = subprocess.Popen(command, cwd=home, env=environment)
    begin = time.monotonic()
    clients = Clients(port)
    try:
        verdict.wrong += clients.run(REQUESTS_SHORT if verdict.is_short else REQUESTS)
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
            verdict.wrong.append(f"{name} does not end")
    took_s = time.monotonic() - begin
    verdict.expect(0, server.returncode, f"{name}: the exit status")
    expected = dict.fromkeys(clients.answered, LINES_EACH_REQUEST)
    expected |= dict.fromkeys((f"{who}-span" for who in clients.answered), 1)
    compare(root, expected, verdict, name, others=clients.failed | {"master"})
    verdict.done(
        f"{name}: {len(clients.answered)} requests answered, {len(clients.failed)} not,"
        f" {took_s:.1f} s"
    )


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Clients:
    """Sends requests from a few threads, each request in one of a few sessions."""

    def __init__(self, port: int) -> None:
        self.answered: set[str] = set()
        self.failed: set[str] = set()
        self._port = port

    def run(self, requests: int) -> list[str]:
        """Send so many requests from each thread; return what went wrong."""
        until = time.monotonic() + DEADLINE_S
        while not self._ask("first"):
            self.failed.discard("first")
            if time.monotonic() > until:
                return ["gunicorn does not answer"]
            time.sleep(0.05)
        return common.run_threads(
            functools.partial(self._be_client, client, requests) for client in range(CLIENTS)
        )

    def _be_client(self, client: int, requests: int) -> None:
        for number in range(requests):
            self._ask(f"client-{client}-{number}")

    def _ask(self, who: str) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=DEADLINE_S)
        headers = {"X-TraceCtrl-Session": f"session-{len(self.answered) % SESSIONS}"}
        try:
            connection.request("GET", f"/{who}", headers=headers)
            is_done = connection.getresponse().read() == b"done"
        except (OSError, http.client.HTTPException):
            is_done = False
        finally:
            connection.close()
        (self.answered if is_done else self.failed).add(who)
        return is_done


if __name__ == "__main__":
    sys.exit(main())

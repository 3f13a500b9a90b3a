"""Whether a session goes on, has ended or has crashed: from a process's end to the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from tracectrl.files import span_path
from tracectrl.files.retention.compress import compress
from tracectrl_logging import SessionFileHandler
from tracectrl_logging.cli.group import group
from tracectrl_logging.reader import open_store, sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.one_python,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs flock"),
]

BEGINS = """
import logging, os, signal, sys, time
from opentelemetry import trace
from tracectrl.session import session
from tracectrl_logging import configure

signal.signal(signal.SIGQUIT, signal.SIG_DFL)  # which a shell leaves ignored in the background
root, after_s = sys.argv[1], float(sys.argv[2])
configure(root, console=None, open_spans_after_s=after_s, max_open_files=1)
tracer = trace.get_tracer("app")
log = logging.getLogger("app")
"""

IN_SPANS = """
with session("s"):
    with tracer.start_as_current_span("outer"):
        with tracer.start_as_current_span("done"):
            pass
        with tracer.start_as_current_span("inner"):
            log.info("at work")
            while len(open(f"{root}/s.spans.jsonl").readlines()) < 3:
                time.sleep(0.01)
"""


@pytest.fixture
def program(root: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return the function that starts a program which writes session files, and waits for its "ready"."""
    started = []

    def start(code: str, after_s: float = 0.02) -> subprocess.Popen[str]:
        source = BEGINS + textwrap.dedent(code)
        process = subprocess.Popen(
            [sys.executable, "-c", source, str(root), str(after_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def states(root: Path) -> dict[str, str]:
    """Return the states of all sessions, as every way of asking tells them."""
    found: dict[str, str] = {it.session_id: it.state for it in sessions(root)}
    result = CliRunner().invoke(group, ["sessions", "--json", "--root", str(root)])
    assert found == {
        row["session_id"]: row["state"] for row in map(json.loads, result.stdout.splitlines())
    }
    return found


def shown(root: Path, sid: str = "s") -> str:
    """Return what ``show`` prints of a session."""
    return CliRunner().invoke(group, ["show", sid, "--root", str(root)]).stdout


def until(holds: Callable[[], Any]) -> None:
    """Wait for *holds* to hold, for ten seconds at most."""
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    "end",
    [
        *(
            f"os.kill(os.getpid(), {name})"
            for name in (signal.SIGKILL, signal.SIGTERM, signal.SIGQUIT)
        ),
        "os._exit(0)",
        "os.abort()",
        "os.execv('/bin/sleep', ['sleep', '60'])",
    ],
)
def test_a_process_that_goes_in_the_middle(
    root: Path, program: Callable[..., subprocess.Popen[str]], end: str
) -> None:
    """Its session runs until then, and has crashed from then on; what was open is shown, with its lines."""
    indented = textwrap.indent(f"print('ready', flush=True)\nsys.stdin.readline()\n{end}", " " * 12)
    process = program(IN_SPANS + indented)
    assert {"s": "running"} == states(root)
    assert "s  running" in shown(root)
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    if "exec" in end:
        until(lambda: sessions(root)[0].state == "crashed")
    else:
        process.wait(10)
    assert {"s": "crashed"} == states(root)
    text = shown(root)
    assert "s  crashed" in text
    assert "2 spans open" in text
    assert f" in process {process.pid}" in text
    bodies = [line[21:].split("  ")[0] for line in text.splitlines()[3:]]
    assert ["outer", "│ done", "│ inner", "│ │ app: at work"] == bodies


def test_a_program_that_ends_its_spans(
    root: Path, program: Callable[..., subprocess.Popen[str]]
) -> None:
    """Its session runs while it may write on, and has ended afterwards."""
    process = program(IN_SPANS + "print('ready', flush=True)\nsys.stdin.readline()")
    assert {"s": "running"} == states(root)
    process.communicate("\n")
    assert {"s": "ended"} == states(root)
    assert "running" not in shown(root)
    assert "crashed" not in shown(root)


def test_a_session_whose_files_are_closed_meanwhile_runs(
    root: Path, program: Callable[..., subprocess.Popen[str]]
) -> None:
    """A process that has closed the files of a session is in it as long as a span of it is open."""
    process = program(
        IN_SPANS
        + """
            with session("other"):
                log.info("closes the files of the first one")
                tracer.start_span("short").end()
            print("ready", flush=True)
            sys.stdin.readline()
            os._exit(1)
"""
    )
    assert not open_store(root).is_running("s")
    assert "running" == states(root)["s"]
    process.communicate("\n")
    assert {"s": "crashed", "other": "ended"} == states(root)


def test_spans_of_several_processes(
    root: Path, program: Callable[..., subprocess.Popen[str]]
) -> None:
    """A session runs until the last process with a span of it is gone; children count for themselves."""
    process = program(
        IN_SPANS
        + """
            child = os.fork()
            if not child:
                span = tracer.start_span("child's")
                while b"child's" not in open(f"{root}/s.spans.jsonl", "rb").read():
                    time.sleep(0.01)
                print("ready", flush=True)
                time.sleep(60)
            time.sleep(60)
"""
    )
    (row,) = (line.row for line in open_store(root).read("s") if line.row.get("name") == "child's")
    child = row["process.pid"]
    try:
        assert {"s": "running"} == states(root)
        process.kill()
        process.wait(10)
        assert {"s": "running"} == states(root)
    finally:
        os.kill(child, signal.SIGKILL)
    until(lambda: sessions(root)[0].state == "crashed")
    assert {"s": "crashed"} == states(root)
    assert "3 spans open" in shown(root)


def test_a_child_that_knows_of_nothing_does_not_keep_a_session_running(
    root: Path, program: Callable[..., subprocess.Popen[str]]
) -> None:
    """A forked child that outlives its parent holds none of the files that its parent had open."""
    process = program(
        IN_SPANS
        + """
            if not os.fork():
                print(f"ready\\n{os.getpid()}", flush=True)
            time.sleep(60)
"""
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    try:
        process.kill()
        process.wait(10)
        assert {"s": "crashed"} == states(root)
        os.kill(child, 0)
    finally:
        os.kill(child, signal.SIGKILL)


def test_who_asks_is_not_taken_for_a_writer(root: Path) -> None:
    """However many ask at once, a session that nobody writes has ended, one that is held runs."""
    handlers = [SessionFileHandler(root), SessionFileHandler(root)]
    import logging  # noqa: PLC0415 - for a record

    for sid, handler in zip(("ended", "held"), handlers, strict=True):
        record = logging.LogRecord("app", 20, "", 0, "x", None, None)
        record.session_id = sid
        handler.handle(record)
    handlers[0].close()
    found: list[tuple[bool, bool]] = []

    def ask() -> None:
        store = open_store(root)
        for _ in range(60):
            found.append((store.is_running("ended"), store.is_running("held")))  # noqa: PERF401 - as they come

    askers = [threading.Thread(target=ask) for _ in range(4)]
    child = os.fork()
    if not child:
        signal.alarm(30)
        try:
            ask()
        finally:
            os._exit(set(found) != {(False, True)})
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert [(False, True)] * 240 == found
    handlers[1].close()


def test_a_copied_and_a_compressed_root(
    root: Path, tmp_path: Path, program: Callable[..., subprocess.Popen[str]]
) -> None:
    """Where nobody writes, an open span is one that was left; compressing changes nothing."""
    process = program(
        IN_SPANS + " " * 12 + "print('ready', flush=True)\n" + " " * 12 + "time.sleep(60)"
    )
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in root.glob("*.jsonl"):
        (copy / path.name).write_bytes(path.read_bytes())
        os.utime(copy / path.name, (0, 0))
    assert {"s": "running"} == states(root)
    assert {"s": "crashed"} == states(copy)
    assert 1 == compress(copy).compressed
    assert {"s": "crashed"} == states(copy)
    process.kill()


def test_files_of_the_version_before(root: Path) -> None:
    """A session without open lines has ended where nobody writes it; one that is all open has crashed."""
    root.mkdir()
    row = {"name": "x", "start_time": "2026-02-03T09:00:00.000000Z", "span_id": "1" * 16}
    ended = {**row, "end_time": row["start_time"], "duration_ns": 0, "status": "UNSET"}
    span_path("old", root).write_text(json.dumps(ended) + "\n")
    span_path("open", root).write_text(json.dumps({**row, "state": "open"}) + "\n")
    hostile = {**row, "state": "open", "process.lock": ["x"], "process.pid": {}}
    span_path("hostile", root).write_text(json.dumps(hostile) + "\n")
    assert {"old": "ended", "open": "crashed", "hostile": "crashed"} == states(root)
    found = sessions(root, where=["state=crashed"])
    assert ["hostile", "open"] == sorted(summary.session_id for summary in found)
    assert "hostile  crashed" in shown(root, "hostile")

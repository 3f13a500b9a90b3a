"""Work handed to other processes: ``python processes.py HOW SESSION...``."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from typing import Any

from cell import tracer, work

from tracectrl.session import current_session_id, session
from tracectrl.workers import ProcessPoolExecutor, carry, child_environment


def pool(kind: str, ids: list[str]) -> None:
    """Submit a task from each session to two processes; wait for all of them at the end."""
    futures = []
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(kind)) as executor:
        for sid in ids:
            with session(sid), tracer.start_as_current_span("submit"):
                futures.append(executor.submit(work, "pool", sid))
        nobodys = executor.submit(current_session_id)
    for future in futures:
        future.result()
    assert None is nobodys.result()


def process(kind: str, ids: list[str]) -> None:
    """Start a process from each session."""
    context: Any = multiprocessing.get_context(kind)
    processes = []
    for sid in ids:
        with session(sid), tracer.start_as_current_span("submit"):
            processes.append(context.Process(target=carry(work), args=("process", sid)))
            processes[-1].start()
    for child in processes:
        child.join()
    assert [0] * len(ids) == [child.exitcode for child in processes]


def run(ids: list[str]) -> None:
    """Run a program from each session."""
    children = []
    for sid in ids:
        with session(sid), tracer.start_as_current_span("submit"):
            source = "import sys, cell; cell.work('subprocess', sys.argv[1])"
            command = [sys.executable, "-c", source, sid]
            children.append(subprocess.Popen(command, env=child_environment()))
    assert [0] * len(ids) == [child.wait(60) for child in children]


if __name__ == "__main__":
    how, *sessions = sys.argv[1:]
    kind, _, what = how.partition("-")
    if kind == "subprocess":
        run(sessions)
    elif what == "pool":
        pool(kind, sessions)
    else:
        process(kind, sessions)

"""Work handed to other processes: ``python processes.py HOW SESSION...``."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

from cell import tracer, work

from tracectrl.session import current_session_id, session
from tracectrl.workers import ProcessPoolExecutor, carry, child_environment

if TYPE_CHECKING:
    from collections.abc import Callable

AT_A_TIME = max(2, os.cpu_count() or 1)


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


def from_each(start: Callable[[str], int | None], ids: list[str]) -> None:
    """Start a process from each session, all of which are under way at once on a thread each.

    So many processes run at a time as the machine has room for. The threads are nobody's pool: a
    process that is forked from a pool's thread ends by waiting for itself, with status 1.
    """
    all_here = threading.Barrier(len(ids), timeout=120)
    room = threading.BoundedSemaphore(AT_A_TIME)
    codes: list[int | None] = []

    def in_session(sid: str) -> None:
        with session(sid), tracer.start_as_current_span("submit"):
            all_here.wait()
            with room:
                codes.append(start(sid))

    threads = [threading.Thread(target=in_session, args=(sid,)) for sid in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [0] * len(ids) == codes


def process(kind: str, ids: list[str]) -> None:
    """Have a process of ``multiprocessing`` work for each session."""
    context: Any = multiprocessing.get_context(kind)

    def start(sid: str) -> int | None:
        child = context.Process(target=carry(work), args=("process", sid))
        child.start()
        child.join(120)
        code: int | None = child.exitcode
        return code

    from_each(start, ids)


def run(ids: list[str]) -> None:
    """Have a program work for each session."""
    source = "import sys, cell; cell.work('subprocess', sys.argv[1])"

    def start(sid: str) -> int:
        command = [sys.executable, "-c", source, sid]
        return subprocess.run(command, env=child_environment(), check=False, timeout=120).returncode

    from_each(start, ids)


if __name__ == "__main__":
    how, *sessions = sys.argv[1:]
    kind, _, what = how.partition("-")
    if kind == "subprocess":
        run(sessions)
    elif what == "pool":
        pool(kind, sessions)
    else:
        process(kind, sessions)

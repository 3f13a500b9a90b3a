"""Work spread over processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from tracectrl_logging.reader.files.workers import MUCH, spread, workers_for

if not hasattr(os, "fork"):
    pytest.skip("there is no fork", allow_module_level=True)

PROGRAM = """
import os, sys
from tracectrl_logging.reader.files.workers import spread

parent = os.getpid()

def work(item):
    if item == 321 and "die" in sys.argv:
        os._exit(3)
    if item == 321 and "raise" in sys.argv:
        raise ValueError("not for stderr")
    yield from ((item, number, os.getpid() != parent) for number in range(item % 3))

done = []
try:
    results = list(spread(work, range(1000), workers=3, step=done.append))
except OSError as error:
    print(error)
    sys.exit(4)
assert [(item, n, True) for item in range(1000) for n in range(item % 3)] == results
assert 1000 == sum(done)
some = spread(work, range(10_000_000), workers=2)
assert (1, 0, True) == next(some)
some.close()
try:
    os.waitpid(-1, 0)
except ChildProcessError:
    print("no children left")
"""


def run(*args: str) -> subprocess.CompletedProcess[str]:
    """Run the program, which has no threads."""
    command = [sys.executable, "-c", PROGRAM, *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_in_order() -> None:
    """Results come in the order of the items, from other processes, which end with the reader."""
    done = run()
    assert (0, "no children left\n", "") == (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("how", ["die", "raise"])
def test_lost_worker(how: str) -> None:
    """A worker that ends early is an error, and not the end of the results."""
    done = run(how)
    assert (4, "a worker process ended before its work was done\n") == (
        done.returncode,
        done.stdout,
    )


def test_alone() -> None:
    """One worker is this process, and steps are counted."""
    done: list[int] = []
    pids = list(spread(lambda _: [os.getpid()], range(3), workers=1, step=done.append))
    assert ([os.getpid()] * 3, [1] * 3) == (pids, done)


def test_how_many() -> None:
    """Little work and processes with threads have no workers."""
    assert 1 == workers_for(MUCH - 1)
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        assert 1 == workers_for(MUCH)
    finally:
        stop.set()
        thread.join()

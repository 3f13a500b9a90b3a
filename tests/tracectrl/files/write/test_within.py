"""tracectrl.files.write.within: what is done under a lock, and the signal handlers that raise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tracectrl.files.write.reentrant import ReentrantLock
from tracectrl.files.write.within import is_within, marked, threads_within, under

if TYPE_CHECKING:
    from collections.abc import Callable

RAISING = """
import signal, sys, threading
sys.settrace(None)
from tracectrl.files.write.reentrant import ReentrantLock
from tracectrl.files.write.within import marked, threads_within, under

class Interrupted(BaseException):
    pass

def interrupt(*_):
    if is_inside:
        raise Interrupted

def add(number):
    for _ in range(2):
        number += 1
    return number

def use():
    while True:
        marked(marks, under, lock, threads_within(), add, 1)

def is_free():
    answers = []
    def ask():
        answers.append(lock.acquire(blocking=False))
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    return answers == [True]

signal.signal(signal.SIGALRM, interrupt)
left = 0
for number in range(300):
    lock, marks = ReentrantLock(), {}
    is_inside = False
    try:
        is_inside = True
        signal.setitimer(signal.ITIMER_REAL, 0.0002 + number * 1e-7)
        use()
    except Interrupted:
        is_inside = False
        left += bool(marks) or bool(threads_within()) or not is_free()
print(left)
"""


def test_a_signal_handler_that_raises(run_python: Callable[..., str]) -> None:
    """Wherever it interrupts, nothing stays taken or marked."""
    assert 0 == int(run_python(RAISING))


def test_what_is_called_under_a_lock() -> None:
    """It is within meanwhile, and its answer is returned."""
    assert (True, 7) == under(ReentrantLock(), threads_within(), lambda it: (is_within(), it), 7)
    assert not is_within()


def test_what_raises_under_a_lock() -> None:
    """It leaves no mark."""
    with pytest.raises(ZeroDivisionError):
        under(ReentrantLock(), threads_within(), divmod, 1, 0)
    assert not is_within()


def test_a_mark_within_a_mark() -> None:
    """The outermost is the one that is taken away at its end."""
    marks: dict[int, bool] = {}
    sizes: list[int] = []

    def inner() -> None:
        sizes.append(len(marks))

    def outer() -> None:
        marked(marks, inner)
        inner()

    marked(marks, outer)
    inner()

    assert [1, 1, 0] == sizes

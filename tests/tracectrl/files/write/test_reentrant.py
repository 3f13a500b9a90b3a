"""tracectrl.files.write.reentrant: a lock and the signal handlers that raise."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

from tracectrl.files.write.reentrant import ReentrantLock, start

if TYPE_CHECKING:
    from collections.abc import Callable

RAISING = """
import signal, sys, threading
sys.settrace(None)
from tracectrl.files.write.reentrant import ReentrantLock

class Interrupted(BaseException):
    pass

def interrupt(*_):
    if is_inside:
        raise Interrupted

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
    lock = ReentrantLock()
    is_inside = False
    try:
        is_inside = True
        signal.setitimer(signal.ITIMER_REAL, 0.0002 + number * 1e-7)
        while True:
            with lock:
                with lock:
                    pass
    except Interrupted:
        is_inside = False
        left += not is_free()
print(left)
"""


def test_a_signal_handler_that_raises(run_python: Callable[..., str]) -> None:
    """Wherever it interrupts ``with lock``, another thread can take the lock afterwards."""
    assert 0 == int(run_python(RAISING))


def test_one_thread_takes_it_twice() -> None:
    """Others wait until it is let go of as often."""
    lock = ReentrantLock()
    answers = []

    def ask() -> None:
        answers.append(lock.acquire(blocking=False))

    def others_get_it() -> bool:
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        return answers.pop()

    with lock:
        with lock:
            assert not others_get_it()
        assert not others_get_it()
    assert others_get_it()


def test_starting_a_thread() -> None:
    """It runs, and the caller's signals come as before."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    ran: list[bool] = []
    thread = threading.Thread(target=ran.append, args=(True,))
    start(thread)
    thread.join()
    assert [True] == ran
    assert before == signal.pthread_sigmask(signal.SIG_BLOCK, ())

"""A lock, and the start of a thread, that leave nothing taken where a signal handler raises.

``with lock`` of CPython 3.14 runs signal handlers between the taking and the body. Where one raises
there, nobody lets go of the lock again (https://github.com/python/cpython/issues/148874). Other
releases have no such gap.
"""

from __future__ import annotations

import signal
import sys
from _thread import RLock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threading import Thread

if sys.version_info[:2] == (3, 14):

    class ReentrantLock(RLock):
        """Takes itself by an operator and returns at once.

        The interpreter runs signal handlers behind the call of a C function and at the start of a
        Python function, but behind neither an operator nor a return. Letting go is left to the C
        function of the base class.
        """

        def __enter__(self) -> bool:
            """Take the lock."""
            return True in iter(self.acquire, None)

else:
    ReentrantLock = RLock

_MASKS = sys.version_info[:2] == (3, 14) and hasattr(signal, "pthread_sigmask")


def start(thread: Thread) -> None:
    """Start *thread*; with CPython 3.14, while no signal comes to this one whose handler may raise.

    The standard library's own lock would be left taken, and no thread could begin any more.
    """
    if not _MASKS:
        thread.start()
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())  # first, for the next call may raise
    try:
        handled = {it for it in signal.valid_signals() if callable(signal.getsignal(it))}
        signal.pthread_sigmask(signal.SIG_BLOCK, handled)
        thread.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

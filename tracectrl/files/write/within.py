"""Which threads are in the middle of code that holds a lock of a writer's.

A signal handler may log there, and so may garbage, on any thread and through another writer. Two
threads that want each other's lock for that would wait for ever. So whoever takes a lock of a writer
is in one set for all of them, and whoever is in it already takes none and waits for nobody.
"""

from __future__ import annotations

import contextlib
import os
from threading import get_ident
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_threads: dict[int, dict[int, bool]] = {}  # by process: a forked child has none of its parent's


def threads_within() -> dict[int, bool]:
    """Return the threads of this process that are in the middle of such code: the keys.

    A dict, since an item is put into one by no call.
    """
    return _threads.setdefault(os.getpid(), {})


@contextlib.contextmanager
def locked(lock: Any, within: dict[int, bool]) -> Iterator[None]:
    """Have *lock*, and the thread among those *within*, where it is not yet."""
    thread = get_ident()
    try:
        within[thread] = True
        with lock:
            yield
    finally:
        within.pop(thread, None)

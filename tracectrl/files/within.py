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

_threads: dict[int, set[int]] = {}  # by process: a forked child has none of its parent's


def threads_within() -> set[int]:
    """Return the threads of this process that are in the middle of such code."""
    return _threads.setdefault(os.getpid(), set())


@contextlib.contextmanager
def locked(lock: Any, within: set[int]) -> Iterator[None]:
    """Have *lock*, and the thread in the set *within*, where it is not yet."""
    thread = get_ident()
    try:
        within.add(thread)
        with lock:
            yield
    finally:
        within.discard(thread)

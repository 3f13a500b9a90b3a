"""Which threads are in the middle of code that holds a lock of a writer's.

A signal handler may log there, and so may garbage, on any thread and through another writer. Two
threads that want each other's lock for that would wait for ever. So whoever takes a lock of a writer
is in one set for all of them, and whoever is in it already takes none and waits for nobody.

Each place writes the same lines, for a context manager written in Python is no help: a signal handler
that raises just behind its entry leaves the lock taken, and one that raises just before its exit leaves
the thread in the set.

    thread_id, within = get_ident(), threads_within()
    try:
        within[thread_id] = True
        with lock:
            ...
    finally:
        within.pop(thread_id, None)
"""

from __future__ import annotations

import os

_threads: dict[int, dict[int, bool]] = {}  # by process: a forked child has none of its parent's


def threads_within() -> dict[int, bool]:
    """Return the threads of this process that are in the middle of such code: the keys.

    A dict, since an item is put into one by no call.
    """
    return _threads.setdefault(os.getpid(), {})

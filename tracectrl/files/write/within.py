"""Which threads are in the middle of code that holds a lock of a writer's.

A signal handler may log there, and so may garbage, on any thread and through another writer. Two
threads that want each other's lock for that would wait for ever. So whoever takes a lock of a writer
is in one set for all of them, and whoever is in it already takes none and waits for nobody.

What is done under a lock is a call of :func:`under`, since a context manager written in Python would
be no help: a signal handler that raises just behind its entry leaves the lock taken, and one that
raises just before its exit leaves the thread in the set. Nor would a lock of each thread's own as the
mark, which is free of that: each line would cost a tenth more than with a dict.
"""

from __future__ import annotations

import os
from threading import get_ident
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracectrl.files.write.reentrant import ReentrantLock

R = TypeVar("R")

Threads: TypeAlias = dict[int, bool]
"""Threads, by their IDs: the keys. A dict, since an item is put into one by no call."""

_threads: dict[int, Threads] = {}  # by process: a forked child has none of its parent's


def threads_within() -> Threads:
    """Return the threads of this process that are in the middle of such code."""
    return _threads.setdefault(os.getpid(), {})


def is_within() -> bool:
    """Tell whether this thread is in the middle of such code."""
    return get_ident() in threads_within()


def under(lock: ReentrantLock, within: Threads, act: Callable[..., R], *args: Any) -> R:
    """Return what *act* returns, called under *lock* with this thread in *within*; it is not yet."""
    thread = get_ident()
    try:
        within[thread] = True
        with lock:
            return act(*args)
    finally:
        within.pop(thread, None)


def marked(threads: Threads, act: Callable[..., R], *args: Any) -> R:
    """Return what *act* returns, called with this thread in *threads*; it may be already."""
    thread = get_ident()
    is_outermost = thread not in threads
    try:
        threads[thread] = True
        return act(*args)
    finally:
        if is_outermost:
            threads.pop(thread, None)

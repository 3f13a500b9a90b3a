"""Work handed on: to a thread, a pool, a callback, a queue.

A context variable follows a task; it does not follow a function into another thread, nor a message
to another process.
"""

from __future__ import annotations

import concurrent.futures
import contextvars
import functools
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from tracectrl.context import inject_trace_headers, remote_session

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping
    from concurrent.futures import Future

P = ParamSpec("P")
R = TypeVar("R")

MESSAGE_KEY = "tracectrl"
"""Where :func:`pack` writes the correlation in a message."""


class ThreadPoolExecutor(concurrent.futures.ThreadPoolExecutor):
    """The standard executor, each task run in the context that it was submitted in.

    https://github.com/python/cpython/issues/78195
    """

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Submit ``fn(*args, **kwargs)`` to run in a copy of the current context."""
        task = functools.partial(contextvars.copy_context().run, fn, *args, **kwargs)
        return super().submit(task)


def carry(fn: Callable[P, R]) -> Callable[P, R]:
    """Return *fn* bound to the present session and span, for any thread, pool or callback.

    Each call runs in a copy of the context of now, so several may run at once and none leaves a
    trace in another.
    """
    context = contextvars.copy_context()

    @functools.wraps(fn)
    def carried(*args: P.args, **kwargs: P.kwargs) -> R:
        return context.copy().run(fn, *args, **kwargs)

    return carried


M = TypeVar("M", bound="MutableMapping[str, Any]")


def pack(message: M) -> M:
    """Write the current session and span into *message*, under one key, and return it.

    What is written is a dict of strings: JSON can hold it.
    """
    message[MESSAGE_KEY] = inject_trace_headers({})
    return message


def unpack(message: Any) -> remote_session:
    """Return the context manager that continues what :func:`pack` wrote into *message*.

    What was current before comes back on exit. A message without a correlation, or with a
    malformed one, continues nothing.
    """
    carried = message.get(MESSAGE_KEY) if hasattr(message, "get") else None
    return remote_session(carried if isinstance(carried, dict) else {})

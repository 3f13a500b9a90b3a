"""Asynchronous generators that nobody has closed: their clean-up is in no stranger's session.

An event loop closes them in a task of its own, which runs in a copy of the context that the garbage
collector happened to run in. ``BaseHTTPMiddleware`` leaves a stream to it when the client goes away.
"""

from __future__ import annotations

import contextvars
import sys
from typing import TYPE_CHECKING, Any

from tracectrl.session import is_finalizing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable


class _InNoSession:
    """An event loop's hook for such generators, called in an empty context by the collector."""

    def __init__(self, finalizer: Callable[[AsyncGenerator[Any, Any]], object]) -> None:
        self._finalizer = finalizer

    def __call__(self, generator: AsyncGenerator[Any, Any]) -> None:
        if is_finalizing():
            contextvars.Context().run(self._finalizer, generator)
        else:  # dropped by whoever used it, in its own context
            self._finalizer(generator)


def leave_async_finalizers_out() -> None:
    """Let what this thread's event loop closes for the garbage collector be in no session.

    The loop puts its hooks in place when it begins to run and takes them away when it ends.
    """
    finalizer = sys.get_asyncgen_hooks().finalizer
    if finalizer is not None and type(finalizer) is not _InNoSession:
        sys.set_asyncgen_hooks(finalizer=_InNoSession(finalizer))

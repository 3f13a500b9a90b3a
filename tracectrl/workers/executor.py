"""The standard executors, with the session."""

from __future__ import annotations

import concurrent.futures
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from tracectrl.workers.carry import carry

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

P = ParamSpec("P")
R = TypeVar("R")


class ThreadPoolExecutor(concurrent.futures.ThreadPoolExecutor):
    """The standard executor, each task run in a copy of the context it was submitted in.

    https://github.com/python/cpython/issues/78195
    """

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Submit ``fn(*args, **kwargs)``; see :meth:`concurrent.futures.Executor.submit`."""
        return super().submit(carry(fn), *args, **kwargs)


class ProcessPoolExecutor(concurrent.futures.ProcessPoolExecutor):
    """The standard executor, each task run in the session and trace it was submitted in.

    The processes write session files where they are told to: give ``initializer=`` a function that
    calls :func:`tracectrl_logging.configure`.
    """

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Submit ``fn(*args, **kwargs)``; see :meth:`concurrent.futures.Executor.submit`."""
        return super().submit(carry(fn), *args, **kwargs)

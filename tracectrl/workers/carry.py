"""A function bound to the session and span of now."""

from __future__ import annotations

import contextvars
import functools
import inspect
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast

from tracectrl.context import inject_trace_headers, remote_session
from tracectrl.session import detached

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")


def carry(fn: Callable[P, R]) -> Callable[P, R]:
    """Return *fn* bound to the present session and span, for any thread, pool or callback.

    In this process each call runs in a copy of the context of now, so several may run at once and
    none leaves a trace in another. Where *fn* can be pickled, so can the result: in another process
    it continues the session and the trace, as across HTTP. A coroutine function stays one.
    """
    if inspect.iscoroutinefunction(fn):
        headers: dict[str, str] = inject_trace_headers({})

        @functools.wraps(fn)
        async def carried(*args: P.args, **kwargs: P.kwargs) -> Any:
            with detached(), remote_session(headers):
                return await fn(*args, **kwargs)

        return cast("Callable[P, R]", carried)
    return _Carried(fn)


class _Carried(Generic[P, R]):
    def __init__(self, fn: Callable[P, R]) -> None:
        functools.update_wrapper(self, fn)
        self._fn = fn
        self._context = contextvars.copy_context()

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._context.copy().run(self._fn, *args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Continued, (self._fn, self._context.copy().run(inject_trace_headers, {}))


class _Continued(Generic[P, R]):
    """What a :class:`_Carried` becomes in another process."""

    def __init__(self, fn: Callable[P, R], headers: dict[str, str]) -> None:
        functools.update_wrapper(self, fn)
        self._fn = fn
        self._headers = headers

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        # What is current here is an accident: a forked process has it from whoever started it.
        with detached(), remote_session(self._headers):
            return self._fn(*args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Continued, (self._fn, self._headers)

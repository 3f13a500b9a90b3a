"""A function bound to the session and span of now."""

from __future__ import annotations

import contextvars
import functools
import inspect
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast

from tracectrl._steps import code_of, driven, items_of, kept, of_kind, result_of
from tracectrl.context import inject_trace_headers, remote_session
from tracectrl.session import detached, note_left, stay_in_finalizer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

P = ParamSpec("P")
R = TypeVar("R")


def carry(fn: Callable[P, R]) -> Callable[P, R]:
    """Return *fn* bound to the present session and span, for any thread, pool or callback.

    In this process each call runs in a copy of the context of now, so several may run at once and
    none leaves a trace in another. Where *fn* can be pickled, so can the result: in another process
    it continues the session and the trace, as across HTTP.

    Coroutine functions, generator functions and async generator functions stay what they are, and
    so do objects whose ``__call__`` is one. A coroutine, a generator or an async generator that
    another callable returns runs in the session, too.
    """
    code = code_of(fn)
    call = _Carried(fn)
    if inspect.iscoroutinefunction(code):

        @functools.wraps(fn, updated=())
        async def carried(*args: P.args, **kwargs: P.kwargs) -> Any:
            context, coroutine = call.begun(*args, **kwargs)
            try:
                return await result_of(context, coroutine)
            except Exception as error:
                note_left(error, context)
                raise

        return cast("Callable[P, R]", carried)
    if inspect.isasyncgenfunction(code):
        return functools.wraps(fn, updated=())(cast("Callable[P, R]", items_of(call.begun)))
    if inspect.isgeneratorfunction(code):

        @functools.wraps(fn, updated=())
        def steps(*args: P.args, **kwargs: P.kwargs) -> Generator[Any, Any, Any]:
            context, made = call.begun(*args, **kwargs)
            try:
                return (yield from driven(context, made))
            except Exception as error:
                note_left(error, context)
                raise

        return cast("Callable[P, R]", of_kind(code, steps))
    return call


def _look_like(carried: Any, fn: Any) -> None:
    """Give *carried* the name of *fn*, and the attributes that it has as a function."""
    functools.update_wrapper(carried, fn, updated=())
    if inspect.isroutine(fn):
        own = {
            name: it
            for name, it in getattr(fn, "__dict__", {}).items()
            if not hasattr(type(carried), name)
        }
        carried.__dict__.update(own)


class _Carried(Generic[P, R]):
    def __init__(self, fn: Callable[P, R]) -> None:
        _look_like(self, fn)
        self._fn = fn
        self._context = contextvars.copy_context()

    def begun(self, /, *args: P.args, **kwargs: P.kwargs) -> tuple[contextvars.Context, R]:
        """Call the function; return the context that it ran in, too."""
        context = self._context.copy()
        context.run(stay_in_finalizer)
        try:
            return context, context.run(self._fn, *args, **kwargs)
        except Exception as error:
            note_left(error, context)
            raise

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return kept(*self.begun(*args, **kwargs))

    def __reduce__(self) -> tuple[Any, ...]:
        headers: dict[str, str] = self._context.copy().run(
            inject_trace_headers, {}, attributes=True
        )
        return _Continued, (self._fn, headers)


class _Continued(Generic[P, R]):
    """What a :class:`_Carried` becomes in another process."""

    def __init__(self, fn: Callable[P, R], headers: dict[str, str]) -> None:
        _look_like(self, fn)
        self._fn = fn
        self._headers = headers

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        # What is current here is an accident: a forked process has it from whoever started it.
        with detached(), remote_session(self._headers, attributes=True):
            return kept(contextvars.copy_context(), self._fn(*args, **kwargs))

    def __reduce__(self) -> tuple[Any, ...]:
        return _Continued, (self._fn, self._headers)

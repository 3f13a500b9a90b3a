"""Work that runs by steps, each of them in a context of its own: generators, coroutines, both.

Their code runs when they are asked for the next item, wherever that is.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

if TYPE_CHECKING:
    import contextvars
    from collections.abc import AsyncGenerator, Callable, Generator

F = TypeVar("F", bound="Callable[..., Any]")
R = TypeVar("R")

_AWAITABLE: Final = inspect.CO_ITERABLE_COROUTINE


def code_of(fn: Any) -> Any:
    """Return the function that calling *fn* runs."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    if inspect.isroutine(fn) or isinstance(fn, type):
        return fn
    return getattr(type(fn), "__call__", fn)  # noqa: B004 - an object's may be a coroutine function


def of_kind(code: Any, wrapper: F) -> F:
    """Return the generator function *wrapper*, to be awaited where *code* is (``@types.coroutine``)."""
    return cast("F", types.coroutine(wrapper)) if code.__code__.co_flags & _AWAITABLE else wrapper


def driven(context: contextvars.Context, steps: Any) -> Generator[Any, Any, Any]:
    """Run each step of *steps*, a generator or a coroutine, in *context*."""
    step = functools.partial(steps.send, None)
    try:
        while True:
            try:
                item = context.run(step)
            except StopIteration as end:
                return end.value
            try:
                step = functools.partial(steps.send, (yield item))
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001 - what the caller threw in
                step = functools.partial(steps.throw, error)
    finally:
        context.run(steps.close)


_awaited = types.coroutine(driven)


async def result_of(context: contextvars.Context, coroutine: Any) -> Any:
    """Return what *coroutine* returns, each step of which runs in *context*."""
    return await _awaited(context, coroutine)


def items_of(
    begun: Callable[..., tuple[contextvars.Context, Any]],
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """Return the async generator function that runs in a context what *begun* returns with it."""

    async def items(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        context, generator = begun(*args, **kwargs)
        hooks = sys.get_asyncgen_hooks()
        try:
            # An event loop that is shut down closes each generator that it knows of, all at once. This
            # one is to be closed below, and by nobody besides.
            sys.set_asyncgen_hooks(None, None)
            step = generator.asend(None)
        finally:
            sys.set_asyncgen_hooks(*hooks)
        try:
            while True:
                try:
                    item = await _awaited(context, step)
                except StopAsyncIteration:
                    return
                try:
                    step = generator.asend((yield item))
                except GeneratorExit:
                    raise
                except BaseException as error:  # noqa: BLE001 - what the caller threw in
                    step = generator.athrow(error)
        finally:
            await _awaited(context, generator.aclose())

    return items


def kept(context: contextvars.Context, made: R) -> R:
    """Return what a call has *made*, its steps run in *context* where it is to run by steps."""
    steps: Any = made
    if isinstance(made, types.GeneratorType):
        steps = (_awaited if made.gi_code.co_flags & _AWAITABLE else driven)(context, made)
    elif isinstance(made, types.CoroutineType):
        steps = result_of(context, made)
    elif isinstance(made, types.AsyncGeneratorType):
        steps = items_of(lambda: (context, made))()
    return cast("R", steps)

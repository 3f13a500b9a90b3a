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


def driven(
    context: contextvars.Context, steps: Any, *, is_given: bool = False
) -> Generator[Any, Any, Any]:
    """Run each step of *steps*, a generator or a coroutine, in *context*.

    Args:
        context: where the code of *steps* runs.
        steps: closed at the end.
        is_given: whether somebody else may hold *steps*, and go on with them: then they stay open.
    """
    step: Any = functools.partial(steps.send, None)
    alone, is_shared = object(), False
    try:
        while True:
            try:
                item = context.run(step)
            except StopIteration as end:
                return end.value
            try:
                step = functools.partial(steps.send, (yield item))
            except GeneratorExit:
                step = None
                is_shared = is_given and sys.getrefcount(steps) > sys.getrefcount(alone)
                raise
            except BaseException as error:  # noqa: BLE001 - what the caller threw in
                step = functools.partial(steps.throw, error)
    finally:
        if not is_shared:
            context.run(steps.close)


_awaited = types.coroutine(driven)


async def result_of(context: contextvars.Context, coroutine: Any) -> Any:
    """Return what *coroutine* returns, each step of which runs in *context*."""
    return await _awaited(context, coroutine)


def items_of(
    begun: Callable[..., tuple[contextvars.Context, Any]], *, is_given: bool = False
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """Return the async generator function that runs in a context what *begun* returns with it.

    Where that *is_given*, somebody else may hold it, as :func:`driven` says.
    """

    async def items(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        context, generator = begun(*args, **kwargs)
        hooks = sys.get_asyncgen_hooks()
        try:
            # An event loop that is shut down closes each generator that it knows of, all at once. This
            # one is to be closed below, and by nobody besides.
            sys.set_asyncgen_hooks(None, None)
            step: Any = generator.asend(None)
        finally:
            sys.set_asyncgen_hooks(*hooks)
        alone, is_shared = object(), False
        try:
            while True:
                try:
                    item = await _awaited(context, step)
                except StopAsyncIteration:
                    return
                try:
                    step = generator.asend((yield item))
                except GeneratorExit:
                    step = None
                    is_shared = is_given and sys.getrefcount(generator) > sys.getrefcount(alone)
                    raise
                except BaseException as error:  # noqa: BLE001 - what the caller threw in
                    step = generator.athrow(error)
        finally:
            if not is_shared:
                await _awaited(context, generator.aclose())

    return items


def kept(context: contextvars.Context, made: R) -> R:
    """Return what a call has *made*, its steps run in *context* where it is to run by steps."""
    steps: Any = made
    if isinstance(made, types.GeneratorType):
        drive = _awaited if made.gi_code.co_flags & _AWAITABLE else driven
        steps = drive(context, made, is_given=True)
    elif isinstance(made, types.CoroutineType):
        steps = result_of(context, made)
    elif isinstance(made, types.AsyncGeneratorType):
        given = [made]
        steps = items_of(lambda: (context, given.pop()), is_given=True)()
    return cast("R", steps)

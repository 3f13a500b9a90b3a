"""tracectrl.workers.carry: in another process, and where there is nothing to carry."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import pickle
import types
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace

from tracectrl.context import bind
from tracectrl.session import current_session_id, session
from tracectrl.workers import ThreadPoolExecutor, carry

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator


def correlation() -> tuple[str | None, int]:
    """Return the current session ID and trace ID."""
    return current_session_id(), trace.get_current_span().get_span_context().trace_id


async def later() -> tuple[str | None, int]:
    """Return them when it is awaited."""
    return correlation()


def elsewhere(fn: Callable[[], tuple[str | None, int]]) -> Callable[[], tuple[str | None, int]]:
    """Return what *fn* becomes in another process."""
    other: Callable[[], tuple[str | None, int]] = pickle.loads(pickle.dumps(fn))  # noqa: S301
    return other


def _current() -> str | None:
    return current_session_id()


class TestNothingToCarry:
    """Outside any session, a function is bound to being outside any session."""

    def test_in_another_process(self, tracer: trace.Tracer) -> None:
        """A forked process has the session of whoever started it: it does not count."""
        carried = pickle.dumps(carry(current_session_id))
        again = pickle.dumps(pickle.loads(carried))  # noqa: S301
        with session("of the pool's first task"), tracer.start_as_current_span("start"):
            assert None is pickle.loads(carried)()  # noqa: S301
            assert None is pickle.loads(again)()  # noqa: S301
            assert "of the pool's first task" == current_session_id()

    async def test_a_coroutine_function(self, tracer: trace.Tracer) -> None:
        """As a plain function."""
        carried = carry(later)
        with session("elsewhere"), tracer.start_as_current_span("start"):
            assert (None, 0) == await carried()
            assert "elsewhere" == current_session_id()

    def test_a_plain_function(self, tracer: trace.Tracer) -> None:
        """In this process."""
        carried = carry(correlation)
        with session("elsewhere"), tracer.start_as_current_span("start"):
            assert (None, 0) == carried()


class TestSomethingToCarry:
    """What is current where the function runs does not count, and is there afterwards."""

    def test_in_another_process(self, tracer: trace.Tracer) -> None:
        """The session and the trace go on, twice handed on too."""
        with session("s\u00e9"), tracer.start_as_current_span("start") as span:
            carried = pickle.dumps(carry(current_session_id))
            trace_id = span.get_span_context().trace_id
            headers: Any = carry(current_session_id).__reduce__()[1][1]
        assert f"{trace_id:032x}" in headers["traceparent"]
        with session("elsewhere"):
            assert "s\u00e9" == pickle.loads(carried)()  # noqa: S301
            assert "s\u00e9" == pickle.loads(pickle.dumps(pickle.loads(carried)))()  # noqa: S301
            assert "elsewhere" == current_session_id()

    async def test_a_coroutine_function(self, tracer: trace.Tracer) -> None:
        """It stays one, and may be awaited in any task."""
        with session("s"), tracer.start_as_current_span("start"):
            expected = correlation()
            carried = carry(later)
        with session("elsewhere"):
            assert expected == await carried()
            assert ("elsewhere", 0) == correlation()


class TestKinds:
    """What runs by steps, wherever they are taken, runs in the session of its making."""

    @staticmethod
    def steps() -> Generator[str | None, str, str | None]:
        """Yield the session, what was sent, and what was thrown; return the session."""
        sent = yield current_session_id()
        try:
            yield sent
        except ValueError as error:
            yield str(error)
        return current_session_id()

    @staticmethod
    async def async_steps() -> AsyncGenerator[str | None, str]:
        """Do likewise."""
        sent = yield current_session_id()
        try:
            await asyncio.sleep(0)
            yield sent
        except ValueError as error:
            yield str(error)
            yield current_session_id()

    class Callable_:  # noqa: N801
        """An object whose call is a coroutine."""

        async def __call__(self) -> str | None:
            """Return the session."""
            await asyncio.sleep(0)
            return current_session_id()

    def test_generators(self) -> None:
        """A generator function stays one, and whoever takes its items is not in its session."""
        with session("s"):
            carried = carry(self.steps)
            made_by_another = carry(lambda: self.steps())  # noqa: PLW0108
        assert inspect.isgeneratorfunction(carried)
        for call in (carried, made_by_another):
            generator = call()
            found = [next(generator), current_session_id(), generator.send("sent")]
            found.append(generator.throw(ValueError("thrown")))
            with pytest.raises(StopIteration) as end:
                next(generator)
            assert ["s", None, "sent", "thrown"] == found
            assert "s" == end.value.value

    async def test_async_generators(self) -> None:
        """The same of async ones."""
        with session("s"):
            carried = carry(self.async_steps)
            made_by_another = carry(lambda: self.async_steps())  # noqa: PLW0108
        assert inspect.isasyncgenfunction(carried)
        for call in (carried, made_by_another):
            generator = call()
            found = [await anext(generator), current_session_id(), await generator.asend("sent")]
            found.append(await generator.athrow(ValueError("thrown")))
            found += [item async for item in generator]
            assert ["s", None, "sent", "thrown", "s"] == found

    async def test_what_is_awaited(self) -> None:
        """A callable object, and the coroutine that a plain function returns."""

        def made() -> Awaitable[str | None]:
            return self.Callable_()()

        with session("s"):
            carried = [carry(self.Callable_()), carry(made)]
        assert inspect.iscoroutinefunction(carried[0])
        assert ["s", "s", None] == [await carried[0](), await carried[1](), current_session_id()]

    async def test_generators_that_are_awaited(self) -> None:
        """What ``types.coroutine`` makes stays awaitable, made by another callable too."""

        @types.coroutine
        def step(session_id: str = "") -> Generator[Any, Any, tuple[str | None, str]]:
            yield
            return current_session_id(), session_id

        with session("s"):
            for call in (carry(step), carry(lambda: step()), session("s")(step)):  # noqa: PLW0108
                assert ("s", "") == await call()
            assert ("s", "s") == await bind(step)()

    async def test_context_variables(self) -> None:
        """A coroutine function has the context variables of the place where it was carried, too."""
        variable = contextvars.ContextVar("variable", default="")

        async def found() -> str:
            await asyncio.sleep(0)
            value = variable.get()
            variable.set("changed")
            return value

        variable.set("carried")
        carried = carry(found)
        variable.set("elsewhere")
        assert ["carried", "carried", "elsewhere"] == [
            await carried(),
            await asyncio.create_task(carried()),
            variable.get(),
        ]

    def test_objects_with_attributes(self) -> None:
        """An object's attributes are not those of what is carried, whatever their names."""

        class Call:
            def __init__(self) -> None:
                self.begun = self._fn = self._context = None

            def __call__(self) -> str | None:
                return current_session_id()

        with session("s"):
            assert "s" == carry(Call())()

    def test_in_an_executor(self) -> None:
        """Its items may be taken on any thread."""
        with ThreadPoolExecutor(1) as pool, session("s"):
            generator = pool.submit(self.steps).result()
        assert "s" == next(generator)
        generator.close()


@pytest.mark.parametrize("kind", ["carry", "pool"])
def test_generator_that_others_go_on_with(kind: str) -> None:
    """A cursor that a function hands out to several tasks is not closed by one that lets go of it."""
    rows = numbers(3)
    stream = carry(lambda: rows) if kind == "carry" else on_a_pool(lambda: rows)
    assert 0 == next(stream())
    assert [1, 2] == list(rows)


async def test_async_generator_that_others_go_on_with() -> None:
    """So is an asynchronous one."""

    async def items() -> AsyncGenerator[int, None]:
        for number in range(3):
            yield number

    rows = items()
    mine = carry(lambda: rows)()
    assert 0 == await anext(mine)
    await mine.aclose()
    assert [1, 2] == [row async for row in rows]


def test_generator_that_nobody_else_has() -> None:
    """It is closed with the one that stands for it, in the session that was carried."""
    ended = []

    def items(count: int) -> Generator[int, None, None]:
        try:
            yield count
        finally:
            ended.append(current_session_id())

    with session("s"):
        made = carry(lambda: items(1))()
    next(made)
    made.close()
    assert ["s"] == ended


def numbers(count: int) -> Generator[int, None, None]:
    """Yield the numbers below *count*."""
    yield from range(count)


def on_a_pool(fn: Callable[[], Any]) -> Callable[[], Any]:
    """Return the function that calls *fn* on a pool."""

    def call() -> Any:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(fn).result()

    return call

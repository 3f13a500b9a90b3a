"""tracectrl.session: one current session, changed in few ways, always restored."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import os
import threading
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from tracectrl import session as module
from tracectrl.context import remote_session
from tracectrl.processor import SessionSpanProcessor
from tracectrl.session import (
    SESSION_KEY,
    attributes_of,
    current_session_id,
    detached,
    ensure_session,
    leave_finalizers_out,
    new_session,
    session,
    set_default_session,
    set_session_attributes,
    set_session_id,
)
from tracectrl.workers import carry, pack, unpack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from contextlib import AbstractContextManager

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def in_new_thread(fn: Callable[[], Any]) -> Any:
    """Run *fn* in a thread of its own and return what it returned."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(fn()))
    thread.start()
    thread.join()
    return results[0]


class TestNewSession:
    """new_session: mint an ID, or take the environment's."""

    def test_is_a_fresh_uuid4_and_current(self) -> None:
        """Each call makes another UUID4 string the current session."""
        first = new_session()
        second = new_session()

        assert 4 == uuid.UUID(second).version
        assert str(uuid.UUID(second)) == second
        assert first != second
        assert second == current_session_id()

    def test_takes_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """TRACECTRL_SESSION_ID is the ID where it is set."""
        monkeypatch.setenv("TRACECTRL_SESSION_ID", "from the parent")

        assert "from the parent" == new_session() == current_session_id()

    def test_ignores_an_empty_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An empty TRACECTRL_SESSION_ID counts as not set."""
        monkeypatch.setenv("TRACECTRL_SESSION_ID", "")

        assert 4 == uuid.UUID(new_session()).version

    def test_the_variable_alone_starts_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nobody is in a session until it is started."""
        monkeypatch.setenv("TRACECTRL_SESSION_ID", "s")

        assert current_session_id() is None


class TestSetSessionId:
    """set_session_id: exactly the value passed, or an error."""

    @pytest.mark.parametrize("sid", ["s", " padded ", "unknown", "../x", "é\n", "\0", "\ud800"])
    def test_stores_exactly_the_value(self, sid: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Any string but the empty one is an ID, and the environment is not asked."""
        monkeypatch.setenv("TRACECTRL_SESSION_ID", "environment")

        set_session_id(sid)

        assert ascii(sid) == ascii(current_session_id())  # a report cannot hold surrogates

    @pytest.mark.parametrize("sid", [None, 1, b"bytes", uuid.uuid4(), ["s"]])
    def test_refuses_other_types(self, sid: Any) -> None:
        """A TypeError names the type and leaves the session alone."""
        set_session_id("before")

        with pytest.raises(TypeError, match=type(sid).__name__):
            set_session_id(sid)

        assert "before" == current_session_id()

    def test_refuses_the_empty_string(self) -> None:
        """A ValueError leaves the session alone."""
        set_session_id("before")

        with pytest.raises(ValueError, match="empty"):
            set_session_id("")

        assert "before" == current_session_id()


class TestDefaultOfTheProcess:
    """What is in no session of its own is in the default one."""

    @pytest.fixture(autouse=True)
    def default(self) -> Iterator[None]:
        """Have a default session, for one test."""
        set_default_session("notebook")
        yield
        set_default_session(None)

    def test_where_there_is_no_other(self) -> None:
        """It is the session of each thread and of a new context, and of what is detached from others."""
        found = [current_session_id(), contextvars.Context().run(current_session_id)]
        thread = threading.Thread(target=lambda: found.append(current_session_id()))
        thread.start()
        thread.join()
        with session("s1"), detached():
            found.append(current_session_id())
        assert ["notebook"] * 4 == found
        assert "notebook" == ensure_session()

    def test_another_session_goes_first(self) -> None:
        """Blocks, headers and spans of another session are in that one; afterwards it is back."""
        with session("s1"):
            assert "s1" == current_session_id()
        with remote_session({"X-TraceCtrl-Session": "s2"}):
            assert "s2" == current_session_id()
        assert "notebook" == current_session_id()
        assert new_session() not in ("notebook", "")
        assert "notebook" != current_session_id()

    def test_spans_and_messages(self) -> None:
        """A span that starts in it belongs to it, and so does a message that is sent."""
        provider = TracerProvider()
        provider.add_span_processor(SessionSpanProcessor())
        span: Any = provider.get_tracer("t").start_span("work")
        assert "notebook" == span.attributes["session.id"]
        message: dict[str, Any] = pack({})
        set_default_session(None)
        assert current_session_id() is None
        with unpack(message):
            assert "notebook" == current_session_id()

    @pytest.mark.parametrize(("sid", "error"), [("", ValueError), (7, TypeError)])
    def test_no_id(self, sid: Any, error: type[Exception]) -> None:
        """What cannot be an ID is refused, and changes nothing."""
        with pytest.raises(error, match="session ID"):
            set_default_session(sid)
        assert "notebook" == current_session_id()


class TestEnsureSession:
    """ensure_session: never a second ID mid-workflow."""

    def test_keeps_the_session(self) -> None:
        """The current ID comes back."""
        set_session_id("s")

        assert "s" == ensure_session() == current_session_id()

    def test_starts_one_where_there_is_none(self) -> None:
        """A new ID is minted once."""
        sid = ensure_session()

        assert 4 == uuid.UUID(sid).version
        assert sid == ensure_session() == current_session_id()

    def test_keeps_a_session_a_propagator_extracted(self) -> None:
        """A session in the OpenTelemetry context counts."""
        otel_context.attach(otel_context.set_value(SESSION_KEY, "remote"))

        assert "remote" == ensure_session()


class TestSession:
    """session(): a scope that restores what was there."""

    def test_nests_and_restores(self) -> None:
        """Leaving brings back the session before, and in the end none."""
        seen = []
        with session("outer") as outer:
            with session("inner") as inner:
                seen.append(current_session_id())
            seen.append(current_session_id())

        assert ["inner", "outer"] == seen == [inner, outer]
        assert current_session_id() is None

    def test_mints_without_an_argument(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A new session by default, also inside another; the environment's where it is set."""
        with session("outer"), session() as sid:
            assert 4 == uuid.UUID(sid).version
            assert sid == current_session_id()
        monkeypatch.setenv("TRACECTRL_SESSION_ID", "environment")
        with session() as sid:
            assert "environment" == sid == current_session_id()

    def test_restores_after_an_error(self) -> None:
        """The exception passes; the session before comes back."""
        with pytest.raises(LookupError), session("s"):
            raise LookupError

        assert current_session_id() is None

    def test_restores_over_a_set_inside(self) -> None:
        """What the block sets does not leave it."""
        with session("outer"):
            with session("inner"):
                set_session_id("other")
            assert "outer" == current_session_id()

    def test_the_same_object_may_be_entered_again(self) -> None:
        """Also while it is entered."""
        scope = session("s")
        with scope:
            with session("between"), scope:
                assert "s" == current_session_id()
            assert "s" == current_session_id()
        with scope:
            assert "s" == current_session_id()
        assert current_session_id() is None

    @pytest.mark.parametrize(("sid", "error"), [("", ValueError), (7, TypeError)])
    def test_refuses_what_cannot_be_an_id(self, sid: Any, error: type[Exception]) -> None:
        """At the call, before anything is entered."""
        with pytest.raises(error):
            session(sid)

    def test_wins_over_an_extracted_session(self) -> None:
        """The context variable answers before the OpenTelemetry context."""
        otel_context.attach(otel_context.set_value(SESSION_KEY, "remote"))
        with session("local"):
            assert "local" == current_session_id()
        assert "remote" == current_session_id()


class TestClosedElsewhere:
    """A generator or task that ends in another context than it was entered in is no error."""

    def test_generator_closed_in_another_context(self, caplog: pytest.LogCaptureFixture) -> None:
        """Neither an exception nor a log line; the closer's session stays."""

        def generate() -> Iterator[str | None]:
            with session("generator"):
                yield current_session_id()

        generator = generate()
        assert "generator" == contextvars.copy_context().run(next, generator)
        with session("closer"):
            generator.close()  # type: ignore[attr-defined]
            assert "closer" == current_session_id()
        assert [] == caplog.records

    async def test_async_generator_closed_in_another_task(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The same for an async generator, and for detached() inside it."""
        caplog.set_level(logging.DEBUG)

        async def generate() -> AsyncIterator[str | None]:
            with session("generator"), detached(), session("inside"):
                yield current_session_id()

        generator = generate()

        async def first() -> str | None:
            return await generator.__anext__()

        assert "inside" == await asyncio.create_task(first())
        with session("closer"):
            await generator.aclose()  # type: ignore[attr-defined]
            assert "closer" == current_session_id()
        assert [] == [r for r in caplog.records if r.name != "asyncio"]

    async def test_cancelled_task(self) -> None:
        """Cancelling from outside leaves the canceller's session alone."""
        entered = asyncio.Event()

        async def work() -> None:
            with session("task"):
                entered.set()
                await asyncio.Event().wait()

        with session("canceller"):
            task = asyncio.create_task(work())
            await entered.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert "canceller" == current_session_id()


class TestDetached:
    """detached(): no session, no span, for long-lived workers."""

    def test_hides_session_and_span_and_brings_them_back(self, tracer: trace.Tracer) -> None:
        """Inside there is neither; after it there are both."""
        with session("s"), tracer.start_as_current_span("request") as span:
            with detached():
                assert current_session_id() is None
                assert trace.INVALID_SPAN is trace.get_current_span()
                with tracer.start_as_current_span("worker") as worker:
                    assert span.get_span_context().trace_id != worker.get_span_context().trace_id
            assert "s" == current_session_id()
            assert span is trace.get_current_span()

    def test_hides_an_extracted_session(self) -> None:
        """Also a session that came by the OpenTelemetry context."""
        otel_context.attach(otel_context.set_value(SESSION_KEY, "remote"))

        with detached():
            assert current_session_id() is None
            set_session_id("mine")
            assert "mine" == current_session_id()

        assert "remote" == current_session_id()

    def test_keeps_the_rest_of_the_opentelemetry_context(self) -> None:
        """What others keep there stays."""
        otel_context.attach(otel_context.set_value("key", "value"))

        with detached():
            assert "value" == otel_context.get_value("key")

    def test_restores_after_an_error(self) -> None:
        """The exception passes; the session comes back."""
        set_session_id("s")

        with pytest.raises(LookupError), detached():
            raise LookupError

        assert "s" == current_session_id()

    async def test_a_worker_started_inside_stays_detached(self) -> None:
        """A task that is created in the block outlives it without the session."""
        go = asyncio.Event()

        async def worker() -> str | None:
            await go.wait()
            return current_session_id()

        with session("request"):
            with detached():
                task = asyncio.create_task(worker())
            go.set()
            assert await task is None


class TestIsolation:
    """A context variable follows tasks, and is isolated in a new thread."""

    def test_a_new_thread_has_no_session(self) -> None:
        """Neither sees the other's."""
        set_session_id("mine")

        def other() -> str | None:
            before = current_session_id()
            set_session_id("theirs")
            return before

        assert in_new_thread(other) is None
        assert "mine" == current_session_id()

    async def test_create_task_inherits_and_does_not_leak(self) -> None:
        """A task starts in its creator's session; what it sets stays in it."""
        set_session_id("parent")

        async def child() -> tuple[str | None, str | None]:
            before = current_session_id()
            set_session_id("child")
            await asyncio.sleep(0)
            return before, current_session_id()

        assert ("parent", "child") == await asyncio.create_task(child())
        assert "parent" == current_session_id()

    async def test_gather_keeps_a_thousand_sessions_apart(self) -> None:
        """Concurrent sessions of one loop never mix."""

        async def work(number: int) -> bool:
            with session(f"s{number}") as sid:
                for _ in range(3):
                    await asyncio.sleep(0)
                    if current_session_id() != sid:
                        return False
            return current_session_id() is None

        assert [True] * 1000 == await asyncio.gather(*map(work, range(1000)))

    async def test_to_thread_inherits(self) -> None:
        """asyncio.to_thread runs in the caller's session."""
        with session("s"):
            assert "s" == await asyncio.to_thread(current_session_id)
        assert await asyncio.to_thread(current_session_id) is None


class TestExtractedSession:
    """What stands in the OpenTelemetry context."""

    def test_answers_where_the_variable_is_unset(self) -> None:
        """current_session_id() falls back on it."""
        token = otel_context.attach(otel_context.set_value(SESSION_KEY, "remote"))
        assert "remote" == current_session_id()
        otel_context.detach(token)
        assert current_session_id() is None

    def test_only_a_string_counts(self) -> None:
        """Anything else under the key is no session."""
        otel_context.attach(otel_context.set_value(SESSION_KEY, 7))

        assert current_session_id() is None


class TestFinalizers:
    """What the garbage collector finalizes in the middle of somebody's session."""

    @staticmethod
    def left_to_the_collector(seen: list[str | None]) -> None:
        """Leave a generator behind that logs its clean-up, in a reference cycle."""

        def stream() -> Iterator[None]:
            cycle.append(stream_)
            try:
                yield
            finally:
                seen.append(current_session_id())

        cycle: list[object] = []
        cycle.append(cycle)
        stream_ = stream()
        with session("its-own"):
            next(stream_)

    @pytest.fixture(autouse=True)
    def _put_back(self) -> Iterator[None]:
        before = [*gc.callbacks]
        gc.callbacks[:] = [each for each in before if each is not module._note_collector]
        yield
        gc.callbacks[:] = before

    def test_is_in_no_session(self) -> None:
        """Once a middleware has asked for it; the session goes on afterwards."""
        seen: list[str | None] = []
        gc.collect()
        with session("a-strangers"):
            self.left_to_the_collector(seen)
            gc.collect()
            module.leave_finalizers_out()
            module.leave_finalizers_out()
            self.left_to_the_collector(seen)
            gc.collect()

            assert ["a-strangers", None] == seen
            assert "a-strangers" == current_session_id()

    def test_other_threads_keep_theirs(self) -> None:
        """Only the thread that collects is in no session."""
        found: list[str | None] = []

        def ask() -> None:
            found.append(current_session_id())
            in_thread(found)

        collect(ask)

        assert [None, "s"] == found

    @pytest.mark.parametrize("sid", ["s", "its-own"])
    @pytest.mark.parametrize("way", ["session", "decorator", "carry", "unpack", "set_session_id"])
    def test_a_session_of_its_own(self, way: str, sid: str) -> None:
        """A finalizer that enters a session is in it, and in no session before and behind."""
        found: list[str | None] = []

        def ask() -> None:
            found.append(current_session_id())

        with session(sid):
            carried = carry(ask)
            message: dict[str, Any] = pack({})

        def enter() -> None:
            ask()
            if way == "session":
                with session(sid):
                    ask()
            elif way == "decorator":
                session(sid)(ask)()
            elif way == "carry":
                carried()
            elif way == "unpack":
                with unpack(message):
                    ask()
            else:
                context = contextvars.copy_context()
                context.run(set_session_id, sid)
                context.run(ask)
            ask()

        collect(enter)

        assert [None, sid, None] == found

    def test_a_child_that_is_forked_meanwhile(self) -> None:
        """No thread of it takes itself for the one that collects in its parent."""
        pids: list[int] = []

        def fork() -> None:
            pids.append(os.fork())
            if pids[0]:
                return
            status = 1
            try:
                found: list[str | None] = []
                for _ in range(3):  # one of them has the ID of the parent's thread, as a rule
                    in_thread(found)
                status = found != ["s"] * 3
            finally:
                os._exit(status)

        collecting, forked = threading.Event(), threading.Event()

        def wait() -> None:
            collecting.set()
            assert forked.wait(10)

        thread = threading.Thread(target=collect, args=(wait,))
        thread.start()
        assert collecting.wait(10)
        try:
            fork()
        finally:
            forked.set()
            thread.join()
        assert 0 == os.waitstatus_to_exitcode(os.waitpid(pids[0], 0)[1])


def collect(act: Callable[[], object]) -> None:
    """Have the collector finalize what calls *act*, in the session s."""

    class Garbage:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            act()

    leave_finalizers_out()
    with session("s"):
        Garbage()
        gc.collect()


def in_thread(found: list[str | None]) -> None:
    """Add to *found* what the session is in a thread that is in the session s."""

    def ask() -> None:
        with session("s"):
            found.append(current_session_id())

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()


class TestDecorator:
    """session() as a decorator: a session for each call."""

    def test_methods_of_a_class(self) -> None:
        """A static method and a class method stay what they are."""

        class Owner:
            @session("s")
            @staticmethod
            def static() -> str | None:
                return current_session_id()

            @session("s")
            @classmethod
            def of_class(cls) -> tuple[object, str | None]:
                return cls, current_session_id()

        assert "s" == Owner().static() == Owner.static()
        assert (Owner, "s") == Owner().of_class() == Owner.of_class()

    def test_a_function(self) -> None:
        """Each call has a session of its own, and what was current comes back."""

        @session()
        def call() -> str | None:
            """Say it."""
            return current_session_id()

        first, second = call(), call()
        assert first is not None
        assert second not in (None, first)
        assert current_session_id() is None
        assert ("call", "Say it.") == (call.__name__, call.__doc__)
        assert "s" == session("s")(current_session_id)()

    async def test_what_runs_by_steps(self) -> None:
        """Coroutines and generators keep their session throughout, and to themselves."""

        @session("s")
        async def coroutine() -> str | None:
            await asyncio.sleep(0)
            return current_session_id()

        @session("s")
        def generator() -> Iterator[str | None]:
            yield current_session_id()
            yield current_session_id()

        @session("s")
        async def async_generator() -> AsyncIterator[str | None]:
            yield current_session_id()
            await asyncio.sleep(0)
            yield current_session_id()

        assert "s" == await coroutine()
        assert [("s", None)] * 2 == [(item, current_session_id()) for item in generator()]
        items = [(item, current_session_id()) async for item in async_generator()]
        assert [("s", None)] * 2 == items

    async def test_what_a_function_returns(self) -> None:
        """A coroutine that a plain function makes runs in the call's session, too."""

        async def later() -> str | None:
            await asyncio.sleep(0)
            return current_session_id()

        @session("s")
        def call() -> Awaitable[str | None]:
            return later()

        assert "s" == await call()

    @pytest.mark.parametrize("is_returned", [False, True])
    def test_an_async_generator_that_nobody_finishes(
        self, caplog: pytest.LogCaptureFixture, *, is_returned: bool
    ) -> None:
        """Its end runs in the session when the event loop is shut down, which has nothing to complain of."""
        seen: list[str | None] = []

        async def items() -> AsyncIterator[str | None]:
            try:
                yield current_session_id()
                yield None
            finally:
                await asyncio.sleep(0)
                seen.append(current_session_id())

        def made() -> AsyncIterator[str | None]:
            return items()

        unfinished = session("s")(made if is_returned else items)()

        async def main() -> None:
            seen.append(await unfinished.__anext__())

        asyncio.run(main())

        assert ["s", "s"] == seen
        assert [] == caplog.messages


class TestFinalizersThatLog:
    """Garbage that logs while a variable is reset, as the collector has it on Python 3.10 and 3.11."""

    class Garbage:
        """Asks for the session and the span when it is collected, as a line does."""

        def __init__(self) -> None:
            self.cycle = self

        def __del__(self) -> None:
            current_session_id()
            trace.get_current_span()

    @pytest.fixture(autouse=True)
    def _quiet_collector(self) -> Iterator[None]:
        was_enabled, thresholds = gc.isenabled(), gc.get_threshold()
        gc.collect()
        gc.freeze()
        yield
        gc.unfreeze()
        gc.set_threshold(*thresholds)
        if was_enabled:
            gc.enable()

    @pytest.mark.parametrize(
        "enter",
        [
            lambda _: [session("s")],
            lambda _: [detached()],
            lambda _: [remote_session({"x-tracectrl-session": "s", "traceparent": TRACEPARENT})],
            lambda tracer: [session("s"), tracer.start_as_current_span("work")],
            lambda tracer: [tracer.start_as_current_span("work"), session("s")],
        ],
    )
    def test_nothing_is_current_afterwards(
        self,
        enter: Callable[[trace.Tracer], list[AbstractContextManager[object]]],
    ) -> None:
        """Wherever on the way out the collector runs, no session and no span are current behind it."""
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SessionSpanProcessor())
        tracer = provider.get_tracer("tests")

        def current_behind(allocations: int) -> tuple[str | None, trace.Span]:
            scopes = enter(tracer)
            for scope in scopes:
                scope.__enter__()
            gc.disable()
            gc.collect()
            gc.set_threshold(200, 1000, 1000)
            self.Garbage()
            kept: list[object] = []
            while gc.get_count()[0] < 200 - allocations:
                kept.append([])
            gc.enable()
            for scope in reversed(scopes):
                scope.__exit__(None, None, None)
            gc.disable()
            return current_session_id(), trace.get_current_span()

        found = {contextvars.Context().run(current_behind, number) for number in range(100)}

        assert {(None, trace.INVALID_SPAN)} == found
        provider.shutdown()


def test_a_runtime_context_of_the_users_own_is_detached_by_opentelemetry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A token that is no contextvars token goes back to whoever made it."""
    detached_tokens: list[object] = []
    monkeypatch.setattr(otel_context, "detach", detached_tokens.append)

    module.detach_quietly("a token")  # type: ignore[arg-type]

    assert ["a token"] == detached_tokens


def test_one_object_in_several_threads() -> None:
    """Each thread gets its own session back, whichever leaves first."""
    shared = session("job")
    first_in, second_in, first_out = (threading.Event() for _ in range(3))
    after: dict[str, str | None] = {}

    def first() -> None:
        with shared:
            first_in.set()
            second_in.wait(5)
        after["first"] = current_session_id()
        first_out.set()

    def second() -> None:
        first_in.wait(5)
        with shared:
            second_in.set()
            first_out.wait(5)
        after["second"] = current_session_id()

    threads = [threading.Thread(target=target) for target in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {"first": None, "second": None} == after


class TestAttributes:
    """What a session knows of itself."""

    def test_they_belong_to_the_session(self) -> None:
        """Set in a copy of the context, they are known wherever the session is; elsewhere they are not."""
        with session("a"):
            copy = contextvars.copy_context()
            in_thread = contextvars.copy_context()
            thread = threading.Thread(
                target=in_thread.run,
                args=(lambda: set_session_attributes(user_id="u", plan="pro"),),
            )
            thread.start()
            thread.join()
            known = {"user.id": "u", "plan": "pro"}
            assert known == copy.run(attributes_of, "a") == attributes_of("a")
            set_session_id("b")
            assert {} == attributes_of("b") == attributes_of("a")
            with session("c"):
                assert {} == attributes_of("c") == attributes_of(None)
            assert known == copy.run(attributes_of, "a")
        assert {} == attributes_of("a")

    def test_of_a_session_that_is_entered_again(self) -> None:
        """Inside of itself it is the same session; later it begins anew."""
        with session("a", user_id="u", tags=["t"]):
            with session("a", user_id="v"), session("b", plan=1):
                assert {"plan": 1} == attributes_of("b")
            assert {"user.id": "v", "session.tags": ("t",)} == attributes_of("a")
            with detached(), session("a"):
                assert {} == attributes_of("a")
        with session("a"):
            assert {} == attributes_of("a")

    def test_within_what_headers_brought(self) -> None:
        """A session that headers made current, and that is entered again, is the application's then."""
        for enter in (lambda: set_session_id("a"), session("a").__enter__, lambda: None):
            with session("a", user_id="u"):
                message: dict[str, Any] = pack({})
            with unpack(message):
                enter()
                assert {"user.id": "u"} == attributes_of("a")
                set_session_attributes(plan=1)
                with session("a"):
                    assert {"user.id": "u", "plan": 1} == attributes_of("a")
        with session("a", plan=1), unpack(message):
            assert {"user.id": "u", "plan": 1} == attributes_of("a")

    def test_what_is_set_within_is_known_around(self) -> None:
        """However often a session without any is entered in itself, it is one."""
        with session("a"):
            with session("a"), session("a", plan=1):
                set_session_id("a")
                set_session_attributes(more=2)
            assert {"plan": 1, "more": 2} == attributes_of("a")

    def test_one_is_taken_away(self) -> None:
        """``None`` does so; at the beginning of a session it says nothing."""
        with session("a", user_id=None, tags=["t"], plan=None):
            assert set_session_attributes(user_id="u", plan=1)
            assert set_session_attributes(user_id=None, tags=None, unknown=None)
            assert {"plan": 1} == attributes_of("a")

    def test_outside_of_any_session(self) -> None:
        """Nothing is set, and no session begins."""
        assert not set_session_attributes(user_id="u")
        assert current_session_id() is None
        with detached():
            assert not set_session_attributes(user_id="u")

    def test_of_a_session_that_others_made_current(self) -> None:
        """A session that a propagator extracted can be described, too."""
        otel_context.attach(otel_context.set_value(SESSION_KEY, "remote"))

        assert set_session_attributes(plan=2)
        assert {"plan": 2} == attributes_of(current_session_id())

    @pytest.mark.parametrize(
        "options", [{"level": 1}, {"tags": "t"}, {"parent": 1}, {"previous": 2}]
    )
    def test_wrong_options(self, options: Any) -> None:
        """The error comes from the call, before anything is entered."""
        with pytest.raises(TypeError):
            session("a", **options)

    def test_decorator(self) -> None:
        """Each call has them, and a state of its own."""

        @session("a", user_id="u")
        def work(plan: int) -> dict[str, Any]:
            more: dict[str, Any] = {f"plan{plan}": plan}
            set_session_attributes(**more)
            return dict(attributes_of("a"))

        assert {"user.id": "u", "plan1": 1} == work(1)
        assert {"user.id": "u", "plan2": 2} == work(2)

    def test_many_threads(self) -> None:
        """What several set at once is all there."""
        with session("a"):
            context = contextvars.copy_context()

            def work(number: int) -> None:
                for part in range(50):
                    more: dict[str, Any] = {f"a{number}.{part}": part}
                    context.copy().run(set_session_attributes, **more)

            threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert 200 == len(attributes_of("a"))


class TestKin:
    """A session that another began, or that goes on from one."""

    def test_child(self) -> None:
        """It has an ID of its own, names its parent, and takes over what is known of that."""
        with session("a", user_id="u", plan="pro"):
            with session(parent=True, plan="free") as child:
                assert str(uuid.UUID(child)) == child
                known = {"user.id": "u", "plan": "free", "tracectrl.session.parent_id": "a"}
                assert known == attributes_of(child)
                with session("grandchild", parent=True), session("last", parent=True):
                    last = attributes_of("last")
                    assert "grandchild" == last["tracectrl.session.parent_id"]
                    assert ("a", child) == last["tracectrl.session.ancestor_ids"]
            assert {"user.id": "u", "plan": "pro"} == attributes_of("a")

    def test_continuation(self) -> None:
        """It goes on from the current session, or from one by its ID, and is somebody else's."""
        with session("a", user_id="u"), session("b", previous=True):
            assert {"session.previous_id": "a"} == attributes_of("b")
        with session("c", previous="old", parent="p"):
            known = {"session.previous_id": "old", "tracectrl.session.parent_id": "p"}
            assert known == attributes_of("c")
            with session("d", parent=True):
                known = {"tracectrl.session.parent_id": "c"}
                assert {**known, "tracectrl.session.ancestor_ids": ("p",)} == attributes_of("d")

    def test_without_kin(self) -> None:
        """Outside of any session there is no parent, and no session is its own."""
        with session("a", parent=True, previous=True):
            assert {} == attributes_of("a")
            with session("a", parent=True):
                assert {} == attributes_of("a")

    def test_in_a_process_that_continues_a_session(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A child is new there, too, not the session of the environment."""
        monkeypatch.setenv("TRACECTRL_SESSION_ID", "a")
        monkeypatch.setenv("TRACECTRL_SESSION_ATTRIBUTES", '{"session.id":"a","user.id":"u"}')
        with session() as outer, session(parent=True) as child:
            assert "a" == outer != child
            assert {"user.id": "u"} == contextvars.copy_context().run(self.known_of_new)
            known = {"user.id": "u", "tracectrl.session.parent_id": "a"}
            assert known == attributes_of(child)

    def test_attributes_of_another_session_in_the_environment(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A shell that sets the session alone leaves those of the one before: they are not its."""
        monkeypatch.setenv("TRACECTRL_SESSION_ID", "b")
        monkeypatch.setenv("TRACECTRL_SESSION_ATTRIBUTES", '{"session.id":"a","user.id":"u"}')
        assert {} == self.known_of_new()

    @staticmethod
    def known_of_new() -> dict[str, Any]:
        """Return what is known of a new session."""
        return dict(attributes_of(new_session()))

    def test_each_call_is_a_child(self) -> None:
        """The parent is the session of the call, not that of the definition."""

        @session(parent=True)
        def work() -> str:
            known: str = attributes_of(current_session_id())["tracectrl.session.parent_id"]
            return known

        for sid in ("a", "b"):
            with session(sid):
                assert sid == work()

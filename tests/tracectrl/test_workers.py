"""tracectrl.workers: the session and the span follow the work."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import json
import multiprocessing
import pickle
import threading
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace

from tracectrl.session import current_session_id, session, set_session_id
from tracectrl.workers import (
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    carry,
    child_environment,
    pack,
    unpack,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def correlation() -> tuple[str | None, int]:
    """Return the current session ID and trace ID."""
    return current_session_id(), trace.get_current_span().get_span_context().trace_id


def in_new_thread(fn: Callable[[], Any]) -> Any:
    """Run *fn* in a thread of its own and return what it returned."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(fn()))
    thread.start()
    thread.join()
    return results[0]


class TestThreadPoolExecutor:
    """The standard executor, in the submitter's context."""

    def test_is_the_standard_one(self) -> None:
        """Wherever that one is asked for, this one does."""
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="mine") as pool:
            assert isinstance(pool, concurrent.futures.ThreadPoolExecutor)
            assert pool.submit(lambda: threading.current_thread().name).result().startswith("mine")

    def test_each_task_runs_where_it_was_submitted(self, tracer: trace.Tracer) -> None:
        """Two hundred sessions over four reused threads: none bleeds into another."""
        expected, futures = [], []
        with ThreadPoolExecutor(max_workers=4) as pool:
            for number in range(200):
                with session(f"s{number}"), tracer.start_as_current_span("submit"):
                    expected.append(correlation())
                    futures.append(pool.submit(correlation))
            futures.append(pool.submit(correlation))

        assert [*expected, (None, 0)] == [future.result() for future in futures]

    def test_what_a_task_sets_stays_in_it(self) -> None:
        """Neither the submitter nor the thread's next task sees it."""
        with ThreadPoolExecutor(max_workers=1) as pool:
            pool.submit(set_session_id, "task").result()
            assert pool.submit(current_session_id).result() is None
        assert current_session_id() is None

    def test_map_arguments_and_errors(self) -> None:
        """Map runs in the caller's session; arguments and exceptions pass through."""
        with session("s"), ThreadPoolExecutor(max_workers=2) as pool:
            assert ["s"] * 3 == list(pool.map(lambda _: current_session_id(), range(3)))
            assert 7 == pool.submit(int, "111", base=2).result()
            with pytest.raises(ZeroDivisionError):
                pool.submit(divmod, 1, 0).result()

    def test_an_argument_may_have_any_name(self) -> None:
        """Also the name of submit's own parameter."""

        def work(**kwargs: Any) -> dict[str, Any]:
            return kwargs

        with ThreadPoolExecutor(max_workers=1) as pool:
            assert {"fn": 1, "self": 2} == pool.submit(work, fn=1, self=2).result()


class TestCarry:
    """carry: a function bound to the session and span of now."""

    def test_into_a_thread(self, tracer: trace.Tracer) -> None:
        """It keeps them after the block has ended."""
        with session("s"), tracer.start_as_current_span("start"):
            expected = correlation()
            carried = carry(correlation)

        assert expected == in_new_thread(carried)
        assert ("correlation", None) == (carried.__name__, current_session_id())

    def test_runs_at_once_in_several_threads(self) -> None:
        """Each call has its own copy: no "cannot enter context", nothing left behind."""
        barrier = threading.Barrier(4)

        def work(number: int) -> tuple[str | None, int]:
            before = current_session_id()
            set_session_id(f"w{number}")
            barrier.wait(10)
            return before, number

        with session("s"):
            carried = carry(work)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            assert [("s", n) for n in range(4)] == list(pool.map(carried, range(4)))

    def test_inside_itself(self) -> None:
        """A carried function may call itself."""
        with session("s"):

            @carry
            def countdown(number: int) -> list[str | None]:
                return [current_session_id(), *countdown(number - 1)] if number else []

        assert ["s", "s", "s"] == countdown(3)

    async def test_a_coroutine_function_stays_one(self, tracer: trace.Tracer) -> None:
        """Its body runs in the session and trace, across awaits."""

        async def work(before: str) -> list[Any]:
            await asyncio.sleep(0)
            return [before, correlation()]

        with session("s"), tracer.start_as_current_span("start"):
            expected = correlation()
            carried = carry(work)

        assert inspect.iscoroutinefunction(carried)
        assert ["x", expected] == await carried("x")
        assert (None, 0) == correlation()

    def test_through_pickle(self, tracer: trace.Tracer) -> None:
        """What can be pickled continues the session and trace on the other side, also twice."""
        with session("s"), tracer.start_as_current_span("start"):
            expected = correlation()
            data = pickle.dumps(carry(correlation))

        for _ in range(2):
            received = pickle.loads(data)  # noqa: S301 - our own
            assert expected == received()
            assert "correlation" == received.__name__
            data = pickle.dumps(received)
        assert (None, 0) == correlation()


class TestProcesses:
    """Executors and children that are processes of their own."""

    def test_process_pool_executor(self) -> None:
        """Each task in the session it was submitted in."""
        context = multiprocessing.get_context("spawn")
        futures = []
        with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
            for sid in ("a", "b"):
                with session(sid):
                    futures.append(pool.submit(current_session_id))
            futures.append(pool.submit(current_session_id))

            assert ["a", "b", None] == [future.result() for future in futures]

    def test_the_environment_of_a_child(
        self, run_python: Callable[..., str], tracer: trace.Tracer
    ) -> None:
        """It continues the session, and knows the trace."""
        with session("sé"), tracer.start_as_current_span("start") as span:
            env = child_environment({"KEPT": "1", "TRACEPARENT": "old", "BAGGAGE": "old"})

        assert ("1", "sé") == (env["KEPT"], env["TRACECTRL_SESSION_ID"])
        assert f"{span.get_span_context().trace_id:032x}" in env["TRACEPARENT"]
        assert "BAGGAGE" not in env
        source = "from tracectrl.session import new_session; print(ascii(new_session()))"
        assert "'s\\xe9'\n" == run_python(source, **env)

    def test_the_environment_outside_a_session(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What it said of another session is left out; the rest is this process's."""
        monkeypatch.setenv("TRACECTRL_SESSION_ID", "old")
        monkeypatch.setenv("KEPT", "1")
        env = child_environment()

        assert "1" == env["KEPT"]
        assert not {"TRACECTRL_SESSION_ID", "TRACEPARENT"} & set(env)

    def test_a_session_that_no_environment_can_hold(self) -> None:
        """A NUL cannot be passed on; the child starts all the same."""
        with session("a\0b"):
            assert "TRACECTRL_SESSION_ID" not in child_environment({})


class TestPackAndUnpack:
    """The correlation in a message."""

    def test_through_json_and_a_thread(self, tracer: trace.Tracer) -> None:
        """The other side continues trace and session, and gets back what was there."""
        with session("sé"), tracer.start_as_current_span("send"):
            expected = correlation()
            message: dict[str, Any] = {"work": 1}
            packed = pack(message)
            text = json.dumps(packed)

        def receive() -> list[tuple[str | None, int]]:
            set_session_id("worker")
            received = json.loads(text)
            with unpack(received):
                inside = correlation()
            return [inside, correlation()]

        assert message is packed
        assert 1 == packed["work"]
        assert [expected, ("worker", 0)] == in_new_thread(receive)

    def test_without_a_session(self) -> None:
        """Nothing to carry is carried as nothing."""
        message: dict[str, Any] = pack({})
        json.dumps(message)

        with unpack(message):
            assert (None, 0) == correlation()

    def test_a_message_that_is_passed_on(self) -> None:
        """From a session it is packed anew; from outside any, by a retry, it keeps its own."""
        with session("first"):
            message: dict[str, Any] = pack({})
        pack(message)
        with unpack(message):
            assert "first" == current_session_id()
        with session("second"):
            pack(message)
        with unpack(message):
            assert "second" == current_session_id()

    @pytest.mark.parametrize(
        "message",
        [
            {},
            None,
            "text",
            [1],
            {"tracectrl": None},
            {"tracectrl": "text"},
            {"tracectrl": ["x"]},
            {"tracectrl": {}},
            {"tracectrl": {"traceparent": None, "x": {"y": 1}, "baggage": 7}},
        ],
    )
    def test_a_malformed_message_continues_nothing(self, message: Any) -> None:
        """No exception: it came from elsewhere."""
        with session("mine"), unpack(message):
            assert ("mine", 0) == correlation()

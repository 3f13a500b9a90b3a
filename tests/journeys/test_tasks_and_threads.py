"""Where the session follows by itself, where it is isolated, and hooks of a framework."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace

from tracectrl import context
from tracectrl.session import new_session, session

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("work")

pytestmark = pytest.mark.usefixtures("configured")


async def test_create_task(stored: Any) -> None:
    """A task is in the session it was created in, also after its creator moved on."""
    go_on = asyncio.Event()

    async def work() -> None:
        await go_on.wait()
        log.info("in %s", context.get())

    with session("s1"):
        task = asyncio.create_task(work())
    with session("s2"):
        go_on.set()
        await task
        log.info("in %s", context.get())
    assert {"s1": ["in s1"], "s2": ["in s2"]} == stored.messages("work")


async def test_gather(stored: Any) -> None:
    """Sessions that tasks set are their own; the gatherer's stays."""

    async def work(number: int) -> None:
        context.set(f"s{number}")
        await asyncio.sleep(0)
        log.info("%d", number)

    context.set("gatherer")
    await asyncio.gather(*map(work, range(10)))
    log.info("done")
    assert {f"s{n}": [str(n)] for n in range(10)} | {"gatherer": ["done"]} == (
        stored.messages("work")
    )


async def test_to_thread(stored: Any) -> None:
    """``asyncio.to_thread`` takes the session and the span along."""
    with session("s1"), trace.get_tracer("tests").start_as_current_span("outer") as span:
        await asyncio.to_thread(log.info, "on a thread")
    (row,) = stored.logs("work")["s1"]
    assert f"{span.get_span_context().span_id:016x}" == row["span_id"]


def test_new_thread_is_isolated(stored: Any) -> None:
    """A new thread is in no session until it starts one, which is its own."""
    sids: list[str] = []

    def work() -> None:
        log.info("outside")
        sids.append(new_session())
        log.info("inside")

    with session("s1"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        log.info("here")
    assert {"unknown": ["outside"], sids[0]: ["inside"], "s1": ["here"]} == (
        stored.messages("work")
    )


async def test_llm_hook(stored: Any) -> None:
    """A framework's hook reads the session and sets session.id on the current span."""

    async def before_llm_generate(llm: str, prompt: str, **kw: object) -> None:
        trace.get_current_span().set_attribute("session.id", context.get())
        log.info("generate", extra={"llm": llm, "prompt": prompt, **kw})

    async def generate(hook: Callable[..., Any], prompt: str) -> str:
        with trace.get_tracer("llm").start_as_current_span("generate"):
            await hook("gpt", prompt, temperature=0)
        return prompt.upper()

    with session("s1"):
        assert "HI" == await generate(before_llm_generate, "hi")
    ((row,), (span,)) = stored.logs("work")["s1"], stored.spans("llm")["s1"]
    assert ("gpt", "hi", 0) == (row["llm"], row["prompt"], row["temperature"])
    assert "s1" == span["attributes"]["session.id"]
    assert (span["trace_id"], span["span_id"]) == (row["trace_id"], row["span_id"])


async def test_hook_with_bind(stored: Any) -> None:
    """``bind`` hands the session to a hook that names it."""

    @context.bind
    async def before(llm: str, session_id: str | None = None) -> None:
        log.info("%s in %s", llm, session_id)

    with session("s1"):
        await before("gpt")
    assert {"s1": ["gpt in s1"]} == stored.messages("work")

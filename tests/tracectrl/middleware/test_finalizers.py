"""tracectrl.middleware.finalizers: asynchronous generators that nobody has closed."""

# ruff: noqa: ARG001 - the signatures are the protocol's

from __future__ import annotations

import asyncio
import gc
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.middleware import SessionMiddleware
from tracectrl.session import current_session_id, session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture(autouse=True)
def quiet_collector() -> Iterator[None]:
    """Let the collector run where a test says so, and nowhere else."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    yield
    if was_enabled:
        gc.enable()


async def ask(app: Any, sid: str) -> None:
    """Send one request to *app*."""

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        pass

    scope = {"type": "http", "path": "/", "headers": [(b"x-tracectrl-session", sid.encode())]}
    await app(scope, receive, send)


async def chunks(seen: list[str | None], held: list[Any] | None = None) -> AsyncIterator[bytes]:
    """Yield for as long as somebody listens."""
    try:
        while True:
            yield b"x"
    finally:
        seen.append(current_session_id())
        del held


async def test_collected_in_a_strangers_session() -> None:
    """The loop closes it later, in a task of its own, which is in no session."""
    seen: list[str | None] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        cycle: list[Any] = []
        generator = chunks(seen, cycle)
        cycle.append(generator)  # only the collector finds out that nobody has it
        await anext(generator)

    await ask(SessionMiddleware(app), "mine")
    with session("a stranger's"):
        gc.collect()
        for _ in range(3):
            await asyncio.sleep(0)

    assert [None] == seen


async def test_dropped_in_its_own_session() -> None:
    """Who drops the last reference to it by hand is whose session it is closed in."""
    seen: list[str | None] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await anext(chunks(seen))
        for _ in range(3):
            await asyncio.sleep(0)

    await ask(SessionMiddleware(app), "mine")

    assert ["mine"] == seen


async def test_the_hook_is_put_in_place_once() -> None:
    """However many requests come; the loop's own firstiter stays."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        pass

    before = sys.get_asyncgen_hooks()
    hooks = []
    for _ in range(2):
        await ask(SessionMiddleware(app), "mine")
        hooks.append(sys.get_asyncgen_hooks())

    assert hooks[0] == hooks[1]
    assert before.firstiter == hooks[0].firstiter


def test_the_loop_takes_it_away() -> None:
    """What was in place before the loop ran comes back when it ends."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        pass

    before = sys.get_asyncgen_hooks()

    asyncio.run(ask(SessionMiddleware(app), "mine"))

    assert before == sys.get_asyncgen_hooks()

"""Work handed to other processes: ``python processes.py HOW SESSION...``."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import sys
from typing import TYPE_CHECKING, Any

# Each process pays for the start of an interpreter: less what it can do without, it is half of that.
gc.disable()
sys.modules["rich"] = None  # type: ignore[assignment] # structlog imports it for a console

from cell import Meeting, tracer, work  # noqa: E402

from tracectrl.session import current_session_id, session  # noqa: E402
from tracectrl.workers import ProcessPoolExecutor, carry, child_environment  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

AT_A_TIME = max(2, os.cpu_count() or 1)


def pool(kind: str, ids: list[str]) -> None:
    """Submit a task from each session to two processes; wait for all of them at the end."""
    futures = []
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(kind)) as executor:
        for sid in ids:
            with session(sid), tracer.start_as_current_span("submit"):
                futures.append(executor.submit(work, "pool", sid))
        nobodys = executor.submit(current_session_id)
    for future in futures:
        future.result()
    assert None is nobodys.result()


def own_pool(kind: str, ids: list[str]) -> None:
    """Do the same with the pool of ``multiprocessing``, by each of its ways to take work."""
    with multiprocessing.get_context(kind).Pool(2) as executor:
        results: list[Any] = []
        for number, sid in enumerate(ids):
            with session(sid), tracer.start_as_current_span("submit"):
                if number % 2:
                    results.append(executor.apply_async(carry(work), ("own-pool", sid)))
                else:
                    results.append(executor.starmap_async(carry(work), [("own-pool", sid)]))
        nobodys = executor.apply(current_session_id)
        for result in results:
            result.get()
        executor.close()
        executor.join()
    assert None is nobodys


async def from_each(start: Callable[[str], Awaitable[int | None]], ids: list[str]) -> None:
    """Start a process from each session, all of which are under way at once in a task each.

    So many processes run at a time as the machine has room for. In tasks, since what threads do at
    the moment of a fork is for nobody to say.
    """
    meeting = Meeting(len(ids))
    room = asyncio.Semaphore(AT_A_TIME)

    async def in_session(sid: str) -> int | None:
        with session(sid), tracer.start_as_current_span("submit"):
            await meeting.join()
            async with room:
                return await start(sid)

    assert [0] * len(ids) == await asyncio.gather(*map(in_session, ids))


async def process(kind: str, ids: list[str]) -> None:
    """Have a process of ``multiprocessing`` work for each session."""
    context: Any = multiprocessing.get_context(kind)

    async def start(sid: str) -> int | None:
        child = context.Process(target=carry(work), args=("process", sid))
        child.start()
        while child.exitcode is None:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.005)
        code: int = child.exitcode
        return code

    await from_each(start, ids)


async def run(ids: list[str]) -> None:
    """Have a program work for each session."""
    source = "import processes, sys; processes.work('subprocess', sys.argv[1])"

    async def start(sid: str) -> int:
        command = [sys.executable, "-c", source, sid]
        child = await asyncio.create_subprocess_exec(*command, env=child_environment())
        return await child.wait()

    await from_each(start, ids)


if __name__ == "__main__":
    how, *sessions = sys.argv[1:]
    kind, _, what = how.partition("-")
    if kind == "subprocess":
        asyncio.run(run(sessions))
    elif what == "pool":
        pool(kind, sessions)
    elif what == "own_pool":
        own_pool(kind, sessions)
    else:
        asyncio.run(process(kind, sessions))

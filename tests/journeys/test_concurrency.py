"""Very many sessions at once: every session's file holds exactly its own lines."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from opentelemetry import trace

from tracectrl.session import session, set_session_id
from tracectrl.workers import ThreadPoolExecutor
from tracectrl_logging import configure

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger("work")
slog = structlog.get_logger("work")

TURNS = 3


def work(turn: int, sid: str) -> None:
    """Log *turn* of the session *sid* in both worlds."""
    log.info("stdlib", extra={"turn": turn, "of": sid})
    slog.info("structlog", turn=turn, of=sid)


@pytest.mark.parametrize("background", [False, True], ids=["synchronous", "background"])
async def test_all_at_once(root: Path, stored: Any, background: bool) -> None:  # noqa: FBT001
    """1,000 tasks, 200 threads and a pool: none lost, none of another's."""
    configuration = configure(root, console=None, spans=False, background=background)

    async def task(sid: str, pool: ThreadPoolExecutor) -> None:
        set_session_id(sid)
        for turn in range(TURNS):
            work(turn, sid)
            await asyncio.sleep(0)
        if sid.endswith("0"):
            await asyncio.wrap_future(pool.submit(work, TURNS, sid))

    def thread(sid: str) -> None:
        with session(sid):
            for turn in range(TURNS):
                work(turn, sid)

    tasks = [f"task-{number}" for number in range(1000)]
    names = [f"thread-{number}" for number in range(200)]
    threads = [threading.Thread(target=thread, args=(sid,)) for sid in names]
    with ThreadPoolExecutor(8) as pool:
        for one in threads:
            one.start()
        await asyncio.gather(*(task(sid, pool) for sid in tasks))
        for one in threads:
            one.join()
    configuration.shutdown()

    found = stored.logs("work")
    assert {*tasks, *names} == set(found)
    for sid, rows in found.items():
        turns = TURNS + (sid.startswith("task") and sid.endswith("0"))
        assert Counter(
            (message, turn, sid) for turn in range(turns) for message in ("stdlib", "structlog")
        ) == Counter((row["message"], row["turn"], row["of"]) for row in rows)


def test_pool_of_the_contract(root: Path, stored: Any) -> None:
    """tracectrl.workers.ThreadPoolExecutor: each task is in its submitter's session and span."""
    configure(root, console=None)
    spans: dict[str, str] = {}
    with ThreadPoolExecutor(4) as pool:
        for number in range(100):
            sid = f"s{number}"
            with session(sid), trace.get_tracer("tests").start_as_current_span("submit") as span:
                spans[sid] = f"{span.get_span_context().span_id:016x}"
                pool.submit(work, 0, sid)
    for sid, rows in stored.logs("work").items():
        assert [(sid, spans[sid])] * 2 == [(row["of"], row["span_id"]) for row in rows]
    assert spans.keys() == stored.logs("work").keys()


def test_sessions_with_spans_on_threads(root: Path, stored: Any) -> None:
    """50 threads with nested spans: logs and spans of a session share one trace."""
    configure(root, console=None)
    tracer = trace.get_tracer("tests")

    def thread(sid: str) -> None:
        with session(sid), tracer.start_as_current_span("outer"):
            work(0, sid)
            with tracer.start_as_current_span("inner"):
                work(1, sid)

    sids = [f"s{number}" for number in range(50)]
    threads = [threading.Thread(target=thread, args=(sid,)) for sid in sids]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    logs, spans = stored.logs("work"), stored.spans("tests")
    assert set(sids) == set(logs) == set(spans)
    traces = set()
    for sid in sids:
        inner, outer = spans[sid]
        assert ("inner", "outer", outer["span_id"]) == (
            inner["name"],
            outer["name"],
            inner["parent_span_id"],
        )
        assert [outer["span_id"]] * 2 + [inner["span_id"]] * 2 == [r["span_id"] for r in logs[sid]]
        traces |= {row["trace_id"] for row in (*logs[sid], *spans[sid])}
    assert 50 == len(traces)

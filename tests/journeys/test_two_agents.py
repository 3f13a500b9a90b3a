"""Agent A calls agent B over HTTP: one session and one trace on both sides."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import structlog
from fastapi import FastAPI, Request
from opentelemetry import trace

from tracectrl.context import extract_trace_headers, inject_trace_headers
from tracectrl.session import current_session_id, new_session, session, set_session_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

log_a = logging.getLogger("a")
log_b = logging.getLogger("b")

pytestmark = pytest.mark.usefixtures("configured")


def agent_b() -> FastAPI:
    """Return agent B."""
    app = FastAPI()

    @app.post("/work")
    async def work(request: Request) -> dict[str, str | None]:
        extract_trace_headers(request.headers)
        set_session_id(request.headers["X-TraceCtrl-Session"])
        with trace.get_tracer("b").start_as_current_span("b work"):
            log_b.info("working")
            structlog.get_logger("b").info("still working")
        log_b.info("after the span")
        return {"session": current_session_id()}

    @app.get("/else")
    def something_else() -> dict[str, str | None]:
        log_b.info("else")
        return {"session": current_session_id()}

    return app


def ask(url: str) -> str:
    """Be agent A: ask agent B at *url*, and return the session that it answers."""
    with trace.get_tracer("a").start_as_current_span("a asks"):
        log_a.info("asking")
        headers: dict[str, Any] = inject_trace_headers()
        headers["X-TraceCtrl-Session"] = current_session_id()
        answer = httpx.post(f"{url}/work", headers=headers)
    sid: str = answer.json()["session"]
    return sid


def test_session_and_trace_are_shared(
    serving: Callable[[Any], AbstractContextManager[str]], stored: Any
) -> None:
    """All of B's spans and lines are of A's session and trace, B's span below A's."""
    with serving(agent_b()) as url:
        sid = new_session()
        assert sid == ask(url)
    assert {sid: ["asking"]} == stored.messages("a")
    assert {sid: ["working", "still working", "after the span"]} == stored.messages("b")
    spans = {span["name"]: span for span in stored.spans("a", "b")[sid]}
    a, b = spans["a asks"], spans["b work"]
    assert (a["trace_id"], a["span_id"]) == (b["trace_id"], b["parent_span_id"])
    rows = stored.logs("a", "b")[sid]
    assert {a["trace_id"]} == {row["trace_id"] for row in rows}
    assert [a["span_id"], b["span_id"], b["span_id"], a["span_id"]] == [
        row["span_id"] for row in rows
    ]


def test_many_sessions(serving: Callable[[Any], AbstractContextManager[str]], stored: Any) -> None:
    """20 sessions one after the other: nobody's lines are another's, each has one trace."""
    sids = [f"s{number}" for number in range(20)]
    with serving(agent_b()) as url:
        for sid in sids:
            with session(sid):
                assert sid == ask(url)
        assert {"session": None} == httpx.get(f"{url}/else").json()
    expected = ["asking", "working", "still working", "after the span"]
    messages = stored.messages("a", "b")
    assert {**dict.fromkeys(sids, expected), "unknown": ["else"]} == messages
    traces = [
        {row["trace_id"] for row in (*stored.logs("a", "b")[sid], *stored.spans("a", "b")[sid])}
        for sid in sids
    ]
    assert [1] * 20 == [len(ids) for ids in traces]
    assert 20 == len(set.union(*traces))


@pytest.mark.parametrize("sid", ["user@example.com", "ünï 漢", "100%", "a\r\nX-Evil: 1", "a/../b"])
def test_session_ids_that_no_header_holds(
    serving: Callable[[Any], AbstractContextManager[str]], stored: Any, sid: str
) -> None:
    """Any ID crosses over where the headers are used as they come."""
    app = FastAPI()

    @app.post("/work")
    async def work(request: Request) -> dict[str, str | None]:
        extract_trace_headers(request.headers)
        log_b.info("working")
        return {"session": current_session_id()}

    with serving(app) as url, session(sid):
        answer = httpx.post(f"{url}/work", headers=inject_trace_headers())
    assert {"session": sid} == answer.json()
    assert {sid: ["working"]} == stored.messages("b")

"""Agent A: answers questions with the help of agent B, over HTTP."""

import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

import httpx
from fastapi import BackgroundTasks, FastAPI, Request, Response
from opentelemetry import trace

from tracectrl import context
from tracectrl.context import inject_trace_headers
from tracectrl.session import current_session_id
from tracectrl_logging import configure

configure(service_name="agent-a")
log = logging.getLogger("agent_a")
tracer = trace.get_tracer("agent_a")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Keep one client for agent B, whose URL is in AGENT_B_URL."""
    url = os.environ.get("AGENT_B_URL", "http://127.0.0.1:8002")
    async with httpx.AsyncClient(base_url=url, trust_env=False) as app.state.agent_b:
        yield


app = FastAPI(lifespan=lifespan)


@app.middleware("http")
async def set_session(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Run each request in the session that the client names, or in a new one."""
    context.set(request.headers.get("X-Session-Id", str(uuid4())))
    response = await call_next(request)
    response.headers["X-Session-Id"] = context.get()
    return response


@app.get("/ask")
async def ask(question: str, request: Request, tasks: BackgroundTasks) -> dict[str, object]:
    """Answer *question*: an ``async def`` endpoint, with a background task."""
    with tracer.start_as_current_span("ask"):
        log.info("asked: %s", question)
        headers = inject_trace_headers()
        headers["X-TraceCtrl-Session"] = current_session_id()
        response = await request.app.state.agent_b.get(
            "/facts", params={"question": question}, headers=headers
        )
        facts = response.raise_for_status().json()
        log.info("agent B knew %d facts", len(facts))
    tasks.add_task(remember, question)
    return {"session": context.get(), "facts": facts}


def remember(question: str) -> None:
    """Note *question* after the response is out, in a thread."""
    log.info("remembered: %s", question)


@app.get("/ping")
def ping() -> dict[str, str]:
    """Say who is asking: a plain ``def`` endpoint, which FastAPI runs in a thread."""
    with tracer.start_as_current_span("ping"):
        log.info("pinged")
    return {"session": context.get()}

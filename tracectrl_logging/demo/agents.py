"""Two agents that answer questions: a planner, and the researcher that it asks over HTTP.

``python -m tracectrl_logging.demo.agents NAME FD ROOT [URL]`` serves one of them on the listening
socket that it inherits as FD, until its standard input ends: an agent does not outlive the demo.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import AsyncIterator  # noqa: TC003 - FastAPI reads the annotations
from typing import Any

import httpx
import structlog
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from opentelemetry import trace

from tracectrl.context import extract_trace_headers, inject_trace_headers
from tracectrl_logging import configure

PLANNER, RESEARCHER = "planner", "researcher"

_SERVICE_UNAVAILABLE = 503
_IMPATIENT_EVERY = 4
# Newer releases of FastAPI trace requests by themselves; the demo looks the same with all of them.
_NO_SPANS: Any = {"tracing": False}
_tracer = trace.get_tracer(__name__)


def planner(researcher_url: str) -> FastAPI:
    """Return agent A. It logs through the standard library."""
    log = logging.getLogger(PLANNER)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Loopback: no proxy of the environment's stands between two agents on one machine.
        async with httpx.AsyncClient(
            base_url=researcher_url, trust_env=False, timeout=30
        ) as client:
            app.state.client = client
            yield

    app = FastAPI(lifespan=lifespan, telemetry=_NO_SPANS)

    @app.get("/health")
    async def health() -> dict[str, bool]:
        return {"ok": True}

    @app.post("/ask")
    async def ask(request: Request) -> dict[str, Any]:
        extract_trace_headers(request.headers)
        task = await request.json()
        with _tracer.start_as_current_span("answer", kind=trace.SpanKind.SERVER):
            log.info("question received: %s", task["question"])
            with _tracer.start_as_current_span("plan"):
                await asyncio.sleep(0.005)
                log.info("planned", extra={"steps": ["research", "compose"]})
            facts = await research(app.state.client, task)
            with _tracer.start_as_current_span("compose") as span:
                await asyncio.sleep(0.005)
                answer = f"{task['question']} {', '.join(facts)}."
                span.set_attribute("answer.length", len(answer))
                log.info("answered", extra={"facts": len(facts)})
        return {"answer": answer}

    async def research(client: httpx.AsyncClient, task: dict[str, Any]) -> list[str]:
        for attempt in (1, 2, 3):
            with _tracer.start_as_current_span(
                "POST /research", kind=trace.SpanKind.CLIENT
            ) as span:
                span.set_attribute("attempt", attempt)
                response = await client.post(
                    "/research", json={**task, "attempt": attempt}, headers=inject_trace_headers()
                )
                if response.status_code != _SERVICE_UNAVAILABLE:
                    return list(response.raise_for_status().json()["facts"])
                span.set_status(trace.StatusCode.ERROR, "researcher unavailable")
                log.error(
                    "the researcher answered %d: asking again",
                    response.status_code,
                    extra={"attempt": attempt},
                )
        return []

    return app


def researcher() -> FastAPI:
    """Return agent B. It logs through structlog."""
    log = structlog.get_logger(RESEARCHER)
    app = FastAPI(telemetry=_NO_SPANS)

    @app.get("/health")
    async def health() -> dict[str, bool]:
        return {"ok": True}

    @app.post("/research", response_model=None)
    async def research(request: Request) -> dict[str, Any] | JSONResponse:
        extract_trace_headers(request.headers)
        task = await request.json()
        with _tracer.start_as_current_span("research", kind=trace.SpanKind.SERVER):
            if task["number"] % _IMPATIENT_EVERY == 0 and task["attempt"] == 1:
                await log.awarning("too many questions at once", retry_after_s=0)
                return JSONResponse({"error": "busy"}, _SERVICE_UNAVAILABLE)
            log.info("looking up", question=task["question"])
            try:
                facts = await search(task["number"], patience_s=0.01)
            except TimeoutError:
                log.exception("a tool call failed", tool="search")
                facts = await search(task["number"], patience_s=30)
            log.info("found", facts=len(facts))
        return {"facts": facts}

    async def search(number: int, patience_s: float) -> list[str]:
        """Pretend to search: slower than the first call is patient."""
        with _tracer.start_as_current_span("tool search") as span:
            span.set_attribute("tool.name", "search")
            needed_s = 0.05 + 0.01 * (number % 5)
            await asyncio.sleep(min(needed_s, patience_s))
            if needed_s > patience_s:
                msg = f"search did not answer within {patience_s:g} s"
                raise TimeoutError(msg)
            return [f"fact {number + offset}" for offset in range(1 + number % 3)]

    return app


async def serve(app: FastAPI, listener: socket.socket) -> None:
    """Serve *app* on *listener* until standard input ends."""
    # log_config=None: uvicorn's own records go where all others go. Its access lines come after the
    # request's span has ended; the agents log what matters of a request themselves.
    config = uvicorn.Config(app, log_config=None, access_log=False, ws="none")
    server = uvicorn.Server(config)
    loop = asyncio.get_running_loop()

    def stop() -> None:
        loop.remove_reader(sys.stdin)
        server.should_exit = True

    loop.add_reader(sys.stdin, stop)
    await server.serve(sockets=[listener])


def main(name: str, fd: str, root: str, *urls: str) -> None:
    """Run the agent *name*."""
    configure(root, service_name=name, console=None)
    app = planner(*urls) if name == PLANNER else researcher()
    with socket.socket(fileno=int(fd)) as listener:
        asyncio.run(serve(app, listener))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Agent B: knows facts, and continues the session and the trace of whoever asks."""

import logging

from fastapi import FastAPI, Request
from opentelemetry import trace

from tracectrl.context import extract_trace_headers
from tracectrl.session import set_session_id
from tracectrl_logging import configure

configure(service_name="agent-b")
log = logging.getLogger("agent_b")
tracer = trace.get_tracer("agent_b")
app = FastAPI()


@app.get("/facts")
async def facts(question: str, request: Request) -> list[str]:
    """Return what there is to know about *question*."""
    extract_trace_headers(request.headers)
    set_session_id(request.headers["X-TraceCtrl-Session"])
    with tracer.start_as_current_span("facts"):
        log.info("looking for facts")
        if "weather" in question:
            log.warning("no source for the weather: guessing")
        return [f"{word} is a word" for word in question.split()]


@app.get("/health")
def health() -> dict[str, bool]:
    """Tell that the agent serves."""
    return {"ok": True}

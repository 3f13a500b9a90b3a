"""Conversations with an agent, each in its session: ``python app.py [CONVERSATION ...]``."""

import asyncio
import logging
import sys
from typing import Any

from host import LLM, Agent
from opentelemetry import trace

from tracectrl import context
from tracectrl.session import session
from tracectrl_logging import configure

log = logging.getLogger("conversation")
tracer = trace.get_tracer("conversation")


async def before_llm_generate(llm: LLM, prompt: str, **kw: Any) -> None:
    """Note what goes to the model; the session is the conversation's, however deep we are."""
    session_id = context.get()
    trace.get_current_span().set_attribute("session.id", session_id)
    log.info("prompt for %s", llm.name, extra={"prompt": prompt, **kw})


async def after_llm_generate(llm: LLM, reply: str, **kw: Any) -> None:
    """Note what comes from the model."""
    trace.get_current_span().add_event("reply", {"session.id": context.get(), "length": len(reply)})
    log.info("reply of %s", llm.name, extra={"length": len(reply), **kw})


def look_up(prompt: str) -> str:
    """Look something up: a tool, which runs in a thread."""
    with tracer.start_as_current_span("tool look_up"):
        log.info("looking up", extra={"query": prompt})
        return "42"


def make_agent() -> Agent:
    """Return an agent with a tool and a sub-agent that has hooks, too."""
    hooks = {"before": [before_llm_generate], "after": [after_llm_generate]}
    helper = Agent(LLM("small"), **hooks)
    return Agent(LLM("large"), tools={"look_up": look_up}, agents=[helper], **hooks)


async def converse(conversation: str) -> None:
    """Have a conversation, in the session called as it is."""
    with session(conversation), tracer.start_as_current_span("turn"):
        words = [word async for word in make_agent().run("what is the answer?", user="ada")]
        log.info("streamed", extra={"words": len(words)})


async def main(conversations: list[str]) -> None:
    """Have all *conversations* at once."""
    await asyncio.gather(*map(converse, conversations))


if __name__ == "__main__":
    configure(service_name="assistant", console=None)
    asyncio.run(main(sys.argv[1:] or ["conversation-1", "conversation-2"]))

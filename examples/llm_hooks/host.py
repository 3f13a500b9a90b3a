"""A small agent host, as a framework would bring it: a model, tools, sub-agents and hooks.

It knows nothing of sessions. The model is made up; it streams its reply word by word.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

Hook = Callable[..., Awaitable[None]]


@dataclass
class LLM:
    """A model that needs no network."""

    name: str

    async def stream(self, prompt: str) -> AsyncIterator[str]:
        """Yield the reply to *prompt* in pieces."""
        for word in f"{self.name} says: {prompt}".split():
            await asyncio.sleep(0)
            yield word


@dataclass
class Agent:
    """Answers prompts with a model, and asks tools and other agents first."""

    llm: LLM
    tools: dict[str, Callable[[str], str]] = field(default_factory=dict)
    agents: list["Agent"] = field(default_factory=list)
    before: list[Hook] = field(default_factory=list)
    after: list[Hook] = field(default_factory=list)

    async def run(self, prompt: str, **kw: Any) -> AsyncIterator[str]:
        """Yield the reply to *prompt* in pieces."""
        for hook in self.before:
            await hook(self.llm, prompt, **kw)
        known = [await asyncio.to_thread(tool, prompt) for tool in self.tools.values()]
        known += await asyncio.gather(*(_whole(agent.run(prompt, **kw)) for agent in self.agents))
        reply = []
        async for word in self.llm.stream(" ".join([prompt, *known])):
            reply.append(word)
            yield word
        for hook in self.after:
            await hook(self.llm, " ".join(reply), **kw)


async def _whole(words: AsyncIterator[str]) -> str:
    return " ".join([word async for word in words])

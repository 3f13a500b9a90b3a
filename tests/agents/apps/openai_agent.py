"""An agent on the ``openai`` client: ``openai_agent.py INSTRUMENTATION WHOLE SESSION...``.

For each session, all of them at once: a workflow streams a reply, and the first ``WHOLE`` of them
call a tool that the model asks for, ask sub-agents, and ask without streaming. The model is a stub
in this process.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
from typing import Any

from openai import AsyncOpenAI, OpenAI
from opentelemetry import trace

from tracectrl import context
from tracectrl.session import current_session_id, ensure_session, session
from tracectrl.workers import ThreadPoolExecutor
from tracectrl_logging import configure

log = logging.getLogger("agents")
tracer = trace.get_tracer("agents")
TOOLS: Any = [{"type": "function", "function": {"name": "look_up", "parameters": {}}}]


# --- the model ------------------------------------------------------------------------------------


def chunk(**delta: Any) -> bytes:
    """Return one event of a streamed reply."""
    choice = {"index": 0, "delta": delta, "finish_reason": delta.pop("finish", None)}
    event = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "stub"}
    return b"data: " + json.dumps({**event, "choices": [choice]}).encode() + b"\n\n"


def stream_of(question: str) -> list[bytes]:
    """Return the events of the reply to *question*."""
    if question == "use a tool":
        call = {"index": 0, "id": "call-1", "type": "function"}
        return [
            chunk(
                role="assistant",
                tool_calls=[{**call, "function": {"name": "look_up", "arguments": ""}}],
            ),
            chunk(tool_calls=[{"index": 0, "function": {"arguments": "{}"}}]),
            chunk(finish="tool_calls"),
        ]
    return [
        *(chunk(role="assistant", content=word) for word in question.split()),
        chunk(finish="stop"),
    ]


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer requests on one connection as the API does."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = next(
                int(line.split(b":")[1])
                for line in head.lower().splitlines()
                if line.startswith(b"content-length")
            )
            asked = json.loads(await reader.readexactly(length))
            question = asked["messages"][-1]["content"]
            if asked.get("stream"):
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                    b"Transfer-Encoding: chunked\r\n\r\n"
                )
                for event in [*stream_of(question), b"data: [DONE]\n\n"]:
                    writer.write(b"%x\r\n%b\r\n" % (len(event), event))
                    await writer.drain()
                    await asyncio.sleep(0.001)  # so that replies interleave
                writer.write(b"0\r\n\r\n")
                continue
            message = {"role": "assistant", "content": question}
            choices = [{"index": 0, "finish_reason": "stop", "message": message}]
            usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            reply = {"id": "1", "object": "chat.completion", "created": 1, "model": "stub"}
            body = json.dumps({**reply, "choices": choices, "usage": usage}).encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                % (len(body), body)
            )
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


def serve() -> str:
    """Run the model on a thread of its own; return its URL."""
    ports: list[int] = []
    listening = threading.Event()

    async def run() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
        listening.set()
        await server.serve_forever()

    threading.Thread(target=lambda: asyncio.run(run()), daemon=True).start()
    assert listening.wait(10)
    return f"http://127.0.0.1:{ports[0]}/v1"


# --- the agent ------------------------------------------------------------------------------------


def say(cell: str, expected: str) -> None:
    """Write a line that says which session it expects, as the hooks of a host framework do."""
    log.info("at work", extra={"cell": cell, "expected": expected, "hook": context.get()})


async def ask(client: AsyncOpenAI, question: str, expected: str) -> tuple[str, list[Any]]:
    """Stream one reply, a line for each part of it; return the text and the tool calls."""
    say("before_llm_generate", expected)
    reply: Any = await client.chat.completions.create(
        model="stub", messages=[{"role": "user", "content": question}], stream=True, tools=TOOLS
    )
    words, calls = [], []
    async for part in reply:
        say("part", expected)
        words.append(part.choices[0].delta.content or "")
        calls.extend(part.choices[0].delta.tool_calls or ())
    say("after_llm_generate", expected)
    return " ".join(words).strip(), calls


async def sub_agent(client: AsyncOpenAI, expected: str) -> None:
    """Do part of the work; a sub-agent makes sure of its session as a root does."""
    assert expected == ensure_session()
    with tracer.start_as_current_span("sub-agent"):
        assert ("from a sub-agent", []) == await ask(client, "from a sub-agent", expected)


async def first_step(client: AsyncOpenAI, sid: str) -> None:
    """Stream one reply in the session *sid*."""
    with session(sid), tracer.start_as_current_span("workflow"):
        assert ("one two three", []) == await ask(client, "one two three", sid)


async def workflow(client: AsyncOpenAI, other: OpenAI, tools: ThreadPoolExecutor, sid: str) -> None:
    """Do all of it in the session *sid*."""
    with session(sid), tracer.start_as_current_span("workflow"):
        assert ("one two three", []) == await ask(client, "one two three", sid)
        _, calls = await ask(client, "use a tool", sid)
        assert "look_up" == calls[0].function.name
        await asyncio.wrap_future(tools.submit(say, "tool", sid))
        await asyncio.gather(sub_agent(client, sid), asyncio.create_task(sub_agent(client, sid)))
        whole: Any = await client.chat.completions.create(
            model="stub", messages=[{"role": "user", "content": "not streamed"}]
        )
        assert "not streamed" == whole.choices[0].message.content
        in_thread: Any = await asyncio.to_thread(
            other.chat.completions.create,
            model="stub",
            messages=[{"role": "user", "content": "on a thread"}],
        )
        assert "on a thread" == in_thread.choices[0].message.content
        assert sid == current_session_id()


async def main(whole: int, ids: list[str]) -> None:
    """Run a workflow for each session, the first *whole* to their end; all at once."""
    url = serve()
    client = AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
    other = OpenAI(base_url=url, api_key="none", max_retries=0)
    with ThreadPoolExecutor(4) as tools:
        await asyncio.gather(
            *(workflow(client, other, tools, sid) for sid in ids[:whole]),
            *(first_step(client, sid) for sid in ids[whole:]),
        )
    await client.close()
    other.close()
    assert None is current_session_id()


if __name__ == "__main__":
    configure(console=None)
    if sys.argv[1] == "openai-v2":
        from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
    else:
        from openinference.instrumentation.openai import OpenAIInstrumentor  # type: ignore[assignment]
    OpenAIInstrumentor().instrument()
    asyncio.run(main(int(sys.argv[2]), sys.argv[3:]))

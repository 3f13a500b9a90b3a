"""An agent that is asked about the weather: ``genai_agent.py INSTRUMENTATION SESSION``.

The model is a stub in this process that speaks the OpenAI API on loopback: it asks for a tool, thinks,
and has cached a part of what it was told. What it has counted itself is printed as JSON. The same
program makes the recordings in ``tests/tracectrl_logging/reader/genai/recorded``.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry import trace

from tracectrl.log_exporter import FileLogRecordExporter
from tracectrl.processor import SessionLogRecordProcessor
from tracectrl.session import session
from tracectrl_logging import configure

MODEL = "gpt-4o-mini"
QUESTION = "What is the weather in Rome?"
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Return the weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
COUNTED: Counter[str] = Counter()


# --- the model ------------------------------------------------------------------------------------


def reply(asked: dict[str, Any]) -> dict[str, Any]:
    """Return what the API answers: a tool call first, then, behind its result, a text."""
    has_result = asked["messages"][-1]["role"] == "tool"
    calls = [
        {
            "id": "call_1",
            "type": "function",
            "function": {"name": "weather", "arguments": '{"city":"Rome"}'},
        }
    ]
    if has_result:
        message: dict[str, Any] = {"role": "assistant", "content": "It is sunny in Rome, 24 °C."}
        usage = (130, 40, 64, 25)
    elif asked.get("tools"):
        message = {"role": "assistant", "content": None, "tool_calls": calls}
        usage = (100, 20, 0, 0)
    else:
        message = {"role": "assistant", "content": "Rome: sunny, 24 °C."}
        usage = (30, 9, 0, 4)
    prompt, completion, cached, reasoning = usage
    COUNTED.update(
        model_calls=1,
        input_tokens=prompt,
        output_tokens=completion,
        cache_read_tokens=cached,
        reasoning_tokens=reasoning,
    )
    return {
        "id": f"chatcmpl-{COUNTED['model_calls']}",
        "object": "chat.completion",
        "created": 1,
        "model": f"{MODEL}-2024-07-18",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop" if has_result or not asked.get("tools") else "tool_calls",
                "message": message,
            }
        ],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": cached},
            "completion_tokens_details": {"reasoning_tokens": reasoning},
        },
    }


class Model(BaseHTTPRequestHandler):
    """Answers requests as the API does."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer one request."""
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        body = json.dumps(reply(asked)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


# --- the agents -----------------------------------------------------------------------------------


def weather(city: str) -> str:
    """Return the weather in a city."""
    return json.dumps({"city": city, "sky": "sunny", "celsius": 24})


def by_hand(url: str) -> None:
    """Do what an agent does, with the client alone."""
    from openai import OpenAI  # noqa: PLC0415 - what is instrumented before

    client = OpenAI(base_url=url, api_key="none", max_retries=0)
    messages: list[Any] = [
        {"role": "system", "content": "You are terse."},
        {"role": "user", "content": QUESTION},
    ]
    with trace.get_tracer("agents").start_as_current_span("workflow"):
        while True:
            answer: Any = client.chat.completions.create(
                model=MODEL, messages=messages, tools=[TOOL]
            )
            message = answer.choices[0].message
            messages.append(message.to_dict())
            if not message.tool_calls:
                break
            for call in message.tool_calls:
                with trace.get_tracer("agents").start_as_current_span("weather"):
                    result = weather(**json.loads(call.function.arguments))
                messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    client.close()


def pydantic_ai(url: str) -> None:
    """Have an agent of pydantic-ai ask another one, which is a tool of its own."""
    from openai import AsyncOpenAI  # noqa: PLC0415 - the framework that is asked for
    from pydantic_ai import Agent  # noqa: PLC0415
    from pydantic_ai.models.openai import OpenAIChatModel  # noqa: PLC0415
    from pydantic_ai.providers.openai import OpenAIProvider  # noqa: PLC0415

    client = AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
    model = OpenAIChatModel(MODEL, provider=OpenAIProvider(openai_client=client))
    forecaster = Agent(model, name="forecaster", instructions="You know the weather.")
    assistant = Agent(model, name="assistant", instructions="You are terse.")

    async def ask(city: str) -> str:
        return str((await forecaster.run(f"The weather in {city}?")).output)

    assistant.tool_plain(ask, name="weather")
    assistant.run_sync(QUESTION)


def openai_agents(url: str) -> None:
    """Have an agent of openai-agents ask another one, which is a tool of its own."""
    import agents  # noqa: PLC0415 - the framework that is asked for
    from openai import AsyncOpenAI  # noqa: PLC0415

    client = AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
    model = agents.OpenAIChatCompletionsModel(MODEL, client)
    forecaster = agents.Agent("forecaster", instructions="You know the weather.", model=model)

    async def ask(city: str) -> str:
        return str((await agents.Runner.run(forecaster, f"The weather in {city}?")).final_output)

    tool = agents.function_tool(ask, name_override="weather")
    assistant = agents.Agent("assistant", instructions="You are terse.", model=model, tools=[tool])
    agents.Runner.run_sync(assistant, QUESTION)


def instrumented(name: str) -> Any:
    """Instrument what *name* says; return the function that asks."""
    if name.startswith("openai-v2"):
        from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor  # noqa: PLC0415

        OpenAIInstrumentor().instrument()
        return by_hand
    if name == "openinference":
        from openinference.instrumentation.openai import (  # noqa: PLC0415
            OpenAIInstrumentor as OpenInference,
        )

        OpenInference().instrument()
        return by_hand
    if name == "openai-agents":
        import agents  # noqa: PLC0415
        from openinference.instrumentation.openai_agents import (  # noqa: PLC0415
            OpenAIAgentsInstrumentor,
        )

        OpenAIAgentsInstrumentor().instrument()
        agents.set_tracing_disabled(disabled=False)
        return openai_agents
    from pydantic_ai import Agent, InstrumentationSettings  # noqa: PLC0415

    # As it was before the sums of an agent got names of their own: on its span they look like a call's.
    Agent.instrument_all(InstrumentationSettings(use_aggregated_usage_attribute_names=False))
    return pydantic_ai


def events() -> None:
    """Have what instrumentations log go to their session's file."""
    from opentelemetry._logs import set_logger_provider  # noqa: PLC0415 - for one that needs it
    from opentelemetry.sdk._logs import LoggerProvider  # noqa: PLC0415
    from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor  # noqa: PLC0415

    provider = LoggerProvider()
    provider.add_log_record_processor(SessionLogRecordProcessor())
    provider.add_log_record_processor(SimpleLogRecordProcessor(FileLogRecordExporter()))
    set_logger_provider(provider)


def main(name: str, sid: str) -> None:
    """Ask the stub by the instrumentation *name* in the session *sid*."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    run = instrumented(name)
    with session(sid):
        run(f"http://127.0.0.1:{server.server_port}/v1")
    server.shutdown()
    sys.stdout.write(json.dumps(COUNTED))


if __name__ == "__main__":
    os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = (
        "event_only" if sys.argv[1] == "openai-v2-events" else "span_only"
    )
    os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "gen_ai_latest_experimental"
    configure(service_name="assistant", level="WARNING", console=None)
    if sys.argv[1] == "openai-v2-events":
        os.environ["OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT"] = "true"
        events()
    main(*sys.argv[1:])

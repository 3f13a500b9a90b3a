"""What instrumentations call the same things: one table, the newest name first.

The names are those of OpenTelemetry's GenAI conventions and of their earlier versions, of
OpenInference, and of OpenLLMetry where it differs.
https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
https://arize-ai.github.io/openinference/spec/semantic_conventions.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from typing import Final, TypeAlias

CallKind: TypeAlias = Literal["model", "tool", "agent"]
"""What a span is of."""

MARKS: Final = frozenset(
    {
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.system",
        "gen_ai.request.model",
        "openinference.span.kind",
        "llm.model_name",
        "llm.request.type",
        "traceloop.span.kind",
    }
)
"""Attributes of which each span of a model, a tool or an agent has one."""

KINDS: Final[dict[str, dict[str, CallKind]]] = {
    "gen_ai.operation.name": {
        "chat": "model",
        "generate_content": "model",
        "text_completion": "model",
        "completion": "model",
        "embeddings": "model",
        "execute_tool": "tool",
        "create_agent": "agent",
        "invoke_agent": "agent",
        "invoke_workflow": "agent",
    },
    "openinference.span.kind": {
        "LLM": "model",
        "EMBEDDING": "model",
        "TOOL": "tool",
        "AGENT": "agent",
    },
    "traceloop.span.kind": {"tool": "tool", "agent": "agent", "workflow": "agent"},
    "llm.request.type": {
        "chat": "model",
        "completion": "model",
        "embedding": "model",
        "rerank": "model",
    },
}
"""Attributes that say what a span is of, and their values."""

COUNTS: Final[dict[str, tuple[str, ...]]] = {
    "input_tokens": (
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.prompt_tokens",
        "llm.token_count.prompt",
        "llm.usage.prompt_tokens",
    ),
    "output_tokens": (
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "llm.token_count.completion",
        "llm.usage.completion_tokens",
    ),
    "cache_read_tokens": (
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.details.cache_read_tokens",
        "gen_ai.usage.details.cache_read_input_tokens",
        "gen_ai.usage.input_tokens.cached",
        "llm.token_count.prompt_details.cache_read",
        "llm.usage.cache_read_input_tokens",
    ),
    "cache_creation_tokens": (
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.details.cache_write_tokens",
        "gen_ai.usage.details.cache_creation_input_tokens",
        "gen_ai.usage.input_tokens.cache_write",
        "llm.token_count.prompt_details.cache_write",
        "llm.usage.cache_creation_input_tokens",
    ),
    "reasoning_tokens": (
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "gen_ai.usage.details.reasoning_tokens",
        "gen_ai.usage.output_tokens.reasoning",
        "llm.token_count.completion_details.reasoning",
        "llm.usage.reasoning_tokens",
    ),
}
"""Attributes that count tokens, by the fields of :class:`~tracectrl_logging.reader.genai.usage.Usage`."""

PROVIDER: Final = ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system")
RESPONSE_MODEL: Final = ("gen_ai.response.model", "llm.response.model_name", "llm.model_name")
REQUEST_MODEL: Final = ("gen_ai.request.model", "llm.request.model_name", "llm.model_name")
AGENT: Final = ("gen_ai.agent.name", "agent.name", "gen_ai.workflow.name", "traceloop.entity.name")
FINISH: Final = ("gen_ai.response.finish_reasons", "llm.finish_reason")

TOOL: Final = ("gen_ai.tool.name", "tool.name", "traceloop.entity.name")
CALL_ID: Final = ("gen_ai.tool.call.id", "tool_call.id", "tool.id")
ARGUMENTS: Final = (
    "gen_ai.tool.call.arguments",
    "tool_arguments",
    "input.value",
    "traceloop.entity.input",
)
RESULT: Final = (
    "gen_ai.tool.call.result",
    "tool_response",
    "output.value",
    "traceloop.entity.output",
)

SYSTEM: Final = ("gen_ai.system_instructions",)
INPUT: Final = ("gen_ai.input.messages", "gen_ai.prompt")
OUTPUT: Final = ("gen_ai.output.messages", "gen_ai.completion")
"""Messages as a list, or as the JSON text of one."""

INPUT_PREFIXES: Final = ("llm.input_messages.", "gen_ai.prompt.")
OUTPUT_PREFIXES: Final = ("llm.output_messages.", "gen_ai.completion.")
"""What stands before the number of a message where each part of one is an attribute."""

INPUT_TEXT: Final = ("input.value",)
OUTPUT_TEXT: Final = ("output.value",)
"""What went in and came out as one text, for lack of messages."""

EVENT_NAME: Final = "event.name"
DETAILS_EVENT: Final = "gen_ai.client.inference.operation.details"
CHOICE_EVENT: Final = "gen_ai.choice"
CONTENT_EVENTS: Final = {
    "gen_ai.content.prompt": ("gen_ai.prompt", False),
    "gen_ai.content.completion": ("gen_ai.completion", True),
}
"""Events whose attribute holds all messages, and whether these came out."""
MESSAGE_EVENTS: Final = {
    "gen_ai.system.message": "system",
    "gen_ai.developer.message": "developer",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
    CHOICE_EVENT: "assistant",
}
"""Events of one message each, and the role of it."""

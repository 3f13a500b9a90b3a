"""Tests of tracectrl_logging.reader.genai.messages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracectrl_logging.reader.genai import names
from tracectrl_logging.reader.genai.messages import Message, Part, inputs, of_event, outputs

ARGUMENTS = '{"city":"Rome"}'
USER = Message("user", (Part("text", "Hello"),))
CALL = Message("assistant", (Part("tool_call", {"city": "Rome"}, "weather", "c1"),))
RESULT = Message("tool", (Part("tool_result", {"celsius": 24}, "weather", "c1"),))

LATEST: list[dict[str, Any]] = [
    {"role": "user", "parts": [{"type": "text", "content": "Hello"}]},
    {
        "role": "assistant",
        "parts": [
            {"type": "tool_call", "id": "c1", "name": "weather", "arguments": {"city": "Rome"}}
        ],
    },
    {
        "role": "tool",
        "parts": [
            {
                "type": "tool_call_response",
                "id": "c1",
                "name": "weather",
                "response": {"celsius": 24},
            }
        ],
    },
]
OPENAI: list[dict[str, Any]] = [
    {"role": "user", "content": "Hello"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "c1",
                "function": {"name": "weather", "arguments": ARGUMENTS},
                "type": "function",
            }
        ],
    },
    {"role": "tool", "tool_call_id": "c1", "name": "weather", "content": '{"celsius": 24}'},
]
ANTHROPIC: list[dict[str, Any]] = [
    {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
    {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Rome"}}],
    },
    {
        "role": "tool",
        "content": [
            {
                "type": "tool_result",
                "tool_use_id": "c1",
                "name": "weather",
                "content": {"celsius": 24},
            }
        ],
    },
]
OPENINFERENCE = {
    "llm.input_messages.0.message.role": "user",
    "llm.input_messages.0.message.contents.0.message_content.type": "text",
    "llm.input_messages.0.message.contents.0.message_content.text": "Hello",
    "llm.input_messages.1.message.role": "assistant",
    "llm.input_messages.1.message.tool_calls.0.tool_call.id": "c1",
    "llm.input_messages.1.message.tool_calls.0.tool_call.function.name": "weather",
    "llm.input_messages.1.message.tool_calls.0.tool_call.function.arguments": ARGUMENTS,
    "llm.input_messages.2.message.role": "tool",
    "llm.input_messages.2.message.name": "weather",
    "llm.input_messages.2.message.tool_call_id": "c1",
    "llm.input_messages.2.message.content": '{"celsius": 24}',
    "input.value": "not needed",
}
OPENLLMETRY = {
    "gen_ai.prompt.0.role": "user",
    "gen_ai.prompt.0.content": "Hello",
    "gen_ai.prompt.1.role": "assistant",
    "gen_ai.prompt.1.tool_calls.0.id": "c1",
    "gen_ai.prompt.1.tool_calls.0.name": "weather",
    "gen_ai.prompt.1.tool_calls.0.arguments": ARGUMENTS,
    "gen_ai.prompt.2.role": "tool",
    "gen_ai.prompt.2.tool_call_id": "c1",
    "gen_ai.prompt.2.name": "weather",
    "gen_ai.prompt.2.content": '{"celsius": 24}',
}


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.input.messages": LATEST},
        {"gen_ai.input.messages": json.dumps(LATEST)},
        {"gen_ai.prompt": json.dumps(OPENAI)},
        {"gen_ai.input.messages": ANTHROPIC},
        OPENINFERENCE,
        OPENLLMETRY,
        {"input.value": json.dumps({"model": "m", "messages": OPENAI})},
    ],
)
def test_inputs(attributes: dict[str, Any]) -> None:
    """Messages mean the same in every form that they are recorded in, as JSON text or not."""
    assert [USER, CALL, RESULT] == inputs(attributes)


def test_many() -> None:
    """Numbered messages are in the order of their numbers, which is not that of their texts."""
    many = {f"gen_ai.prompt.{number}.content": str(number) for number in (10, 9, 2)}
    assert ["2", "9", "10"] == [message.parts[0].content for message in inputs(many)]


def test_system() -> None:
    """Instructions that stand apart come first."""
    attributes = {
        "gen_ai.system_instructions": '[{"type":"text","content":"Be terse."}]',
        "gen_ai.input.messages": LATEST[:1],
    }
    assert [Message("system", (Part("text", "Be terse."),)), USER] == inputs(attributes)


@pytest.mark.parametrize(
    ("attributes", "parts"),
    [
        (
            {
                "gen_ai.output.messages": [
                    {"parts": [{"type": "reasoning", "content": "Hm"}, {"type": "blob", "n": 1}]}
                ]
            },
            (Part("reasoning", "Hm"), Part("other", {"type": "blob", "n": 1})),
        ),
        ({"gen_ai.completion.0.content": "Hi"}, (Part("text", "Hi"),)),
        (
            {"output.value": {"choices": [{"index": 0, "message": {"content": "Hi"}}]}},
            (Part("text", "Hi"),),
        ),
        ({"output.value": "Hi"}, (Part("text", "Hi"),)),
        (
            {"gen_ai.output.messages": [{"role": "assistant", "reasoning_content": "Hm"}]},
            (Part("reasoning", "Hm"),),
        ),
    ],
)
def test_outputs(attributes: dict[str, Any], parts: tuple[Part, ...]) -> None:
    """What a model has made is the assistant's, where nothing else is said."""
    assert [Message("assistant", parts)] == outputs(attributes)


@pytest.mark.parametrize(
    ("name", "attributes", "body", "found", "is_output"),
    [
        ("gen_ai.user.message", {}, {"content": "Hello"}, USER, False),
        ("gen_ai.user.message", {"content": "Hello"}, None, USER, False),
        ("gen_ai.assistant.message", {}, OPENAI[1], CALL, False),
        (
            "gen_ai.tool.message",
            {},
            {"id": "c1", "name": "weather", "content": '{"celsius": 24}'},
            RESULT,
            False,
        ),
        ("gen_ai.choice", {}, {"index": 0, "message": OPENAI[1]}, CALL, True),
        ("gen_ai.choice", {"message": json.dumps(OPENAI[1])}, None, CALL, True),
        ("gen_ai.content.prompt", {"gen_ai.prompt": json.dumps(OPENAI[:1])}, None, USER, False),
    ],
)
def test_events(
    name: str, attributes: dict[str, Any], body: Any, found: Message, *, is_output: bool
) -> None:
    """Events of one message, of a span or as log records, hold it in attributes or in the body."""
    assert ([found], is_output) == of_event(name, attributes, body)


KEYS = sorted(
    {
        *OPENINFERENCE,
        *OPENLLMETRY,
        *names.INPUT,
        *names.OUTPUT,
        *names.SYSTEM,
        *(f"{prefix}0" for prefix in names.INPUT_PREFIXES),
        *(f"{prefix}0.content.x.y" for prefix in names.OUTPUT_PREFIXES),
        "llm.input_messages.",
        "llm.input_messages.99999999999999999999.message.role",
        *("input.value", "output.value", "content", "message"),
    }
)
WORDS = st.sampled_from(
    ["text", "tool_call", "tool_result", "reasoning", "tool_use", "{", "[1", "[]", "x", "\ud800"]
)
NAMES = st.sampled_from(
    [
        "role",
        "type",
        "parts",
        "content",
        "contents",
        "text",
        "tool_calls",
        "function",
        "name",
        "id",
        "function_call",
        "arguments",
        "tool_call_id",
        "message",
        "messages",
        "response",
    ]
)
HOSTILE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), HOSTILE, max_size=4), HOSTILE)
def test_hostile(attributes: dict[str, Any], body: Any) -> None:
    """Whatever stands where messages are expected, there are messages of parts, and no error."""
    events = [of_event(name, attributes, body)[0] for name in names.MESSAGE_EVENTS]
    of_body = of_event(body, attributes, body)[0]
    for messages in (inputs(attributes), outputs(attributes), of_body, *events):
        for message in messages:
            assert isinstance(message.role, str)
            assert message.parts
            assert all(isinstance(text, str) for it in message.parts for text in (it.name, it.id))


def test_deep_and_large() -> None:
    """Text nested as deeply as no parser goes is a text, and a megabyte of it is read."""
    deep = "[" * 100_000
    assert [Message("user", (Part("text", deep),))] == inputs({"gen_ai.input.messages": deep})
    large = "x" * 1_000_000
    assert large == inputs({"gen_ai.prompt.0.content": large})[0].parts[0].content

"""Tests of tracectrl_logging.reader.conversation, and of how it is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracectrl_logging import reader
from tracectrl_logging.cli.render.conversation import put
from tracectrl_logging.cli.render.screen import Screen
from tracectrl_logging.reader.conversation import Conversation
from tracectrl_logging.reader.genai.messages import Part
from tracectrl_logging.reader.model import Line

if TYPE_CHECKING:
    from tracectrl_logging.reader.conversation import Turn

RECORDED = Path(__file__).parent / "genai" / "recorded"

# Read by eye: what the program asked, what the stub answered, and nothing twice.
GOLDEN = {
    "openai-v2": """\
    0.001  system     You are terse.
    0.001  user       What is the weather in Rome?
    0.001  assistant  → weather {"city":"Rome"}
                      gpt-4o-mini-2024-07-18  100 in  20 out  14.3 ms
    0.016  tool       ← {"city":"Rome","sky":"sunny","celsius":24}
    0.016  assistant  It is sunny in Rome, 24 °C.
                      gpt-4o-mini-2024-07-18  130 in  40 out  50.8 ms
""",
    "openai-v2-events": """\
    0.001  system     You are terse.
    0.001  user       What is the weather in Rome?
    0.001  assistant  → weather {"city":"Rome"}
                      gpt-4o-mini-2024-07-18  100 in  20 out  15.9 ms
    0.017  tool       ← {"city":"Rome","sky":"sunny","celsius":24}
    0.017  assistant  It is sunny in Rome, 24 °C.
                      gpt-4o-mini-2024-07-18  130 in  40 out  46.2 ms
""",
    "openinference": """\
    0.043  system     You are terse.
    0.043  user       What is the weather in Rome?
    0.043  assistant  → weather {"city":"Rome"}
                      gpt-4o-mini-2024-07-18  100 in  20 out  22.2 ms
    0.069  tool       ← {"city":"Rome","sky":"sunny","celsius":24}
    0.069  assistant  It is sunny in Rome, 24 °C.
                      gpt-4o-mini-2024-07-18  130 in (64 cached)  40 out (25 reasoning)  47.6 ms
""",
    "openai-agents": """\
    0.002  agent      assistant
    0.002  system     You are terse.
    0.002  user       What is the weather in Rome?
    0.002  assistant  → weather {"city":"Rome"}
                      gpt-4o-mini  100 in  20 out  142 ms
    0.156  tool       → weather {"city":"Rome"}
                      ← Rome: sunny, 24 °C.
                      33.8 ms
    0.161  agent      │ forecaster
    0.161  system     │ You know the weather.
    0.161  user       │ The weather in Rome?
    0.161  assistant  │ Rome: sunny, 24 °C.
                      │ gpt-4o-mini  30 in  9 out  20.6 ms
    0.193  agent      assistant
    0.193  assistant  It is sunny in Rome, 24 °C.
                      gpt-4o-mini  130 in  40 out  24.8 ms
""",
    "pydantic-ai": """\
    0.005  agent      assistant
    0.005  system     You are terse.
    0.005  user       What is the weather in Rome?
    0.005  assistant  → weather {"city":"Rome"}
                      gpt-4o-mini-2024-07-18  100 in  20 out  68.6 ms
    0.076  tool       → weather {"city":"Rome"}
                      ← Rome: sunny, 24 °C.
                      57.4 ms
    0.081  agent      │ forecaster
    0.081  system     │ You know the weather.
    0.081  user       │ The weather in Rome?
    0.081  assistant  │ Rome: sunny, 24 °C.
                      │ gpt-4o-mini-2024-07-18  30 in  9 out (4 reasoning)  48.9 ms
    0.188  agent      assistant
    0.188  assistant  It is sunny in Rome, 24 °C.
                      gpt-4o-mini-2024-07-18  130 in (64 cached)  40 out (25 reasoning)  9.88 ms
""",
}


def of(name: str) -> Conversation:
    """Return a recorded conversation."""
    store = reader.open_store(RECORDED)
    return Conversation(lambda: store.read(name))


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A recorded conversation reads so: each message once, sub-agents below, tools with results."""
    assert put(of(name), Screen())
    head, counts, _, *said = capsys.readouterr().out.splitlines()
    assert name == head
    assert "model calls" in counts
    assert GOLDEN[name].splitlines() == said


@pytest.mark.parametrize("name", GOLDEN)
def test_rows(name: str) -> None:
    """What the replies of a conversation have used is what the session has used."""
    conversation = of(name)
    replies = [json.loads(json.dumps(turn.row())) for turn in conversation.turns()]
    for key in ("input_tokens", "output_tokens", "reasoning_tokens"):
        assert sum(row.get(key, 0) for row in replies) == getattr(conversation.summary, key)


def line(number: int, attributes: dict[str, Any], **more: Any) -> Line:
    """Return the line of a span that starts at second *number*."""
    time = f"2026-01-01T00:00:{number:02}.000000Z"
    row = {"name": "x", "trace_id": "t", "span_id": str(number), "start_time": time, **more}
    row |= {"duration_ns": 1000, "attributes": attributes}
    return Line("span", row, b"", time, "", 0, "s")


def chat(number: int, told: list[str], said: str, **more: Any) -> Line:
    """Return the line of a call that is *told* texts, the user's and the assistant's by turns."""
    roles = ("user", "assistant")
    messages = [{"role": roles[at % 2], "content": text} for at, text in enumerate(told)]
    output = [{"role": "assistant", "content": said}]
    attributes = {"gen_ai.input.messages": messages, "gen_ai.output.messages": output}
    return line(number, {"gen_ai.operation.name": "chat", **attributes}, **more)


def texts(*lines: Line) -> list[str]:
    """Return what is said in *lines*."""
    turns: list[Turn] = list(Conversation(lambda: lines).turns())
    return [part.content for turn in turns for part in turn.parts]


def test_history() -> None:
    """History is left out, a window over it too; what is said twice is there twice."""
    first = chat(1, ["yes"], "A")
    second = chat(2, ["yes", "A", "yes"], "B")
    third = chat(3, ["yes", "B", "no"], "C")
    assert ["yes", "A", "yes", "B", "no", "C"] == texts(first, second, third)


def test_agents() -> None:
    """Agents of one name are told apart by their runs, and what one is told is not another's history."""
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a"}
    lines = [
        line(1, {**agent, "gen_ai.agent.name": "main"}),
        line(2, agent, parent_span_id="1"),
        line(3, agent, parent_span_id="1"),
        chat(4, ["one"], "A", parent_span_id="2"),
        chat(5, ["two"], "B", parent_span_id="3"),
        chat(6, ["one"], "C", parent_span_id="1"),
    ]
    turns = list(Conversation(lambda: lines).turns())
    assert [("one", ("main", "a"), 1), ("two", ("main", "a"), 2), ("one", ("main",), 1)] == [
        (turn.parts[0].content, turn.agents, turn.run) for turn in turns if turn.kind == "message"
    ]


def test_inner_and_failed_calls() -> None:
    """A call that two instrumentations record is there once; one that failed says so."""
    outer = chat(1, ["hello"], "", status="ERROR", status_message="no")
    inner = chat(2, ["hello"], "", parent_span_id="1", status="ERROR", status_message="quota")
    (told, reply) = Conversation(lambda: [outer, inner]).turns()
    assert ((Part("text", "hello"),), "quota") == (told.parts, reply.error)


def test_records() -> None:
    """Log records of one message each go with their call's span, or stand alone without one."""

    def record(number: int, name: str, body: Any, **more: Any) -> Line:
        time = f"2026-01-01T00:00:{number:02}.000000Z"
        row = {"timestamp": time, "message": body, "event.name": name, "gen_ai.system": "openai"}
        row |= more
        return Line("log", {**row, "trace_id": "t", "span_id": "1"}, b"", time, "", 0, "s")

    records = [
        record(2, "gen_ai.user.message", {"content": "hello"}),
        record(3, "gen_ai.choice", {"index": 0, "message": {"content": "hi"}}),
    ]
    span = line(1, {"gen_ai.system": "openai", "gen_ai.request.model": "m"})
    told, reply = Conversation(lambda: [span, *records]).turns()
    assert ("hello", "hi", "m") == (told.parts[0].content, reply.parts[0].content, reply.model)
    told, reply = Conversation(lambda: records).turns()
    assert ("hello", "hi", "") == (told.parts[0].content, reply.parts[0].content, reply.model)
    (told,) = Conversation(
        lambda: [record(2, "gen_ai.user.message", "gen_ai.user.message", content="hi")]
    ).turns()
    assert [Part("text", "hi")] == list(told.parts)
    (reply,) = Conversation(lambda: [span]).turns()
    assert ("m", ()) == (reply.model, reply.parts)


def test_no_answer(capsys: pytest.CaptureFixture[str]) -> None:
    """A call that has not ended is there, with what it was asked, and says that there is no answer."""
    call = chat(1, ["hello"], "", state="open")
    del call.row["attributes"]["gen_ai.output.messages"], call.row["duration_ns"]
    assert put(Conversation(lambda: [call]), Screen())
    *_, told, answer = capsys.readouterr().out.splitlines()
    assert ("hello", "no answer") == (told.split()[-1], answer[-9:])


def test_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing that is said, and no name, reaches a terminal as an escape sequence."""
    bad = "\x1b[2J\n\x07x"
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": bad}
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": bad, "input.value": bad}
    said = [{"role": bad, "parts": [{"type": "text", "content": bad}]}]
    model = {"gen_ai.request.model": bad, "gen_ai.input.messages": said}
    lines = [line(1, agent), line(2, tool), line(3, model, parent_span_id="1")]
    assert put(Conversation(lambda: lines), Screen())
    assert {"\n"} == {char for char in capsys.readouterr().out if ord(char) < ord(" ")}


ANY = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.lists(st.none())
FIELDS = st.sampled_from(
    [
        "gen_ai.operation.name",
        "gen_ai.input.messages",
        "gen_ai.tool.name",
        "gen_ai.agent.name",
        "gen_ai.response.finish_reasons",
        "gen_ai.request.model",
        "llm.finish_reason",
    ]
)
ATTRIBUTES = st.dictionaries(FIELDS, ANY | st.sampled_from(["chat", "execute_tool"]))
ROWS = st.fixed_dictionaries(
    {"attributes": ATTRIBUTES | ANY},
    optional=dict.fromkeys(
        ("trace_id", "span_id", "parent_span_id", "name", "events", "_otlp"), ANY
    )
    | {"status": st.just("ERROR"), "event.name": st.just("gen_ai.choice") | ANY, "message": ANY},
)


@settings(max_examples=100, deadline=None)
@given(st.lists(ROWS, max_size=4))
def test_hostile(rows: list[dict[str, Any]]) -> None:
    """Whatever the lines hold, there are turns that are JSON, and no error."""
    lines = [Line("span" if at % 2 else "log", row, b"", "", "", 0) for at, row in enumerate(rows)]
    for turn in Conversation(lambda: lines).turns():
        json.dumps(turn.row())

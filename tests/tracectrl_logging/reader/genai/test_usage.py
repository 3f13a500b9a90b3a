"""Tests of tracectrl_logging.reader.genai.usage."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracectrl_logging import reader
from tracectrl_logging.reader.genai.names import COUNTS
from tracectrl_logging.reader.genai.usage import UsageSum, kind_of, price, usage_of

RECORDED = Path(__file__).parent / "recorded"
ONE = {"model_calls": 2, "input_tokens": 230, "output_tokens": 60}
TWO = {"model_calls": 3, "input_tokens": 260, "output_tokens": 69}

COUNTED = {
    # What the stub of tests/agents/apps/genai_agent.py counted in the recorded runs, as far as the
    # instrumentation records it at all.
    "openai-v2": ONE,
    "openai-v2-events": ONE,
    "openinference": {**ONE, "cache_read_tokens": 64, "reasoning_tokens": 25},
    "openai-agents": TWO,
    "pydantic-ai": {**TWO, "cache_read_tokens": 64, "reasoning_tokens": 29},
}
NONE = dict.fromkeys((*COUNTS, "model_calls"), 0)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def span(name: str, parent: str | None = None, **attributes: Any) -> dict[str, Any]:
    """Return the line of a span whose ID is *name*."""
    named = {key.replace("__", "."): value for key, value in attributes.items()}
    ids = {"trace_id": "1", "span_id": name, **({"parent_span_id": parent} if parent else {})}
    return {"name": name, **ids, "attributes": named}


def chat(name: str, parent: str | None = None, tokens: int = 10) -> dict[str, Any]:
    """Return the line of a call that has used so many tokens."""
    counts = {"gen_ai__usage__input_tokens": tokens, "gen_ai__usage__output_tokens": 1}
    return span(name, parent, gen_ai__operation__name="chat", **counts)


def summed(*rows: dict[str, Any]) -> tuple[int, int]:
    """Return how many calls and input tokens *rows* are."""
    usage = UsageSum()
    for row in rows:
        usage.add(row)
    totals = usage.totals()
    return totals.model_calls, totals.usage.input_tokens


@pytest.mark.parametrize("name", COUNTED)
def test_recorded(name: str) -> None:
    """The sums of recorded runs are what the model that answered has counted."""
    (found,) = [it for it in reader.sessions(RECORDED) if it.session_id == name]
    counts = {key: getattr(found, key) for key in NONE}
    assert {**NONE, **COUNTED[name]} == counts


AGENT: dict[str, Any] = {
    "gen_ai__operation__name": "invoke_agent",
    "gen_ai__usage__input_tokens": 30,
}
NESTED = [
    span("root"),
    span("agent", "root", **AGENT),
    span("step", "agent"),
    chat("call", "step", 10),
    chat("outer", "step", 20),
    span("between", "outer"),
    chat("inner", "between", 20),
]


@settings(max_examples=30)
@given(st.permutations(NESTED[3:]))
def test_leaves(rows: list[dict[str, Any]]) -> None:
    """What a span repeats of the calls below it counts once, in any order that spans come in."""
    assert (2, 30) == summed(*NESTED[:3], *rows)
    assert (2, 30) == summed(*rows, *reversed(NESTED[:3]))


def test_agent_without_calls() -> None:
    """An agent whose calls are recorded nowhere counts with what it says itself."""
    assert (0, 30) == summed(span("agent", **AGENT))
    below = span("call", "agent", gen_ai__operation__name="chat")
    assert (1, 30) == summed(span("agent", **AGENT), below)


def test_same_ids() -> None:
    """A span that is stored twice counts once, spans without an ID count each, a cycle has an end."""
    assert (1, 10) == summed(chat("a"), chat("a"))
    bare = chat("a")
    del bare["span_id"]
    assert (2, 20) == summed(bare, bare)
    summed(chat("a", "b"), chat("b", "a"))


@pytest.mark.parametrize(
    ("value", "counted"),
    [
        *((12, 12), (12.0, 12), ("12", 12), (0, 0)),
        *((None, None), (-1, None), (1.5, None), (True, None), ("-3", None), ("x", None)),
        *((value, None) for value in (float("nan"), float("inf"), 10**40, "9" * 99, [1])),
    ],
)
def test_counts(value: object, counted: int | None) -> None:
    """A count is a whole number that is not negative; nothing else is taken for one."""
    found = usage_of({"gen_ai.usage.input_tokens": value})
    assert counted == (None if found is None else found.input_tokens)


@pytest.mark.parametrize("field", COUNTS)
def test_names(field: str) -> None:
    """Each of the names of a count is read; of several the newest counts."""
    for name in COUNTS[field]:
        found = usage_of({name: 3})
        assert found is not None
        assert 3 == getattr(found, field)
    both = usage_of({name: number for number, name in enumerate(COUNTS[field])})
    assert both is not None
    assert 0 == getattr(both, field)


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({"gen_ai.operation.name": "chat"}, "model"),
        ({"gen_ai.operation.name": "execute_tool", "gen_ai.request.model": "m"}, "tool"),
        ({"gen_ai.operation.name": "retrieval", "gen_ai.request.model": "m"}, None),
        ({"gen_ai.system": "openai", "gen_ai.request.model": "m"}, "model"),
        ({"openinference.span.kind": "CHAIN"}, None),
        ({"openinference.span.kind": "AGENT"}, "agent"),
        ({"traceloop.span.kind": "tool"}, "tool"),
        ({"llm.request.type": "completion"}, "model"),
        ({"gen_ai.operation.name": ["chat"]}, None),
    ],
)
def test_kinds(attributes: dict[str, Any], kind: str | None) -> None:
    """A span is of a model, a tool or an agent by what any of the conventions says."""
    assert kind == kind_of(attributes)


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from([*sum(COUNTS.values(), ()), "gen_ai.system"]), JSON))
def test_hostile(attributes: dict[str, Any]) -> None:
    """Whatever stands where a count is expected, the sums are counts."""
    usage = UsageSum()
    usage.add({"name": "x", "span_id": "1", "attributes": attributes})
    totals = usage.totals()
    assert all(type(number) is int and number >= 0 for number in totals.usage)


def test_price() -> None:
    """A call of a known model has a price, cached tokens a lower one; an unknown model has none."""
    pytest.importorskip("genai_prices", reason="it is the extra genai")
    plain = usage_of({"gen_ai.usage.input_tokens": 1000})
    cached = usage_of({"gen_ai.usage.input_tokens": 1000, "llm.usage.cache_read_input_tokens": 900})
    beside = usage_of({"gen_ai.usage.input_tokens": 100, "llm.usage.cache_read_input_tokens": 900})
    assert plain is not None
    assert cached is not None
    assert beside is not None
    costs = [price("openai", "gpt-4o-mini", it) for it in (plain, cached, beside)]
    assert costs[1] == costs[2]
    assert None not in costs
    assert 0 < costs[1] < costs[0]  # type: ignore[operator]
    assert price("openai", "nobody's", plain) is None
    assert price("", "", plain) is None


@pytest.mark.one_python
def test_without_prices() -> None:
    """Where the extra is missing there is no cost, and nothing else is."""
    code = (
        "import sys; sys.modules['genai_prices'] = None\n"
        "from tracectrl_logging import reader\n"
        f"print([(it.model_calls, it.cost_usd) for it in reader.sessions({str(RECORDED)!r})])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[(3, None), (3, None), (2, None), (2, None), (2, None)]" == done.stdout.strip()

"""The matrix, tokens: what is read of spans equals what the model that answered has counted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tracectrl_logging import reader
from tracectrl_logging.reader.conversation import Conversation

pytest.importorskip("openai", reason="it is what is tested")

AGENT = str(Path(__file__).parent / "apps" / "genai_agent.py")


@pytest.mark.parametrize(
    ("name", "module", "unrecorded"),
    [
        (
            "openai-v2",
            "opentelemetry.instrumentation.openai_v2",
            {"cache_read_tokens", "reasoning_tokens"},
        ),
        (
            "openai-v2-events",
            "opentelemetry.instrumentation.openai_v2",
            {"cache_read_tokens", "reasoning_tokens"},
        ),
        ("openinference", "openinference.instrumentation.openai", set()),
        ("pydantic-ai", "pydantic_ai", set()),
    ],
)
def test_tokens(root: Path, name: str, module: str, unrecorded: set[str]) -> None:
    """Calls and tokens are the stub's own, as far as the instrumentation records them."""
    pytest.importorskip(module, reason="it is what records")
    done = subprocess.run(
        [sys.executable, AGENT, name, "weather"],
        env={**os.environ, "TRACECTRL_TRACE_DIR": str(root), "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (0, "") == (done.returncode, done.stderr)
    counted = json.loads(done.stdout)
    (found,) = (it for it in reader.sessions(root) if it.session_id == "weather")
    assert {key: 0 if key in unrecorded else number for key, number in counted.items()} == {
        key: getattr(found, key) for key in counted
    }
    store = reader.open_store(root)
    turns = list(Conversation(lambda: store.read("weather")).turns())
    replies = [turn for turn in turns if turn.kind == "reply"]
    assert counted["model_calls"] == len(replies)
    assert "It is sunny in Rome, 24 °C." == replies[-1].parts[0].content
    asked = [part.content for turn in turns for part in turn.parts if turn.role == "user"]
    assert 1 == asked.count("What is the weather in Rome?")

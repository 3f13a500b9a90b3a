"""The matrix, OpenAI: spans of the instrumentations that people use, in their session's file."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.files import log_path, span_path

pytest.importorskip("openai", reason="it is what is tested")

if TYPE_CHECKING:
    from collections.abc import Callable

AGENT = str(Path(__file__).parent / "apps" / "openai_agent.py")
SESSIONS = 200
WHOLE = 20  # of these do the whole workflow, the others its first step

# A streamed reply of three words and an end.
FIRST = {"before_llm_generate": 1, "part": 4, "after_llm_generate": 1}
# Four streamed replies, one of them a tool call in two parts; the other two have no parts.
ALL = {"before_llm_generate": 4, "part": 4 + 3 + 4 + 4, "after_llm_generate": 4, "tool": 1}


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("openai-v2", "opentelemetry.instrumentation.openai_v2"),
        ("openinference", "openinference.instrumentation.openai"),
    ],
)
def test_streams_tools_and_sub_agents_keep_the_session(
    root: Path, read_lines: Callable[..., list[dict[str, Any]]], name: str, module: str
) -> None:
    """Nothing but the workflow's root says which session it is, and nothing mints a second one."""
    pytest.importorskip(module, reason="it is the instrumentation")
    ids = [str(uuid.uuid4()) for _ in range(SESSIONS)]

    done = subprocess.run(
        [sys.executable, AGENT, name, str(WHOLE), *ids],
        env={**os.environ, "TRACECTRL_TRACE_DIR": str(root), "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
    paths = [path(sid, root) for sid in ids for path in (log_path, span_path)]
    foreign = {path.name for path in root.iterdir()} - {Path(path).name for path in paths}
    assert set() == {name for name in foreign if not name.startswith("unknown.logs")}
    for number, sid in enumerate(ids):
        rows = [row for row in read_lines(log_path(sid, root)) if "expected" in row]
        assert {(sid, sid, sid)} == {
            (row["session_id"], row["expected"], row["hook"]) for row in rows
        }
        lines, own, theirs = (ALL, 3, 6) if number < WHOLE else (FIRST, 1, 1)
        assert lines == Counter(row["cell"] for row in rows)
        spans = read_lines(span_path(sid, root))
        assert {(sid, 1)} == {
            (row["session_id"], len({each["trace_id"] for each in spans})) for row in spans
        }
        assert {True: own, False: theirs} == Counter(row["scope"] == "agents" for row in spans)

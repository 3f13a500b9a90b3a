"""examples/llm_hooks: hooks of a host that knows nothing of sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def test_the_whole_conversation_is_in_its_session(
    run_example: Callable[..., dict[str, Any]],
) -> None:
    """Agent, sub-agent, tool and streamed reply keep the root's session and trace."""
    conversations = [f"c-{number}" for number in range(20)]
    files = run_example("llm_hooks/app.py", *conversations)
    assert sorted(f"{sid}.{kind}.jsonl" for sid in conversations for kind in ("logs", "spans")) == (
        list(files)
    )
    for sid in conversations:
        logs, spans = files[f"{sid}.logs.jsonl"], files[f"{sid}.spans.jsonl"]
        assert [
            "prompt for large",
            "looking up",
            "prompt for small",
            "reply of small",
            "reply of large",
            "streamed",
        ] == [row["message"] for row in logs]
        assert {sid} == {row["session_id"] for row in [*logs, *spans]}
        assert 1 == len({row["trace_id"] for row in [*logs, *spans]})
        assert ["tool look_up", "turn"] == [span["name"] for span in spans]
        assert {sid} == {span["attributes"]["session.id"] for span in spans}
        replies = [event["attributes"]["session.id"] for event in spans[1]["events"]]
        assert [sid, sid] == replies

"""examples/background_worker: pools, threads and a queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def test_each_line_is_in_the_right_session(run_example: Callable[..., dict[str, Any]]) -> None:
    """Requests keep their work; the worker that one of them starts belongs to none."""
    files = run_example("background_worker/app.py")
    requests = [f"request-{number}" for number in range(5)]
    assert [
        *(f"{sid}.{kind}.jsonl" for sid in requests for kind in ("logs", "spans")),
        "unknown.logs.jsonl",
    ] == list(files)
    for number, sid in enumerate(requests):
        logs, spans = files[f"{sid}.logs.jsonl"], files[f"{sid}.spans.jsonl"]
        assert {
            "request received",
            "resized page 0",
            "resized page 1",
            "resized page 2",
            "notified after 3 pages",
            "job done",
        } == {row["message"] for row in logs}
        assert [number] == [row["job"] for row in logs if "job" in row]
        assert 1 == len({row["trace_id"] for row in [*logs, *spans]})
        root_span = next(span for span in spans if span["name"] == "request")
        assert {root_span["span_id"]} == {
            span["parent_span_id"] for span in spans if span is not root_span
        }
    unknown = files["unknown.logs.jsonl"]
    assert ["worker started", "worker stopped"] == [row["message"] for row in unknown]
    assert not any("trace_id" in row for row in unknown)

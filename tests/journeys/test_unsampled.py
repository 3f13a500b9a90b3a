"""Unsampled requests: no spans are stored, and yet every line is correlated."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased

from tracectrl.context import extract_trace_headers, inject_trace_headers
from tracectrl.session import session
from tracectrl_logging import configure

if TYPE_CHECKING:
    from pathlib import Path

    from opentelemetry.sdk.trace.sampling import Sampler


@pytest.mark.parametrize("sampler", [ALWAYS_OFF, ParentBased(ALWAYS_OFF)], ids=["off", "parent"])
def test_ids_without_spans(root: Path, stored: Any, sampler: Sampler) -> None:
    """With a sampler that is off lines keep their IDs, and no ID is all zeros."""
    trace.set_tracer_provider(TracerProvider(sampler=sampler, shutdown_on_exit=False))
    configure(root, console=None)
    with session("s1"):
        logging.getLogger("work").info("before")
        with trace.get_tracer("tests").start_as_current_span("outer") as outer:
            logging.getLogger("work").info("stdlib")
            with trace.get_tracer("tests").start_as_current_span("inner") as inner:
                structlog.get_logger("work").info("structlog")
    assert {} == stored.spans("tests", "b")
    before, one, two = stored.logs("work")["s1"]
    assert 5 == len(before)
    for row, span in ((one, outer), (two, inner)):
        ids = span.get_span_context()
        assert not ids.trace_flags.sampled
        assert [f"{ids.trace_id:032x}", f"{ids.span_id:016x}", f"{ids.trace_flags:02x}"] == [
            row[key] for key in ("trace_id", "span_id", "trace_flags")
        ]
    assert one["trace_id"] == two["trace_id"]


def test_across_a_process(root: Path, stored: Any) -> None:
    """An unsampled caller's trace goes on, unsampled, on the other side."""
    trace.set_tracer_provider(
        TracerProvider(sampler=ParentBased(ALWAYS_OFF), shutdown_on_exit=False)
    )
    configure(root, console=None)
    with session("s1"), trace.get_tracer("a").start_as_current_span("asks") as span:
        headers: dict[str, str] = inject_trace_headers()
    extract_trace_headers(headers)
    with trace.get_tracer("b").start_as_current_span("works"):
        logging.getLogger("work").info("hello")
    (row,) = stored.logs("work")["s1"]
    assert f"{span.get_span_context().trace_id:032x}" == row["trace_id"]
    assert {} == stored.spans("tests", "b")


def test_no_provider_at_all(root: Path, stored: Any) -> None:
    """Without the SDK's provider there are no spans, and no IDs of spans."""
    configure(root, console=None, spans=False)
    with session("s1"), trace.get_tracer("tests").start_as_current_span("work"):
        logging.getLogger("work").info("hello")
    assert [5] == [len(row) for row in stored.logs("work")["s1"]]

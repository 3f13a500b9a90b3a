"""tracectrl.spans.watch: spans that have been open for a while."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from tracectrl.exporter import FileSpanExporter
from tracectrl.files import span_path
from tracectrl.processor import SessionSpanProcessor, stamp_span
from tracectrl.session import session

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

THREAD = "tracectrl-open-spans"


def provider_for(exporter: FileSpanExporter, kind: Any = SimpleSpanProcessor) -> TracerProvider:
    """Return a provider that stamps spans and hands them to *exporter*."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SessionSpanProcessor())
    provider.add_span_processor(kind(exporter))
    return provider


def stored(root: Path, sid: str = "s") -> list[dict[str, Any]]:
    """Return the lines in the span file of a session, none where it is not there."""
    try:
        text = span_path(sid, root).read_text("utf-8")
    except FileNotFoundError:
        return []
    whole = text[: text.rfind("\n") + 1]  # who reads may come in the middle of a write
    return [json.loads(line) for line in whole.splitlines()]


def states(root: Path, sid: str = "s") -> list[tuple[str, str | None]]:
    """Return the names and states in the span file of a session."""
    return [(row["name"], row.get("state")) for row in stored(root, sid) if "name" in row]


def until(holds: Callable[[], object]) -> None:
    """Wait for *holds* to hold, for ten seconds at most."""
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def threads() -> set[threading.Thread]:
    """Return the threads that look at open spans; those of other tests may end at any time."""
    return {thread for thread in threading.enumerate() if thread.name == THREAD}


@pytest.mark.parametrize("kind", [SimpleSpanProcessor, BatchSpanProcessor])
@pytest.mark.parametrize("form", ["flat", "otlp"])
def test_a_span_that_stays_open_is_written_once_before_its_end(
    root: Path, kind: Any, form: Any
) -> None:
    """Its line says what is known so far and whose it is; that of the end follows as ever."""
    exporter = FileSpanExporter(root, open_spans_after_s=0.01, format=form, service_name="shop")
    provider = provider_for(exporter, kind)
    tracer = provider.get_tracer("scope")
    with session("s"), tracer.start_as_current_span("outer"):
        span = tracer.start_span("inner", kind=trace.SpanKind.CLIENT, attributes={"a": 1})
        span.add_event("begun")
        until(lambda: len(stored(root)) == 2)
        row = stored(root)[1]
        span.set_attribute("a", 2)
        span.end()
    provider.shutdown()
    assert [("outer", "open"), ("inner", "open")] == states(root)[:2]
    assert 4 == len(stored(root))
    assert {"end_time", "duration_ns", "status", "status_message"}.isdisjoint(row)
    context = span.get_span_context()
    assert f"{context.span_id:016x}" == row["span_id"]
    assert stored(root)[0]["span_id"] == row["parent_span_id"]
    assert row["start_time"] < row["observed_time"]
    assert ("CLIENT", "s", "shop", "scope") == tuple(
        row[key] for key in ("kind", "session_id", "service", "scope")
    )
    assert {"a": 1, "session.id": "s"} == row["attributes"]
    assert ["begun"] == [event["name"] for event in row["events"]]
    assert os.getpid() == row["process.pid"]
    assert row["process.lock"]


def test_a_short_span_has_one_line(root: Path) -> None:
    """Spans that end sooner are written when they end, and once."""
    exporter = FileSpanExporter(root, open_spans_after_s=30)
    tracer = provider_for(exporter).get_tracer("scope")
    with session("s"):
        for _ in range(100):
            tracer.start_span("short").end()
    exporter.shutdown()
    assert [("short", None)] * 100 == states(root)


def test_zero_writes_at_the_start_and_needs_no_thread(root: Path) -> None:
    """The line is there when the span has started, in the session that it is in."""
    exporter = FileSpanExporter(root, open_spans_after_s=0)
    before = threads()
    with session("s"):
        span = provider_for(exporter).get_tracer("scope").start_span("at once")
    assert [("at once", "open")] == states(root)
    span.end()
    assert [("at once", "open"), ("at once", None)] == states(root)
    assert not threads() - before


def test_none_writes_ends_alone(root: Path) -> None:
    """Without it a span has one line, and there is no thread."""
    exporter = FileSpanExporter(root, open_spans_after_s=None)
    before = threads()
    with session("s"), provider_for(exporter).get_tracer("scope").start_as_current_span("x"):
        assert not threads() - before
    assert [("x", None)] == states(root)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (-1, "open_spans_after_s must be 0 (at once) or more seconds, or None, got -1"),
        (float("inf"), "open_spans_after_s must be 0 (at once) or more seconds, or None, got inf"),
        ("1", "open_spans_after_s must be a number of seconds or None, got str '1'"),
        (True, "open_spans_after_s must be a number of seconds or None, got bool True"),
    ],
)
def test_a_time_that_is_none_is_refused(root: Path, value: Any, error: str) -> None:
    """The message says what must be, and what was got."""
    with pytest.raises((ValueError, TypeError)) as raised:
        FileSpanExporter(root, open_spans_after_s=value)
    assert error == str(raised.value)


def test_two_processors_write_one_line(root: Path) -> None:
    """An exporter that several processors tell of a span writes it once."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SessionSpanProcessor())
    provider.add_span_processor(SimpleSpanProcessor(FileSpanExporter(root, open_spans_after_s=0)))
    provider.add_span_processor(SessionSpanProcessor())
    with session("s"):
        provider.get_tracer("scope").start_span("x")
    assert [("x", "open")] == states(root)


def test_each_exporter_has_the_spans_of_its_own_provider(tmp_path: Path) -> None:
    """A span is written where its end will be: to the exporters of its provider."""
    places = [tmp_path / "a", tmp_path / "b"]
    tracers = [
        provider_for(FileSpanExporter(place, open_spans_after_s=0)).get_tracer("scope")
        for place in places
    ]
    with session("s"):
        for number, tracer in enumerate(tracers):
            tracer.start_span(str(number))
    assert [[("0", "open")], [("1", "open")]] == [states(place) for place in places]


def test_a_span_that_is_not_sampled_is_not_written(root: Path) -> None:
    """What has no line at its end has none before."""
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    provider.add_span_processor(SessionSpanProcessor())
    provider.add_span_processor(SimpleSpanProcessor(FileSpanExporter(root, open_spans_after_s=0)))
    with session("s"):
        provider.get_tracer("scope").start_span("x").end()
    assert [] == stored(root)


def test_a_span_that_ends_in_another_session_is_taken_back(root: Path) -> None:
    """The open line of a span that gets its session later does not count where it was written."""
    exporter = FileSpanExporter(root, open_spans_after_s=0)
    span = provider_for(exporter).get_tracer("scope").start_span("late")
    stamp_span(span, "s")
    span.end()
    assert [("late", "open"), ("late", "void")] == states(root, "unknown")
    assert [("late", None)] == states(root)


def test_redacted_attributes_are_not_on_the_open_line(root: Path) -> None:
    """What is left out of the line of the end is left out of the open one."""
    exporter = FileSpanExporter(root, open_spans_after_s=0, redact=["secret"])
    provider_for(exporter).get_tracer("scope").start_span("x", attributes={"secret": "s", "b": 1})
    (row,) = stored(root, "unknown")
    assert {"secret": "[redacted]", "b": 1} == row["attributes"]


def test_many_open_spans_take_one_thread(root: Path) -> None:
    """However many spans are open, one thread looks at them."""
    exporter = FileSpanExporter(root, open_spans_after_s=0.01)
    tracer = provider_for(exporter).get_tracer("scope")
    before = threads()
    with session("s"):
        spans = [tracer.start_span(str(number)) for number in range(500)]
    until(lambda: len(stored(root)) == len(spans))
    assert 1 == len(threads() - before)
    for span in spans:
        span.end()
    assert 2 * len(spans) == len(stored(root))
    exporter.shutdown()
    until(lambda: not threads() - before)


def test_an_exporter_that_was_shut_down_looks_again(root: Path) -> None:
    """A span that starts after a shutdown is watched like those before; earlier ones are forgotten."""
    exporter = FileSpanExporter(root, open_spans_after_s=0.02)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SessionSpanProcessor(exporter))
    tracer = provider.get_tracer("scope")
    with session("s"):
        tracer.start_span("before")
        exporter.shutdown()
        span = tracer.start_span("after")
    until(lambda: stored(root))
    span.end()
    assert [("after", "open")] == states(root)
    exporter.shutdown()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_a_thread_of_its_own(root: Path) -> None:
    """A child writes its own open spans, and none of its parent's."""
    exporter = FileSpanExporter(root, open_spans_after_s=0.05)
    tracer = provider_for(exporter).get_tracer("scope")
    with session("s"):
        span = tracer.start_span("parent's")
        child = os.fork()
        if not child:
            signal.alarm(10)
            try:
                with session("child"):
                    tracer.start_span("child's")
                until(lambda: stored(root, "child"))
                time.sleep(0.1)
            finally:
                os._exit(0)
    os.waitpid(child, 0)
    until(lambda: stored(root))
    span.end()
    assert [("child's", "open")] == states(root, "child")
    assert [("parent's", "open"), ("parent's", None)] == states(root)
    lines = [stored(root, sid)[0] for sid in ("s", "child")]
    assert [os.getpid(), child] == [line["process.pid"] for line in lines]
    assert 2 == len({line["process.lock"] for line in lines})


def test_an_end_during_the_writing_comes_behind(root: Path) -> None:
    """Spans that end just as they are written have the line of the end last, or alone."""
    exporter = FileSpanExporter(root, open_spans_after_s=0.01)
    tracer = provider_for(exporter).get_tracer("scope")

    def work() -> None:
        with session("s"):
            for number in range(60):
                span = tracer.start_span("x")
                time.sleep(0.0098 + number * 0.00001)
                span.end()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    exporter.shutdown()
    last = {row["span_id"]: row.get("state") for row in stored(root)}
    assert {None} == set(last.values())
    assert 240 == len(last)


WAITS = """
import os, sys, threading, time
from opentelemetry import trace
from tracectrl.session import session
from tracectrl_logging import configure

configure(sys.argv[1], console=None, open_spans_after_s=0.001)
with session("s"):
    spans = [trace.get_tracer("t").start_span("x") for _ in range(2000)]
    time.sleep(0.005)
"""


def test_the_end_of_the_program_is_not_held_up(root: Path) -> None:
    """A program that ends in the middle of the writing ends at once, with whole lines."""
    started = time.monotonic()
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(WAITS), str(root)], check=True, timeout=60
    )
    assert time.monotonic() - started < 20
    assert all(row["state"] == "open" for row in stored(root))

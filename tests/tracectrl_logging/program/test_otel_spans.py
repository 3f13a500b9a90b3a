"""The tracer provider of a captured program is in force, and its spans are in the session's file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.tracectrl_logging.conftest import Twins

SID = "session-1"


def test_spans_of_a_program_without_a_provider(twins: Twins) -> None:
    """The API alone is enough; lines carry the span's IDs, threads the program's session."""
    source = """
        import logging, threading
        from opentelemetry import trace
        tracer = trace.get_tracer("app")
        def work():
            with tracer.start_as_current_span("in a thread"):
                logging.getLogger("app").warning("x")
        thread = threading.Thread(target=work); thread.start(); thread.join()
        print(type(trace.get_tracer_provider()).__name__)
    """
    twins.same(source, OTEL_SERVICE_NAME="shop")
    [span], [row] = twins.spans(), twins.logs()
    assert ("in a thread", SID, "shop") == (span["name"], span["session_id"], span["service"])
    assert (span["trace_id"], span["span_id"], "shop") == (
        row["trace_id"],
        row["span_id"],
        row["service"],
    )


def test_provider_of_the_program_is_in_force(twins: Twins) -> None:
    """A provider that is set late serves the tracers made before, and its spans are captured."""
    source = """
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
        early = trace.get_tracer("early")
        provider = TracerProvider()
        show = lambda span: f"{span.name} of {span.instrumentation_scope.name}\\n"
        provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=show)))
        trace.set_tracer_provider(provider)
        trace.set_tracer_provider(TracerProvider())
        for tracer in (early, trace.get_tracer("late")):
            with tracer.start_as_current_span("work"): pass
        print(trace.get_tracer_provider() is provider)
    """
    done = twins.same(source)
    assert "work of early\nwork of late\nTrue\n" == done.stdout
    assert "Overriding of current TracerProvider is not allowed\n" == done.stderr
    assert ["early", "late"] == [span["scope"] for span in twins.spans()]
    assert {SID} == {span["attributes"]["session.id"] for span in twins.spans()}


def test_providers_of_others_are_told_by_identity(twins: Twins) -> None:
    """One without a hash, that stands before another, or that raises: each runs as without us."""
    source = """
        import logging
        from dataclasses import dataclass
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        @dataclass
        class Before(trace.TracerProvider):
            provider: TracerProvider
            def set_provider(self, provider): self.provider = provider
            def get_tracer(self, *args, **kwargs): return self.provider.get_tracer(*args, **kwargs)
            def add_span_processor(self, processor): self.provider.add_span_processor(processor)
        before = Before(TracerProvider())
        trace.set_tracer_provider(before)
        with before.get_tracer("t").start_as_current_span("one"): pass
        before.set_provider(TracerProvider())
        with before.get_tracer("t").start_as_current_span("two"): pass
    """
    twins.same(source)
    assert ["one", "two"] == [span["name"] for span in twins.spans()]


def test_provider_that_takes_no_processor_is_said_in_a_line(twins: Twins) -> None:
    """The program runs on; the line names the provider and what it raised."""
    source = """
        from opentelemetry import trace
        class Refuses(trace.NoOpTracerProvider):
            def add_span_processor(self, processor): raise RuntimeError("no")
        trace.set_tracer_provider(Refuses())
        with trace.get_tracer("t").start_as_current_span("one"): print("ran")
    """
    twins.write(source)
    done = twins.run("program.py")
    assert (0, "ran\n") == (done.returncode, done.stdout)
    assert (
        "tracectrl-logs run: the spans of the tracer provider Refuses are not captured:"
        " RuntimeError('no')\n"
    ) == done.stderr

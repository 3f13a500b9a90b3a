"""tracectrl.processor: the session on every span."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry._logs import Logger, LogRecord
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from tracectrl.processor import SessionLogRecordProcessor, SessionSpanProcessor, session_of
from tracectrl.session import (
    SESSION_KEY,
    current_session_id,
    detached,
    ensure_session,
    session,
    set_session_attributes,
    set_session_id,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Spans:
    """A provider with the processor, and what it exports."""

    def __init__(self, processor: SessionSpanProcessor | None = None, **options: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False, **options)
        self.provider.add_span_processor(processor or SessionSpanProcessor())
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("tests")

    def __getitem__(self, name: str) -> ReadableSpan:
        (span,) = (span for span in self.exporter.get_finished_spans() if span.name == name)
        return span

    def session(self, name: str) -> tuple[Any, str | None]:
        """Return the attribute and the session of the span *name*; they are to agree."""
        span = self[name]
        return (span.attributes or {}).get("session.id"), session_of(span)


@pytest.fixture
def spans() -> Iterator[Spans]:
    """Return a provider that keeps its spans in memory."""
    spans = Spans()
    yield spans
    spans.provider.shutdown()


def in_new_thread(fn: Callable[[], None]) -> None:
    """Run *fn* in a thread of its own."""
    thread = threading.Thread(target=fn)
    thread.start()
    thread.join()


class TestWhichSession:
    """The current one, else the parent context's, else the parent span's."""

    def test_the_current_one(self, spans: Spans) -> None:
        """At the span's start; what comes later does not change it."""
        with session("s"):
            span = spans.tracer.start_span("span")
        with session("later"):
            span.end()

        assert ("s", "s") == spans.session("span")

    def test_none(self, spans: Spans) -> None:
        """No attribute: never "unknown"."""
        spans.tracer.start_span("span").end()

        assert (None, None) == spans.session("span")

    def test_one_set_within_the_trace(self, spans: Spans) -> None:
        """The current session wins over the parent span's."""
        with session("a"), spans.tracer.start_as_current_span("parent"), session("b"):
            spans.tracer.start_span("child").end()

        assert ("b", "b") == spans.session("child")
        assert ("a", "a") == spans.session("parent")

    def test_of_the_given_parent_context(self, spans: Spans) -> None:
        """A context that a propagator has extracted, and that nobody made current."""
        extracted = otel_context.set_value(SESSION_KEY, "remote")
        spans.tracer.start_span("span", context=extracted).end()

        assert ("remote", "remote") == spans.session("span")

    def test_of_the_parent_span(self, spans: Spans) -> None:
        """Outside any session: the parent is in the context alone."""
        with session("s"):
            parent = spans.tracer.start_span("parent")
        with trace.use_span(parent, end_on_exit=True):
            spans.tracer.start_span("child").end()

        assert ("s", "s") == spans.session("child")

    def test_on_another_thread(self, spans: Spans) -> None:
        """With the parent's context passed along, two generations deep."""
        with session("s"), spans.tracer.start_as_current_span("parent") as parent:
            context = trace.set_span_in_context(parent, otel_context.Context())

            def work() -> None:
                with spans.tracer.start_as_current_span("child", context=context):
                    spans.tracer.start_span("grandchild").end()

            in_new_thread(work)

        assert ("s", "s") == spans.session("child") == spans.session("grandchild")

    def test_after_the_parent_ended(self, spans: Spans) -> None:
        """The child belongs to its parent's session still, whatever the limits did to that."""
        spans = Spans(span_limits=SpanLimits(max_span_attributes=2))
        with session("s"):
            parent = spans.tracer.start_span("parent")
        for number in range(5):
            parent.set_attribute(f"k{number}", number)
        parent.end()
        context = trace.set_span_in_context(parent)
        spans.tracer.start_span("child", context=context).end()

        assert ("s", "s") == spans.session("parent") == spans.session("child")

    def test_the_span_that_is_current_says_it(self, spans: Spans) -> None:
        """In code that got the span and not the session, as MCP's own propagation makes it."""
        remote = otel_context.set_value(SESSION_KEY, "theirs")
        other = otel_context.set_value(SESSION_KEY, "another")
        with spans.tracer.start_as_current_span("server", context=remote):
            assert "theirs" == current_session_id()
            assert "theirs" == ensure_session()
            set_session_id("own")
            assert "own" == current_session_id()
        with session("own"), spans.tracer.start_as_current_span("owned"):
            pass
        with detached(), spans.tracer.start_as_current_span("server2", context=remote):
            with spans.tracer.start_as_current_span("another", context=other):
                assert "another" == current_session_id()
            with detached():
                assert current_session_id() is None

        assert ("theirs", "theirs") == spans.session("server")
        assert ("own", "own") == spans.session("owned")
        assert ("another", "another") == spans.session("another")

    def test_given_at_the_start(self, spans: Spans) -> None:
        """An explicit session.id stays, and is the session; the children follow."""
        with session("s"):
            parent = spans.tracer.start_span("parent", attributes={"session.id": "explicit"})
        parent.end()
        spans.tracer.start_span("child", context=trace.set_span_in_context(parent)).end()

        assert ("explicit", "explicit") == spans.session("parent") == spans.session("child")

    def test_a_given_one_that_is_no_string(self, spans: Spans) -> None:
        """Its text is the session."""
        spans.tracer.start_span("span", attributes={"session.id": 7}).end()

        attribute, found = spans.session("span")
        assert ("7", "7") == (str(attribute), found)

    def test_overwritten_on_purpose(self, spans: Spans) -> None:
        """The attribute is the application's to change."""
        with session("s"), spans.tracer.start_as_current_span("span") as span:
            span.set_attribute("session.id", "other")

        assert "other" == spans.session("span")[0]

    def test_set_later_on_a_span_without_one(self, spans: Spans) -> None:
        """A hook that sets session.id on the current span."""
        with spans.tracer.start_as_current_span("span") as span:
            set_session_id("s")
            span.set_attribute("session.id", "s")

        assert ("s", "s") == spans.session("span")

    def test_detached(self, spans: Spans) -> None:
        """A worker's spans are nobody's."""
        with session("s"), spans.tracer.start_as_current_span("parent"), detached():
            spans.tracer.start_span("worker").end()

        assert (None, None) == spans.session("worker")


class TestLimits:
    """The SDK's limits do not touch the session."""

    @pytest.fixture(autouse=True)
    def _quiet(self) -> None:
        """Spare the SDK's warning for each attribute past the limit."""
        logging.getLogger("opentelemetry.attributes").setLevel(logging.ERROR)

    def test_five_hundred_attributes(self, spans: Spans) -> None:
        """The span keeps session.id beside the newest 128, and what it dropped is known."""
        with session("s"), spans.tracer.start_as_current_span("span") as span:
            for number in range(500):
                span.set_attribute(f"k{number}", number)

        found = dict(spans["span"].attributes or {})
        assert "s" == found.pop("session.id")
        assert {f"k{number}": number for number in range(372, 500)} == found
        assert 373 == spans["span"].dropped_attributes

    def test_the_length_of_values(self) -> None:
        """A long ID is not truncated."""
        spans = Spans(span_limits=SpanLimits(max_attribute_length=10))
        sid = "0123456789abcdef"
        with session(sid), spans.tracer.start_as_current_span("span") as span:
            span.set_attribute("other", sid)

        assert (sid, sid) == spans.session("span")
        assert "0123456789" == (spans["span"].attributes or {})["other"]

    def test_no_attributes_at_all(self) -> None:
        """A limit of zero leaves session.id alone."""
        spans = Spans(span_limits=SpanLimits(max_span_attributes=0))
        with session("s"), spans.tracer.start_as_current_span("span") as span:
            span.set_attribute("other", 1)

        assert {"session.id": "s"} == dict(spans["span"].attributes or {})

    def test_the_attributes_stay_immutable(self) -> None:
        """What is put in their place is as theirs was."""
        spans = Spans(span_limits=SpanLimits(max_span_attributes=1))
        with session("s"), spans.tracer.start_as_current_span("span") as span:
            span.set_attribute("other", 1)

        with pytest.raises(TypeError):
            spans["span"].attributes["x"] = 1  # type: ignore[index]


class TestLogRecords:
    """The session on the SDK's own log records."""

    @pytest.fixture
    def exporter(self) -> InMemoryLogRecordExporter:
        """Return what keeps the records."""
        return InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]

    @pytest.fixture
    def logger(self, exporter: InMemoryLogRecordExporter) -> Logger:
        """Return a logger of the SDK that stamps and keeps its records."""
        provider = LoggerProvider(shutdown_on_exit=False)
        provider.add_log_record_processor(SessionLogRecordProcessor())
        provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
        return provider.get_logger("t")

    def test_current_none_and_given(
        self, logger: Logger, exporter: InMemoryLogRecordExporter
    ) -> None:
        """The current session's; none outside; a given one stays."""
        with session("s"):
            logger.emit(LogRecord(body="1", attributes={"kept": 1}))
            logger.emit(LogRecord(body="2", attributes={"session.id": "given"}))
        with session("t"):
            logger.emit(LogRecord(body="3"))
        logger.emit(LogRecord(body="4", attributes={"kept": 1}))

        found = [dict(d.log_record.attributes or {}) for d in exporter.get_finished_logs()]
        expected = [
            {"kept": 1, "session.id": "s"},
            {"session.id": "given"},
            {"session.id": "t"},
            {"kept": 1},
        ]
        assert expected == found

    def test_flush_and_shutdown(self) -> None:
        """There is nothing to do."""
        processor = SessionLogRecordProcessor()
        processor.shutdown()
        assert processor.force_flush()


class TestProviders:
    """Other processors, samplers and spans."""

    def test_flushing_reaches_the_processors_behind(self, spans: Spans) -> None:
        """``force_flush`` of the provider exports what a batch processor behind it holds back."""
        batch = InMemorySpanExporter()
        spans.provider.add_span_processor(BatchSpanProcessor(batch))
        spans.tracer.start_span("span").end()

        assert spans.provider.force_flush()
        assert ["span"] == [span.name for span in batch.get_finished_spans()]

    def test_unsampled_spans_cost_nothing(self) -> None:
        """They are not recorded, and nothing breaks."""
        spans = Spans(sampler=ALWAYS_OFF)
        with session("s"), spans.tracer.start_as_current_span("span") as span:
            assert not span.is_recording()
            assert span.get_span_context().is_valid

        assert () == spans.exporter.get_finished_spans()

    def test_with_a_batch_processor(self) -> None:
        """Exported on another thread, each span has its own session."""
        spans = Spans()
        batch = InMemorySpanExporter()
        spans.provider.add_span_processor(BatchSpanProcessor(batch))
        for number in range(50):
            with session(f"s{number}"):
                spans.tracer.start_span(f"span{number}").end()
        spans.provider.force_flush()
        spans.provider.shutdown()

        expected = {f"span{number}": f"s{number}" for number in range(50)}
        assert expected == {span.name: session_of(span) for span in batch.get_finished_spans()}

    def test_spans_that_are_not_the_sdks(self) -> None:
        """session_of answers None."""
        assert session_of(trace.INVALID_SPAN) is None
        assert session_of(ReadableSpan("bare")) is None
        assert session_of(ReadableSpan("empty", attributes={"session.id": ""})) is None
        assert "s" == session_of(ReadableSpan("read", attributes={"session.id": "s"}))


def test_a_session_that_is_known_late() -> None:
    """A server's span that starts before the headers are read belongs to the session it ends in."""
    spans = Spans()
    span = spans.tracer.start_span("server")
    with session("late"):
        span.end()
    spans.tracer.start_span("nobody's").end()

    assert ("late", "late") == spans.session("server")
    assert (None, None) == spans.session("nobody's")


class TestAttributesOfTheSession:
    """What a session knows of itself, on spans and log records."""

    def test_from_the_start_and_later(self, spans: Spans) -> None:
        """A span has them at its start; one that is open gets what is added later when it ends."""
        outer: Any
        with (
            session("s", user_id="u", tags=["t"]),
            spans.tracer.start_as_current_span("outer") as outer,
        ):
            assert "u" == outer.attributes["user.id"]
            set_session_attributes(plan="pro")
            with spans.tracer.start_as_current_span("inner", attributes={"plan": "own"}):
                pass
        with session("other"), spans.tracer.start_as_current_span("foreign"):
            pass

        known = {"session.id": "s", "user.id": "u", "session.tags": ("t",)}
        assert {**known, "plan": "pro"} == dict(spans["outer"].attributes or {})
        assert {**known, "plan": "own"} == dict(spans["inner"].attributes or {})
        assert {"session.id": "other"} == dict(spans["foreign"].attributes or {})

    def test_on_another_thread(self, spans: Spans) -> None:
        """A child that has nothing but its parent span knows the session by that."""
        with session("s", user_id="u"):
            parent = spans.tracer.start_span("parent")
        context = trace.set_span_in_context(parent)
        in_new_thread(lambda: spans.tracer.start_span("child", context).end())
        in_new_thread(lambda: spans.tracer.start_span("given", context, attributes=OTHER).end())
        parent.end()

        assert {"session.id": "s", "user.id": "u"} == dict(spans["child"].attributes or {})
        assert OTHER == dict(spans["given"].attributes or {})

    def test_a_log_record_of_the_sdk(self) -> None:
        """It gets those of its session, where it does not say otherwise."""
        exporter = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
        provider = LoggerProvider(shutdown_on_exit=False)
        provider.add_log_record_processor(SessionLogRecordProcessor())
        provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
        logger = provider.get_logger("t")
        with session("s", user_id="u", plan="pro"):
            logger.emit(LogRecord(body="a", attributes={"plan": "own"}))
            logger.emit(LogRecord(body="b", attributes={"session.id": "other"}))

        found = [dict(it.log_record.attributes or {}) for it in exporter.get_finished_logs()]
        assert [{"session.id": "s", "user.id": "u", "plan": "own"}, OTHER] == found


OTHER = {"session.id": "other"}


class TestReplacedAttributes:
    """A processor of somebody's that has other attributes in their place, or none."""

    @pytest.mark.parametrize("when", ["on_start", "_on_ending", "on_end"])
    @pytest.mark.parametrize("is_first", [True, False])
    def test_the_session_stays(self, when: str, *, is_first: bool) -> None:
        """Whenever it does so, the span is in its session, and ends elsewhere with its attribute."""

        class Replaces(SpanProcessor):
            def act(self, span: Any, parent_context: Any = None) -> None:
                del parent_context
                span._attributes = BoundedAttributes(attributes={"masked": True}, immutable=False)

        setattr(Replaces, when, Replaces.act)
        kept: list[ReadableSpan] = []

        class Keeps(SpanProcessor):
            def on_end(self, span: ReadableSpan) -> None:
                kept.append(span)

        provider = TracerProvider(shutdown_on_exit=False)
        ours = SessionSpanProcessor()
        for processor in [Replaces(), ours] if is_first else [ours, Replaces()]:
            provider.add_span_processor(processor)
        provider.add_span_processor(Keeps())
        with session("s", user_id="u"):
            span = provider.get_tracer("t").start_span("span")
        with session("other"):
            span.end()

        assert "s" == session_of(kept[0])
        if when == "on_start" or (when == "_on_ending" and is_first):
            expected = {"masked": True, "session.id": "s", "user.id": "u"}
            assert expected == dict(kept[0].attributes or {})

    def test_by_what_the_sdk_offers(self, spans: Spans) -> None:
        """Attributes that are set to nothing, or left out of a span that is made anew, change nothing."""
        with session("s"):
            span = spans.tracer.start_span("span")
            span.set_attributes({"session.id": "", "other": 1})
        span.end()
        anew = ReadableSpan(name="anew", context=span.get_span_context(), attributes={})

        assert "s" == session_of(spans["span"]) == session_of(anew)
        assert "s" == (spans["span"].attributes or {})["session.id"]

    def test_lines_within(self, spans: Spans) -> None:
        """Code that has the span alone is in the session, whatever became of the attributes."""
        with session("s"):
            span: Any = spans.tracer.start_span("span")
        span._attributes = BoundedAttributes(attributes={}, immutable=False)
        with trace.use_span(span):
            assert "s" == current_session_id()


class TestNamesOfOthers:
    """Attributes by which others name the session."""

    ALIASES = ("gen_ai.conversation.id", "langfuse.session.id", "thread_id")

    @pytest.fixture
    def spans(self) -> Iterator[Spans]:
        """Return a provider that reads and writes such names."""
        written = ["tracectrl.session_id"]
        spans = Spans(SessionSpanProcessor(aliases=self.ALIASES, write_as=written))
        yield spans
        spans.provider.shutdown()

    @pytest.mark.parametrize(
        ("attributes", "sid"),
        [
            ({"gen_ai.conversation.id": "c"}, "c"),
            ({"thread_id": 7}, "7"),
            ({"thread_id": "t", "langfuse.session.id": "l"}, "l"),
            ({"thread_id": "", "langfuse.session.id": "l"}, "l"),
            ({"session.id": "own", "thread_id": "t"}, "own"),
            ({"tracectrl.session_id": "theirs"}, "current"),
        ],
    )
    def test_at_the_start(self, spans: Spans, attributes: Any, sid: str) -> None:
        """It is the span's session, as a given ``session.id`` is, and that of its children."""
        with session("current"):
            span = spans.tracer.start_span("span", attributes=attributes)
        child = spans.tracer.start_span("child", trace.set_span_in_context(span))
        child.end()
        span.end()

        written = {"session.id": sid, "tracectrl.session_id": sid, **attributes}
        assert written == dict(spans["span"].attributes or {})
        assert sid == session_of(spans["span"]) == session_of(spans["child"])

    def test_later(self, spans: Spans) -> None:
        """Set on a span that runs, it is the session of one that has none; another keeps its own."""
        for name, sid in (("late", None), ("known", "known")):
            with session(sid) if sid else detached():
                span = spans.tracer.start_span(name)
            span.set_attribute("thread_id", "t")
            span.end()

        assert "t" == session_of(spans["late"]) == (spans["late"].attributes or {})["session.id"]
        assert "known" == session_of(spans["known"])

    def test_unasked(self, spans: Spans) -> None:
        """Without the options these names are attributes like any other."""
        plain = Spans()
        plain.tracer.start_span("span", attributes={"thread_id": "t"}).end()
        assert {"thread_id": "t"} == dict(plain["span"].attributes or {})
        assert session_of(plain["span"]) is None
        plain.provider.shutdown()
        del spans

    @pytest.mark.parametrize("option", ["aliases", "write_as"])
    def test_wrong_options(self, option: str) -> None:
        """A single text is no list of names."""
        options: Any = {option: "thread_id"}
        with pytest.raises(TypeError, match=f"{option} must be a list of str, got str 'thread_id'"):
            SessionSpanProcessor(**options)

"""tracectrl.exporter: each span, one line, in its session's file."""

from __future__ import annotations

import errno
import json
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SimpleSpanProcessor,
    SpanExportResult,
)
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from tracectrl.errors import MissingExtraError
from tracectrl.exporter import FileSpanExporter
from tracectrl.files import log_path, span_path
from tracectrl.processor import SessionSpanProcessor
from tracectrl.session import session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    ReadLines = Callable[[str | os.PathLike[str]], list[dict[str, Any]]]

KEYS = [
    "name",
    "kind",
    "session_id",
    "trace_id",
    "span_id",
    "trace_flags",
    "parent_span_id",
    "start_time",
    "end_time",
    "duration_ns",
    "status",
    "status_message",
    "service",
    "scope",
    "attributes",
    "events",
    "links",
    "resource",
]


def provider_for(*exporters: FileSpanExporter, **options: Any) -> TracerProvider:
    """Return a provider that stamps spans and hands them to *exporters*."""
    provider = TracerProvider(shutdown_on_exit=False, **options)
    provider.add_span_processor(SessionSpanProcessor())
    for exporter in exporters:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


def otlp_spans(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the spans in OTLP lines, each with its attributes as a dict."""
    spans = []
    for row in rows:
        (resource,) = row["resourceSpans"]
        (scope,) = resource["scopeSpans"]
        (span,) = scope["spans"]
        pairs = span.get("attributes", [])
        span["attributes"] = {pair["key"]: pair["value"] for pair in pairs}
        assert len(pairs) == len(span["attributes"])
        spans.append(span)
    return spans


@pytest.fixture
def exporter(root: Path) -> Iterator[FileSpanExporter]:
    """Return an exporter to the root."""
    exporter = FileSpanExporter(root)
    yield exporter
    exporter.shutdown()


class TestTheLine:
    """The contract's keys and values."""

    def test_a_full_span(
        self, exporter: FileSpanExporter, root: Path, read_lines: ReadLines
    ) -> None:
        """Every key, in order."""
        resource = Resource({"service.name": "svc", "host.name": "h"})
        tracer = provider_for(exporter, resource=resource).get_tracer("scope", "1.0")
        link = trace.SpanContext(trace_id=0xA, span_id=0xB, is_remote=True)
        with session("s"), tracer.start_as_current_span("parent") as parent:
            span = tracer.start_span(
                "child",
                kind=trace.SpanKind.CLIENT,
                attributes={"i": 1, "l": [1, 2]},
                links=[trace.Link(link, {"why": "because"})],
                start_time=1_700_000_000_123_456_789,
            )
            span.add_event("happened", {"e": True}, timestamp=1_700_000_000_500_000_000)
            span.set_status(trace.StatusCode.ERROR, "broken")
            span.end(1_700_000_001_123_457_000)

        row, _ = read_lines(span_path("s", root))
        own, above = span.get_span_context(), parent.get_span_context()
        expected = {
            "name": "child",
            "kind": "CLIENT",
            "session_id": "s",
            "trace_id": f"{above.trace_id:032x}",
            "span_id": f"{own.span_id:016x}",
            "trace_flags": f"{own.trace_flags:02x}",
            "parent_span_id": f"{above.span_id:016x}",
            "start_time": "2023-11-14T22:13:20.123456Z",
            "end_time": "2023-11-14T22:13:21.123457Z",
            "duration_ns": 1_000_000_211,
            "status": "ERROR",
            "status_message": "broken",
            "service": "svc",
            "scope": "scope",
            "attributes": {"i": 1, "l": [1, 2], "session.id": "s"},
            "events": [
                {
                    "name": "happened",
                    "timestamp": "2023-11-14T22:13:20.500000Z",
                    "attributes": {"e": True},
                }
            ],
            "links": [
                {
                    "trace_id": "0000000000000000000000000000000a",
                    "span_id": "000000000000000b",
                    "attributes": {"why": "because"},
                }
            ],
            "resource": {"service.name": "svc", "host.name": "h"},
            "_otlp": {"scope": {"scope": {"name": "scope", "version": "1.0"}}},
        }
        assert expected == row
        assert [*KEYS, "_otlp"] == list(row)

    def test_a_bare_root_span(
        self, exporter: FileSpanExporter, root: Path, read_lines: ReadLines
    ) -> None:
        """No parent and no service that nobody named; empty rather than absent otherwise."""
        provider_for(exporter, resource=Resource({})).get_tracer("t").start_span("bare").end()

        (row,) = read_lines(span_path("unknown", root))
        assert [key for key in KEYS if key not in ("parent_span_id", "service")] == list(row)
        assert ("unknown", "INTERNAL", "UNSET", None) == (
            row["session_id"],
            row["kind"],
            row["status"],
            row["status_message"],
        )
        assert ({}, [], [], {}) == tuple(
            row[key] for key in ("attributes", "events", "links", "resource")
        )
        assert isinstance(row["duration_ns"], int)

    def test_status_ok_and_a_recorded_exception(
        self, exporter: FileSpanExporter, root: Path, read_lines: ReadLines
    ) -> None:
        """An exception is an event and the status ERROR; OK is said."""
        tracer = provider_for(exporter).get_tracer("t")
        with session("s"):
            with tracer.start_as_current_span("good") as span:
                span.set_status(trace.StatusCode.OK)
            with pytest.raises(LookupError), tracer.start_as_current_span("bad"):
                raise LookupError("why")  # noqa: EM101

        good, bad = read_lines(span_path("s", root))
        assert ("OK", "ERROR") == (good["status"], bad["status"])
        assert "LookupError: why" == bad["status_message"]
        (event,) = bad["events"]
        assert ("exception", "why") == (event["name"], event["attributes"]["exception.message"])

    def test_a_remote_parent(
        self, exporter: FileSpanExporter, root: Path, read_lines: ReadLines
    ) -> None:
        """It is the parent all the same."""
        remote = trace.SpanContext(0xA, 0xB, is_remote=True, trace_flags=trace.TraceFlags(1))
        context = trace.set_span_in_context(trace.NonRecordingSpan(remote))
        provider_for(exporter).get_tracer("t").start_span("span", context=context).end()

        (row,) = read_lines(span_path("unknown", root))
        assert ("0" * 31 + "a", "0" * 15 + "b") == (row["trace_id"], row["parent_span_id"])

    @pytest.mark.parametrize(
        ("resource", "option", "expected"),
        [
            ({"service.name": "r"}, "o", "r"),
            ({"service.name": "unknown_service"}, "o", "o"),
            ({"service.name": "unknown_service:python"}, None, "v"),
            ({}, None, "v"),
        ],
    )
    def test_the_service(
        self,
        resource: dict[str, str],
        option: str | None,
        expected: str,
        *,
        root: Path,
        monkeypatch: pytest.MonkeyPatch,
        read_lines: ReadLines,
    ) -> None:
        """The resource's, where it names one; else the option's or the environment's."""
        monkeypatch.setenv("OTEL_SERVICE_NAME", "v")
        exporter = FileSpanExporter(root, service_name=option)
        tracer = provider_for(exporter, resource=Resource(resource)).get_tracer("t")
        tracer.start_span("span").end()

        (row,) = read_lines(span_path("unknown", root))
        assert expected == row["service"]

    def test_values_that_json_cannot_hold(
        self, exporter: FileSpanExporter, root: Path, read_lines: ReadLines
    ) -> None:
        """The line is strict JSON whatever the attributes hold."""
        attributes: Any = {
            "nan": float("nan"),
            "inf": float("-inf"),
            "list": [1.0, float("nan")],
            "big": 10**100,
            "bytes": b"\xff\x00",
            "surrogate": "\ud800",
            "text": "line\n\u2028\0",
        }
        with session("s"):
            span = provider_for(exporter).get_tracer("t").start_span("span\ud800")
        for key, value in attributes.items():
            span.set_attribute(key, value)
        span.end()

        (row,) = read_lines(span_path("s", root))
        found = row["attributes"]
        assert (None, None, [1.0, None]) == (found["nan"], found["inf"], found["list"])
        assert "line\n\u2028\0" == found["text"]
        assert "s" == found["session.id"]
        assert row["name"].startswith("span")

    def test_a_span_made_by_hand(
        self, exporter: FileSpanExporter, root: Path, read_lines: ReadLines
    ) -> None:
        """Without a context, times or scope: no zero IDs, still a line."""
        assert SpanExportResult.SUCCESS == exporter.export([ReadableSpan("bare")])

        (row,) = read_lines(span_path("unknown", root))
        assert not {"trace_id", "span_id", "trace_flags", "parent_span_id"} & set(row)
        assert ("", 0) == (row["scope"], row["duration_ns"])


class TestRouting:
    """Each span to its own session's file."""

    def test_by_session(
        self, exporter: FileSpanExporter, root: Path, read_lines: ReadLines
    ) -> None:
        """Also a span that is the child of another session's."""
        tracer = provider_for(exporter).get_tracer("t")
        with session("a"), tracer.start_as_current_span("a1"):
            with session("../b"):
                tracer.start_span("b1").end()
            tracer.start_span("a2").end()

        assert ["a2", "a1"] == [row["name"] for row in read_lines(span_path("a", root))]
        assert ["b1"] == [row["name"] for row in read_lines(span_path("../b", root))]

    def test_on_a_batch_processors_thread(self, root: Path, read_lines: ReadLines) -> None:
        """Where no context is the span's."""
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SessionSpanProcessor())
        provider.add_span_processor(BatchSpanProcessor(FileSpanExporter(root)))
        tracer = provider.get_tracer("t")
        for number in range(40):
            with session(f"s{number % 4}"):
                tracer.start_span(str(number)).end()
        assert provider.force_flush()
        provider.shutdown()

        for sid in range(4):
            names = [row["name"] for row in read_lines(span_path(f"s{sid}", root))]
            assert [str(number) for number in range(sid, 40, 4)] == names

    @pytest.mark.parametrize("format", ["flat", "otlp"])
    def test_five_hundred_attributes(
        self,
        format: Any,  # noqa: A002
        root: Path,
        read_lines: ReadLines,
    ) -> None:
        """The span lands in its session's file and carries session.id."""
        logging.getLogger("opentelemetry.attributes").setLevel(logging.ERROR)
        exporter = FileSpanExporter(root, format=format)
        with (
            session("s"),
            provider_for(exporter).get_tracer("t").start_as_current_span("x") as span,
        ):
            for number in range(500):
                span.set_attribute(f"k{number}", number)

        rows = read_lines(span_path("s", root))
        if format == "otlp":
            (found,) = otlp_spans(rows)
            assert {"stringValue": "s"} == found["attributes"]["session.id"]
            assert 373 == found["droppedAttributesCount"]
        else:
            assert "s" == rows[0]["attributes"]["session.id"]
            assert 129 == len(rows[0]["attributes"])

    def test_a_long_id_past_the_length_limit(self, root: Path, read_lines: ReadLines) -> None:
        """The limit on values does not send it to another file."""
        limits = SpanLimits(max_attribute_length=5)
        tracer = provider_for(FileSpanExporter(root), span_limits=limits).get_tracer("t")
        with session("0123456789"):
            tracer.start_span("span").end()

        (row,) = read_lines(span_path("0123456789", root))
        assert "0123456789" == row["session_id"] == row["attributes"]["session.id"]

    @pytest.mark.parametrize("processor", [SimpleSpanProcessor, BatchSpanProcessor])
    def test_without_the_session_processor(
        self,
        processor: Callable[..., SpanProcessor],
        root: Path,
        read_lines: ReadLines,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """The attribute tells, where somebody has set it; the first span without is told of, once."""
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(processor(FileSpanExporter(root)))
        tracer = provider.get_tracer("t")
        tracer.start_span("given", attributes={"session.id": "s"}).end()
        assert provider.force_flush()
        assert [] == caplog.messages
        tracer.start_span("none").end()
        with session("s"):
            tracer.start_span("lost").end()
        provider.shutdown()

        assert ["given"] == [row["name"] for row in read_lines(span_path("s", root))]
        assert ["none", "lost"] == [row["name"] for row in read_lines(span_path("unknown", root))]
        (message,) = caplog.messages
        assert message.startswith("the span 'none' has no session, and goes to unknown.spans.jsonl")
        assert message.endswith("add_span_processor(tracectrl.processor.SessionSpanProcessor())")

    @pytest.mark.parametrize("added", ["before", "behind", "while the span is open"])
    def test_outside_any_session(
        self, added: str, root: Path, read_lines: ReadLines, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A span that our processor has seen, at its start or its end, is told of nowhere."""
        provider = TracerProvider(shutdown_on_exit=False)
        writing = SimpleSpanProcessor(FileSpanExporter(root))
        ours = SessionSpanProcessor()
        for each in {"before": (ours, writing), "behind": (writing, ours)}.get(added, (writing,)):
            provider.add_span_processor(each)
        span = provider.get_tracer("t").start_span("span")
        if added == "while the span is open":
            provider.add_span_processor(ours)
        span.end()

        assert ["span"] == [row["name"] for row in read_lines(span_path("unknown", root))]
        assert [] == caplog.messages

    def test_under_run(
        self,
        exporter: FileSpanExporter,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Nobody asked that program for a processor of ours."""
        monkeypatch.setenv("TRACECTRL_CAPTURE", "{}")
        exporter.export([ReadableSpan("span")])

        assert [] == caplog.messages

    def test_a_warning_that_cannot_be_given(
        self, exporter: FileSpanExporter, root: Path, read_lines: ReadLines
    ) -> None:
        """The span is written, whatever a filter raises."""

        def refuse(record: logging.LogRecord) -> bool:
            raise LookupError(record.name)

        logger = logging.getLogger("tracectrl")
        logger.addFilter(refuse)
        try:
            assert SpanExportResult.SUCCESS == exporter.export([ReadableSpan("span")])
        finally:
            logger.removeFilter(refuse)
        assert ["span"] == [row["name"] for row in read_lines(span_path("unknown", root))]

    def test_unsampled_spans_have_no_line(self, exporter: FileSpanExporter, root: Path) -> None:
        """They are not exported: that is what sampling is for."""
        with session("s"):
            provider_for(exporter, sampler=ALWAYS_OFF).get_tracer("t").start_span("span").end()

        assert [] == list(root.iterdir())

    def test_several_exporters(self, tmp_path: Path, read_lines: ReadLines) -> None:
        """Each has the whole."""
        exporters = [FileSpanExporter(tmp_path / name) for name in ("a", "b")]
        with session("s"):
            provider_for(*exporters).get_tracer("t").start_span("span").end()

        first, second = (read_lines(span_path("s", tmp_path / name)) for name in ("a", "b"))
        assert first == second
        assert 1 == len(first)


class TestOtlp:
    """OTLP/JSON, one request a line."""

    def test_the_line(self, root: Path, read_lines: ReadLines) -> None:
        """What the encoder of OpenTelemetry writes, with session.id."""
        exporter = FileSpanExporter(root, format="otlp")
        resource = Resource({"service.name": "svc"})
        tracer = provider_for(exporter, resource=resource).get_tracer("scope")
        with session("s"), tracer.start_as_current_span("parent") as parent:
            tracer.start_span("child", attributes={"i": 1}).end()

        rows = read_lines(span_path("s", root))
        child, _ = otlp_spans(rows)
        above = parent.get_span_context()
        assert f"{above.trace_id:032x}" == child["traceId"]
        assert f"{above.span_id:016x}" == child["parentSpanId"]
        assert {"stringValue": "s"} == child["attributes"]["session.id"]
        assert {"i", "session.id"} == set(child["attributes"])
        assert "scope" == rows[0]["resourceSpans"][0]["scopeSpans"][0]["scope"]["name"]

    def test_outside_a_session(self, root: Path, read_lines: ReadLines) -> None:
        """No session.id is made up."""
        provider_for(FileSpanExporter(root, format="otlp")).get_tracer("t").start_span("x").end()

        (span,) = otlp_spans(read_lines(span_path("unknown", root)))
        assert {} == span["attributes"]

    def test_an_evicted_session_id(self, root: Path, read_lines: ReadLines) -> None:
        """It is in the line, also where the limit took it off the span."""
        span = ReadableSpan(
            "span",
            context=trace.SpanContext(1, 2, is_remote=False),
            attributes={"session.id": "s"},
            start_time=1,
            end_time=2,
        )
        FileSpanExporter(root, format="otlp").export([span])

        (found,) = otlp_spans(read_lines(span_path("s", root)))
        assert {"stringValue": "s"} == found["attributes"]["session.id"]

    def test_without_the_extra(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The error mends itself, and nothing was made."""
        for name in list(sys.modules):
            if name.startswith("opentelemetry.exporter.otlp.json"):
                monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.json.common", None)

        with pytest.raises(MissingExtraError, match="pip install 'opentelemetry-api"):
            FileSpanExporter(root, format="otlp")
        assert not root.exists()


class TestRedaction:
    """Secrets stay out of the files."""

    @pytest.mark.parametrize("format", ["flat", "otlp"])
    def test_at_any_depth(self, format: Any, root: Path, read_lines: ReadLines) -> None:  # noqa: A002
        """In the attributes of the span, of its events and links, of the resource and the scope."""
        exporter = FileSpanExporter(root, format=format, redact="password")
        resource = Resource({"password": "secret0"})
        provider = provider_for(exporter, resource=resource)
        tracer = provider.get_tracer("t", attributes={"password": "secret4", "kept": "k"})
        link = trace.Link(trace.SpanContext(1, 2, is_remote=False), {"Password": "secret1"})
        span = tracer.start_span("span", attributes={"PASSWORD": "secret2"}, links=[link])
        span.add_event("event", {"password": "secret3", "kept": "kept"})
        span.end()

        (row,) = read_lines(span_path("unknown", root))
        text = json.dumps(row)
        assert [] == [f"secret{n}" for n in range(5) if f"secret{n}" in text]
        assert 5 == text.count("[redacted]")
        assert "kept" in text


class TestNeverRaises:
    """Whatever happens, the application goes on."""

    def test_a_disk_that_is_full(
        self,
        exporter: FileSpanExporter,
        root: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        read_lines: ReadLines,
    ) -> None:
        """FAILURE, one record a minute, a count; with the next span a log line says what is lost."""
        write = os.write

        def full(*_: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        tracer = provider_for().get_tracer("t")
        with session("s"):
            finished: Any = [tracer.start_span(str(number)) for number in range(3)]
        monkeypatch.setattr(os, "write", full)
        assert SpanExportResult.FAILURE == exporter.export(finished[:1])
        assert SpanExportResult.FAILURE == exporter.export(finished[1:2])
        assert 2 == exporter.lost
        assert ["a span could not be written"] == [record.message for record in caplog.records]
        monkeypatch.setattr(os, "write", write)
        assert SpanExportResult.SUCCESS == exporter.export(finished[2:])

        (row,) = read_lines(log_path("s", root))
        assert ("tracectrl", "ERROR") == (row["logger"], row["level"])
        assert (2, "s") == (row["lost"], row["session_id"])
        assert ["2"] == [row["name"] for row in read_lines(span_path("s", root))]

    def test_a_span_that_cannot_be_encoded(
        self, exporter: FileSpanExporter, root: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It is reported, once a minute, and counted; the others of its batch are written."""
        broken: Any = object()
        good = ReadableSpan("good", attributes={"session.id": "s"})

        assert SpanExportResult.FAILURE == exporter.export([broken, good, broken])
        assert ["a span could not be encoded"] == [record.message for record in caplog.records]
        assert 2 == exporter.lost
        assert span_path("s", root).exists()

    def test_a_file_that_is_refused(
        self,
        exporter: FileSpanExporter,
        root: Path,
        caplog: pytest.LogCaptureFixture,
        read_lines: ReadLines,
    ) -> None:
        """Other sessions go on."""
        span_path("s", root).mkdir()
        spans = [ReadableSpan("x", attributes={"session.id": sid}) for sid in ("s", "t")]

        assert SpanExportResult.FAILURE == exporter.export(spans)
        assert span_path("t", root).exists()
        assert 1 == len(caplog.records)
        (row,) = read_lines(log_path("s", root))
        assert 1 == row["lost"]


class TestLifeAndOptions:
    """The constructor, shutdown, flush, the entry point."""

    def test_a_span_after_shutdown(
        self, exporter: FileSpanExporter, root: Path, read_lines: ReadLines
    ) -> None:
        """It opens its file again."""
        span = ReadableSpan("x", attributes={"session.id": "s"})
        exporter.export([span])
        exporter.shutdown()
        assert exporter.force_flush()
        exporter.export([span])

        assert 2 == len(read_lines(span_path("s", root)))

    @pytest.mark.parametrize(
        "options",
        [{"format": "x"}, {"max_bytes": -1}, {"backup_count": -1}, {"max_open_files": 0}],
    )
    def test_options_out_of_range(self, options: dict[str, Any], root: Path) -> None:
        """ValueError names the option."""
        with pytest.raises(ValueError, match=next(iter(options))):
            FileSpanExporter(root, **options)

    def test_a_root_that_is_a_file(self, root: Path) -> None:
        """An OSError, at the set-up."""
        root.write_text("x")
        with pytest.raises(NotADirectoryError):
            FileSpanExporter(root)

    def test_rotation(self, root: Path) -> None:
        """Backups take the standard library's names."""
        exporter = FileSpanExporter(root, max_bytes=10, backup_count=2)
        for number in range(4):
            exporter.export([ReadableSpan(str(number), attributes={"session.id": "s"})])

        names = sorted(path.name for path in root.iterdir())
        assert ["s.spans.jsonl", "s.spans.jsonl.1", "s.spans.jsonl.2"] == names

    def test_a_time_that_no_calendar_holds(self, root: Path) -> None:
        """It becomes the epoch, as on a log line; the span is kept."""
        exporter = FileSpanExporter(root)
        exporter.export([ReadableSpan("x", start_time=10**30, end_time=10**30 + 5)])

        (row,) = map(json.loads, span_path("unknown", root).read_text().splitlines())
        assert ("1970-01-01T00:00:00.000000Z", 5) == (row["start_time"], row["duration_ns"])

"""Stored lines as OTLP/JSON: what OpenTelemetry's own definitions accept, and nothing lost."""

from __future__ import annotations

import base64
import io
import json
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf import json_format
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.exporter.otlp.json.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanContext, TraceFlags, TraceState

from tracectrl._json import timestamp_ns
from tracectrl.exporter import FileSpanExporter
from tracectrl.files import log_path, span_path
from tracectrl.processor import SessionSpanProcessor
from tracectrl.session import session
from tracectrl_logging import SessionFileHandler, reader
from tracectrl_logging.reader.otlp import encode
from tracectrl_logging.reader.otlp import export as export_otlp
from tracectrl_logging.reader.otlp.decode import flat_spans

if TYPE_CHECKING:
    import logging
    from collections.abc import Sequence
    from pathlib import Path

# protobuf's own reader of base64 is told so by Python 3.15.
pytestmark = pytest.mark.filterwarnings("ignore:invalid character .* Base64:FutureWarning")

_MESSAGES: dict[str, Any] = {
    "resourceLogs": ExportLogsServiceRequest,
    "resourceSpans": ExportTraceServiceRequest,
}
_IDS = ("traceId", "spanId", "parentSpanId")


class _Keeping(SpanExporter):
    """Keeps the spans that it is given in a list."""

    def __init__(self, found: list[ReadableSpan]) -> None:
        self.found = found

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.found += spans
        return SpanExportResult.SUCCESS


def exported(sid: str, root: Path) -> list[dict[str, Any]]:
    """Return the batches of the session *sid*; each is checked against the protocol's definition."""
    file = io.BytesIO()
    lines = reader.read(sid, root, on_damage=lambda it: pytest.fail(str(it)))
    export_otlp.write_otlp(lines, sid, file)
    batches = [json.loads(line) for line in file.getvalue().splitlines()]
    for batch in batches:
        ((name, message),) = ((key, _MESSAGES[key]) for key in batch)
        assert getattr(json_format.ParseDict(_protobuf(batch), message()), _snake(name))
    return batches


def _protobuf(value: Any) -> Any:
    """Return OTLP/JSON as protobuf's JSON, whose IDs are base64 and not hexadecimal."""
    if isinstance(value, list):
        return [_protobuf(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64encode(bytes.fromhex(held)).decode() if key in _IDS else _protobuf(held)
        for key, held in value.items()
    }


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def records_of(batches: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the log records in *batches*."""
    return [
        record
        for batch in batches
        for resource in batch.get("resourceLogs", ())
        for scope in resource["scopeLogs"]
        for record in scope["logRecords"]
    ]


def test_spans_come_back(file_tracer: trace.Tracer, root: Path) -> None:
    """Spans that are exported and read again are the stored ones, to the last key."""
    with (
        session("s"),
        file_tracer.start_as_current_span("parent", kind=trace.SpanKind.SERVER) as top,
    ):
        top.set_attributes(
            {"a": 1, "b": [1.5, 2.0], "c": True, "d": "text", "e": 2**62, "f": [True]}
        )
        linked = trace.Link(top.get_span_context(), {"why": "link"})
        with file_tracer.start_as_current_span("child", links=[linked]) as child:
            child.add_event("event", {"k": ["v"]})
        with pytest.raises(ValueError, match="no"), file_tracer.start_as_current_span("failing"):
            raise ValueError("no")  # noqa: EM101
    stored = [line.row for line in reader.read("s", root) if line.kind == "span"]
    (batch,) = exported("s", root)
    assert 3 == len(stored)
    assert _by_id(stored) == _by_id(flat_spans(batch, "s"))


def _by_id(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["span_id"]: row for row in rows}


@given(start_ns=st.integers(0, 2**61), duration_ns=st.integers(0, 2**61))
def test_times_and_durations(start_ns: int, duration_ns: int) -> None:
    """A span's duration is exact, and so are its times, of which microseconds are stored."""
    row = {
        "start_time": timestamp_ns(start_ns),
        "end_time": timestamp_ns(start_ns + duration_ns),
        "duration_ns": duration_ns,
    }
    span = encode.span(row).item
    start, end = (int(span[key]) for key in ("startTimeUnixNano", "endTimeUnixNano"))
    assert row == {
        "start_time": timestamp_ns(start),
        "end_time": timestamp_ns(end),
        "duration_ns": end - start,
    }


def test_log_records(logger: logging.Logger, tracer: trace.Tracer, root: Path) -> None:
    """A log line keeps its time, level, IDs and message; all the rest are attributes by convention."""
    with session("s"), tracer.start_as_current_span("span") as span:
        try:
            raise ValueError("no")  # noqa: EM101, TRY301 - for its traceback
        except ValueError:
            logger.exception("broken", extra={"tool": "x", "n": {"deep": [1, None]}, "big": 2**70})
    context = span.get_span_context()
    (line,) = reader.read("s", root)
    (record,) = records_of(exported("s", root))
    assert line.row["timestamp"] == timestamp_ns(int(record["timeUnixNano"]))
    assert ("ERROR", 17) == (record["severityText"], record["severityNumber"])
    assert {"stringValue": "broken"} == record["body"]
    assert f"{context.trace_id:032x}" == record["traceId"]
    assert f"{context.span_id:016x}" == record["spanId"]
    assert int(context.trace_flags) == record["flags"]
    attributes = {item["key"]: item["value"] for item in record["attributes"]}
    assert {"stringValue": "s"} == attributes["session.id"]
    assert {"stringValue": "ValueError"} == attributes["exception.type"]
    assert {"stringValue": "no"} == attributes["exception.message"]
    assert attributes["exception.stacktrace"]["stringValue"].startswith("Traceback")
    assert {"stringValue": "x"} == attributes["tool"]
    assert {"stringValue": str(2**70)} == attributes["big"]
    assert "kvlistValue" in attributes["n"]


def test_an_ambient_span_is_not_taken(
    logger: logging.Logger, tracer: trace.Tracer, root: Path
) -> None:
    """A line without IDs has none, wherever it is exported."""
    with session("s"):
        logger.info("outside")
    with tracer.start_as_current_span("of the exporting program"):
        (record,) = records_of(exported("s", root))
    assert {"traceId", "spanId"}.isdisjoint(record)


def test_foreign_lines(root: Path) -> None:
    """What other writers put into a line is exported as far as it has a place."""
    root.mkdir()
    lines = [
        {},
        {"message": {"a": [1, {"b": None}]}, "level": 7, "trace_id": "zz", "span_id": 5},
        {"exception": "Traceback ...", "stack": "Stack ...", "level": "NOTICE", "timestamp": "x"},
        {"trace_id": "0" * 32, "span_id": "0" * 16, "service": 7, "logger": None},
    ]
    log_path("s", root).write_text("".join(json.dumps(line) + "\n" for line in lines))
    records = records_of(exported("s", root))
    assert 4 == len(records)
    (notice,) = (record for record in records if record.get("severityText") == "NOTICE")
    attributes = {item["key"]: item["value"] for item in notice["attributes"]}
    assert {"stringValue": "Traceback ..."} == attributes["exception.stacktrace"]
    assert {"stringValue": "Stack ..."} == attributes["code.stacktrace"]


@pytest.mark.parametrize("depth", [1, 24, 30, 250, 1000])
@pytest.mark.parametrize("form", ['{"k":%s}', "[%s]"])
def test_deep_nesting(depth: int, form: str, root: Path) -> None:
    """What is nested too deeply for readers of OTLP is text from there on, wherever it stands."""
    before, after = form.split("%s")
    deep = before * depth + "1" + after * depth
    root.mkdir()
    log_path("s", root).write_text(f'{{"message":{deep},"x":{deep},"stack":{deep}}}\n')
    span_path("s", root).write_text(
        f'{{"name":{deep},"scope":{deep},"attributes":{{"x":{deep}}},"resource":{{"x":{deep}}},'
        f'"events":[{{"name":{deep},"attributes":{{"x":{deep}}}}}],'
        f'"links":[{{"trace_id":"{"1" * 32}","span_id":"{"1" * 16}","attributes":{{"x":{deep}}}}}]}}\n'
    )
    batches = exported("s", root)
    assert 2 == len(batches)
    (span,) = (span for row in batches if "resourceSpans" in row for span in flat_spans(row, "s"))
    assert span["name"].startswith(before * min(depth, 20))
    if depth <= 250:
        inner, text = span["attributes"]["x"], ""
        while not isinstance(inner, (int, str)):
            inner = inner["k"] if isinstance(inner, dict) else inner[0]
            text += before
        if depth > 24:
            assert isinstance(inner, str)
            assert deep.startswith(text + inner.partition("<")[0].partition('"<')[0][:20])
        else:
            assert (1, before * depth) == (inner, text)


def test_terminals(root: Path) -> None:
    """What a terminal might obey is spelt out, which is the same JSON."""
    root.mkdir()
    log_path("s", root).write_text('{"message":"\x9b1m\u202e\x7f"}\n', encoding="utf-8")
    file = io.BytesIO()
    export_otlp.write_otlp(reader.read("s", root), "s", file)
    assert file.getvalue().isascii()
    (record,) = records_of([json.loads(file.getvalue())])
    assert "\x9b1m\u202e\x7f" == record["body"]["stringValue"]


def test_batches_are_bounded(root: Path) -> None:
    """No line of the output is too long for a Collector, unless one stored line is."""
    root.mkdir()
    long = json.dumps({"message": "x" * 100_000}) + "\n"
    log_path("s", root).write_text(long * 20 + '{"message":"short"}\n' * 2000)
    batches = exported("s", root)
    assert 2020 == len(records_of(batches))
    assert all(len(json.dumps(batch)) < 1024 * 1024 for batch in batches)


any_values: st.SearchStrategy[dict[str, Any]] = st.deferred(
    lambda: st.one_of(
        st.just({}),
        st.fixed_dictionaries({"stringValue": st.text(max_size=5)}),
        st.fixed_dictionaries({"boolValue": st.booleans()}),
        st.fixed_dictionaries({"intValue": st.integers(-(2**63), 2**63 - 1).map(str)}),
        st.fixed_dictionaries({"intValue": st.integers(-9, 9)}),
        st.fixed_dictionaries(
            {"doubleValue": st.floats(allow_nan=False, allow_infinity=False) | st.just("Infinity")}
        ),
        st.fixed_dictionaries({"bytesValue": st.binary(max_size=4).map(base64text)}),
        st.fixed_dictionaries({"arrayValue": st.fixed_dictionaries({"values": some(any_values)})}),
        st.fixed_dictionaries({"kvlistValue": st.fixed_dictionaries({"values": attributes})}),
    )
)
names = st.text(max_size=4) | st.sampled_from(
    ["level", "message", "service.name", "exception.type", "code.stacktrace", "_otlp", "span_id"]
)
attributes: st.SearchStrategy[list[dict[str, Any]]] = st.deferred(
    lambda: st.dictionaries(names, any_values, max_size=3).map(
        lambda found: [{"key": key, "value": value} for key, value in found.items()]
    )
)
counts = st.integers(0, 2**32 - 1)
# Before the year 2262: later ones are in no calendar of everybody's.
times = st.one_of(st.integers(0, 2**63 - 1), st.integers(10**18, 10**18 + 10**6)).map(str)
texts = st.text(max_size=5)


def base64text(held: bytes) -> str:
    """Return bytes as JSON has them."""
    return base64.b64encode(held).decode()


def some(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Return a few of *strategy*."""
    return st.lists(strategy, max_size=2)


def message(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return a message whose *fields* are there or not."""
    return st.fixed_dictionaries({}, optional=fields)


def ids(size: int) -> st.SearchStrategy[str]:
    """Return IDs of *size* bytes, zeros not among them."""
    return st.binary(min_size=size, max_size=size).filter(any).map(bytes.hex)


resources = message(
    resource=message(attributes=attributes, droppedAttributesCount=counts), schemaUrl=texts
)
scopes = message(
    scope=message(name=texts, version=texts, attributes=attributes, droppedAttributesCount=counts),
    schemaUrl=texts,
)
spans = message(
    traceId=ids(16),
    spanId=ids(8),
    traceState=texts,
    parentSpanId=ids(8),
    flags=counts,
    name=texts,
    kind=st.integers(0, 5),
    startTimeUnixNano=times,
    endTimeUnixNano=times,
    attributes=attributes,
    droppedAttributesCount=counts,
    events=some(
        message(
            timeUnixNano=times, name=texts, attributes=attributes, droppedAttributesCount=counts
        )
    ),
    droppedEventsCount=counts,
    links=some(
        st.fixed_dictionaries(
            {"traceId": ids(16), "spanId": ids(8)},
            optional={
                "traceState": texts,
                "attributes": attributes,
                "droppedAttributesCount": counts,
                "flags": counts,
            },
        )
    ),
    droppedLinksCount=counts,
    status=message(code=st.integers(0, 2), message=texts),
)
records = message(
    timeUnixNano=times,
    observedTimeUnixNano=times,
    severityNumber=st.integers(0, 24),
    severityText=texts | st.sampled_from(["INFO", "Warn"]),
    body=any_values,
    attributes=attributes,
    droppedAttributesCount=counts,
    flags=counts,
    traceId=ids(16),
    spanId=ids(8),
    eventName=texts,
)


def requests(
    kind: str, scoped: str, item: str, items: st.SearchStrategy[dict[str, Any]]
) -> st.SearchStrategy[dict[str, Any]]:
    """Return requests with one item, or several from one place."""
    return st.builds(
        lambda origin, scope, found: {kind: [{**origin, scoped: [{**scope, item: found}]}]},
        resources,
        scopes,
        st.lists(items, min_size=1, max_size=2),
    )


@example(
    kind_and_request=(
        "logs",
        {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"timeUnixNano": "1"}, {}]}]}]},
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    kind_and_request=st.one_of(
        st.tuples(st.just("spans"), requests("resourceSpans", "scopeSpans", "spans", spans)),
        st.tuples(st.just("logs"), requests("resourceLogs", "scopeLogs", "logRecords", records)),
    )
)
def test_what_was_stored_comes_out(
    kind_and_request: tuple[str, dict[str, Any]], tmp_path: Path
) -> None:
    """A request that was stored is exported with every field that it had, and its session."""
    kind, request = kind_and_request
    root = tmp_path / "traces"
    root.mkdir(exist_ok=True)
    (root / f"s.{kind}.jsonl").write_text(json.dumps(request) + "\n")
    other = root / f"s.{'logs' if kind == 'spans' else 'spans'}.jsonl"
    other.unlink(missing_ok=True)
    assert sorted(told(request)) == sorted(
        each for batch in exported("s", root) for each in told(batch)
    )


def told(request: dict[str, Any]) -> list[str]:
    """Return each item of *request* with where it comes from, as protobuf has it."""
    ((name, message),) = ((key, _MESSAGES[key]) for key in request)
    parsed = json_format.ParseDict(_protobuf(request), message())
    found = []
    for origin in getattr(parsed, _snake(name)):
        for scope in getattr(origin, _snake(name).replace("resource", "scope")):
            for item in scope.spans if name == "resourceSpans" else scope.log_records:
                if all(each.key != "session.id" for each in item.attributes):
                    item.attributes.add(key="session.id").value.string_value = "s"
                ordered = sorted(item.attributes, key=lambda each: each.key)
                del item.attributes[:]
                item.attributes.extend(ordered)
                for each in item.attributes:
                    each.value.SetInParent()
                if name == "resourceSpans":
                    item.status.SetInParent()
                elif not item.body.WhichOneof("value"):
                    item.ClearField("body")
                scope.scope.SetInParent()
                origin.resource.SetInParent()
                found.append(
                    f"{origin.resource}{origin.schema_url}{scope.scope}{scope.schema_url}{item}"
                )
    return found


@pytest.mark.parametrize(
    "more", [5, {"item": 5}, {"item": {"attributes": 5, "links": [1], "events": [{}]}}]
)
def test_a_key_of_somebody_else(more: Any, root: Path) -> None:
    """A line that has the key of what OTLP alone says, and something else there, is exported."""
    root.mkdir()
    line = json.dumps({"name": "x", "message": "x", "_otlp": more}) + "\n"
    log_path("s", root).write_text(line)
    span_path("s", root).write_text(line)
    file = io.BytesIO()
    assert 2 == export_otlp.write_otlp(reader.read("s", root), "s", file)


def test_flat_lines_keep_what_their_keys_do_not_say(root: Path) -> None:
    """A span's flat line is exported as OpenTelemetry's own encoder has it, times to the microsecond."""
    found: list[ReadableSpan] = []
    provider = TracerProvider(
        resource=Resource({"service.name": "api"}, "https://opentelemetry.io/schemas/1.40.0"),
        span_limits=SpanLimits(
            max_span_attributes=2, max_events=1, max_links=1, max_event_attributes=1
        ),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(SessionSpanProcessor())
    provider.add_span_processor(SimpleSpanProcessor(FileSpanExporter(root)))
    provider.add_span_processor(SimpleSpanProcessor(_Keeping(found)))
    tracer = provider.get_tracer(
        "scope", "1.2", "https://opentelemetry.io/schemas/1.39.0", {"kind": "test", "n": [1, 2]}
    )
    state = TraceState([("vendor", "value")])
    remote = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1), trace_state=state)
    parent = trace.set_span_in_context(trace.NonRecordingSpan(remote))
    with (
        session("s"),
        tracer.start_as_current_span(
            "op", parent, links=[trace.Link(remote, {"a": 1}), trace.Link(remote, {"b": 2})]
        ) as span,
    ):
        span.set_attributes({"a": 1, "b": True, "c": 2.5})
        for name in ("first", "second"):
            span.add_event(name, {"x": 1, "y": 2})
    provider.shutdown()

    ((batch,),) = ([json.loads(json.dumps(it)) for it in exported("s", root)],)
    expected = encode_spans(found).to_dict()
    for request in (expected, batch):
        (item,) = request["resourceSpans"][0]["scopeSpans"][0]["spans"]
        item["flags"] &= ~0xFF
        item["attributes"].sort(key=itemgetter("key"))
        for each, key in ((item, "startTimeUnixNano"), (item["events"][0], "timeUnixNano")):
            each[key] = int(each[key]) // 1000
        assert item.pop("status", {}) == {}
        for link in item["links"]:
            assert link.pop("traceState", "vendor=value") == "vendor=value"  # the encoder has none
            link.pop("flags", None)
        item["endTimeUnixNano"] = int(item["endTimeUnixNano"]) // 1000
    assert expected == batch


def test_records_come_from_where_the_spans_do(root: Path, logger: logging.Logger) -> None:
    """A log line has the resource of its service's spans, also before the first; others their service."""
    resource = Resource({"service.name": "shop", "service.version": "1.2", "host.name": "h"})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(SessionSpanProcessor())
    provider.add_span_processor(SimpleSpanProcessor(FileSpanExporter(root)))
    logger.handlers[0].close()
    logger.handlers[:] = [SessionFileHandler(root, service_name="shop")]
    with session("s"):
        logger.info("before")
        with provider.get_tracer("t").start_as_current_span("span"):
            logger.info("within")
        logger.handlers[:] = [SessionFileHandler(root, service_name="other")]
        logger.info("elsewhere")

    found: dict[str, Any] = {}
    for batch in exported("s", root):
        for origin in batch.get("resourceLogs", []):
            attributes = {
                it["key"]: it["value"]["stringValue"] for it in origin["resource"]["attributes"]
            }
            for scope in origin["scopeLogs"]:
                found |= {it["body"]["stringValue"]: attributes for it in scope["logRecords"]}
    shop = {"service.name": "shop", "service.version": "1.2", "host.name": "h"}
    assert {"before": shop, "within": shop, "elsewhere": {"service.name": "other"}} == found

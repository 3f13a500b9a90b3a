"""Spans that are stored as OTLP/JSON."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.schema import as_own, severity
from tracectrl_logging.reader import Damage, read, sessions
from tracectrl_logging.reader.otlp.decode import flat_logs, flat_spans

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[..., Path]

SPAN = {
    "traceId": "5B8EFFF798038103D269B633813FC60C",
    "spanId": "EEE19B7EC3C1B174",
    "parentSpanId": "EEE19B7EC3C1B173",
    "flags": 257,
    "name": "GET /",
    "kind": 2,
    "startTimeUnixNano": "1735689600000000000",
    "endTimeUnixNano": "1735689600001500000",
    "attributes": [
        {"key": "session.id", "value": {"stringValue": "s"}},
        {"key": "int", "value": {"intValue": "9007199254740993"}},
        {"key": "list", "value": {"arrayValue": {"values": [{"doubleValue": 0.5}, {}]}}},
        {
            "key": "map",
            "value": {"kvlistValue": {"values": [{"key": "k", "value": {"boolValue": True}}]}},
        },
        {"key": "none"},
    ],
    "events": [{"timeUnixNano": "1735689600000001000", "name": "e"}],
    "links": [{"traceId": "AA", "spanId": "BB", "flags": 1}],
    "status": {"code": 2, "message": "no"},
}
REQUEST = {
    "resourceSpans": [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "api"}}]},
            "scopeSpans": [{"scope": {"name": "lib"}, "spans": [SPAN]}],
        }
    ]
}
FLAT = {
    "name": "GET /",
    "kind": "SERVER",
    "session_id": "s",
    "trace_id": "5b8efff798038103d269b633813fc60c",
    "span_id": "eee19b7ec3c1b174",
    "trace_flags": "01",
    "parent_span_id": "eee19b7ec3c1b173",
    "start_time": "2025-01-01T00:00:00.000000Z",
    "end_time": "2025-01-01T00:00:00.001500Z",
    "duration_ns": 1_500_000,
    "status": "ERROR",
    "status_message": "no",
    "service": "api",
    "scope": "lib",
    "attributes": {
        "session.id": "s",
        "int": 9007199254740993,
        "list": [0.5, None],
        "map": {"k": True},
        "none": None,
    },
    "events": [{"name": "e", "timestamp": "2025-01-01T00:00:00.000001Z", "attributes": {}}],
    "links": [{"trace_id": "aa", "span_id": "bb", "attributes": {}}],
    "resource": {"service.name": "api"},
    "_otlp": {
        "item": {"flags": 257, "links": [{"traceId": "aa", "spanId": "bb", "flags": 1}]},
    },
}


def test_flat() -> None:
    """A span of OTLP/JSON has the keys of a span line, in their order."""
    (row,) = flat_spans(REQUEST, "unknown")
    assert FLAT == row
    assert list(FLAT) == list(row)


def test_spelt_out_and_bare() -> None:
    """Enumerations may be names; what may be absent has its default."""
    bare: dict[str, Any] = {"kind": "SPAN_KIND_CLIENT", "status": {"code": "STATUS_CODE_OK"}}
    (row,) = flat_spans({"resourceSpans": [{"scopeSpans": [{"spans": [bare]}]}]}, "sid")
    assert ("CLIENT", "OK", "sid", {}) == (
        row["kind"],
        row["status"],
        row["session_id"],
        row["attributes"],
    )
    assert not {"trace_id", "span_id", "trace_flags", "parent_span_id", "service"} & set(row)


def test_read(write: Write, root: Path) -> None:
    """Each span of a stored request is a line of its own, as JSON too, and is counted."""
    twice = {"resourceSpans": REQUEST["resourceSpans"] * 2}
    write(
        "s.spans.jsonl",
        json.dumps(twice).encode(),
        b'{"name":"flat","start_time":"2024-12-31T00:00:00Z"}',
    )
    found = list(read("s", root))
    assert ["flat", "GET /", "GET /"] == [line.row["name"] for line in found]
    assert [FLAT, FLAT] == [json.loads(line.raw) for line in found[1:]]
    (summary,) = sessions(root)
    assert (3, ("api",), "2025-01-01T00:00:00.001500Z") == (
        summary.spans,
        summary.services,
        summary.last_time,
    )


SCOPED = {"scope": {"name": "lib"}, "spans": [SPAN]}
LOG = {
    "timeUnixNano": "1735689600000000000",
    "observedTimeUnixNano": "1735689600000000000",
    "severityNumber": 17,
    "severityText": "ERROR",
    "body": {"stringValue": "no"},
    "attributes": [{"key": "session.id", "value": {"stringValue": "s"}}],
    "traceId": "5b8efff798038103d269b633813fc60c",
    "spanId": "eee19b7ec3c1b174",
    "flags": 1,
}


def snake(value: Any) -> Any:
    """Return *value* with protobuf's own names."""
    if isinstance(value, list):
        return [snake(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", key): snake(held)
        for key, held in value.items()
    }


@pytest.mark.parametrize(
    ("form", "missing"),
    [
        (snake(REQUEST), {}),
        ({"resourceSpans": [snake(REQUEST["resourceSpans"][0])]}, {}),
        ({"resourceSpans": [{**REQUEST["resourceSpans"][0], "scopeSpans": [snake(SCOPED)]}]}, {}),
        ({"resourceSpans": [{"resource": REQUEST["resourceSpans"][0]["resource"],
          "instrumentationLibrarySpans": [
              {"instrumentationLibrary": {"name": "lib"}, "spans": [SPAN]}]}]}, {}),
        (REQUEST["resourceSpans"][0], {}),
        ({"scopeSpans": [SCOPED]}, {"service"}),
        ({"instrumentationLibrarySpans": [SCOPED]}, {"service"}),
        ({**SPAN, "traceId": "W47/95gDgQPSabYzgT/GDA==", "spanId": "7uGbfsPBsXQ=",
          "parentSpanId": "7uGbfsPBsXM="}, {"service", "scope"}),
        ({**SPAN, "kind": "SPAN_KIND_SERVER",
          "status": {"code": "STATUS_CODE_ERROR", "message": "no"}}, {"service", "scope"}),
        (snake(SPAN), {"service", "scope"}),
    ],
)  # fmt: skip
def test_older_and_bare_forms(
    form: dict[str, Any], missing: set[str], write: Write, root: Path
) -> None:
    """A span is read from every form that its protocol has had, and from a part of a request."""
    empty = {"service": {}, "scope": {"scope": ""}}
    expected = {key: value for key, value in FLAT.items() if key not in missing}
    for key in missing:
        expected.update(empty[key])
    if "service" in missing:
        expected["resource"] = {}
    write("s.spans.jsonl", json.dumps(form).encode())
    assert [expected] == [line.row for line in read("s", root)]


@pytest.mark.parametrize(
    "form",
    [
        {"resourceLogs": [{"scopeLogs": [{"logRecords": [LOG]}]}]},
        {"resourceLogs": [{"instrumentationLibraryLogs": [{"logRecords": [LOG]}]}]},
        snake({"resourceLogs": [{"scopeLogs": [{"logRecords": [LOG]}]}]}),
        {"scopeLogs": [{"logRecords": [LOG]}]},
        {"logRecords": [LOG]},
        LOG,
        {**LOG, "severityNumber": "SEVERITY_NUMBER_ERROR"},
    ],
)
def test_log_records(form: dict[str, Any], write: Write, root: Path) -> None:
    """A log record of OTLP/JSON has the keys of a log line, and no others where these say it all."""
    write("s.logs.jsonl", json.dumps(form).encode())
    (line,) = read("s", root)
    assert {
        "timestamp": "2025-01-01T00:00:00.000000Z",
        "level": "ERROR",
        "logger": "",
        "message": "no",
        "session_id": "s",
        "trace_id": "5b8efff798038103d269b633813fc60c",
        "span_id": "eee19b7ec3c1b174",
        "trace_flags": "01",
    } == line.row


@pytest.mark.parametrize("kind", ["logs", "spans"])
@pytest.mark.parametrize(
    "form", [{"resourceLogs": []}, {"resourceSpans": []}, {"resourceMetrics": []}]
)
def test_another_signal(kind: str, form: dict[str, Any], write: Write, root: Path) -> None:
    """What a file is not for is damage that says so, not a line that says nothing."""
    if f"resource{kind.title()}" in form:
        return
    path = write(f"s.{kind}.jsonl", json.dumps(form).encode())
    damages: list[Damage] = []
    assert [] == list(read("s", root, on_damage=damages.append))
    assert [Damage(str(path), 1, f"OTLP/JSON, but no resource{kind.title()}")] == damages


@pytest.mark.parametrize(
    "row",
    [
        b'{"timestamp":"2025-01-01T00:00:00.000000Z","message":"m","resourceLogs":5}',
        b'{"level":"info","msg":"m","traceId":"a"}',
    ],
)
def test_flat_lines_with_such_keys(row: bytes, write: Write, root: Path) -> None:
    """A log line that has a time, or the trace's ID alone, is what its keys say."""
    write("s.logs.jsonl", row)
    assert ["m"] == [line.row["message"] for line in read("s", root)]


@pytest.mark.parametrize(
    "spans",
    [
        1,
        [1],
        [{"scopeSpans": 1}],
        [{"scopeSpans": [{"spans": [1]}]}],
        [{"scopeSpans": [{"spans": [{"startTimeUnixNano": "x"}]}]}],
        [{"scopeSpans": [{"spans": [{"startTimeUnixNano": 10**30}]}]}],
        [{"scopeSpans": [{"spans": [{"attributes": [1]}]}]}],
        [{"scopeSpans": [{"spans": [{"parentSpanId": 5}]}]}],
        [{"scopeSpans": [{"spans": [{"attributes": [{"key": [], "value": None}]}]}]}],
        [{"scopeSpans": [{"spans": [{"traceId": "no ID"}]}]}],
        [{"scopeSpans": [{"spans": [{"traceId": "W47/"}]}]}],
        [{"spans": [{}]}],
        [{"scopeSpans": [{"logRecords": [{}]}]}],
    ],
)
def test_damage(spans: Any, write: Write, root: Path) -> None:
    """A line of another shape is damage, and the next one is read."""
    path = write(
        "s.spans.jsonl", json.dumps({"resourceSpans": spans}).encode(), json.dumps(REQUEST).encode()
    )
    damages: list[Damage] = []
    found = list(read("s", root, on_damage=damages.append))
    assert (["GET /"], [Damage(str(path), 1, "not OTLP/JSON")]) == (
        [line.row["name"] for line in found],
        damages,
    )


@pytest.mark.parametrize("depth", [10, 330, 5000])
def test_deep_values(depth: int, write: Write, root: Path) -> None:
    """Values that are nested as deeply as a line may be are read or are damage, never a crash."""
    value = b'{"arrayValue":{"values":[' * depth + b'{"intValue":"1"}' + b"]}}" * depth
    write(
        "s.spans.jsonl",
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":[{"key":"deep","value":%s}]}]}]}]}'
        % value,
    )
    damages: list[Damage] = []
    assert 1 == len(list(read("s", root, on_damage=damages.append))) + len(damages)


@pytest.mark.parametrize(
    ("number", "text", "level", "expected"),
    [
        (18, "WARNING", "ERROR2", 18),
        (24, "INFO", "FATAL4", 24),
        (10, "error", "INFO2", 10),
        (1, " error ", "TRACE", 1),
        (9, "ERROR", "INFO", 9),
        (17, "warn", "ERROR", 17),
        (12, "NOTICE", "NOTICE", 12),
        (22, "", "FATAL2", 22),
        (0, "warn", "WARNING", 13),
        (0, "audit", "audit", 0),
    ],
)
def test_severity_number_decides(number: int, text: str, level: str, expected: int) -> None:
    """A record's number is its severity, whatever its text says; its line is not renamed again."""
    attributes = [{"key": key, "value": {"stringValue": "2026-01-01"}} for key in ("time", "msg")]
    record = {**LOG, "severityNumber": number, "severityText": text, "attributes": attributes}
    for times in (LOG["timeUnixNano"], "0"):
        record["timeUnixNano"] = record["observedTimeUnixNano"] = times
        (row,) = flat_logs({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}, "s")
        assert (level, expected) == (row["level"], severity(row))
        assert row is as_own(row)

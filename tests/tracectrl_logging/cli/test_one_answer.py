"""What is stored has one answer, whichever command is asked."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from click.testing import CliRunner
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tracectrl_logging.cli.group import group

if TYPE_CHECKING:
    from collections.abc import Iterable

START = datetime(2026, 2, 3, 9, 0, tzinfo=timezone.utc)
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
TABLES = ("logs", "spans")
FORM = "%Y-%m-%dT%H:%M:%S.%fZ"

times = st.integers(0, 10**8).map(lambda ms: START + timedelta(milliseconds=ms))


def own(time: datetime, level: str, more: dict[str, Any]) -> bytes:
    """Return a log line of our own."""
    row = {"timestamp": time.strftime(FORM), "level": level, "logger": "a", "message": "m"}
    return orjson.dumps({**row, "session_id": "s", **more})


def foreign(time: datetime, level: str, more: dict[str, Any]) -> bytes:
    """Return a log line as another library writes it."""
    row = {"event": "m", "level": level.lower(), **more, "timestamp": time.isoformat()}
    return json.dumps(row).encode()


def numbered(time: datetime, level: str, more: dict[str, Any]) -> bytes:
    """Return a log line whose level and time are numbers."""
    number = 10 + 10 * LEVELS.index(level)
    milliseconds = (time - START) // timedelta(milliseconds=1) + int(START.timestamp()) * 1000
    return json.dumps({"time": milliseconds, "level": number, "msg": "m", **more}).encode()


def named(time: datetime, level: str, more: dict[str, Any]) -> bytes:
    """Return a log line of our own with a level of the application's."""
    row = {"timestamp": time.strftime(FORM), "level": "AUDIT", "severity_number": 18 + len(level)}
    return orjson.dumps({**row, "severity_number": 16 + len(level) % 3, "message": "m", **more})


ODD = (
    b'"x":1, "level":"%b"',
    b'"lev\\u0065l":"%b"',
    b'"level":"\xc2\xa0%b"',
    b'"exception":{"type":"E"},"message":"n","level" : "%b"',
    b'"timestamp":"2016-12-31T23:59:60.000000Z"',
    b'"timestamp":"2016-12-31T24:00:00.000000Z"',
    b'"timestamp":"0000-01-01T00:00:00.000000Z"',
    b'"service":NaN',
    b'"session_id":Infinity',
    b'"x":nan',
    b'"x":Inf',
    b'"x":[1,]',
)


def odd(time: datetime, level: str, _: dict[str, Any]) -> bytes:
    """Return a line that begins as one of our own, and goes on as none does."""
    more = ODD[time.microsecond // 1000 % len(ODD)]
    line = own(time, "INFO", {})
    key = more[: more.index(b":") + 1]
    if key == b'"timestamp":':
        return line.replace(b'"timestamp":"%b"' % time.strftime(FORM).encode(), more)
    return line[:-1] + b"," + more.replace(b"%b", level.encode()) + b"}"


def of_collector(time: datetime, level: str, more: dict[str, Any]) -> bytes:
    """Return two log records as OTLP/JSON, the one with a text that may say another level."""
    ns = str((time - START) // timedelta(microseconds=1) * 1000 + int(START.timestamp()) * 10**9)
    record = {"timeUnixNano": ns, "severityNumber": 4 + 4 * LEVELS.index(level) + len(more)}
    named = {**record, "severityText": LEVELS[len(more)].lower()}
    request = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record, named]}]}]}
    return json.dumps(request).encode()


def damaged(_: datetime, level: str, more: dict[str, Any]) -> bytes:
    """Return a line that nobody can read."""
    line = own(START, level, more)
    return (line[:-9], line[:60] + b"}" + line[60:], b"[1]", b"\0" * 9, b"\xff", line + line)[
        len(level) % 5
    ]


def span(time: datetime, status: str, ms: int) -> bytes:
    """Return a span line of our own."""
    row: dict[str, Any] = {"name": "n", "kind": "INTERNAL", "session_id": "s"}
    row |= {"trace_id": f"{ms + 1:032x}", "span_id": f"{ms + 1:016x}", "trace_flags": "01"}
    row |= {"start_time": time.strftime(FORM)}
    row |= {"end_time": (time + timedelta(milliseconds=ms)).strftime(FORM)}
    row |= {"duration_ns": ms * 10**6, "status": status, "status_message": None, "scope": "x"}
    events = [{"name": "e", "timestamp": row["start_time"], "attributes": {}}] * (ms % 3)
    return orjson.dumps({**row, "attributes": {}, "events": events, "links": [], "resource": {}})


def open_span(time: datetime, status: str, ms: int) -> bytes:
    """Return the line of an open span of our own, which may have a line of its end, too."""
    row = orjson.loads(span(time, status, ms))
    for key in ("end_time", "duration_ns", "status", "status_message"):
        del row[key]
    observed = (time + timedelta(seconds=ms)).strftime(FORM)
    return orjson.dumps(
        {**row, "state": "void" if status == "OK" else "open", "observed_time": observed}
    )


def span_of_collector(time: datetime, status: str, ms: int) -> bytes:
    """Return a span as OTLP/JSON."""
    start = (time - START) // timedelta(microseconds=1) * 1000 + int(START.timestamp()) * 10**9
    one = {"traceId": f"{ms + 1:032x}", "spanId": f"{ms + 1:016x}", "name": "n"}
    one |= {"startTimeUnixNano": str(start), "endTimeUnixNano": str(start + ms * 10**6)}
    spans = [{**one, "status": {"code": 2 if status == "ERROR" else 0}}]
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()


extras = st.dictionaries(st.sampled_from("xyz"), st.sampled_from([1, "ü", None, [{"level": 1}]]))
logs = st.lists(
    st.builds(
        lambda make, *args: make(*args),
        st.sampled_from([own, own, own, odd, foreign, numbered, named, of_collector, damaged]),
        times,
        st.sampled_from(LEVELS),
        extras,
    ),
    max_size=12,
)
spans = st.lists(
    st.builds(
        lambda make, *args: make(*args),
        st.sampled_from([span, open_span, span_of_collector]),
        times,
        st.sampled_from(["UNSET", "OK", "ERROR"]),
        st.integers(0, 9),
    ),
    max_size=6,
)
# Lines in the file of many sessions, each of one that has files of its own, or has none.
shared = st.tuples(*(st.lists(st.sampled_from("stuvw"), max_size=12),) * 2, logs, spans)
packings = st.sampled_from(["", ".1", ".1.gz", "cut"])


def stored(root: Path, name: str, lines: list[bytes], packing: str) -> None:
    """Write *lines* to the live file *name*, some of them to one that was rotated."""
    first, last = (lines[: len(lines) // 2], lines) if packing.startswith(".1") else ([], lines)
    last = last[len(first) :]
    data = b"".join(line + b"\n" for line in first)
    if first:
        packed = gzip.compress(data) if packing.endswith("gz") else data
        (root / (name + packing)).write_bytes(packed)
    data = b"".join(line + b"\n" for line in last)
    if last or not first:
        (root / name).write_bytes(data[:-1] if packing == "cut" else data)


def of_others(lines: list[bytes], sids: list[str]) -> list[bytes]:
    """Return those of *lines* that have a partner among *sids*, whose sessions they are."""
    form = b'"session_id":"%b"'
    return [
        line.replace(form % b"s", form % sid.encode())
        for line, sid in zip(lines, sids, strict=False)
    ]


def asked(root: str, *args: str) -> list[dict[str, Any]]:
    """Return the rows that a command prints."""
    result = CliRunner().invoke(group, [*args, "--root", root], prog_name="tracectrl-logs")
    assert result.exit_code in (0, 1, 2), result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def counted(rows: Iterable[dict[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """Return what is compared of rows of sessions, by their IDs."""
    keys = ("logs", "spans", "open_spans", "errors", "error_spans", "first_time", "last_time")
    return {row["session_id"]: tuple(row[key] for key in keys) for row in rows}


# Processes take seconds: what fails is not made shorter.
@pytest.mark.one_python
@settings(max_examples=10, phases=[Phase.generate])
@given(
    st.dictionaries(st.sampled_from("stu"), st.tuples(logs, spans, packings), min_size=1), shared
)
def test_one_answer(
    sessions: dict[str, tuple[list[bytes], list[bytes], str]],
    shared: tuple[list[str], list[str], list[bytes], list[bytes]],
) -> None:
    """All commands count the same lines, errors and times, whoever wrote them in which state.

    A line in the file of many sessions counts to its own session where that has files, else to the rest.
    """
    with tempfile.TemporaryDirectory() as directory:
        for sid, (log_lines, span_lines, packing) in sessions.items():
            stored(Path(directory), f"{sid}.logs.jsonl", log_lines, packing)
            stored(Path(directory), f"{sid}.spans.jsonl", span_lines, packing)
        log_sids, span_sids, log_lines, span_lines = shared
        stored(Path(directory), "%overflow.logs.jsonl", of_others(log_lines, log_sids), "")
        stored(Path(directory), "%overflow.spans.jsonl", of_others(span_lines, span_sids), "")
        expected = counted(asked(directory, "sessions", "--json"))
        with_lines = {sid: row for sid, row in expected.items() if row[0] or row[1]}
        assert with_lines == counted(asked(directory, "query", "FROM sessions", "--json"))
        sql = "SELECT (SELECT count(*) FROM logs) AS logs, (SELECT count(*) FROM spans) AS spans"
        totals = {key: sum(row[at] for row in expected.values()) for at, key in enumerate(TABLES)}
        assert [totals] == asked(directory, "query", sql, "--json")
        counts: Counter[str] = Counter()
        for row in asked(directory, "grep", "-c", "", "--json"):
            sid = row["session_id"]
            counts[sid if sid in sessions else "%overflow"] += row["count"]
        assert {sid: row[0] for sid, row in expected.items() if row[0]} == counts
        for sid, (log_count, span_count, open_spans, *_) in with_lines.items():
            shown = asked(directory, "show", sid, "--json")
            assert open_spans == sum(row.get("state") == "open" for row in shown)
            kinds = ["span" if "start_time" in row else "log" for row in shown]
            assert (log_count, span_count) == (kinds.count("log"), kinds.count("span"))
            exported = asked(directory, "export", sid, "--format", "otlp", "-o", "-")
            records = [
                it
                for row in exported
                for whole in row.get("resourceLogs", ())
                for scope in whole["scopeLogs"]
                for it in scope["logRecords"]
            ]
            ended = [
                it
                for row in exported
                for whole in row.get("resourceSpans", ())
                for scope in whole["scopeSpans"]
                for it in scope["spans"]
            ]
            assert (log_count, span_count) == (len(records), len(ended))

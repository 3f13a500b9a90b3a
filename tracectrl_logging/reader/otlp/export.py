"""Stored lines as OTLP/JSON, as an OpenTelemetry Collector's ``otlpjsonfile`` receiver reads it.

Each line of the output is one batch, of log records or of spans. The encoding itself is
OpenTelemetry's own; what is stored is made into the SDK's objects for it.
"""

from __future__ import annotations

import re
from typing import IO, TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from tracectrl._json import encode_line, for_terminal
from tracectrl._time import ns_of
from tracectrl.errors import MissingExtraError
from tracectrl.schema import LOG_KEYS, UNKNOWN, severity
from tracectrl.session import SESSION_ATTRIBUTE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Final

    from tracectrl.schema import Kind
    from tracectrl_logging.reader.model import Line

BATCH_LINES: Final = 500
BATCH_BYTES: Final = 256 * 1024
"""A batch ends at whichever comes first: the Collector's default is to cut lines of 1 MiB."""

_HEX = re.compile(r"[0-9a-fA-F]+", re.ASCII)
_INT64 = range(-(2**63), 2**63)
_MAX_NS = 2**64 - 1
_MAX_DEPTH = 24  # OTLP takes three messages for one level, and many readers take 100 in all
_PLACED: Final = frozenset(LOG_KEYS)
_EXCEPTION: Final = {
    "type": "exception.type",
    "message": "exception.message",
    "stacktrace": "exception.stacktrace",
}


def write_otlp(lines: Iterable[Line], sid: str, file: IO[bytes]) -> int:
    """Write *lines*, which are the session *sid*, into *file*; return how many they are.

    Raises:
        MissingExtraError: OpenTelemetry's encoder is not installed.
    """
    encode = {"log": _log_batch(), "span": _span_batch()}
    waiting: dict[Kind, list[Line]] = {"log": [], "span": []}
    sizes: dict[Kind, int] = {"log": 0, "span": 0}
    count = 0

    def write(kind: Kind) -> None:
        if waiting[kind]:
            file.write(for_terminal(encode[kind](waiting[kind], sid)))
            waiting[kind] = []
            sizes[kind] = 0

    for line in lines:
        count += 1
        kind = line.kind
        if sizes[kind] + len(line.raw) > BATCH_BYTES:
            write(kind)
        waiting[kind].append(line)
        sizes[kind] += len(line.raw)
        if len(waiting[kind]) >= BATCH_LINES:
            write(kind)
    write("span")
    write("log")
    return count


def log_record(row: Mapping[str, Any], time: str, sid: str) -> ReadableLogRecord:
    """Return a log line as the SDK's record.

    Args:
        row: the line.
        time: its time, as :attr:`Line.time` has it.
        sid: the session of a line that carries none.
    """
    own = row.get("session_id")
    session_id = own if isinstance(own, str) and own else sid
    attributes: dict[str, Any] = {}
    if session_id != UNKNOWN:
        attributes[SESSION_ATTRIBUTE] = session_id
    attributes.update(_exception(row.get("exception")))
    if row.get("stack") is not None:
        attributes["code.stacktrace"] = row["stack"]
    for key, value in row.items():
        if key not in _PLACED:
            attributes.setdefault(key, value)
    timestamp = _ns(time)
    level = row.get("level")
    text = level if isinstance(level, str) else None
    service = row.get("service")
    resource = {"service.name": service} if isinstance(service, str) else {}
    logger = row.get("logger")
    return ReadableLogRecord(
        log_record=LogRecord(
            timestamp=timestamp,
            observed_timestamp=timestamp,
            context=trace.set_span_in_context(
                NonRecordingSpan(_context(row) or trace.INVALID_SPAN_CONTEXT)
            ),
            severity_text=text,
            severity_number=SeverityNumber(rank) if (rank := severity(row)) else None,
            body=_value(row.get("message")),
            attributes=_values(attributes),
        ),
        resource=Resource(resource),
        instrumentation_scope=InstrumentationScope(logger if isinstance(logger, str) else ""),
    )


def span(row: Mapping[str, Any], sid: str) -> ReadableSpan:
    """Return a span line as the SDK's span; *sid* is the session of one that carries none."""
    start, end = _start_and_end(row)
    context = _context(row)
    parent = None
    if context is not None and _is_id(row.get("parent_span_id"), 16):
        parent = SpanContext(context.trace_id, int(row["parent_span_id"], 16), is_remote=False)
    attributes = _values(_dict(row.get("attributes")))
    if sid != UNKNOWN:
        attributes.setdefault(SESSION_ATTRIBUTE, sid)
    resource = _values(_dict(row.get("resource")))
    if isinstance(row.get("service"), str):
        resource.setdefault("service.name", row["service"])
    code = _member(StatusCode, row.get("status"), StatusCode.UNSET)
    message = row.get("status_message")
    has_message = code is StatusCode.ERROR and isinstance(message, str)
    return ReadableSpan(
        name=_text(row.get("name")),
        context=context or trace.INVALID_SPAN_CONTEXT,
        parent=parent,
        resource=Resource(resource),
        attributes=attributes,
        events=[
            Event(
                _text(event.get("name")),
                _values(_dict(event.get("attributes"))),
                _ns(event.get("timestamp")),
            )
            for event in _dicts(row.get("events"))
        ],
        links=[
            Link(linked, _values(_dict(link.get("attributes"))))
            for link in _dicts(row.get("links"))
            if (linked := _context(link)) is not None
        ],
        kind=_member(SpanKind, row.get("kind"), SpanKind.INTERNAL),
        status=Status(code, message if has_message else None),
        start_time=start,
        end_time=end,
        instrumentation_scope=InstrumentationScope(_text(row.get("scope"))),
    )


def _log_batch() -> Callable[[list[Line], str], bytes]:
    try:
        from opentelemetry.exporter.otlp.json.common._log_encoder import (  # noqa: PLC0415
            encode_logs,
        )
    except ImportError as error:
        raise _missing() from error
    return lambda lines, sid: encode_line(
        encode_logs([log_record(line.row, line.time, sid) for line in lines]).to_dict()
    )


def _span_batch() -> Callable[[list[Line], str], bytes]:
    try:
        from opentelemetry.exporter.otlp.json.common.trace_encoder import (  # noqa: PLC0415
            encode_spans,
        )
    except ImportError as error:
        raise _missing() from error

    def encode(lines: list[Line], sid: str) -> bytes:
        request = encode_spans([span(line.row, sid) for line in lines]).to_dict()
        flags = {(line.row.get("trace_id"), line.row.get("span_id")): line.row for line in lines}
        for resource_spans in request["resourceSpans"]:
            for scope_spans in resource_spans["scopeSpans"]:
                for encoded in scope_spans["spans"]:
                    # The encoder leaves the trace flags out: the lower eight bits.
                    row = flags.get((encoded.get("traceId"), encoded.get("spanId")), {})
                    encoded["flags"] = encoded.get("flags", 0) & ~0xFF | _flags(row)
        return encode_line(request)

    return encode


def _missing() -> MissingExtraError:
    feature, package = "the format otlp", "opentelemetry-exporter-otlp-json-common"
    return MissingExtraError(feature, package, "otlp")


def _exception(exception: Any) -> dict[str, Any]:
    if isinstance(exception, dict):
        return {
            name: exception[key]
            for key, name in _EXCEPTION.items()
            if exception.get(key) is not None
        }
    return {} if exception is None else {"exception.stacktrace": exception}


def _start_and_end(row: Mapping[str, Any]) -> tuple[int, int]:
    """Return when a span started and ended, in nanoseconds, so that its duration is exact.

    The times are stored to the microsecond; the duration says how much of one is missing.
    """
    start, end = _ns(row.get("start_time")), _ns(row.get("end_time"))
    duration = row.get("duration_ns")
    if not isinstance(duration, int) or not 0 <= duration <= _MAX_NS - start:
        return start, max(start, end)
    missing = end - (start + duration)
    if 0 < missing < 1000:  # noqa: PLR2004 - of one microsecond
        start += missing
    return start, start + duration


def _ns(time: Any) -> int:
    return max(ns_of(time) or 0, 0)


def _context(row: Mapping[str, Any]) -> SpanContext | None:
    trace_id, span_id = row.get("trace_id"), row.get("span_id")
    if not _is_id(trace_id, 32) or not _is_id(span_id, 16):
        return None
    flags = TraceFlags(_flags(row))
    return SpanContext(
        int(str(trace_id), 16), int(str(span_id), 16), is_remote=False, trace_flags=flags
    )


def _flags(row: Mapping[str, Any]) -> int:
    flags = row.get("trace_flags")
    return int(flags, 16) & 0xFF if isinstance(flags, str) and _HEX.fullmatch(flags) else 0


def _is_id(text: Any, length: int) -> bool:
    return (
        isinstance(text, str)
        and len(text) == length
        and _HEX.fullmatch(text) is not None
        and text.strip("0") != ""
    )


def _member(kind: Any, name: Any, default: Any) -> Any:
    return kind.__members__.get(name, default) if isinstance(name, str) else default


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _values(values: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    return {key: _value(value, depth) for key, value in values.items()}


def _value(value: Any, depth: int = 0) -> Any:
    """Return *value*, which is *depth* levels down, as the encoder takes it.

    Integers that OTLP has no room for become text, and so does what is nested too deeply.
    """
    if isinstance(value, int) and value not in _INT64:
        return str(value)
    if not isinstance(value, (dict, list)):
        return value
    if depth >= _MAX_DEPTH:
        return _text(value)
    if isinstance(value, dict):
        return _values(value, depth + 1)
    return [_value(item, depth + 1) for item in value]


def _text(value: Any) -> str:
    """Return *value* as text: a string as it is, nothing as none, anything else as JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    return encode_line({"": value})[4:-2].decode()

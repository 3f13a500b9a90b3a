"""An OpenTelemetry log record exporter: each record, event or log, to the log file of its session."""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult

from tracectrl._json import encode_line, timestamp_ns
from tracectrl.attributes import described
from tracectrl.files.names import LOG_SUFFIX
from tracectrl.files.write.sink import LOSS_LOGGER, ONE, Sink
from tracectrl.files.write.values import open_appender
from tracectrl.processor import values_of
from tracectrl.redaction import redactor
from tracectrl.schema import (
    LEVELS,
    LOG_KEYS,
    OTLP_KEY,
    SESSION_ATTRIBUTE,
    UNKNOWN,
    level_keys,
    level_of_severity,
)
from tracectrl.service import service_name as known_service_name
from tracectrl.service import service_of
from tracectrl.session import PINNED, attributes_of, current_session_id

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from opentelemetry.sdk._logs import ReadableLogRecord

    from tracectrl.redaction import Redact

_logger = logging.getLogger(LOSS_LOGGER)
_KEYS = frozenset((*LOG_KEYS, OTLP_KEY))
_EXCEPTION = {
    "type": "exception.type",
    "message": "exception.message",
    "stacktrace": "exception.stacktrace",
}
"""https://opentelemetry.io/docs/specs/semconv/exceptions/exceptions-logs/"""
_NOBODY_STAMPS = (
    "a log record without a session comes from a batch processor's thread, and goes to unknown.logs.jsonl:"
    " no SessionLogRecordProcessor has seen it; add one before that processor:"
    " provider.add_log_record_processor(tracectrl.processor.SessionLogRecordProcessor())"
)
_BATCH_THREAD = "OtelBatch"
"""What the names of the threads begin with on which the SDK's batch processors export."""

_STACK = "code.stacktrace"
_EVENT_NAME = "event.name"


class FileLogRecordExporter(LogRecordExporter):
    """Appends each log record of the OpenTelemetry SDK, as one line of JSON, to the log file of its session.

    The session is the record's ``session.id``, which
    :class:`~tracectrl.processor.SessionLogRecordProcessor` puts there, else that of the call, where the
    exporter is called on its thread (``SimpleLogRecordProcessor``); where that is a batch processor's thread,
    and no such processor was there, a warning says so once. The line has the keys that a record of
    stdlib logging has: ``logger`` is the instrumentation scope, ``message`` the body, or the name of an
    event without one; attributes are extras, and so is an event's name (``event.name``).

    Args:
        root: the trace directory; ``None`` takes ``TRACECTRL_TRACE_DIR``, else ``./traces``.
        max_bytes: a file that would grow beyond this many bytes is rotated first; 0 for never.
        backup_count: rotated files to keep; with 0 nothing is rotated.
        max_open_files: descriptors held open at most; ``None`` fits ``RLIMIT_NOFILE``.
        max_sessions_per_minute: new sessions that get a file of their own in a minute; the lines
            of further ones go to one overflow file. 0 for no bound.
        max_value_bytes: a longer value is cut and says how long it was; 0 cuts none.
        redact: key names (in any case), and callables ``(key, value) -> bool``, whose values are left
            out of attributes and body at any depth.
        service_name: the ``service`` of the lines where the record's resource has none; ``None``
            takes ``OTEL_SERVICE_NAME``.

    Raises:
        ValueError: an option is out of range.
        OSError: the root cannot be made or written to.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        max_bytes: int = 0,
        backup_count: int = 0,
        max_open_files: int | None = None,
        max_sessions_per_minute: int = 0,
        max_value_bytes: int = 0,
        redact: Redact | None = None,
        service_name: str | None = None,
    ) -> None:
        self._redact = redactor(redact)
        self._service = known_service_name(service_name)
        appender = open_appender(
            root,
            LOG_SUFFIX,
            max_value_bytes=max_value_bytes,
            max_bytes=max_bytes,
            backup_count=backup_count,
            max_open_files=max_open_files,
            max_sessions_per_minute=max_sessions_per_minute,
        )
        # Not through logging, whose records may be what is exported here.
        self._sink = Sink(appender, _report)
        self._unsaid = [_NOBODY_STAMPS]

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Append the records of *batch*; return ``FAILURE`` where one is not in its file. Never raises."""
        result = LogRecordExportResult.SUCCESS
        for record in batch:
            sid = UNKNOWN
            try:
                row = self._row(record)
                sid = row["session_id"]
                written = self._sink.append(sid, encode_line(row))
            except Exception:  # noqa: BLE001 - a foreign record may raise anything
                written = False
                try:
                    self._sink.fail(sid, "encoded")
                except Exception:  # noqa: BLE001 - no stack is left for that
                    missed = self._sink.missed
                    missed += ONE
            if not written:
                result = LogRecordExportResult.FAILURE
        return result

    @property
    def lost(self) -> int:
        """How many records could not be written so far."""
        return self._sink.lost

    def shutdown(self) -> None:
        """Close the files; a record that comes later opens its file again."""
        self._sink.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Return ``True``: what was exported is in the files already."""
        del timeout_millis
        return True

    def _row(self, data: ReadableLogRecord) -> dict[str, Any]:
        record = data.log_record
        attributes = dict(values_of(record.attributes or {}))
        sid = (
            attributes.pop(SESSION_ATTRIBUTE, None) or current_session_id() or self._unknown(record)
        )
        if described:
            attributes = {**attributes_of(sid), **attributes}
        scope: Any = data.instrumentation_scope
        body: Any = record.body
        if self._redact is not None:
            attributes, body = self._redact(attributes), self._redact.value(body)
        name = record.event_name
        row = {
            "timestamp": timestamp_ns(record.timestamp or record.observed_timestamp or 0),
            **level_keys(*_level(record)),
            "logger": scope.name if scope is not None else "",
            "message": body if body is not None else name or "",
            "session_id": str(sid),
            **_ids(record),
            **self._of_resource(data.resource),
        }
        error = {
            key: attributes.pop(name) for key, name in _EXCEPTION.items() if name in attributes
        }
        if error:
            row["exception"] = error
        if _STACK in attributes:
            row["stack"] = attributes.pop(_STACK)
        if name:
            attributes.setdefault(_EVENT_NAME, name)
        for key, value in attributes.items():
            row[f"extra_{key}" if key in _KEYS else key] = value
        return row

    def _unknown(self, record: Any) -> str:
        """Return the session of *record*, which has none; warn once where nobody gives records theirs."""
        with contextlib.suppress(Exception):  # IndexError: another thread has said it
            on_its_thread = not threading.current_thread().name.startswith(_BATCH_THREAD)
            if self._unsaid and not on_its_thread and PINNED not in vars(record):
                _logger.warning(self._unsaid.pop())
        return UNKNOWN

    def _of_resource(self, resource: Any) -> Mapping[str, Any]:
        service = service_of(resource) or self._service
        return {"service": service} if service else {}


def _level(record: Any) -> tuple[str, int]:
    """Return the level of *record*, and its severity where that is none of the five."""
    number = getattr(record.severity_number, "value", None) or 0
    level = level_of_severity(number, record.severity_text or "")
    return level, 0 if level in LEVELS else number


def _ids(record: Any) -> dict[str, str]:
    if not record.trace_id or not record.span_id:
        return {}
    return {
        "trace_id": f"{record.trace_id:032x}",
        "span_id": f"{record.span_id:016x}",
        "trace_flags": f"{(record.trace_flags or 0) & 0xFF:02x}",
    }


def _report(what: str | None) -> None:
    _logger.exception("a log record could not be %s", what or "written")  # noqa: LOG004 - called in an except block

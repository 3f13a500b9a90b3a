"""The shape of a log line: one row of keys in one order, from a record or from an event.

Everything that writes lines (handler, formatter, renderer, console) goes through :class:`Rows`, so
the same event gives the same keys from logging and from structlog.
"""

from __future__ import annotations

import logging
import re
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, cast

from structlog.processors import StackInfoRenderer

from tracectrl._json import safe_repr, timestamp, timestamp_ns
from tracectrl._service import service_name as known_service_name
from tracectrl.redaction import redactor
from tracectrl.session import UNKNOWN
from tracectrl_logging import exceptions
from tracectrl_logging.filter import ABSENT
from tracectrl_logging.stamp import STAMP_KEYS, Stamp, stamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tracectrl.redaction import Redact

LINE_KEYS = (
    "timestamp",
    "level",
    "logger",
    "message",
    *STAMP_KEYS,
    "service",
    "exception",
    "stack",
)
"""The keys of a line, in order; the extras follow."""

RECORD_ATTRIBUTES = frozenset(
    {*vars(logging.LogRecord("", 0, "", 0, "", (), None)), "message", "asctime"}
)
"""What a record holds by itself: not extras. Derived, because Python releases add to it."""

# Records from uvicorn carry their message a second time, with terminal colours.
_NO_EXTRAS = RECORD_ATTRIBUTES | {*STAMP_KEYS, "color_message"}
_KEYS = frozenset(LINE_KEYS)
_STAMPED = frozenset(STAMP_KEYS)
_MISSING = object()

_LEVEL_OF_METHOD = {
    "warn": "WARNING",
    "exception": "ERROR",
    "err": "ERROR",
    "failure": "CRITICAL",
    "fatal": "CRITICAL",
    "msg": "INFO",
    "log": "INFO",
}
_LEVELS = frozenset({"CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG", "NOTSET"})
_HEX = {
    "trace_id": re.compile("(?!0{32})[0-9a-f]{32}"),
    "span_id": re.compile("(?!0{16})[0-9a-f]{16}"),
    "trace_flags": re.compile("[0-9a-f]{2}"),
}
_RFC3339_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
_render_stack = StackInfoRenderer()


class Rows:
    """Builds rows: dicts with the keys of a line, in order.

    Args:
        service_name: the ``service`` of the lines; ``None`` asks the OpenTelemetry variables.
        redact: what to leave out of the extras, see :class:`tracectrl.redaction.Redactor`.
    """

    def __init__(self, *, service_name: str | None = None, redact: Redact | None = None) -> None:
        self._service = known_service_name(service_name)
        self._redact = redactor(redact)

    def of_record(self, record: logging.LogRecord) -> dict[str, Any]:
        """Return the row of *record*; the record stays as it is.

        Raises:
            Exception: the message does not take its arguments, as ``record.getMessage()`` raises.
        """
        msg: Any = record.msg
        if isinstance(msg, dict):
            if "_logger" in record.__dict__ and "_name" in record.__dict__:
                event = {**msg, "_record": record, "_from_structlog": True}
                return self.of_event(record.__dict__["_logger"], record.__dict__["_name"], event)
            row = self._row(record, _text(_pop_message(msg := dict(msg))))
        else:
            row = self._row(
                record, msg if type(msg) is str and not record.args else record.getMessage()
            )
            msg = None
        exc_info = msg.pop("exc_info", None) if msg else None
        self._add_exception(row, exc_info or record.exc_info, record.exc_text)
        if record.stack_info:
            row["stack"] = record.stack_info
        if msg:
            self.add_extras(row, msg.items())
        self.add_extras(row, extras_of(record))
        return row

    def of_text(self, text: str, record: logging.LogRecord) -> dict[str, Any]:
        """Return the row of *record* with *text*, which says all of it, as the message."""
        return self._row(record, text)

    def of_event(self, logger: object, method: str, event: dict[str, Any]) -> dict[str, Any]:
        """Return the row of a structlog event dict, which is used up.

        Args:
            logger: the wrapped logger; its ``name`` is the line's, where the event holds none.
            method: the name of the method that was called.
            event: the event dict as the processors left it; ``ProcessorFormatter``'s ``_record``
                may still be in it.
        """
        record: logging.LogRecord | None = event.pop("_record", None)
        from_structlog = event.pop("_from_structlog", True)
        text = _text(_pop_message(event, "event", "message"))
        if record is not None:
            row = self._row(record, text, event)
            for key in ("level", "logger", "timestamp"):
                event.pop(key, None)
        else:
            row = self._event_row(logger, method, text, event)
        exc_info = event.pop("exc_info", None) or (record.exc_info if record else None)
        rendered = exceptions.of_structlog(event.get("exception"))
        if rendered is not None:
            del event["exception"]
            row["exception"] = rendered
        self._add_exception(row, exc_info, record.exc_text if record else None)
        if event.pop("stack_info", None) and "stack" not in event:
            _render_stack(logger, method, with_stack := {"stack_info": True})
            event["stack"] = with_stack["stack"]
        if isinstance(event.get("stack"), str):
            row["stack"] = event.pop("stack")
        self.add_extras(row, event.items())
        if record is not None and not from_structlog:
            known = [(key, value) for key, value in extras_of(record) if key not in event]
            self.add_extras(row, known)
        return row

    def add_extras(self, row: dict[str, Any], extras: Iterable[tuple[str, Any]]) -> None:
        """Put *extras* behind the keys of *row*; one that is called like a key is renamed."""
        if self._redact is not None:
            extras = self._redact(dict(extras)).items()
        for key, value in extras:
            name = key
            if key in _KEYS:
                name = f"extra_{key}"
                while name in row:
                    name = f"extra_{name}"
            row[name] = value

    def _row(
        self, record: logging.LogRecord, message: str, event: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        row = {
            "timestamp": timestamp(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": message,
        }
        fields = record.__dict__
        if event is not None and not _STAMPED.isdisjoint(event):
            fields = {**{key: event.pop(key) for key in STAMP_KEYS if key in event}, **fields}
        self._add_stamp(row, stamp_of(fields))
        return row

    def _event_row(
        self, logger: object, method: str, message: str, event: dict[str, Any]
    ) -> dict[str, Any]:
        row: dict[str, Any] = {
            "timestamp": _event_time(event) or timestamp_ns(time.time_ns()),
            "level": _event_level(event, method),
            "logger": _event_logger(event, logger),
            "message": message,
        }
        own = {key: event.pop(key) for key in STAMP_KEYS if key in event}
        self._add_stamp(row, stamp_of(own) if own else stamp())
        event.update(  # what is no ID is kept as an extra
            (key, value)
            for key, value in own.items()
            if key in _HEX and value is not None and row.get(key) != value
        )
        return row

    def _add_stamp(self, row: dict[str, Any], ids: Stamp) -> None:
        sid, trace_id, span_id, trace_flags = ids
        row["session_id"] = UNKNOWN if sid is None else sid
        if trace_id is not None:
            row["trace_id"] = trace_id
        if span_id is not None:
            row["span_id"] = span_id
        if trace_flags is not None:
            row["trace_flags"] = trace_flags
        if self._service is not None:
            row["service"] = self._service

    def _add_exception(self, row: dict[str, Any], exc_info: object, exc_text: str | None) -> None:
        if exc_info:
            exception = exceptions.of_exc_info(exc_info)
            if exception is not None:
                row["exception"] = exception
        elif exc_text and "exception" not in row:
            row["exception"] = exceptions.of_text(exc_text)


def extras_of(record: logging.LogRecord) -> list[tuple[str, Any]]:
    """Return what ``extra=`` and filters put on *record*, less the stamp and private attributes.

    A stamp key that holds no such ID is an extra.
    """
    fields = record.__dict__
    extras = [(key, fields[key]) for key in fields.keys() - _NO_EXTRAS if not key.startswith("_")]
    if len(extras) > 1:
        order = {key: index for index, key in enumerate(fields)}
        extras.sort(key=lambda item: order[item[0]])
    if "trace_id" in fields or "span_id" in fields:
        extras += [
            (key, fields[key])
            for key in _HEX
            if fields.get(key) not in (None, fields.get(ABSENT)) and not _is_id(key, fields[key])
        ]
    return extras


def stamp_of(fields: Mapping[str, Any]) -> Stamp:
    """Return the stamp that *fields*, of a record or event, carry; the present one fills gaps.

    A record that was stamped outside a session stays outside: ``None`` is an answer. The three keys
    of the span go together.
    """
    present: Stamp | None = None
    absent = fields.get(ABSENT)
    if "session_id" in fields:
        given = fields["session_id"]
        if given is None or given in ("", absent):
            sid = None
        else:
            sid = given if isinstance(given, str) else safe_repr(given)
    else:
        present = stamp()
        sid = present[0]
    trace_id = fields.get("trace_id", _MISSING)
    if trace_id is None or trace_id == absent:
        return (sid, None, None, None)
    if not _is_id("trace_id", trace_id):
        return (sid, *(present or stamp())[1:])
    span_id, flags = fields.get("span_id"), fields.get("trace_flags")
    return (
        sid,
        trace_id,
        span_id if _is_id("span_id", span_id) else None,
        flags if _is_id("trace_flags", flags) else None,
    )


def _is_id(key: str, value: object) -> bool:
    return isinstance(value, str) and _HEX[key].fullmatch(value) is not None


def _pop_message(fields: dict[str, Any], *names: str) -> object:
    for name in names or ("message", "event"):
        if name in fields:
            return fields.pop(name)
    return ""


def _text(message: object) -> str:
    if type(message) is str:
        return message
    try:
        return str(message)
    except Exception:  # noqa: BLE001 - an event may be any object
        return safe_repr(message)


def _event_time(event: dict[str, Any]) -> str | None:
    """Take the time of TimeStamper, in its usual forms; another form stays in the event."""
    value = event.get("timestamp")
    text: str | None = None
    if isinstance(value, str):
        text = value if _RFC3339_UTC.fullmatch(value) else None
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        text = timestamp(value)
    elif isinstance(value, datetime):
        text = timestamp(value.astimezone(timezone.utc).timestamp())
    if text is not None:
        del event["timestamp"]
    return text


def _event_level(event: dict[str, Any], method: str) -> str:
    called = _LEVEL_OF_METHOD.get(method, method.upper())
    level = event.get("level")
    if isinstance(level, str) and (level.upper() in _LEVELS or level == method):
        del event["level"]
        return _LEVEL_OF_METHOD.get(level, level.upper())
    return called


def _event_logger(event: dict[str, Any], logger: object) -> str:
    if isinstance(event.get("logger"), str):
        return cast("str", event.pop("logger"))
    name = getattr(logger, "name", None)
    return name if isinstance(name, str) and name else "root"

"""The shape of a log line: one row of keys in one order, from a record or from an event.

Everything that writes lines (handler, formatter, renderer, console) goes through :class:`Rows`, so
the same event gives the same keys from logging and from structlog. The module is long, for the shape
and what is asked of a record for it are one table.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import re
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from tracectrl._json import encode_line, safe_repr, timestamp
from tracectrl.attributes import described
from tracectrl.redaction import redactor
from tracectrl.schema import (
    LEVEL_OF_METHOD,
    LEVELS,
    LOG_KEYS,
    NUMBER_OF_LEVEL,
    STAMP_KEYS,
    UNKNOWN,
    level_and_rank,
    level_keys,
)
from tracectrl.service import service_name as known_service_name
from tracectrl.session import attributes_of
from tracectrl_logging.line import exceptions
from tracectrl_logging.line.event_record import (
    KEPT,
    STAMP,
    EventText,
    RecordedError,
    restored,
    unfolded,
)
from tracectrl_logging.line.fields import extras_of, has_own_message, stamp_at, stamp_of
from tracectrl_logging.line.places import Places
from tracectrl_logging.line.rendered import json_object
from tracectrl_logging.stamp import ABSENT, is_stamped, stamp

if TYPE_CHECKING:
    from tracectrl.redaction import Redact

_KEYS = frozenset(LOG_KEYS)

TEXT = "_session_text"
"""The key of an event's text where processors of ours know better than by the usual names."""

TEXT_KEYS = ("event", "message", "msg")
"""The usual names of an event's text; the latter two by EventRenamer."""

SPECIAL_KEYS = _KEYS | {TEXT, ABSENT, "exc_info", "stack_info", "_record", "_from_structlog"}
"""What an event may hold that does not go into the line as it is, beside its text."""

_NEAR = 2
"""Within how many seconds the time that a processor put on an event is that of the call."""

_LEVELS = frozenset({*LEVELS, "NOTSET"})
_LEVEL_NAMES = ("level", "levelname", "severity", "log.level")
_SAID_BY_ROW = (
    ("logger", "logger"),
    ("name", "logger"),
    ("log.logger", "logger"),
    ("service", "service"),
    *((key, key) for key in STAMP_KEYS),
)
"""The keys of a JSON message that are left out where they say what a key of the row does."""

_RFC3339_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)


class Rows:
    """Builds rows: dicts with the keys of a line, in order.

    Args:
        service_name: the ``service`` of the lines; ``None`` asks the OpenTelemetry variables.
        redact: what to leave out of the extras, see :class:`tracectrl.redaction.Redactor`.
        callsite: see :class:`~tracectrl_logging.line.places.Places`.
        process: the same.
    """

    def __init__(
        self,
        *,
        service_name: str | None = None,
        redact: Redact | None = None,
        callsite: bool = False,
        process: bool = False,
    ) -> None:
        service = known_service_name(service_name)
        self.service = {} if service is None else {"service": service}
        self.redact = redactor(redact)
        self.places = Places(callsite=callsite, process=process)

    def of_record(self, record: logging.LogRecord) -> dict[str, Any]:
        """Return the row of *record*; the record stays as it is.

        Raises:
            RecordedError: there is a record of the same event already.
            Exception: the message does not take its arguments, as ``record.getMessage()`` raises.
        """
        if "_logger" in record.__dict__:
            record = restored(record)
        msg: Any = record.msg
        fields = record.__dict__
        text: Any = record.getMessage() if has_own_message(record) else None
        if isinstance(msg, dict):
            if "_logger" in fields and "_name" in fields:  # structlog's wrap_for_formatter
                return self.of_event(fields["_logger"], fields["_name"], {**msg, "_record": record})
            if text is None or text == str(msg):
                return self._of_dict(record, dict(msg))
        if type(msg) is EventText and text in (None, msg) and not record.args:
            if msg.event is None:
                raise RecordedError
            event = {STAMP: msg.stamp, **msg.event, "_record": record}
            return self.of_event(None, record.levelname.lower(), event)
        if text is None:
            text = record.getMessage() if record.args else self.text(msg)
        exception = None
        if KEPT in fields:
            text, exception = unfolded(text, fields)
        row = self._row(record, text)
        said = self._said(row)
        if record.exc_info or (record.exc_text and exception is None):
            _add_exception(row, record.exc_info, record.exc_text)
        self._finish(row, exception, record.stack_info, said)
        self._add_record_extras(row, record, said)
        return row

    def of_failed(self, record: logging.LogRecord) -> dict[str, Any]:
        """Return the row of a *record* whose formatting fails: the raw message, and its arguments.

        Where the record has a ``getMessage`` of its own, that is asked about the message alone.

        Raises:
            Exception: as that does.
        """
        args: Any = record.args
        text = record.msg
        if has_own_message(record):
            args, bare = None, copy.copy(record)
            bare.args = ()
            text = bare.getMessage()
        row = self._row(record, self.text(text))
        if record.exc_info or record.exc_text:
            _add_exception(row, record.exc_info, record.exc_text)
        if isinstance(record.stack_info, str):
            row["stack"] = record.stack_info
        self._add_record_extras(row, record, {"args": args} if args else {})
        return row

    def of_text(self, text: str, record: logging.LogRecord) -> dict[str, Any]:
        """Return the row of *record* with *text*, which says all of it, as the message."""
        row = self._row(record, text)
        self.add_extras(row, self.places.of(record.__dict__))
        return row

    def of_event(self, logger: object, method: str, event: dict[str, Any]) -> dict[str, Any]:
        """Return the row of a structlog event dict, which is used up.

        Args:
            logger: the wrapped logger; its ``name`` is the line's, where the event holds none.
            method: the name of the method that was called.
            event: the event dict as the processors left it; ``ProcessorFormatter``'s ``_record``
                may still be in it.
        """
        text: Any = ""
        for key in (TEXT, *TEXT_KEYS):
            if key in event:
                text = event.pop(key)
                break
        own: dict[str, Any] = {}
        if "session_id" in event or "trace_id" in event:
            own = {key: event.pop(key) for key in (*STAMP_KEYS, ABSENT) if key in event}
        if not SPECIAL_KEYS.isdisjoint(event):
            return self._of_special_event(logger, method, self.text(text), event, own)
        ids, strange = stamp_of(own) if own else (stamp(), None)
        row = {
            "timestamp": timestamp(time.time()),
            **level_keys(*rank_of(level_of(method))),
            "logger": logger_name(logger),
            "message": text if type(text) is str else self.text(text),
            "session_id": UNKNOWN,
            **ids,
            **self.service,
        }
        said = self._said(row)
        self._finish(row, None, None, said)
        self.add_extras(row, {**said, **event, **(strange or {})})
        return row

    def cleaned(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return the *row* that somebody else has made: itself, or a copy less its secrets."""
        if self.redact is None:
            return row
        extras = {key: row[key] for key in row if key not in _KEYS}
        # The line's own names are no secrets; what is in them may be.
        own = {key: self.redact.value(row[key]) for key in row.keys() & _KEYS}
        clean = {**row, **self.redact.value(extras), **own}
        return clean if any(clean[key] is not row[key] for key in row) else row

    def add_extras(self, row: dict[str, Any], extras: dict[str, Any]) -> None:
        """Put *extras* behind the keys of *row*; one that is called like a key is renamed.

        What the session knows of itself stands in front of them, unless they say otherwise.
        """
        if described:
            known = {**attributes_of(row["session_id"])}  # a copy: other threads may add to it
            extras = {**{name: it for name, it in known.items() if name not in row}, **extras}
        if self.redact is not None:
            extras = self.redact(extras)
        if _KEYS.isdisjoint(extras):
            row.update(extras)
            return
        for key, value in extras.items():
            name = key
            if key in _KEYS:
                name = f"extra_{key}"
                while name in row or name in extras:
                    name = f"extra_{name}"
            row[name] = value

    def _row(self, record: logging.LogRecord, message: str) -> dict[str, Any]:
        fields = record.__dict__
        return {
            "timestamp": timestamp(record.created),
            **level_keys(*level_and_rank(record.levelno, record.levelname)),
            "logger": record.name,
            "message": message,
            "session_id": UNKNOWN,
            **(stamp_of(fields)[0] if is_stamped(fields) else stamp_at(fields)),
            **self.service,
        }

    def text(self, message: Any) -> str:
        """Return the text of *message*, which may be any object; secrets in it are left out."""
        if type(message) is str:
            return message
        if self.redact is not None and not isinstance(message, str):
            message = self.redact.value(message)
        try:
            return str(message)
        except Exception:  # noqa: BLE001 - an event may be any object
            return safe_repr(message)

    def _said(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return the fields of the JSON object that is the message of *row*, if it is one.

        The message becomes what the object says is its; a key that says what the row does is left
        out. An ID in it, which may come from anywhere, decides nothing.
        """
        text = row["message"]
        said = json_object(text) if text[:1] == "{" else None
        if not said:
            return {}
        for key in ("message", "event", "msg"):
            if key in said:
                row["message"] = self.text(said.pop(key))
                break
        else:
            if self.redact is not None and (clean := self.redact(said)) != said:
                row["message"] = encode_line(clean)[:-1].decode()
        given = said.get("timestamp")
        time_text = event_time(said)
        if time_text is not None and not is_near(time_text, seconds_of(row["timestamp"])):
            said["timestamp"] = given
        for key in _LEVEL_NAMES:
            if isinstance(said.get(key), str) and level_of(said[key].lower()) == row["level"]:
                del said[key]
        for key, own in _SAID_BY_ROW:
            if key in said and own in row and said[key] == row[own]:
                del said[key]
        return said

    def _finish(
        self,
        row: dict[str, Any],
        exception: dict[str, Any] | None,
        stack: str | None,
        said: dict[str, Any],
    ) -> None:
        """Add what *row* lacks: *exception* and *stack*, or those that its message *said*."""
        if exception is None and said and "exception" not in row:
            exception = _taken_exception(said)
        if exception is not None:
            row.setdefault("exception", exception)
        if not stack and isinstance(said.get("stack"), str):
            stack = said.pop("stack")
        if stack:
            row["stack"] = stack

    def _add_record_extras(
        self, row: dict[str, Any], record: logging.LogRecord, said: dict[str, Any] | None = None
    ) -> None:
        extras = {**said, **extras_of(record)} if said else extras_of(record)
        if self.places:
            extras = {**self.places.of(record.__dict__), **extras}
        if is_stamped(record.__dict__):
            extras.update(stamp_of(record.__dict__)[1])
        if extras or described:
            self.add_extras(row, extras)

    def _of_dict(self, record: logging.LogRecord, msg: dict[str, Any]) -> dict[str, Any]:
        text = msg.pop("message") if "message" in msg else msg.pop("event", "")
        row = self._row(record, self.text(text))
        exc_info = msg.pop("exc_info", None)
        _add_exception(
            row, exc_info or record.exc_info if _is_flag(exc_info) else exc_info, record.exc_text
        )
        if record.stack_info:
            row["stack"] = record.stack_info
        self.add_extras(row, msg)
        self._add_record_extras(row, record)
        return row

    def _of_special_event(
        self, logger: object, method: str, text: str, event: dict[str, Any], own: dict[str, Any]
    ) -> dict[str, Any]:
        is_records = isinstance(event.get("_record"), logging.LogRecord)  # or somebody's own key
        record: logging.LogRecord | None = event.pop("_record") if is_records else None
        is_foreign = event.pop("_from_structlog", None) is False
        own.update((key, event.pop(key)) for key in (*STAMP_KEYS, ABSENT) if key in event)
        exc_info, exc_text, folded = event.pop("exc_info", None), None, None
        extras: dict[str, Any] = {}
        if record is not None:
            fields = record.__dict__
            own.update((key, fields[key]) for key in (*STAMP_KEYS, ABSENT, STAMP) if key in fields)
            own.setdefault(STAMP, event.pop(STAMP, None) or stamp())
            exc_text = record.exc_text
            if _is_flag(exc_info):
                exc_info = record.exc_info or exc_info
            extras = extras_of(record)
            text, folded = unfolded(text, fields)
        time_text = event_time(event)
        level, name = rank_of(_event_level(event, method)), _event_logger(event, logger)
        if record is not None:  # it knows better
            if is_foreign or time_text is None or is_near(time_text, record.created):
                time_text = timestamp(record.created)
            name = record.name
            level = level_and_rank(record.levelno, record.levelname)
        elif time_text is None:
            time_text = timestamp(time.time())
        ids, strange = stamp_of(own)
        row: dict[str, Any] = {
            "timestamp": time_text,
            **level_keys(*level),
            "logger": name,
            "message": text,
            "session_id": UNKNOWN,
            **ids,
            **self.service,
        }
        rendered = exceptions.of_structlog(event.get("exception"))
        if rendered is not None:
            del event["exception"]
            row["exception"] = rendered
        _add_exception(row, exc_info, exc_text)
        said = self._said(row)
        stack = event.pop("stack_info", None)
        if isinstance(event.get("stack"), str):
            stack = event.pop("stack")
        elif record is not None and record.stack_info:
            stack = record.stack_info
        elif stack is True:
            stack = exceptions.stack()
        self._finish(row, folded, stack if isinstance(stack, str) else None, said)
        place = {} if record is None else self.places.of(record.__dict__)
        self.add_extras(row, {**place, **said, **extras, **event, **strange})
        return row


def _add_exception(row: dict[str, Any], exc_info: object, exc_text: str | None) -> None:
    exception = exceptions.of_exc_info(exc_info)
    if _is_flag(exc_info) and isinstance(exc_text, str) and exc_text and "exception" not in row:
        exception = exceptions.of_text(exc_text)
    if exception is not None:
        row["exception"] = exception


def _taken_exception(said: dict[str, Any]) -> dict[str, Any] | None:
    """Take the exception that a JSON object speaks of, in the forms that are known."""
    exception = exceptions.of_structlog(said.get("exception"))
    if exception is not None:
        del said["exception"]
        return exception
    text = said.get("exc_info")  # python-json-logger's
    if isinstance(text, str) and text:
        del said["exc_info"]
        return exceptions.of_text(text)
    return None


def _is_flag(exc_info: object) -> bool:
    return exc_info is None or isinstance(exc_info, (bool, int))


def level_of(method: str) -> str:
    """Return the level of the lines that the logger's *method* makes."""
    return LEVEL_OF_METHOD.get(method) or method.upper()


def number_of(level: str) -> int | None:
    """Return the standard library's number of a level, ``None`` for a name that it does not know."""
    number = NUMBER_OF_LEVEL.get(level) or logging.getLevelName(level)
    return number if isinstance(number, int) else None


def rank_of(level: str) -> tuple[str, int]:
    """Return the name of an event's *level* in a line, and its severity where it is none of the five."""
    return (level, 0) if level in NUMBER_OF_LEVEL else level_and_rank(number_of(level), level)


def logger_name(logger: object) -> str:
    """Return the name of a structlog logger's lines."""
    name = getattr(logger, "name", None)
    return name if isinstance(name, str) and name else "root"


def event_time(event: dict[str, Any]) -> str | None:
    """Take the time of TimeStamper, in its usual forms; another form stays in the event."""
    value = event.get("timestamp")
    text: str | None = None
    if isinstance(value, str):
        text = value if _RFC3339_UTC.fullmatch(value) else None
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        text = timestamp(value)
    elif isinstance(value, datetime):
        with contextlib.suppress(Exception):  # the ends of the calendar; a time zone of one's own
            text = timestamp(value.timestamp())
    if text is not None:
        del event["timestamp"]
    return text


def seconds_of(text: str) -> float:
    """Return the seconds since 1970 of a line's time."""
    return datetime.fromisoformat(text[:-1] + "+00:00").timestamp()


def is_near(time_text: str, seconds: float) -> bool:
    """Tell whether *time_text*, in a line's form, is the time of the call that was *seconds* after 1970."""
    return abs(seconds_of(time_text) - seconds) < _NEAR


def _event_level(event: dict[str, Any], method: str) -> str:
    level = event.get("level")
    if isinstance(level, str) and (level.upper() in _LEVELS or level == method):
        del event["level"]
        method = level.lower()
    return level_of(method)


def _event_logger(event: dict[str, Any], logger: object) -> str:
    if isinstance(event.get("logger"), str):
        return cast("str", event.pop("logger"))
    return logger_name(logger)

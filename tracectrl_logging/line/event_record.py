"""How a structlog event leaves as a record of the standard library, and comes back as the same line.

Handlers of others see what any record is: the text as its message, the event's keys as attributes,
the application's own call site. What such a record cannot say, or loses in a queue, lies in two
attributes with an underscore: :data:`STAMP` and :data:`KEPT`.

A record that structlog's ``wrap_for_formatter`` made carries the event dict as its message;
:class:`JSONEvent` is such a dict that a queue makes JSON of, which is read back.
"""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from tracectrl._json import encode_line, safe_repr
from tracectrl_logging.line import exceptions

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

    from typing_extensions import Self

STAMP = "_session_stamp"
"""The record attribute that holds the IDs of the time of the call, as a dict."""

KEPT = "_session_event"
"""The record attribute that holds, as a dict of plain values, what the record itself cannot hold.

``names``: the names of attributes whose keys had to be renamed, and those keys. ``exception``: what
the line's key of that name says.
"""


class EventText(str):
    """The text that an application has rendered an event to, and the event.

    Where that is the message of a record, every handler sees the text. A text that a filter or another
    logger makes of it, or that a queue or a copy brings, is all there is then.
    """

    __slots__ = ("event", "stamp")

    event: dict[Any, Any] | None
    """What a line says of it; ``None`` where there is a record of it already."""

    stamp: dict[str, str]
    """The IDs of the time of the call."""

    def __new__(cls, text: str, event: dict[Any, Any] | None, ids: dict[str, str]) -> Self:
        """Return *text* with *event* and *ids*."""
        self = super().__new__(cls, text)
        self.event = event
        self.stamp = ids
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process gets the text."""
        return str, (str(self),)


class RecordedError(Exception):
    """Raised for a record that repeats an event of which there is a record."""


class JSONEvent(dict[str, Any]):
    """An event dict whose text is JSON: what a ``QueueHandler`` makes of it keeps every field."""

    def __str__(self) -> str:
        row = dict(self)
        exception = exceptions.of_exc_info(row.get("exc_info"))
        if exception is not None:
            del row["exc_info"]
            row["exception"] = exception
        return encode_line(row)[:-1].decode()


def keep_event(record: logging.LogRecord) -> None:
    """Let a queue keep the fields of the event dict that structlog put on *record*, if it did."""
    msg: Any = record.msg
    if type(msg) is dict and "_logger" in record.__dict__ and "_name" in record.__dict__:
        record.msg = JSONEvent(msg)


def restored(record: logging.LogRecord) -> logging.LogRecord:
    """Return *record*, or a copy that holds the event dict again that a queue made JSON of."""
    fields = record.__dict__
    text: Any = record.msg
    if type(text) is not str or text[:1] != "{" or not ("_logger" in fields and "_name" in fields):
        return record
    try:
        event, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return record
    folded = text[end + 1 :]
    if folded and "exception" not in event:
        event["exception"] = exceptions.of_text(folded)
    record = copy.copy(record)
    record.msg = event
    return record


def kept_names(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return the keys that attributes of a record with these *fields* stand for, where renamed."""
    kept = fields.get(KEPT)
    names = kept.get("names") if isinstance(kept, dict) else None
    return names if isinstance(names, dict) else {}


def unfolded(text: str, fields: Mapping[str, Any]) -> tuple[str, dict[str, Any] | None]:
    """Return the message in *text*, and the exception that came along, if a queue has folded it into that.

    It stands, too, where the record's text of its exception is what it says.

    An exception that a filter took off the record is not in the text, and stays away.
    """
    kept = fields.get(KEPT)
    exception = kept.get("exception") if isinstance(kept, dict) else None
    if not isinstance(exception, dict) or not isinstance(exception.get("stacktrace"), str):
        return text, None
    message, found, _ = text.partition("\n" + exception["stacktrace"])
    if found or fields.get("exc_text") == exception["stacktrace"]:
        return message, exception
    return text, None


def attributes(
    event: Mapping[Any, Any], own: frozenset[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the attributes that the keys of *event* become on a record, and which were renamed.

    Args:
        event: the keys and values.
        own: the names that are the record's own.
    """
    fields: dict[str, Any] = {}
    renamed: dict[str, Any] = {}
    for key, value in event.items():
        if isinstance(key, str) and key not in own and key[:1] != "_":
            fields[key] = value
            continue
        text = key if isinstance(key, str) else safe_repr(key)
        name = f"extra_{text.lstrip('_')}"
        while name in event or name in fields:
            name = f"extra_{name}"
        fields[name] = value
        renamed[name] = text
    return fields, renamed

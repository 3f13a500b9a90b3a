"""What is on a record or event beside its message: the stamp that came with it, and the extras."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

from tracectrl._json import safe_repr
from tracectrl.schema import STAMP_KEYS
from tracectrl_logging.line.event_record import STAMP, kept_names
from tracectrl_logging.stamp import ABSENT, Stamp, stamp

if TYPE_CHECKING:
    from collections.abc import Mapping

_OWN = [*vars(logging.LogRecord("", 0, "", 0, "", (), None))]

RECORD_COUNT = len(_OWN)
RECORD_LAST = _OWN[-1]
"""The last of the attributes that a record sets by itself, and how many these are."""

RECORD_ATTRIBUTES = frozenset({*_OWN, "message", "asctime"})
"""What a record holds by itself: not extras. Derived, because Python releases add to it."""

# Records from uvicorn carry their message a second time, with terminal colours.
_NO_EXTRAS = RECORD_ATTRIBUTES | {*STAMP_KEYS, "color_message", "getMessage"}

_get_message: Any = logging.LogRecord.getMessage

LOGGINGS_MESSAGE = (
    _get_message if getattr(_get_message, "__globals__", None) is vars(logging) else None
)
"""The standard library's own ``getMessage``; ``None`` where it was replaced before this import."""

_ID_FORMS = {
    "trace_id": re.compile("(?!0{32})[0-9a-f]{32}"),
    "span_id": re.compile("(?!0{16})[0-9a-f]{16}"),
    "trace_flags": re.compile("[0-9a-f]{2}"),
}


def has_own_message(record: logging.LogRecord) -> bool:
    """Tell whether the text of *record* is made by another ``getMessage`` than the standard library's."""
    return type(record).getMessage is not LOGGINGS_MESSAGE or "getMessage" in record.__dict__


def extras_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return what ``extra=`` and filters put on *record*, less the stamp and private attributes."""
    fields = record.__dict__
    names = list(fields)
    # A record sets its own attributes first, in one order; a subclass may do otherwise.
    if names[:RECORD_COUNT] == _OWN:
        del names[:RECORD_COUNT]
    keys = kept_names(fields)
    return {
        keys.get(name, name): fields[name]
        for name in names
        if name not in _NO_EXTRAS and str(name)[:1] != "_"  # extra={1: 2} is a dict, too
    }


def stamp_at(fields: Mapping[str, Any]) -> Stamp:
    """Return the stamp of the call that the record with these *fields* is of, else the present one.

    Records of structlog's events bring theirs along.
    """
    if STAMP not in fields:
        return stamp()
    kept = fields[STAMP]
    if type(kept) is Stamp:
        return kept
    if not isinstance(kept, dict):  # somebody's own attribute
        return stamp()
    return Stamp({key: kept[key] for key in STAMP_KEYS if isinstance(kept.get(key), str)})


def stamp_of(fields: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the stamp that *fields*, of a record or event, carry; the present one fills gaps.

    A record that was stamped outside a session stays outside: ``None`` is an answer. The three keys
    of the span go together. Keys of the span that hold something else than such an ID come second:
    they are extras.
    """
    present = stamp_at(fields)
    if (  # the very strings that are being stamped now: nothing to check
        len(present) == len(STAMP_KEYS)
        and fields.get("session_id") is present["session_id"]
        and fields.get("trace_id") is present["trace_id"]
        and fields.get("span_id") is present["span_id"]
        and fields.get("trace_flags") is present["trace_flags"]
    ):
        return present, {}
    own: dict[str, str] = {}
    if "session_id" not in fields:
        if "session_id" in present:
            own["session_id"] = present["session_id"]
    elif (given := fields["session_id"]) is not None and not _is_absent(given, fields):
        own["session_id"] = given if isinstance(given, str) else safe_repr(given)
    ids = {
        key: fields[key]
        for key in STAMP_KEYS[1:]
        if fields.get(key) is not None and not _is_absent(fields[key], fields)
    }
    strange = {key: ids.pop(key) for key in list(ids) if not _is_id(key, ids[key])}
    if "trace_id" in ids:
        own.update(ids)
    elif "trace_id" not in fields or "trace_id" in strange:
        own.update((key, present[key]) for key in STAMP_KEYS[1:] if key in present)
    return own, strange


def _is_absent(value: object, fields: Mapping[str, Any]) -> bool:
    return isinstance(value, str) and value in ("", fields.get(ABSENT))


def _is_id(key: str, value: object) -> bool:
    return isinstance(value, str) and _ID_FORMS[key].fullmatch(value) is not None

"""A record or an event to its line of JSON; in one pass, where it is plain.

:class:`~tracectrl_logging.line.rows.Rows` knows the whole of the shape, and
:func:`tracectrl._json.encode_line` every kind of value. Nearly all lines need neither: a message,
the stamp, extras that the encoder takes as they are. Those are put together here from parts that
are encoded once (the second, level and logger, the stamp) and from the few that are not. What is
not plain, for whatever reason, goes the general way; both ways give the same bytes, which a
property test sees to.
"""

from __future__ import annotations

import functools
import logging
import time
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

from tracectrl._json import (
    LINE_OPTIONS,
    OPTIONS,
    encode_line,
    microseconds_since,
    timestamp,
    timestamp_ns,
)
from tracectrl.attributes import described
from tracectrl.redaction import LEAVES
from tracectrl.schema import (
    LEVEL_OF_NUMBER,
    LOG_KEYS,
    STAMP_KEYS,
    UNKNOWN,
    level_and_rank,
    level_keys,
)
from tracectrl.session import attributes_of
from tracectrl_logging.line.event_record import KEPT, STAMP
from tracectrl_logging.line.fields import (
    LOGGINGS_MESSAGE,
    RECORD_ATTRIBUTES,
    RECORD_COUNT,
    RECORD_LAST,
    stamp_at,
)
from tracectrl_logging.line.rows import (
    SPECIAL_KEYS,
    Rows,
    level_of,
    logger_name,
    number_of,
    rank_of,
)
from tracectrl_logging.stamp import Stamp, stamp

if TYPE_CHECKING:
    from tracectrl.redaction import Redact

_MAX_KEPT = 1024

_dumps = orjson.dumps

# What an extra cannot be called, on a record that goes the short way; and what is none, since it
# says what the record says otherwise.
_TAKEN = (RECORD_ATTRIBUTES | {*LOG_KEYS, STAMP, KEPT, "getMessage"}) - {
    *STAMP_KEYS,
    "message",
    "asctime",
}
_NO_EXTRAS = _TAKEN | {*STAMP_KEYS, "message", "asctime", "color_message"}
_NOBODY = object()
_MILLION = 1_000_000

Level: TypeAlias = "tuple[str, int]"
"""A level's name, and its severity where that is none of the five."""

Parts: TypeAlias = "tuple[float, Level, str, str, Stamp, dict[str, Any]]"
"""What makes a plain line: seconds since the epoch, level, logger, message, stamp, extras."""

# Each made once: they are the keys of what is encoded once.
_LEVELS: dict[int, Level] = {number: (level, 0) for number, level in LEVEL_OF_NUMBER.items()}
_LEVELS_BY_NAME = {level[0]: level for level in _LEVELS.values()}


class Encoder:
    """Encodes records and events as lines.

    Args:
        service_name: see :class:`~tracectrl_logging.line.rows.Rows`.
        redact: the same.
        callsite: the same.
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
        self.rows = Rows(
            service_name=service_name, redact=redact, callsite=callsite, process=process
        )
        places = self.rows.places
        self._places = places or None
        self._redact = self.rows.redact
        self._known: set[str] = set()  # extras that were looked at, and are no secrets
        # One tuple, so that a thread never sees a mixed pair.
        self._second: tuple[float, bytes]
        self._begun(time.time())
        self._thousand = _thousand()
        self._heads: dict[tuple[Level, str], bytes] = {}
        service = self.rows.service
        self._service = b"," + encode_line(service)[1:-2] if service else b""

    def record(self, record: logging.LogRecord) -> tuple[str, bytes]:
        """Return whose line *record* makes, and the line with its newline.

        Raises:
            Exception: as :meth:`Rows.of_record` says.
        """
        parts = self.parts(record)
        return self.of_any(record) if parts is None else self.line(parts)

    def of_any(self, record: logging.LogRecord) -> tuple[str, bytes]:
        """Return what :meth:`record` does, of a record that is not plain.

        Raises:
            Exception: as :meth:`Rows.of_record` says.
        """
        row = self.rows.of_record(record)
        return row["session_id"], encode_line(row)

    def parts(self, record: logging.LogRecord, *, lasting: bool = False) -> Parts | None:  # noqa: C901, PLR0911, PLR0912 - one call
        """Return what :meth:`line` makes the line of *record* from; ``None`` where that is not plain.

        Secrets are left out. Where the line is made later, on another thread perhaps, ask for what is
        *lasting*: ``None`` also where the value of an extra may change, or be a secret.

        Raises:
            Exception: the message does not take its arguments, as ``record.getMessage()`` raises.
        """
        fields = record.__dict__
        try:
            message, args = fields["msg"], fields["args"]
            if (
                type(message) is not str
                or fields["exc_info"]
                or fields["exc_text"]
                or fields["stack_info"]
                or type(record).getMessage is not LOGGINGS_MESSAGE
            ):
                return None
        except KeyError:  # a property of a class of its own
            return None
        if args:
            message = message % args
        if message.startswith("{"):
            return None  # JSON, perhaps, whose keys become the line's
        ids = stamp()
        names = [*fields]
        extras = {}
        try:
            # Its own attributes come first, in one order. Where the last of them is in its place,
            # none has been taken away, and what follows is all that was added.
            if names[RECORD_COUNT - 1] != RECORD_LAST:
                return None
            known = self._known
            redact = self._redact
            looks = lasting or redact is not None
            is_clean = True
            added = names[RECORD_COUNT:]
            if added and added[0] == STAMP:
                ids = stamp_at(fields)
                del added[0]
            if described:
                extras = {**attributes_of(ids.get("session_id"))}
                is_clean = not extras or redact is None
            if self._places is not None:
                extras |= self._places.of(fields)
                is_clean = redact is None
            for name in added:
                if name in known:
                    extras[name] = value = fields[name]
                    if looks and type(value) not in LEAVES:
                        is_clean = False
                elif name not in _NO_EXTRAS and name[:1] != "_":
                    extras[name] = value = fields[name]
                    self._learn(name)
                    if redact is not None or type(value) not in LEAVES:
                        is_clean = False
                elif name in _TAKEN or (name in STAMP_KEYS and fields[name] is not ids.get(name)):
                    return None
            if not is_clean and looks:
                if lasting or redact is None:
                    return None
                extras = redact(extras)
            try:
                level = _LEVELS[fields["levelno"]]
            except KeyError:
                level = level_and_rank(fields["levelno"], fields["levelname"])
            return fields["created"], level, fields["name"], message, ids, extras
        except Exception:  # noqa: BLE001 - the general way says what is wrong, if anything
            return None

    def event(self, logger: object, method: str, event: dict[str, Any]) -> tuple[str, bytes]:
        """Return whose line a structlog *event* makes, and the line; *event* is used up."""
        message = event.get("event")
        if type(message) is str and message[:1] != "{":
            ids = stamp()
            extras = {}
            for key, value in event.items():
                if key not in SPECIAL_KEYS:
                    extras[key] = value
                elif value is not ids.get(key, _NOBODY):
                    break
            else:
                if len(event) - len(extras) in (len(ids), 0):  # all of the stamp, or nothing of it
                    del extras["event"]
                    if described:
                        extras = {**attributes_of(ids.get("session_id")), **extras}
                    if self._redact is not None:
                        extras = self._redact(extras)
                    name = level_of(method)
                    level = _LEVELS_BY_NAME.get(name) or rank_of(name)
                    return self.line(
                        (time.time(), level, logger_name(logger), message, ids, extras)
                    )
        row = self.rows.of_event(logger, method, event)
        return row["session_id"], encode_line(row)

    def line(self, parts: Parts) -> tuple[str, bytes]:
        """Return whose line *parts* make, and the line; never raises for a value."""
        seconds, level, name, message, ids, extras = parts
        try:
            second, start = self._second
            rest = int((seconds - second) * 1e6 + 0.5)  # as microseconds_since(): a call costs more
            if not 0 <= rest < _MILLION:
                start, rest = self._begun(seconds)
            thousand = self._thousand
            millis, micros = thousand[rest // 1000], thousand[rest % 1000]
            head = self._heads.get((level, name)) or self._head(level, name)
            sid, keys = ids.encoded or _encoded(ids)
            text = _dumps(message, None, OPTIONS)
            if not extras:
                return sid, b"".join(
                    (start, millis, micros, head, text, keys, self._service, b"}\n")
                )
            tail = _dumps(extras, None, LINE_OPTIONS)[1:]
            return sid, b"".join(
                (start, millis, micros, head, text, keys, self._service, b",", tail)
            )
        except Exception:  # noqa: BLE001 - values that the encoder refuses, a time of no calendar
            row = {
                "timestamp": timestamp(seconds),
                **level_keys(*level),
                "logger": name,
                "message": message,
                "session_id": UNKNOWN,
                **ids,
                **self.rows.service,
                **extras,
            }
            return row["session_id"], encode_line(row)

    def _learn(self, name: str) -> None:
        """Remember that *name* is an extra's, and no secret, if that is so."""
        if len(self._known) < _MAX_KEPT and (self._redact is None or self._redact.lets(name)):
            self._known.add(name)

    def _begun(self, seconds: float) -> tuple[bytes, int]:
        """Return what a line of this time begins with, and the microseconds."""
        second = int(seconds // 1)
        rest = microseconds_since(second, seconds)
        if rest == _MILLION:
            second, rest = second + 1, 0
        start = b'{"timestamp":"' + timestamp_ns(second * 1_000_000_000)[:-7].encode()
        self._second = (float(second), start)
        return start, rest

    def _head(self, level: Level, name: str) -> bytes:
        keys = _dumps(level_keys(*level))[1:-1]
        head = b'Z",%b,"logger":%b,"message":' % (keys, _dumps(name))
        if type(level[0]) is str and type(name) is str:  # else True would stand for 1
            if len(self._heads) >= _MAX_KEPT:
                self._heads.clear()
            self._heads[level, name] = head
        return head


@functools.cache
def _thousand() -> list[bytes]:
    """Return the numbers below 1000, of three digits each: to format one costs as much as a time."""
    return [b"%03d" % number for number in range(1000)]


def made_anew(parts: Parts) -> logging.LogRecord:
    """Return a record that says what the one did that *parts* were taken from, less where it was."""
    seconds, level, name, message, ids, extras = parts
    own = {"created": seconds, "levelname": level[0], "levelno": number_of(level[0]) or 0}
    return logging.makeLogRecord({**own, "name": name, "msg": message, **ids, **extras})


def _encoded(ids: Stamp) -> tuple[str, bytes]:
    row = {"session_id": UNKNOWN, **ids}
    ids.encoded = encoded = row["session_id"], b"," + _dumps(row)[1:-1]
    return encoded

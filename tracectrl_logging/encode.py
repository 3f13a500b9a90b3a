"""A record or an event to its line of JSON; in one pass, where it is plain.

:class:`~tracectrl_logging.line.Rows` knows the whole of the shape, and
:func:`tracectrl._json.encode_line` every kind of value. Nearly all lines need neither: a message,
the stamp, extras that the encoder takes as they are. Those are put together here from parts that
are encoded once (the second, level and logger, the stamp) and from the few that are not. What is
not plain, for whatever reason, goes the general way; both ways give the same bytes, which a
property test sees to.
"""

from __future__ import annotations

import logging
import time
from itertools import islice
from typing import TYPE_CHECKING, Any

import orjson

from tracectrl._json import encode_line, timestamp_ns
from tracectrl.session import UNKNOWN
from tracectrl_logging.fields import RECORD_ATTRIBUTES, RECORD_COUNT, RECORD_LAST
from tracectrl_logging.line import LINE_KEYS, SPECIAL_KEYS, Rows, level_of, logger_name
from tracectrl_logging.stamp import STAMP_KEYS, Stamp, stamp

if TYPE_CHECKING:
    from tracectrl.redaction import Redact

_MAX_KEPT = 1024

_dumps = orjson.dumps
_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
_LINE_OPTIONS = _OPTIONS | orjson.OPT_APPEND_NEWLINE
_Record = logging.LogRecord
_get_message = _Record.getMessage

# What a name on a record, behind its own attributes, is: an extra, unless it is here.
_STAMP, _DERIVED, _TAKEN = 1, 2, 3
_KINDS = {
    **dict.fromkeys((*LINE_KEYS, *RECORD_ATTRIBUTES), _TAKEN),
    **dict.fromkeys(STAMP_KEYS, _STAMP),
    **dict.fromkeys(("message", "asctime", "color_message"), _DERIVED),
}
_SPECIAL_BESIDE_STAMP = SPECIAL_KEYS.difference(STAMP_KEYS)


class _NotPlainError(Exception):
    """This one goes the general way."""


class Encoder:
    """Encodes records and events as lines.

    Args:
        service_name: see :class:`~tracectrl_logging.line.Rows`.
        redact: the same.
    """

    def __init__(self, *, service_name: str | None = None, redact: Redact | None = None) -> None:
        self.rows = Rows(service_name=service_name, redact=redact)
        self._redact = self.rows.redact
        self._second = (-1, b"")  # one tuple, so that a thread never sees a mixed pair
        self._heads: dict[tuple[str, str], bytes] = {}
        service = self.rows.service
        self._service = b"," + encode_line(service)[1:-2] if service else b""

    def record(self, record: logging.LogRecord) -> tuple[str, bytes]:
        """Return whose line *record* makes, and the line with its newline.

        Raises:
            Exception: as :meth:`Rows.of_record` says.
        """
        fields = record.__dict__
        message = fields["msg"]
        if (
            type(message) is str
            and not (fields["exc_info"] or fields["exc_text"] or fields["stack_info"])
            and (type(record) is _Record or type(record).getMessage is _get_message)
        ):
            args = fields["args"]
            if args:
                message = message % args
            try:
                ids = stamp()
                # Its own attributes come first, in one order. Where the last of them is in its
                # place, none has been taken away, and what follows is all that was added.
                added = islice(fields.items(), RECORD_COUNT - 1, None)
                extras = {}
                if next(added)[0] != RECORD_LAST:
                    raise _NotPlainError  # noqa: TRY301 - caught below, with what else is not plain
                for name, value in added:
                    kind = _KINDS.get(name)
                    if kind is None:
                        if name[0] != "_":
                            extras[name] = value
                    elif kind is _TAKEN or (kind is _STAMP and value is not ids.get(name)):
                        raise _NotPlainError  # noqa: TRY301 - the same
                return self._line(
                    round(fields["created"] * 1e6),
                    (fields["levelname"], fields["name"]),
                    message,
                    ids,
                    extras,
                )
            except Exception:  # noqa: BLE001, S110 - the general way says what is wrong, if anything
                pass
        row = self.rows.of_record(record)
        return row["session_id"], encode_line(row)

    def event(self, logger: object, method: str, event: dict[str, Any]) -> tuple[str, bytes]:
        """Return whose line a structlog *event* makes, and the line; *event* is used up."""
        message = event.get("event")
        ids = stamp()
        if type(message) is str and _is_plain(event, ids):
            del event["event"]
            try:
                return self._line(
                    time.time_ns() // 1000,
                    (level_of(method), logger_name(logger)),
                    message,
                    ids,
                    event,
                )
            except Exception:  # noqa: BLE001 - the general way says what is wrong, if anything
                event["event"] = message
        row = self.rows.of_event(logger, method, event)
        return row["session_id"], encode_line(row)

    def _line(
        self,
        microseconds: int,
        source: tuple[str, str],
        message: str,
        ids: Stamp,
        extras: dict[str, Any],
    ) -> tuple[str, bytes]:
        second, rest = divmod(microseconds, 1_000_000)
        known, start = self._second
        if second != known:
            start = self._start(second)
        head = self._heads.get(source) or self._head(source)
        keys = ids.encoded or _encoded(ids)
        if extras:
            if self._redact is not None:
                extras = self._redact(extras)
            tail = b"," + _dumps(extras, None, _LINE_OPTIONS)[1:]
        else:
            tail = b"}\n"
        return ids.get("session_id", UNKNOWN), b"".join(
            (
                start,
                b"%06d" % rest,
                head,
                _dumps(message, None, _OPTIONS),
                keys,
                self._service,
                tail,
            )
        )

    def _start(self, second: int) -> bytes:
        start = b'{"timestamp":"' + timestamp_ns(second * 1_000_000_000)[:-7].encode()
        self._second = (second, start)
        return start

    def _head(self, source: tuple[str, str]) -> bytes:
        level, name = map(_dumps, source)
        head = b'Z","level":%b,"logger":%b,"message":' % (level, name)
        if len(self._heads) >= _MAX_KEPT:
            self._heads.clear()
        self._heads[source] = head
        return head


def _encoded(ids: Stamp) -> bytes:
    ids.encoded = encoded = b"," + _dumps({"session_id": UNKNOWN, **ids})[1:-1]
    return encoded


def _is_plain(event: dict[str, Any], ids: Stamp) -> bool:
    """Tell whether *event* holds nothing special; the stamp *ids* is taken out of it."""
    if SPECIAL_KEYS.isdisjoint(event):
        return True
    if not _SPECIAL_BESIDE_STAMP.isdisjoint(event):
        return False
    for key in STAMP_KEYS:
        if event.get(key) is not ids.get(key):
            return False
    for key in STAMP_KEYS:
        event.pop(key, None)
    return True

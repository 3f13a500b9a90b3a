"""The stamp on every record that passes a handler or logger."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from tracectrl.attributes import described
from tracectrl.schema import STAMP_KEYS
from tracectrl_logging.line.event_record import STAMP, keep_event
from tracectrl_logging.stamp import ABSENT, add_attributes, stamp

if TYPE_CHECKING:
    from collections.abc import Mapping


def _make_room() -> None:
    """Have records made with room for the stamp.

    CPython keeps the attributes of a class's instances in one table, sized for the names that it
    has seen on any of them, 30 at most. A name beyond makes each record's dict grow by itself, which
    costs as much as the stamp. So the names of the stamp are seen before anybody's extras are.
    """
    record: Any = logging.LogRecord("", 0, "", 0, "", (), None)
    record.session_id = record.trace_id = record.span_id = record.trace_flags = None


_make_room()


class SessionContextFilter(logging.Filter):
    """Sets ``session_id``, ``trace_id``, ``span_id`` and ``trace_flags`` on each record.

    Put it on a handler: a filter on a logger does not see the records of the loggers below it. With
    a queue between, put it on the ``QueueHandler``: the listener's thread is in nobody's session.
    What an earlier filter or ``extra=`` has set stays. There, too, an event dict that structlog's
    ``wrap_for_formatter`` put on the record is given a text that says all of it, as JSON.

    Args:
        default: what an ID that does not exist becomes; for text formats, ``"-"`` perhaps.
    """

    def __init__(self, *, default: str | None = None) -> None:
        super().__init__()
        self._default = default

    def filter(self, record: logging.LogRecord) -> bool:
        """Stamp *record*; every record passes."""
        fields = record.__dict__
        if type(record.msg) is dict:
            keep_event(record)
        if not (
            "session_id" in fields
            or "trace_id" in fields
            or "span_id" in fields
            or "trace_flags" in fields
            or STAMP in fields
        ):
            complete = stamp().complete
            if complete is not None:
                (
                    fields["session_id"],
                    fields["trace_id"],
                    fields["span_id"],
                    fields["trace_flags"],
                ) = complete
                if described:
                    add_attributes(fields, fields)
                return True
        kept = fields.get(STAMP)
        self._fill(fields, kept if isinstance(kept, dict) else stamp())
        if described:
            add_attributes(fields, fields)
        return True

    def _fill(self, fields: dict[str, Any], ids: Mapping[str, str]) -> None:
        """Set what *fields* lack; what does not exist is set to say so."""
        for key in STAMP_KEYS:
            if key not in fields:
                fields[key] = ids.get(key, self._default)
        if self._default is not None:
            fields.setdefault(ABSENT, self._default)

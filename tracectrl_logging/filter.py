"""The stamp on every record that passes a handler or logger."""

from __future__ import annotations

import logging

from tracectrl_logging.stamp import STAMP_KEYS, stamp

ABSENT = "_session_absent"
"""The record attribute that says which value stands for "none" on it, where that is not None."""


class SessionContextFilter(logging.Filter):
    """Sets ``session_id``, ``trace_id``, ``span_id`` and ``trace_flags`` on each record.

    Put it on a handler: a filter on a logger does not see the records of the loggers below it. With
    a queue between, put it on the ``QueueHandler``: the listener's thread is in nobody's session.
    What an earlier filter or ``extra=`` has set stays.

    Args:
        default: what an ID that does not exist becomes; for text formats, ``"-"`` perhaps.
    """

    def __init__(self, *, default: str | None = None) -> None:
        super().__init__()
        self._default = default

    def filter(self, record: logging.LogRecord) -> bool:
        """Stamp *record*; every record passes."""
        apply(record, self._default)
        return True


def apply(record: logging.LogRecord, default: str | None = None) -> None:
    """Set the keys of the stamp on *record* that it does not have yet."""
    fields = record.__dict__
    for key, value in zip(STAMP_KEYS, stamp(), strict=True):
        if key not in fields:
            fields[key] = default if value is None else value
    if default is not None:
        fields[ABSENT] = default

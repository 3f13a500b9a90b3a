"""The stamp on every record that passes a handler or logger."""

from __future__ import annotations

import logging
from typing import Any

from tracectrl_logging.stamp import STAMP_KEYS, stamp

ABSENT = "_session_absent"
"""The record attribute that says which value stands for "none" on it, where that is not None."""


_ALL = len(STAMP_KEYS)


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
        self._absent: dict[str, Any] = dict.fromkeys(STAMP_KEYS, default)

    def filter(self, record: logging.LogRecord) -> bool:
        """Stamp *record*; every record passes."""
        fields = record.__dict__
        ids: dict[str, Any] = stamp()
        if len(ids) != _ALL:
            ids = {**self._absent, **ids}
        if (
            "session_id" in fields
            or "trace_id" in fields
            or "span_id" in fields
            or "trace_flags" in fields
        ):
            ids = {key: value for key, value in ids.items() if key not in fields}
        fields.update(ids)
        if self._default is not None:
            fields.setdefault(ABSENT, self._default)
        return True

"""Stdlib logging, read as it passes.

No handler is added: ``logging.basicConfig`` does nothing where the root logger has one,
``dictConfig`` and ``fileConfig`` remove the ones they find, and the handler of last resort speaks
only where there is none. So the program's logging is read at the four methods that every record
goes through, and what the program itself shows stays what it is.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracectrl_logging.capture.patches import Patches
    from tracectrl_logging.capture.process import Capture

# On a record that the program itself would not have made: none of its handlers sees it.
_OURS = "_tracectrl_ours"


class Held(threading.local):
    """The event that structlog has rendered in this thread and hands to logging next."""

    event: tuple[object, str, dict[str, Any]] | None = None
    """What it was rendered to, the method's name, and the event dict before it was rendered."""


def tap(capture: Capture, held: Held, patches: Patches) -> None:
    """Read what every logger hands to its handlers, and what the root logger's level holds back."""
    reader = _Reader(capture, held)
    is_enabled_for = logging.Logger.isEnabledFor
    make_record = logging.Logger.makeRecord
    handle = logging.Logger.handle
    call_handlers = logging.Logger.callHandlers

    def tapped_is_enabled_for(self: logging.Logger, level: int) -> bool:
        return is_enabled_for(self, level) or reader.admits(self, level)

    def tapped_make_record(
        self: logging.Logger, name: str, level: int, *args: Any, **kwargs: Any
    ) -> logging.LogRecord:
        record = make_record(self, name, level, *args, **kwargs)
        if not is_enabled_for(self, level):
            record.__dict__[_OURS] = True
        return record

    def tapped_handle(self: logging.Logger, record: logging.LogRecord) -> None:
        if _OURS not in record.__dict__:
            handle(self, record)
        elif not self.disabled:
            passed: Any = self.filter(record)
            if passed:  # since Python 3.12 a filter may answer with another record
                reader.read(passed if isinstance(passed, logging.LogRecord) else record)

    def tapped_call_handlers(self: logging.Logger, record: logging.LogRecord) -> None:
        reader.read(record)
        call_handlers(self, record)

    patches.replace(logging.Logger, "isEnabledFor", tapped_is_enabled_for)
    patches.replace(logging.Logger, "makeRecord", tapped_make_record)
    patches.replace(logging.Logger, "handle", tapped_handle)
    patches.replace(logging.Logger, "callHandlers", tapped_call_handlers)


class _Reader:
    """Says which records are wanted, and has them written."""

    def __init__(self, capture: Capture, held: Held) -> None:
        self._capture = capture
        self._held = held

    def admits(self, logger: logging.Logger, level: int) -> bool:
        """Tell whether nothing but the root logger's level holds back what *logger* says at *level*.

        The root's level is what the program wants to be shown, or what it never cared to set; the
        level of a logger by name, and what is disabled, was meant.
        """
        if level < self._capture.admitted or logger.disabled or logger.manager.disable >= level:
            return False
        while logger.parent is not None:
            if logger.level:
                return False
            logger = logger.parent
        return self._capture.records_wanted

    def read(self, record: logging.LogRecord) -> None:
        """Write *record*, or the structlog event that it was rendered from."""
        event, self._held.event = self._held.event, None
        capture = self._capture
        if not capture.records_wanted or record.levelno < capture.lowest or _was_written(record):
            return
        if event is not None and event[0] is record.msg:
            _, method, fields = event
            capture.write_event(record.name, method, {**fields, "_record": record})
        else:
            capture.write_record(record)


def _was_written(record: logging.LogRecord) -> bool:
    """Tell whether *record* came, through a queue, from a worker process: that is captured too."""
    return record.process not in (None, os.getpid()) and record.processName != "MainProcess"

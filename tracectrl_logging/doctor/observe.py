"""What is seen in a program while it runs: which records reach which handlers, and how stamped.

What is set up when the program ends is not enough: ``with configure():`` has undone it by then.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from logging.handlers import QueueHandler
from typing import Any

from tracectrl.files.write.background import Background
from tracectrl.schema import UNKNOWN
from tracectrl.session import current_session_id
from tracectrl_logging.patches import Patches
from tracectrl_logging.stdlib.handler import SessionFileHandler


@dataclass(slots=True)
class Seen:
    """What was seen so far."""

    records: int = 0
    in_session: int = 0
    """Records of some session."""
    reached: int = 0
    """Records that a handler of ours has written."""
    stopped: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    """By the logger that does not propagate, the records by logger that reached none of ours."""
    unstamped: Counter[str] = field(default_factory=Counter)
    """Records by logger that nobody writes to a session's file, or stamps."""
    stamped: int = 0
    """Records that reached none of ours, but carry a session."""
    queued: Counter[str] = field(default_factory=Counter)
    """Records without a stamp by the queue handler that took them."""
    held_back: Counter[str] = field(default_factory=Counter)
    """Calls by logger that only the root logger's level stopped."""
    is_root_level_meant: bool = False
    """Whether the program has set the root logger's level."""
    structlog_bare: Counter[str] = field(default_factory=Counter)
    """Bound loggers by what they write to, whose processors are none of ours."""
    full: Counter[str] = field(default_factory=Counter)
    """Records by handler that met its queue full."""


SEEN = Seen()


def observe() -> Patches:
    """Watch what passes from here on; the result undoes it."""
    patches = Patches()
    call_handlers = logging.Logger.callHandlers
    is_enabled_for = logging.Logger.isEnabledFor

    def tapped_call_handlers(self: logging.Logger, record: logging.LogRecord) -> None:
        call_handlers(self, record)
        with contextlib.suppress(Exception):  # the program is not ours to disturb
            _look(self, record)

    def tapped_is_enabled_for(self: logging.Logger, level: int) -> bool:
        enabled = is_enabled_for(self, level)
        with contextlib.suppress(Exception):
            if not enabled and level >= logging.INFO and _only_root_holds_back(self, level):
                SEEN.held_back[self.name] += 1
        return enabled

    set_level = logging.Logger.setLevel

    def tapped_set_level(self: logging.Logger, level: int | str) -> None:
        set_level(self, level)
        SEEN.is_root_level_meant |= self is logging.root

    patches.replace(logging.Logger, "setLevel", tapped_set_level)
    patches.replace(logging.Logger, "callHandlers", tapped_call_handlers)
    patches.replace(logging.Logger, "isEnabledFor", tapped_is_enabled_for)
    _watch_structlog(patches)
    return patches


def _look(logger: logging.Logger, record: logging.LogRecord) -> None:
    if (
        isinstance(record.process, int) and record.process != os.getpid()
    ):  # through a queue: it was seen where it was made
        return
    seen = SEEN
    seen.records += 1
    sid = getattr(record, "session_id", None)
    is_stamped = "session_id" in record.__dict__
    if (isinstance(sid, str) and sid not in ("", UNKNOWN, "-")) or current_session_id() is not None:
        seen.in_session += 1
    ours, end = _reaches_ours(logger, record, is_stamped=is_stamped)
    if ours:
        seen.reached += 1
    elif end.parent is not None:
        seen.stopped.setdefault((end.name, _names(end)), Counter())[logger.name] += 1
        seen.stamped += is_stamped
    elif is_stamped:
        seen.stamped += 1
    else:
        seen.unstamped[logger.name] += 1


def _reaches_ours(
    logger: logging.Logger, record: logging.LogRecord, *, is_stamped: bool
) -> tuple[bool, logging.Logger]:
    """Tell whether a handler of ours had *record*, and at which logger it came to an end."""
    ours = False
    end = logger
    while True:
        for handler in end.handlers:
            takes = record.levelno >= handler.level
            if isinstance(handler, SessionFileHandler):
                ours = True  # or its own choice not to
                if takes:
                    _note_queue(handler)
            elif isinstance(handler, QueueHandler) and takes:
                ours = True  # what stands behind it is seen, or not, when it is looked at
                if not is_stamped:
                    SEEN.queued[_name(handler)] += 1
        if not end.propagate or end.parent is None:
            return ours, end
        end = end.parent


def _note_queue(handler: SessionFileHandler) -> None:
    writer = handler._writer  # noqa: SLF001 - of this package
    if isinstance(writer, Background) and writer.is_full:
        SEEN.full[_name(handler)] += 1


def _only_root_holds_back(logger: logging.Logger, level: int) -> bool:
    if logger.disabled or logger.manager.disable >= level:
        return False
    while logger.parent is not None:
        if logger.level or not logger.propagate:
            return False
        logger = logger.parent
    return any(isinstance(handler, SessionFileHandler) for handler in logger.handlers)


def _watch_structlog(patches: Patches) -> None:
    from structlog import BoundLoggerBase  # noqa: PLC0415 - in a process that is observed

    from tracectrl_logging.structlog.processor import add_session_context  # noqa: PLC0415 - as above
    from tracectrl_logging.structlog.renderer import SessionJSONRenderer  # noqa: PLC0415 - as above

    initialise = BoundLoggerBase.__init__

    def tapped_initialise(
        self: BoundLoggerBase, logger: Any, processors: Any, context: Any
    ) -> None:
        initialise(self, logger, processors, context)
        with contextlib.suppress(Exception):
            if isinstance(logger, (logging.Logger, logging.LoggerAdapter)):
                return  # which is seen as a record
            if isinstance(processors, Iterator):
                return  # which can be asked once, and not by us
            if not any(
                it is add_session_context or isinstance(it, SessionJSONRenderer)
                for it in processors
            ):
                SEEN.structlog_bare[type(logger).__name__] += 1

    patches.replace(BoundLoggerBase, "__init__", tapped_initialise)


def _name(handler: logging.Handler) -> str:
    return handler.get_name() or type(handler).__name__


def _names(logger: logging.Logger) -> str:
    return ", ".join(_name(handler) for handler in logger.handlers)

"""The observation of a running program: which records reach which handlers, and with which stamp.

To look at the set-up when the program ends is not enough: ``with configure():`` has undone it by then.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from logging.handlers import QueueHandler, QueueListener
from typing import TYPE_CHECKING, Any

from tracectrl.files.write.background import Background
from tracectrl.schema import UNKNOWN
from tracectrl.session import current_session_id
from tracectrl_logging.line.event_record import STAMP
from tracectrl_logging.patches import Patches
from tracectrl_logging.stdlib.handler import SessionFileHandler

if TYPE_CHECKING:
    from types import FrameType


@dataclass(slots=True)
class Seen:
    """Counts of records and calls so far."""

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
    filtered: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    """By a handler of ours and its filters, the records by logger that these held back."""
    late: Counter[str] = field(default_factory=Counter)
    """Records without a stamp that reached a handler of ours after their call, by who held them."""


SEEN = Seen()

_calls = threading.local()


@dataclass(slots=True)
class _Call:
    """A record on its way through the handlers."""

    record: logging.LogRecord | None
    """``None`` where a handler of ours gets one outside of any such call."""
    is_written: bool = False
    filtered: tuple[str, str] | None = None
    """The handler of ours whose filters held the record back, and these."""


def observe() -> Patches:
    """Count records and calls from here on; the returned patches undo that."""
    patches = Patches()
    call_handlers = logging.Logger.callHandlers
    is_enabled_for = logging.Logger.isEnabledFor

    def tapped_call_handlers(self: logging.Logger, record: logging.LogRecord) -> None:
        call, before = _Call(record), getattr(_calls, "current", None)
        _calls.current = call
        try:
            call_handlers(self, record)
        finally:
            _calls.current = before
        with contextlib.suppress(Exception):  # the program is not ours to disturb
            _look(self, record)
            if call.filtered is not None and not call.is_written:
                SEEN.filtered.setdefault(call.filtered, Counter())[record.name] += 1

    handle = SessionFileHandler.handle

    def tapped_handle(self: SessionFileHandler, record: logging.LogRecord) -> Any:
        passed = handle(self, record)
        with contextlib.suppress(Exception):
            call = getattr(_calls, "current", None) or _Call(None)
            if passed:
                call.is_written = True
            else:
                call.filtered = _name(self), ", ".join(sorted({_kind(it) for it in self.filters}))
            if passed and _is_late(record, call):
                SEEN.late[_holder(sys._getframe(1))] += 1  # noqa: SLF001 - the documented way
        return passed

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
    patches.replace(SessionFileHandler, "handle", tapped_handle)
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
    """Return whether a handler of ours got *record*, and the logger at which propagation ended."""
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
            elif any(isinstance(it, SessionFileHandler) for it in vars(handler).values()):
                ours = True  # it hands on, at once or later
        if not end.propagate or end.parent is None:
            return ours, end
        end = end.parent


def _note_queue(handler: SessionFileHandler) -> None:
    writer = handler._writer  # noqa: SLF001 - of this package
    if isinstance(writer, Background) and writer.is_full:
        SEEN.full[_name(handler)] += 1


def _is_late(record: logging.LogRecord, call: _Call) -> bool:
    """Tell whether a handler of ours gets *record* without a stamp, and not in the call that made it."""
    if (
        not record.__dict__.keys().isdisjoint(("session_id", STAMP))
        or record.process != os.getpid()
    ):
        return False
    return call.record is None or record.created < call.record.created


def _holder(frame: FrameType | None) -> str:
    """Return the class of whoever hands a record to a handler of ours; "" for a queue's listener."""
    while frame is not None:
        who = frame.f_locals.get("self")
        if isinstance(who, QueueListener):
            return ""  # the QueueHandler in front is told of
        if who is not None and not isinstance(who, (logging.Logger, SessionFileHandler)):
            return _name(who) if isinstance(who, logging.Handler) else type(who).__name__
        frame = frame.f_back
    return "the program"


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


def _kind(it: object) -> str:
    return getattr(it, "__qualname__", None) or type(it).__name__


def _names(logger: logging.Logger) -> str:
    return ", ".join(_name(handler) for handler in logger.handlers)

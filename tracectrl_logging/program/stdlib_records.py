"""Stdlib logging, read as it passes.

No handler is added: ``logging.basicConfig`` does nothing where the root logger has one,
``dictConfig`` and ``fileConfig`` remove the ones they find, and the handler of last resort speaks
only where there is none. So what the program's loggers hand to its handlers is read on the way, and
what the program itself shows stays what it is.

What the root logger's level holds back is made a record here and nowhere else, where logging asks
whether the level is enabled. The answer stays "no": the program's code, and logging's behind it, run
as without us. Of the program's own there run a record factory and the filters of the logger, since
these may change or drop what is written, and ``str()`` of the arguments, since the line says them; what
they raise is not the program's.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import traceback
import weakref
from collections import deque
from types import MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from tracectrl_logging.patches import Patches
    from tracectrl_logging.program.capture import Capture

_LOGGINGS = vars(logging)
_HANDLE = logging.Logger.handle.__code__
_FILTERS_REPLACE = sys.version_info >= (3, 12)
_LOGGINGS_FILE = os.path.normcase(logging.addLevelName.__code__.co_filename)


class Held(threading.local):
    """What one thread is about to log, and has logged."""

    def __init__(self) -> None:
        self.latest: deque[Callable[[], object]] = deque(maxlen=4)
        """References to the latest records that were read: a handler may hand them to other loggers."""

    event: tuple[object, str, dict[str, Any]] | None = None
    """The event that structlog has rendered and hands to logging next.

    What it was rendered to, the method's name, and the event dict before it was rendered.
    """
    rendered: object = None
    """What structlog has rendered and hands to another logger, which may pass it on to logging."""
    passed: str | None = None
    """The message of loguru's latest record, which a sink of the program's may pass on to logging."""
    making: bool = False
    """Whether a record that was held back is being made: what its filters log is not ours."""


def tap(capture: Capture, held: Held, patches: Patches) -> None:
    """Read what every logger hands to its handlers, and what the root logger's level holds back."""
    reader = _Reader(capture, held)
    is_enabled_for = logging.Logger.isEnabledFor
    call_handlers = logging.Logger.callHandlers

    def tapped_is_enabled_for(self: logging.Logger, level: int) -> bool:
        enabled = is_enabled_for(self, level)
        if not enabled:
            with contextlib.suppress(Exception):
                reader.read_held_back(self, level, sys._getframe(1))  # noqa: SLF001 - who asks
        return enabled

    patches.replace(logging.Logger, "isEnabledFor", tapped_is_enabled_for)
    patches.replace(logging.Logger, "handle", _Handle(reader, logging.Logger.handle))
    patches.replace(logging.Logger, "callHandlers", _CallHandlers(reader, call_handlers))


class _CallHandlers:
    """The attribute ``callHandlers`` of loggers: where it is looked up, the record is read.

    So no frame of ours stands on the stack of handlers, which may look there for who has logged
    (those that hand records to loguru or logbook do). Where somebody else calls it, a wrapper, or a
    Logger class with a ``handle`` of its own, the record is read in a call.
    """

    def __init__(self, reader: _Reader, given: Callable[..., None]) -> None:
        def call_handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
            with contextlib.suppress(Exception):
                reader.read(record)
            given(logger, record)

        self._read = reader.read
        self._given = given
        self._call = call_handlers

    def __get__(self, logger: logging.Logger | None, owner: type[Any]) -> Any:
        if logger is None:
            return self._call
        frame = sys._getframe(1)  # noqa: SLF001 - who asks
        if frame.f_code is not _HANDLE:
            return MethodType(self._call, logger)
        with contextlib.suppress(Exception):
            self._read(frame.f_locals["record"])
        return MethodType(self._given, logger)


class _Handle:
    """The attribute ``handle`` of loggers: for a Logger class with a ``callHandlers`` of its own.

    Its records are read in between. Any other logger gets logging's own method.
    """

    def __init__(self, reader: _Reader, given: Callable[..., None]) -> None:
        def handle(logger: logging.Logger, record: logging.LogRecord) -> None:
            passed: Any = not logger.disabled and logger.filter(record)
            if not passed:
                return
            if _FILTERS_REPLACE and isinstance(passed, logging.LogRecord):
                record = passed
            with contextlib.suppress(Exception):
                reader.read(record)
            logger.callHandlers(record)

        self._given = given
        self._handle = handle

    def __get__(self, logger: logging.Logger | None, owner: type[Any]) -> Any:
        if logger is None:
            return self._given
        is_own = owner.callHandlers is not logging.Logger.callHandlers
        return MethodType(self._handle if is_own else self._given, logger)


class _Reader:
    """Says which records are wanted, and has them written."""

    def __init__(self, capture: Capture, held: Held) -> None:
        self._capture = capture
        self._held = held

    def read_held_back(self, logger: logging.Logger, level: int, frame: FrameType) -> None:
        """Write what *frame* logs, where that is logging's and only the root logger's level is high.

        Raises:
            Exception: no record can be made of it, or a filter raises.
        """
        if self._held.making or not self._admits(logger, level):
            return
        adapters: list[logging.LoggerAdapter[Any]] = []
        while frame.f_globals is _LOGGINGS and frame.f_code.co_name == "isEnabledFor":
            adapters.append(frame.f_locals["self"])
            if frame.f_back is None:
                return
            frame = frame.f_back
        if frame.f_globals is not _LOGGINGS:
            return  # the program itself asks
        self._held.making = True
        try:
            given = frame.f_locals
            msg, kwargs = given["msg"], dict(given["kwargs"])
            for adapter in reversed(adapters):
                msg, kwargs = adapter.process(msg, dict(kwargs))
            record = _made(logger, level, msg, given["args"], frame, **kwargs)
            passed: Any = not logger.disabled and logger.filter(record)
            if passed:  # since Python 3.12 a filter may answer with another record
                self.read(passed if isinstance(passed, logging.LogRecord) else record)
        finally:
            self._held.making = False
            self._held.event = None

    def _admits(self, logger: logging.Logger, level: int) -> bool:
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
        return self._capture.records_wanted and level < logger.level

    def read(self, record: logging.LogRecord) -> None:
        """Write *record*, or the structlog event that it was rendered from."""
        event, self._held.event = self._held.event, None
        capture = self._capture
        if not capture.records_wanted or record.levelno < capture.lowest or _was_written(record):
            return
        if any(each() is record for each in self._held.latest) or self._is_passed_on(record):
            return
        self._held.latest.append(weakref.ref(record))
        if event is not None and event[0] is record.msg:
            _, method, fields = event
            capture.write_event(record.name, method, {**fields, "_record": record})
        else:
            capture.write_record(record)

    def _is_passed_on(self, record: logging.LogRecord) -> bool:
        """Tell whether structlog's event or loguru's record, which is written, comes by once more as *record*."""
        here = sys._getframe(1)  # noqa: SLF001 - who logs
        return (
            _is_like(self._held.rendered, record.msg)
            and _is_called_by("_proxy_to_logger", "structlog._base", here)
        ) or (
            _is_like(self._held.passed, record.msg)
            and _is_called_by("emit", "loguru._handler", here)
        )


def _is_like(text: object, message: object) -> bool:
    return (
        isinstance(text, (str, bytes))
        and type(message) is type(text)
        and message.strip() == text.strip()
    )


def _is_called_by(function: str, module: str, frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_name == function and frame.f_globals.get("__name__") == module:
            return True
        frame = frame.f_back
    return False


def _made(
    logger: logging.Logger,
    level: int,
    msg: Any,
    args: Any,
    frame: FrameType,
    *,
    exc_info: Any = None,
    extra: Any = None,
    stack_info: bool = False,
    stacklevel: int = 1,
) -> logging.LogRecord:
    """Return the record that ``Logger._log`` makes of these."""
    caller = frame
    while caller.f_back is not None and (
        os.path.normcase(caller.f_code.co_filename) == _LOGGINGS_FILE or stacklevel > 1
    ):
        stacklevel -= os.path.normcase(caller.f_code.co_filename) != _LOGGINGS_FILE
        caller = caller.f_back
    code = caller.f_code
    stack = None
    if stack_info:
        stack = "Stack (most recent call last):\n" + "".join(traceback.format_stack(caller))
    if isinstance(exc_info, BaseException):
        exc_info = (type(exc_info), exc_info, exc_info.__traceback__)
    elif exc_info and not isinstance(exc_info, tuple):
        exc_info = sys.exc_info()
    return logger.makeRecord(
        logger.name,
        level,
        code.co_filename,
        caller.f_lineno,
        msg,
        args,
        exc_info or None,
        code.co_name,
        extra,
        stack and stack.rstrip("\n"),
    )


def _was_written(record: logging.LogRecord) -> bool:
    """Tell whether *record* came, through a queue, from a worker process: that is captured too.

    One that another program's worker made, on another machine perhaps, is not.
    """
    pid = record.process
    if not isinstance(pid, int) or pid == os.getpid() or record.processName == "MainProcess":
        return False
    with contextlib.suppress(OSError, OverflowError, AttributeError):  # gone, no PID, no POSIX
        return os.getsid(pid) == os.getsid(0)
    counter = getattr(sys.modules.get("multiprocessing.process"), "_process_counter", None)
    return counter is not None and repr(counter) != "count(1)"  # it has started some

"""The last processor of a chain of structlog's that :func:`tracectrl_logging.configure` has wired.

The application's processors run first, all but its renderer: what they mask or drop is masked or
dropped for every handler. The last processor is ours, and knows the renderer. Three kinds of loggers
are behind it. What the application prints becomes a record instead, which is made here, so that the
call site is the application's whatever the Logger class is; ``DropEvent`` ends the chain then. A logger
of the application's own gets what it always got, beside that record. Where the application logs
through the standard library, it makes its records itself, as it always did: their text brings the
event along.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import traceback
from collections.abc import Mapping
from io import StringIO
from typing import TYPE_CHECKING, Any

import structlog
from structlog.processors import EventRenamer

from tracectrl.attributes import described
from tracectrl.session import attributes_of
from tracectrl_logging.bridges import (
    NEAR,
    is_around,
    reaches_root,
    records_being_handled,
    says,
)
from tracectrl_logging.line import exceptions
from tracectrl_logging.line.event_record import KEPT, STAMP, EventText, attributes
from tracectrl_logging.line.fields import RECORD_ATTRIBUTES
from tracectrl_logging.line.rows import (
    TEXT,
    TEXT_KEYS,
    Rows,
    event_time,
    is_near,
    level_of,
    number_of,
    seconds_of,
)
from tracectrl_logging.stamp import stamp
from tracectrl_logging.structlog.loggers import (
    call_site,
    prints,
    stack_level,
    target_of,
)
from tracectrl_logging.structlog.rendering import event_of, renamed, says_all

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType

    from structlog.typing import EventDict, WrappedLogger

    from tracectrl.redaction import Redact

_ECHO = "_session_echo"
"""The record attribute of an event that a handler logged while it was handling another record."""

_NO_KEYS = RECORD_ATTRIBUTES | {"color_message"}
"""Which attributes of a record no key of an event may become: handlers take them for something else."""

_LOG = logging.Logger._log  # noqa: SLF001

_WITHIN = threading.local()
"""How many records, made of events, each thread is handling: ``depth``."""


class RecordMaker:
    """The last processor: hands each event to the standard library's logger, as a record.

    Where the application logs through the standard library itself, its records are what they were:
    the text that it renders, which brings the event along. What it writes by a logger of its own is
    written as before, beside the record. What it prints is shown by the console handler instead.

    Args:
        front: the application's processors in front of its renderer.
        end: its renderer, and what follows it; nothing where the application has not chosen any.
        redact: what to leave out of an event that is no text, see :class:`Rows`.
        ignored: packages whose frames are not the application's call site.
    """

    def __init__(
        self,
        front: Iterable[Any] = (),
        end: Iterable[Any] = (),
        *,
        redact: Redact | None = None,
        ignored: tuple[str, ...] = (),
    ) -> None:
        self._end = [*end]
        self._renamers = [it for it in (*front, *end) if type(it) is EventRenamer]
        self._rows = Rows(redact=redact)
        self._ignored = ignored

    def __call__(self, logger: WrappedLogger, method_name: str, event: EventDict) -> Any:
        """Log *event*; return what the application has made of it, for its own logger.

        Raises:
            structlog.DropEvent: where nothing is left to be done.
        """
        is_stdlib = isinstance(logger, (logging.Logger, logging.LoggerAdapter))
        lacks = is_stdlib and not callable(getattr(logger, method_name, None))  # it would raise
        is_mute = lacks or prints(logger)
        is_done = not self._end or (is_mute and _is_dropped(sys._getframe(1)))  # noqa: SLF001
        result, said = self._rendered(logger, method_name, event, is_shown=not is_done)
        said = renamed(said, self._renamers)
        if is_stdlib and not is_done:
            if type(result) is not str:
                return result
            said = self._kept(said)
            if is_around(target_of(logger)[0], _text_of(said), sys._getframe(1)):  # noqa: SLF001
                raise structlog.DropEvent
            text = EventText(result, said, stamp())
            level = stack_level(logger, sys._getframe(1), self._ignored)  # noqa: SLF001
            return text if level is None else ((text,), {"stacklevel": level})
        target, adapters = target_of(logger)
        # The method may be one of a wrapper class of the user's own.
        number = number_of(level_of(method_name)) or logging.INFO
        if target.isEnabledFor(number):
            self._log(target, adapters, number, said)
        if is_done:
            raise structlog.DropEvent
        return EventText(result, None, stamp()) if type(result) is str else result

    def _rendered(
        self, logger: Any, method_name: str, event: Any, *, is_shown: bool
    ) -> tuple[Any, dict[Any, Any]]:
        """Return what the end of the chain makes of *event*, and what that says of it."""
        if not isinstance(event, Mapping):
            given = {}
        elif not self._end or (not is_shown and len(self._end) == 1 and says_all(self._end[0])):
            return None, dict(event)
        else:
            given = dict(event)
        result = text = event if is_shown or not given else dict(event)
        for processor in self._end:
            result = processor(logger, method_name, result)
            text = result if processor is self._end[0] else text
        is_last = len(self._end) == 1
        renderer = self._end[0] if self._end else None
        return result, event_of(result, given, renderer=renderer, text=text, is_last=is_last)

    def _kept(self, event: dict[Any, Any]) -> dict[Any, Any]:
        """Return *event* with what can be told at the time of the call alone."""
        if _has_arguments(event):
            rest = dict(event)
            text, args = self._message(rest)
            with contextlib.suppress(Exception):  # they do not fit
                event = {TEXT: text % args, **rest}
        if event.get("stack_info") is True:
            event["stack"] = _stack(event, call_site(self._ignored))
        exception = exceptions.of_exc_info(event.pop("exc_info", None))
        if exception is not None:
            event.setdefault("exception", exception)
        return event

    def _log(
        self,
        logger: logging.Logger,
        adapters: list[logging.LoggerAdapter[Any]],
        number: int,
        event_dict: Mapping[Any, Any],
    ) -> None:
        event = dict(event_dict)
        is_level = isinstance(event.get("stacklevel"), int)
        frame = call_site(self._ignored, event.pop("stacklevel") if is_level else None)
        text, args = self._message(event)
        nested = getattr(_WITHIN, "depth", 0)
        # Not from the call site: an asynchronous method's is on no stack.
        here = sys._getframe(1)  # noqa: SLF001
        around = next(records_being_handled(here, None if nested else NEAR), None)
        if around is not None and (
            _ECHO in around.__dict__ or (says(around, text, args) and reaches_root(around.name))
        ):
            return  # a handler has made an event of a record: that is on its way already
        stack = _stack(event, frame)
        exc_info, exception = _exception(event)
        created = _leave_out_what_the_record_says(event, number, logger.name)
        fields, names = attributes(event, _NO_KEYS)
        ids = stamp()
        sid = fields.get("session_id", ids.get("session_id"))
        fields = {**(attributes_of(sid) if described else {}), **fields}
        kept: dict[str, Any] = {}
        if names:
            kept["names"] = names
        if exception is not None:
            kept["exception"] = exception
        if kept:
            fields[KEPT] = kept
        if around is not None:
            fields[_ECHO] = True
        for adapter in adapters:
            text, options = adapter.process(text, {"extra": fields})
            fields = {**fields, **(options.get("extra") or {})}
        is_echo = (
            around is not None and around.name == logger.name and not reaches_root(logger.name)
        )
        _WITHIN.depth = nested + 1
        try:
            if not is_echo and type(logger)._log is not _LOG:  # noqa: SLF001 - it may mask
                extra = {STAMP: ids, **fields}
                _log_by_its_own(logger, number, text, args, exc_info=exc_info, extra=extra)
                return
            record = _made(
                logger,
                number,
                frame,
                {STAMP: ids, **fields},
                msg=text,
                args=args,
                exc_info=exc_info,
                sinfo=stack,
            )
            if exception is not None and exc_info is None:
                record.exc_text = exception["stacktrace"]
            if created is not None and not is_near(created, record.created):
                record.created = seconds_of(created)
                record.msecs = int(record.created % 1 * 1000) + 0.0
            # Where it is an echo, the logger's own handlers have seen what it is one of.
            (logging.root if is_echo else logger).handle(record)
        finally:
            _WITHIN.depth = nested

    def _message(self, event: dict[Any, Any]) -> tuple[str, tuple[Any, ...]]:
        """Take the text of *event*, and the arguments that stdlib's BoundLogger left there."""
        text: Any = ""
        for key in (TEXT, *TEXT_KEYS):
            if key in event:
                text = event.pop(key)
                break
        args = event.pop("positional_args") if _has_arguments(event) else ()
        return self._rows.text(text), args


def _text_of(event: Mapping[Any, Any]) -> Any:
    return next((event[key] for key in (TEXT, *TEXT_KEYS) if key in event), "")


def _has_arguments(event: dict[Any, Any]) -> bool:
    return isinstance(event.get("positional_args"), tuple)


def _is_dropped(frame: Any) -> bool:
    """Tell whether a ``DropEvent`` goes to structlog from *frame*, which runs the processors."""
    while frame.f_code.co_name == "_process_event" and frame.f_back is not None:
        frame = frame.f_back
    return frame.f_code is structlog.BoundLoggerBase._proxy_to_logger.__code__  # noqa: SLF001


def _leave_out_what_the_record_says(event: dict[Any, Any], number: int, name: str) -> str | None:
    """Take from *event* what processors such as ``add_log_level`` put there; return TimeStamper's."""
    created = event_time(event)
    level = event.get("level")
    if isinstance(level, str) and number_of(level_of(level.lower())) == number:
        del event["level"]
    if isinstance(event.get("logger"), str) and str(event["logger"]) == name:
        del event["logger"]
    event.pop("_from_structlog", None)
    return created


def _exception(event: dict[Any, Any]) -> tuple[Any, dict[str, Any] | None]:
    """Take the exception of *event*; return it as a record's ``exc_info`` and as a line's key."""
    given = event.pop("exc_info", None)
    rendered = exceptions.of_structlog(event.get("exception"))
    if rendered is not None:
        del event["exception"]
        return None, rendered
    exception = exceptions.of_exc_info(given)
    if exception is None:
        return None, None
    if isinstance(given, BaseException):
        return (type(given), given, given.__traceback__), exception
    return given if isinstance(given, tuple) else sys.exc_info(), exception


def _stack(event: dict[Any, Any], frame: FrameType) -> str | None:
    wanted = event.pop("stack_info", None)
    if isinstance(event.get("stack"), str):
        stack: str = event.pop("stack")
        return stack
    if isinstance(wanted, str) and wanted:
        return wanted
    if wanted is not True:
        return None
    text = StringIO()
    traceback.print_stack(frame, file=text)
    return "Stack (most recent call last):\n" + text.getvalue().rstrip("\n")


def _log_by_its_own(
    logger: logging.Logger, number: int, text: str, args: tuple[Any, ...], **options: Any
) -> None:
    """Log by the ``_log`` of a Logger class, which makes the record; a rendered exception goes as text."""
    exception = options["extra"].get(KEPT, {}).get("exception")
    if exception is not None and options["exc_info"] is None:
        text = f"{text}\n{exception['stacktrace']}"
    try:
        logger._log(number, text, args, **options)  # noqa: SLF001
    except KeyError:  # what a record factory has set, too
        del options["extra"]
        logger._log(number, text, args, **options)  # noqa: SLF001


def _made(
    logger: logging.Logger, level: int, frame: FrameType, extra: dict[str, Any], **said: Any
) -> logging.LogRecord:
    """Return the record; a record factory may have set an attribute that the event has, too."""
    code, place = frame.f_code, (frame.f_code.co_filename, frame.f_lineno)
    # As logging calls it: a Logger class may name the arguments as it likes.
    args = (logger.name, level, *place, said["msg"], said["args"], said["exc_info"], code.co_name)
    try:
        return logger.makeRecord(*args, extra, said["sinfo"])
    except KeyError:
        record = logger.makeRecord(*args, None, said["sinfo"])
        record.__dict__.update(extra)
        return record

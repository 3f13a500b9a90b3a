"""structlog's part of :func:`tracectrl_logging.configure`: events leave as records.

The application's processors run first, all but its renderer: what they mask or drop is masked or
dropped for every handler. The last processor is ours. It makes the record itself, so that the call
site is the application's whatever the Logger class is, and ends the chain by ``DropEvent``: nothing
is left for the wrapped logger to do, whichever it is. The module is long, for the chain that is put in
front, the record that it makes and what tells a bridge from it are one unit.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Mapping
from io import StringIO
from typing import TYPE_CHECKING, Any

import structlog

from tracectrl_logging.line import exceptions
from tracectrl_logging.line.event_record import KEPT, STAMP, attributes
from tracectrl_logging.line.fields import RECORD_ATTRIBUTES
from tracectrl_logging.line.rows import Rows, event_time, level_of, logger_name, number_of
from tracectrl_logging.stamp import stamp
from tracectrl_logging.structlog.logger_factory import SessionFileLoggerFactory
from tracectrl_logging.structlog.rendering import event_shown, says_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import FrameType

    from structlog.typing import EventDict, WrappedLogger

    from tracectrl.redaction import Redact

_OTHERS = (
    structlog.PrintLoggerFactory,
    structlog.WriteLoggerFactory,
    structlog.BytesLoggerFactory,
    SessionFileLoggerFactory,
)
_OWN_NAMES = RECORD_ATTRIBUTES
_ECHO = "_session_echo"
"""The record attribute of an event that a handler logged while it was handling another record."""

_NEAR = 20
"""How many callers are looked at, structlog's included, for a handler that logs."""


def processors_before_renderer(processors: Iterable[Any]) -> list[Any]:
    """Return *processors* without the one that renders; nothing that masks is left out.

    structlog's own renderers are left out where they are last. Any other last processor, and what
    follows a renderer, runs on a copy of the event, and what it returns is read back.
    """
    chain = [*processors]
    first = next((at for at, it in enumerate(chain) if says_all(it)), len(chain) - 1)
    rest = chain[first:] if chain else []
    if len(rest) == 1 and says_all(rest[0]):
        return chain[:first]
    return [*chain[:first], _Unrendered(rest)] if rest else []


class _Unrendered:
    """Runs the end of a chain and returns what it shows of the event, and the event's exception."""

    def __init__(self, processors: list[Any]) -> None:
        self._processors = processors

    def __call__(self, logger: WrappedLogger, method_name: str, event: Any) -> Any:
        result: Any = dict(event) if isinstance(event, Mapping) else event
        for processor in self._processors:
            result = processor(logger, method_name, result)
        given = event if isinstance(event, Mapping) else {}
        said = event_shown(result, given)
        if "exception" not in said and not isinstance(result, Mapping):
            said.update((key, given[key]) for key in ("exc_info", "stack_info") if key in given)
        return said


class StdlibLoggers:
    """The ``logger_factory`` that answers with the standard library's loggers; it changes no class.

    Args:
        theirs: the application's factory; loggers and adapters of the standard library that it
            makes are taken.
    """

    def __init__(self, theirs: Callable[..., Any] | None = None) -> None:
        self._theirs = None if isinstance(theirs, _OTHERS) else theirs

    def __call__(self, *args: Any) -> Any:
        """Return the logger that the first of *args* names, else the one of the calling module."""
        if self._theirs is not None:
            logger = self._theirs(*args)
            if isinstance(logger, (logging.Logger, logging.LoggerAdapter)):
                return logger
        if args:
            return logging.getLogger(str(args[0]))
        return logging.getLogger(call_site().f_globals.get("__name__") or "?")


class RecordMaker:
    """The last processor: hands each event to the standard library's logger, as a record.

    Args:
        redact: what to leave out of an event that is no text, see :class:`Rows`.
        ignored: packages whose frames are not the application's call site.
    """

    def __init__(self, *, redact: Redact | None = None, ignored: tuple[str, ...] = ()) -> None:
        self._rows = Rows(redact=redact)
        self._ignored = ignored
        self._within = threading.local()

    def __call__(self, logger: WrappedLogger, method_name: str, event_dict: EventDict) -> Any:
        """Log *event_dict*.

        Raises:
            structlog.DropEvent: always, since nothing is left to be done.
        """
        target, adapters = _target(logger)
        number = (
            number_of(level_of(method_name)) or logging.INFO
        )  # of a wrapper class of the user's own
        if target.isEnabledFor(number):
            self._log(target, adapters, number, event_dict)
        raise structlog.DropEvent

    def _log(
        self,
        logger: logging.Logger,
        adapters: list[logging.LoggerAdapter[Any]],
        number: int,
        event_dict: Any,
    ) -> None:
        event = event_shown(event_dict, {})
        frame = call_site(self._ignored, event.pop("stacklevel", None))
        text, args = self._message(event)
        nested = getattr(self._within, "depth", 0)
        # Not from the call site: an asynchronous method's is on no stack.
        here = sys._getframe(1)  # noqa: SLF001
        around = next(records_being_handled(here, None if nested else _NEAR), None)
        if around is not None and (_ECHO in around.__dict__ or _says(around, text, args)):
            return  # a handler has made an event of a record: that is on its way already
        stack = _stack(event, frame)
        exc_info, exception = _exception(event)
        _leave_out_what_the_record_says(event, number, logger.name)
        fields, renamed = attributes(event, _OWN_NAMES)
        kept: dict[str, Any] = {}
        if renamed:
            kept["names"] = renamed
        if exception is not None:
            kept["exception"] = exception
        if kept:
            fields[KEPT] = kept
        if around is not None:
            fields[_ECHO] = True
        for adapter in adapters:
            text, options = adapter.process(text, {"extra": fields})
            fields = {**fields, **(options.get("extra") or {})}
        record = _made(
            logger,
            frame,
            {STAMP: stamp(), **fields},
            level=number,
            msg=text,
            args=args,
            exc_info=exc_info,
            sinfo=stack,
        )
        if exception is not None and exc_info is None:
            record.exc_text = exception["stacktrace"]
        self._within.depth = nested + 1
        try:
            logger.handle(record)
        finally:
            self._within.depth = nested

    def _message(self, event: dict[Any, Any]) -> tuple[str, tuple[Any, ...]]:
        """Take the text of *event*, and the arguments that stdlib's BoundLogger left there."""
        text: Any = ""
        for key in ("event", "message", "msg"):  # the latter two by EventRenamer
            if key in event:
                text = event.pop(key)
                break
        args = event.pop("positional_args") if _has_arguments(event) else ()
        return self._rows.text(text), args


def _has_arguments(event: dict[Any, Any]) -> bool:
    return isinstance(event.get("positional_args"), tuple)


def _target(logger: Any) -> tuple[logging.Logger, list[logging.LoggerAdapter[Any]]]:
    """Return the standard library's logger behind *logger*, and the adapters in between."""
    adapters = []
    while isinstance(logger, logging.LoggerAdapter):
        adapters.append(logger)
        logger = logger.logger
    if isinstance(logger, logging.Logger):
        return logger, adapters
    return logging.getLogger(logger_name(logger)), adapters


def _leave_out_what_the_record_says(event: dict[Any, Any], number: int, name: str) -> None:
    """Take from *event* what processors such as ``add_log_level`` and ``TimeStamper`` put there."""
    event_time(event)
    level = event.get("level")
    if isinstance(level, str) and number_of(level_of(level.lower())) == number:
        del event["level"]
    if event.get("logger") == name:
        del event["logger"]
    event.pop("_from_structlog", None)


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
    if not wanted:
        return None
    if isinstance(wanted, str):
        return wanted
    text = StringIO()
    traceback.print_stack(frame, file=text)
    return "Stack (most recent call last):\n" + text.getvalue().rstrip("\n")


def _made(
    logger: logging.Logger, frame: FrameType, extra: dict[str, Any], **said: Any
) -> logging.LogRecord:
    """Return the record; a record factory may have set an attribute that the event has, too."""
    code = frame.f_code
    place = {"name": logger.name, "fn": code.co_filename, "lno": frame.f_lineno}
    said = {**place, "func": code.co_name, **said}
    try:
        return logger.makeRecord(**said, extra=extra)
    except KeyError:
        record = logger.makeRecord(**said)
        record.__dict__.update(extra)
        return record


def _says(record: logging.LogRecord, text: str, args: tuple[Any, ...]) -> bool:
    try:
        return record.getMessage() == (text % args if args else text)
    except Exception:  # noqa: BLE001 - its arguments do not fit
        return record.msg == text


def call_site(ignored: tuple[str, ...] = (), level: object = None) -> Any:
    """Return the frame of the application that logs: the first one outside of structlog.

    Args:
        ignored: packages whose frames are not the application's, either.
        level: a ``stacklevel`` as logging's, where the call gave one.
    """
    frame: Any = _awaiting_frame() or sys._getframe(1)  # noqa: SLF001 - the documented way
    while frame.f_back is not None:
        name = frame.f_globals.get("__name__") or "?"
        if not (
            name == __name__
            or name.partition(".")[0] == "structlog"
            or (ignored and name.startswith(ignored))
        ):
            break
        frame = frame.f_back
    if isinstance(level, int):
        for _ in range(1, level):
            frame = frame.f_back or frame
    return frame


def _awaiting_frame() -> Any:
    """Return the frame that awaits one of structlog's asynchronous methods, if one does."""
    variable = getattr(structlog.contextvars, "_ASYNC_CALLING_STACK", None)
    return None if variable is None else variable.get(None)


def records_being_handled(frame: Any, most: int | None) -> Iterator[logging.LogRecord]:
    """Yield the records that handlers beneath *frame* are handling, the innermost first.

    Args:
        frame: where to begin; its callers are looked at.
        most: how many callers to look at; ``None`` for all.
    """
    while frame is not None and most != 0:
        code = frame.f_code
        if code is _HANDLE or code is _CALL_HANDLERS:
            record = frame.f_locals.get("record")
            if isinstance(record, logging.LogRecord):
                yield record
        if most is not None:
            most -= 1
        frame = frame.f_back


_HANDLE = logging.Handler.handle.__code__
_CALL_HANDLERS = logging.Logger.callHandlers.__code__


class _Ours(list[Any]):
    """The processors of a chain that ends in ours."""

    before: dict[str, Any] | None
    """structlog's configuration before; ``None`` where there was none."""


def wire(level: int, redact: Redact | None) -> Callable[[], None]:
    """Configure structlog to log through the standard library; return what puts it back.

    Where it does already, by an earlier call, what was before that is kept. The application's processors stay in front, and its wrapper class. Where it has configured no
    such class, events below *level* are held back by structlog.
    """
    before = structlog.get_config() if structlog.is_configured() else None
    if before is not None and isinstance(before["processors"], _Ours):
        before = before["processors"].before
    processors: list[Any] = [structlog.contextvars.merge_contextvars]
    # structlog knows the usual levels; the logger behind it holds back what is in between.
    wrapper: Any = structlog.make_filtering_bound_logger(max(0, min(level // 10 * 10, 50)))
    factory: Any = None
    if before is not None:
        if not _are_default(before["processors"]):
            processors = processors_before_renderer(before["processors"])
        if before["wrapper_class"] is not structlog.make_filtering_bound_logger(0):
            wrapper = before["wrapper_class"]
        factory = before["logger_factory"]
    ignored = getattr(factory, "_ignore", None)
    if not isinstance(factory, structlog.stdlib.LoggerFactory):
        factory = StdlibLoggers(factory)
    maker = RecordMaker(redact=redact, ignored=tuple(ignored) if ignored else ())
    ours = _Ours([*processors, maker])
    ours.before = before
    structlog.configure(
        processors=ours,
        wrapper_class=wrapper,
        logger_factory=factory,
        cache_logger_on_first_use=False,
    )

    def put_back() -> None:
        if structlog.get_config()["processors"] is not ours:
            return  # somebody else has configured it since: that is theirs
        if before is None:
            structlog.reset_defaults()
        else:
            structlog.configure(**before)

    return put_back


def _are_default(processors: Any) -> bool:
    """Tell whether *processors* are structlog's own, which nobody has chosen."""
    default = getattr(structlog._config, "_BUILTIN_DEFAULT_PROCESSORS", ())  # noqa: SLF001
    return (
        isinstance(processors, list)
        and len(processors) == len(default)
        and all(one is other for one, other in zip(processors, default, strict=True))
    )

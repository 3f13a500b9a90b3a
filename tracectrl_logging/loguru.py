"""loguru: its records in the file of their session, as a sink and a patcher.

loguru calls a patcher, and the sinks, on the thread that logs; a sink with ``enqueue=True`` is called on
another thread, in nobody's session, with a record that has lost its traceback. So what a line needs of the
moment of the call is put on the record by the patcher; without one the sink asks for it itself.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from tracectrl.attributes import described
from tracectrl.errors import require
from tracectrl_logging.bridges import NEAR, reaches_root, records_being_handled, says
from tracectrl_logging.line import exceptions
from tracectrl_logging.line.event_record import KEPT, attributes
from tracectrl_logging.line.fields import RECORD_ATTRIBUTES
from tracectrl_logging.stamp import add_attributes, stamp
from tracectrl_logging.stdlib.handler import SessionFileHandler

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from typing import TypeAlias

    from loguru import Record

    Patcher: TypeAlias = Callable[[Record], None]

__all__ = ["SessionFileSink", "add_session_context", "session_patcher"]

_NO_KEYS = RECORD_ATTRIBUTES | {"color_message"}


def add_session_context(record: Record) -> None:
    """Put the IDs and attributes of the present session, and its span, into ``extra``: a loguru patcher.

    ``session_id``, ``trace_id``, ``span_id`` and ``trace_flags``, where there are such; what ``extra``
    holds under these names stays. Never raises.
    """
    with contextlib.suppress(
        Exception
    ):  # loguru lets what a patcher raises through to the application
        fields: Any = record
        extra = fields["extra"]
        fields["extra"] = said = {**stamp(), **extra} if extra else dict(stamp())
        if described:
            add_attributes(said, said)
        error = fields["exception"]
        if error is not None and error.value is not None:
            fields[KEPT] = exceptions.of_exc_info(error.value)


def session_patcher(before: Patcher | None = None) -> Patcher:
    """Return a patcher for ``logger.configure(patcher=...)``: *before*, then :func:`add_session_context`.

    Args:
        before: the application's own patcher, as a logger has one at most.
    """
    return partial(_patch, before)


def _patch(before: Patcher | None, record: Record) -> None:
    if before is not None:
        before(record)
    add_session_context(record)


class Sink:
    """Writes loguru's records by a :class:`SessionFileHandler`; never raises.

    Args:
        root: of the handler.
        handler: where the records go; one of its own, for ``None``.
        options: of the handler that is made.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        handler: SessionFileHandler | None = None,
        **options: Any,
    ) -> None:
        self._handler = OwnHandler(root, **options) if handler is None else handler

    def write(self, message: Any) -> None:
        """Write the record that *message*, a loguru message, carries."""
        self._handler.handle(record_of(message.record))


class SessionFileSink(Sink):
    """A sink for ``loguru.logger.add``: each record, as one line of JSON, to the file of its session.

    The line is the one that :class:`~tracectrl_logging.SessionFileHandler` writes: ``extra``, what
    ``contextualize`` and ``bind`` added included, becomes its extras; TRACE, SUCCESS and levels of
    one's own keep their names and ranks; ``opt(exception=...)`` becomes ``exception``, without the values of
    variables that loguru's ``diagnose`` prints. The text that loguru made by its ``format`` is not
    looked at: ``format="{message}"`` costs least.

    With ``enqueue=True``, let :func:`session_patcher` put the IDs on the record: the thread that writes
    is in no session.

    Args:
        root: the trace directory; ``None`` takes ``TRACECTRL_TRACE_DIR``, else ``./traces``.
        options: the others of :class:`~tracectrl_logging.SessionFileHandler`.

    Raises:
        TypeError: there is no such option.
        ValueError: an option is out of range.
        OSError: the root cannot be made or written to.
    """

    def __init__(self, root: str | os.PathLike[str] | None = None, **options: Any) -> None:
        super().__init__(root, **options)
        self._made_of = root, options

    def stop(self) -> None:
        """Close the files, as ``logger.remove`` asks for; a record that comes later opens its file again."""
        self._handler.close()

    @property
    def lost(self) -> int:
        """How many records could not be written so far, as :attr:`SessionFileHandler.lost` says."""
        return self._handler.lost

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process, which loguru's logger may be pickled for, opens its files anew."""
        root, options = self._made_of
        return partial(SessionFileSink, root, **options), ()


class OwnHandler(SessionFileHandler):
    """A sink's own: no logger of the standard library has it."""


class BesideLogging(Sink):
    """The sink of a process whose root logger has the same handler.

    A record of the standard library that an ``InterceptHandler`` hands to loguru is in its file already.
    """

    def write(self, message: Any) -> None:
        """Write the record that *message* carries, unless a handler of the standard library's logs it."""
        record = message.record
        if not is_intercepted(record, self._handler):
            self._handler.handle(record_of(record))


def is_intercepted(record: Any, handler: logging.Handler | None = None) -> bool:
    """Tell whether loguru's *record* repeats one of the standard library, which is being handled.

    Args:
        record: on the thread that logs.
        handler: the one of the root logger that it is written by; ``None`` where loggers are read.
    """
    frame = sys._getframe(1)  # noqa: SLF001 - who logs
    around = next(records_being_handled(frame, NEAR), None)
    if around is None or not says(around, record["message"], ()):
        return False
    if handler is None:
        return True
    return reaches_root(around.name) and any(each is handler for each in logging.root.handlers)


def record_of(record: Any) -> logging.LogRecord:
    """Return the standard library's record that says what loguru's *record* does."""
    level, file = record["level"], record["file"]
    made = logging.LogRecord(
        record["name"] or "root",
        level.no,
        file.path,
        record["line"],
        record["message"],
        None,
        None,
        record["function"],
    )
    fields = made.__dict__
    fields["levelname"] = level.name
    fields["created"] = created = record["time"].timestamp()
    fields["msecs"] = created % 1 * 1000
    fields["thread"], fields["threadName"] = record["thread"].id, record["thread"].name
    fields["process"], fields["processName"] = record["process"].id, record["process"].name
    kept: dict[str, Any] = {}
    error, at_call = record["exception"], record.get(KEPT)
    if at_call is not None:
        kept["exception"] = at_call
        fields["exc_text"] = at_call["stacktrace"]
    elif error is not None and error.value is not None:
        fields["exc_info"] = error.type, error.value, error.traceback
    elif error is not None and error.type is not None:  # a queue could not take it
        fields["exc_text"] = error.type.__name__
    extras, names = attributes(record["extra"], _NO_KEYS)
    fields.update(extras)
    if names:
        kept["names"] = names
    if kept:
        fields[KEPT] = kept
    return made


def attach(
    handler: SessionFileHandler, root: str | os.PathLike[str] | None, level: int
) -> Callable[[], None]:
    """Send loguru's records to *handler*, which the root logger has, too; return what stops that.

    Raises:
        MissingExtraError: loguru is not installed.
    """
    require("configure(loguru=True)", "loguru", "loguru")
    from loguru import logger  # noqa: PLC0415 - where wanted

    core: Any = getattr(logger, "_core", None)
    before = getattr(core, "patcher", None)
    while isinstance(before, partial) and before.func is _patch:  # of the configuration before
        before = before.args[0]
    patcher = session_patcher(before)
    logger.configure(patcher=patcher)
    sink = BesideLogging(root, handler)
    number = logger.add(
        sink.write, level=max(level, 0), format="{message}", backtrace=False, diagnose=False
    )

    def detach() -> None:
        with contextlib.suppress(ValueError):  # the application has removed all
            logger.remove(number)
        if getattr(core, "patcher", None) is patcher:
            core.patcher = before

    return detach

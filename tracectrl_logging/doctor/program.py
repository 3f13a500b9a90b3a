"""The checks of a program, made in it when it ends."""

from __future__ import annotations

import gc
import logging
import os
import sys
from logging.handlers import BufferingHandler
from typing import TYPE_CHECKING, Any

from tracectrl.files.write.appender import Appender
from tracectrl.schema import UNKNOWN
from tracectrl_logging.doctor import telemetry
from tracectrl_logging.doctor.finding import MOST_POSITIONS, Finding
from tracectrl_logging.doctor.observe import SEEN
from tracectrl_logging.stdlib.handler import SessionFileHandler
from tracectrl_logging.structlog.logger_factory import SessionFileLoggerFactory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

_CONFIGURE: Final = "call tracectrl_logging.configure(), or add a SessionFileHandler"
_SERVERS: Final = ("uvicorn", "gunicorn", "hypercorn", "daphne", "granian", "waitress", "celery")


def examine_program() -> list[Finding]:
    """Return what is found in this process, the checks in the order of their table."""
    return [finding for check in CHECKS for finding in check()]


def no_handler() -> Iterator[Finding]:
    """No handler writes records to session files, and no filter stamps them."""
    count = sum(SEEN.unstamped.values())
    if count and not SEEN.reached and not SEEN.stamped and not _own(SessionFileHandler):
        yield Finding(
            severity="error",
            check="no-session-handler",
            subject="logging",
            message=f"none of {count} records was written to a session's file, or stamped",
            mend=_CONFIGURE,
            count=count,
            positions=tuple(SEEN.unstamped)[:MOST_POSITIONS],
        )


def unstamped() -> Iterator[Finding]:
    """Handlers got records without a session, while others have one of ours."""
    if not (SEEN.reached or SEEN.stamped or _own(SessionFileHandler)):
        return
    for name, count in SEEN.unstamped.items():
        yield Finding(
            severity="warning",
            check="unstamped-handlers",
            subject=name,
            message="its records reach handlers without a session stamp, and none of ours",
            mend="put a SessionFileHandler on the root logger, or a SessionContextFilter on the handler",
            count=count,
        )


def not_propagated() -> Iterator[Finding]:
    """A logger keeps its records to itself."""
    for (name, handlers), by_logger in SEEN.stopped.items():
        is_server = name.partition(".")[0] in _SERVERS
        if not is_server and not (SEEN.reached or SEEN.stamped or _own(SessionFileHandler)):
            continue  # there is nothing they could reach
        yield Finding(
            severity="info" if is_server else "warning",
            check="propagate",
            subject=name,
            message="propagate=False keeps its records from the session files"
            + (f"; they go to {handlers} alone" if handlers else ""),
            mend=f"logging.getLogger({name!r}).propagate = True, or give it a SessionFileHandler",
            count=sum(by_logger.values()),
            positions=tuple(by_logger)[:MOST_POSITIONS],
        )


def disabled() -> Iterator[Finding]:
    """Loggers that a configuration has switched off."""
    manager = logging.Logger.manager
    names = [
        name
        for name, logger in sorted(manager.loggerDict.items())
        if isinstance(logger, logging.Logger) and logger.disabled
    ]
    if names:
        yield Finding(
            severity="warning",
            check="disabled-loggers",
            subject=names[0] if len(names) == 1 else f"{len(names)} loggers",
            message="disabled: a logging configuration came after they were made",
            mend='"disable_existing_loggers": False in dictConfig, or fileConfig(..., disable_existing_loggers=False)',
            count=len(names),
            positions=tuple(names[:MOST_POSITIONS]),
        )


def unknown_only() -> Iterator[Finding]:
    """All records were made outside of any session."""
    if SEEN.records and not SEEN.in_session:
        yield Finding(
            severity="warning",
            check="unknown-session",
            subject=UNKNOWN,
            message=f"all {SEEN.records} records were made outside of any session",
            mend="add SessionMiddleware, or work inside `with tracectrl.session.session():`",
            count=SEEN.records,
        )


def queued() -> Iterator[Finding]:
    """A queue handler takes records without a stamp."""
    for name, count in SEEN.queued.items():
        yield Finding(
            severity="warning",
            check="queue-handler",
            subject=name,
            message="takes records without a stamp: behind the queue their session is unknown",
            mend="put SessionContextFilter on the QueueHandler, or call install_record_factory()",
            count=count,
        )


def handler_filters() -> Iterator[Finding]:
    """A filter on a handler of ours holds records back; Powertools puts one on each handler."""
    for (handler, filters), by_logger in SEEN.filtered.items():
        yield Finding(
            severity="warning",
            check="handler-filters",
            subject=handler,
            message=f"its filters ({filters}) held back records of the loggers below",
            mend="logger.addHandler(SessionFileHandler()) for these loggers, or"
            " handler.removeFilter() where another tool has put the filter there",
            count=sum(by_logger.values()),
            positions=tuple(by_logger)[:MOST_POSITIONS],
        )


def late() -> Iterator[Finding]:
    """A handler keeps records for a while and hands them on without a stamp."""
    for holder, count in SEEN.late.items():
        if holder:
            yield Finding(
                severity="warning",
                check="late-records",
                subject=holder,
                message="hands records on after the call, without a stamp: their lines are in the"
                " session of that moment",
                mend=f"put SessionContextFilter on the {holder}, or call install_record_factory()",
                count=count,
            )


def held() -> Iterator[Finding]:
    """Records are in a buffer when the program ends."""
    for handler in _own(BufferingHandler):
        if handler.buffer:
            yield Finding(
                severity="warning",
                check="held-records",
                subject=type(handler).__name__,
                message="ends with records in its buffer, which no handler has got",
                mend="give it a target=, and flushOnClose=True, or call its flush() at the end",
                count=len(handler.buffer),
            )


def root_level() -> Iterator[Finding]:
    """The root logger's level stops what our handler would take."""
    count = sum(SEEN.held_back.values())
    if count:
        level = logging.getLevelName(logging.root.level)
        # Who sets both asks the handler for what the logger does not let through.
        contradicts = any(
            0 < handler.level < logging.root.level for handler in _own(SessionFileHandler)
        )
        is_meant = SEEN.is_root_level_meant and not contradicts
        yield Finding(
            severity="info" if is_meant else "warning",
            check="root-level",
            subject="root",
            message=f"its level {level} held back {'a call' if count == 1 else f'{count} calls'} at INFO"
            " or above",
            mend='logging.getLogger().setLevel("INFO")',
            count=count,
            positions=tuple(SEEN.held_back)[:MOST_POSITIONS],
        )


def full_queues() -> Iterator[Finding]:
    """A background handler could not keep up."""
    for name, count in SEEN.full.items():
        yield Finding(
            severity="warning",
            check="full-queue",
            subject=name,
            message="its queue was full: callers waited, or lines were dropped",
            mend="a larger queue_size=, or background=False",
            count=count,
        )


def lost() -> Iterator[Finding]:
    """Lines could not be written."""
    for owner in (*_own(SessionFileHandler), *_own(SessionFileLoggerFactory)):
        if owner.lost:
            yield Finding(
                severity="error",
                check="lost-lines",
                subject=type(owner).__name__,
                message=f"{owner.lost} lines could not be written, or were dropped",
                mend="look for room on the disk, the root's permissions, and overflow=",
                count=owner.lost,
            )


def unbounded_sessions() -> Iterator[Finding]:
    """Requests open sessions, and no bound on their number is set."""
    middlewares = [
        middleware
        for name in ("asgi.SessionMiddleware", "wsgi.SessionWSGIMiddleware")
        if (found := _loaded(f"tracectrl.middleware.{name}")) is not None
        for middleware in _own(found)
    ]
    appenders = _own(Appender)
    if middlewares and appenders and not any(it.max_sessions_per_minute for it in appenders):
        yield Finding(
            severity="info",
            check="unbounded-sessions",
            subject=type(middlewares[0]).__name__,
            message="any request may open a session with an ID of its choice, without a bound",
            mend="configure(max_sessions_per_minute=...), where strangers send requests",
        )


def bare_structlog() -> Iterator[Finding]:
    """Structlog events that carry no session."""
    for name, count in SEEN.structlog_bare.items():
        yield Finding(
            severity="warning",
            check="structlog",
            subject=name,
            message="structlog writes events without a session: none of its processors adds one",
            mend="put tracectrl_logging.add_session_context into processors=, or use configure()",
            count=count,
        )


def all_well() -> Iterator[Finding]:
    """The numbers of records, and of those in sessions."""
    yield Finding(
        severity="ok",
        check="program",
        subject=f"process {os.getpid()}",
        message=f"{SEEN.records} records, {SEEN.in_session} of them in sessions",
        count=SEEN.records,
    )


def _loaded(name: str) -> type[Any] | None:
    """Return the class of this dotted *name*, where the program has loaded its module."""
    module, _, attribute = name.rpartition(".")
    found: type[Any] | None = getattr(sys.modules.get(module), attribute, None)
    return found


def _own(kind: type[Any]) -> list[Any]:
    # By its type: what an object says of its class, a proxy's say, is code that may raise.
    return [it for it in gc.get_objects() if issubclass(type(it), kind)]


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    all_well,
    no_handler,
    unstamped,
    not_propagated,
    disabled,
    unknown_only,
    queued,
    handler_filters,
    late,
    held,
    root_level,
    full_queues,
    lost,
    unbounded_sessions,
    bare_structlog,
    *telemetry.CHECKS,
)
"""The checks of a program, in the order of the report."""

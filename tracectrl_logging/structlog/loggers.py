"""The loggers behind a chain of structlog's: the standard library's, structlog's, the application's."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

import structlog

from tracectrl_logging.line.rows import logger_name
from tracectrl_logging.structlog.logger_factory import SessionFileLogger

if TYPE_CHECKING:
    from collections.abc import Callable

_OURS = tuple(f"{__name__.rpartition('.')[0]}.{name}" for name in ("loggers", "chain", "renderer"))

_PRINTING = (
    structlog.PrintLogger,
    structlog.WriteLogger,
    structlog.BytesLogger,
    SessionFileLogger,
)


class StdlibLoggers:
    """The ``logger_factory`` that answers with the standard library's loggers; it changes no class."""

    def __call__(self, *args: Any) -> Any:
        """Return the logger that the first of *args* names, else the one of the calling module."""
        return logging.getLogger(_name_asked_for(args))


class NamedLoggers:
    """The application's ``logger_factory``, whose loggers' names are kept.

    Args:
        theirs: makes the loggers.
    """

    def __init__(self, theirs: Callable[..., Any]) -> None:
        self._theirs = theirs

    def __call__(self, *args: Any) -> Any:
        """Return what the application's factory makes of *args*."""
        logger = self._theirs(*args)
        with contextlib.suppress(Exception):  # no weak reference to it, a name that raises
            if args or not isinstance(getattr(logger, "name", None), str):
                key = id(logger)
                kept = weakref.ref(logger, lambda _: _NAMES.pop(key, None))
                _NAMES[key] = kept, _name_asked_for(args)
        return logger


_NAMES: dict[int, tuple[weakref.ref[Any], str]] = {}
"""By identity: the application's own output loggers, and the names that they were asked for by."""


def _name_asked_for(args: tuple[Any, ...]) -> str:
    return str(args[0] if args else call_site().f_globals.get("__name__") or "?")


def _name_of(logger: Any) -> str:
    kept = _NAMES.get(id(logger))
    if kept is not None and kept[0]() is logger:
        return kept[1]
    try:
        return logger_name(logger)
    except Exception:  # noqa: BLE001 - a name may be a property that raises
        return "root"


def target_of(logger: Any) -> tuple[logging.Logger, list[logging.LoggerAdapter[Any]]]:
    """Return the standard library's logger behind *logger*, and the adapters in between."""
    adapters = []
    while isinstance(logger, logging.LoggerAdapter):
        adapters.append(logger)
        logger = logger.logger
    if isinstance(logger, logging.Logger):
        return logger, adapters
    return logging.getLogger(_name_of(logger)), adapters


def prints(logger: Any) -> bool:
    """Tell whether *logger* shows events to somebody, as the console does, or is one of ours."""
    if type(logger) not in _PRINTING:
        return False
    name = getattr(getattr(logger, "_file", sys.stdout), "name", None)
    return name in (1, 2) or (isinstance(name, str) and name[:1] == "<")


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
            name in _OURS
            or name.partition(".")[0] == "structlog"
            or (ignored and name.startswith(ignored))
        ):
            break
        frame = frame.f_back
    if isinstance(level, int):
        for _ in range(1, level):
            frame = frame.f_back or frame
    return frame


def fields_of_call(*, with_frame: bool) -> dict[str, Any]:
    """Return what a log record of the call under way would know of its place."""
    fields = {"process": os.getpid(), "threadName": threading.current_thread().name}
    if not with_frame:
        return fields
    frame = call_site()
    code = frame.f_code
    place = {"pathname": code.co_filename, "lineno": frame.f_lineno, "funcName": code.co_name}
    return {**fields, **place}


def _awaiting_frame() -> Any:
    """Return the frame that awaits one of structlog's asynchronous methods, if one does."""
    variable = getattr(structlog.contextvars, "_ASYNC_CALLING_STACK", None)
    return None if variable is None else variable.get(None)


def stack_level(logger: Any, frame: Any, ignored: tuple[str, ...]) -> int | None:
    """Return the ``stacklevel`` by which *logger* finds the call site, if it is one that needs it.

    The loggers of structlog's factory find it themselves; any other would name structlog.
    """
    site = call_site(ignored)
    if type(logger) not in (logging.Logger, logging.RootLogger):
        return None
    level = 0
    while frame is not None and frame is not site:
        level += frame.f_code.co_name != "_process_event"
        frame = frame.f_back
    return None if frame is None else level + 1

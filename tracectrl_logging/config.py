"""One call, or one dictionary, wires it all."""

from __future__ import annotations

import contextlib
import contextvars
import logging
import os
from operator import is_
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from opentelemetry import context as otel_context

from tracectrl.files.write.reentrant import ReentrantLock
from tracectrl.remote import from_environment
from tracectrl.service import service_name as known_service_name
from tracectrl.session import current_session_id, note_left
from tracectrl_logging.console import ConsoleFormatter, ConsoleHandler
from tracectrl_logging.crashes import CrashWriter
from tracectrl_logging.stdlib.formatter import SessionJsonFormatter
from tracectrl_logging.stdlib.handler import SessionFileHandler
from tracectrl_logging.structlog import wiring

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from opentelemetry.context import Context
    from typing_extensions import Self

    from tracectrl.files.write.background import Overflow
    from tracectrl.redaction import Redact
    from tracectrl.remote import remote_session
    from tracectrl_logging.retention import Retention

Console: TypeAlias = Literal["text", "json"] | None

CRASH_LOGGER = "tracectrl.crash"
"""The logger that lines about uncaught exceptions name."""

_current: Configuration | None = None
_locks: dict[int, ReentrantLock] = {}  # by process: in a forked child nobody may be there to let go


class Configuration:
    """What one call of :func:`configure` set up."""

    def __init__(self, handlers: list[logging.Handler]) -> None:
        self.handlers = handlers
        self.undo: list[Callable[[], object]] = []
        self.levels: tuple[int, int] | None = None  # the root logger's: before, and in force
        self.crashes: CrashWriter | None = None
        self._scope: remote_session | None = None
        self._entered: tuple[Context, str | None] | None = None  # what the scope made current

    def shutdown(self) -> None:
        """Flush and close the files and put back what :func:`configure` changed.

        Calling it again does nothing. A tracer provider that was set stays set: OpenTelemetry
        allows one per process; it writes no span files any more.
        """
        global _current  # noqa: PLW0603 - logging and structlog are process-wide, and so is this
        with _lock():
            if _current is self:
                _current = None
            self.leave_environment()
            while self.undo:
                self.undo.pop()()
            for handler in self.handlers:
                # By identity: removeHandler() compares, and what others compare equal may be any handler.
                place = _place(handler)
                if place is not None:
                    del logging.root.handlers[place]
                handler.close()
            levels, self.levels = self.levels, None
            if levels is not None and logging.root.level == levels[1]:  # else somebody else's
                logging.root.setLevel(levels[0])

    def enter_environment(self, replaced: Configuration) -> None:
        """Continue the session and the trace that the process was started in, from *replaced* on."""
        replaced.leave_environment()
        self._scope, replaced._scope = replaced._scope, None
        self._entered = replaced._entered
        if self._scope is None and (scope := from_environment()) is not None:
            self._entered = scope.__enter__(), current_session_id()
            self._scope = scope

    def leave_environment(self) -> None:
        """Leave them, unless the caller is in a session or a span inside of them, and stays there."""
        present = otel_context.get_current(), current_session_id()
        if self._scope is not None and all(map(is_, self._entered or (), present)):
            self._scope.__exit__(None, None, None)
            self._scope = None

    def wire_logging(self, level: int, replaced: Configuration) -> None:
        """Put the handlers in the places of those of *replaced*, so that no record passes between them."""
        root = logging.root
        for index, handler in enumerate(self.handlers):
            before = replaced.handlers[index : index + 1]
            place = _place(before[0]) if before else None
            if place is None:
                _add_handler(root, handler)
            else:
                root.handlers[place] = handler
        first = root.level
        if replaced.levels is not None:
            first = replaced.levels[0] if first == replaced.levels[1] else first
            replaced.levels = None
        root.setLevel(level)
        self.levels = first, root.level

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        left = contextvars.copy_context()
        if self.crashes is not None and exc is not None:
            self.crashes.stop_after(exc)
        self.shutdown()
        note_left(exc, left)


def configure(
    root: str | os.PathLike[str] | None = None,
    *,
    service_name: str | None = None,
    level: int | str = "INFO",
    console: Console = "text",
    spans: bool = True,
    max_bytes: int = 0,
    backup_count: int = 0,
    max_open_files: int | None = None,
    max_sessions_per_minute: int = 0,
    max_value_bytes: int = 0,
    background: bool = False,
    queue_size: int | None = None,
    overflow: Overflow = "block",
    redact: Redact | None = None,
    retention: Retention | None = None,
    callsite: bool = False,
    process: bool = False,
    log_uncaught_exceptions: bool = True,
    loguru: bool = False,
    otlp: bool = False,
    open_spans_after_s: float | None = 0.1,
    aliases: Sequence[str] = (),
    write_as: Sequence[str] = (),
) -> Configuration:
    """Wire stdlib logging, structlog and the tracer provider to the session files.

    Adds a :class:`~tracectrl_logging.SessionFileHandler`, and a console handler on stderr, to the
    root logger; sends structlog there too; writes span files from the tracer provider that is set,
    or from a new one. Handlers of others and an existing provider stay. Called again, it replaces
    what the call before set up. A session and a trace that the process was started in (see
    :func:`tracectrl.workers.child_environment`) go on.

    Args:
        root: the trace directory; ``None`` takes ``TRACECTRL_TRACE_DIR``, else ``./traces``.
        service_name: the ``service`` of all lines; ``None`` takes ``OTEL_SERVICE_NAME``.
        level: the root logger's level, and structlog's.
        console: what goes to stderr: ``"text"`` for people, ``"json"`` for machines, or ``None``.
        spans: whether to write span files; needs to import the OpenTelemetry SDK.
        max_bytes: see :class:`~tracectrl_logging.SessionFileHandler`; holds for span files, too.
        backup_count: the same.
        max_open_files: the same.
        max_sessions_per_minute: the same.
        max_value_bytes: the same.
        redact: the same.
        background: the same, for log lines.
        queue_size: the same.
        overflow: the same.
        retention: which sessions to remove from the root, now and about every minute, as
            :class:`~tracectrl_logging.retention.Retention` says: ``{"older_than": "7d",
            "max_total": "10GB", "keep": 1000}``, any of these. Never one that any process is
            writing. ``None`` removes nothing.
        callsite: lines say where in the source they come from (``code.file.path``,
            ``code.line.number``, ``code.function.name``).
        process: lines say ``process.pid``, ``thread.name`` and ``host.name``.
        log_uncaught_exceptions: whether an exception that ends the program or a thread is a line,
            at CRITICAL, in the session that it was raised in; and whether what asyncio logs of a
            task that nobody awaited goes to the task's session. By ``sys.excepthook``,
            ``threading.excepthook`` and the event loops' ``call_exception_handler``; the hooks that
            are there are called as before, so what is printed and the exit status stay.
        loguru: whether loguru's records are lines of their session, too, from *level* on: a sink is added
            to its logger, and a patcher behind the one that is there; its other sinks stay. To be called
            after the application's ``logger.remove()``, which removes every sink.
        otlp: whether log records and (where *spans* is true) spans are sent to a collector, too, by the OTLP
            exporters of the SDK and its batch processors, whose variables hold: ``OTEL_EXPORTER_OTLP_ENDPOINT``,
            ``..._HEADERS``, ``..._PROTOCOL`` (``http/protobuf``, or ``grpc`` where its package is installed),
            ``OTEL_BLRP_MAX_QUEUE_SIZE`` and the others. A record is sent as the line of its file: less what *redact*
            leaves out, and with ``session.id``. No call waits for the collector; the end of the program
            does, for three and a half seconds at most.
        open_spans_after_s: see :class:`~tracectrl.exporter.FileSpanExporter`; for span files.
        aliases: see :class:`~tracectrl.processor.SessionSpanProcessor`.
        write_as: the same.

    Returns:
        An object whose ``shutdown()`` undoes it; usable in a ``with`` statement.

    Raises:
        TypeError: an option is of another type.
        ValueError: an option is out of range.
        OSError: the root cannot be made or written to; what was set up before stays.
        MissingExtraError: ``loguru=True`` without loguru, ``otlp=True`` without the exporter.
    """
    global _current  # noqa: PLW0603
    if console not in ("text", "json", None):
        msg = f"console must be 'text', 'json' or None, got {console!r}"
        raise ValueError(msg)
    number = _level_number(level)
    prune = None
    if retention is not None:
        from tracectrl_logging.retention import pruning  # noqa: PLC0415 - where wanted

        prune = pruning(root, retention)
    service = known_service_name(service_name)
    options: dict[str, Any] = {
        "max_bytes": max_bytes,
        "backup_count": backup_count,
        "max_open_files": max_open_files,
        "max_sessions_per_minute": max_sessions_per_minute,
        "max_value_bytes": max_value_bytes,
        "redact": redact,
        "service_name": service,
    }
    of_lines: dict[str, Any] = {
        **options,
        "background": background,
        "queue_size": queue_size,
        "overflow": overflow,
        "callsite": callsite,
        "process": process,
    }
    handler_of, beside, filters = _ways(service, redact, spans=spans, otlp=otlp)
    handler = handler_of(root, **of_lines)
    handlers: list[logging.Handler] = [handler, *_console(console, of_lines, filters)]
    with _lock():
        configuration = Configuration(handlers)
        replaced = _current or Configuration([])
        try:
            if spans:
                # The SDK costs more to import than everything else here together.
                from tracectrl.exporter import FileSpanExporter  # noqa: PLC0415
                from tracectrl.processor import SessionSpanProcessor  # noqa: PLC0415
                from tracectrl.provider import attach  # noqa: PLC0415

                exporter = FileSpanExporter(root, open_spans_after_s=open_spans_after_s, **options)
                stamp = SessionSpanProcessor(exporter, aliases=aliases, write_as=write_as)
            if prune is not None:
                configuration.undo.append(prune(handler))
            # From here on each part takes the place of the one before in one step.
            if spans:
                configuration.undo.append(attach(exporter, service, stamp, beside))
            configuration.undo.append(wiring.wire(number, redact))
            configuration.wire_logging(number, replaced)
            if loguru:
                from tracectrl_logging.loguru import attach as attach_loguru  # noqa: PLC0415 - where wanted

                configuration.undo.append(attach_loguru(handler, root, number))
            if log_uncaught_exceptions:
                crashes = CrashWriter(handler.handle, root, logger=CRASH_LOGGER)
                crashes.start()
                configuration.crashes = crashes
                configuration.undo.append(crashes.stop)
            configuration.enter_environment(replaced)
        except BaseException:
            configuration.shutdown()
            raise
        _current = configuration
        replaced.shutdown()
    return configuration


def dict_config(
    root: str | os.PathLike[str] | None = None,
    *,
    service_name: str | None = None,
    level: int | str = "INFO",
    console: Console = "text",
    max_bytes: int = 0,
    backup_count: int = 0,
    max_open_files: int | None = None,
    max_sessions_per_minute: int = 0,
    max_value_bytes: int = 0,
    background: bool = False,
    queue_size: int | None = None,
    overflow: Overflow = "block",
    redact: list[str] | None = None,
    callsite: bool = False,
    process: bool = False,
) -> dict[str, Any]:
    """Return the logging part of :func:`configure` as a ``logging.config.dictConfig`` dictionary.

    It holds strings, numbers, lists and dicts only, so that JSON and YAML can store it, and only
    what differs from the defaults. The arguments are those of :func:`configure`; ``retention`` is
    not among them, since no handler does it: ``tracectrl-logs prune`` does, or :func:`configure`.

    Raises:
        ValueError: *level* or *console* is not known.
    """
    if console not in ("text", "json", None):
        msg = f"console must be 'text', 'json' or None, got {console!r}"
        raise ValueError(msg)
    _level_number(level)
    options = {
        "root": None if root is None else str(root),
        "service_name": service_name,
        "max_bytes": max_bytes,
        "backup_count": backup_count,
        "max_open_files": max_open_files,
        "max_sessions_per_minute": max_sessions_per_minute,
        "max_value_bytes": max_value_bytes,
        "background": background,
        "queue_size": queue_size,
        "overflow": None if overflow == "block" else overflow,
        "redact": redact,
        "callsite": callsite,
        "process": process,
    }
    given = {name: value for name, value in options.items() if value}
    names = ("service_name", "redact", *(("callsite", "process") if console == "json" else ()))
    shared = {name: given[name] for name in names if name in given}
    config: dict[str, Any] = {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"session": {"class": "tracectrl_logging.SessionFileHandler", **given}},
        "root": {"level": level, "handlers": ["session"]},
    }
    if console is not None:
        formatter = "console.ConsoleFormatter" if console == "text" else "SessionJsonFormatter"
        config["formatters"] = {"console": {"()": f"tracectrl_logging.{formatter}", **shared}}
        config["handlers"]["console"] = {
            "class": "tracectrl_logging.console.ConsoleHandler",
            "formatter": "console",
        }
        config["root"]["handlers"].append("console")
    return config


def _ways(
    service: str | None, redact: Redact | None, *, spans: bool, otlp: bool
) -> tuple[Callable[..., SessionFileHandler], list[Any], list[Any]]:
    """Return what makes the handler of the files, processors of spans, and filters of the console."""
    if not otlp:
        return SessionFileHandler, [], []
    from tracectrl_logging.otlp import lets, opened  # noqa: PLC0415 - the SDK is loaded where wanted

    return *opened(service, redact, spans=spans), [lets]


def _console(
    console: Console, options: dict[str, Any], filters: list[Any]
) -> list[logging.Handler]:
    """Return the handler of stderr in a list, which is empty where there is to be none."""
    if console is None:
        return []
    kind: Any = ConsoleFormatter if console == "text" else SessionJsonFormatter
    names = ("service_name", "redact", *(("callsite", "process") if console == "json" else ()))
    handler = ConsoleHandler()
    handler.filters += filters
    handler.setFormatter(kind(**{name: options[name] for name in names}))
    return [handler]


def _level_number(level: int | str) -> int:
    number = logging.getLevelName(level) if isinstance(level, str) else level
    if isinstance(number, bool) or not isinstance(number, int):
        known = "DEBUG, INFO, WARNING, ERROR or CRITICAL"
        msg = f"level must be a number or one of {known}, got {level!r}"
        raise ValueError(msg)  # noqa: TRY004 - logging raises ValueError for an unknown level
    return number


def _lock() -> ReentrantLock:
    return _locks.setdefault(os.getpid(), ReentrantLock())


def _place(handler: logging.Handler) -> int | None:
    """Return where *handler* is among the root logger's."""
    return next((at for at, it in enumerate(logging.root.handlers) if it is handler), None)


def _add_handler(logger: logging.Logger, handler: logging.Handler) -> None:
    """Add *handler*, whatever the handlers that are there answer when they are compared with it."""
    with contextlib.suppress(Exception):
        logger.addHandler(handler)
    if not any(each is handler for each in logger.handlers):
        logger.handlers.append(handler)

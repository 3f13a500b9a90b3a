"""structlog straight to the session files: the logger at the end of its chain."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from tracectrl._json import encode_line
from tracectrl.files.names import LOG_SUFFIX, root_path
from tracectrl.files.write.sink import ONE
from tracectrl.schema import UNKNOWN
from tracectrl_logging import stderr
from tracectrl_logging.line.rendered import as_line
from tracectrl_logging.line.rows import Rows
from tracectrl_logging.stamp import stamp
from tracectrl_logging.writer import open_writer

if TYPE_CHECKING:
    from tracectrl.files.write.background import Background, Overflow
    from tracectrl.files.write.sink import Sink
    from tracectrl.redaction import Redact
    from tracectrl_logging.line.rendered import Cleaned


class SessionFileLogger:
    """Appends rendered lines to the files of their sessions.

    Made by :class:`SessionFileLoggerFactory`. Its methods are those of structlog's own output
    loggers. They take what the chain's last processor rendered and never raise; text that is no
    JSON object becomes the message of a line. The line goes to the session that
    :class:`~tracectrl_logging.SessionJSONRenderer` passes with it, else to the one in the line,
    else to the current one.
    """

    __slots__ = ("_cleaned", "_missed", "_options", "_writer", "name")

    disabled = False
    """As a logger of the standard library says it, for structlog's ``filter_by_level``."""

    def __init__(
        self,
        writer: Sink | Background,
        name: str,
        cleaned: Cleaned | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        self._writer = writer
        self._options = options or {}
        self._missed = writer.missed
        self._cleaned = cleaned
        self.name = name

    def __deepcopy__(self, memo: object) -> SessionFileLogger:
        """Return the very logger: copies of a bound logger share its writer."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """In another process a logger of a factory with the same options takes its place."""
        return _made_again, (self._options, self.name)

    def _append(self, method: str, line: str | bytes, session_id: str | None) -> None:
        try:
            if session_id is None or self._cleaned is not None:
                data, given = as_line(line, self._cleaned)
                session_id = session_id or given or stamp().get("session_id", UNKNOWN)
                line = self._text_line(method, line, session_id) if data is None else data
            self._writer.append(session_id, line)  # type: ignore[arg-type]
        except Exception:  # noqa: BLE001 - logging never raises into the application
            missed = self._missed
            missed += ONE  # first, and by no call: there may be no stack left for one
            try:
                self._writer.lose(0, session_id or stamp().get("session_id", UNKNOWN))
                report()
            except Exception:  # noqa: BLE001, S110 - no stack for that either
                pass

    def isEnabledFor(self, level: int) -> bool:  # noqa: ARG002, N802 - logging's name
        """Tell structlog's ``filter_by_level`` that every *level* is written."""
        return True

    def getEffectiveLevel(self) -> int:  # noqa: N802 - logging's name
        """Return the level from which on lines are written: all of them are."""
        return logging.NOTSET

    def _text_line(self, method: str, rendered: str | bytes, sid: str) -> bytes:
        text = rendered if isinstance(rendered, str) else rendered.decode("utf-8", "replace")
        return encode_line(Rows().of_event(self, method, {"event": text, "session_id": sid}))

    def msg(self, line: str | bytes, session_id: str | None = None) -> None:
        """Append *line*."""
        self._append("msg", line, session_id)

    def debug(self, line: str | bytes, session_id: str | None = None) -> None:
        """Append *line*."""
        self._append("debug", line, session_id)

    def info(self, line: str | bytes, session_id: str | None = None) -> None:
        """Append *line*."""
        self._append("info", line, session_id)

    def warning(self, line: str | bytes, session_id: str | None = None) -> None:
        """Append *line*."""
        self._append("warning", line, session_id)

    def error(self, line: str | bytes, session_id: str | None = None) -> None:
        """Append *line*."""
        self._append("error", line, session_id)

    def critical(self, line: str | bytes, session_id: str | None = None) -> None:
        """Append *line*."""
        self._append("critical", line, session_id)

    log = msg
    warn = warning
    err = exception = error
    fatal = failure = critical


class SessionFileLoggerFactory:
    """The ``logger_factory`` that sends rendered lines to the session files.

    All loggers of one factory share one writer. The first positional argument of
    ``structlog.get_logger`` names the logger; without one it is ``"root"``.

    The arguments, and the errors raised, are those of
    :class:`~tracectrl_logging.SessionFileHandler`. With *redact*, each line is read again to leave
    secrets out; that of :class:`~tracectrl_logging.SessionJSONRenderer` costs less.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        max_bytes: int = 0,
        backup_count: int = 0,
        max_open_files: int | None = None,
        max_sessions_per_minute: int = 0,
        max_value_bytes: int = 0,
        background: bool = False,
        queue_size: int | None = None,
        overflow: Overflow = "block",
        redact: Redact | None = None,
    ) -> None:
        self._cleaned = None if redact is None else Rows(redact=redact).cleaned
        self._options = {
            "root": os.path.abspath(root_path(root)),
            "max_bytes": max_bytes,
            "backup_count": backup_count,
            "max_open_files": max_open_files,
            "max_sessions_per_minute": max_sessions_per_minute,
            "max_value_bytes": max_value_bytes,
            "background": background,
            "queue_size": queue_size,
            "overflow": overflow,
            "redact": redact,
        }
        self._writer = open_writer(
            root,
            LOG_SUFFIX,
            report=lambda _: report(),
            max_bytes=max_bytes,
            backup_count=backup_count,
            max_open_files=max_open_files,
            max_sessions_per_minute=max_sessions_per_minute,
            max_value_bytes=max_value_bytes,
            background=background,
            queue_size=queue_size,
            overflow=overflow,
        )

    def __call__(self, *args: object) -> SessionFileLogger:
        """Return a logger, named by the first of *args*."""
        name = str(args[0]) if args else "root"
        return SessionFileLogger(self._writer, name, self._cleaned, self._options)

    @property
    def lost(self) -> int:
        """How many lines were dropped or could not be written so far."""
        return self._writer.lost

    def flush(self) -> None:
        """Wait until the writer thread has written what it was given (background mode)."""
        self._writer.flush()

    def close(self) -> None:
        """Flush and close the files; a line that comes later opens its file again."""
        self._writer.close()


_factories: dict[str, SessionFileLoggerFactory] = {}
"""By their options: the factories of loggers that came from other processes."""


def _made_again(options: dict[str, Any], name: str) -> SessionFileLogger:
    key = f"{os.getpid()} {options!r}"
    if key not in _factories:
        _factories[key] = SessionFileLoggerFactory(**options)
    return _factories[key](name)


def report() -> None:
    """Print the exception being handled to stderr, as ``logging.Handler.handleError`` does."""
    stderr.report()

"""The capture of one process: what it writes, and the taps that feed it."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import TYPE_CHECKING, Any

from tracectrl.session import checked, current_session_id, session
from tracectrl_logging import crashes
from tracectrl_logging.patches import Patches
from tracectrl_logging.program import (
    loguru_records,
    otel_spans,
    own_writers,
    stdlib_records,
    structlog_events,
)
from tracectrl_logging.stdlib.handler import SessionFileHandler
from tracectrl_logging.structlog.logger_factory import SessionFileLoggerFactory, report
from tracectrl_logging.structlog.renderer import SessionJSONRenderer

if TYPE_CHECKING:
    import os
    from contextlib import AbstractContextManager

    from structlog.typing import EventDict

CRASH_LOGGER = "tracectrl.run"
"""The logger that lines about uncaught exceptions name."""


class _Handler(SessionFileHandler):
    """Reports what the disk refuses, and nothing that the program's own handlers say or never ask for."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's
        if isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


class Capture:
    """Writes what passes through logging, structlog and OpenTelemetry to the session files.

    What is logged or traced outside any session (in a thread that the program started, say)
    belongs to the session of the process.

    Args:
        sid: the session of the process.
        root: the trace directory, as everywhere.
        level: what is below this level is not captured. Without one, what the program lets through
            is, and everything from INFO up.
        service_name: the ``service`` of all lines.

    Raises:
        OSError: the root cannot be made or written to.
    """

    def __init__(
        self,
        sid: str,
        root: str | os.PathLike[str] | None = None,
        *,
        level: str | None = None,
        service_name: str | None = None,
    ) -> None:
        self.sid = checked(sid)
        self.root = root
        self.service_name = service_name
        self.admitted: int = logging.getLevelName(level or "INFO")
        """The level from which on records are made that the program itself would not make."""
        self.lowest: int = self.admitted if level else logging.NOTSET
        """The level below which nothing is written."""
        self.records_wanted = self.events_wanted = self.spans_wanted = self.loguru_wanted = True
        self._handler = _Handler(root, service_name=service_name)
        self._factory = SessionFileLoggerFactory(root)
        self._renderer = SessionJSONRenderer(service_name=service_name)
        self._patches = Patches()
        self._crashes = crashes.CrashWriter(
            self.write_record, root, logger=CRASH_LOGGER, with_interrupts=True
        )
        self._spans: otel_spans.Spans | None = None

    def install(self) -> None:
        """Tap the process; :meth:`uninstall` undoes it."""
        self._spans = otel_spans.tap(self, self._patches)
        held = stdlib_records.Held()
        stdlib_records.tap(self, held, self._patches)
        structlog_events.tap(self, held, self._patches)
        loguru_records.tap(self, held, self._patches)
        self._crashes.start()
        own_writers.tap(self, self._spans, self._patches)

    def uninstall(self) -> None:
        """Put back what :meth:`install` replaced, and close the files."""
        crashes.at_exit()
        self._crashes.stop()
        self._patches.undo()
        self.records_wanted = self.events_wanted = self.spans_wanted = self.loguru_wanted = False
        self._handler.close()
        self._factory.close()
        if self._spans is not None:
            self._spans.shutdown()

    def in_session(self) -> AbstractContextManager[Any]:
        """Enter the session of the process, unless the caller is in one."""
        return session(self.sid) if current_session_id() is None else contextlib.nullcontext()

    def write_record(self, record: logging.LogRecord) -> None:
        """Write *record*; never raises."""
        with self.in_session():
            self._handler.handle(record)

    def write_event(self, name: str, method: str, event: EventDict) -> None:
        """Write a structlog event, which is used up; never raises."""
        try:
            with self.in_session():
                logger = self._factory(name)
                # For a logger of the factory the renderer answers with the arguments of msg().
                rendered: Any = self._renderer(logger, method, event)
                logger.msg(*rendered[0])
        except Exception:  # noqa: BLE001 - logging never raises into the application
            report()

"""What OpenTelemetry's bootstraps load: ``opentelemetry-instrument``, and the file's ``instrumentation``.

Both load every instrumentor that is installed, or named, and call its ``instrument()``. So a program that
is started by them has the session on its log records and spans without a line of code; files are written
only where somebody has named a directory for them.
"""

from __future__ import annotations

import logging
import os
from functools import partial
from typing import TYPE_CHECKING, Any

from tracectrl.files.names import TRACE_DIR_ENV
from tracectrl.session import WHOLE_PROGRAM_ENV
from tracectrl_logging.stdlib.record_factory import install_record_factory, uninstall_record_factory

if TYPE_CHECKING:
    from collections.abc import Callable, Collection


class SessionInstrumentor:
    """The instrumentor ``tracectrl``: the session on every log record and span, and session files.

    Its forms are those of an OpenTelemetry instrumentor; the package opentelemetry-instrumentation is not needed.
    There is one in a process.
    """

    _undo: list[Callable[[], object]] | None = None

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """Whether :meth:`instrument` was called, by whomever."""
        return SessionInstrumentor._undo is not None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return nothing: there is no library that has to be there."""
        return ()

    def instrument(
        self, *, skip_dep_check: bool = False, root: str | None = None, **options: Any
    ) -> None:
        """Put the session on log records and spans from now on, and write them to files.

        The record factory is wrapped (:func:`tracectrl_logging.install_record_factory`); a
        :class:`~tracectrl.processor.SessionSpanProcessor` and a
        :class:`~tracectrl.processor.SessionLogRecordProcessor` are added to the providers that are set, or
        are set next. Where a root is known, a :class:`~tracectrl_logging.SessionFileHandler` is added to the root logger,
        whose level stays, and spans are written; not where the exporters ``tracectrl_file`` write there. Where the
        program adds such a handler itself, by ``configure()`` say, that one writes.

        Args:
            skip_dep_check: OpenTelemetry's; nothing is checked.
            root: the trace directory; ``None`` takes ``TRACECTRL_TRACE_DIR``, but for programs that
                ``tracectrl-logs run`` has started; without either, no files are written.
            options: others of :class:`~tracectrl_logging.SessionFileHandler`, where there is a root.

        Raises:
            TypeError: there is no such option.
            ValueError: an option is out of range.
            OSError: the root cannot be made or written to.
        """
        del skip_dep_check
        if self.is_instrumented_by_opentelemetry:
            return
        from tracectrl.autoconfigure import (  # noqa: PLC0415 - the SDK is loaded where this is asked for
            EnvironmentLogRecordExporter,
            EnvironmentSpanExporter,
            stamp_records,
            stamp_spans,
            writes_to,
        )
        from tracectrl.provider import when_logger_provider_set, when_set  # noqa: PLC0415 - as above

        if not root and WHOLE_PROGRAM_ENV not in os.environ:  # tracectrl-logs run has its own way
            root = os.environ.get(TRACE_DIR_ENV)
        undo: list[Callable[[], object]] = [uninstall_record_factory]
        if root and not writes_to(root, EnvironmentLogRecordExporter):
            undo.append(_write_records(root, options))
        install_record_factory()
        if root and not writes_to(root, EnvironmentSpanExporter):
            undo.append(_write_spans(root, options))
        else:
            when_set(stamp_spans)
        when_logger_provider_set(partial(stamp_records, are_stamped=True))
        SessionInstrumentor._undo = undo

    def uninstrument(self, **_: Any) -> None:
        """Undo what :meth:`instrument` did, but for the processors, which the SDK keeps."""
        undo, SessionInstrumentor._undo = SessionInstrumentor._undo, None
        for act in undo or ():
            act()


def _write_records(root: str, options: dict[str, Any]) -> Callable[[], None]:
    from tracectrl_logging.stdlib.handler import SessionFileHandler  # noqa: PLC0415 - where files are written

    class Fallback(SessionFileHandler):
        """Writes as long as the program has no such handler of its own: each line once."""

        def handle(self, record: logging.LogRecord) -> Any:
            for each in logging.root.handlers:
                if each is not self and isinstance(each, SessionFileHandler):
                    return False
            return super().handle(record)

    handler = Fallback(root, **options)
    logging.root.addHandler(handler)

    def undo() -> None:
        logging.root.handlers = [each for each in logging.root.handlers if each is not handler]
        handler.close()

    return undo


def _write_spans(root: str, options: dict[str, Any]) -> Callable[[], None]:
    from tracectrl.exporter import FileSpanExporter  # noqa: PLC0415 - where files are written
    from tracectrl.provider import attach, when_set  # noqa: PLC0415 - as above

    shared = (
        "max_bytes",
        "backup_count",
        "max_open_files",
        "max_sessions_per_minute",
        "max_value_bytes",
        "redact",
        "service_name",
    )
    exporter = FileSpanExporter(root, **{key: options[key] for key in shared if key in options})
    detach = exporter.shutdown

    def act(_: Any) -> None:
        nonlocal detach
        detach = attach(exporter, None)

    def undo() -> None:
        detach()

    when_set(act)
    return undo

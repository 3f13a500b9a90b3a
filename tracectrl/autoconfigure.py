"""What OpenTelemetry's own configuration loads by entry point: by environment variables, or by its file."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any
from weakref import WeakSet, ref

from tracectrl.exporter import FileSpanExporter
from tracectrl.files.names import root_path
from tracectrl.log_exporter import FileLogRecordExporter
from tracectrl.processor import SessionLogRecordProcessor, SessionSpanProcessor
from tracectrl.provider import put_first, when_logger_provider_set, when_set
from tracectrl.schema import STAMP_KEYS

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk._logs import ReadWriteLogRecord

_living: WeakSet[EnvironmentSpanExporter | EnvironmentLogRecordExporter] = WeakSet()


class EnvironmentSpanExporter(FileSpanExporter):
    """The exporter that ``tracectrl_file`` stands for, in OpenTelemetry's variables and file.

    There is no entry point for span processors, and without
    :class:`~tracectrl.processor.SessionSpanProcessor` no span would know its session on the thread
    that exports it: so the exporter adds one to the tracer provider that is set, or is set next. By
    ``OTEL_TRACES_EXPORTER`` the SDK sets the provider before it makes its exporters, by
    ``OTEL_CONFIG_FILE`` afterwards.

    Args:
        options: those of :class:`~tracectrl.exporter.FileSpanExporter`, which the file may give.

    Raises:
        TypeError: there is no such option.
        ValueError: an option is out of range.
        OSError: the root cannot be made or written to.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.root = _known(self, options)
        when_set(_while_living(self, stamp_spans))


class EnvironmentLogRecordExporter(FileLogRecordExporter):
    """The same for log records; its processor goes before those that are there, which may export.

    Args:
        options: those of :class:`~tracectrl.log_exporter.FileLogRecordExporter`.

    Raises:
        TypeError: there is no such option.
        ValueError: an option is out of range.
        OSError: the root cannot be made or written to.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.root = _known(self, options)
        when_logger_provider_set(_while_living(self, lambda provider, _: stamp_records(provider)))


def _known(exporter: Any, options: dict[str, Any]) -> str:
    """Take note of *exporter* for :func:`writes_to`; return the root that it writes to."""
    _living.add(exporter)
    return os.path.abspath(root_path(options.get("root")))


def _while_living(exporter: Any, act: Callable[[Any, Any], object]) -> Callable[[Any], None]:
    """Return the function of a provider that calls *act* with it and *exporter*, if that lives still."""
    reference = ref(exporter)

    def call(provider: Any) -> None:
        living = reference()
        if living is not None:
            act(provider, living)

    return call


def stamp_spans(provider: Any, exporter: FileSpanExporter | None = None) -> None:
    """Have the spans of *provider*, where it is the SDK's, get their session, and *exporter* told of them."""
    if hasattr(provider, "add_span_processor"):
        provider.add_span_processor(SessionSpanProcessor(exporter))


def writes_to(root: str | os.PathLike[str] | None, kind: type[Any]) -> bool:
    """Tell whether OpenTelemetry's configuration has an exporter of *kind* that writes to *root*."""
    path = os.path.abspath(root_path(root))
    return any(isinstance(each, kind) and each.root == path for each in list(_living))


class _OnceStamped(SessionLogRecordProcessor):
    """Puts the session on a log record under OpenTelemetry's name alone.

    What makes log records of the standard library's takes their attributes, and so the stamp, which the
    log record has fields of its own for.
    """

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Stamp *log_record*."""
        super().on_emit(log_record)
        attributes: Any = log_record.log_record.attributes
        for key in STAMP_KEYS:
            if key in attributes:
                del attributes[key]


def stamp_records(provider: Any, *, are_stamped: bool = False) -> None:
    """Have the log records of *provider*, where it is the SDK's, get their session before they go on.

    Args:
        provider: a logger provider.
        are_stamped: whether records of the standard library have our stamp, by
            ``install_record_factory`` say.
    """
    if not hasattr(provider, "add_log_record_processor"):
        return
    processor = _OnceStamped() if are_stamped else SessionLogRecordProcessor()
    provider.add_log_record_processor(processor)
    with contextlib.suppress(Exception):  # a matter of order alone, for which the SDK has no call
        put_first(provider._multi_log_record_processor, "_log_record_processors", processor)  # noqa: SLF001

"""An OpenTelemetry span exporter: each span to the file of its session."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import time
from typing import TYPE_CHECKING, Literal

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from tracectrl.files.names import LOG_SUFFIX, SPAN_SUFFIX
from tracectrl.files.presence import announce
from tracectrl.files.write.sink import LOSS_LOGGER, ONE, Sink
from tracectrl.files.write.values import open_appender
from tracectrl.processor import session_of
from tracectrl.redaction import redactor
from tracectrl.schema import PID_KEY, PRESENCE_KEY, UNKNOWN
from tracectrl.service import service_name as known_service_name
from tracectrl.session import PINNED, WHOLE_PROGRAM_ENV, pins_of
from tracectrl.spans.flat import FlatLines
from tracectrl.spans.otlp import otlp_encoder
from tracectrl.spans.watch import OpenSpans

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan, Span

    from tracectrl.redaction import Redact

OPEN_SPANS_AFTER_S = 0.1
"""How many seconds a span is open before it is written as such."""

_logger = logging.getLogger(LOSS_LOGGER)
_NOBODY_STAMPS = (
    "the span %r has no session, and goes to unknown.spans.jsonl: no SessionSpanProcessor has seen it;"
    " add one: provider.add_span_processor(tracectrl.processor.SessionSpanProcessor())"
)


class FileSpanExporter(SpanExporter):
    """Appends each span, as one line of JSON, to the file of its own session.

    The session is the one that :class:`~tracectrl.processor.SessionSpanProcessor` put on the span
    at its start, so the exporter may run on a batch processor's thread. A span without one goes to
    the file ``unknown.spans.jsonl``; the first that no such processor has seen is told of in a warning.

    ``SimpleSpanProcessor`` is the processor for local files: ``BatchSpanProcessor`` drops spans
    when its queue is full.

    Args:
        root: the trace directory; ``None`` takes ``TRACECTRL_TRACE_DIR``, else ``./traces``.
        format: ``"flat"`` for the contract's line; ``"otlp"`` for OTLP/JSON, one
            ``ExportTraceServiceRequest`` a line, which needs the extra ``otlp``.
        max_bytes: a file that would grow beyond this many bytes is rotated first; 0 for never.
        backup_count: rotated files to keep; with 0 nothing is rotated.
        max_open_files: descriptors held open at most; ``None`` fits ``RLIMIT_NOFILE``.
        max_sessions_per_minute: new sessions that get a file of their own in a minute; the lines
            of further ones go to one overflow file. 0 for no bound.
        max_value_bytes: a longer value (an attribute) is cut and says how long it was; 0 cuts none.
        redact: key names (in any case), and callables ``(key, value) -> bool``, whose values are left
            out of the attributes at any depth: the span's, its events', its links', its resource's.
        service_name: the ``service`` of the lines where the span's resource has none; ``None``
            takes ``OTEL_SERVICE_NAME``.
        open_spans_after_s: a span that has been open for longer than this many seconds is written as
            an open one, and once more when it ends; 0 for each at its start, ``None`` for none. A
            daemon thread sees to that, which begins with the first span. It needs
            :class:`~tracectrl.processor.SessionSpanProcessor`, which sees spans start.

    Raises:
        TypeError: ``open_spans_after_s`` is no number.
        ValueError: an option is out of range.
        OSError: the root cannot be made or written to.
        MissingExtraError: ``format="otlp"`` without the extra.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        format: Literal["flat", "otlp"] = "flat",  # noqa: A002 - the contract's name
        max_bytes: int = 0,
        backup_count: int = 0,
        max_open_files: int | None = None,
        max_sessions_per_minute: int = 0,
        max_value_bytes: int = 0,
        redact: Redact | None = None,
        service_name: str | None = None,
        open_spans_after_s: float | None = OPEN_SPANS_AFTER_S,
    ) -> None:
        if format not in ("flat", "otlp"):
            msg = f"format must be 'flat' or 'otlp', got {format!r}"
            raise ValueError(msg)
        check_open_spans_after(open_spans_after_s)
        without = redactor(redact)
        self._flat = FlatLines(known_service_name(service_name), without)
        self._encode: Callable[[ReadableSpan, str], bytes] = self._flat
        if format == "otlp":
            self._encode = otlp_encoder(without)
        appenders = [
            open_appender(
                root,
                suffix,
                max_value_bytes=max_value_bytes,
                max_bytes=max_bytes,
                backup_count=backup_count,
                max_open_files=max_open_files,
                max_sessions_per_minute=max_sessions_per_minute,
            )
            for suffix in (SPAN_SUFFIX, LOG_SUFFIX)
        ]
        # Not through logging: its handlers may be on the same disk, and do not tell of a failure.
        self._sink = Sink(appenders[0], _report, losses=appenders[1], unit="spans")
        self._appender = appenders[0]
        self._unsaid = [_NOBODY_STAMPS]
        self.open_spans: OpenSpans | None = None
        """What is told when spans start and end; ``None`` where open ones are not written."""
        if open_spans_after_s is not None:
            self.open_spans = OpenSpans(open_spans_after_s, self._write_open)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Append *spans*; return ``FAILURE`` where one of them is not in its file. Never raises."""
        result = SpanExportResult.SUCCESS
        watch = None if self.open_spans is None else self.open_spans.watch
        for span in spans:
            sid = UNKNOWN
            try:
                sid = session_of(span) or self._unknown(span)
                opened_in = None
                if watch is not None and (watch.written or watch.writing is not None):
                    opened_in = self.open_spans.closed(span)  # type: ignore[union-attr] # as above
                written = self._sink.append(sid, self._encode(span, sid))
                if opened_in is not None and opened_in != sid:
                    self._sink.append(opened_in, self._flat.of_void(span, opened_in))
            except Exception:  # noqa: BLE001 - a foreign span may raise anything
                written = False
                try:
                    self._sink.fail(sid, "encoded")
                except Exception:  # noqa: BLE001 - no stack is left for that
                    missed = self._sink.missed
                    missed += ONE
            if not written:
                result = SpanExportResult.FAILURE
        return result

    @property
    def lost(self) -> int:
        """How many spans could not be written so far."""
        return self._sink.lost

    def shutdown(self) -> None:
        """Close the files; a span that comes later opens its file again."""
        if self.open_spans is not None:
            self.open_spans.stop()
        self._sink.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Return ``True``: what was exported is in the files already."""
        del timeout_millis
        return True

    def _unknown(self, span: ReadableSpan) -> str:
        """Return the session of *span*, which has none; warn once where nobody gives spans theirs."""
        if self._unsaid and PINNED not in pins_of(span) and WHOLE_PROGRAM_ENV not in os.environ:
            with contextlib.suppress(Exception):  # IndexError: another thread has said it
                _logger.warning(self._unsaid.pop(), span.name)
        return UNKNOWN

    def _write_open(self, span: Span) -> str:
        """Append the line of *span*, which is open; return its session."""
        sid = session_of(span) or UNKNOWN
        process: dict[str, object] = {PID_KEY: os.getpid()}
        presence_id = announce(self._appender.root)
        if presence_id is not None:
            process[PRESENCE_KEY] = presence_id
        line = self._flat.of_open(span, sid, time.time_ns(), process)
        self._appender.append(sid, line)  # no span is lost where it is missing
        return sid


def check_open_spans_after(value: object) -> None:
    """Raise what says why *value* is no time for ``open_spans_after_s``."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        msg = f"open_spans_after_s must be a number of seconds or None, got {type(value).__name__} {value!r}"
        raise TypeError(msg)
    if not 0 <= value < math.inf:
        msg = f"open_spans_after_s must be 0 (at once) or more seconds, or None, got {value!r}"
        raise ValueError(msg)


def _report(what: str | None) -> None:
    _logger.exception("a span could not be %s", what or "written")  # noqa: LOG004 - called in an except block

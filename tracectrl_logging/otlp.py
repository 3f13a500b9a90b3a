"""OTLP beside the files: each line and each span to a collector, by the exporters of the OpenTelemetry SDK.

What is sent of a log record is its line: what is left out of the file is left out there, too. Where no
collector answers, nobody waits for one: the queues of the SDK's batch processors are bounded, what does not
fit is in the files alone, and one warning says so. What the SDK, and the clients below it, log while they
send is neither written nor sent, or each failure would be one more record to fail with. The module is long, for
records and spans go one way, which an end, a fork and a finalizer may each meet in the middle.
"""

from __future__ import annotations

import contextlib
import contextvars
import logging
import os
import threading
import time
from collections import deque
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import orjson
from opentelemetry._logs import LogRecord
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LogRecordLimits, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link

from tracectrl.errors import MissingExtraError
from tracectrl.redaction import redactor
from tracectrl_logging.line.log_record import record_of
from tracectrl_logging.stdlib.handler import SessionFileHandler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Final

    from tracectrl.redaction import Redact, Redactor

FLUSH_S: Final = 3.0
"""How many seconds the end of a program waits for what is to be sent yet, spans and log records together."""

_LEAST_S: Final = 0.5  # of these, for the second

_FEATURE: Final = "configure(otlp=True)"
_PACKAGES: Final = {"http/protobuf": "http", "grpc": "grpc"}
_CLIENTS: Final = {"opentelemetry", "urllib3", "requests", "grpc"}
_LIMITS: Final = LogRecordLimits()

_logger = logging.getLogger(__name__)

_said: dict[tuple[int, int], list[str]] = {}
"""By process, since a fork copies it, and thread that sends, or enqueues, something now: the warnings that the SDK has logged meanwhile."""


class SendingHandler(SessionFileHandler):
    """Writes records as its base does, and sends what it has written.

    Args:
        outlets: those of log records and, where spans are sent, of these, which the handler closes.
        root: the base's, as *options*.
        options: the base's.

    """

    def __init__(
        self, outlets: Sequence[Outlet], root: str | os.PathLike[str] | None, **options: Any
    ) -> None:
        self._outlets = outlets
        self._beside = outlets[0].put
        super().__init__(root, **options)

    def handle(self, record: logging.LogRecord) -> Any:
        """Filter and emit *record*, unless it is what the SDK says of its sending."""
        return lets(record) and super().handle(record)

    def close(self) -> None:
        """Send what waits, within :data:`FLUSH_S` seconds, and close the files."""
        self.flush()  # in background mode lines are handed on by another thread
        for outlet in reversed(self._outlets):  # the first sends what is said of the others
            outlet.close()
        super().close()


def lets(record: logging.LogRecord) -> bool:
    """Tell whether *record* is none that the SDK, or what it sends by, logs while it sends."""
    said = _said.get(_here()) if _said else None
    if said is None or record.name.partition(".")[0] not in _CLIENTS:
        return True
    if record.levelno >= logging.WARNING:
        said.append(record.getMessage())
    return False


def _here() -> tuple[int, int]:
    return os.getpid(), threading.get_ident()


class Outlet:
    """Hands what is to be sent to a batch processor of the SDK's, which each process makes for itself.

    Nothing here raises, or waits for the collector, but :meth:`close`.

    Args:
        left: how many seconds :meth:`close` may wait yet, in a list that several outlets share.

    Raises:
        MissingExtraError: the package of the exporter is not installed.
        ValueError: a variable of OpenTelemetry's has a value that there is not.
    """

    what = ""
    """What is sent, in the plural."""

    _module = ""

    def __init__(self, left: list[float]) -> None:
        self._left = left
        # By process, both: a child inherits no connection.
        self._batches: dict[int, Any] = {}
        self._locks: dict[int, threading.Lock] = {}
        self._aside: deque[tuple[int, Any]] = deque(maxlen=1024)
        self._failing = False
        self._lost = 0
        self._sending = 0
        self._new_exporter, protocol = _exporter(self._module)
        if protocol != "grpc":  # which a process should not begin with before it forks
            self._new_exporter().shutdown()  # by which the SDK says what is wrong with the variables

    def put(self, item: Any) -> None:
        """Enqueue *item*; never raises."""
        here = _here()
        self._aside.append((here[0], item))
        # It may be by a finalizer, or a signal handler, in the middle of what sends or enqueues.
        if here not in _said:
            self._enqueue(here)

    def close(self) -> None:
        """Send what waits, within what is left of :data:`FLUSH_S`; what comes later begins anew."""
        here = _here()
        began, most_s = time.monotonic(), max(self._left[0], _LEAST_S)
        left_s = most_s
        while here[0] in self._batches and left_s > 0:
            with contextlib.suppress(Exception):
                # The public shutdown() has no time: it waits for up to half a minute.
                batch = self._batches.pop(here[0])
                batch._batch_processor.shutdown(timeout_millis=left_s * 1000)  # noqa: SLF001
            if self._aside:  # by finalizers in the middle of sending the last
                self._enqueue(here)
            left_s = most_s - (time.monotonic() - began)
        self._left[0] = left_s

    def send(self, exporter: Any, batch: Sequence[Any]) -> Any:
        """Send *batch* by *exporter*; return what that returns."""
        here = _here()
        said: list[str] = []
        result: Any = None
        try:
            _said[here] = said
            self._sending = len(batch)
            result = exporter.export([self._sent(item) for item in batch])
        except Exception as error:  # noqa: BLE001 - the items are in their files
            said.append(repr(error))
        finally:
            _said.pop(here, None)
        self._note(0 if getattr(result, "name", "") == "SUCCESS" else len(batch), said)
        self._sending = 0
        if self._aside and here[0] in self._batches:  # or close() sees to it
            self._enqueue(here)
        return result

    @property
    def unsent(self) -> int:
        """How many items were not sent so far, at least: of some that found no room nobody knows."""
        return self._lost + self._sending

    def flush(self) -> None:
        """Send what waits, on this thread."""
        here = _here()
        batch = self._batches.get(here[0])
        if batch is not None:
            if self._aside:
                self._enqueue(here)
            batch.force_flush()

    def _enqueue(self, here: tuple[int, int]) -> None:
        """Enqueue what is set aside; never raises."""
        said: list[str] = []
        lost = 1
        try:
            try:
                _said[here] = said
                batch = self._own()
                said.clear()  # of what is wrong with the variables
                for pid, item in self._taken():
                    if pid == here[0]:  # else it is the parent's, who has it yet
                        self._hand(batch, item)
            finally:
                _said.pop(here, None)
        except Exception as error:  # noqa: BLE001 - the items are in their files
            with contextlib.suppress(Exception):  # no stack is left for that
                lost += len(list(self._taken()))
                said.append(repr(error))
        if said:
            self._note(lost, said)

    def _taken(self) -> Iterator[tuple[int, Any]]:
        """Take what is set aside, which several threads may do at once."""
        with contextlib.suppress(IndexError):
            while True:
                yield self._aside.popleft()

    def _own(self) -> Any:
        """Return the batch processor of this process."""
        pid = os.getpid()
        batch = self._batches.get(pid)
        if batch is None:
            with self._locks.setdefault(pid, threading.Lock()):
                batch = self._batches.get(pid)
                if batch is None:
                    # Its thread is in nobody's session.
                    self._batches[pid] = batch = contextvars.Context().run(self._new)
        return batch

    def _new(self) -> Any:
        return self._batch(_Way(self, self._new_exporter()))

    def _note(self, lost: int, said: list[str]) -> None:
        """Say once that something is not sent, and that it is again."""
        with contextlib.suppress(Exception):  # a filter of the application's may raise
            self._lost += lost
            if lost and not self._failing:
                self._failing = True
                contextvars.Context().run(  # it may be somebody's call that finds the queue full
                    _logger.warning,
                    "%s are not sent by OTLP, and are in the files alone, until a line says that they are"
                    " again: %s (OTEL_EXPORTER_OTLP_ENDPOINT names the collector)",
                    self.what,
                    said[0] if said else "the collector does not take them",
                )
            elif self._failing and not lost:
                self._failing = False
                _logger.info(
                    "%s are sent by OTLP again; %d or more were not", self.what, self._lost
                )

    def _batch(self, way: Any) -> Any:
        """Return a batch processor that sends by *way*, and asks for no more of it than that."""
        raise NotImplementedError

    def _hand(self, batch: Any, item: Any) -> None:
        raise NotImplementedError

    def _sent(self, item: Any) -> Any:
        """Return what is sent of an item, which the SDK has kept meanwhile."""
        raise NotImplementedError


class _Way:
    """The exporter of one batch processor: another one of the outlet's may be at work while this one ends."""

    def __init__(self, outlet: Outlet, exporter: Any) -> None:
        self._outlet = outlet
        self._exporter = exporter

    def export(self, batch: Sequence[Any]) -> Any:
        """Send *batch*; return what the exporter returns."""
        return self._outlet.send(self._exporter, batch)

    def shutdown(self) -> None:
        """Shut the exporter down, which gives up what it is trying to send."""
        here = _here()
        try:
            _said[here] = []
            self._exporter.shutdown()
        finally:
            _said.pop(here, None)


class LogOutlet(Outlet):
    """Sends lines as log records.

    Args:
        left: as for :class:`Outlet`.
        service: the ``service.name`` of the resource; ``None`` for the SDK's own.
        redact: what is left out of the resource; the lines have been through it.
    """

    what = "log records"
    _module = "_log_exporter.OTLPLogExporter"

    def __init__(self, left: list[float], service: str | None, redact: Redact | None) -> None:
        super().__init__(left)
        without = redactor(redact)
        self._resource = Resource.create({SERVICE_NAME: service} if service else {})
        if without is not None:
            self._resource = _clean_resource(self._resource, without)

    def _batch(self, way: Any) -> Any:
        return BatchLogRecordProcessor(way)

    def _hand(self, batch: Any, item: Any) -> None:
        batch.on_emit(
            ReadWriteLogRecord(LogRecord(body=item), resource=self._resource, limits=_LIMITS)
        )

    def _sent(self, item: Any) -> Any:
        line = item.log_record.body
        try:
            record, scope = record_of(orjson.loads(line))
        except Exception:  # noqa: BLE001 - a formatter's own JSON may say anything
            record, scope = LogRecord(body=line.decode(errors="replace"), context=Context()), ""
        return ReadableLogRecord(record, self._resource, InstrumentationScope(scope))


class SpanOutlet(Outlet):
    """Sends spans.

    Args:
        left: as for :class:`Outlet`.
        redact: what is left out of the attributes: the span's, its events', its links', its resource's.
    """

    what = "spans"
    _module = "trace_exporter.OTLPSpanExporter"

    def __init__(self, left: list[float], redact: Redact | None) -> None:
        super().__init__(left)
        self._redact = redactor(redact)

    def _batch(self, way: Any) -> Any:
        return BatchSpanProcessor(way)

    def _hand(self, batch: Any, item: Any) -> None:
        batch.on_end(item)

    def _sent(self, item: Any) -> Any:
        without = self._redact
        if without is None:
            return item
        return ReadableSpan(
            item.name,
            item.context,
            item.parent,
            _clean_resource(item.resource, without),
            _clean(item.attributes, without),
            [Event(it.name, _clean(it.attributes, without), it.timestamp) for it in item.events],
            [Link(it.context, _clean(it.attributes, without)) for it in item.links],
            item.kind,
            status=item.status,
            start_time=item.start_time,
            end_time=item.end_time,
            instrumentation_scope=item.instrumentation_scope,
        )


class SendingProcessor(SpanProcessor):
    """Sends spans by an outlet, which opens again for what comes after a shutdown."""

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet

    def on_end(self, span: ReadableSpan) -> None:
        """Enqueue *span*."""
        self._outlet.put(span)

    def shutdown(self) -> None:
        """Send what waits, within the bound."""
        self._outlet.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what waits, on this thread; return ``True``."""
        del timeout_millis
        self._outlet.flush()
        return True


def opened(
    service: str | None, redact: Redact | None, *, spans: bool
) -> tuple[Callable[..., SendingHandler], list[SendingProcessor]]:
    """Return what makes the handler that sends records and, where *spans* are wanted, their processor.

    Raises:
        MissingExtraError: the package of the exporter is not installed.
        ValueError: a variable of OpenTelemetry's has a value that there is not.
    """
    left = [FLUSH_S]
    outlets: list[Outlet] = [LogOutlet(left, service, redact)]
    if spans:
        outlets.append(SpanOutlet(left, redact))
    return partial(SendingHandler, outlets), list(map(SendingProcessor, outlets[1:]))


def _exporter(module: str) -> tuple[Callable[[], Any], str]:
    """Return the class of the exporter that the variables ask for, and the protocol.

    Raises:
        MissingExtraError: its package is not installed.
        ValueError: there is no such protocol.
    """
    signal = "LOGS" if "log" in module else "TRACES"
    protocol = "http/protobuf"
    for name in (f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if given := os.environ.get(name, "").strip():
            protocol = given
            break
    if protocol not in _PACKAGES:
        msg = f"{name} must be 'http/protobuf' or 'grpc', got {protocol!r}"
        raise ValueError(msg)
    package = _PACKAGES[protocol]
    place, _, attribute = module.rpartition(".")
    try:
        found = import_module(f"opentelemetry.exporter.otlp.proto.{package}.{place}")
    except ImportError as error:
        distribution = f"opentelemetry-exporter-otlp-proto-{package}"
        extra = "otlp" if package == "http" else None
        raise MissingExtraError(_FEATURE, distribution, extra) from error
    exporter: Callable[[], Any] = getattr(found, attribute)
    return exporter, protocol


def _clean(attributes: Any, without: Redactor) -> dict[str, Any]:
    return without(dict(attributes or {}))


def _clean_resource(resource: Resource, without: Redactor) -> Resource:
    return Resource(without(dict(resource.attributes)), resource.schema_url)

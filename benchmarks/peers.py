"""The peers that write log lines, each set up as its own documentation says.

Each function takes the directory and yields contenders that write into a file of their own in it.
Where a package is not installed, its contenders are left out.
"""

from __future__ import annotations

import contextlib
import logging
import os
from itertools import repeat
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from content import (
    ARGUMENT,
    MESSAGE,
    FilterByHand,
    SessionByHand,
    SpanByHand,
    add_span_by_hand,
    keyword_calls,
    request_id,
    stdlib_calls,
    stdlib_logger,
)
from harness import Contender, is_installed
from opentelemetry import trace
from pythonjsonlogger.json import JsonFormatter
from pythonjsonlogger.orjson import OrjsonFormatter

from tracectrl_logging import SessionFileHandler
from tracectrl_logging.line.encoder import timestamp_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NULL = "logging + NullHandler (floor)"
JSON_LOGGER = "logging + python-json-logger"
BYTES_LOGGER = "structlog + orjson + BytesLogger"
RAW = "orjson.dumps + os.write (floor)"
FIELDS = "%(asctime)s %(levelname)s %(name)s %(message)s"


def json_logger_handler(path: str, formatter: logging.Formatter | None = None) -> logging.Handler:
    """Return python-json-logger's recipe: a FileHandler, its formatter, the filter by hand."""
    handler = logging.FileHandler(path)
    handler.setFormatter(JsonFormatter(FIELDS) if formatter is None else formatter)
    handler.addFilter(FilterByHand())
    return handler


def stdlib_contender(name: str, *handlers: logging.Handler) -> Contender:
    """Return the contender that logs to *handlers*."""
    return Contender(name, stdlib_calls(stdlib_logger(name, *handlers)))


def floors(root: str) -> Iterator[Contender]:
    """Yield what logging costs by itself, and the least that writing JSON costs."""
    yield stdlib_contender(NULL, logging.NullHandler())
    fd = os.open(os.path.join(root, "raw.jsonl"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def run(calls: int) -> None:
        dumps, write = orjson.dumps, os.write
        context = trace.get_current_span().get_span_context()
        row = {
            "timestamp": timestamp_ns(0),
            "level": "INFO",
            "logger": "raw",
            "message": MESSAGE % ARGUMENT,
            "session_id": request_id.get(),
            "trace_id": format(context.trace_id, "032x"),
            "span_id": format(context.span_id, "016x"),
            "tool": "search",
            "attempt": 3,
        }
        for _ in repeat(None, calls):
            write(fd, dumps(row, None, orjson.OPT_APPEND_NEWLINE))

    yield Contender(RAW, run)


def json_loggers(root: str) -> Iterator[Contender]:
    """Yield python-json-logger with each of its encoders."""
    formatters: list[tuple[str, Callable[[], logging.Formatter]]] = [
        (JSON_LOGGER, lambda: JsonFormatter(FIELDS)),
        (f"{JSON_LOGGER}, orjson", lambda: OrjsonFormatter(FIELDS)),
    ]
    if is_installed("msgspec"):
        from pythonjsonlogger.msgspec import MsgspecFormatter  # noqa: PLC0415 - where installed

        formatters.append((f"{JSON_LOGGER}, msgspec", lambda: MsgspecFormatter(FIELDS)))
    for number, (name, make) in enumerate(formatters):
        path = os.path.join(root, f"json-logger-{number}.jsonl")
        yield stdlib_contender(name, json_logger_handler(path, make()))


def structlogs(root: str) -> Iterator[Contender]:
    """Yield structlog as its page on performance says, and with the standard json."""
    with_bytes = bytes_logger_factory(root)
    with_text = structlog.WriteLoggerFactory(
        open(os.path.join(root, "write.jsonl"), "a", encoding="utf-8")  # noqa: SIM115
    )
    for name, factory, renderer in (
        (BYTES_LOGGER, with_bytes, structlog.processors.JSONRenderer(serializer=orjson.dumps)),
        ("structlog + WriteLogger", with_text, structlog.processors.JSONRenderer()),
    ):
        logger = structlog_logger(factory(), structlog_chain(renderer))
        yield Contender(name, keyword_calls(logger), structlog_session)


def bytes_logger_factory(root: str) -> structlog.BytesLoggerFactory:
    """Return the factory of what structlog's page on performance writes with."""
    return structlog.BytesLoggerFactory(open(os.path.join(root, "bytes.jsonl"), "ab"))


def structlog_chain(renderer: Any) -> list[Any]:
    """Return the processors of that page, *renderer* last."""
    return [
        structlog.contextvars.merge_contextvars,
        add_span_by_hand,
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        renderer,
    ]


@contextlib.contextmanager
def structlog_session() -> Iterator[None]:
    """Run a block with the session bound, as structlog's page on context variables says."""
    with structlog.contextvars.bound_contextvars(session_id=request_id.get()):
        yield


def structlog_logger(logger: Any, processors: list[Any]) -> Any:
    """Return the bound logger that structlog keeps with ``cache_logger_on_first_use``."""
    return structlog.wrap_logger(
        logger,
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        context_class=dict,
        cache_logger_on_first_use=True,
    ).bind()


def opentelemetry_logging(root: str) -> Iterator[Contender]:
    """Yield the contrib instrumentation: its record factory, and its handler."""
    if not is_installed("opentelemetry.instrumentation.logging"):
        return
    from opentelemetry.instrumentation.logging import LoggingInstrumentor  # noqa: PLC0415
    from opentelemetry.instrumentation.logging.handler import LoggingHandler  # noqa: PLC0415
    from opentelemetry.sdk._logs import LoggerProvider  # noqa: PLC0415
    from opentelemetry.sdk._logs.export import (  # noqa: PLC0415
        ConsoleLogRecordExporter,
        SimpleLogRecordProcessor,
    )

    def put_session(span: trace.Span, record: logging.LogRecord) -> None:
        del span
        record.session_id = request_id.get()

    @contextlib.contextmanager
    def instrumented() -> Iterator[None]:
        instrumentor = LoggingInstrumentor()
        instrumentor.instrument(
            inject_trace_context=True, enable_log_auto_instrumentation=False, log_hook=put_session
        )
        try:
            yield
        finally:
            instrumentor.uninstrument()

    handler = logging.FileHandler(os.path.join(root, "instrumentor.jsonl"))
    handler.setFormatter(JsonFormatter(FIELDS))
    name = "OpenTelemetry LoggingInstrumentor + python-json-logger"
    yield Contender(name, stdlib_calls(stdlib_logger(name, handler)), instrumented)

    out = open(os.path.join(root, "otel.jsonl"), "a", encoding="utf-8")  # noqa: SIM115
    logger_provider = LoggerProvider(shutdown_on_exit=False)
    logger_provider.add_log_record_processor(
        SimpleLogRecordProcessor(
            ConsoleLogRecordExporter(out, formatter=lambda it: it.to_json(indent=None) + "\n")
        )
    )
    to_sdk = LoggingHandler(logger_provider=logger_provider)
    to_sdk.addFilter(SessionByHand())
    yield stdlib_contender("OpenTelemetry LoggingHandler, to_json()", to_sdk)


LOGURU_MESSAGE = "user {} logged in"


def loguru(root: str) -> Iterator[Contender]:
    """Yield loguru with ``serialize=True``, and a patcher for the IDs."""
    if not is_installed("loguru"):
        return
    from loguru import logger  # noqa: PLC0415

    def patch(record: Any) -> None:
        context = trace.get_current_span().get_span_context()
        record["extra"].update(
            session_id=request_id.get(),
            trace_id=format(context.trace_id, "032x"),
            span_id=format(context.span_id, "016x"),
        )

    logger.configure(
        handlers=[
            {"sink": os.path.join(root, "loguru.jsonl"), "serialize": True, "format": "{message}"}
        ],
        patcher=patch,
    )
    yield Contender("loguru, serialize=True", keyword_calls(logger, LOGURU_MESSAGE))


def asgi_correlation_id(root: str) -> Iterator[Contender]:
    """Yield asgi-correlation-id's filter, python-json-logger, and the span by hand."""
    if not is_installed("asgi_correlation_id"):
        return
    from asgi_correlation_id import CorrelationIdFilter, correlation_id  # noqa: PLC0415

    @contextlib.contextmanager
    def entered() -> Iterator[None]:
        token = correlation_id.set(request_id.get())
        try:
            yield
        finally:
            correlation_id.reset(token)

    handler = logging.FileHandler(os.path.join(root, "asgi-correlation-id.jsonl"))
    handler.setFormatter(JsonFormatter(f"{FIELDS} %(correlation_id)s"))
    handler.addFilter(CorrelationIdFilter(default_value="-"))
    handler.addFilter(SpanByHand())
    name = "asgi-correlation-id + python-json-logger"
    yield Contender(name, stdlib_calls(stdlib_logger(name, handler)), entered)


def session_handler(root: str, **options: Any) -> SessionFileHandler:
    """Return our handler, in a directory of its own below *root*."""
    return SessionFileHandler(os.path.join(root, "ours"), **options)

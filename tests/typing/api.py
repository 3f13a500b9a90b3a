"""The typed API: type-checked with mypy in strict mode, never run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from typing_extensions import assert_type

import tracectrl_logging
from tracectrl import context
from tracectrl.exporter import FileSpanExporter
from tracectrl.files import log_path, session_id_of, span_path
from tracectrl.processor import SessionSpanProcessor
from tracectrl.propagation import SessionPropagator
from tracectrl.session import (
    current_session_id,
    detached,
    ensure_session,
    new_session,
    session,
    set_session_id,
)
from tracectrl.workers import ThreadPoolExecutor, carry, pack, unpack
from tracectrl_logging import (
    Configuration,
    SessionContextFilter,
    SessionFileHandler,
    SessionFileLoggerFactory,
    SessionJsonFormatter,
    SessionJSONRenderer,
    add_session_context,
    configure,
    dict_config,
    install_record_factory,
    uninstall_record_factory,
)

if TYPE_CHECKING:
    import logging
    from collections.abc import AsyncIterator, Iterator

    from opentelemetry.context import Context
    from opentelemetry.propagators.textmap import TextMapPropagator

# --- the session ----------------------------------------------------------------------------------

assert_type(new_session(), str)
assert_type(current_session_id(), str | None)
assert_type(ensure_session(), str)
set_session_id("s1")
set_session_id(None)  # type: ignore[arg-type]
with session() as sid:
    assert_type(sid, str)
with session("s1"), detached():
    pass
session(1)  # type: ignore[arg-type]

# --- context helpers ------------------------------------------------------------------------------

context.set("s1")
assert_type(context.get(), str)
assert_type(context.inject_trace_headers({"a": "b"}), dict[str, str])
headers = context.inject_trace_headers()
headers["X-TraceCtrl-Session"] = current_session_id()
extracted: Context = context.extract_trace_headers({"traceparent": "x"})
context.extract_trace_headers({b"traceparent": b"x"})
context.extract_trace_headers([(b"traceparent", b"x")])
context.extract_trace_headers(5)  # type: ignore[arg-type]
with context.remote_session({"traceparent": "x"}) as remote:
    made_current: Context = remote


@context.bind
def plain(a: int, session_id: str | None = None) -> str:
    """Be bound."""
    return f"{a} {session_id}"


@context.bind
async def coroutine(a: int, session_id: str | None = None) -> str:
    """Be bound."""
    return f"{a} {session_id}"


@context.bind
def generator(session_id: str | None = None) -> Iterator[int]:
    """Be bound."""
    yield len(session_id or "")


@context.bind
async def async_generator(session_id: str | None = None) -> AsyncIterator[int]:
    """Be bound."""
    yield len(session_id or "")


assert_type(plain(1), str)
plain("1")  # type: ignore[arg-type]


async def uses() -> None:
    """Use what is bound."""
    assert_type(await coroutine(1), str)
    assert_type(list(generator()), list[int])
    assert_type([number async for number in async_generator()], list[int])


# --- workers, propagation, spans, files -----------------------------------------------------------

with ThreadPoolExecutor(max_workers=2) as pool:
    assert_type(pool.submit(plain, 1).result(), str)
    pool.submit(plain, "1")  # type: ignore[arg-type]
assert_type(carry(plain)(1), str)
carry(plain)("1")  # type: ignore[arg-type]
assert_type(pack({"a": 1}), dict[str, int])
with unpack({"a": 1}):
    pass

propagator: TextMapPropagator = SessionPropagator()
provider = TracerProvider()
provider.add_span_processor(SessionSpanProcessor())
provider.add_span_processor(SimpleSpanProcessor(FileSpanExporter("traces", format="otlp")))
FileSpanExporter(Path("traces"), max_bytes=1, backup_count=1, redact=["password"])
FileSpanExporter(format="xml")  # type: ignore[arg-type]

assert_type(log_path("s1"), Path)
assert_type(span_path("s1", Path("traces")), Path)
assert_type(session_id_of("traces/s1.logs.jsonl"), str)

# --- logging --------------------------------------------------------------------------------------

handler: logging.Handler = SessionFileHandler(
    "traces",
    level="INFO",
    max_bytes=1,
    backup_count=1,
    max_open_files=1,
    max_sessions_per_minute=1,
    max_value_bytes=64,
    background=True,
    queue_size=1,
    overflow="drop_oldest",
    redact=["password", lambda key, value: key == value],
    service_name="shop",
)
assert_type(SessionFileHandler().lost, int)
SessionFileHandler("traces", 0)  # type: ignore[call-arg]
SessionFileHandler(overflow="explode")  # type: ignore[arg-type]
SessionFileHandler(redact=5)  # type: ignore[arg-type]
handler.addFilter(SessionContextFilter(default="-"))
handler.setFormatter(
    SessionJsonFormatter(
        ["asctime", "message"],
        rename_fields={"level": "severity"},
        static_fields={"a": 1},
        defaults={"b": None},
        exc_info_as_array=True,
        timestamp="@timestamp",
        json_default=str,
    )
)
SessionJsonFormatter(colour=1)  # type: ignore[call-arg]
install_record_factory()
uninstall_record_factory()

# --- structlog ------------------------------------------------------------------------------------

structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        add_session_context,
        SessionJSONRenderer(service_name="shop", redact="password"),
    ],
    logger_factory=SessionFileLoggerFactory("traces", background=True),
)
structlog.stdlib.ProcessorFormatter(
    foreign_pre_chain=[add_session_context], processors=[SessionJSONRenderer()]
)
assert_type(SessionFileLoggerFactory().lost, int)
SessionFileLoggerFactory()("app").info("{}")

# --- one call -------------------------------------------------------------------------------------

assert_type(configure(), Configuration)
with configure(Path("traces"), level=10, console="json", spans=False) as configuration:
    assert_type(configuration, Configuration)
configure(console=None).shutdown()
configure(console="html")  # type: ignore[arg-type]
assert_type(dict_config("traces", console=None, redact=["password"]), dict[str, Any])
dict_config(redact=str.isupper)  # type: ignore[arg-type]
names: list[str] = tracectrl_logging.__all__
tracectrl_logging.no_such_name  # type: ignore[attr-defined]  # noqa: B018

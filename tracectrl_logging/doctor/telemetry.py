"""The checks of OpenTelemetry in a program."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from opentelemetry import propagate, trace

from tracectrl_logging.doctor.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_HEADER = "x-tracectrl-session"
_WORDS = {"true", "1", "yes"}


def disabled_sdk() -> Iterator[Finding]:
    """The environment switches spans off."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() in _WORDS:
        yield Finding(
            severity="warning",
            check="otel-sdk-disabled",
            subject="OTEL_SDK_DISABLED",
            message="there are no spans, and lines have no trace_id",
            mend="unset OTEL_SDK_DISABLED",
        )


def provider() -> Iterator[Finding]:
    """The tracer provider's spans have no session, or no file."""
    processors = _processors()
    if processors is None:
        return
    from tracectrl.exporter import FileSpanExporter  # noqa: PLC0415 - the SDK is loaded
    from tracectrl.processor import SessionSpanProcessor  # noqa: PLC0415 - as above
    from tracectrl.provider import _Switch  # noqa: PLC0415 - as above

    if any(isinstance(it, _Switch) for it in processors):  # of configure(), which adds both
        return
    if not any(isinstance(it, SessionSpanProcessor) for it in processors):
        yield Finding(
            severity="warning",
            check="span-processor",
            subject="TracerProvider",
            message="its spans have no session.id",
            mend="provider.add_span_processor(SessionSpanProcessor()), before the exporters",
        )
    if not any(isinstance(_exporter(it), FileSpanExporter) for it in processors):
        yield Finding(
            severity="warning",
            check="span-exporter",
            subject="TracerProvider",
            message="its spans are not written to the session files",
            mend="provider.add_span_processor(SimpleSpanProcessor(FileSpanExporter()))",
        )


def propagators() -> Iterator[Finding]:
    """Instrumented clients do not hand the session on."""
    fields = {field.lower() for field in propagate.get_global_textmap().fields}
    given = os.environ.get("OTEL_PROPAGATORS")
    is_instrumented = any(name.startswith("opentelemetry.instrumentation.") for name in sys.modules)
    if _HEADER not in fields and (given is not None or is_instrumented):
        yield Finding(
            severity="warning",
            check="propagators",
            subject="OTEL_PROPAGATORS",
            message="instrumented clients and servers do not hand the session on",
            mend="OTEL_PROPAGATORS=tracecontext,baggage,tracectrl",
        )


def _processors() -> list[Any] | None:
    """Return the span processors of the provider in force; ``None`` where that is not the SDK's."""
    found = trace._TRACER_PROVIDER  # noqa: SLF001 - get_tracer_provider() would set one
    multi = getattr(found, "_active_span_processor", None)
    processors = getattr(multi, "_span_processors", None)
    return None if processors is None else list(processors)


def _exporter(processor: Any) -> Any:
    """Return what a simple or batch processor exports to."""
    batch = getattr(processor, "_batch_processor", None)
    for owner, name in ((processor, "span_exporter"), (batch, "_exporter")):
        if (exporter := getattr(owner, name, None)) is not None:
            return exporter
    return None


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (disabled_sdk, provider, propagators)

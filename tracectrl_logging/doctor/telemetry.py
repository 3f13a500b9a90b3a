"""The checks of OpenTelemetry in a program."""

from __future__ import annotations

import gc
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
    """The spans of the tracer provider in force have no session, or no file."""
    sdk = sys.modules.get("opentelemetry.sdk.trace")  # not ours to load
    if sdk is None:
        return
    in_force: Any = trace._TRACER_PROVIDER  # noqa: SLF001 - get_tracer_provider() would set one
    if in_force is not None and _processors(in_force) is None:
        in_force = getattr(in_force, "provider", None)  # Logfire's name for the one behind
        if _processors(in_force) is None:
            return
    stamps, writes = _ours(in_force)
    others = (
        it
        for it in gc.get_objects()
        if issubclass(type(it), sdk.TracerProvider) and it is not in_force
    )
    if not (stamps and writes) and any(any(_ours(it)) for it in others):
        yield Finding(
            severity="info" if in_force is None else "warning",
            check="provider-replaced",
            subject="TracerProvider",
            message="has our span processors and is not in force: "
            + (
                "no provider is" if in_force is None else "another one is, whose spans have no file"
            ),
            mend="call configure(), or add our processors, behind what sets the provider in force",
        )
        return
    if in_force is None:
        return
    if not stamps:
        yield Finding(
            severity="warning",
            check="span-processor",
            subject="TracerProvider",
            message="its spans have no session.id",
            mend="provider.add_span_processor(SessionSpanProcessor()), before the exporters",
        )
    if not writes:
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


def otlp() -> Iterator[Finding]:
    """What ``configure(otlp=True)`` sends does not arrive, or arrives twice."""
    module = sys.modules.get("tracectrl_logging.otlp")
    if module is None:
        return
    outlets = [it for it in gc.get_objects() if issubclass(type(it), module.Outlet)]
    for outlet in outlets:
        if outlet.unsent:
            yield Finding(
                severity="warning",
                check="otlp-unsent",
                subject=outlet.what,
                message=f"{outlet.unsent} or more were not sent by OTLP, and are in the files alone",
                mend="OTEL_EXPORTER_OTLP_ENDPOINT names a collector that answers;"
                " OTEL_BLRP_MAX_QUEUE_SIZE and OTEL_BSP_MAX_QUEUE_SIZE, how many may wait for it",
                count=outlet.unsent,
            )
    exporters = map(_exporter, _processors(trace._TRACER_PROVIDER) or ())  # noqa: SLF001 - as above
    others = [it for it in exporters if type(it).__module__.startswith("opentelemetry.exporter.")]
    if others and any(type(it) is module.SpanOutlet for it in outlets):
        yield Finding(
            severity="warning",
            check="otlp-twice",
            subject=type(others[0]).__name__,
            message="the tracer provider sends its spans, and so does configure(otlp=True)",
            mend="leave out one of them",
        )


def _ours(provider: object) -> tuple[bool, bool]:
    """Return whether *provider* has our processor that stamps spans, and our exporter."""
    from tracectrl.exporter import FileSpanExporter  # noqa: PLC0415 - the SDK is loaded
    from tracectrl.processor import SessionSpanProcessor  # noqa: PLC0415 - as above
    from tracectrl.provider import _Switch  # noqa: PLC0415 - as above

    processors = _processors(provider) or []
    if any(isinstance(it, _Switch) for it in processors):  # of configure(), which adds both
        return True, True
    stamps = any(isinstance(it, SessionSpanProcessor) for it in processors)
    return stamps, any(isinstance(_exporter(it), FileSpanExporter) for it in processors)


def _processors(provider: object) -> list[Any] | None:
    """Return the span processors of *provider*; ``None`` where it is not the SDK's."""
    multi = getattr(provider, "_active_span_processor", None)
    processors = getattr(multi, "_span_processors", None)
    return None if processors is None else list(processors)


def _exporter(processor: Any) -> Any:
    """Return the exporter of a simple or batch processor, ``None`` for other processors."""
    batch = getattr(processor, "_batch_processor", None)
    for owner, name in ((processor, "span_exporter"), (batch, "_exporter")):
        if (exporter := getattr(owner, name, None)) is not None:
            return exporter
    return None


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (disabled_sdk, provider, propagators, otlp)

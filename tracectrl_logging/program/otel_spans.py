"""OpenTelemetry, read as it passes.

No tracer provider is set: the process has one at most, and a program that sets its own must find
the place free, or its exporters would stay silent. So its provider, once there, is given one more
processor; and until then the tracers that OpenTelemetry hands out instead, which record nothing,
record into a provider that nobody else sees. The SDK is loaded when the first of them is asked for.
"""

from __future__ import annotations

import contextlib
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from tracectrl.files.write.reentrant import ReentrantLock
from tracectrl.identity import IdentityMap

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from tracectrl_logging.patches import Patches
    from tracectrl_logging.program.capture import Capture
    from tracectrl_logging.program.otel_processor import CapturingProcessor


class Spans:
    """What the captured spans go through, made when it is first needed."""

    def __init__(self, capture: Capture) -> None:
        self.making = False
        self._capture = capture
        self._lock = ReentrantLock()
        self._processor: CapturingProcessor | None = None
        self._provider: TracerProvider | None = None
        self._joined: IdentityMap[str] = IdentityMap()

    def provider(self) -> TracerProvider:
        """Return the provider for a program that has none."""
        with self._lock:
            if self._provider is None:
                from tracectrl_logging.program.otel_processor import bare_provider  # noqa: PLC0415

                self._provider = bare_provider(self._capture.service_name)
                self.join(self._provider)
        return self._provider

    def join(self, provider: Any) -> None:
        """Capture the spans of *provider*, where it is the SDK's or takes span processors as that does.

        Never raises: a provider of somebody else's may be any object. One that raises runs on, and a
        line on stderr says that its spans are not captured.
        """
        try:
            with self._lock:
                if self._joined.get(provider) or not hasattr(provider, "add_span_processor"):
                    return
                self._joined.put(provider, "joined")
                from tracectrl.provider import keep_adding  # noqa: PLC0415 - the SDK is loaded

                keep_adding(provider, partial(provider.add_span_processor, self._made_processor()))
        except Exception as error:  # noqa: BLE001 - whatever the provider raises
            with contextlib.suppress(Exception):
                print(  # noqa: T201
                    "tracectrl-logs run: the spans of the tracer provider"
                    f" {type(provider).__name__} are not captured: {error!r}",
                    file=sys.stderr,
                )

    def _made_processor(self) -> CapturingProcessor:
        if self._processor is None:
            from tracectrl_logging.program.otel_processor import CapturingProcessor  # noqa: PLC0415 - as above

            self.making = True
            try:
                self._processor = CapturingProcessor(self._capture)
            finally:
                self.making = False
        return self._processor

    def shutdown(self) -> None:
        """Close the files."""
        if self._processor is not None:
            self._processor.shutdown()


def tap(capture: Capture, patches: Patches) -> Spans:
    """Read the spans of the provider that the program sets, and of its tracers until then."""
    spans = Spans(capture)
    set_provider = trace._set_tracer_provider  # noqa: SLF001 - set by code and by environment alike
    initialise = trace.ProxyTracer.__init__

    def tapped_set_provider(provider: trace.TracerProvider, log: bool) -> None:  # noqa: FBT001
        set_provider(provider, log)
        if trace._TRACER_PROVIDER is provider:  # noqa: SLF001 - the one that is in force
            spans.join(provider)

    def tapped_initialise(self: trace.ProxyTracer, *args: Any, **kwargs: Any) -> None:
        initialise(self, *args, **kwargs)
        with contextlib.suppress(Exception):  # as in join()
            self._noop_tracer = spans.provider().get_tracer(*args, **kwargs)  # type: ignore[assignment]

    if trace._TRACER_PROVIDER is not None:  # noqa: SLF001 - by a tool that starts with Python, too
        spans.join(trace._TRACER_PROVIDER)  # noqa: SLF001
    patches.replace(trace, "_set_tracer_provider", tapped_set_provider)
    patches.replace(trace.ProxyTracer, "__init__", tapped_initialise)
    return spans

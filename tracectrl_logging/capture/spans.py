"""OpenTelemetry, read as it passes.

No tracer provider is set: the process has one at most, and a program that sets its own must find
the place free, or its exporters would stay silent. So its provider, once there, is given one more
processor; and until then the tracers that OpenTelemetry hands out instead, which record nothing,
record into a provider that nobody else sees. The SDK is loaded when the first of them is asked for.
"""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from tracectrl_logging.capture.patches import Patches
    from tracectrl_logging.capture.process import Capture
    from tracectrl_logging.capture.sdk import CapturingProcessor


class Spans:
    """What the captured spans go through, made when it is first needed."""

    def __init__(self, capture: Capture) -> None:
        self.making = False
        self._capture = capture
        self._lock = threading.RLock()
        self._processor: CapturingProcessor | None = None
        self._provider: TracerProvider | None = None
        self._joined: weakref.WeakSet[Any] = weakref.WeakSet()

    def provider(self) -> TracerProvider:
        """Return the provider for a program that has none."""
        with self._lock:
            if self._provider is None:
                from tracectrl_logging.capture.sdk import bare_provider  # noqa: PLC0415

                self._provider = bare_provider(self._capture.service_name)
                self.join(self._provider)
        return self._provider

    def join(self, provider: Any) -> None:
        """Capture the spans of *provider*, where it is the SDK's."""
        with self._lock:
            if provider in self._joined or not hasattr(provider, "add_span_processor"):
                return
            self._joined.add(provider)
            if self._processor is None:
                from tracectrl_logging.capture.sdk import CapturingProcessor  # noqa: PLC0415

                self.making = True
                self._processor = CapturingProcessor(self._capture)
                self.making = False
            provider.add_span_processor(self._processor)

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
        self._noop_tracer = spans.provider().get_tracer(*args, **kwargs)  # type: ignore[assignment]

    patches.replace(trace, "_set_tracer_provider", tapped_set_provider)
    patches.replace(trace.ProxyTracer, "__init__", tapped_initialise)
    return spans

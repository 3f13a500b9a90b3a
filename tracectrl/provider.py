"""Span files on the process's tracer provider, attached and detached.

The SDK takes no processor off a provider again, and OpenTelemetry accepts one provider per process:
so switches are attached to whichever provider is there, once, and what they switch to changes.

A provider of somebody else's may be any object: it is told by identity, and what it raises is said in
a warning. Where it only stands before another one that can be exchanged, as Logfire's does each time
it is configured, the switches follow to the next.

There are two. The one that writes goes before the processors that are there already: these call
exporters that may block, or raise, at the end of a span. The one that stamps comes after them, for a
session that one of them sets at the start of a span is the span's.
"""

from __future__ import annotations

import contextlib
import logging
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, cast

from opentelemetry import trace
from opentelemetry._logs import _internal as otel_logs
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import (
    SpanProcessor,
    SynchronousMultiSpanProcessor,
    TracerProvider,
)
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tracectrl._json import safe_repr
from tracectrl.identity import IdentityMap
from tracectrl.processor import SessionSpanProcessor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

    from tracectrl.exporter import FileSpanExporter

_logger = logging.getLogger(__name__)


class _Switch(SpanProcessor):
    """Passes everything on to :attr:`target`, while there is one; another thread may take it away."""

    def __init__(self) -> None:
        self.target: SpanProcessor | None = None

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        if (target := self.target) is not None:
            try:
                target.on_start(span, parent_context)
            except Exception:
                _logger.exception("a span may have no session")

    def _on_ending(self, span: Span) -> None:
        if (target := self.target) is not None:
            try:
                target._on_ending(span)  # noqa: SLF001 - the SDK's hook has no public name
            except Exception:
                _logger.exception("a span may have no session")

    def on_end(self, span: ReadableSpan) -> None:
        if (target := self.target) is not None:
            target.on_end(span)

    def shutdown(self) -> None:
        if (target := self.target) is not None:
            target.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return (target := self.target) is None or target.force_flush(timeout_millis)


class WritingProcessor(SimpleSpanProcessor):
    """Has each span exported as it ends; after a shutdown, too, as a file can be opened again.

    A provider is shut down when another takes its place, and that may use the same processor.
    """

    def shutdown(self) -> None:
        """Shut the exporter down."""
        self.span_exporter.shutdown()


_switches: IdentityMap[tuple[_Switch, _Switch]] = IdentityMap()


class _Default:
    """The provider that is in force because none was set: one that is set later takes its place.

    Without us, that one would find the place free. It gets the switches, too.
    """

    def __init__(self) -> None:
        self._provider: Any = None
        self._set: Callable[..., None] | None = None

    def give_way(self, provider: Any) -> None:
        """Let the next provider that is set take the place of *provider*."""
        self._provider = provider
        if self._set is None and hasattr(trace, "_set_tracer_provider"):
            # The one function behind what sets a provider by code and by environment.
            self._set = trace._set_tracer_provider  # noqa: SLF001
            trace._set_tracer_provider = self._take_place  # type: ignore[assignment]  # noqa: SLF001

    def _take_place(self, provider: Any, log: bool) -> None:  # noqa: FBT001 - OpenTelemetry's
        ours = self._provider
        gives_way = ours is not None and trace._TRACER_PROVIDER is ours  # noqa: SLF001
        if gives_way:
            once = trace._TRACER_PROVIDER_SET_ONCE  # noqa: SLF001
            trace._TRACER_PROVIDER_SET_ONCE = type(once)()  # noqa: SLF001
        cast("Callable[..., None]", self._set)(provider, log)
        if gives_way and trace._TRACER_PROVIDER is provider:  # noqa: SLF001
            self._provider = None
            known = _switches.get(ours)
            if known is not None and provider is not ours:
                _join(provider, known)


_default = _Default()


def when_set(act: Callable[[Any], object]) -> None:
    """Call *act* with the tracer provider that is set, or as soon as one is."""
    provider = trace.get_tracer_provider()
    is_set = not isinstance(provider, trace.ProxyTracerProvider)
    _when_set(trace, "tracer", provider if is_set else None, act)


def when_logger_provider_set(act: Callable[[Any], object]) -> None:
    """Call *act* with the logger provider that is set, or as soon as one is."""
    _when_set(otel_logs, "logger", otel_logs._LOGGER_PROVIDER, act)  # noqa: SLF001


def _when_set(api: Any, kind: str, provider: Any, act: Callable[[Any], object]) -> None:
    """Call *act* with *provider*, else with the one of its *kind* that is set next by way of *api*."""
    if provider is not None:
        act(provider)
        return
    setter, present = f"_set_{kind}_provider", f"_{kind.upper()}_PROVIDER"  # as in give_way()
    set_provider = getattr(api, setter)
    waiting = [act]

    def tapped(provider: Any, log: bool) -> None:  # noqa: FBT001 - OpenTelemetry's
        set_provider(provider, log)
        if waiting and getattr(api, present) is provider:
            waiting.pop()(provider)

    setattr(api, setter, tapped)


def attach(
    exporter: FileSpanExporter,
    service_name: str | None,
    stamp: SessionSpanProcessor | None = None,
    beside: Iterable[SpanProcessor] = (),
) -> Callable[[], None]:
    """Send the spans of the process to *exporter*, and to *beside*; return what stops that.

    They get their sessions by *stamp*; ``None`` makes one. Uses the tracer provider that is set, and sets one of the SDK, for *service_name*, where none
    is. With a provider that is not the SDK's, says so in a warning and does nothing.
    """
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider):  # none is set
        attributes = {SERVICE_NAME: service_name} if service_name else {}
        provider = TracerProvider(resource=Resource.create(attributes))
        trace.set_tracer_provider(provider)
        _default.give_way(provider)
    known = _switches.get(provider)
    if known is None:
        known = (_Switch(), _Switch())
        if not _join(provider, known):
            return exporter.shutdown
    writing: SpanProcessor = WritingProcessor(exporter)
    if beside:
        every = SynchronousMultiSpanProcessor()  # type: ignore[no-untyped-call] # the SDK's
        for each in (writing, *beside):
            every.add_span_processor(each)
        writing = every
    targets = (writing, stamp or SessionSpanProcessor(exporter))
    for switch, target in zip(known, targets, strict=True):
        switch.target = target

    def detach() -> None:
        for switch, target in zip(known, targets, strict=True):
            if switch.target is target:
                switch.target = None
            target.shutdown()

    return detach


def _join(provider: Any, switches: tuple[_Switch, _Switch]) -> bool:
    """Add *switches* to *provider*; where that raises, say so in a warning and return ``False``."""
    try:
        keep_adding(provider, partial(_add, provider, switches))
    except Exception as error:  # noqa: BLE001 - whatever it is that a provider of others raises
        _logger.warning(
            "no span files: the tracer provider %s takes no span processors: %s",
            type(provider).__name__,
            safe_repr(error),
        )
        return False
    _switches.put(provider, switches)
    return True


def keep_adding(provider: Any, add: Callable[[], object]) -> None:
    """Call *add*, which adds span processors to *provider*, and again where that drops them.

    That is when the provider stands before another one, and has a method ``set_provider`` to exchange
    it.

    Raises:
        Exception: what *add* raises, the first time.
    """
    add()
    with contextlib.suppress(Exception):  # it is no such provider
        exchange = provider.set_provider

        @wraps(exchange)
        def set_provider(*args: Any, **kwargs: Any) -> Any:
            result = exchange(*args, **kwargs)
            try:
                add()
            except Exception as error:  # noqa: BLE001 - as in attach()
                _logger.warning("no span files any more: %s", safe_repr(error))
            return result

        provider.set_provider = set_provider


def _add(provider: Any, switches: tuple[_Switch, _Switch]) -> None:
    for switch in switches:
        provider.add_span_processor(switch)
    with contextlib.suppress(Exception):  # a matter of order alone
        _put_first(switches[0], provider)


def _put_first(switch: _Switch, provider: Any) -> None:
    """Have *provider* ask *switch* before its other processors, for which the SDK has no call."""
    if not hasattr(provider, "_active_span_processor"):
        provider = getattr(provider, "provider", None)  # Logfire's name for the one behind
    put_first(getattr(provider, "_active_span_processor", None), "_span_processors", switch)


def put_first(processors: Any, field: str, first: object) -> None:
    """Have *processors*, all those of a provider in one, ask *first* before the others in *field*."""
    present = getattr(processors, field, None)
    lock = getattr(processors, "_lock", None)
    if isinstance(present, tuple) and lock is not None:
        with lock:
            others = (each for each in getattr(processors, field) if each is not first)
            setattr(processors, field, (first, *others))

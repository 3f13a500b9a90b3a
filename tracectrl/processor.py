"""OpenTelemetry SDK processors: the session on every span and log record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.sdk.trace import SpanProcessor

from tracectrl.attributes import SessionState, described
from tracectrl.schema import SESSION_ATTRIBUTE
from tracectrl.session import (
    COLLECTS_IN_RESET,
    PINNED,
    PINNED_STATE,
    attributes_of,
    current_session_id,
    keep_set,
    pinned_session,
    pins_of,
    session_for,
    state_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, MutableMapping, Sequence

    from opentelemetry.context import Context
    from opentelemetry.sdk._logs import ReadWriteLogRecord
    from opentelemetry.sdk.trace import ReadableSpan, Span

    from tracectrl.exporter import FileSpanExporter
    from tracectrl.spans.watch import OpenSpans


class SessionSpanProcessor(SpanProcessor):
    """Sets ``session.id`` on every span at its start.

    The session is the current one, else the one in the span's parent context, else its parent
    span's: children that are started on another thread, or after their parent ended, belong to
    the parent's session. A span that is given a ``session.id`` keeps it. A span that was started
    before its session was known (a server's, in front of the code that reads the headers) belongs
    to the one it ends in. The limits on the number and the length of attributes do not matter, nor
    do processors that replace or clear the attributes.

    It also tells the exporters that write span files when spans start, so that these know which
    are open.

    Args:
        exporter: the one that is told; ``None`` for those of the tracer provider's processors.
        aliases: attributes by which others name the session, such as ``gen_ai.conversation.id``,
            ``langfuse.session.id`` or ``thread_id``. One that a span is given at its start is read as
            its ``session.id``, the first of them that it has; one that is set later, as the session of
            a span that has none by then.
        write_as: attributes that say the session, too, such as ``tracectrl.session_id``, where a span
            has none of that name.

    Raises:
        TypeError: *aliases* or *write_as* is no list of names.
    """

    def __init__(
        self,
        exporter: FileSpanExporter | None = None,
        *,
        aliases: Sequence[str] = (),
        write_as: Sequence[str] = (),
    ) -> None:
        self._has_own = exporter is not None
        own = None if exporter is None else exporter.open_spans
        # One tuple, so that a thread never sees a mixed pair.
        self._told: tuple[object, tuple[OpenSpans, ...]] = None, () if own is None else (own,)
        self._aliases = _names("aliases", aliases)
        self._write_as = _names("write_as", write_as)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Stamp *span*."""
        self._stamp(span, parent_context)
        try:
            known, told = self._told
            if not self._has_own and span._span_processor._span_processors is not known:  # type: ignore[attr-defined] # noqa: SLF001 - whichever it is
                told = self._found(span)
            for open_spans in told:
                watch = open_spans.watch
                if watch.awake[0]:
                    watch.young.add(span)
                else:
                    open_spans.started(span)
        except Exception:  # noqa: BLE001, S110 - a span of somebody else's may be any object
            pass

    def _stamp(self, span: Span, parent_context: Context | None) -> None:
        if COLLECTS_IN_RESET:
            keep_set()  # the span is made current next
        # As the SDK holds it all: it cannot have ended yet, and each call would cost what this does.
        attributes: Any = span._attributes  # noqa: SLF001
        values, pins = getattr(attributes, "_dict", attributes), span._context.__dict__  # noqa: SLF001
        sid: str | None = pins.get(PINNED)
        if sid is None:
            if SESSION_ATTRIBUTE in values or self._aliases:
                sid = self._given(values)
            if sid is None:
                sid = session_for(parent_context)
                sid = sid or session_of(trace.get_current_span(parent_context))
            pins[PINNED] = sid  # also where it is None: seen, and outside any
            if sid is not None and SESSION_ATTRIBUTE not in values:
                if values is not attributes and _takes_any(attributes):
                    values[SESSION_ATTRIBUTE] = sid  # no other thread has the span yet
                else:
                    attributes[SESSION_ATTRIBUTE] = sid
        if (described or self._write_as) and sid is not None:
            self._describe(attributes, pins, sid, parent_context)

    def _given(self, values: Mapping[str, Any]) -> str | None:
        """Return the session that *values* name, by its own name or by one that others use."""
        given = values.get(SESSION_ATTRIBUTE) or _first(values, self._aliases)
        return None if given is None or given == "" else str(given)

    def _found(self, span: Any) -> tuple[OpenSpans, ...]:
        """Return what is told of *span*, and keep it: it knows the processors of its provider."""
        present = span._span_processor._span_processors  # noqa: SLF001
        found = tuple(dict.fromkeys(_open_spans_of(present)))
        self._told = present, found
        return found

    def _describe(
        self, attributes: Any, pins: dict[str, Any], sid: str, context: Context | None
    ) -> None:
        """Say what else is said of the session *sid*: known here, or by the parent of a span."""
        state = state_of(sid)
        if state is None:
            state = pins_of(trace.get_current_span(context)).get(PINNED_STATE)
        known: dict[str, Any] = dict.fromkeys(self._write_as, sid)
        if isinstance(state, SessionState) and state.sid == sid:
            pins[PINNED_STATE] = state
            known |= state
        values = values_of(attributes)
        for name, value in known.items():
            if name not in values:
                attributes[name] = value

    def _on_ending(self, span: Span) -> None:
        for open_spans in self._told[1]:
            open_spans.watch.young.discard(span)
        attributes: Any = span._attributes  # noqa: SLF001
        values, pins = getattr(attributes, "_dict", attributes), span._context.__dict__  # noqa: SLF001
        present = values.get(SESSION_ATTRIBUTE)
        sid: str | None = pins.get(PINNED)
        if present == sid and sid is not None and not described and not self._write_as:
            return
        missing: dict[str, Any] = {}
        if sid is None:
            given = present or _first(values, self._aliases) or current_session_id()
            if given is None or given == "":
                pins[PINNED] = None  # as above
                return
            pins[PINNED] = sid = str(given)
        if present is None or (present != sid and sid.startswith(str(present))):
            missing[SESSION_ATTRIBUTE] = sid  # else there, or overwritten on purpose
        if described or self._write_as:
            known = {**(pins.get(PINNED_STATE) or attributes_of(sid))}
            named = {**dict.fromkeys(self._write_as, sid), **known}
            missing.update({name: it for name, it in named.items() if name not in values})
        if not missing:
            return
        # Late, evicted or truncated. The attributes are immutable by now: replace them.
        whole = BoundedAttributes(attributes={**attributes.copy(), **missing}, immutable=True)
        whole.dropped = attributes.dropped
        span._attributes = whole  # noqa: SLF001 - the SDK offers no other way at this point

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Return ``True``: no span waits here.

        The base class of SDK 1.40 and 1.41 returns ``None``, at which their providers stop asking.
        """
        del timeout_millis
        return True


class SessionLogRecordProcessor(LogRecordProcessor):
    """Sets ``session.id`` on every log record of the OpenTelemetry SDK when it is emitted.

    Add it before the processor that exports: the records go through them in that order, and a batch
    processor's thread is in nobody's session. A record that has a ``session.id`` keeps it.
    """

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Stamp *log_record*."""
        sid = current_session_id()
        attributes: Any = log_record.log_record.attributes
        if sid is None or attributes is None:
            vars(log_record.log_record)[PINNED] = None  # seen, and outside any
            return
        if SESSION_ATTRIBUTE not in attributes:
            attributes[SESSION_ATTRIBUTE] = sid
        if described and attributes[SESSION_ATTRIBUTE] == sid:
            for name, value in {**attributes_of(sid)}.items():
                if name not in attributes:
                    attributes[name] = value

    def shutdown(self) -> None:
        """Do nothing: there is nothing to shut down."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Return ``True``: there is nothing to flush."""
        del timeout_millis
        return True


def _open_spans_of(processors: Any) -> Iterator[OpenSpans]:
    """Yield what the exporters behind *processors* have for open spans."""
    for processor in processors:
        yield from _open_spans_of(getattr(processor, "_span_processors", ()))
        open_spans = getattr(getattr(processor, "span_exporter", None), "open_spans", None)
        if open_spans is not None:
            yield open_spans


def stamp_span(span: trace.Span, sid: str) -> None:
    """Put the session *sid* on *span*, which has no other and is being recorded."""
    span.set_attribute(SESSION_ATTRIBUTE, sid)
    pins_of(span)[PINNED] = sid


def session_of(span: trace.Span | ReadableSpan) -> str | None:
    """Return the ID of the session that *span* belongs to, whatever became of its attributes."""
    sid: object = pinned_session(span)
    if type(sid) is str:
        return sid or None
    if sid is None:
        attributes: Any = getattr(span, "_attributes", None)
        sid = values_of(attributes).get(SESSION_ATTRIBUTE) if attributes else None
    return None if sid is None or sid == "" else str(sid)


def _first(values: Mapping[str, Any], names: Sequence[str]) -> Any:
    """Return the first of *values* by one of the *names*, ``None`` where there is none."""
    return next((values[name] for name in names if values.get(name) not in (None, "")), None)


def _names(option: str, names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        msg = f"{option} must be a list of str, got {type(names).__name__} {names!r}"
        raise TypeError(msg)
    return tuple(names)


def _takes_any(attributes: Any) -> bool:
    """Tell whether one more text, whole, is all that setting it would make of *attributes*."""
    most = attributes.maxlen
    return attributes.max_value_len is None and (most is None or len(attributes._dict) < most)  # noqa: SLF001


def values_of(attributes: Any) -> MutableMapping[str, Any]:
    """Return what *attributes* hold.

    The SDK's own mapping raises and catches a KeyError to say "not there", and takes a lock for each
    key. Where this is no such mapping, it is returned as it is.
    """
    values: MutableMapping[str, Any] = getattr(attributes, "_dict", attributes)
    return values

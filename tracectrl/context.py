"""Context helpers: the session as a plain value, as an argument, and across HTTP.

Made to be used as a module: ``from tracectrl import context`` and ``context.get()``.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from opentelemetry import baggage, propagate, trace
from opentelemetry import context as otel_context
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tracectrl import session as _session
from tracectrl.propagation import SESSION_HEADER, encode_session_header, first_session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator
    from contextvars import Token
    from types import TracebackType
    from typing import TypeAlias

    from opentelemetry.context import Context

    Headers: TypeAlias = (
        Mapping[str, Any] | Mapping[bytes, Any] | Iterable[tuple[str | bytes, str | bytes]]
    )

F = TypeVar("F", bound="Callable[..., Any]")
H = TypeVar("H", bound=MutableMapping[str, Any])

_TRACE_CONTEXT = TraceContextTextMapPropagator()

# What extract_trace_headers itself put into an OpenTelemetry Context: (session ID, baggage).
_EXTRACTED = otel_context.create_key("tracectrl-extracted")


def set(session_id: str) -> None:  # noqa: A001 - used as context.set()
    """Make *session_id* current; the same variable as :func:`tracectrl.session.set_session_id`.

    Raises:
        TypeError: *session_id* is not a string.
        ValueError: *session_id* is empty.
    """
    _session.set_session_id(session_id)


def get() -> str:
    """Return the current session ID, ``"unknown"`` outside a session."""
    return _session.current_session_id() or _session.UNKNOWN


def bind(fn: F) -> F:  # noqa: C901 - one wrapper for each kind of function
    """Pass ``session_id=get()`` to *fn* where its signature names it and the caller gave none.

    ``**kwargs`` alone does not name it, and an explicit ``None`` is given. A coroutine function, a
    generator function and an async generator function stay what they are; a function whose
    signature does not name ``session_id`` is returned unchanged.

    Raises:
        TypeError: *fn* has no signature: a classmethod object, say (put ``@bind`` below it).
    """
    parameters = list(inspect.signature(fn).parameters.values())
    names = [parameter.name for parameter in parameters]
    if "session_id" not in names:
        return fn
    index = names.index("session_id")
    kind = parameters[index].kind
    if kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
        return fn
    by_position = kind is inspect.Parameter.POSITIONAL_ONLY
    never_by_position = kind is inspect.Parameter.KEYWORD_ONLY

    def complete(
        args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if by_position:
            return ((*args, get()), kwargs) if len(args) == index else (args, kwargs)
        if "session_id" not in kwargs and (never_by_position or len(args) <= index):
            kwargs["session_id"] = get()
        return args, kwargs

    wrapper: Callable[..., Any]
    if inspect.iscoroutinefunction(fn):

        @functools.wraps(fn)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            args, kwargs = complete(args, kwargs)
            return await fn(*args, **kwargs)

    elif inspect.isasyncgenfunction(fn):

        @functools.wraps(fn)
        async def wrapper(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            args, kwargs = complete(args, kwargs)
            generator = fn(*args, **kwargs)
            step = generator.asend(None)
            try:
                while True:
                    try:
                        item = await step
                    except StopAsyncIteration:
                        return
                    try:
                        step = generator.asend((yield item))
                    except GeneratorExit:
                        raise
                    except BaseException as error:  # noqa: BLE001 - what the caller threw in
                        step = generator.athrow(error)
            finally:
                await generator.aclose()

    elif inspect.isgeneratorfunction(fn):

        @functools.wraps(fn)
        def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            args, kwargs = complete(args, kwargs)
            return (yield from fn(*args, **kwargs))

    else:

        @functools.wraps(fn)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            args, kwargs = complete(args, kwargs)
            return fn(*args, **kwargs)

    return cast("F", wrapper)


def inject_trace_headers(headers: H | None = None) -> H:
    """Write the current span and session into *headers* and return that same mapping.

    Writes ``traceparent``, what the global propagator adds, and ``X-TraceCtrl-Session``; each only
    where there is something to say. The same header in another case (of a request that is passed
    on, say) is replaced. With no *headers*, a new dict.
    """
    carrier: MutableMapping[str, Any] = {} if headers is None else headers
    written: dict[str, str] = {}
    _TRACE_CONTEXT.inject(written)
    propagate.inject(written)
    sid = _session.current_session_id()
    if sid is not None:
        written[SESSION_HEADER] = encode_session_header(sid)
    lowered = {name.lower() for name in written}
    stale = [name for name in carrier if name not in written and name.lower() in lowered]
    for name in stale:
        carrier.pop(name, None)
    carrier.update(written)
    return cast("H", carrier)


def extract_trace_headers(headers: Headers) -> Context:
    """Continue the trace and the session that *headers* carry, in the current context.

    Spans and log lines from here on belong to the caller's trace and session. What an earlier call
    made current and these headers do not carry is dropped; a local span, and a session that was
    set by other means, stay.

    Args:
        headers: a mapping of names to values, or ASGI's list of pairs; names in any case; str or
            bytes. Malformed values are ignored.

    Returns:
        The OpenTelemetry ``Context``, now current, for an explicit ``context=``.

    Raises:
        TypeError: *headers* is neither a mapping nor an iterable of pairs.
    """
    context, sid = _read(headers)
    otel_context.attach(context)
    _session.enter_from_headers(sid)
    return context


class remote_session:  # noqa: N801 - used as a function: ``with remote_session(headers):``
    """:func:`extract_trace_headers` for one block; what was current before comes back after it.

    The ``with`` target is the OpenTelemetry ``Context``.
    """

    def __init__(self, headers: Headers) -> None:
        self._headers = headers
        self._tokens: list[tuple[Token[Context], _session.SessionTokens]] = []

    def __enter__(self) -> Context:
        context, sid = _read(self._headers)
        self._tokens.append((otel_context.attach(context), _session.enter_from_headers(sid)))
        return context

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        otel_token, session_tokens = self._tokens.pop()
        _session.restore(session_tokens)
        _session.detach_quietly(otel_token)


class _LowerCaseGetter(Getter[Mapping[str, list[str]]]):
    """Looks a name up whatever its case, in a carrier whose names are lower-case."""

    def get(self, carrier: Mapping[str, list[str]], key: str) -> list[str] | None:
        return carrier.get(key.lower())

    def keys(self, carrier: Mapping[str, list[str]]) -> list[str]:
        return list(carrier)


_GETTER = _LowerCaseGetter()


def _read(headers: Headers) -> tuple[Context, str | None]:
    carrier = _normalised(headers)
    before = _without_extracted(otel_context.get_current())
    context = _TRACE_CONTEXT.extract(carrier, before, _GETTER)
    context = propagate.extract(carrier, context, _GETTER)
    sid = first_session(carrier.get(SESSION_HEADER.lower(), ()))
    if sid is not None:
        context = otel_context.set_value(_session.SESSION_KEY, sid, context)
    items = dict(baggage.get_all(context))
    carried = items if items != dict(baggage.get_all(before)) else None
    return otel_context.set_value(_EXTRACTED, (sid, carried), context), sid


def _without_extracted(context: Context) -> Context:
    if trace.get_current_span(context).get_span_context().is_remote:
        context = trace.set_span_in_context(trace.INVALID_SPAN, context)
    earlier = context.get(_EXTRACTED)
    if isinstance(earlier, tuple):
        sid, items = earlier
        if sid is not None and _session.session_in(context) == sid:
            context = _session.without_session(context)
        if items is not None and dict(baggage.get_all(context)) == items:
            context = baggage.clear(context)
    return context


def _normalised(headers: Headers) -> dict[str, list[str]]:
    """Return *headers* with lower-case names and a list of string values for each."""
    pairs = headers.items() if hasattr(headers, "items") else headers
    carrier: dict[str, list[str]] = {}
    try:
        for name, value in cast("Iterable[tuple[Any, Any]]", pairs):
            values = value if isinstance(value, (list, tuple)) else (value,)
            carrier.setdefault(_text(name).lower(), []).extend(map(_text, values))
    except (TypeError, ValueError) as error:
        msg = f"headers are a mapping or an iterable of (name, value) pairs, not {type(headers).__name__}"
        raise TypeError(msg) from error
    return carrier


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

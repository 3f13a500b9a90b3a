"""Context helpers: the session as a plain value, as an argument, and across HTTP.

Made to be used as a module: ``from tracectrl import context`` and ``context.get()``.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from opentelemetry import context as otel_context
from opentelemetry import propagate

from tracectrl import session as _session
from tracectrl._steps import code_of, of_kind
from tracectrl.attributes import ATTRIBUTES_HEADER, text_of
from tracectrl.propagation import SESSION_HEADER, encode_session_header
from tracectrl.remote import TRACE_CONTEXT, carried_attributes, normalised, read, remote_session
from tracectrl.schema import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator

    from opentelemetry.context import Context

    from tracectrl.remote import Headers

__all__ = [
    "bind",
    "extract_trace_headers",
    "get",
    "inject_trace_headers",
    "remote_session",
    "set",
]

F = TypeVar("F", bound="Callable[..., Any]")
H = TypeVar("H", bound=MutableMapping[str, Any])


def set(session_id: str) -> None:  # noqa: A001 - used as context.set()
    """Make *session_id* current; the same variable as :func:`tracectrl.session.set_session_id`.

    Raises:
        TypeError: *session_id* is not a string.
        ValueError: *session_id* is empty.
    """
    _session.set_session_id(session_id)


def get() -> str:
    """Return the current session ID, ``"unknown"`` outside a session."""
    return _session.current_session_id() or UNKNOWN


def bind(fn: F) -> F:  # noqa: C901 - one wrapper for each kind of function
    """Pass ``session_id=get()`` to *fn* where its signature names it and the caller gave none.

    ``**kwargs`` alone does not name it, and an explicit ``None`` is given. A coroutine function, a
    generator function and an async generator function stay what they are; a function whose
    signature does not name ``session_id`` is returned unchanged. The session is that of the moment
    the body of *fn* begins: for coroutines and generators, their first step.

    Raises:
        TypeError: *fn* is no function.
    """
    if isinstance(fn, (staticmethod, classmethod)):
        return cast("F", type(fn)(bind(fn.__func__)))
    if isinstance(fn, functools.partial) and "session_id" in fn.keywords:
        return fn
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
            before = [parameter.default for parameter in parameters[len(args) : index]]
            if len(args) <= index and inspect.Parameter.empty not in before:
                args = (*args, *before, get())
            return args, kwargs
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

        wrapper = of_kind(code_of(fn), wrapper)

    else:

        @functools.wraps(fn)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            args, kwargs = complete(args, kwargs)
            return fn(*args, **kwargs)

    return cast("F", wrapper)


@overload
def inject_trace_headers(headers: None = None, *, attributes: bool = False) -> dict[str, Any]: ...


@overload
def inject_trace_headers(headers: H, *, attributes: bool = False) -> H: ...


def inject_trace_headers(
    headers: MutableMapping[str, Any] | None = None, *, attributes: bool = False
) -> Any:
    """Write the current span and session into *headers* and return that same mapping.

    Writes ``traceparent``, what the global propagator adds, and ``X-TraceCtrl-Session``; each only
    where there is something to say. The same header in another case (of a request that is passed
    on, say) is replaced. With no *headers*, a new dict.

    With *attributes*, what the session knows of itself goes along as ``X-TraceCtrl-Attributes``: who
    the user is, perhaps, so only send it to services of your own. What is longer than 8 KiB stays.
    """
    carrier: MutableMapping[str, Any] = {} if headers is None else headers
    written: dict[str, str] = {}
    TRACE_CONTEXT.inject(written)
    propagate.inject(written)
    sid = _session.current_session_id()
    if sid is not None:
        written[SESSION_HEADER] = encode_session_header(sid)
        if attributes and (text := text_of(sid, _session.attributes_of(sid))) is not None:
            written[ATTRIBUTES_HEADER] = text
    lowered = {name.lower() for name in written}
    names: list[Any] = list(carrier.keys())  # whose, is not ours to know
    for name in names:
        if isinstance(name, str) and name not in written and name.lower() in lowered:
            del carrier[name]
    for name, value in written.items():
        carrier[name] = value
    return carrier


def extract_trace_headers(headers: Headers, *, attributes: bool = False) -> Context:
    """Continue the trace and the session that *headers* carry, in the current context.

    Spans and log lines from here on belong to the caller's trace and session. What an earlier call
    made current and these headers do not carry is dropped; a local span, and a session that was
    set by other means, stay.

    Args:
        headers: a mapping of names to values, or ASGI's list of pairs; names in any case; str or
            bytes. Malformed values are ignored.
        attributes: whether to believe what the headers say of the session's attributes, which then
            stand on each line; for callers of your own. At most 64 of them in 8 KiB.

    Returns:
        The OpenTelemetry ``Context``, now current, for an explicit ``context=``.

    Raises:
        TypeError: *headers* is neither a mapping nor an iterable of pairs.
    """
    carrier = normalised(headers)
    context, sid = read(carrier)
    _session.keep_set()
    otel_context.attach(context)
    _session.enter_from_headers(sid, carried_attributes(carrier, sid) if attributes else None)
    return context

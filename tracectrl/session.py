"""The current session: one :class:`~contextvars.ContextVar` and the few ways to change it.

A context variable follows ``await``, tasks and :func:`asyncio.to_thread` by itself and is
isolated in a new thread; :mod:`contextvars` says the exact rules. The module is long, since which
session is current, and what an exception or a finalizer has to do with it, is one answer.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import gc
import inspect
import os
import sys
import threading
import uuid
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, TypeVar, cast

from opentelemetry import context as otel_context
from opentelemetry import trace

from tracectrl._exception_notes import ExceptionNotes
from tracectrl._steps import code_of, driven, items_of, kept, of_kind
from tracectrl.attributes import (
    HeaderState,
    SessionState,
    attributes_in,
    checked_attributes,
    described,
    of_child,
    state_for,
)
from tracectrl.schema import PREVIOUS_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
    from types import TracebackType
    from typing import Final, TypeAlias

    from opentelemetry.context import Context

    from tracectrl.session_events import BlockEvents

    SessionTokens: TypeAlias = tuple[Token[Any], ...]

F = TypeVar("F", bound="Callable[..., Any]")
R = TypeVar("R")

SESSION_ID_ENV = "TRACECTRL_SESSION_ID"
"""The environment variable from which :func:`new_session` takes the ID, where it is set."""

ATTRIBUTES_ENV = "TRACECTRL_SESSION_ATTRIBUTES"
"""The environment variable with the attributes of the session that :data:`SESSION_ID_ENV` names."""

WHOLE_PROGRAM_ENV = "TRACECTRL_CAPTURE"
"""Set where the session of :data:`SESSION_ID_ENV` is that of a program as a whole, by ``run``."""

SESSION_KEY = otel_context.create_key("tracectrl-session-id")
"""Where an extracted session ID lives in an OpenTelemetry ``Context``."""

STATE_KEY = otel_context.create_key("tracectrl-session-state")
"""Where the attributes of an extracted session live in an OpenTelemetry ``Context``."""

PINNED = "_tracectrl_session_id"
"""Where a span keeps its session beside ``session.id``, which the SDK's limits evict and truncate.

On the span's context: a span shares it with the read-only copy of it that is exported, and nobody
replaces it, as processors do that leave attributes out. Reading it takes no lock, and the attribute's
are held while the SDK logs. ``None`` there says that a processor has seen the span outside any session.
"""

PINNED_STATE = "_tracectrl_session_state"
"""Where a span keeps the attributes of its session, as it keeps that, once there are any."""

_session_id: ContextVar[str | None] = ContextVar("tracectrl_session_id", default=None)

# What the session in this context knows of itself; it counts where its ID is the current session's.
# A HeaderState, while that was put there by headers and by nobody since. Headers that carry no session
# drop it then: a reused thread must not continue the previous request.
_known: ContextVar[SessionState | None] = ContextVar("tracectrl_session_state", default=None)

COLLECTS_IN_RESET: Final[bool] = sys.version_info < (3, 12)
"""Whether the garbage collector may run inside of ``ContextVar.reset``: see :func:`keep_set`."""

_UNSET: Final[Any] = object()

# The session that an exception was raised in, the one around what it left last, and what the former knows.
_left: ExceptionNotes[tuple[str, str | None, SessionState | None]] = ExceptionNotes()

# The process and thread in which the garbage collector is running: see leave_finalizers_out(). A child
# that another thread forks meanwhile has that thread's ID here, which may be another's there.
_collecting: list[tuple[int, int]] = []

# The one among these during which the session of this context was entered.
_own_collection: ContextVar[tuple[int, int] | None] = ContextVar(
    "tracectrl_collection", default=None
)


# What set_default_session() was given last, and who is to know.
_default: str | None = None
_default_listeners: Final[list[Callable[[str | None], None]]] = []


def new_session() -> str:
    """Start a session in the current context and return its ID.

    The ID is the value of ``TRACECTRL_SESSION_ID`` where that is set and not empty (a child
    process continues its parent's session that way), else a fresh UUID4 string.
    """
    state = begun()
    _store(state)
    return state.sid


def current_session_id() -> str | None:
    """Return the session ID of the current context, or ``None`` outside a session.

    Where the context variable is unset, the session answers that a propagator extracted into the
    current OpenTelemetry ``Context``, else the one of the current span, else the default of the process.
    """
    if _collecting and is_finalizing():
        return None
    sid = _session_id.get()
    return (session_in(otel_context.get_current()) or _default) if sid is None else sid


def set_session_id(sid: str) -> None:
    """Make exactly *sid* the session of the current context; the environment is not asked.

    Raises:
        TypeError: *sid* is not a string.
        ValueError: *sid* is empty.
    """
    _store(state_now(checked(sid)))


def set_default_session(sid: str | None) -> None:
    """Make *sid* the session of all in this process that is in no other: of every thread and callback.

    For a process that is one piece of work as a whole, such as a notebook's kernel. Blocks, requests and jobs
    that are in a session of their own stay there.

    Args:
        sid: the session; ``None`` for none, as it is from the start.

    Raises:
        TypeError: *sid* is neither a string nor ``None``.
        ValueError: *sid* is empty.
    """
    global _default  # noqa: PLW0603 - it is the process's
    _default = None if sid is None else checked(sid)
    for follow in _default_listeners:
        follow(_default)


def ensure_session() -> str:
    """Return the current session ID, or start a session where there is none."""
    sid = current_session_id()
    return new_session() if sid is None else sid


def set_session_attributes(
    *,
    user_id: str | None = ...,  # type: ignore[assignment] # None takes it away
    tags: Iterable[str] | None = ...,  # type: ignore[assignment]
    **attributes: object,
) -> bool:
    """Put attributes on every log line and span of the current session, from now on.

    They belong to the session, wherever this is called: in a function, a task or a thread of it. A span
    that is open gets them when it ends, if it ends in the session.

    Args:
        user_id: the attribute ``user.id``; ``None`` takes it away.
        tags: the attribute ``session.tags``, a list of texts; the same.
        attributes: others, under their own names; the same. A text, a number, a truth value or a list
            of one of these stays as it is, any other value becomes text.

    Returns:
        Whether there is a session; outside of any, nothing is set.

    Raises:
        TypeError: a name is a key of a line or an attribute of a log record, or begins with an
            underscore; *tags* is no list of texts.
    """
    given = checked_attributes(user_id, tags, attributes)
    sid = current_session_id()
    if sid is None:
        return False
    state = state_of(sid)
    if state is None:
        state = state_for(sid, extracted(sid))
        _known.set(state)
    state.describe(given)
    return True


class session:  # noqa: N801 - used as a function: ``with session() as sid:``
    """Run a block in the session *sid*, or in a new one; the ``with`` target is the ID.

    On exit the previous session comes back. Leaving the block in another context than it was
    entered in (a generator or task that is closed elsewhere) is not an error: that context never
    saw the session, so there is nothing to restore in it.

    As a decorator, ``@session()``, each call of the function runs in a session: in *sid*, or in a new
    one of its own. Coroutine functions, generator functions and async generator functions stay what
    they are; whoever takes the items of a generator is not in its session.

    Args:
        sid: the session; ``None`` for a new one, as :func:`new_session` begins it.
        user_id: see :func:`set_session_attributes`.
        tags: the same.
        parent: the session that began this one, for a sub-agent's: its ID, or ``True`` for the current
            one. Each line and span names it (``tracectrl.session.parent_id``), and so do the listings.
            The child of the current session takes its attributes over, and has an ID of its own.
        previous: the session that this one goes on from (``session.previous_id``), the same way.
        events: log ``session.start`` and ``session.end``, by the logger ``tracectrl.session`` at INFO,
            where a block begins and ends, with the exception that ends it. A session whose block was
            left by a process that is gone has crashed. A decorated function logs none.
        attributes: see :func:`set_session_attributes`.

    Raises:
        TypeError: *sid* is neither a string nor ``None``; *parent* or *previous* is neither that nor a
            truth value; see :func:`set_session_attributes`.
        ValueError: *sid*, *parent* or *previous* is empty.
    """

    __slots__ = ("_begin", "_events", "_sid", "_tokens")

    def __init__(
        self,
        sid: str | None = None,
        *,
        user_id: str | None = None,
        tags: Iterable[str] | None = None,
        parent: bool | str = False,
        previous: bool | str = False,
        events: bool = False,
        **attributes: object,
    ) -> None:
        self._sid = None if sid is None else checked(sid)
        self._tokens: list[SessionTokens] = []
        self._events: BlockEvents | None = None
        if events:
            from tracectrl.session_events import BlockEvents  # noqa: PLC0415 - where they are wanted

            self._events = BlockEvents()
        self._begin: Callable[[], SessionState] | None = begun if sid is None else None
        if attributes or parent or previous or user_id is not None or tags is not None:
            user, tagged = (... if it is None else it for it in (user_id, tags))
            given = checked_attributes(user, tagged, attributes)
            relatives = _checked_relative(parent), _checked_relative(previous)
            self._begin = functools.partial(_begun_with, self._sid, given, *relatives)

    def __enter__(self) -> str:
        sid, state = self._sid, _known.get()
        if self._begin is not None:
            state = self._begin()
            sid = state.sid
        elif state is not None and state.sid == sid:
            state = state if type(state) is SessionState else state_now(sid)
        else:
            state = SessionState()
            state.sid = sid  # type: ignore[assignment] # there is one, where nothing begins
            if described:
                state.update(extracted(sid) or {})
        if COLLECTS_IN_RESET:
            keep_set()
        tokens: SessionTokens = _session_id.set(sid), _known.set(state)
        self._tokens.append((*tokens, *stay_in_finalizer()) if _collecting else tokens)
        if self._events is not None:
            self._events.begun(sid, tokens[0])  # type: ignore[arg-type] # as above
        return sid  # type: ignore[return-value] # as above

    def _again(self) -> session:
        """Return another object that enters the same session, or a new one."""
        scope = session(self._sid)
        scope._begin = self._begin
        return scope

    def __call__(self, fn: F) -> F:
        """Return *fn*, each call of which runs in a session."""
        if isinstance(fn, (staticmethod, classmethod)):
            return cast("F", type(fn)(self(fn.__func__)))
        code, again = code_of(fn), self._again

        def begun(*args: Any, **kwargs: Any) -> tuple[contextvars.Context, Any]:
            context = contextvars.copy_context()
            context.run(again().__enter__)
            return context, context.run(fn, *args, **kwargs)

        wrapper: Callable[..., Any]
        if inspect.iscoroutinefunction(code):

            async def wrapper(*args: Any, **kwargs: Any) -> Any:
                with again():
                    return await fn(*args, **kwargs)

        elif inspect.isasyncgenfunction(code):
            wrapper = items_of(begun)
        elif inspect.isgeneratorfunction(code):

            def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
                context, steps = begun(*args, **kwargs)
                try:
                    return (yield from driven(context, steps))
                except Exception as error:
                    note_left(error, context)
                    raise

            wrapper = of_kind(code, wrapper)
        else:

            def wrapper(*args: Any, **kwargs: Any) -> Any:
                with again():
                    return kept(contextvars.copy_context(), fn(*args, **kwargs))

        functools.update_wrapper(wrapper, fn, updated=())
        wrapper.__dict__.update(getattr(fn, "__dict__", {}) if inspect.isroutine(fn) else {})
        return cast("F", wrapper)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        left = None if exc is None else contextvars.copy_context()
        # One object may be entered in several threads and tasks at once: whose exit this is shows
        # in whose token can be reset.
        for index in range(len(self._tokens) - 1, -1, -1):
            if restore(self._tokens[index]):
                token = self._tokens.pop(index)[0]
                if self._events is not None:
                    self._events.ended(token, exc)
                if left is not None:
                    try:  # noqa: SIM105 - suppress() needs stack, too
                        note_left(exc, left)
                    except RecursionError:  # what is on its way out is to come out
                        pass
                return
        if self._events is not None:
            self._events.ended(None, exc)


@contextlib.contextmanager
def detached() -> Iterator[None]:
    """Run a block with no session and no current span.

    For long-lived workers that are started inside a request: what they log and trace belongs to
    nobody's session.
    """
    keep_set()
    tokens = _session_id.set(None), _known.set(None)
    bare = trace.set_span_in_context(
        trace.INVALID_SPAN, without_session(otel_context.get_current())
    )
    otel_token = otel_context.attach(bare)
    try:
        yield
    finally:
        restore(tokens)
        detach_quietly(otel_token)


# --- for the neighbouring modules -----------------------------------------------------------------


def mint() -> str:
    """Return the ID for a new session without making it current."""
    return os.environ.get(SESSION_ID_ENV) or new_id()


def new_id() -> str:
    """Return an ID that no session has."""
    return str(uuid.uuid4())


def session_of(state: SessionState) -> session:
    """Return the context manager that enters the session with just this *state*."""
    scope = session(state.sid)
    scope._begin = lambda: state  # noqa: SLF001 - as above
    return scope


def begun() -> SessionState:
    """Return the state of a new session, or of the one in the environment, which may be current."""
    sid = os.environ.get(SESSION_ID_ENV)
    if not sid:
        return state_for(new_id())
    if state_of(sid) is not None:
        return state_now(sid)
    return state_for(sid, attributes_in(os.environ.get(ATTRIBUTES_ENV), sid))


def _begun_with(
    sid: str | None,
    given: Mapping[str, Any],
    parent: bool | str,  # noqa: FBT001 - as the user gave it
    previous: bool | str,  # noqa: FBT001
) -> SessionState:
    """Return the state of the session *sid*, or of a new one, with what is *given*."""
    current = current_session_id()
    parent_id, previous_id = (current if it is True else it or None for it in (parent, previous))
    if sid is not None:
        state = state_now(sid)
    elif parent_id or previous_id:  # not that of the environment, which may be one of these
        state = state_for(new_id())
    else:
        state = begun()
    if parent_id and parent_id != state.sid:
        known = attributes_of(parent_id) if parent_id == current else {}
        given = {**of_child(parent_id, known), **given}
    if previous_id and previous_id != state.sid:
        given = {**given, PREVIOUS_KEY: previous_id}
    state.describe(given)
    return state


def state_now(sid: str) -> SessionState:
    """Return the state that the session *sid* has where it is entered now: the one of this context."""
    state = state_of(sid)
    return state if type(state) is SessionState else state_for(sid, attributes_of(sid))


def _checked_relative(sid: object) -> bool | str:
    return sid if isinstance(sid, bool) else checked(sid)


def attributes_of(sid: str | None) -> Mapping[str, Any]:
    """Return the attributes of the session *sid*, as far as this context knows them; not to be changed."""
    state = state_of(sid)
    return (extracted(sid) or {}) if state is None else state


def state_of(sid: str | None) -> SessionState | None:
    """Return the state of the session *sid* in this context, if it has one."""
    state = _known.get()
    return state if state is not None and type(sid) is str and state.sid == sid else None


def extracted(sid: str | None) -> SessionState | None:
    """Return what OpenTelemetry's context, or its span, knows of the session *sid*.

    To be asked where the session gets a state in this context; from then on, that is what counts.
    """
    context = otel_context.get_current()
    if not context or type(sid) is not str:
        return None
    state = context.get(STATE_KEY)
    if state is None:
        state = pins_of(trace.get_current_span(context)).get(PINNED_STATE)
    return state if isinstance(state, SessionState) and state.sid == sid else None


def mint_for_request() -> str:
    """Return the ID for a request that brings none.

    That is the one of the environment, where the process was started to work in that session, but not
    where that is the session of a program as a whole: each request has its own there.
    """
    return new_id() if WHOLE_PROGRAM_ENV in os.environ else mint()


def checked(sid: object) -> str:
    """Return *sid* where it can be a session ID, else raise what says why it cannot."""
    if not isinstance(sid, str):
        msg = f"a session ID must be a str, got {type(sid).__name__} {sid!r}; pass str(...) of it"
        raise TypeError(msg)
    if not sid:
        msg = "a session ID cannot be empty; new_session() mints one, detached() leaves the session"
        raise ValueError(msg)
    return sid if type(sid) is str else str.__str__(sid)  # an enum's is its value


def session_in(context: Context) -> str | None:
    """Return the session ID that *context* (OpenTelemetry's) carries, else its span's."""
    sid = context.get(SESSION_KEY)
    if sid is None and context:
        sid = pinned_session(trace.get_current_span(context))
    return sid if isinstance(sid, str) else None


def session_for(context: Context | None) -> str | None:
    """Return the session of what is started, or sent, with *context*; ``None`` is the current one.

    A session that is current goes first, that of a current span only where *context* says nothing.
    """
    if _collecting and is_finalizing():
        return None
    set_here = _session_id.get()
    if set_here is not None:
        return set_here
    current = otel_context.get_current()
    sid = current.get(SESSION_KEY)
    if isinstance(sid, str):
        return sid
    sid = None if context is None else session_in(context)
    return (session_in(current) or _default) if sid is None else sid


def pinned_session(span: Any) -> str | None:
    """Return the session that a span processor has put on *span*."""
    return getattr(getattr(span, "_context", None), PINNED, None)


def pins_of(span: Any) -> dict[str, Any]:
    """Return what is kept of *span* beside its attributes, which may be added to."""
    context = getattr(span, "_context", None)
    return {} if context is None else context.__dict__


def without_session(context: Context) -> Context:
    """Return *context* (OpenTelemetry's) less the session ID it carries."""
    return otel_context.set_value(SESSION_KEY, None, context) if SESSION_KEY in context else context


def follow_default(listener: Callable[[str | None], None]) -> None:
    """Have *listener* called with the default session of the process whenever that is set, and now."""
    _default_listeners.append(listener)
    listener(_default)


def leave_finalizers_out() -> None:
    """From now on, let what the garbage collector finalizes be in no session.

    The collector runs where somebody happens to allocate. A generator that a framework leaves to it
    (Starlette does when the client of a stream goes away) would log its clean-up into the session
    of a stranger.
    """
    if _note_collector not in gc.callbacks:
        gc.callbacks.append(_note_collector)


def is_finalizing() -> bool:
    """Tell whether this thread runs what the garbage collector finalizes, in no session of its own."""
    here, own = (os.getpid(), threading.get_ident()), _own_collection.get()
    return any(each == here and each is not own for each in _collecting)


def stay_in_finalizer() -> SessionTokens:
    """Let this context keep its session in what the garbage collector is finalizing.

    A finalizer that enters a session, or continues one, is in no stranger's.
    """
    if not _collecting:
        return ()
    here = os.getpid(), threading.get_ident()
    return tuple(_own_collection.set(each) for each in _collecting if each == here)


def _note_collector(phase: str, info: object) -> None:
    # Not a context variable: to set one from here corrupts contexts on Python 3.11.
    del info
    if phase == "start":
        _collecting.append((os.getpid(), threading.get_ident()))
    else:
        _collecting.clear()


def note_left(error: BaseException | None, context: contextvars.Context) -> None:
    """Note on *error*, for :func:`where_raised`, that it leaves *context* for the current one.

    An exception that comes out of nested sessions keeps the innermost; one that is raised anew in
    another keeps that.
    """
    try:
        sid, outer = context.run(current_session_id), current_session_id()
        if error is not None and sid is not None and sid != outer:
            state = context.run(state_of, sid)
            raised_in, last, known = _left.get(error) or (sid, sid, state)
            is_on_its_way = last == sid
            _left.put(error, (raised_in, outer, known) if is_on_its_way else (sid, outer, state))
    except Exception:  # noqa: BLE001, S110 - the exception is somebody else's object
        pass


def where_raised(error: BaseException | None) -> str | None:
    """Return the session that *error* was raised in, as far as its way to this context tells."""
    return _raised_in(error)[0]


def _raised_in(error: BaseException | None) -> tuple[str | None, SessionState | None]:
    """Return the session that *error* was raised in, and what is known of it, where that was noted."""
    current = current_session_id()
    try:
        left = None if error is None else _left.get(error)
    except Exception:  # noqa: BLE001 - the exception is a strange object
        left = None
    if left is not None and current in (None, left[1]):
        return left[0], left[2]
    return current, None


def run_where_raised(
    error: BaseException | None, context: contextvars.Context, fn: Callable[..., R], *args: Any
) -> R:
    """Call ``fn(*args)`` in a copy of *context*, in the session that *error* was raised in.

    Where that is known it is no stranger's, while the garbage collector runs either.
    """
    own = context.copy()
    own.run(stay_in_finalizer)
    sid, state = own.run(_raised_in, error)
    if sid is not None:
        own.run((session(sid) if state is None else session_of(state)).__enter__)
    return own.run(fn, *args)


def enter_from_headers(
    sid: str | None, attributes: Mapping[str, Any] | None = None
) -> SessionTokens:
    """Make *sid* current as one that headers carried; ``None`` drops only such a one.

    Of *attributes*, which came along, those count that a session of this context does not know.
    """
    keep_set()
    state, current = _known.get(), _session_id.get()
    is_local = type(state) is not HeaderState
    if sid is None:
        own: SessionTokens = ()
        sid, state = (current, state) if is_local else (None, None)
    else:
        own = stay_in_finalizer() if _collecting else ()
        known = state if is_local and state is not None and sid == state.sid == current else {}
        carried = attributes or (extracted(sid) if described else None) or {}
        state = state_for(sid, {**carried, **known}, HeaderState)
    return _session_id.set(sid), _known.set(state), *own


def restore(tokens: SessionTokens) -> bool:
    """Bring the previous session back, unless this is another context than the one it was set in.

    Returns:
        Whether it is this context.

    A reset in another context raises ValueError: a generator or task that is closed elsewhere.
    The context that was entered is gone or not ours to touch.
    https://github.com/open-telemetry/opentelemetry-python/issues/2606
    """
    try:
        for token in tokens:
            token.var.reset(token)
    except (ValueError, RuntimeError):  # RuntimeError: it was reset already
        return False
    return True


def detach_quietly(token: Token[Context]) -> None:
    """Detach *token*, in another context too.

    OpenTelemetry's own ``detach`` logs an ERROR there, which would land in the user's files.
    """
    if isinstance(token, Token):
        with contextlib.suppress(ValueError):
            token.var.reset(token)
    else:  # a runtime context of the user's own, see OTEL_PYTHON_CONTEXT
        otel_context.detach(token)


def keep_set() -> None:
    """See to it that the variables have a value in this context, whatever is reset later.

    To be called before a variable is set whose token is reset. On Python 3.10 and 3.11 the garbage
    collector may run inside of ``ContextVar.reset``, and with it a ``__del__`` that logs, and so
    asks for the value. Where the reset takes away the variable's only value, CPython goes on to
    answer with that value, which may not even exist any more; where an earlier value comes back,
    that is what it answers. On later versions the collector runs between byte codes alone.
    """
    if COLLECTS_IN_RESET and _session_id.get(_UNSET) is _UNSET:
        _known.set(_known.get())
        runtime = getattr(otel_context, "_RUNTIME_CONTEXT", None)
        variable = getattr(runtime, "_current_context", None)
        if isinstance(variable, ContextVar):  # else a runtime context of the user's own
            variable.set(variable.get())
        _session_id.set(None)  # last: who finds it set finds the others set


def _store(state: SessionState) -> None:
    keep_set()
    _known.set(state)
    _session_id.set(state.sid)
    stay_in_finalizer()

"""The session for ASGI applications: Starlette, FastAPI, Quart, Django, and any other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from opentelemetry import context as otel_context
from opentelemetry import propagate

from tracectrl.attributes import HeaderState, SessionState
from tracectrl.middleware.errors import HEADER, SCOPE_KEY, header_of, is_answered_by, with_header
from tracectrl.middleware.finalizers import leave_async_finalizers_out
from tracectrl.middleware.inbound import (
    DEFAULT_HEADERS,
    DEFAULT_MAX_LENGTH,
    STATE_KEY,
    Inbound,
    Policy,
)
from tracectrl.remote import TRACE_CONTEXT, continued, normalised
from tracectrl.session import (
    _known,
    _session_id,
    keep_set,
    leave_finalizers_out,
    mint_for_request,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping, Sequence

    from opentelemetry.propagators.textmap import TextMapPropagator

    Scope: TypeAlias = MutableMapping[str, Any]
    Message: TypeAlias = MutableMapping[str, Any]
    Receive: TypeAlias = Callable[[], Awaitable[Message]]
    Send: TypeAlias = Callable[[Message], Awaitable[None]]
    ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

# A session's next request finds what its ID was checked and decoded to.
_MAX_KNOWN = 1024

_KINDS = ("http", "websocket")
_STARTS = ("http.response.start", "websocket.accept", "websocket.http.response.start")

_NOTHING = otel_context.Context()

# The public get_current() is one more call on top of this one.
_current_context = getattr(otel_context, "_RUNTIME_CONTEXT", otel_context).get_current

# What passes the checks of an ID, and is the same on the wire.
_PLAIN = bytes(code for code in range(0x21, 0x7F) if code != ord("%"))


class SessionMiddleware:
    """Runs each HTTP request and websocket in its session; a plain ASGI application.

    The session is the one in the request's headers, else a new one; the caller's trace goes on,
    unless an instrumentation further out has started a span for the request already. The answer
    carries the session in ``X-TraceCtrl-Session``, also when the application raises; where the application
    makes another one current before it answers (a dependency of FastAPI that is ``async``, say), that one. The session
    lasts as long as the application does: to the last byte of a stream, through a disconnect, and
    through background tasks that belong to the response.

    Wrap it around the whole application (``app = SessionMiddleware(app)``) or add it as the
    framework does (``app.add_middleware(SessionMiddleware)``). Added to Starlette or FastAPI, it
    sits inside their own answer to unhandled exceptions. That answer, be it of the application's
    handler for 500, of the debug mode or the plain one, is given in the session all the same.

    Args:
        app: the application.
        headers: where to look for the session, in this order.
        policy: what to do with an ID that fails the checks: ``"replace"`` it by a new one and log a
            warning, ``"reject"`` the request with status 400 (a websocket: refuse it), or
            ``"accept"`` it without checks. Any ID is safe as a file name, header and log line.
        trust_inbound: ``False`` ignores the session in the headers.
        is_valid: a check of your own, called with the ID after the others have passed.
        max_length: the longest ID, in characters.
        aliases: names that others use for the session, such as ``thread_id`` or
            ``langfuse.session.id``. Where none of *headers* is there, the session is in the header of
            such a name, else in the entry of such a name in the header ``baggage``.
        attributes: believe what the header ``X-TraceCtrl-Attributes`` says of the session, such as who
            the user is: for callers of your own alone.

    Raises:
        ValueError: an option is out of range.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        headers: Sequence[str] = DEFAULT_HEADERS,
        policy: Policy = "replace",
        trust_inbound: bool = True,
        is_valid: Callable[[str], bool] | None = None,
        max_length: int = DEFAULT_MAX_LENGTH,
        aliases: Sequence[str] = (),
        attributes: bool = False,
    ) -> None:
        self.app = app
        leave_finalizers_out()
        keep_set()  # for the tasks of requests, which are begun in copies of this context mostly
        self._inbound = Inbound(
            headers=headers,
            policy=policy,
            trust_inbound=trust_inbound,
            is_valid=is_valid,
            max_length=max_length,
            aliases=aliases,
            attributes=attributes,
        )
        # Where nothing is to be found, the name that no header has.
        self._first = headers[0].lower().encode() if trust_inbound and headers else b""
        self._max_plain = max_length if is_valid is None else 0
        self._known: dict[bytes | None, tuple[str, tuple[bytes, bytes]]] = {}
        self._more: frozenset[bytes] = frozenset()
        self._propagator: TextMapPropagator | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application for one connection."""
        if scope["type"] not in _KINDS:
            await self.app(scope, receive, send)
            return
        leave_async_finalizers_out()
        plain = self._plain(scope)
        if plain is None:
            await self._run(scope, receive, send)
            return
        # As _run() does, less what such a request does not need.
        sid, header = plain
        framework = scope.get("app")
        started = False

        def answer(message: Message) -> Awaitable[None]:
            nonlocal started
            if not started and message["type"] in _STARTS:
                started = True
                now = _session_id.get()
                known = header if now is sid or now is None else header_of(now)
                message = with_header(message, known)
            return send(message)

        scope[SCOPE_KEY] = sid
        scope[STATE_KEY] = state = SessionState()
        state.sid = sid
        keep_set()
        token, known_before = _session_id.set(sid), _known.set(state)
        try:
            await self.app(scope, receive, answer)
        except Exception:
            if not is_answered_by(framework) and not started and scope["type"] == "http":
                await _send_text(answer, 500, "Internal Server Error")
            raise
        finally:
            try:
                _session_id.reset(token)
                _known.reset(known_before)
            except ValueError:  # closed in another context, see tracectrl.session.restore
                pass
            else:
                if _current_context():
                    otel_context.attach(_NOTHING)  # leave no span, as it was before

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application for one connection, whatever its headers say."""
        headers = normalised(scope["headers"])
        verdict = self._inbound(headers, scope.get(SCOPE_KEY))
        framework = scope.get("app")
        started = False

        def answer(message: Message) -> Awaitable[None]:
            nonlocal started
            if not started and message["type"] in _STARTS:
                started = True
                message = with_header(message, header_of(_session_id.get() or verdict.sid))
            return send(message)

        with continued(headers, self._inbound.state(headers, scope, verdict.sid)):
            verdict.tell()
            if verdict.refusal is not None:
                await _refuse(scope["type"], answer, verdict.refusal)
                return
            scope[SCOPE_KEY] = verdict.sid
            try:
                await self.app(scope, receive, answer)
            except Exception:
                if not is_answered_by(framework) and not started and scope["type"] == "http":
                    await _send_text(answer, 500, "Internal Server Error")
                raise

    def _plain(self, scope: Scope) -> tuple[str, tuple[bytes, bytes]] | None:
        """Return the session of a request whose headers are plain, and the answer's header.

        They continue no trace, and name a session in plain sight or none. That takes a fraction of
        the time of looking at all that headers may say. ``None`` where there is more to look at.
        """
        if SCOPE_KEY in scope or type(_known.get()) is HeaderState or _current_context():
            return None
        if propagate.get_global_textmap() is not self._propagator:
            self._find_out_more()
        first, more = self._first, self._more
        found: bytes | None = None
        for name, value in scope["headers"]:
            if name == first:
                if found is not None:
                    return None
                found = value
            elif name in more:
                return None
        return self._known.get(found) or self._checked(found, scope)

    def _checked(self, value: bytes | None, scope: Scope) -> tuple[str, tuple[bytes, bytes]] | None:
        """Return what *value* names, where it is plain; ``None`` stands for no header."""
        is_named = value is not None
        if value is None:
            if not b"".join(
                name for name, _ in scope["headers"]
            ).islower():  # not as ASGI has it: whose is it?
                return None
            value = mint_for_request().encode("utf-8", "replace")
        elif len(value) > self._max_plain:
            return None
        if not value or value.translate(None, _PLAIN):
            return None
        checked = value.decode("ascii"), (HEADER, value)
        if is_named:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            self._known[value] = checked
        return checked

    def _find_out_more(self) -> None:
        """Find out which headers, beside the first of the session, have something to say."""
        propagator = propagate.get_global_textmap()
        fields = {*TRACE_CONTEXT.fields, *propagator.fields, *self._inbound.names}
        self._more = frozenset(name.lower().encode() for name in fields) - {self._first}
        self._propagator = propagator


async def _send_text(send: Send, status: int, text: str) -> None:
    body = text.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _refuse(kind: str, answer: Send, why: str) -> None:
    if kind == "http":
        await _send_text(answer, 400, f"The session ID of the request is refused: {why}.\n")
    else:
        await answer({"type": "websocket.close", "code": 1008, "reason": "invalid session ID"})

"""tracectrl.middleware.SessionMiddleware: a session for each connection, without a server."""

# ruff: noqa: ARG001, ARG002 - the signatures are the protocol's

from __future__ import annotations

import asyncio
import logging
import string
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage, propagate, trace
from opentelemetry import context as otel_context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.sdk.trace import TracerProvider

from tracectrl.context import extract_trace_headers
from tracectrl.middleware import SessionMiddleware
from tracectrl.processor import SessionSpanProcessor, session_of
from tracectrl.propagation import SessionPropagator
from tracectrl.session import (
    attributes_of,
    current_session_id,
    session,
    set_session_attributes,
    set_session_id,
)

OURS = b"x-tracectrl-session"
TRACE_ID, SPAN_ID = 0xAF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
TRACEPARENT = (b"traceparent", f"00-{TRACE_ID:032x}-{SPAN_ID:016x}-01".encode())


def scope_of(*headers: tuple[bytes, bytes], kind: str = "http", **more: Any) -> dict[str, Any]:
    """Return the scope of a request with *headers*."""
    return {"type": kind, "path": "/", "headers": list(headers), **more}


async def receive() -> dict[str, Any]:
    """Return the whole of an empty request."""
    return {"type": "http.request", "body": b"", "more_body": False}


class Sent(list[Any]):
    """The messages that an application has sent."""

    async def __call__(self, message: Any) -> None:
        """Take one."""
        self.append(message)

    @property
    def sessions(self) -> list[bytes]:
        """The values of the session's header, on the message that starts the response."""
        return [value for name, value in self[0]["headers"] if name.lower() == OURS]


class App:
    """Answers, and keeps what was current when it was asked."""

    def __init__(self, *headers: tuple[bytes, bytes]) -> None:
        self.headers = list(headers)
        self.seen: list[tuple[str | None, int]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        self.see()
        await send({"type": "http.response.start", "status": 200, "headers": self.headers})
        self.see()
        await send({"type": "http.response.body", "body": b""})
        self.see()

    def see(self) -> None:
        """Keep the session and the trace of now."""
        trace_id = trace.get_current_span().get_span_context().trace_id
        self.seen.append((current_session_id(), trace_id))


async def ask(app: Any, *headers: tuple[bytes, bytes], **more: Any) -> Sent:
    """Send one request to *app*; return what it sent."""
    sent = Sent()
    await app(scope_of(*headers, **more), receive, sent)
    return sent


class TestSession:
    """Whose session a request is in."""

    @pytest.mark.parametrize(
        ("headers", "sid", "value"),
        [
            ([(OURS, b"mine")], "mine", b"mine"),
            ([(b"x-session-id", b"mine")], "mine", b"mine"),
            ([(b"X-TraceCtrl-Session", b"mine")], "mine", b"mine"),
            ([(OURS, b"s%C3%A9")], "s\u00e9", b"s%C3%A9"),
            ([(OURS, b"first"), (OURS, b"second")], "first", b"first"),
            ([(b"x-session-id", b"50%")], "50%", b"50%25"),
            ([(b"x-session-id", b"theirs"), (OURS, b"ours")], "ours", b"ours"),
            ([(OURS, b"mine"), TRACEPARENT], "mine", b"mine"),
        ],
    )
    async def test_named_by_the_request(self, headers: Any, sid: str, value: bytes) -> None:
        """From before the first to after the last message; the answer names it."""
        app = App()

        sent = await ask(SessionMiddleware(app), *headers)

        assert [sid] * 3 == [found for found, _ in app.seen]
        assert [value] == sent.sessions
        assert current_session_id() is None

    @pytest.mark.parametrize("headers", [[], [(OURS, b"")], [(b"accept", b"*/*")]])
    async def test_minted(self, headers: Any) -> None:
        """A new one for each request that names none."""
        app = App()
        middleware = SessionMiddleware(app)

        first, second = await ask(middleware, *headers), await ask(middleware, *headers)

        assert 2 == len({app.seen[0], app.seen[3]})
        assert [app.seen[0][0], app.seen[3][0]] == [
            str(uuid.UUID(sent.sessions[0].decode())) for sent in (first, second)
        ]

    async def test_what_was_current_comes_back(self) -> None:
        """A session of the server's own is not the request's, and is there afterwards."""
        app = App()
        with session("server"):
            await ask(SessionMiddleware(app), (OURS, b"mine"))
            await ask(SessionMiddleware(app))
            assert "server" == current_session_id()
        assert "mine" == app.seen[0][0]
        assert "server" not in {sid for sid, _ in app.seen}

    async def test_what_headers_made_current_before_does_not_bleed(self) -> None:
        """Neither session nor trace of what the context was used for before."""
        extract_trace_headers([(OURS, b"before"), TRACEPARENT])
        app = App()

        await ask(SessionMiddleware(app), (OURS, b"mine"))
        await ask(SessionMiddleware(app))

        assert {("mine", 0)} == set(app.seen[:3])
        assert "before" not in {sid for sid, _ in app.seen}
        assert {0} == {trace_id for _, trace_id in app.seen}

    async def test_other_headers_inside_a_request(self) -> None:
        """Headers without a session, extracted by the application, do not end the request's."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            extract_trace_headers({})
            assert "mine" == current_session_id()
            extract_trace_headers({"traceparent": TRACEPARENT[1].decode()})
            assert "mine" == current_session_id()

        await ask(SessionMiddleware(app), (OURS, b"mine"))

    @pytest.mark.parametrize("more", [[], [TRACEPARENT]])
    async def test_what_the_application_makes_current_is_gone_afterwards(self, more: Any) -> None:
        """What it extracts from other headers, too."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            extract_trace_headers([(OURS, b"other"), TRACEPARENT])
            assert "other" == current_session_id()

        with session("server"):
            await ask(SessionMiddleware(app), (OURS, b"mine"), *more)
            assert not trace.get_current_span().get_span_context().is_valid
            extract_trace_headers({})
            assert "server" == current_session_id()

    async def test_many_at_a_time(self) -> None:
        """Requests that wait for each other keep their sessions apart."""
        together = asyncio.Event()
        ids = [f"s{number}" for number in range(200)]
        found: list[str | None] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            found.append(current_session_id())
            if len(found) == len(ids):
                together.set()
            await together.wait()
            assert scope["tracectrl.session_id"] == current_session_id()

        middleware = SessionMiddleware(app)
        await asyncio.gather(*(ask(middleware, (OURS, sid.encode())) for sid in ids))

        assert ids == found

    async def test_a_generator_that_is_closed_elsewhere(self) -> None:
        """A request that is given up in another context is no error, and logs none."""
        handlers = logging.getLogger().handlers.copy()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await asyncio.Event().wait()

        for headers in ([(OURS, b"mine")], [(OURS, b"mine"), TRACEPARENT]):
            running = SessionMiddleware(app)(scope_of(*headers), receive, Sent()).__await__()
            await asyncio.create_task(asyncio.sleep(0))
            next(running)

            async def close(running: Any = running) -> None:
                running.close()

            await asyncio.create_task(close())
        assert handlers == logging.getLogger().handlers


class TestTrace:
    """Which trace a request continues."""

    async def test_the_callers(self) -> None:
        """With a session that the request names, and with a new one."""
        app = App()

        await ask(SessionMiddleware(app), (OURS, b"mine"), TRACEPARENT)
        await ask(SessionMiddleware(app), TRACEPARENT)

        assert {TRACE_ID} == {trace_id for _, trace_id in app.seen}

    async def test_by_a_propagator_that_is_set_later(self) -> None:
        """The global propagator of now counts, and what its headers are."""
        app = App()
        middleware = SessionMiddleware(app)
        header = (b"x-own-trace", f"{TRACE_ID:032x}".encode())
        await ask(middleware, (OURS, b"mine"), header)

        propagate.set_global_textmap(CompositePropagator([_OwnPropagator(), SessionPropagator()]))
        await ask(middleware, (OURS, b"mine"), header)

        assert [0, TRACE_ID] == [app.seen[0][1], app.seen[3][1]]

    @pytest.mark.parametrize("headers", [[(OURS, b"mine")], [(OURS, b"mine"), TRACEPARENT]])
    async def test_an_instrumentation_further_out(self, headers: Any) -> None:
        """Its span stays current, and gets the session."""
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SessionSpanProcessor())
        app = App()

        with provider.get_tracer("tests").start_as_current_span("server") as span:
            await ask(SessionMiddleware(app), *headers)

        assert {("mine", span.get_span_context().trace_id)} == set(app.seen)
        assert "mine" == session_of(span)

    @pytest.mark.parametrize(("headers", "trace_id"), [([], None), ([TRACEPARENT], TRACE_ID)])
    async def test_the_context_of_another_request(self, headers: Any, trace_id: int | None) -> None:
        """A server may begin a request in it: neither its session nor its span go on."""
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SessionSpanProcessor())
        app = App()

        with session("theirs"), provider.get_tracer("tests").start_as_current_span("work") as span:
            await ask(SessionMiddleware(app), (OURS, b"mine"), *headers)
            assert span is trace.get_current_span()
            assert "theirs" == current_session_id()

        assert {("mine", trace_id or 0)} == set(app.seen)
        assert "theirs" == session_of(span)

    async def test_the_context_of_the_same_session(self) -> None:
        """A request within the process is a part of what its caller does."""
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SessionSpanProcessor())
        app = App()

        with session("mine"), provider.get_tracer("tests").start_as_current_span("work") as span:
            await ask(SessionMiddleware(app), (OURS, b"mine"))

        assert {("mine", span.get_span_context().trace_id)} == set(app.seen)

    async def test_baggage(self) -> None:
        """What else the propagator carries is current, too."""
        found = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            found.append(dict(baggage.get_all()))

        await ask(SessionMiddleware(app), (OURS, b"mine"), (b"baggage", b"customer=7"))

        assert [{"customer": "7"}] == found
        assert {} == dict(baggage.get_all())


class TestAnswer:
    """What the middleware writes."""

    async def test_it_has_the_header_once(self) -> None:
        """Also where the application sends one of its own, in any case."""
        sent = await ask(
            SessionMiddleware(App((b"X-Tracectrl-Session", b"own"), (b"a", b"b"))), (OURS, b"mine")
        )

        assert [b"mine"] == sent.sessions
        assert (b"a", b"b") in sent[0]["headers"]

    @pytest.mark.parametrize("headers", [(), ((OURS, b"visit"),), ((OURS, b"visit"), TRACEPARENT)])
    async def test_of_a_session_that_the_application_chooses(self, headers: Any) -> None:
        """It is the one that is current when the answer begins; the next request has its own."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            set_session_id("chosen 1")
            await send({"type": "http.response.start", "status": 200, "headers": []})
            set_session_id("too late")
            await send({"type": "http.response.body", "body": b""})

        middleware = SessionMiddleware(app)
        assert [[b"chosen%201"]] * 2 == [(await ask(middleware, *headers)).sessions for _ in "12"]
        assert current_session_id() is None

    async def test_the_applications_message_stays_as_it_is(self) -> None:
        """It may be a constant that is sent again and again."""
        app = App((b"a", b"b"))

        await ask(SessionMiddleware(app), (OURS, b"mine"))

        assert [(b"a", b"b")] == app.headers

    async def test_an_unhandled_exception(self) -> None:
        """Is answered with status 500, and goes on to the server."""
        sent = Sent()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            msg = "on purpose"
            raise RuntimeError(msg)

        with pytest.raises(RuntimeError, match="on purpose"):
            await SessionMiddleware(app)(scope_of((OURS, b"mine")), receive, sent)

        assert (500, [b"mine"]) == (sent[0]["status"], sent.sessions)
        assert b"Internal Server Error" == sent[1]["body"]
        assert current_session_id() is None

    async def test_an_exception_after_the_start(self) -> None:
        """Is not answered a second time."""
        sent = Sent()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200})
            msg = "on purpose"
            raise RuntimeError(msg)

        with pytest.raises(RuntimeError, match="on purpose"):
            await SessionMiddleware(app)(scope_of(), receive, sent)

        assert [200] == [message["status"] for message in sent]
        assert 1 == len(sent.sessions)

    async def test_a_websocket_that_is_denied(self) -> None:
        """The answer that an application gives instead of the handshake carries the session."""
        sent = Sent()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "websocket.http.response.start", "status": 401, "headers": []})

        await SessionMiddleware(app)(scope_of((OURS, b"mine"), kind="websocket"), receive, sent)

        assert [b"mine"] == sent.sessions

    async def test_a_refusal(self) -> None:
        """Status 400 and the reason; the application is not asked."""
        app = App()

        sent = await ask(SessionMiddleware(app, policy="reject"), (OURS, b"x" * 129))

        assert [] == app.seen
        assert 400 == sent[0]["status"]
        assert str(uuid.UUID(sent.sessions[0].decode())).encode() == sent.sessions[0]
        assert (
            b"The session ID of the request is refused: it is longer than 128 characters.\n"
            == sent[1]["body"]
        )

    @pytest.mark.parametrize("headers", [[(OURS, b"mine")], [(OURS, b"mine"), TRACEPARENT]])
    async def test_in_the_middleware_itself(self, headers: Any) -> None:
        """Twice around, the outer one decides."""
        app = App()
        inner = SessionMiddleware(app, trust_inbound=False, policy="reject", max_length=1)

        sent = await ask(SessionMiddleware(inner), *headers)

        assert {"mine"} == {sid for sid, _ in app.seen}
        assert [b"mine"] == sent.sessions


_VALUES = st.one_of(
    st.sampled_from(
        [b"mine", b"a%20b", b"50%", b"", b" ", b"x" * 128, b"x" * 129, b"\xff", b"\x7f"]
    ),
    st.binary(max_size=20),
    st.text(string.ascii_letters + string.digits + "-._%/ ", max_size=20).map(str.encode),
)
_NAMES = [OURS, b"x-session-id", b"baggage", b"host", b"accept"]
_HEADERS = st.lists(
    st.one_of(st.tuples(st.sampled_from(_NAMES), _VALUES), st.just(TRACEPARENT)), max_size=4
)


@pytest.mark.parametrize("policy", ["replace", "reject", "accept"])
@given(headers=_HEADERS)
def test_the_short_way_and_the_long_one(policy: Any, headers: Any) -> None:
    """A request in plain sight is treated as one that takes the general way."""

    async def answers(*, is_long: bool) -> list[Any]:
        app = App()
        middleware = SessionMiddleware(app, policy=policy)
        if is_long:
            vars(middleware)["_plain"] = lambda _: None
        first, second = [await ask(middleware, *headers) for _ in range(2)]
        assert current_session_id() is None
        assert not trace.get_current_span().get_span_context().is_valid
        is_minted = first.sessions != second.sessions
        return [
            [("minted" if is_minted else sid, trace_id) for sid, trace_id in app.seen],
            [message.get("status") for message in (*first, *second)],
            "minted" if is_minted else first.sessions,
        ]

    assert asyncio.run(answers(is_long=True)) == asyncio.run(answers(is_long=False))


class TestOtherConnections:
    """Websockets, and what is none of ours."""

    async def test_a_websocket(self) -> None:
        """The message that accepts it carries the header."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            assert "mine" == current_session_id()
            await send({"type": "websocket.accept"})

        sent = await ask(SessionMiddleware(app), (OURS, b"mine"), kind="websocket")

        assert [b"mine"] == sent.sessions

    async def test_a_websocket_is_refused(self) -> None:
        """It is closed before it was accepted."""
        middleware = SessionMiddleware(App(), policy="reject")

        sent = await ask(middleware, (OURS, b"a%0Ab"), kind="websocket")

        expected = {"type": "websocket.close", "code": 1008, "reason": "invalid session ID"}
        assert [expected] == sent

    async def test_an_exception_in_a_websocket(self) -> None:
        """Goes on to the server, which closes it."""
        sent = Sent()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            raise KeyError

        with pytest.raises(KeyError):
            await SessionMiddleware(app)(scope_of(kind="websocket"), receive, sent)

        assert [] == sent

    async def test_lifespan(self) -> None:
        """Passes as it is, in no session."""
        found = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            found.append((scope, receive, send, current_session_id()))

        scope, sent = {"type": "lifespan"}, Sent()
        await SessionMiddleware(app)(scope, receive, sent)

        assert [(scope, receive, sent, None)] == found
        assert {"type": "lifespan"} == scope


class _OwnPropagator(SessionPropagator):
    """Carries a trace ID in a header of its own."""

    def extract(self, carrier: Any, context: Any = None, getter: Any = None) -> Any:
        values = getter.get(carrier, "x-own-trace")
        if not values:
            return context or otel_context.Context()
        remote = trace.SpanContext(int(values[0], 16), SPAN_ID, is_remote=True)
        return trace.set_span_in_context(trace.NonRecordingSpan(remote), context)

    @property
    def fields(self) -> set[str]:
        return {"X-Own-Trace"}


async def test_the_session_around_knows_itself_again() -> None:
    """A request in plain sight leaves what was known around it; what it learns itself goes with it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        set_session_attributes(user_id="v")
        assert {"user.id": "v"} == attributes_of("mine")

    with session("server", user_id="u"):
        await SessionMiddleware(app)(scope_of((OURS, b"mine")), receive, Sent())
        assert {"user.id": "u"} == attributes_of("server")
        assert {} == attributes_of("mine")

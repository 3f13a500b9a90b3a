"""tracectrl.context: the session as a value, as an argument, and across HTTP."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import threading
from collections.abc import Mapping
from email.message import Message
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage, propagate, trace
from opentelemetry import context as otel_context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from tracectrl import context
from tracectrl.context import extract_trace_headers, inject_trace_headers, remote_session
from tracectrl.propagation import SESSION_HEADER, SessionPropagator
from tracectrl.session import current_session_id, detached, session, set_session_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterator

    from typing_extensions import Self

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"


def current_trace_id() -> str | None:
    """Return the trace ID of the current span, ``None`` without a valid one."""
    found = trace.get_current_span().get_span_context()
    return f"{found.trace_id:032x}" if found.is_valid else None


class TestSetAndGet:
    """The same variable as tracectrl.session's."""

    def test_get_answers_unknown_outside_a_session(self) -> None:
        """Never None."""
        assert "unknown" == context.get()

    def test_are_the_same_variable(self) -> None:
        """What one module sets the other sees."""
        context.set("a")
        assert "a" == current_session_id()
        set_session_id("b")
        assert "b" == context.get()

    @pytest.mark.parametrize(("sid", "error"), [(None, TypeError), ("", ValueError)])
    def test_set_refuses_what_cannot_be_an_id(self, sid: Any, error: type[Exception]) -> None:
        """As set_session_id does."""
        with pytest.raises(error):
            context.set(sid)

    async def test_an_llm_hook_reads_the_session(self, tracer: trace.Tracer) -> None:
        """A hook called deep inside sees the session and can put it on the span."""

        async def before_llm_generate(llm: str, prompt: str, **kw: Any) -> tuple[str, str, Any]:
            trace.get_current_span().set_attribute("session.id", context.get())
            return llm, prompt, kw

        with session("s"), tracer.start_as_current_span("llm") as span:
            await asyncio.gather(before_llm_generate("model", "prompt", temperature=0))

        assert {"session.id": "s"} == dict(span.attributes)  # type: ignore[attr-defined]


class TestBind:
    """The session as an argument, where the signature names it."""

    @pytest.fixture(autouse=True)
    def _in_a_session(self) -> None:
        set_session_id("s")

    def test_plain_function(self) -> None:
        """It stays one, gets the ID, and keeps its name and docstring."""

        @context.bind
        def work(a: int, session_id: str = "default") -> tuple[int, str]:
            """Do the work."""
            return a, session_id

        assert (1, "s") == work(1)
        assert (2, "s") == work(a=2)
        assert ("work", "Do the work.") == (work.__name__, work.__doc__)
        assert not inspect.iscoroutinefunction(work)
        assert ["a", "session_id"] == list(inspect.signature(work).parameters)

    def test_looks_the_session_up_at_each_call(self) -> None:
        """Not when it decorates; unknown outside a session."""

        @context.bind
        def work(session_id: str) -> str:
            return session_id

        with session("other"):
            assert "other" == work()  # type: ignore[call-arg]
        with detached():
            assert "unknown" == work()  # type: ignore[call-arg]

    @pytest.mark.parametrize("given", ["mine", "", None])
    def test_what_the_caller_gives_stays(self, given: str | None) -> None:
        """By name or by position, an explicit None too."""

        @context.bind
        def work(a: int, session_id: str | None = "default", b: int = 0) -> str | None:
            del a, b
            return session_id

        assert given == work(1, session_id=given)
        assert given == work(1, given)
        assert given == work(1, given, 2)

    def test_keyword_only(self) -> None:
        """Never filled by position."""

        @context.bind
        def work(*args: int, session_id: str | None = "default") -> tuple[tuple[int, ...], Any]:
            return args, session_id

        assert ((1, 2, 3), "s") == work(1, 2, 3)
        assert ((1,), None) == work(1, session_id=None)

    def test_positional_only(self) -> None:
        """Passed by position, where the caller stopped short of it."""

        @context.bind
        def work(a: int, session_id: str | None = "default", /, b: int = 0) -> tuple[int, Any, int]:
            return a, session_id, b

        assert (1, "s", 0) == work(1)
        assert (1, "s", 2) == work(1, b=2)
        assert (1, None, 0) == work(1, None)

    def test_positional_only_behind_defaults(self) -> None:
        """The parameters before it keep their defaults."""

        @context.bind
        def work(a: int = 1, session_id: str = "default", /) -> tuple[int, str]:
            return a, session_id

        assert (1, "s") == work()
        assert (5, "s") == work(5)

    def test_positional_only_without_what_comes_before(self) -> None:
        """A missing argument is the caller's TypeError, as ever."""

        @context.bind
        def work(a: int, session_id: str, /) -> None:
            del a, session_id

        with pytest.raises(TypeError, match="missing"):
            work()  # type: ignore[call-arg]

    def test_kwargs_alone_do_not_count(self) -> None:
        """Nor does *session_id; the function comes back unchanged."""

        def keywords(**kwargs: Any) -> dict[str, Any]:
            return kwargs

        def positions(*session_id: Any) -> tuple[Any, ...]:
            return session_id

        def named(**session_id: Any) -> dict[str, Any]:
            return session_id

        for fn in (keywords, positions, named):
            assert fn is context.bind(fn)
        assert {} == context.bind(keywords)()

    def test_named_beside_kwargs(self) -> None:
        """A named parameter counts, whatever stands beside it; the caller's dict is not touched."""

        @context.bind
        def work(session_id: str | None = None, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
            return session_id, kwargs

        passed = {"a": 1}
        assert ("s", {"a": 1}) == work(**passed)  # type: ignore[arg-type]
        assert {"a": 1} == passed

    def test_a_local_variable_does_not_count(self) -> None:
        """The signature counts, not the code."""

        def work() -> str:
            session_id = "local".upper()
            return session_id.lower()

        assert work is context.bind(work)

    async def test_coroutine_function(self) -> None:
        """It stays one."""

        @context.bind
        async def work(a: int, *, session_id: str = "default") -> tuple[int, str]:
            await asyncio.sleep(0)
            return a, session_id

        assert inspect.iscoroutinefunction(work)
        assert (1, "s") == await work(1)
        assert (1, "x") == await work(1, session_id="x")

    def test_generator(self) -> None:
        """It stays one: send, throw, close and the return value pass through."""
        closed = []

        @context.bind
        def work(session_id: str = "default") -> Generator[str, str, str]:
            try:
                try:
                    sent = yield session_id
                except LookupError:
                    sent = yield "caught"
                return (yield sent)
            finally:
                closed.append(True)

        assert inspect.isgeneratorfunction(work)
        generator = work()
        assert "s" == next(generator)
        assert "caught" == generator.throw(LookupError())
        assert "sent" == generator.send("sent")
        with pytest.raises(StopIteration) as stop:
            generator.send("returned")
        assert "returned" == stop.value.value
        assert [True] == closed
        other = work(session_id="x")
        assert "x" == next(other)
        other.close()
        assert [True, True] == closed

    async def test_async_generator(self) -> None:
        """It stays one: iteration, asend and athrow pass through."""
        finished = []

        @context.bind
        async def work(session_id: str = "default") -> Any:
            try:
                try:
                    sent = yield session_id
                except LookupError:
                    sent = yield "caught"
                await asyncio.sleep(0)
                yield sent
            finally:
                finished.append(True)

        assert inspect.isasyncgenfunction(work)
        generator = work()
        assert "s" == await generator.asend(None)
        assert "caught" == await generator.athrow(LookupError())
        assert "sent" == await generator.asend("sent")
        with pytest.raises(StopAsyncIteration):
            await generator.asend(None)
        assert [True] == finished
        assert ["x", None] == [item async for item in work(session_id="x")]

    async def test_async_generator_is_closed(self) -> None:
        """aclose() runs the body's clean-up at once, awaits included."""
        closed = []

        @context.bind
        async def work(session_id: str = "default") -> AsyncIterator[str]:
            try:
                yield session_id
            finally:
                await asyncio.sleep(0)
                closed.append(session_id)

        generator = work()
        assert "s" == await generator.__anext__()
        await generator.aclose()  # type: ignore[attr-defined]
        assert ["s"] == closed

    async def test_async_generator_raises_through(self) -> None:
        """What the body raises, or does not catch, reaches the caller."""

        @context.bind
        async def work(session_id: str = "default") -> AsyncIterator[str]:
            yield session_id
            raise LookupError

        with pytest.raises(LookupError):
            assert ["never"] == [item async for item in work()]
        generator = work()
        await generator.__anext__()
        with pytest.raises(KeyError):
            await generator.athrow(KeyError())  # type: ignore[attr-defined]

    def test_methods(self) -> None:
        """Of instances, of classes and static ones, with bind below the decorator."""

        class Service:
            @context.bind
            def method(self, a: int, session_id: str = "default") -> tuple[Self, int, str]:
                return self, a, session_id

            @classmethod
            @context.bind
            def of_class(cls, session_id: str = "default") -> tuple[type[Self], str]:
                return cls, session_id

            @staticmethod
            @context.bind
            def static(session_id: str = "default") -> str:
                return session_id

        service = Service()
        assert (service, 1, "s") == service.method(1)
        assert (Service, "s") == Service.of_class() == service.of_class()
        assert "s" == Service.static() == service.static()

    def test_above_staticmethod(self) -> None:
        """A static method stays one, also where bind stands above it."""

        class Service:
            @context.bind
            @staticmethod
            def static(session_id: str = "default") -> str:
                return session_id

        assert "s" == Service.static()
        assert "s" == Service().static()

    def test_a_partial_and_a_callable_object(self) -> None:
        """Anything with a signature; what a partial fills in is given."""

        def work(a: int, session_id: str = "default") -> tuple[int, str]:
            return a, session_id

        class Callable:
            def __call__(self, session_id: str = "default") -> str:
                return session_id

        assert (1, "s") == context.bind(functools.partial(work, 1))()
        assert "s" == context.bind(Callable())()

    def test_twice_is_once(self) -> None:
        """Binding what is bound changes nothing."""

        def work(session_id: str = "default") -> str:
            return session_id

        twice = context.bind(context.bind(work))
        assert "s" == twice()
        assert "x" == twice("x")


class TestInject:
    """inject_trace_headers: what goes out."""

    def test_a_new_dict_with_trace_and_session(self, tracer: trace.Tracer) -> None:
        """One names the current span, the other the session."""
        with session("s"), tracer.start_as_current_span("call") as span:
            headers: dict[str, str] = inject_trace_headers()

        found = span.get_span_context()
        expected = f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}"
        assert {"traceparent": expected, "X-TraceCtrl-Session": "s"} == headers

    @pytest.mark.parametrize("before", [{}, {"Accept": "*/*"}])
    def test_the_given_mapping_comes_back(self, before: dict[str, str]) -> None:
        """The same object, also an empty one."""
        given = dict(before)
        with session("s"):
            returned = inject_trace_headers(given)

        assert returned is given
        assert {**before, "X-TraceCtrl-Session": "s"} == given

    def test_nothing_to_say(self) -> None:
        """Without a span and a session nothing is written."""
        assert {} == inject_trace_headers()

    def test_replaces_the_header_in_another_case(self, tracer: trace.Tracer) -> None:
        """A request that is passed on does not go out with two sessions or two parents."""
        headers = {"x-tracectrl-session": "old", "TRACEPARENT": "old", "X-Other": "kept"}
        with session("new"), tracer.start_as_current_span("call"):
            inject_trace_headers(headers)

        assert ["traceparent", "x-other", "x-tracectrl-session"] == sorted(map(str.lower, headers))
        assert "new" == headers["X-TraceCtrl-Session"]
        assert "old" != headers["traceparent"]

    def test_writes_what_the_global_propagator_adds(self) -> None:
        """Baggage, with the default propagators."""
        token = otel_context.attach(baggage.set_baggage("user", "u 1"))
        headers: dict[str, str] = inject_trace_headers()
        otel_context.detach(token)

        assert {"baggage": "user=u+1"} == headers

    def test_writes_traceparent_whatever_the_global_propagator(self, tracer: trace.Tracer) -> None:
        """The contract's two headers do not depend on OTEL_PROPAGATORS."""
        propagate.set_global_textmap(CompositePropagator([]))
        with session("s"), tracer.start_as_current_span("call"):
            headers: dict[str, str] = inject_trace_headers()

        assert ["X-TraceCtrl-Session", "traceparent"] == sorted(headers)

    def test_unsampled_spans_are_propagated(self) -> None:
        """Their IDs correlate all the same."""
        unsampled = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False).get_tracer("t")
        with unsampled.start_as_current_span("call") as span:
            headers: dict[str, str] = inject_trace_headers()

        assert f"{span.get_span_context().trace_id:032x}" in headers["traceparent"]

    @given(sid=st.text(min_size=1))
    def test_only_visible_ascii_reaches_a_header(self, sid: str) -> None:
        """No CR, LF, NUL, space or non-ASCII, whatever the ID."""
        with session(sid):
            headers: dict[str, str] = inject_trace_headers({})
        value = headers[SESSION_HEADER]

        assert all("!" <= char <= "~" for char in value)

    @pytest.mark.parametrize("sid", ["a\r\nSet-Cookie: x=1", "a\0b", "\n", "\r"])
    def test_no_header_is_smuggled(self, sid: str) -> None:
        """The attack comes out percent-encoded, and back as it was."""
        with session(sid):
            headers: dict[str, str] = inject_trace_headers({})
        value = headers[SESSION_HEADER]

        assert not {"\r", "\n", "\0"} & {*value}
        extract_trace_headers(headers)
        assert sid == current_session_id()

    @pytest.mark.parametrize(
        ("sid", "value"),
        [
            ("abc-123", "abc-123"),
            ("a%b", "a%25b"),
            ("a b", "a%20b"),
            ("é", "%C3%A9"),
            ("{}|~\"'<>/?#", "{}|~\"'<>/?#"),
        ],
    )
    def test_the_value(self, sid: str, value: str) -> None:
        """Visible ASCII travels as it is, except for the percent sign."""
        with session(sid):
            assert {SESSION_HEADER: value} == inject_trace_headers()


class CaseInsensitive(Mapping[str, str]):
    """A mapping as HTTP libraries have them."""

    def __init__(self, items: dict[str, str]) -> None:
        self._items = {name.lower(): value for name, value in items.items()}

    def __getitem__(self, name: str) -> str:
        return self._items[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)


class TestExtract:
    """extract_trace_headers: what comes in becomes current."""

    @pytest.mark.parametrize(
        "headers",
        [
            {"traceparent": TRACEPARENT, "X-TraceCtrl-Session": "s"},
            {"TraceParent": TRACEPARENT, "x-tracectrl-session": "s"},
            {"TRACEPARENT": TRACEPARENT, "X-TRACECTRL-SESSION": "s"},
            {b"traceparent": TRACEPARENT.encode(), b"X-TraceCtrl-Session": b"s"},
            {"traceparent": [TRACEPARENT], "X-TraceCtrl-Session": ["s"]},
            [(b"traceparent", TRACEPARENT.encode()), (b"x-tracectrl-session", b"s")],
            [("traceparent", TRACEPARENT), ("x-tracectrl-session", "s")],
            CaseInsensitive({"traceparent": TRACEPARENT, "X-TraceCtrl-Session": "s"}),
        ],
        ids=["canonical", "mixed", "upper", "bytes", "lists", "asgi", "pairs", "mapping"],
    )
    def test_any_mapping_and_any_case(self, headers: Any) -> None:
        """Both headers are read and made current; the OpenTelemetry context comes back."""
        returned = extract_trace_headers(headers)

        assert "s" == current_session_id()
        assert TRACE_ID == current_trace_id()
        assert returned == otel_context.get_current()
        remote = trace.get_current_span(returned).get_span_context()
        assert (SPAN_ID, True) == (f"{remote.span_id:016x}", remote.is_remote)

    def test_a_one_shot_iterable(self) -> None:
        """Pairs may come from a generator."""
        extract_trace_headers(pair for pair in [("X-TraceCtrl-Session", "s")])

        assert "s" == current_session_id()

    def test_the_headers_stay_as_they_are(self) -> None:
        """Reading changes nothing in them."""
        headers = {"traceparent": TRACEPARENT, "X-TraceCtrl-Session": "s"}
        extract_trace_headers(headers)

        assert {"traceparent": TRACEPARENT, "X-TraceCtrl-Session": "s"} == headers

    def test_spans_from_here_on_belong_to_the_caller(self, tracer: trace.Tracer) -> None:
        """The next local span is the remote one's child."""
        extract_trace_headers({"traceparent": TRACEPARENT})

        with tracer.start_as_current_span("server") as span:
            assert TRACE_ID == current_trace_id()
            assert SPAN_ID == f"{span.parent.span_id:016x}"  # type: ignore[attr-defined]

    @given(sid=st.text(min_size=1))
    def test_round_trip(self, sid: str) -> None:
        """Any text goes out and comes in again, through str and through bytes."""
        with session(sid):
            sent: dict[str, str] = inject_trace_headers({})
        with remote_session(sent):
            assert sid == current_session_id()
        with remote_session([(k.encode("ascii"), v.encode("ascii")) for k, v in sent.items()]):
            assert sid == current_session_id()

    @given(sid=st.text(st.characters(categories=["Cs"]) | st.characters(), min_size=1))
    def test_round_trip_of_lone_surrogates(self, sid: str) -> None:
        """What UTF-8 cannot hold comes in as U+FFFD: exporters choke on it, and anybody may send it."""
        with session(sid):
            sent: dict[str, str] = inject_trace_headers({})
        with remote_session(sent):
            received = current_session_id() or ""
        assert received == received.encode().decode()

    @pytest.mark.parametrize(
        ("value", "sid"),
        [("%41", "A"), ("%zz", "%zz"), ("100%", "100%"), ("%ff", "\ufffd"), ("  s\t", "s")],
    )
    def test_values_of_others(self, value: str, sid: str) -> None:
        """A value that this project would not have written is read as well as it can be."""
        extract_trace_headers({SESSION_HEADER: value})

        assert sid == current_session_id()

    @pytest.mark.parametrize("value", ["", "  ", "\t"])
    def test_an_empty_value_is_no_session(self, value: str) -> None:
        """Never an empty ID."""
        extract_trace_headers({SESSION_HEADER: value})

        assert current_session_id() is None

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "garbage",
            f"00-{'0' * 32}-{SPAN_ID}-01",
            f"00-{TRACE_ID}-{'0' * 16}-01",
            f"ff-{TRACE_ID}-{SPAN_ID}-01",
            f"00-{TRACE_ID}-{SPAN_ID}",
            f"00-{TRACE_ID.upper()}-{SPAN_ID}-01",
            "\0\r\n",
        ],
    )
    def test_a_malformed_traceparent_is_ignored(self, value: str) -> None:
        """The session still counts; no exception."""
        extract_trace_headers({"traceparent": value, SESSION_HEADER: "s"})

        assert current_trace_id() is None
        assert "s" == current_session_id()

    def test_a_repeated_session_header(self) -> None:
        """The first one that holds an ID counts."""
        extract_trace_headers(
            [(b"x-tracectrl-session", b""), (b"X-TraceCtrl-Session", b"a"), (SESSION_HEADER, "b")]
        )

        assert "a" == current_session_id()

    @pytest.mark.parametrize("headers", [None, 7, [1], ["abc"]])
    def test_no_headers_at_all(self, headers: Any) -> None:
        """A TypeError says what they should be."""
        with pytest.raises(TypeError, match="mapping"):
            extract_trace_headers(headers)

    def test_the_global_propagator_reads_too(self) -> None:
        """Baggage, with the default propagators."""
        extract_trace_headers({"Baggage": "user=u1"})

        assert {"user": "u1"} == dict(baggage.get_all())


class TestTheNextRequest:
    """What an earlier call made current and these headers do not carry is dropped."""

    def test_remote_parent_session_and_baggage(self) -> None:
        """A reused thread does not continue the previous request."""
        extract_trace_headers({"traceparent": TRACEPARENT, SESSION_HEADER: "a", "baggage": "k=v"})
        extract_trace_headers({})

        assert current_trace_id() is None
        assert current_session_id() is None
        assert {} == dict(baggage.get_all())
        assert {} == inject_trace_headers()

    def test_the_next_ones_count(self) -> None:
        """Other headers replace them."""
        other = "1" * 32
        extract_trace_headers({"traceparent": TRACEPARENT, SESSION_HEADER: "a", "baggage": "k=v"})
        extract_trace_headers({"traceparent": f"00-{other}-{SPAN_ID}-00", "baggage": "k2=v2"})

        assert other == current_trace_id()
        assert current_session_id() is None
        assert {"k2": "v2"} == dict(baggage.get_all())

    def test_with_the_propagator_installed(self) -> None:
        """Also where the global propagator put the session into the OpenTelemetry context."""
        propagate.set_global_textmap(CompositePropagator([SessionPropagator()]))
        extract_trace_headers({SESSION_HEADER: "a"})
        assert "a" == current_session_id()
        extract_trace_headers({})
        assert current_session_id() is None

    def test_a_session_set_since_stays(self) -> None:
        """It was set on purpose."""
        extract_trace_headers({SESSION_HEADER: "a"})
        set_session_id("mine")
        extract_trace_headers({})

        assert "mine" == current_session_id()

    def test_a_session_set_before_stays(self) -> None:
        """Headers without a session change nothing; with one they win."""
        with session("mine"):
            extract_trace_headers({"traceparent": TRACEPARENT})
            assert "mine" == current_session_id()
            extract_trace_headers({SESSION_HEADER: "theirs"})
            assert "theirs" == current_session_id()

    def test_a_session_that_a_server_extracted_stays(self) -> None:
        """What instrumentation put into the OpenTelemetry context is not ours to drop."""
        otel_context.attach(SessionPropagator().extract({SESSION_HEADER: "server"}))
        extract_trace_headers({})

        assert "server" == current_session_id()

    def test_local_baggage_stays(self) -> None:
        """Baggage that nobody extracted is not ours to drop."""
        otel_context.attach(baggage.set_baggage("local", "v"))
        extract_trace_headers({SESSION_HEADER: "a"})
        extract_trace_headers({})

        assert {"local": "v"} == dict(baggage.get_all())

    def test_a_local_span_stays(self, tracer: trace.Tracer) -> None:
        """Without a traceparent; with one the remote parent wins."""
        with tracer.start_as_current_span("local") as span:
            extract_trace_headers({SESSION_HEADER: "a"})
            assert span is trace.get_current_span()
            extract_trace_headers({"traceparent": "garbage"})
            assert span is trace.get_current_span()
            extract_trace_headers({"traceparent": TRACEPARENT})
            assert TRACE_ID == current_trace_id()

    def test_in_one_reused_thread(self) -> None:
        """Three requests, one thread: each has what its own headers say."""
        requests: list[dict[str, str]] = [
            {"traceparent": TRACEPARENT, SESSION_HEADER: "a"},
            {},
            {SESSION_HEADER: "c"},
        ]
        seen = []

        def serve() -> None:
            for headers in requests:
                extract_trace_headers(headers)
                seen.append((current_session_id(), current_trace_id()))

        thread = threading.Thread(target=serve)
        thread.start()
        thread.join()
        assert [("a", TRACE_ID), (None, None), ("c", None)] == seen


class TestRemoteSession:
    """remote_session: the same for one block."""

    def test_restores_both(self, tracer: trace.Tracer) -> None:
        """Session, span and baggage are what they were."""
        with session("local"), tracer.start_as_current_span("local") as span:
            headers = {"traceparent": TRACEPARENT, SESSION_HEADER: "a", "baggage": "k=v"}
            with remote_session(headers) as entered:
                assert entered == otel_context.get_current()
                assert ("a", TRACE_ID) == (current_session_id(), current_trace_id())
                assert {"k": "v"} == dict(baggage.get_all())
            assert "local" == current_session_id()
            assert span is trace.get_current_span()
            assert {} == dict(baggage.get_all())

    def test_restores_nothing_to_nothing(self) -> None:
        """After an error too."""
        with (
            pytest.raises(LookupError),
            remote_session({"traceparent": TRACEPARENT, SESSION_HEADER: "a"}),
        ):
            raise LookupError

        assert (None, None) == (current_session_id(), current_trace_id())

    def test_restores_an_extracted_session(self) -> None:
        """One that extract_trace_headers made current: it is still droppable afterwards."""
        extract_trace_headers({SESSION_HEADER: "a"})
        with remote_session({}):
            assert current_session_id() is None
        assert "a" == current_session_id()
        extract_trace_headers({})
        assert current_session_id() is None

    def test_nests_and_may_be_entered_again(self) -> None:
        """One object, several blocks."""
        scope = remote_session({SESSION_HEADER: "a"})
        with scope, remote_session({SESSION_HEADER: "b"}):
            with scope:
                assert "a" == current_session_id()
            assert "b" == current_session_id()
        assert current_session_id() is None

    def test_bad_headers_enter_nothing(self) -> None:
        """The TypeError leaves everything as it was."""
        with session("local"):
            with pytest.raises(TypeError), remote_session(None):  # type: ignore[arg-type]
                pass
            assert "local" == current_session_id()

    def test_closed_in_another_context(self, caplog: pytest.LogCaptureFixture) -> None:
        """Neither an exception nor OpenTelemetry's ERROR record."""

        def serve() -> Iterator[str]:
            with remote_session({"traceparent": TRACEPARENT, SESSION_HEADER: "a"}):
                yield context.get()

        generator = serve()
        assert "a" == contextvars.copy_context().run(next, generator)
        with session("closer"):
            generator.close()  # type: ignore[attr-defined]
            assert "closer" == current_session_id()
        assert [] == caplog.records


class TestTwoAgents:
    """The issue's example: agent A calls agent B."""

    @pytest.mark.parametrize(
        "sid", ["0f8fad5b-d9cb-469f-a165-70867728950e", "plain", "with space é"]
    )
    def test_b_shares_the_session_and_the_trace_of_a(self, sid: str, tracer: trace.Tracer) -> None:
        """As written: A sets the header itself as well, B sets the session from it."""
        seen = []

        def agent_b(headers: dict[str, str]) -> None:
            extract_trace_headers(headers)
            with tracer.start_as_current_span("b"):
                seen.append((current_session_id(), current_trace_id()))
            set_session_id(headers["X-TraceCtrl-Session"])
            with tracer.start_as_current_span("b"):
                seen.append((current_session_id(), current_trace_id()))

        with session(sid), tracer.start_as_current_span("a"):
            headers: dict[str, str] = inject_trace_headers()
            headers["X-TraceCtrl-Session"] = current_session_id() or ""
            thread = threading.Thread(target=agent_b, args=(headers,))
            thread.start()
            thread.join()
            assert [(sid, current_trace_id())] * 2 == seen

    def test_a_middleware_takes_the_header_or_mints(self) -> None:
        """The issue's middleware line."""
        seen = []
        for headers in ({"X-Session-Id": "s"}, {}):
            context.set(headers.get("X-Session-Id", str(uuid4())))
            seen.append(context.get())

        assert "s" == seen[0]
        assert 4 == UUID(seen[1]).version


@pytest.mark.parametrize("value", [None, 5, {"a": 1}, [None]])
def test_a_header_without_a_value(value: Any) -> None:
    """What is neither str nor bytes carries nothing: ``headers.get()`` may have answered None."""
    with remote_session({"X-TraceCtrl-Session": value}):
        assert current_session_id() is None


def test_inject_into_what_is_only_like_a_mapping() -> None:
    """Also into the standard library's messages, and in the place of a stale header there."""
    message = Message()
    message["x-tracectrl-session"] = "stale"
    with session("s1"):
        inject_trace_headers(message)  # type: ignore[call-overload]
    assert ["s1"] == message.get_all("X-TraceCtrl-Session")

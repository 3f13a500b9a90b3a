"""tracectrl.propagation: the session for every instrumented client and server."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage as otel_baggage
from opentelemetry import context as otel_context
from opentelemetry import propagate
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import Getter, Setter

from tracectrl.context import extract_trace_headers
from tracectrl.propagation import (
    SESSION_HEADER,
    SessionPropagator,
    decode_session_header,
    encode_session_header,
)
from tracectrl.session import SESSION_KEY, current_session_id, session

if TYPE_CHECKING:
    from collections.abc import Callable


class Pairs(Setter[list[tuple[str, str]]], Getter[list[tuple[str, str]]]):
    """A carrier that is no mapping, with names in lower case."""

    def set(self, carrier: list[tuple[str, str]], key: str, value: str) -> None:
        """Add a pair."""
        carrier.append((key, value))

    def get(self, carrier: list[tuple[str, str]], key: str) -> list[str] | None:
        """Return all values of one name."""
        return [value for name, value in carrier if name == key] or None

    def keys(self, carrier: list[tuple[str, str]]) -> list[str]:
        """Return all names."""
        return [name for name, _ in carrier]


class TestInject:
    """What the propagator writes."""

    def test_the_current_session(self) -> None:
        """Encoded, under the contract's header."""
        carrier: dict[str, str] = {}
        with session("é 1"):
            SessionPropagator().inject(carrier)

        assert {"X-TraceCtrl-Session": "%C3%A9%201"} == carrier

    def test_nothing_outside_a_session(self) -> None:
        """No header, with and without a context."""
        carrier: dict[str, str] = {}
        SessionPropagator().inject(carrier)
        SessionPropagator().inject(carrier, Context())

        assert {} == carrier

    def test_the_session_of_the_given_context(self) -> None:
        """Where none is current."""
        carrier: dict[str, str] = {}
        SessionPropagator().inject(carrier, Context({SESSION_KEY: "given"}))

        assert {SESSION_HEADER: "given"} == carrier

    def test_with_a_setter(self) -> None:
        """Any carrier that has one."""
        carrier: list[tuple[str, str]] = []
        with session("s"):
            SessionPropagator().inject(carrier, setter=Pairs())

        assert [(SESSION_HEADER, "s")] == carrier


class TestExtract:
    """What the propagator reads."""

    @pytest.mark.parametrize("name", ["X-TraceCtrl-Session", "x-tracectrl-session"])
    def test_into_the_returned_context_alone(self, name: str) -> None:
        """Making it current is the caller's part; then it is the session."""
        extracted = SessionPropagator().extract({name: "s"})

        assert current_session_id() is None
        token = otel_context.attach(extracted)
        assert "s" == current_session_id()
        with session("local"):
            assert "local" == current_session_id()
        otel_context.detach(token)

    def test_keeps_what_the_context_holds(self) -> None:
        """The context comes back with the session added; the given one is not changed."""
        before = Context({"key": "value"})
        after = SessionPropagator().extract({SESSION_HEADER: "s"}, before)

        assert {"key": "value", SESSION_KEY: "s"} == dict(after)
        assert {"key": "value"} == dict(before)

    @pytest.mark.parametrize("carrier", [{}, {SESSION_HEADER: ""}, {SESSION_HEADER: []}])
    def test_nothing_to_read(self, carrier: dict[str, Any]) -> None:
        """The context comes back as it was; a new one where none was given."""
        before = Context({"key": "value"})

        assert before is SessionPropagator().extract(carrier, before)
        assert {} == SessionPropagator().extract(carrier)

    def test_with_a_getter(self) -> None:
        """Any carrier that has one; the first ID counts."""
        carrier = [("x-tracectrl-session", ""), ("x-tracectrl-session", "a")]
        extracted = SessionPropagator().extract([*carrier, (carrier[0][0], "b")], getter=Pairs())

        assert "a" == extracted[SESSION_KEY]


class TestBaggage:
    """The session as W3C baggage, too: for services that hand on nothing else."""

    @given(st.text(min_size=1, max_size=60).filter(lambda sid: sid == sid.strip()))
    def test_there_and_back(self, sid: str) -> None:
        """Where a service between drops the header; baggage keeps no white space at the ends."""
        propagator = SessionPropagator(baggage=True)
        carrier: dict[str, str] = {}
        with session(sid):
            propagator.inject(carrier)
        del carrier[SESSION_HEADER]

        assert ["baggage"] == list(carrier)
        assert carrier["baggage"].isascii()
        assert carrier["baggage"].isprintable()
        assert sid == propagator.extract(carrier)[SESSION_KEY]

    def test_beside_other_baggage(self) -> None:
        """It is added to what the baggage propagator writes; read, it is no baggage of the user's."""
        both = CompositePropagator([W3CBaggagePropagator(), SessionPropagator(baggage=True)])
        carrier: dict[str, str] = {}
        with session("s"):
            both.inject(carrier, otel_baggage.set_baggage("key", "value"))

        assert {SESSION_HEADER: "s", "baggage": "key=value,session.id=s"} == carrier
        assert {SESSION_HEADER, "baggage"} == SessionPropagator(baggage=True).fields

    def test_the_header_of_our_own_counts(self) -> None:
        """Where they differ."""
        carrier = {SESSION_HEADER: "ours", "baggage": "session.id=theirs"}

        assert "ours" == SessionPropagator(baggage=True).extract(carrier)[SESSION_KEY]
        assert {} == SessionPropagator().extract({"baggage": "session.id=theirs"})
        assert {} == SessionPropagator(baggage=True).extract({"baggage": "session.id=,;=%%"})

    def test_by_the_headers_of_a_request(self) -> None:
        """As any extracted session: current, and dropped by the next headers."""
        propagate.set_global_textmap(SessionPropagator(baggage=True))
        extract_trace_headers({"baggage": "session.id=first"})
        found = [current_session_id()]
        extract_trace_headers({})

        assert ["first", None] == [*found, current_session_id()]

    @pytest.mark.parametrize(("value", "expected"), [("true", 2), ("1", 2), ("no", 1), ("", 1)])
    def test_by_environment_variable(
        self, value: str, expected: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """For the entry point, which takes no arguments; an argument goes first."""
        monkeypatch.setenv("TRACECTRL_BAGGAGE", value)

        assert expected == len(SessionPropagator().fields)
        assert 1 == len(SessionPropagator(baggage=False).fields)


class TestRegistration:
    """The entry point."""

    def test_is_named_tracectrl(self) -> None:
        """OpenTelemetry finds the propagator by name."""
        (found,) = entry_points(group="opentelemetry_propagator", name="tracectrl")

        assert SessionPropagator is found.load()
        assert {SESSION_HEADER} == SessionPropagator().fields

    def test_by_environment_variable(self, run_python: Callable[..., str]) -> None:
        """OTEL_PROPAGATORS carries the session through the global propagator, both ways."""
        source = (
            "from opentelemetry import context, propagate\n"
            "from tracectrl.session import current_session_id, session\n"
            "carrier = {}\n"
            "with session('s'):\n"
            "    propagate.inject(carrier)\n"
            "context.attach(propagate.extract(carrier))\n"
            "print(carrier, current_session_id())\n"
        )
        out = run_python(source, OTEL_PROPAGATORS="tracecontext,baggage,tracectrl")

        assert "{'X-TraceCtrl-Session': 's'} s\n" == out


class TestEncoding:
    """The header's value."""

    @given(sid=st.text(min_size=1))
    def test_round_trip(self, sid: str) -> None:
        """Any text survives, as visible ASCII."""
        value = encode_session_header(sid)

        assert sid == decode_session_header(value)
        assert value.isascii()
        assert value.isprintable()
        assert " " not in value

    @given(value=st.text())
    def test_decodes_anything(self, value: str) -> None:
        """Whatever the header holds, the answer is an ID or None."""
        sid = decode_session_header(value)

        assert sid is None or sid

"""tracectrl.middleware.inbound: what a request may say about its session."""

from __future__ import annotations

import logging
import uuid
from typing import Any

import pytest

from tracectrl.middleware.inbound import Inbound, Verdict

OURS, THEIRS = "x-tracectrl-session", "x-session-id"


def inbound(**options: Any) -> Inbound:
    """Return an Inbound with the middlewares' defaults but for *options*."""
    defaults: dict[str, Any] = {
        "headers": ("X-TraceCtrl-Session", "X-Session-Id"),
        "policy": "replace",
        "trust_inbound": True,
        "is_valid": None,
        "max_length": 128,
    }
    return Inbound(**{**defaults, **options})


def is_minted(verdict: Verdict) -> bool:
    """Tell whether the session of *verdict* is a new one."""
    return str(uuid.UUID(verdict.sid)) == verdict.sid


class TestInbound:
    """Which session a request gets."""

    @pytest.mark.parametrize(
        ("headers", "sid"),
        [
            ({OURS: ["a"]}, "a"),
            ({THEIRS: ["b"]}, "b"),
            ({THEIRS: ["b"], OURS: ["a"]}, "a"),
            ({OURS: ["", " \t"], THEIRS: ["b"]}, "b"),
            ({OURS: ["", "second"]}, "second"),
            ({OURS: ["first", "second"]}, "first"),
            ({OURS: ["s%C3%A9"]}, "s\u00e9"),
            ({THEIRS: ["50%25"]}, "50%25"),
            ({OURS: ["x" * 128]}, "x" * 128),
            ({OURS: ["../../x"]}, "../../x"),
        ],
    )
    def test_the_first_header_that_names_one(self, headers: Any, sid: str) -> None:
        """In the order of the option; only our own header is percent-encoded."""
        assert Verdict(sid) == inbound()(headers)

    @pytest.mark.parametrize("headers", [{}, {OURS: []}, {OURS: [""]}, {THEIRS: [" "]}])
    def test_none_is_named(self, headers: Any) -> None:
        """A new session, without a word."""
        verdict = inbound()(headers)

        assert is_minted(verdict)
        assert (None, None) == (verdict.refusal, verdict.replaced)

    def test_the_environment_names_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A server that was started in a session mints that one, as ``new_session()`` does."""
        monkeypatch.setenv("TRACECTRL_SESSION_ID", "mine")

        assert Verdict("mine") == inbound()({})

    def test_the_environment_names_that_of_a_whole_program(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Beneath ``tracectrl-logs run`` each request has a session of its own."""
        monkeypatch.setenv("TRACECTRL_SESSION_ID", "mine")
        monkeypatch.setenv("TRACECTRL_CAPTURE", "")

        assert 3 == len({"mine", inbound()({}).sid, inbound()({}).sid})

    FLAWS = (
        ("x" * 129, "it is longer than 128 characters"),
        ("s\u00e9", "it holds characters that are not visible ASCII"),
        ("a b", "it holds characters that are not visible ASCII"),
        ("a\x00b", "it holds characters that are not visible ASCII"),
        ("a%0Ab", "it holds control characters"),
        ("a%7Fb", "it holds control characters"),
    )

    @pytest.mark.parametrize(("value", "why"), FLAWS)
    def test_replace(self, value: str, why: str, caplog: pytest.LogCaptureFixture) -> None:
        """A new session, and one warning that does not repeat the value."""
        verdict = inbound(policy="replace")({OURS: [value]})
        assert is_minted(verdict)
        assert (None, why) == (verdict.refusal, verdict.replaced)

        with caplog.at_level(logging.WARNING):
            verdict.tell()

        assert [f"replaced the session ID of a request: {why}"] == caplog.messages

    @pytest.mark.parametrize(("value", "why"), FLAWS)
    def test_reject(self, value: str, why: str, caplog: pytest.LogCaptureFixture) -> None:
        """The reason, for the answer; and a session, for what is logged of it."""
        verdict = inbound(policy="reject")({OURS: [value]})
        verdict.tell()

        assert is_minted(verdict)
        assert (why, None) == (verdict.refusal, verdict.replaced)
        assert [] == caplog.messages

    @pytest.mark.parametrize(
        ("value", "sid"), [("x" * 9999, "x" * 9999), ("a%0Ab", "a\nb"), ("s\u00e9", "s\u00e9")]
    )
    def test_accept(self, value: str, sid: str) -> None:
        """No checks, the user's own included."""
        assert Verdict(sid) == inbound(policy="accept", is_valid=lambda _: False)({OURS: [value]})

    def test_not_trusted(self) -> None:
        """What the headers say does not count, and nobody is told."""
        verdict = inbound(trust_inbound=False, policy="reject")({OURS: ["a"]})

        assert is_minted(verdict)
        assert (None, None) == (verdict.refusal, verdict.replaced)

    def test_own_check(self) -> None:
        """It is asked last, with the decoded ID."""
        asked: list[str] = []

        def is_valid(sid: str) -> bool:
            asked.append(sid)
            return sid == "s\u00e9"

        check = inbound(is_valid=is_valid, policy="reject")

        assert Verdict("s\u00e9") == check({OURS: ["s%C3%A9"]})
        assert "it is not valid here" == check({OURS: ["other"]}).refusal
        check({OURS: ["x" * 200]})
        assert ["s\u00e9", "other"] == asked

    @pytest.mark.parametrize(
        ("headers", "sid"),
        [
            ({"thread_id": ["t"]}, "t"),
            ({"thread_id": ["t"], OURS: ["a"]}, "a"),
            ({"baggage": ["user=1,gen_ai.conversation.id=c%201,thread_id=t"]}, "c%201"),
            ({"baggage": ["thread_id=t"], "thread_id": [" "]}, "t"),
            ({"thread_id": ["t"], "baggage": ["gen_ai.conversation.id=c"]}, "t"),
        ],
    )
    def test_aliases(self, headers: Any, sid: str) -> None:
        """Behind the headers, a name of others' is looked for among headers, then in baggage."""
        check = inbound(aliases=["gen_ai.conversation.id", "thread_id"], policy="accept")

        assert sid.replace("%20", " ") == check(headers).sid

    def test_an_alias_is_checked_like_a_header(self) -> None:
        """What baggage calls the session may come from anybody."""
        check = inbound(aliases=["thread_id"], policy="reject")

        refusal = "it is longer than 128 characters"
        assert refusal == check({"baggage": [f"thread_id={'x' * 129}"]}).refusal
        assert "thread_id" not in check({"thread_id": ["a\u0000b"]}).sid
        assert is_minted(inbound()({"baggage": ["thread_id=t"], "thread_id": ["t"]}))

    def test_further_out(self) -> None:
        """What the middleware has decided before is not decided again."""
        assert Verdict("first") == inbound(policy="reject")({OURS: ["x" * 200]}, "first")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"policy": "drop"}, "policy must be 'replace', 'reject' or 'accept', got 'drop'"),
        ({"max_length": 0}, "max_length must be at least 1, got 0"),
        ({"headers": "X-Id"}, "headers must be a list of names, got the str 'X-Id'"),
        ({"aliases": "thread_id"}, "aliases must be a list of names, got the str 'thread_id'"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    """The error names the option, what it may be and what it was."""
    with pytest.raises(ValueError, match=f"^{message}$"):
        inbound(**options)

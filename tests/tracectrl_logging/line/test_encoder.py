"""tracectrl_logging.line.encoder: in one pass, and to the byte what the general way gives."""

from __future__ import annotations

import datetime as dt
import json
import logging
import math
import threading
import time
import types
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracectrl._json import encode_line
from tracectrl.files import log_path
from tracectrl.schema import LOG_KEYS, STAMP_KEYS
from tracectrl.session import session
from tracectrl_logging import SessionContextFilter, SessionFileHandler, add_session_context
from tracectrl_logging.line import encoder as module
from tracectrl_logging.line.encoder import Encoder
from tracectrl_logging.line.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from opentelemetry import trace

texts = st.one_of(st.text(max_size=8), st.sampled_from(["\ud800", "a\x00b", '"\\\n', ""]))
values = st.recursive(
    st.one_of(
        texts,
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.binary(max_size=4),
        st.sampled_from([2**63, 2**64, -(2**63) - 1, math.nan, dt.date(2026, 1, 1), {1}]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
names = st.one_of(
    st.sampled_from([*LOG_KEYS, "color_message", "_private", "extra_level", "tool", "attempt"]),
    st.text(min_size=1, max_size=5),
)
extras = st.dictionaries(names, values, max_size=4)
redactions: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.sampled_from([["tool"], ["TOOL", "attempt"], lambda key, value: "t" in key or value == 1]),
)
sids = st.one_of(st.none(), st.text(min_size=1, max_size=6), st.just("\udfff"))

# What a record may hold by itself is refused as an extra by logging.
own = {*vars(logging.makeLogRecord({})), "message", "asctime"}


def general(rows: Rows, fn: Callable[[], dict[str, Any]]) -> tuple[str, bytes]:
    """Return the line that the general way gives."""
    del rows
    row = fn()
    return row["session_id"], encode_line(row)


class TestRecords:
    """Whatever is on a record."""

    @given(
        message=texts,
        fields=extras,
        sid=sids,
        is_in_span=st.booleans(),
        is_stamped=st.booleans(),
        service=st.one_of(st.none(), texts.filter(bool)),
        redact=redactions,
        later=st.lists(values, min_size=4, max_size=4),
        created=st.one_of(
            st.floats(-4e9, 4e9),
            st.sampled_from([-1.0, 1e18, -1e18, math.nan, math.inf, -62135596800.0]),
        ),
    )
    def test_both_ways(
        self,
        message: str,
        fields: dict[str, Any],
        sid: str | None,
        is_in_span: bool,  # noqa: FBT001
        is_stamped: bool,  # noqa: FBT001
        service: str | None,
        redact: Any,
        later: list[Any],
        created: float,
    ) -> None:
        """One line, to the byte, whoever is asked."""
        encoder = Encoder(service_name=service, redact=redact)
        rows = Rows(service_name=service, redact=redact)
        record = logging.LogRecord("n", logging.INFO, "p", 1, message, (), None)
        record.created = created
        record.__dict__.update((key, value) for key, value in fields.items() if key not in own)
        with in_session(sid), in_span(is_in_span):
            if is_stamped:
                SessionContextFilter().filter(record)
            expected = general(rows, lambda: rows.of_record(record))

            assert expected == encoder.record(record)
            assert expected == encoder.record(record)  # by what is kept now

            record.__dict__.update(zip(fields.keys() - own, later, strict=False))
            assert general(rows, lambda: rows.of_record(record)) == encoder.record(record)

    @pytest.mark.parametrize("extra", [{}, {"tool": "search", "attempt": 3}])
    def test_a_plain_one_goes_one_way(
        self, extra: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tracer: trace.Tracer
    ) -> None:
        """Else the speed would be gone, and nobody would see it."""
        monkeypatch.setattr(module, "encode_line", None)
        encoder = Encoder(redact=["password"])
        encoder.rows = mock.NonCallableMock(spec=())
        record = logging.getLogger("n").makeRecord(
            "n", logging.INFO, "p", 1, "user %s", ("ann",), None, "fn", extra
        )
        with session("s"), tracer.start_as_current_span("span"):
            sid, line = encoder.record(record)
            assert "s" == sid
            assert line.startswith(b'{"timestamp":"')
            SessionContextFilter().filter(record)
            monkeypatch.setattr(encoder, "_redact", mock.NonCallableMock(spec=()))
            assert (sid, line) == encoder.record(record)
            logging.Formatter("%(asctime)s %(message)s").format(record)
            assert (sid, line) == encoder.record(record)

    def test_an_attribute_that_was_taken_away(self) -> None:
        """Then the extras begin further in front: the general way finds them."""
        record = logging.makeLogRecord({"msg": "m", "first": 1, "second": 2})
        for name in ("msecs", "processName"):
            delattr(record, name)
        rows = Rows()

        assert general(rows, lambda: rows.of_record(record)) == Encoder().record(record)
        assert b'"first":1,"second":2}' in Encoder().record(record)[1]

    def test_arguments_that_do_not_fit(self) -> None:
        """As ``getMessage()`` raises."""
        record = logging.LogRecord("n", logging.INFO, "p", 1, "%d", ("x",), None)

        with pytest.raises(TypeError):
            Encoder().record(record)

    def test_a_record_class_of_the_users_own(self) -> None:
        """With a message of its own making."""

        class Braces(logging.LogRecord):
            def getMessage(self) -> str:  # noqa: N802 - logging's name
                return str(self.msg).format(*self.args or ())

        record = Braces("n", logging.INFO, "p", 1, "{0}!", ("x",), None)

        assert b'"message":"x!"' in Encoder().record(record)[1]

    @pytest.mark.parametrize("name", [("_", "x"), 1, None, "", "_"])
    def test_an_odd_name(self, name: Any) -> None:
        """It is an extra, or none, as elsewhere."""
        record = logging.makeLogRecord({"msg": "m", name: 1})
        rows = Rows()

        assert general(rows, lambda: rows.of_record(record)) == Encoder().record(record)

    def test_levels_that_are_equal(self) -> None:
        """And are no text: each is written as what it is."""
        encoder = Encoder()
        for level, text in ((True, b"true"), (1, b"1"), (1.0, b"1.0")):
            record = logging.makeLogRecord({"msg": "m", "levelname": level})

            assert b'"level":' + text + b"," in encoder.record(record)[1]

    def test_many_loggers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is kept is bounded."""
        monkeypatch.setattr(module, "_MAX_KEPT", 4)
        encoder = Encoder()
        for number in range(10):
            record = logging.makeLogRecord({"name": f"n{number}", "msg": "m"})
            assert f'"logger":"n{number}"'.encode() in encoder.record(record)[1]

        assert len(encoder._heads) <= 4


class TestLater:
    """What a line is made of, kept until a writer's thread makes it."""

    def test_the_same_line(self, tracer: trace.Tracer) -> None:
        """Wherever that thread is: it is in nobody's session."""
        encoder = Encoder(service_name="shop")
        record = logging.makeLogRecord({"msg": "user %s", "args": ("ann",), "attempt": 3})
        with session("s"), tracer.start_as_current_span("span"):
            expected = encoder.record(record)
            parts = encoder.parts(record, lasting=True)
        record.attempt, record.levelname = 4, "coloured"

        assert parts is not None
        assert expected == encoder.line(parts)

    @pytest.mark.parametrize("value", [[1], {"a": 1}, (1,), {1}, object()])
    def test_a_value_that_may_change(self, value: object) -> None:
        """Is encoded before it does."""
        assert (
            Encoder().parts(logging.makeLogRecord({"msg": "m", "x": value}), lasting=True) is None
        )

    def test_redaction(self, root: Path) -> None:
        """Runs the user's code on the thread that logs, and before the value may change."""
        asked: list[tuple[object, int]] = []

        def is_secret(key: str, value: object) -> bool:
            asked.append((value, threading.get_ident()))
            return key == "token"

        handler = SessionFileHandler(root, background=True, redact=[is_secret])
        handler.handle(logging.makeLogRecord({"msg": "m", "token": "t", "x": 1}))
        assert {("t", threading.get_ident()), (1, threading.get_ident())} == set(asked)
        secret = logging.makeLogRecord({"msg": "m", "x": "secret"})
        for redact in (["x"], [is_secret]):
            assert Encoder(redact=redact).parts(secret, lasting=True) is None

        handler.close()
        (line,) = log_path("unknown", root).read_text(encoding="utf-8").splitlines()
        assert ("[redacted]", 1) == (json.loads(line)["token"], json.loads(line)["x"])

    def test_a_value_that_the_encoder_refuses(self) -> None:
        """Costs no line later, either."""
        encoder = Encoder()
        record = logging.makeLogRecord({"msg": "m", "big": 2**70, "text": "\ud800"})
        parts = encoder.parts(record, lasting=True)

        assert parts is not None
        assert encoder.record(record) == encoder.line(parts)

    def test_made_anew(self) -> None:
        """The record for ``handleError`` says what the first one did."""
        record = logging.makeLogRecord(
            {"name": "n", "levelname": "INFO", "msg": "%d", "args": (1,), "x": 2}
        )
        with session("s"):
            parts = Encoder().parts(record, lasting=True)
        assert parts is not None
        again = module.made_anew(parts)

        assert ("n", "INFO", logging.INFO, "1", record.created) == (
            again.name,
            again.levelname,
            again.levelno,
            again.getMessage(),
            again.created,
        )
        assert {"x": 2, "session_id": "s"}.items() <= vars(again).items()


class TestEvents:
    """Whatever is in an event of structlog's."""

    @given(
        event=st.one_of(texts, values),
        fields=extras,
        sid=sids,
        is_in_span=st.booleans(),
        is_stamped=st.booleans(),
        method=st.sampled_from(["info", "msg", "warn", "exception", "notice"]),
        name=st.one_of(st.none(), texts),
        redact=redactions,
    )
    def test_both_ways(
        self,
        event: Any,
        fields: dict[str, Any],
        sid: str | None,
        is_in_span: bool,  # noqa: FBT001
        is_stamped: bool,  # noqa: FBT001
        method: str,
        name: str | None,
        redact: Any,
    ) -> None:
        """One line, to the byte, whoever is asked."""
        encoder, rows = Encoder(redact=redact), Rows(redact=redact)
        logger = types.SimpleNamespace() if name is None else types.SimpleNamespace(name=name)
        fields = {"event": event, **fields}
        with (
            in_session(sid),
            in_span(is_in_span),
            mock.patch.object(time, "time", return_value=1e9),
        ):
            if is_stamped:
                add_session_context(None, method, fields)
            for _ in range(2):
                expected = general(rows, lambda: rows.of_event(logger, method, dict(fields)))

                assert expected == encoder.event(logger, method, dict(fields))

    @pytest.mark.parametrize("is_stamped", [False, True])
    def test_a_plain_one_goes_one_way(
        self,
        is_stamped: bool,  # noqa: FBT001
        monkeypatch: pytest.MonkeyPatch,
        tracer: trace.Tracer,
    ) -> None:
        """Stamped by the processor or not."""
        monkeypatch.setattr(module, "encode_line", None)
        encoder = Encoder()
        encoder.rows = mock.NonCallableMock(spec=())
        event = {"event": "user", "tool": "search"}
        with session("s"), tracer.start_as_current_span("span"):
            if is_stamped:
                add_session_context(None, "info", event)
            sid, line = encoder.event(None, "info", event)

        assert "s" == sid
        assert line.endswith(b'"tool":"search"}\n')
        assert all(f'"{key}":'.encode() in line for key in STAMP_KEYS)


def in_session(sid: str | None) -> Any:
    """Return the context manager of *sid*, or one that does nothing."""
    return mock.MagicMock() if sid is None else session(sid)


def in_span(is_in_span: bool) -> Any:  # noqa: FBT001
    """Return the context manager of a span, or one that does nothing."""
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - the fixture's, for a strategy

    if not is_in_span:
        return mock.MagicMock()
    return TracerProvider(shutdown_on_exit=False).get_tracer("t").start_as_current_span("span")

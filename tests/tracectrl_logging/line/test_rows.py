"""A log line, whichever way it was logged: contract 6."""

from __future__ import annotations

import builtins
import dataclasses
import logging
import re
import sys
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import hypothesis
import orjson
import pytest
import structlog
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

import tracectrl_logging
from tracectrl import context
from tracectrl.session import session

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Row = dict[str, Any]
    World = Callable[..., Row]
    InOrder = Callable[[Row], bool]

TRACE_ID = 0x0AF7651916CD43DD8448EB211C80319C
SPAN_ID = 0x00F067AA0BA902B7


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    """Return *error* as somebody caught it."""
    try:
        raise error from cause  # noqa: TRY301 - to be caught
    except BaseException as caught:  # noqa: BLE001 - any
        return caught


class Unprintable(Exception):  # noqa: N818 - its name is not the point
    """Cannot say what it is."""

    def __str__(self) -> str:
        """Fail."""
        raise RuntimeError


class BadRepr:
    """Cannot be shown."""

    def __repr__(self) -> str:
        """Fail."""
        raise ValueError


@dataclasses.dataclass
class Point:
    """A value that the encoder knows."""

    x: object
    y: object


# --- the keys -------------------------------------------------------------------------------------


def test_least(world: World) -> None:
    """Outside a session and a span a line has five keys, in order; the session is "unknown"."""
    row = world("hello")
    assert ["timestamp", "level", "logger", "message", "session_id"] == list(row)
    assert ["INFO", "app", "hello", "unknown"] == list(row.values())[1:]


def test_most(
    make_world: Callable[[], World],
    monkeypatch: pytest.MonkeyPatch,
    tracer: trace.Tracer,
    in_contract_order: InOrder,
) -> None:
    """A line with every key has them in the contract's order, then the extras in theirs."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    world = make_world()
    with session("s1"), tracer.start_as_current_span("work"):
        row = world("hello", zeta=1, alpha=[2], exc_info=raised(ValueError("x")), stack_info=True)
    assert [
        *("timestamp", "level", "logger", "message", "session_id"),
        *("trace_id", "span_id", "trace_flags", "service", "exception", "stack", "zeta", "alpha"),
    ] == list(row)
    assert in_contract_order(row)
    assert (1, [2], "s1", "shop") == (row["zeta"], row["alpha"], row["session_id"], row["service"])


def test_timestamp(world: World) -> None:
    """The timestamp is RFC 3339: now, in UTC, with microseconds and a Z."""
    before = datetime.now(timezone.utc)
    row = world("hello")
    after = datetime.now(timezone.utc)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", row["timestamp"])
    at = datetime.fromisoformat(row["timestamp"].replace("Z", "+00:00"))
    slack = timedelta(milliseconds=20)  # the clocks of time.time() and datetime may differ
    assert before - slack <= at <= after + slack


@pytest.mark.parametrize(
    ("method", "level"),
    [
        ("debug", "DEBUG"),
        ("info", "INFO"),
        ("warning", "WARNING"),
        ("error", "ERROR"),
        ("critical", "CRITICAL"),
    ],
)
def test_level(world: World, method: str, level: str) -> None:
    """The level is the name that logging knows, in capitals."""
    assert level == world("hello", method=method)["level"]


def test_custom_level(logger: logging.Logger, lines: Callable[..., list[Row]]) -> None:
    """A custom level goes by its own name, a nameless one by the one logging makes."""
    logging.addLevelName(25, "NOTICE")
    logger.log(25, "hello")
    logger.log(26, "hello")
    assert ["NOTICE", "Level 26"] == [row["level"] for row in lines()]
    assert [12, 12] == [row["severity_number"] for row in lines()]


def test_renamed_level(logger: logging.Logger, lines: Callable[..., list[Row]]) -> None:
    """A standard level that was renamed, or coloured, is still that level."""
    logging.addLevelName(logging.ERROR, "\x1b[31mERROR\x1b[0m")
    try:
        logger.error("broken")
        logger.error("broken", exc_info=ValueError("x"))
        logger.error({"message": "broken"})
    finally:
        logging.addLevelName(logging.ERROR, "ERROR")
    assert [("ERROR", False)] * 3 == [(it["level"], "severity_number" in it) for it in lines()]


def test_ranks(world: World) -> None:
    """A level that is none of the five names is followed by the number of its severity."""
    row = world("hello", method="error")
    assert "severity_number" not in row
    assert ["timestamp", "level", "logger"] == list(row)[:3]


@pytest.mark.parametrize("way", ["parts", "row"])
def test_custom_levels_in_order(
    way: str, logger: logging.Logger, lines: Callable[..., list[Row]]
) -> None:
    """The number stands behind the level, whichever way the line is made."""
    logging.addLevelName(45, "AUDIT")
    logger.log(45, "who", exc_info=ValueError("x") if way == "row" else None)
    (row,) = lines()
    assert ["timestamp", "level", "severity_number", "logger", "message"] == list(row)[:5]
    assert ("AUDIT", 20) == (row["level"], row["severity_number"])


def test_message_with_arguments(world: World) -> None:
    """Positional arguments are filled in."""
    assert "2 of 3: ünï" == world("%d of %d: %s", 2, 3, "ünï")["message"]


def test_percent_signs_without_arguments(world: World) -> None:
    """Without arguments a percent sign is a percent sign."""
    assert "100 % %d %s" == world("100 % %d %s")["message"]


def test_message_is_no_line_break(world: World) -> None:
    """A line break in a message is no line break in the file."""
    assert "a\nb\r\n\u2028c" == world("a\nb\r\n\u2028c")["message"]


def test_message_of_ten_megabytes(world: World) -> None:
    """A message of 10 MB is one line, and whole."""
    text = "0123456789" * 1_000_000
    assert text == world(text)["message"]


def test_lone_surrogates(world: World) -> None:
    """What UTF-8 cannot hold is spelt out, in messages, keys and values."""
    row = world("a\ud800b", **{"k\udfff": "v\udc00"})
    assert "a\\ud800b" == row["message"]
    assert "v\\udc00" == row["k\\udfff"]


def test_session_id_with_lone_surrogate(world: World) -> None:
    """A session ID is kept exactly: its file is found by it."""
    with session("a\ud800b"):
        assert "a\ud800b" == world("hello")["session_id"]


def test_extras(world: World) -> None:
    """Extras keep their names, values and order."""
    extras = {"b": 1, "a": None, "list": [1, {"x": "y"}], "ünï": True, "float": 0.5, "event_": "e"}
    row = world("hello", **extras)
    assert extras == {key: row[key] for key in extras}
    assert list(extras) == list(row)[5:]


async def test_no_task_name(world: World) -> None:
    """Inside a task, a record's taskName is no extra."""
    assert 5 == len(world("hello"))


def test_uvicorn_color_message(logger: logging.Logger, lines: Callable[..., list[Row]]) -> None:
    """The coloured copy of the message that uvicorn adds is left out."""
    logger.info("Started %s", "it", extra={"color_message": "Started \x1b[36m%s\x1b[0m", "x": 1})
    assert [("Started it", ["x"])] == [(row["message"], list(row)[5:]) for row in lines()]


# --- collisions -----------------------------------------------------------------------------------


def test_collisions(world: World) -> None:
    """An extra that is called like a key is kept as extra_NAME; the key is the line's own."""
    extras = {
        "level": "gold",
        "timestamp": "yesterday",
        "logger": 7,
        "service": "billing",
        "exception": 5,
        "stack": 6,
    }
    row = world("hello", **extras)
    assert {f"extra_{key}": value for key, value in extras.items()} == {
        key: row[key] for key in list(row)[5:]
    }
    assert ("INFO", "app") == (row["level"], row["logger"])


@pytest.mark.parametrize(
    "extras",
    [
        {"level": "gold", "extra_level": "silver"},
        {"extra_level": "silver", "level": "gold"},
        {"extra_level": "silver", "level": "gold", "extra_extra_level": "bronze"},
    ],
    ids=["key first", "key last", "three"],
)
def test_chained_collisions(world: World, extras: Row) -> None:
    """Where extra_NAME is taken, too, neither value is lost."""
    row = world("hello", **extras)
    kept = {key: value for key, value in row.items() if key.startswith("extra_")}
    assert sorted(extras.values()) == sorted(kept.values())
    assert "silver" == row["extra_level"]


def test_what_is_no_trace_id_is_an_extra(world: World) -> None:
    """A key of the span that holds something else is kept, beside the real IDs."""
    row = world("hello", trace_id="abc", span_id=7, trace_flags="sampled")
    assert {"extra_trace_id": "abc", "extra_span_id": 7, "extra_trace_flags": "sampled"} == {
        key: row[key] for key in list(row)[5:]
    }


def test_what_is_no_trace_id_is_an_extra_within_a_span(world: World, tracer: trace.Tracer) -> None:
    """A trace ID that is none does not displace the one of the span."""
    with tracer.start_as_current_span("work") as span:
        row = world("hello", trace_id="0" * 32)
    assert f"{span.get_span_context().trace_id:032x}" == row["trace_id"]
    assert "0" * 32 == row["extra_trace_id"]


@pytest.mark.parametrize("key", ["trace_flags", "span_id", "trace_id"])
def test_one_wrong_id_alone(world: World, key: str) -> None:
    """Each of the keys of the span, alone and wrong, is kept as an extra."""
    row = world("hello", **{key: 7})
    assert {f"extra_{key}": 7} == {name: row[name] for name in list(row)[5:]}


def test_given_ids_win(world: World, tracer: trace.Tracer) -> None:
    """A session and a span that the caller gives win over the present ones."""
    ids = {"trace_id": f"{TRACE_ID:032x}", "span_id": f"{SPAN_ID:016x}", "trace_flags": "01"}
    with session("ambient"), tracer.start_as_current_span("work"):
        row = world("hello", session_id="given", **ids)
    assert {"session_id": "given", **ids} == {key: row[key] for key in list(row)[4:]}


@pytest.mark.parametrize("given", [7, ("a", 1), BadRepr()], ids=["int", "tuple", "bad repr"])
def test_given_session_id_of_another_type(world: World, given: object) -> None:
    """A session ID is a string in the line, whatever was given."""
    assert isinstance(world("hello", session_id=given)["session_id"], str)


@pytest.mark.parametrize("given", [None, ""])
def test_given_no_session(world: World, given: str | None) -> None:
    """None, or nothing, as the session is no session, even inside one."""
    with session("ambient"):
        assert "unknown" == world("hello", session_id=given)["session_id"]


# --- the stamp ------------------------------------------------------------------------------------


def test_session_id(world: World) -> None:
    """The session is the current one."""
    with session("s1"):
        assert "s1" == world("hello")["session_id"]
    context.set("s2")
    assert "s2" == world("hello")["session_id"]


def test_span(world: World, tracer: trace.Tracer) -> None:
    """Inside a span its IDs are in the line; outside there are none."""
    with tracer.start_as_current_span("work") as span:
        row = world("hello")
    ids = span.get_span_context()
    assert [f"{ids.trace_id:032x}", f"{ids.span_id:016x}", f"{ids.trace_flags:02x}"] == [
        row["trace_id"],
        row["span_id"],
        row["trace_flags"],
    ]
    assert "trace_id" not in world("hello")


def test_unsampled_span(world: World) -> None:
    """A span that is not sampled correlates like any other."""
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    with provider.get_tracer("tests").start_as_current_span("work") as span:
        row = world("hello")
    assert not span.is_recording()
    ids = span.get_span_context()
    assert (f"{ids.trace_id:032x}", f"{ids.span_id:016x}") == (row["trace_id"], row["span_id"])
    assert 0 == int(row["trace_flags"], 16) & 1


def test_remote_span(world: World) -> None:
    """A remote parent's IDs are in the line, leading zeros included."""
    context.extract_trace_headers({"traceparent": f"00-{TRACE_ID:032x}-{SPAN_ID:016x}-00"})
    row = world("hello")
    assert [f"{TRACE_ID:032x}", f"{SPAN_ID:016x}", "00"] == [
        row["trace_id"],
        row["span_id"],
        row["trace_flags"],
    ]


def test_trace_flags_as_they_are(world: World) -> None:
    """The flags are what the span context says, bits that nobody knows yet included."""
    remote = SpanContext(TRACE_ID, SPAN_ID, is_remote=True, trace_flags=TraceFlags(0x83))
    with trace.use_span(NonRecordingSpan(remote)):
        assert "83" == world("hello")["trace_flags"]


@pytest.mark.parametrize(("trace_id", "span_id"), [(0, 0), (TRACE_ID, 0), (0, SPAN_ID)])
def test_invalid_span(world: World, trace_id: int, span_id: int) -> None:
    """An invalid span leaves no IDs, never zeros."""
    with trace.use_span(NonRecordingSpan(SpanContext(trace_id, span_id, is_remote=False))):
        assert 5 == len(world("hello"))


# --- the service ----------------------------------------------------------------------------------


def test_service_from_the_resource(
    monkeypatch: pytest.MonkeyPatch, make_world: Callable[[], World]
) -> None:
    """OTEL_RESOURCE_ATTRIBUTES names the service, percent-decoded."""
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "a=b,service.name=my%20shop,c=d")
    assert "my shop" == make_world()("hello")["service"]


# --- exceptions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["true", "exception", "tuple", "method"])
def test_exc_info(world: World, form: str) -> None:
    """Whatever the form of exc_info, the exception is in the line."""
    try:
        raise raised(KeyError("näh"))
    except KeyError as error:
        if form == "method":
            row = world("hello", method="exception")
        else:
            exc_info = {
                "true": True,
                "exception": error,
                "tuple": (KeyError, error, error.__traceback__),
            }[form]
            row = world("hello", method="error", exc_info=exc_info)
    assert ("ERROR", "hello") == (row["level"], row["message"])
    assert ["type", "message", "stacktrace"] == list(row["exception"])
    assert ("KeyError", "'näh'") == (row["exception"]["type"], row["exception"]["message"])
    rows = row["exception"]["stacktrace"].split("\n")
    assert "Traceback (most recent call last):" == rows[0]
    assert "KeyError: 'näh'" == rows[-1]


@pytest.mark.parametrize("exc_info", [(None, None, None), None, False, True])
def test_no_exception(world: World, exc_info: object) -> None:
    """Without an exception there is no key for it."""
    assert 5 == len(world("hello", exc_info=exc_info))


def test_exception_type_is_qualified(world: World) -> None:
    """The type says its module, as OpenTelemetry's exception.type does."""
    row = world("hello", exc_info=raised(Unprintable()))
    assert f"{__name__}.Unprintable" == row["exception"]["type"]


def test_unprintable_exception(world: World) -> None:
    """An exception whose __str__ raises is marked, and its traceback is there."""
    row = world("hello", exc_info=raised(Unprintable()))
    assert "<Unprintable: str() raised RuntimeError>" == row["exception"]["message"]
    assert "Traceback" in row["exception"]["stacktrace"]


def test_cause(world: World) -> None:
    """The stack trace holds the cause, too; type and message are the exception's own."""
    row = world("hello", exc_info=raised(ValueError("outer"), raised(KeyError("inner"))))
    assert ("ValueError", "outer") == (row["exception"]["type"], row["exception"]["message"])
    assert "KeyError: 'inner'" in row["exception"]["stacktrace"]
    assert "direct cause" in row["exception"]["stacktrace"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups came with Python 3.11")
def test_exception_group(world: World) -> None:
    """The stack trace of a group holds its members."""
    group = builtins.ExceptionGroup(  # type: ignore[attr-defined]
        "two", [ValueError("first"), KeyError("second")]
    )
    row = world("hello", exc_info=raised(group))
    assert "ExceptionGroup" == row["exception"]["type"]
    assert "two (2 sub-exceptions)" == row["exception"]["message"]
    assert "ValueError: first" in row["exception"]["stacktrace"]
    assert "KeyError: 'second'" in row["exception"]["stacktrace"]


def test_stack(world: World) -> None:
    """stack_info=True puts the stack into the line."""
    row = world("hello", stack_info=True)
    assert ["stack"] == list(row)[5:]
    assert "Stack (most recent call last):" == row["stack"].split("\n")[0]
    assert "test_stack" in row["stack"]


def test_exc_text_alone(logger: logging.Logger, lines: Callable[..., list[Row]]) -> None:
    """A record that brings its traceback as text (from another process) has the exception."""
    text = 'Traceback (most recent call last):\n  File "x.py", line 1, in f\na.b.Error: it: broke'
    fields = {"name": "app", "levelno": 40, "levelname": "ERROR", "msg": "hello", "exc_text": text}
    logger.handle(logging.makeLogRecord(fields))
    assert {"type": "a.b.Error", "message": "it: broke", "stacktrace": text} == lines()[0][
        "exception"
    ]


def test_another_handlers_cached_text(
    logger: logging.Logger, lines: Callable[..., list[Row]]
) -> None:
    """What another handler caches on the record (exc_text, message, asctime) changes nothing."""
    before = logging.Handler()
    before.emit = logging.Formatter("%(asctime)s %(message)s").format  # type: ignore[assignment]
    logger.handlers.insert(0, before)
    logger.info("hello", exc_info=(None, None, None))
    logger.info("hello")
    assert [5, 5] == [len(row) for row in lines()]


# --- dict messages --------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["message", "event"])
def test_dict_message(logger: logging.Logger, lines: Callable[..., list[Row]], key: str) -> None:
    """A dict's message or event is the message, its other keys are extras; it stays as it is."""
    given = {"user": "u1", key: "hello", "level": "gold", 1: "one"}
    logger.info(given, extra={"x": 1})
    (row,) = lines()
    assert "hello" == row["message"]
    assert {"user": "u1", "extra_level": "gold", "1": "one", "x": 1} == {
        name: row[name] for name in list(row)[5:]
    }
    assert ["user", key, "level", 1] == list(given)


def test_dict_message_with_both(logger: logging.Logger, lines: Callable[..., list[Row]]) -> None:
    """Beside a message, an event is an extra; without either the message is empty."""
    logger.info({"event": "e", "message": "m"})
    logger.info({"message": ["no", "text"]})
    logger.info({"a": 1})
    assert [("m", ["event"]), ("['no', 'text']", []), ("", ["a"])] == [
        (row["message"], list(row)[5:]) for row in lines()
    ]


def test_dict_message_with_exc_info(
    logger: logging.Logger, lines: Callable[..., list[Row]]
) -> None:
    """A dict may bring its exception, and the call's exc_info counts as well."""
    logger.info({"message": "a", "exc_info": raised(ValueError("one"))})
    logger.info({"message": "b"}, exc_info=raised(ValueError("two")), stack_info=True)
    one, two = lines()
    assert ("one", "two") == (one["exception"]["message"], two["exception"]["message"])
    assert ["exception"] == list(one)[5:]
    assert ["exception", "stack"] == list(two)[5:]


# --- JSON as the message --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message", "extras"),
    [
        ('{"event": "packed", "parcels": 3}', "packed", {"parcels": 3}),
        ('{"message": "packed", "event": "e"}', "packed", {"event": "e"}),
        ('{\n "msg": "packed", "big": 123456789012345678901234567890\n}', "packed", {"big": None}),
        ('{"parcels": 3}', '{"parcels": 3}', {"parcels": 3}),
        ('{"event": "e", "level": "info", "logger": "app"}', "e", {}),
        ('{"event": "e", "level": "gold"}', "e", {"extra_level": "gold"}),
        ('{"message": "m", "levelname": "INFO", "name": "app"}', "m", {}),
        (
            '{"event": "e", "timestamp": "2026-01-01T00:00:00.000000Z"}',
            "e",
            {"extra_timestamp": "2026-01-01T00:00:00.000000Z"},
        ),
        ('{"event": "e", "timestamp": 1700000000}', "e", {"extra_timestamp": 1700000000}),
        ('{"event": "e", "session_id": "other"}', "e", {"extra_session_id": "other"}),
        ("{}", "{}", {}),
        ("{not json}", "{not json}", {}),
        ('[{"event": "e"}]', '[{"event": "e"}]', {}),
    ],
)
def test_json_message(
    logger: logging.Logger,
    lines: Callable[..., list[Row]],
    text: str,
    message: str,
    extras: Row,
) -> None:
    """The keys of a JSON object that is the message are the line's; an ID in it decides nothing."""
    if "big" in extras:
        extras = {"big": str(123456789012345678901234567890)}
    logger.info(text)
    logger.info("%s", text)
    with session("s1"):
        logger.info(text)
    for row in (*lines(), *lines("s1")):
        assert (message, extras) == (row["message"], {key: row[key] for key in list(row)[5:]})


def test_json_message_with_exception(
    logger: logging.Logger, lines: Callable[..., list[Row]]
) -> None:
    """The exception that structlog or python-json-logger rendered within is the line's."""
    text = 'Traceback (most recent call last):\n  File "x.py", line 1, in f\nKeyError: 1'
    logger.error(orjson.dumps({"event": "a", "exception": text, "stack": "Stack:"}).decode())
    logger.error(orjson.dumps({"message": "b", "exc_info": text}).decode())
    logger.error('{"event": "c", "exception": "x"}', exc_info=raised(ValueError("own")))
    assert ["KeyError", "KeyError", "ValueError"] == [r["exception"]["type"] for r in lines()]
    assert ["Stack:", None, None] == [row.get("stack") for row in lines()]
    assert [[], [], ["extra_exception"]] == [
        [key for key in row if key.startswith("extra_")] for row in lines()
    ]


@pytest.mark.parametrize("form", ["iso", None])
def test_time_of_the_call_in_a_json_message(
    logger: logging.Logger, lines: Callable[..., list[Row]], form: str | None
) -> None:
    """The time that TimeStamper put there is that of the line, and no second one."""
    event = structlog.processors.TimeStamper(fmt=form)(None, "info", {"event": "e"})
    logger.info(orjson.dumps(event).decode())
    assert [("e", [])] == [(row["message"], list(row)[5:]) for row in lines()]


def test_json_as_the_text_of_an_event(world: World) -> None:
    """It becomes the same line from logging and from structlog."""
    row = world('{"event": "packed", "parcels": 3}', by="me")
    assert ("packed", 3, "me") == (row["message"], row["parcels"], row["by"])


def test_structlog_rendered_within(logger: logging.Logger, lines: Callable[..., list[Row]]) -> None:
    """An event that structlog rendered as JSON before logging has its fields in the line."""
    structlog.configure(
        processors=[structlog.stdlib.add_log_level, structlog.processors.JSONRenderer()],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    structlog.get_logger("app").warning("packed", parcels=3)
    assert [("packed", "WARNING", 3)] == [
        (row["message"], row["level"], row["parcels"]) for row in lines()
    ]
    del logger


def test_json_message_with_secrets(root: Path, lines: Callable[..., list[Row]]) -> None:
    """Secrets in a JSON message are left out, whether it names a message or not."""
    handler = tracectrl_logging.SessionFileHandler(root, redact=["card"])
    for text in ('{"event": "paid", "card": "4111"}', '{"card": "4111", "x": 1}'):
        handler.handle(logging.makeLogRecord({"msg": text}))
    handler.close()
    assert ["[redacted]"] * 2 == [row["card"] for row in lines()]
    assert "4111" not in str(lines())


# --- whatever is logged ---------------------------------------------------------------------------


def test_message_that_cannot_be_shown(world: Any) -> None:
    """A message that has no text is marked; the line is there."""
    if world.name == "stdlib, ProcessorFormatter":
        pytest.skip("structlog's formatter asks the record for its text first")
    assert "<BadRepr: repr() raised ValueError>" == world(BadRepr())["message"]
    assert "<int: repr() raised ValueError>" == world(10**5000)["message"]


def test_values_that_have_no_json(world: World) -> None:
    """What JSON cannot hold is replaced by its repr or a marker; the rest stays."""
    cyclic: Row = {"a": 1}
    cyclic["self"] = cyclic
    row = world(
        "hello",
        nan=float("nan"),
        inf=[float("inf"), -float("inf")],
        some={1},
        data=b"\xff",
        keys={(1, 2): "t", None: "n", 1: "i", "1": "s"},
        cyclic=cyclic,
        big=10**100,
        huge=10**5000,
        bad=BadRepr(),
        point=Point(1, {2}),
        at=datetime(2024, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
    )
    assert (None, [None, None], "{1}", "b'\\xff'") == (
        row["nan"],
        row["inf"],
        row["some"],
        row["data"],
    )
    assert {"(1, 2)": "t", "null": "n", "1": "i", "1_": "s"} == row["keys"]
    assert {"a": 1, "self": "<dict: contains itself>"} == row["cyclic"]
    assert (str(10**100), "<int: repr() raised ValueError>") == (row["big"], row["huge"])
    assert "<BadRepr: repr() raised ValueError>" == row["bad"]
    assert {"x": 1, "y": "{2}"} == row["point"]
    assert "2024-01-02T03:04:05+00:00" == row["at"]


def test_deep_nesting(world: World) -> None:
    """100,000 levels are cut off with a marker, or marked as a whole; the line is there."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert ["deep", "after"] == list(world("hello", deep=deep, after=1))[5:]
    while deep:  # freed level by level: the interpreter's own recursion ends earlier
        deep = deep.pop()


def _has_text(value: object) -> bool:
    try:
        str(value)
    except Exception:  # noqa: BLE001 - see BadRepr
        return False
    return True


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**63, -(2**63) - 1, 10**100, -(10**100)]),
    st.just(5000).map(lambda digits: 10**digits),  # which hypothesis, too, cannot show
    st.floats(),
    st.text(st.characters(codec=None), max_size=20),
    st.sampled_from(["\ud800", "a\udfffb", "\x00\x1b[31m", "\u2028", "\u202e", '"\\']),
    st.binary(max_size=8),
    st.datetimes(timezones=st.none() | st.just(timezone.utc)),
    st.dates(),
    st.timedeltas(),
    st.uuids(),
    st.decimals(),
    st.complex_numbers(),
    st.builds(BadRepr),
    st.just(BadRepr),
    st.frozensets(st.integers(), max_size=3),
)
KEYS = st.one_of(
    st.text(st.characters(codec=None), max_size=8),
    st.sampled_from(["message", "level", "event", "a", "1", "\ud800", "\\ud800"]),
    st.integers(),
    st.floats(),
    st.none(),
    st.booleans(),
    st.tuples(st.integers(), st.text(max_size=3)),
    st.binary(max_size=4),
    st.builds(BadRepr),
)


def _cyclic(value: Any) -> Any:
    if isinstance(value, list):
        value.append(value)
    elif isinstance(value, dict):
        value["self"] = [value]
    return value


VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(KEYS, inner, max_size=4),
        st.builds(Point, inner, inner),
        st.lists(inner, max_size=3).map(_cyclic),
        st.dictionaries(KEYS, inner, max_size=3).map(_cyclic),
    ),
    max_leaves=12,
)
# What the caller's own function signature takes already.
TAKEN = {"event", "args", "method", "self", "exc_info", "stack_info", "session_id"}
NAMES = st.text(st.characters(codec=None), min_size=1, max_size=8).filter(
    lambda name: (
        name not in TAKEN
        and not name.startswith("_")
        and name not in vars(logging.makeLogRecord({"message": 1, "asctime": 1, "taskName": 1}))
    )
)
SEVERAL = hypothesis.settings(
    max_examples=40,
    suppress_health_check=[
        hypothesis.HealthCheck.function_scoped_fixture,  # lines are told apart by their place
        hypothesis.HealthCheck.too_slow,
        hypothesis.HealthCheck.data_too_large,
    ],
)


@SEVERAL
@hypothesis.given(extras=st.dictionaries(NAMES, VALUES, max_size=4), text=st.text(max_size=20))
def test_any_extras(world: World, in_contract_order: InOrder, extras: Row, text: str) -> None:
    """Whatever the extras, the line is there, in strict JSON, the keys in order, none missing."""
    row = world(text, **extras)
    assert in_contract_order(row)
    assert text == row["message"]
    assert len(extras) == len(row) - 5
    assert row == orjson.loads(orjson.dumps(row))


@SEVERAL
@hypothesis.given(value=VALUES)
def test_any_message(world: Any, in_contract_order: InOrder, value: Any) -> None:
    """Whatever the message is, a dict for one, the line is there."""
    if world.name == "stdlib, ProcessorFormatter" and not _has_text(value):
        return  # structlog's formatter asks the record for its text first
    row = world(value)
    assert in_contract_order(row)
    assert isinstance(row["message"], str)
    assert orjson.loads(orjson.dumps(row)) == row


@SEVERAL
@hypothesis.given(value=VALUES.filter(lambda value: not isinstance(value, dict)))
def test_any_argument(world: World, in_contract_order: InOrder, value: Any) -> None:
    """An argument that has a text is in the message; one that has none is logging's own error."""
    if not _has_text(value):
        return
    row = world("<%s>", value)
    assert in_contract_order(row)
    assert f"<{value}>".encode("utf-8", "backslashreplace").decode() == row["message"]


def test_hostile_timezone(root: Path, run_python: Callable[..., str]) -> None:
    """A datetime whose tzinfo raises does not end the process (the encoder trusts it)."""
    assert "1\n" == run_python(
        f"""
import datetime, logging
from tracectrl_logging import SessionFileHandler
class Zone(datetime.tzinfo):
    def utcoffset(self, at):
        raise ValueError
logger = logging.getLogger("app")
logger.addHandler(SessionFileHandler({str(root)!r}))
logger.error("hello", extra={{"at": datetime.datetime(2024, 1, 1, tzinfo=Zone())}})
print(sum(1 for _ in open({str(root / "unknown.logs.jsonl")!r})))
"""
    )


def test_container_that_changes_while_it_is_encoded(
    root: Path, run_python: Callable[..., str]
) -> None:
    """A dict or list that a __repr__ inside it (or a thread meanwhile) empties is no crash."""
    assert "2\n" == run_python(
        f"""
import logging
from tracectrl_logging import SessionFileHandler
class Emptying:
    def __init__(self, inside):
        self.inside = inside
    def __repr__(self):
        self.inside.clear()
        return "Emptying"
logger = logging.getLogger("app")
logger.addHandler(SessionFileHandler({str(root)!r}))
some = []
some += [Emptying(some) for _ in range(100)]
logger.error("hello", extra={{"some": some}})
named = {{}}
named.update((str(number), Emptying(named)) for number in range(100))
logger.error("hello", extra={{"named": named}})
print(sum(1 for _ in open({str(root / "unknown.logs.jsonl")!r})))
"""
    )


# --- what the application masks -------------------------------------------------------------------

CARD = "4111111111111111"


class Masked(str):
    """A text that does not show itself."""

    __slots__ = ()

    def __str__(self) -> str:
        return "****"


class MaskingRecord(logging.LogRecord):
    """A record whose text is masked."""

    def getMessage(self) -> str:  # noqa: N802 - logging's
        """Return the text without the card's number."""
        return super().getMessage().replace(CARD, "****")


class MaskedAttribute(logging.LogRecord):
    """A record that masks what is read off it."""

    @property
    def msg(self) -> str:
        """The message without the card's number."""
        return self.__dict__["_msg"].replace(CARD, "****")  # type: ignore[no-any-return]

    @msg.setter
    def msg(self, value: str) -> None:
        self.__dict__["_msg"] = value


@pytest.mark.parametrize(
    ("message", "args"),
    [
        (f"card {CARD}", ()),
        ("card %s", (CARD,)),
        ("%d %d", (CARD,)),
        ([CARD], ()),
        ({"message": "paid", "card": CARD}, ()),
        (f'{{"message": "paid", "card": "{CARD}"}}', ()),
    ],
    ids=["text", "argument", "wrong arguments", "list", "dict", "json"],
)
@pytest.mark.parametrize("way", ["class", "patch", "instance"])
@pytest.mark.parametrize("background", [False, True], ids=["at once", "background"])
def test_own_text_of_a_record(
    root: Path,
    lines: Callable[..., list[Row]],
    monkeypatch: pytest.MonkeyPatch,
    message: Any,
    args: tuple[Any, ...],
    way: str,
    background: bool,  # noqa: FBT001
) -> None:
    """What ``getMessage`` masks, of a class, patched or of one record, is in no line."""
    kind: Any = MaskingRecord if way == "class" else logging.LogRecord
    record = kind("shop", logging.INFO, "shop.py", 1, message, args, None)
    if way == "patch":
        given = logging.LogRecord.getMessage
        monkeypatch.setattr(
            logging.LogRecord, "getMessage", lambda self: given(self).replace(CARD, "****")
        )
    masking = tracectrl_logging.SessionFileHandler(root, background=background)
    monkeypatch.setattr(masking, "handleError", lambda _: None)
    if way == "instance":
        plain = record.getMessage
        record.getMessage = lambda: plain().replace(CARD, "****")
    masking.handle(record)
    masking.close()
    (row,) = lines()
    assert CARD not in str(row)
    assert "getMessage" not in row


def test_message_that_is_no_plain_text(world: World) -> None:
    """A text with a ``__str__`` of its own is what that says, as in every other handler."""
    assert "****" == world(Masked(CARD))["message"]


def test_record_whose_message_is_a_property(root: Path, lines: Callable[..., list[Row]]) -> None:
    """The handler and the filter read the message as logging does, wherever the record keeps it."""
    record = MaskedAttribute("shop", logging.INFO, "shop.py", 1, f"card {CARD}", (), None)
    handler = tracectrl_logging.SessionFileHandler(root)
    handler.addFilter(tracectrl_logging.SessionContextFilter())
    handler.handle(record)
    handler.close()
    assert ["card ****"] == [row["message"] for row in lines()]
    assert 0 == handler.lost

"""The python-json-logger formatter, and that library's own behind our filter."""

from __future__ import annotations

import json
import logging
import sys
from typing import TYPE_CHECKING, Any

import pytest
from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from tracectrl.session import session
from tracectrl_logging import SessionContextFilter, SessionFileHandler, SessionJsonFormatter

if TYPE_CHECKING:
    from collections.abc import Callable

    Row = dict[str, Any]

FIVE = ["timestamp", "level", "logger", "message", "session_id"]


def record_of(msg: object = "hello", *args: object, **fields: object) -> logging.LogRecord:
    """Return a record of the logger ``app`` with *fields*, as ``extra=`` sets them."""
    record = logging.LogRecord("app", logging.INFO, "app.py", 7, msg, args, None, "run")
    record.__dict__.update(fields)
    return record


def formatted(record: logging.LogRecord, *args: Any, **options: Any) -> Row:
    """Return what a formatter made with *args* and *options* makes of *record*."""
    text = SessionJsonFormatter(*args, **options).format(record)
    assert "\n" not in text
    row: Row = json.loads(text)
    return row


def raised(error: BaseException) -> tuple[Any, ...]:
    """Return the ``exc_info`` of *error* as somebody caught it."""
    try:
        raise error  # noqa: TRY301 - to be caught
    except BaseException:  # noqa: BLE001 - any
        return sys.exc_info()


def test_line() -> None:
    """Without options it is the contract's line."""
    with session("s1"):
        row = formatted(record_of("hello %d", 1, x=2))
    assert [*FIVE, "x"] == list(row)
    assert ["INFO", "app", "hello 1", "s1", 2] == list(row.values())[1:]


def test_record_stays_as_it_is() -> None:
    """Formatting changes nothing on the record: other handlers see it, too."""
    record = record_of({"message": "hello", "x": 1}, exc_info=raised(ValueError("x")))
    before = dict(record.__dict__)
    SessionJsonFormatter(rename_fields={"message": "m"}, static_fields={"a": 1}).format(record)
    assert before == record.__dict__


def test_rename_fields() -> None:
    """``rename_fields`` speaks of the contract's names, and of extras; the order stays."""
    row = formatted(
        record_of(x=1), rename_fields={"level": "severity", "message": "msg", "x": "y", "no": "n"}
    )
    assert ["timestamp", "severity", "logger", "msg", "session_id", "y"] == list(row)


def test_rename_fields_keep_missing() -> None:
    """``rename_fields_keep_missing`` adds what is missing, as null."""
    row = formatted(
        record_of(),
        rename_fields={"trace_id": "trace", "level": "severity"},
        rename_fields_keep_missing=True,
    )
    assert [None, "INFO"] == [row["trace"], row["severity"]]


def test_static_fields_and_defaults() -> None:
    """``defaults`` and ``static_fields`` come after the contract's keys, in that order."""
    row = formatted(
        record_of(x=1), static_fields={"env": "prod", "b": 2}, defaults={"a": 1, "b": 1}
    )
    assert FIVE == list(row)[:5]
    assert {"a": 1, "b": 2, "env": "prod", "x": 1} == {key: row[key] for key in list(row)[5:]}
    assert ("env", "x") == tuple(key for key in row if key in ("env", "x"))


def test_extra_over_default() -> None:
    """An extra wins over a default of the same name."""
    assert 2 == formatted(record_of(tenant=2), defaults={"tenant": 1})["tenant"]
    assert 1 == formatted(record_of(), defaults={"tenant": 1})["tenant"]


def test_static_field_with_a_contract_name() -> None:
    """A static field that is called like a key does not displace it, nor is it lost."""
    row = formatted(record_of(), static_fields={"level": "x", "service": "s"})
    assert "INFO" == row["level"]
    assert "x" == row["extra_level"]
    assert "s" in (row.get("service"), row.get("extra_service"))


def test_exc_info_as_array() -> None:
    """``exc_info_as_array`` makes the stack trace a list of lines."""
    record = record_of(exc_info=raised(ValueError("x")))
    plain = formatted(record)["exception"]
    listed = formatted(record, exc_info_as_array=True)["exception"]
    assert plain["stacktrace"].split("\n") == listed["stacktrace"]
    assert ["type", "message", "stacktrace"] == list(listed)
    assert "exception" not in formatted(record_of(), exc_info_as_array=True)


def test_stack_info_as_array() -> None:
    """``stack_info_as_array`` makes the stack a list of lines."""
    record = record_of(stack_info="Stack:\n  here")
    assert "Stack:\n  here" == formatted(record)["stack"]
    assert ["Stack:", "  here"] == formatted(record, stack_info_as_array=True)["stack"]


def test_prefix() -> None:
    """``prefix`` goes before the line."""
    text = SessionJsonFormatter(prefix="@cee: ").format(record_of())
    assert "hello" == json.loads(text.removeprefix("@cee: "))["message"]


@pytest.mark.parametrize("timestamp", [False, True])
def test_timestamp(timestamp: bool) -> None:  # noqa: FBT001
    """The timestamp is there in any case, once."""
    assert FIVE == list(formatted(record_of(), timestamp=timestamp))


def test_timestamp_under_another_name() -> None:
    """A name for the timestamp adds it under that name."""
    row = formatted(record_of(), timestamp="@timestamp")
    assert row["timestamp"] == row["@timestamp"]


@pytest.mark.parametrize(
    ("fmt", "style"),
    [
        ("%(asctime)s %(levelname)s %(name)s %(message)s %(funcName)s:%(lineno)d", "%"),
        ("{asctime} {levelname} {name} {message} {funcName}:{lineno}", "{"),
        ("${asctime} ${levelname} ${name} ${message} ${funcName}:${lineno}", "$"),
        ("asctime,levelname, name,message,funcName,lineno", ","),
        (["asctime", "levelname", "name", "message", "funcName", "lineno"], "%"),
    ],
    ids=["%", "{", "$", ",", "sequence"],
)
def test_styles(fmt: Any, style: str) -> None:
    """A format in each style adds what the line does not say under the contract's name."""
    row = formatted(record_of(x=1), fmt, style=style)
    assert [*FIVE, "funcName", "lineno", "x"] == list(row)
    assert ("run", 7) == (row["funcName"], row["lineno"])


def test_unknown_style() -> None:
    """A style that does not exist is python-json-logger's error."""
    with pytest.raises(ValueError, match="Style"):
        SessionJsonFormatter("%(message)s", style="!")


def test_field_that_the_record_lacks() -> None:
    """A field that the format names and the record lacks is null, as in that library."""
    assert None is formatted(record_of(), "%(message)s %(tenant)s")["tenant"]


def test_stamp_keys_in_the_format() -> None:
    """A format that names the contract's keys adds nothing."""
    assert FIVE == list(formatted(record_of(), "%(timestamp)s %(session_id)s %(trace_id)s"))


def test_datefmt() -> None:
    """``datefmt`` is for an asctime beside the timestamp."""
    row = formatted(record_of(), "%(asctime)s %(message)s", "%Y")
    assert row["timestamp"][:4] == row["asctime"]
    assert FIVE == list(formatted(record_of(), "%(message)s", "%Y"))


def test_reserved_attrs() -> None:
    """``reserved_attrs`` hides extras, and shows the record's attributes that it does not name."""
    shown = formatted(record_of(secret=1, x=2), reserved_attrs=[*RESERVED_ATTRS, "secret"])
    assert [*FIVE, "x"] == list(shown)
    attrs = [name for name in RESERVED_ATTRS if name not in ("lineno", "levelname")]
    assert [*FIVE, "lineno"] == list(formatted(record_of(), reserved_attrs=attrs))


def test_json_default() -> None:
    """``json_default`` says what stands for a value; where it raises, its repr does."""

    def default(value: object) -> object:
        if isinstance(value, set):
            return sorted(value)
        raise TypeError

    row = formatted(record_of(x={2, 1}, y=object), json_default=default)
    assert ([1, 2], "<class 'object'>") == (row["x"], row["y"])


def test_dict_message() -> None:
    """A dict as message gives message and extras."""
    row = formatted(record_of({"message": "hello", "a": 1, "level": 2}, x=3))
    assert ["hello", 1, 2, 3] == [row[key] for key in ("message", "a", "extra_level", "x")]


def test_service_and_redact() -> None:
    """The options of the handler hold here, too."""
    row = formatted(record_of(password="p"), service_name="shop", redact=["password"])  # noqa: S106
    assert [*FIVE, "service", "password"] == list(row)
    assert ("shop", "[redacted]") == (row["service"], row["password"])


def test_hooks() -> None:
    """Subclasses add to the fields and change them, as that library documents."""

    class Mine(SessionJsonFormatter):
        def add_fields(self, log_data: Row, record: logging.LogRecord, message_dict: Row) -> None:
            super().add_fields(log_data, record, message_dict)
            log_data["line"] = record.lineno

        def process_log_record(self, log_data: Row) -> Row:
            log_data["level"] = log_data["level"].lower()
            return log_data

    row = json.loads(Mine().format(record_of()))
    assert [*FIVE, "line"] == list(row)
    assert ("info", 7) == (row["level"], row["line"])


def test_wrong_arguments_raise() -> None:
    """A message that does not take its arguments raises, for the handler to report."""
    with pytest.raises(TypeError):
        SessionJsonFormatter().format(record_of("%d", "x"))


def test_unknown_option() -> None:
    """An option that does not exist is named."""
    with pytest.raises(TypeError, match="colour"):
        SessionJsonFormatter(colour=1)  # type: ignore[call-arg]


def test_as_the_handlers_formatter(
    logger: logging.Logger, handler: SessionFileHandler, lines: Callable[..., list[Row]]
) -> None:
    """Behind SessionFileHandler its line is the file's line."""
    handler.setFormatter(SessionJsonFormatter(rename_fields={"level": "severity"}))
    with session("s1"):
        logger.info("hello", extra={"x": 1})
    assert ["timestamp", "severity", *FIVE[2:], "x"] == list(lines("s1")[0])


@pytest.mark.parametrize("default", [None, "-"])
def test_their_formatter_behind_our_filter(
    logger: logging.Logger,
    handler: SessionFileHandler,
    lines: Callable[..., list[Row]],
    default: str | None,
) -> None:
    """python-json-logger's own JsonFormatter has the keys of our filter, and nothing else of it."""
    handler.addFilter(SessionContextFilter(default=default))
    handler.setFormatter(JsonFormatter("%(levelname)s %(message)s"))
    logger.info("outside")
    with session("s1"):
        logger.info("inside")
    keys = {"levelname", "message", "session_id", "trace_id", "span_id", "trace_flags"}
    (outside,), (inside,) = lines(), lines("s1")
    assert (keys, keys) == (set(outside), set(inside))
    assert (default, "s1") == (outside["session_id"], inside["session_id"])


def test_what_a_terminal_might_obey() -> None:
    """``console="json"`` goes to one: escaped, and still the same JSON."""
    said = "\x1b[31m \x9b31m \x7f \u202e \u2028 ü"
    text = SessionJsonFormatter().format(logging.makeLogRecord({"msg": said}))
    assert '"\\u001b[31m \\u009b31m \\u007f \\u202e \\u2028 ü"' in text
    assert said == json.loads(text)["message"]


@pytest.mark.parametrize("as_array", [False, True])
def test_subclass_that_formats_exceptions(as_array: bool) -> None:  # noqa: FBT001
    """What a subclass's ``formatException`` masks is in no part of the line."""

    class Masking(SessionJsonFormatter):
        def formatException(self, ei: Any) -> Any:  # noqa: N802 - logging's
            shown: Any = super().formatException(ei)
            rows = shown if isinstance(shown, list) else shown.splitlines()
            masked = [row.replace("4111", "****") for row in rows]
            return masked if isinstance(shown, list) else "\n".join(masked)

    record = record_of(exc_info=raised(ValueError("card 4111")))
    text = Masking(exc_info_as_array=as_array).format(record)
    exception = json.loads(text)["exception"]
    assert "4111" not in text
    assert ("ValueError", "card ****") == (exception["type"], exception["message"])
    assert as_array == isinstance(exception["stacktrace"], list)

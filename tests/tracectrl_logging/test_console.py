"""What a person sees on the terminal."""

from __future__ import annotations

import logging
import re

import pytest

from tracectrl.session import session
from tracectrl_logging.console import ConsoleFormatter, escaped, plain_value


def formatted(msg: object = "hello", *args: object, **fields: object) -> str:
    """Return the text of a record of the logger ``app``."""
    record = logging.LogRecord("app", logging.INFO, "app.py", 7, msg, args, None, "run")
    record.__dict__.update(fields)
    return ConsoleFormatter().format(record)


def test_line() -> None:
    """A record is one line: time, level, logger, session, message and extras."""
    with session("0123456789"):
        text = formatted("hello %d", 1, user="u 1", data={"x": [1]}, n=None)
    assert re.fullmatch(
        r'\S+Z INFO     app \[01234567\] hello 1 user=u 1 data=\{"x":\[1\]\} n=null', text
    )


def test_outside_a_session() -> None:
    """Outside a session there is a dash."""
    assert " [-] hello" in formatted()


def test_exception_and_stack() -> None:
    """A traceback and a stack follow on lines of their own."""
    error = ValueError("bad")
    text = formatted(exc_info=(ValueError, error, None), stack_info="Stack:\n  here")
    assert text.endswith("hello\nValueError: bad\nStack:\n  here")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x07\x00\r\x7f\x9b", "\\x07\\x00\\r\\x7f\\x9b"),
        ("\u202eevil\u2066", "\\u202eevil\\u2066"),
        ("\u2028\u2029", "\\u2028\\u2029"),
        ("\ud800", "\\ud800"),
        ("a\tb\nc", "a\tb\nc"),
        ("ünï ✓ 漢字 👍", "ünï ✓ 漢字 👍"),
    ],
)
def test_escaped(text: str, shown: str) -> None:
    """Control characters are shown, not obeyed; other text stays."""
    assert shown == escaped(text)


def test_everything_is_escaped() -> None:
    """Escape sequences are shown wherever they come from."""
    evil = "\x1b]0;evil\x07"
    with session(f"{evil}s"):
        text = formatted(
            f"m{evil}", **{evil: evil, "deep": {evil: evil}}, exc_info=(None, Exception(evil), None)
        )
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)


def test_nothing_but_the_message_takes_several_lines() -> None:
    """A value from outside cannot look like a line of its own."""
    forged = "x\n2026-01-01 CRITICAL app [-] forged\t!"
    with session("s\nid"):
        text = formatted(levelno=25, levelname="LV\n", name="a\nb", user=forged, **{"k\n": 1})
    assert text.endswith(
        "Z LV\\n      a\\nb [s\\nid] hello user=x\\n2026-01-01 CRITICAL app [-] forged\\t! k\\n=1"
    )
    assert formatted("one\ntwo").endswith("one\ntwo")


def test_values() -> None:
    """A string is shown as it is, anything else as JSON."""
    assert ["a b", "1", '{"x":null}', '"<object'] == [
        plain_value("a b"),
        plain_value(1),
        plain_value({"x": float("nan")}),
        plain_value(object())[:8],
    ]


def test_redact_and_service() -> None:
    """What is left out of the files is left out here, too; the service is not shown."""
    record = logging.makeLogRecord({"name": "app", "msg": "hello", "password": "p1"})
    text = ConsoleFormatter(service_name="shop", redact=["password"]).format(record)
    assert "password=[redacted]" in text
    assert "shop" not in text


def test_wrong_arguments_raise() -> None:
    """A message that does not take its arguments raises, for the handler to report."""
    with pytest.raises(TypeError):
        formatted("%d", "x")

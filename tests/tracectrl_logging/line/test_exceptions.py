"""Exceptions in a line, from whatever form they come in."""

from __future__ import annotations

import builtins
import sys
import traceback

import pytest
import structlog

from tracectrl_logging.line import exceptions


class Problem(Exception):  # noqa: N818 - as short as the tests
    """An exception of one's own."""

    class Inner(Exception):  # noqa: N818
        """One inside a class."""


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    """Return *error* as somebody caught it."""
    try:
        raise error from cause  # noqa: TRY301 - to be caught
    except BaseException as caught:  # noqa: BLE001 - any
        return caught


@pytest.mark.parametrize(
    "nothing", [None, False, 0, "", (), (None, None, None), (1, 2), True, "text"], ids=repr
)
def test_no_exception(nothing: object) -> None:
    """What holds no exception gives none; outside an except block True holds none."""
    assert None is exceptions.of_exc_info(nothing)


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (ValueError("x"), "ValueError"),
        (Problem("x"), f"{__name__}.Problem"),
        (Problem.Inner("x"), f"{__name__}.Problem.Inner"),
        (KeyboardInterrupt("x"), "KeyboardInterrupt"),
    ],
    ids=["builtin", "own", "nested", "base"],
)
def test_type(error: BaseException, name: str) -> None:
    """The type is qualified as OpenTelemetry's exception.type is."""
    exception = exceptions.of_exc_info(error)
    assert exception is not None
    assert (name, "x") == (exception["type"], exception["message"])


def test_stack_trace_is_the_interpreters() -> None:
    """The stack trace is what the interpreter prints."""
    error = raised(ValueError("outer"), raised(KeyError("inner")))
    expected = "".join(traceback.format_exception(error)).rstrip("\n")
    assert expected == exceptions.stacktrace(error)


def test_stack_trace_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the traceback module fails, the places and the message are left."""

    def fail(*_: object) -> list[str]:
        raise RuntimeError

    monkeypatch.setattr("tracectrl_logging.line.exceptions.traceback.format_exception", fail)
    assert "Traceback (most recent call last):\nValueError: x" == exceptions.stacktrace(
        ValueError("x")
    )


@pytest.mark.parametrize(
    "error",
    [
        ValueError("one line"),
        ValueError("first\nsecond: third"),
        ValueError("first\n  indented\n\nlast"),
        ValueError(),
        Problem("own"),
        raised(ValueError("outer"), KeyError("inner\nlines")),
    ],
    ids=["one line", "two lines", "indented", "empty", "own", "cause"],
)
def test_text_says_the_same(error: BaseException) -> None:
    """A traceback that was rendered by others gives what the exception itself gives."""
    error = raised(error, error.__cause__)
    text = "".join(traceback.format_exception(error))
    assert exceptions.of_exc_info(error) == exceptions.of_text(text)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups came with Python 3.11")
def test_text_of_a_group() -> None:
    """The text of a group gives the group's own type and message."""
    group = builtins.ExceptionGroup("two", [ValueError("a"), KeyError("b")])  # type: ignore[attr-defined]
    error = raised(group)
    text = "".join(traceback.format_exception(error))
    assert exceptions.of_exc_info(error) == exceptions.of_text(text)


@pytest.mark.parametrize("text", ["x", "\n", " \n ", "NoneType: None", "a: b: c\n"])
def test_text_that_is_no_traceback(text: str) -> None:
    """Any text is kept as the stack trace."""
    assert text.rstrip("\n") == exceptions.of_text(text)["stacktrace"]


@pytest.mark.parametrize(
    "nothing", [None, "", [], ["x"], 5, {}, [{}, "x"], [{"frames": 5}]], ids=repr
)
def test_structlog_nothing(nothing: object) -> None:
    """What no processor of structlog writes is not taken for an exception."""
    assert None is exceptions.of_structlog(nothing)


def test_structlog_dicts() -> None:
    """``dict_tracebacks`` gives type and message of the exception that was raised."""
    error = raised(ValueError("outer"), raised(KeyError("inner")))
    event = structlog.processors.dict_tracebacks(None, "error", {"exc_info": error})
    exception = exceptions.of_structlog(event["exception"])
    assert exception is not None
    assert ("ValueError", "outer") == (exception["type"], exception["message"])
    rows = exception["stacktrace"].split("\n")
    assert "Traceback (most recent call last):" == rows[0]
    assert "ValueError: outer" == rows[-1]
    assert any(row.startswith("KeyError") for row in rows)
    assert any(row.endswith("in raised") for row in rows)


def test_dict_tracebacks_of_a_group() -> None:
    """The members of a group are in the stack trace, and so are notes."""
    inner = {"exc_type": "ValueError", "exc_value": "reason", "exc_notes": ["note"], "frames": []}
    group = {"exc_type": "ExceptionGroup", "exc_value": "many", "frames": [], "is_group": True}
    exception = exceptions.of_structlog([{**group, "exceptions": [[inner], "strange"]}])
    assert exception is not None
    assert ("ExceptionGroup", "many") == (exception["type"], exception["message"])
    assert exception["stacktrace"].endswith(
        "ExceptionGroup: many\n"
        "  +---------------- 1 ----------------\n"
        "  | Traceback (most recent call last):\n"
        "  | ValueError: reason\n"
        "  | note\n"
        "  +---------------- 2 ----------------"
    )

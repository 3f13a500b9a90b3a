"""What a session knows of itself, on its log lines: each way from a call to a line."""

from __future__ import annotations

import contextvars
import io
import json
import logging
import logging.handlers
import queue
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace

import tracectrl_logging
from tracectrl.session import session, set_session_attributes, set_session_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KNOWN = {"user.id": "u", "session.tags": ["a", "b"], "plan": "pro"}


def known_in(row: dict[str, Any]) -> dict[str, Any]:
    """Return what *row* says of the session."""
    return {name: row[name] for name in KNOWN if name in row}


def test_each_way(world: Any) -> None:
    """From then on each line has them; a line outside, or of another session, has none of it."""
    with session("s", tags=["a", "b"]):
        assert {"session.tags": ["a", "b"]} == known_in(world("before"))
        contextvars.copy_context().run(set_session_attributes, user_id="u", plan="pro")
        row = world("after")
        assert KNOWN == known_in(row)
        assert {} == known_in(world("another's", session_id="t"))
        with session("t"):
            assert {} == known_in(world("another's"))
    assert {} == known_in(world("outside"))


def test_what_a_record_says_itself_wins(world: Any) -> None:
    """An extra of the same name is a record's own; others stand beside it."""
    with session("s", user_id="u", plan="pro", tags=["a", "b"]):
        row = world("own", plan="free", more=1)
        assert {**KNOWN, "plan": "free"} == known_in(row)
        assert 1 == row["more"]
        error = world("with an exception", method="error", stack_info=True)
        assert KNOWN == known_in(error)


def test_of_a_session_that_only_the_span_is_in(world: Any) -> None:
    """A line on a thread that has the span alone has them, too."""
    trace.set_tracer_provider(provider := _provider())
    with session("s", user_id="u"):
        span = provider.get_tracer("t").start_span("outer")
    rows: list[Any] = []

    def work() -> None:
        with trace.use_span(span):
            rows.append(world("on a thread"))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert [("s", "u")] == [(row["session_id"], row["user.id"]) for row in rows]


def _provider() -> Any:
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - one test

    from tracectrl.processor import SessionSpanProcessor  # noqa: PLC0415

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SessionSpanProcessor())
    return provider


@pytest.mark.parametrize("background", [False, True])
def test_redaction(root: Path, lines: Callable[..., Any], *, background: bool) -> None:
    """They are redacted like extras, on the plain way and on the general one."""
    handler = tracectrl_logging.SessionFileHandler(root, redact=["user.id"], background=background)
    logger = logging.getLogger("app")
    logger.addHandler(handler)
    with session("s", user_id="u", plan="pro"):
        logger.warning("plain")
        logger.warning("extra", extra={"a": [1]})
        logger.warning({"message": "dict"})
    handler.close()

    found = [(row["user.id"], row["plan"]) for row in lines("s")]
    assert [("[redacted]", "pro")] * 3 == found


def test_background(root: Path, lines: Callable[..., Any]) -> None:
    """A line has what was known when it was logged, not when it is written."""
    handler = tracectrl_logging.SessionFileHandler(root, background=True)
    logger = logging.getLogger("app")
    logger.addHandler(handler)
    with session("s", tags=["t"]):
        for number in range(200):
            set_session_attributes(number=number)
            logger.warning("%d", number)
    handler.close()

    assert [*range(200)] == [row["number"] for row in lines("s")]


@pytest.mark.parametrize("stamps", ["filter", "factory", "structlog"])
def test_behind_a_queue(
    root: Path, lines: Callable[..., Any], stamps: str, request: pytest.FixtureRequest
) -> None:
    """The filter, the record factory and structlog's chain put them on the record."""
    waiting: queue.Queue[Any] = queue.Queue()
    sender = logging.handlers.QueueHandler(waiting)
    logging.root.addHandler(sender)
    request.addfinalizer(lambda: logging.root.removeHandler(sender))
    log: Any = logging.getLogger("app")
    if stamps == "filter":
        sender.addFilter(tracectrl_logging.SessionContextFilter())
    elif stamps == "factory":
        tracectrl_logging.install_record_factory()
    else:
        import structlog  # noqa: PLC0415 - one way of three

        configuration = tracectrl_logging.configure(root / "other", console=None, spans=False)
        request.addfinalizer(configuration.shutdown)
        log = structlog.get_logger("app")
    with session("s", user_id="u", plan="pro", tags=["a", "b"]):
        extra: Any = {"plan": "free"}
        log.warning("own", **(extra if stamps == "structlog" else {"extra": extra}))
    record = waiting.get_nowait()
    with session("listener", user_id="v"):
        handler = tracectrl_logging.SessionFileHandler(root)
        handler.handle(record)
        handler.close()

    (row,) = lines("s")
    assert {**KNOWN, "plan": "free"} == known_in(row)


def test_a_formatter_of_ones_own(root: Path, lines: Callable[..., Any]) -> None:
    """Text becomes a line that has them; the JSON formatter writes them."""
    handler = tracectrl_logging.SessionFileHandler(root)
    handler.setFormatter(logging.Formatter("%(levelname)s! %(message)s"))
    stream = io.StringIO()
    shown = logging.StreamHandler(stream)
    shown.setFormatter(tracectrl_logging.SessionJsonFormatter())
    logger = logging.getLogger("app")
    logger.addHandler(handler)
    logger.addHandler(shown)
    with session("s", user_id="u"):
        logger.warning("text")
    handler.close()

    assert [("WARNING! text", "u")] == [(row["message"], row["user.id"]) for row in lines("s")]
    assert "u" == json.loads(stream.getvalue())["user.id"]


def test_the_line_of_a_crash(root: Path, lines: Callable[..., Any]) -> None:
    """An exception that ends the program is a line of who it ended."""
    with tracectrl_logging.configure(root, console=None, spans=False):
        set_session_id("outer")
        set_session_attributes(user_id="v")
        for sid in ("s", "t"):
            try:
                with session(sid, user_id=f"user of {sid}"):
                    set_session_attributes(plan="pro")
                    _ = 1 / 0
            except ZeroDivisionError as error:
                sys.excepthook(type(error), error, error.__traceback__)

    assert [("user of s", "pro")] == [(it["user.id"], it["plan"]) for it in lines("s")]
    assert [("user of t", "pro")] == [(it["user.id"], it["plan"]) for it in lines("t")]

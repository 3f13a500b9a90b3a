"""The record factory: the stamp at a record's creation."""

from __future__ import annotations

import logging
import queue
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.session import session
from tracectrl_logging import (
    SessionContextFilter,
    install_record_factory,
    uninstall_record_factory,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry import trace

    Row = dict[str, Any]

KEYS = ("session_id", "trace_id", "span_id", "trace_flags")


class Keeping(logging.Handler):
    """Keeps the records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep *record*."""
        self.records.append(record)


@pytest.fixture
def kept() -> list[logging.LogRecord]:
    """Return the list of the records that the logger ``app`` and those below it made."""
    handler = Keeping()
    logger = logging.getLogger("app")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    return handler.records


def test_every_record(kept: list[logging.LogRecord], tracer: trace.Tracer) -> None:
    """Every record has the four keys, whichever handler asks."""
    install_record_factory()
    with session("s1"), tracer.start_as_current_span("work") as span:
        logging.getLogger("app.child").info("hello")
    ids = span.get_span_context()
    assert [
        "s1",
        f"{ids.trace_id:032x}",
        f"{ids.span_id:016x}",
        f"{ids.trace_flags:02x}",
    ] == [getattr(kept[0], key) for key in KEYS]


def test_ids_that_do_not_exist(kept: list[logging.LogRecord]) -> None:
    """IDs that do not exist are None: a text format can name them."""
    install_record_factory()
    logging.getLogger("app").info("hello")
    assert [None] * 4 == [getattr(kept[0], key) for key in KEYS]


def test_wraps_the_factory_that_is_there(kept: list[logging.LogRecord]) -> None:
    """Another factory's work stays."""

    class Mine(logging.LogRecord):
        pass

    logging.setLogRecordFactory(Mine)
    install_record_factory()
    with session("s1"):
        logging.getLogger("app").info("hello")
    assert isinstance(kept[0], Mine)
    assert "s1" == kept[0].__dict__["session_id"]


def test_what_the_wrapped_factory_sets_stays(kept: list[logging.LogRecord]) -> None:
    """A session that the wrapped factory knows wins."""

    def mine(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = logging.LogRecord(*args, **kwargs)
        record.session_id = "mine"
        return record

    logging.setLogRecordFactory(mine)
    install_record_factory()
    with session("ambient"):
        logging.getLogger("app").info("hello")
    assert "mine" == kept[0].__dict__["session_id"]


def test_uninstall_puts_back() -> None:
    """Uninstalling puts back the factory that was there."""
    before = logging.getLogRecordFactory()
    install_record_factory()
    assert before is not logging.getLogRecordFactory()
    uninstall_record_factory()
    assert before is logging.getLogRecordFactory()


def test_uninstall_without_install() -> None:
    """Uninstalling what is not installed does nothing."""
    before = logging.getLogRecordFactory()
    uninstall_record_factory()
    uninstall_record_factory()
    assert before is logging.getLogRecordFactory()


def test_install_twice() -> None:
    """Installing twice is installing once."""
    before = logging.getLogRecordFactory()
    install_record_factory()
    ours = logging.getLogRecordFactory()
    install_record_factory()
    assert ours is logging.getLogRecordFactory()
    uninstall_record_factory()
    assert before is logging.getLogRecordFactory()


def test_factory_on_top(kept: list[logging.LogRecord]) -> None:
    """A factory that was installed on top of ours stays; ours stops stamping beneath it."""
    install_record_factory()
    ours = logging.getLogRecordFactory()

    def top(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = ours(*args, **kwargs)
        record.top = True
        return record

    logging.setLogRecordFactory(top)
    with session("s1"):
        logging.getLogger("app").info("hello", extra={"session_id": "given"})
        logging.getLogger("app").info("hello")
        uninstall_record_factory()
        logging.getLogger("app").info("hello")
        install_record_factory()
        logging.getLogger("app").info("hello")
    assert [True] * 4 == [record.__dict__["top"] for record in kept]
    assert ["given", "s1", None, "s1"] == [record.__dict__.get("session_id") for record in kept]
    uninstall_record_factory()
    assert top is logging.getLogRecordFactory()


@pytest.mark.parametrize("key", KEYS)
def test_extra_wins(kept: list[logging.LogRecord], key: str) -> None:
    """``extra=`` may name a key of the stamp: nothing raises, and it wins."""
    install_record_factory()
    with session("ambient"):
        logging.getLogger("app").info("hello", extra={key: "given", "x": 1})
    assert ("given", 1) == (kept[0].__dict__[key], kept[0].__dict__["x"])


def test_logger_adapter(kept: list[logging.LogRecord]) -> None:
    """A LoggerAdapter's extra counts as one."""
    install_record_factory()
    adapter = logging.LoggerAdapter(logging.getLogger("app"), {"session_id": "adapted"})
    adapter.info("hello")
    assert "adapted" == kept[0].__dict__["session_id"]


def test_logger_class_of_ones_own(kept: list[logging.LogRecord]) -> None:
    """A Logger subclass whose makeRecord wraps logging's, and its extra, work."""

    class Mine(logging.Logger):
        def makeRecord(self, *args: Any, **kwargs: Any) -> logging.LogRecord:  # noqa: N802
            return super().makeRecord(*args, **kwargs)

    install_record_factory()
    mine = Mine("mine")
    mine.parent = logging.getLogger("app")
    mine.info("hello", extra={"session_id": "given"})
    assert "given" == kept[0].__dict__["session_id"]


def test_ready_made_record() -> None:
    """A record that arrives ready-made keeps its stamp, and gets one where it brings none."""
    install_record_factory()
    with session("ambient"):
        assert "s1" == logging.makeLogRecord({"session_id": "s1"}).__dict__["session_id"]
        assert "ambient" == logging.makeLogRecord({"msg": "x"}).__dict__["session_id"]


def test_record_made_outside_of_logging() -> None:
    """A factory that others call, from the bottom of a thread's stack too, stamps as well."""
    install_record_factory()
    made: list[logging.LogRecord] = []

    class Thread(threading.Thread):
        def run(self) -> None:
            factory = logging.getLogRecordFactory()
            made.append(factory("app", 20, "", 0, "hello", (), None))

    thread = Thread()
    thread.start()
    thread.join()
    with session("s1"):
        made.append(logging.getLogRecordFactory()("app", 20, "", 0, "hello", (), None))
    assert [None, "s1"] == [record.__dict__["session_id"] for record in made]


def test_with_filter(kept: list[logging.LogRecord]) -> None:
    """The filter leaves what the factory set, and has nothing to add."""
    install_record_factory()
    with session("s1"):
        logging.getLogger("app").info("hello")
    SessionContextFilter(default="-").filter(kept[0])
    assert ["s1", None, None, None] == [getattr(kept[0], key) for key in KEYS]


def test_line_on_another_thread(logger: logging.Logger, lines: Callable[..., list[Row]]) -> None:
    """A record made in a session is that session's line, on whichever thread it is handled."""
    install_record_factory()
    records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    handler = logger.handlers.pop()
    passing = logging.Handler()
    passing.emit = records.put  # type: ignore[method-assign,assignment]
    logger.addHandler(passing)
    with session("s1"):
        logger.info("inside")
    logger.info("outside")

    def handle() -> None:
        with session("other"):
            while not records.empty():
                handler.handle(records.get())

    thread = threading.Thread(target=handle)
    thread.start()
    thread.join()
    logger.addHandler(handler)
    assert (["inside"], ["outside"]) == (
        [row["message"] for row in lines("s1")],
        [row["message"] for row in lines()],
    )

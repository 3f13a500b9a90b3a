# ruff: noqa: FBT001, PLE1205 - a fixture is an argument; loguru formats with braces
"""loguru's records land in the file of their session, with what they carry."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

import tracectrl_logging
from tracectrl.files import log_path
from tracectrl.session import session
from tracectrl_logging.loguru import SessionFileSink, session_patcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    ReadLines = Callable[[str | os.PathLike[str]], list[dict[str, Any]]]

loguru = pytest.importorskip("loguru")
logger = loguru.logger

THREADS = 8


@pytest.fixture(autouse=True)
def only_ours() -> Iterator[None]:
    """Leave loguru as it was: its one logger is the process's."""
    logger.remove()
    yield
    logger.remove()
    logger.configure(patcher=lambda _: None, extra={})


@pytest.fixture
def lines(root: Path, read_lines: ReadLines) -> Callable[[str], list[dict[str, Any]]]:
    """Return the function that returns the lines of a session, once loguru is done with its queue."""

    def read(sid: str) -> list[dict[str, Any]]:
        logger.complete()
        return read_lines(log_path(sid, root))

    return read


@pytest.fixture(params=[False, True], ids=["at once", "enqueue"])
def enqueued(request: pytest.FixtureRequest) -> bool:
    """Whether the sink is called on a thread of loguru's."""
    return bool(request.param)


class LockedError(Exception):
    """An exception that cannot be pickled."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


def fail() -> None:
    """Raise an exception from another."""
    card = "swordfish"
    try:
        len(5)  # type: ignore[arg-type]
    except TypeError as error:
        msg = "no card"
        raise LookupError(msg) from error
    del card


def test_the_ids_are_those_of_the_call(
    root: Path, lines: Callable[[str], list[dict[str, Any]]], enqueued: bool
) -> None:
    """A record has the session and the span of the call, right behind a queue, too."""
    logger.configure(patcher=session_patcher())
    logger.add(SessionFileSink(root), enqueue=enqueued)
    tracer = TracerProvider().get_tracer("t")
    with session("order-1"), tracer.start_as_current_span("pay") as span:
        logger.info("paid {} of {}", 2, 3)
    logger.info("outside")

    (row,) = lines("order-1")
    assert ("order-1", "paid 2 of 3") == (row["session_id"], row["message"])
    assert f"{span.get_span_context().span_id:016x}" == row["span_id"]
    assert list(row)[:5] == ["timestamp", "level", "logger", "message", "session_id"]
    assert ["outside"] == [row["message"] for row in lines("unknown")]


def test_without_a_patcher(root: Path, lines: Callable[[str], list[dict[str, Any]]]) -> None:
    """A sink that is called on the thread that logs asks for the IDs itself."""
    logger.add(SessionFileSink(root))
    with session("order-1"):
        logger.info("paid")

    assert ["paid"] == [row["message"] for row in lines("order-1")]


def test_extras(root: Path, lines: Callable[[str], list[dict[str, Any]]], enqueued: bool) -> None:
    """What bind, contextualize and the call itself say is an extra, whatever it is called."""
    logger.configure(patcher=session_patcher(lambda record: record["extra"].update(patched=1)))
    logger.add(SessionFileSink(root, redact=["pin"]), enqueue=enqueued)
    with session("order-1"), logger.contextualize(user="u"):
        logger.bind(name="n", args=[1], level="high", _p=2, pin="x").info("paid", process="p")

    (row,) = lines("order-1")
    assert {"user": "u", "name": "n", "args": [1], "_p": 2, "process": "p", "patched": 1} == {
        key: row[key] for key in ("user", "name", "args", "_p", "process", "patched")
    }
    assert ("INFO", "high") == (row["level"], row["extra_level"])
    assert row["pin"] != "x"


def test_a_session_of_its_own(root: Path, lines: Callable[[str], list[dict[str, Any]]]) -> None:
    """The session that a record is bound to wins over the current one."""
    logger.configure(patcher=session_patcher())
    logger.add(SessionFileSink(root))
    with session("order-1"):
        logger.bind(session_id="order-2").info("paid")

    assert ["paid"] == [row["message"] for row in lines("order-2")]


def test_levels(root: Path, lines: Callable[[str], list[dict[str, Any]]]) -> None:
    """loguru's levels keep their names, and those that are none of the five their ranks."""
    logger.add(SessionFileSink(root), level=0)
    for name in ("TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL"):
        logger.log(name, "m")
    logger.log(45, "m")

    rows = lines("unknown")
    assert [
        ("TRACE", 1),
        ("DEBUG", None),
        ("INFO", None),
        ("SUCCESS", 12),
        ("WARNING", None),
        ("ERROR", None),
        ("CRITICAL", None),
        ("Level 45", 20),
    ] == [(row["level"], row.get("severity_number")) for row in rows]


def test_exceptions(
    root: Path, lines: Callable[[str], list[dict[str, Any]]], enqueued: bool
) -> None:
    """An exception is whole, with its cause, behind a queue, too; no variable's value is in it."""
    logger.configure(patcher=session_patcher())
    logger.add(SessionFileSink(root), enqueue=enqueued, diagnose=True)
    try:
        fail()
    except LookupError as error:
        logger.opt(exception=error).error("failed")
        logger.exception("failed, too")

    for row in lines("unknown"):
        assert ("LookupError", "no card") == (row["exception"]["type"], row["exception"]["message"])
        assert "TypeError" in row["exception"]["stacktrace"]
        assert "in fail" in row["exception"]["stacktrace"]
        assert "swordfish" not in str(row)
    assert 2 == len(lines("unknown"))


def test_an_exception_that_a_queue_cannot_take(
    root: Path, lines: Callable[[str], list[dict[str, Any]]]
) -> None:
    """Without a patcher, the type is what is left of it."""
    logger.add(SessionFileSink(root), enqueue=True)
    logger.opt(exception=LockedError()).error("failed")

    assert ["LockedError"] == [row["exception"]["type"] for row in lines("unknown")]


def test_a_record_that_is_spoilt() -> None:
    """What another patcher has left of a record raises nothing in the application through ours."""
    spoilt: Any = {}
    session_patcher()(spoilt)

    assert {} == spoilt


def test_threads(root: Path, lines: Callable[[str], list[dict[str, Any]]], enqueued: bool) -> None:
    """Eight threads, each in a session of its own: every record is there, once."""
    logger.configure(patcher=session_patcher())
    logger.add(SessionFileSink(root), enqueue=enqueued, format="{message}")

    def work(number: int) -> None:
        with session(f"t{number}"):
            for count in range(200):
                logger.info("{}", count)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    expected = [str(count) for count in range(200)]
    for number in range(THREADS):
        assert expected == [row["message"] for row in lines(f"t{number}")]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork(root: Path, lines: Callable[[str], list[dict[str, Any]]]) -> None:
    """A forked child writes on, and so does its parent."""
    logger.configure(patcher=session_patcher())
    logger.add(SessionFileSink(root))
    with session("order-1"):
        logger.info("parent")
        child = multiprocessing.get_context("fork").Process(target=logger.info, args=("child",))
        child.start()
        child.join(30)
        logger.info("parent again")

    assert 0 == child.exitcode
    assert ["parent", "child", "parent again"] == [row["message"] for row in lines("order-1")]


def test_another_process(root: Path, lines: Callable[[str], list[dict[str, Any]]]) -> None:
    """A pickled sink opens its files anew, with its options."""
    sink = pickle.loads(pickle.dumps(SessionFileSink(root, service_name="shop")))  # noqa: S301
    logger.add(sink)
    logger.info("paid")

    assert ["shop"] == [row["service"] for row in lines("unknown")]


def test_remove_closes_the_files(root: Path) -> None:
    """Once a sink is removed no descriptor of its files is open."""
    number = logger.add(SessionFileSink(root))
    logger.info("paid")
    open_files = {os.readlink(f"/proc/self/fd/{fd}") for fd in _descriptors()}
    assert os.fspath(log_path("unknown", root)) in open_files
    logger.remove(number)

    open_files = {os.readlink(f"/proc/self/fd/{fd}") for fd in _descriptors()}
    assert os.fspath(log_path("unknown", root)) not in open_files


def _descriptors() -> list[str]:
    return [fd for fd in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{fd}")]


class Intercept(logging.Handler):
    """Hands records to loguru."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log *record* with loguru."""
        logger.opt(depth=6, exception=record.exc_info).log(record.levelname, record.getMessage())


def test_configure(root: Path, lines: Callable[[str], list[dict[str, Any]]]) -> None:
    """One call sends loguru's records to the session files; another replaces it; the end undoes it."""

    def own(record: Any) -> None:
        record["extra"]["own"] = True

    logger.configure(patcher=own)
    shown: list[str] = []
    logger.add(shown.append, format="{message} {extra[session_id]} {extra[own]}")
    tracectrl_logging.configure(root, console=None, spans=False, loguru=True)
    with tracectrl_logging.configure(root, console=None, spans=False, loguru=True), session("a"):
        logger.debug("below the level")
        logger.warning("one")
    with session("a"):
        logger.bind(session_id="-").warning("after the end")

    assert [("one", True)] == [(row["message"], row["own"]) for row in lines("a")]
    assert ["below the level a True\n", "one a True\n", "after the end - True\n"] == shown


def test_configure_beside_an_intercept_handler(
    root: Path, lines: Callable[[str], list[dict[str, Any]]]
) -> None:
    """A record that goes to loguru besides is one line; one that goes nowhere else is one, too."""
    quiet = logging.getLogger("quiet")
    quiet.propagate = False
    quiet.addHandler(Intercept())
    with tracectrl_logging.configure(root, console=None, spans=False, loguru=True), session("a"):
        logging.root.addHandler(Intercept())
        logging.getLogger("app").warning("both")
        quiet.warning("loguru alone")
        logger.warning("both")

    found = Counter((row["logger"], row["message"]) for row in lines("a"))
    assert {("app", "both"): 1, (__name__, "loguru alone"): 1, (__name__, "both"): 1} == {
        key if key[0] == "app" else (__name__, key[1]): count for key, count in found.items()
    }


def test_what_the_session_knows(root: Path, lines: Any, enqueued: bool) -> None:
    """The attributes of the session are a record's, unless it says otherwise itself."""
    logger.configure(patcher=session_patcher())
    logger.add(SessionFileSink(root), enqueue=enqueued)
    with session("a", user_id="u", plan="pro"):
        logger.bind(plan="own").info("said")
    with session("a"):
        logger.info("unsaid")

    assert [("u", "own"), (None, None)] == [
        (row.get("user.id"), row.get("plan")) for row in lines("a")
    ]

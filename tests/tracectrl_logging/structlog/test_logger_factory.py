"""structlog straight to the session files."""

from __future__ import annotations

import copy
import json
import logging
import os
import pickle
import threading
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from tracectrl.files import log_path
from tracectrl.session import session
from tracectrl_logging import SessionFileLoggerFactory, SessionJSONRenderer, add_session_context

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Row = dict[str, Any]


def test_names(root: Path, lines: Callable[..., list[Row]]) -> None:
    """The first argument of get_logger is the logger's name; without one it is "root"."""
    structlog.configure(
        processors=[SessionJSONRenderer()], logger_factory=SessionFileLoggerFactory(root)
    )
    structlog.get_logger("app").info("one")
    structlog.get_logger().info("two")
    structlog.get_logger("app", 2).info("three")
    assert ["app", "root", "app"] == [row["logger"] for row in lines()]


@pytest.mark.parametrize(
    "renderer",
    [
        structlog.processors.JSONRenderer(),
        structlog.processors.JSONRenderer(indent=2),
        structlog.processors.JSONRenderer(serializer=lambda row, **_: json.dumps(row).encode()),
    ],
    ids=["str", "indented", "bytes"],
)
def test_other_json_renderers(root: Path, lines: Callable[..., list[Row]], renderer: Any) -> None:
    """Another renderer's JSON object is the line, in the current session's file."""
    log = structlog.wrap_logger(
        SessionFileLoggerFactory(root)(), processors=[add_session_context, renderer]
    )
    with session("s1"):
        log.info("hello", x=[1])
    assert [{"event": "hello", "x": [1], "session_id": "s1"}] == lines("s1")


def test_no_stack_left(
    root: Path,
    lines: Callable[..., list[Row]],
    until_no_stack_is_left: Callable[[Callable[[int], object]], set[int]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each call that returns near the recursion limit has written its line, or counted it once."""
    factory = SessionFileLoggerFactory(root)
    logger = factory()

    returned = until_no_stack_is_left(lambda number: logger.info(str(number)))
    lost = factory.lost
    factory.close()

    rows = lines()
    written = {int(row["message"]) for row in rows if "lost" not in row}
    assert len(returned - written) == lost > 0
    assert lost == sum(row.get("lost", 0) for row in rows)
    capsys.readouterr()


@pytest.mark.parametrize(
    "renderer", [structlog.processors.JSONRenderer(), SessionJSONRenderer()], ids=["other", "ours"]
)
def test_redact(root: Path, lines: Callable[..., list[Row]], renderer: Any) -> None:
    """Whoever renders the line; it stays in its session's file."""
    log = structlog.wrap_logger(
        SessionFileLoggerFactory(root, redact=["ssn"])(),
        processors=[add_session_context, renderer],
    )
    with session("s1"):
        log.info("hello", Ssn="geheim", deep={"x": [{"SSN": "geheim", "kept": 1}]})
    (row,) = lines("s1")
    assert ("[redacted]", "s1") == (row["Ssn"], row["session_id"])
    assert {"x": [{"SSN": "[redacted]", "kept": 1}]} == row["deep"]


def test_json_on_one_line_stays(root: Path) -> None:
    """One line of JSON is written as it is to the byte."""
    SessionFileLoggerFactory(root)().info('{ "a": 1 }')
    assert b'{ "a": 1 }\n' == log_path("unknown", root).read_bytes()


@pytest.mark.parametrize(
    "renderer",
    [
        structlog.processors.KeyValueRenderer(key_order=["event"]),
        structlog.processors.LogfmtRenderer(key_order=["event"], bool_as_flag=False),
        structlog.dev.ConsoleRenderer(colors=False),
    ],
    ids=["key=value", "logfmt", "console"],
)
@pytest.mark.parametrize("level", ["debug", "info", "warning", "error", "critical"])
def test_text_renderers(
    root: Path, lines: Callable[..., list[Row]], renderer: Any, level: str
) -> None:
    """Text becomes the message of a line, at the level of the method that was called."""
    log = structlog.wrap_logger(
        SessionFileLoggerFactory(root)("app"),
        processors=[renderer],
        wrapper_class=structlog.BoundLogger,
    )
    with session("s1"):
        getattr(log, level)("hello", x=1)
    (row,) = lines("s1")
    assert (level.upper(), "app") == (row["level"], row["logger"])
    assert "hello" in row["message"]
    assert 5 == len(row)


@pytest.mark.parametrize("line", [b"\xff", b"[1]", "", "a\nb", "\ud800"], ids=repr)
def test_any_text(root: Path, lines: Callable[..., list[Row]], line: str | bytes) -> None:
    """Whatever is handed over is one line."""
    SessionFileLoggerFactory(root)().msg(line)
    assert 1 == len(lines())


def test_what_is_no_line_goes_to_stderr(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What no renderer returns is reported on stderr, as logging does; the caller goes on."""
    logger = SessionFileLoggerFactory(root)()
    logger.info(5)  # type: ignore[arg-type]
    assert "--- Logging error ---" in capsys.readouterr().err
    monkeypatch.setattr(logging, "raiseExceptions", False)
    logger.info(5)  # type: ignore[arg-type]
    assert ("", "") == capsys.readouterr()


def test_every_method(root: Path, lines: Callable[..., list[Row]]) -> None:
    """Every name that structlog's wrappers call is there."""
    logger = SessionFileLoggerFactory(root)()
    names = ["msg", "log", "debug", "info", "warn", "warning"]
    names += ["fatal", "failure", "err", "error", "critical", "exception"]
    for name in names:
        getattr(logger, name)(f'{{"n":"{name}"}}')
    assert names == [row["n"] for row in lines()]


def test_one_writer_for_all_loggers(root: Path, lines: Callable[..., list[Row]]) -> None:
    """Loggers of one factory, on many threads, write whole lines to one file."""
    factory = SessionFileLoggerFactory(root)

    def write(number: int) -> None:
        log = structlog.wrap_logger(factory(str(number)), processors=[SessionJSONRenderer()])
        with session("s1"):
            for _ in range(20):
                log.info("hello")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted([str(number) for number in range(20)] * 20) == sorted(
        row["logger"] for row in lines("s1")
    )


def test_background(root: Path, lines: Callable[..., list[Row]]) -> None:
    """In background mode lines are there after flush() and close()."""
    factory = SessionFileLoggerFactory(root, background=True, queue_size=5)
    log = structlog.wrap_logger(factory(), processors=[SessionJSONRenderer()])
    for number in range(50):
        log.info("hello", number=number)
    factory.flush()
    assert list(range(50)) == [row["number"] for row in lines()]
    log.info("more", number=50)
    factory.close()
    assert 51 == len(lines())
    log.info("reopened", number=51)
    factory.close()
    assert 52 == len(lines())


def test_disk_failure(
    root: Path,
    lines: Callable[..., list[Row]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A failing disk is reported once, counted, and a line says how much is missing."""
    factory = SessionFileLoggerFactory(root)
    log = structlog.wrap_logger(factory(), processors=[SessionJSONRenderer()])

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    log.info("before")
    with monkeypatch.context() as patch:
        patch.setattr("tracectrl.files.write.appender.os.write", full)
        for _ in range(3):
            log.info("lost")
    assert 3 == factory.lost
    log.info("after")
    before, after, loss = lines()
    assert ("before", "after", 3) == (before["message"], after["message"], loss["lost"])
    assert 1 == capsys.readouterr().err.count("--- Logging error ---")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_open_files": 0}, "max_open_files"),
        ({"max_bytes": -1}, "max_bytes"),
        ({"background": True, "queue_size": 0}, "queue_size"),
        ({"background": True, "overflow": "explode"}, "overflow"),
    ],
)
def test_options_out_of_range(root: Path, options: dict[str, Any], words: str) -> None:
    """An option that is out of range is named."""
    with pytest.raises(ValueError, match=words):
        SessionFileLoggerFactory(root, **options)


def test_default_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a root the files are under TRACECTRL_TRACE_DIR."""
    monkeypatch.setenv("TRACECTRL_TRACE_DIR", str(tmp_path / "env"))
    SessionFileLoggerFactory()().info("hello")
    assert ["unknown.logs.jsonl"] == os.listdir(tmp_path / "env")


@pytest.mark.parametrize("again", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])  # noqa: S301
def test_copies_of_bound_loggers(root: Path, again: Any) -> None:
    """A bound logger may be copied, and pickled for another process: it writes the same files."""
    structlog.configure(
        processors=[SessionJSONRenderer()], logger_factory=SessionFileLoggerFactory(root)
    )
    log = structlog.get_logger("shop").bind(x=1)
    for _ in range(2):
        again(log).info("one")
    rows = [json.loads(line) for line in (root / "unknown.logs.jsonl").read_text().splitlines()]
    assert [("shop", "one", 1)] * 2 == [(row["logger"], row["message"], row["x"]) for row in rows]

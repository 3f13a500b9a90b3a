"""Standard error that logs, is closed, gone or replaced."""

from __future__ import annotations

import io
import logging
import logging.config
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl_logging import SessionFileHandler, configure, dict_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Row = dict[str, Any]
    Lines = Callable[..., list[Row]]


class ToLog:
    """What task runners put in the place of standard error: it logs what is written to it."""

    def __init__(self, name: str = "stderr", prefix: str = "") -> None:
        self.written: list[str] = []
        self._log = logging.getLogger(name)
        self._prefix = prefix

    def write(self, text: str) -> None:
        """Log each line of *text*."""
        self.written.append(text)
        for line in text.splitlines():
            if line.strip():
                self._log.warning(self._prefix + line)

    def flush(self) -> None:
        """Do nothing."""


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Return what stands for the process's own standard error."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "__stderr__", stream)
    return stream


def test_stderr_that_can_only_write(
    root: Path, terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream without ``flush`` shows a line, and nothing else does."""

    class Stream:
        def __init__(self) -> None:
            self.written: list[str] = []

        def write(self, text: str) -> None:
            self.written.append(text)

    stream = Stream()
    monkeypatch.setattr(sys, "stderr", stream)
    by_configure(root)
    logging.getLogger("app").warning("once")
    assert ([True], "") == (["once" in text for text in stream.written], terminal.getvalue())


def by_configure(root: Path) -> None:
    """Set up by the function."""
    configure(root, spans=False)


def by_dictionary(root: Path) -> None:
    """Set up by the dictionary."""
    logging.config.dictConfig(dict_config(root))


WAYS = pytest.mark.parametrize("set_up", [by_configure, by_dictionary])


@WAYS
def test_stderr_that_logs(
    root: Path,
    lines: Lines,
    terminal: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
    set_up: Callable[[Path], None],
) -> None:
    """Each record is shown once, on the process's own stderr, and written once."""
    monkeypatch.setattr(sys, "stderr", ToLog())
    set_up(root)
    for text in ("one", "two\nlines", "three"):
        logging.getLogger("app").info(text)
    assert ["one", "two\nlines", "three"] == [row["message"] for row in lines()]
    assert [1, 1, 1, 1] == [terminal.getvalue().count(it) for it in ("one", "two", "lines", "thre")]


@WAYS
def test_what_the_program_writes_to_it(
    root: Path,
    lines: Lines,
    terminal: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
    set_up: Callable[[Path], None],
) -> None:
    """What the program prints to a stderr that logs is a line, and shown, once."""
    stream = ToLog()
    monkeypatch.setattr(sys, "stderr", stream)
    set_up(root)
    stream.write("from print\n")
    assert [("stderr", "from print")] == [(row["logger"], row["message"]) for row in lines()]
    assert 1 == terminal.getvalue().count("from print")


def test_other_things_that_it_logs(
    root: Path, lines: Lines, terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a stderr logs beside its text, of trouble perhaps, is a line; nothing recurses."""

    class Troubled(ToLog):
        def write(self, text: str) -> None:
            del text
            logging.getLogger("tee").error("disk full")

    monkeypatch.setattr(sys, "stderr", Troubled())
    configure(root, spans=False)
    logging.getLogger("app").info("one")
    assert ["disk full", "one"] == sorted(row["message"] for row in lines())
    del terminal


def test_other_threads(
    root: Path, lines: Lines, terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one thread writes to a stderr that logs, the records of others are written."""
    arrived, go_on = threading.Event(), threading.Event()

    class Slow(ToLog):
        def write(self, text: str) -> None:
            super().write(text)
            arrived.set()
            go_on.wait(10)

    monkeypatch.setattr(sys, "stderr", Slow())
    configure(root, spans=False)
    thread = threading.Thread(target=logging.getLogger("app").info, args=("one",))
    thread.start()
    assert arrived.wait(10)
    handler = SessionFileHandler(root)
    handler.handle(logging.makeLogRecord({"name": "other", "msg": "one"}))
    go_on.set()
    thread.join(10)
    handler.close()
    assert ["app", "other"] == sorted(row["logger"] for row in lines())
    del terminal


def test_reports_on_a_stderr_that_logs(
    root: Path, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A formatter that always raises, and a stderr that logs its tracebacks, do not recurse."""

    class Broken(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            raise RuntimeError(record.getMessage())

    stream = ToLog()
    monkeypatch.setattr(sys, "stderr", stream)
    handler = SessionFileHandler(root)
    handler.setFormatter(Broken())
    logging.root.addHandler(handler)
    logging.getLogger("app").warning("one")
    assert ["one"] == [row["message"] for row in lines()]
    assert 1 == handler.lost
    assert 1 == "".join(stream.written).count("--- Logging error ---")


@pytest.mark.parametrize("what", ["a report", "a record"])
def test_a_signal_handler_that_logs_meanwhile(
    what: str, root: Path, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its record is no echo of what is being written, even where it is a word of that."""

    class Interrupting(io.StringIO):
        def write(self, text: str) -> int:
            os.kill(os.getpid(), signal.SIGUSR1)
            return super().write(text)

    class Broken(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            raise RuntimeError(record.getMessage())

    stream = Interrupting()
    monkeypatch.setattr(sys, "stderr", stream)
    signaled = logging.getLogger("signaled")
    before = signal.signal(signal.SIGUSR1, lambda *_: signaled.warning("one"))
    configure(root, spans=False)
    handler = SessionFileHandler(root)
    try:
        if what == "a report":
            handler.setFormatter(Broken())
            handler.handle(logging.makeLogRecord({"name": "app", "msg": "one two"}))
        else:
            logging.getLogger("app").warning("one two")
    finally:
        signal.signal(signal.SIGUSR1, before)
        handler.close()
    assert ["one", "one two"] == sorted(row["message"] for row in lines())
    assert "one two" in stream.getvalue()


def test_a_report_says_where_the_record_was_logged(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exception, the call in the program, the message and its arguments, as logging does."""
    configure(root, spans=False, console=None)
    logging.getLogger("app").warning("%d pieces", "no")
    said = capsys.readouterr().err

    assert said.startswith("--- Logging error ---\nTraceback (most recent call last):\n")
    assert 'logging.getLogger("app").warning("%d pieces", "no")\n' in said
    assert said.endswith("Message: '%d pieces'\nArguments: ('no',)\n")
    assert logging.__file__ not in said.partition("Call stack:")[2]


def _closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


def _raising() -> Any:
    class Raising(io.StringIO):
        def write(self, text: str) -> int:
            raise RuntimeError(text)

    return Raising()


@WAYS
@pytest.mark.parametrize("make", [_closed, _raising], ids=["closed", "raises"])
def test_stderr_that_takes_nothing(
    root: Path,
    lines: Lines,
    terminal: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
    set_up: Callable[[Path], None],
    make: Callable[[], Any],
) -> None:
    """Where stderr is closed or raises, the process's own shows the record; nothing is raised."""
    set_up(root)
    monkeypatch.setattr(sys, "stderr", make())
    logging.getLogger("app").info("one")
    logging.getLogger("app").info("%d", "no number")
    assert ["one", "%d"] == [row["message"] for row in lines()]
    assert 1 == terminal.getvalue().count("one\n")


@WAYS
def test_no_stderr(
    root: Path, lines: Lines, monkeypatch: pytest.MonkeyPatch, set_up: Callable[[Path], None]
) -> None:
    """Without a stderr, before or later, nothing is shown and nothing raised."""
    for name in ("stderr", "__stderr__"):
        monkeypatch.setattr(sys, name, None)
    set_up(root)
    logging.getLogger("app").info("one")
    logging.getLogger("app").info("%d", "no number")
    assert ["one", "%d"] == [row["message"] for row in lines()]


@WAYS
def test_stderr_that_is_replaced_later(
    root: Path, monkeypatch: pytest.MonkeyPatch, set_up: Callable[[Path], None]
) -> None:
    """The console follows: what is sys.stderr when a record comes shows it."""
    first, second = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", first)
    set_up(root)
    logging.getLogger("app").info("one")
    monkeypatch.setattr(sys, "stderr", second)
    first.close()
    logging.getLogger("app").info("two")
    assert "[-] two\n" == second.getvalue()[-8:]

"""The handler: each record to its session's file."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import logging.handlers
import os
import queue
import stat
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from opentelemetry.sdk.trace import SpanLimits, TracerProvider

from tracectrl.files import log_path
from tracectrl.session import session, set_session_id
from tracectrl_logging import SessionFileHandler, SessionJsonFormatter, SessionJSONRenderer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Row = dict[str, Any]
    Lines = Callable[..., list[Row]]


def attach(handler: logging.Handler, name: str = "app") -> logging.Logger:
    """Return the logger *name* with *handler* as its only one."""
    logger = logging.getLogger(name)
    logger.handlers[:] = [handler]
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    return logger


def messages(rows: list[Row]) -> list[str]:
    """Return the messages of *rows*."""
    return [row["message"] for row in rows]


class Disk:
    """Stands for ``os.write`` as the appender sees it: full where it is told so."""

    def __init__(self) -> None:
        self.full = False
        self._write = os.write

    def write(self, fd: int, data: bytes) -> int:
        """Write, or fail."""
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._write(fd, data)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """Return the switch that fills the disk."""
    disk = Disk()
    with monkeypatch.context() as patch:
        patch.setattr("tracectrl.files.write.appender.os.write", disk.write)
        yield disk


# --- files ----------------------------------------------------------------------------------------


def test_line_per_record_in_the_file_of_its_session(logger: logging.Logger, lines: Lines) -> None:
    """Each record is a line in its own session's file, there when the call returns."""
    logger.info("zero")
    for sid in ("s1", "s2", "s1"):
        with session(sid):
            logger.info("in %s", sid)
    assert (["zero"], ["in s1", "in s1"], ["in s2"]) == tuple(
        messages(lines(sid)) for sid in ("unknown", "s1", "s2")
    )


def test_modes(root: Path, logger: logging.Logger) -> None:
    """Files are for their owner alone, and so is the directory."""
    logger.info("hello")
    assert (0o700, 0o600) == (
        stat.S_IMODE(root.stat().st_mode),
        stat.S_IMODE(log_path("unknown", root).stat().st_mode),
    )


@pytest.mark.parametrize(
    "sid", ["../../etc/x", "/abs", "a/b", ".hidden", "con", "ünï", "a b", "x" * 500, "..", "a\0b"]
)
def test_any_id_stays_inside(root: Path, logger: logging.Logger, lines: Lines, sid: str) -> None:
    """Whatever the ID is, its file is in the root, and the line has the ID as it is."""
    with session(sid):
        logger.info("hello")
    assert [sid] == [row["session_id"] for row in lines(sid)]
    assert 1 == len(os.listdir(root))
    assert [root.name] == os.listdir(root.parent)


def test_default_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a root: TRACECTRL_TRACE_DIR, else ./traces."""
    monkeypatch.chdir(tmp_path)
    attach(SessionFileHandler()).info("hello")
    monkeypatch.setenv("TRACECTRL_TRACE_DIR", "other")
    attach(SessionFileHandler()).info("hello")
    assert [["unknown.logs.jsonl"]] * 2 == [os.listdir("traces"), os.listdir("other")]


def test_root_keeps_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative root is that of the start, whatever directory the process changes to."""
    monkeypatch.chdir(tmp_path)
    logger = attach(SessionFileHandler("here"))
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    logger.info("hello")
    assert 1 == len(os.listdir(tmp_path / "here"))


def test_level(root: Path, lines: Lines) -> None:
    """Records below the handler's level are not handled; a name is a level, too."""
    logger = attach(SessionFileHandler(root, level="ERROR"))
    logger.warning("no")
    logger.error("yes")
    assert ["yes"] == messages(lines())


def test_emit_after_close(
    logger: logging.Logger, handler: SessionFileHandler, lines: Lines
) -> None:
    """A record that comes after close() opens its file again."""
    logger.info("one")
    handler.close()
    logger.info("two")
    handler.close()
    handler.close()
    assert ["one", "two"] == messages(lines())


def test_few_descriptors(root: Path, lines: Lines) -> None:
    """With two descriptors 50 sessions write; no line is lost."""
    logger = attach(SessionFileHandler(root, max_open_files=2))
    for number in range(150):
        with session(f"s{number % 50}"):
            logger.info("hello %d", number)
    for number in range(50):
        assert [f"hello {number + more}" for more in (0, 50, 100)] == messages(lines(f"s{number}"))


def test_rotation(root: Path, lines: Lines, read_lines: Callable[..., list[Row]]) -> None:
    """A file that would grow beyond max_bytes is rotated; backup_count of them are kept."""
    logger = attach(SessionFileHandler(root, max_bytes=1000, backup_count=2))
    for number in range(60):
        logger.info("hello %02d", number)
    path = log_path("unknown", root)
    names = [path.name, f"{path.name}.1", f"{path.name}.2"]
    assert names == sorted(os.listdir(root))
    kept = [row for name in reversed(names) for row in read_lines(root / name)]
    assert [f"hello {number:02d}" for number in range(60 - len(kept), 60)] == messages(kept)
    assert all((root / name).stat().st_size <= 1000 for name in names)
    assert messages(lines())


def test_fork_free_repr(handler: SessionFileHandler) -> None:
    """The handler shows itself as logging's do."""
    assert "SessionFileHandler" in repr(handler)


# --- bad options ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_bytes": -1}, "max_bytes must be 0"),
        ({"backup_count": -1}, "backup_count must be 0"),
        ({"max_open_files": 0}, "max_open_files must be at least 1"),
        ({"background": True, "queue_size": 0}, "queue_size must be at least 1"),
        ({"background": True, "overflow": "explode"}, "overflow must be 'block'"),
        ({"level": "LOUD"}, "LOUD"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_value(root: Path, options: dict[str, Any], words: str) -> None:
    """A value that is out of range is an error that names the option and what it takes."""
    with pytest.raises(ValueError, match=words):
        SessionFileHandler(root, **options)


@pytest.mark.parametrize("redact", [5, [5], [None, "x"]], ids=repr)
def test_bad_redact(root: Path, redact: Any) -> None:
    """What can be no redaction is an error."""
    with pytest.raises(TypeError):
        SessionFileHandler(root, redact=redact)


def test_unknown_option(root: Path) -> None:
    """An option that does not exist is named."""
    with pytest.raises(TypeError, match="max_byte"):
        SessionFileHandler(root, max_byte=1)  # type: ignore[call-arg]


@pytest.mark.parametrize("options", [{"max_bytes": -1}, {"redact": 5}, {"level": "LOUD"}], ids=str)
def test_failed_handler_does_not_stay(root: Path, options: dict[str, Any]) -> None:
    """A handler that could not be made does not break logging's own shutdown."""
    with pytest.raises((ValueError, TypeError)) as caught:
        SessionFileHandler(root, **options)
    assert caught.value.__traceback__ is not None  # it keeps the handler alive
    references: list[Any] = logging._handlerList  # type: ignore[attr-defined]
    logging.shutdown([ref for ref in references if isinstance(ref(), SessionFileHandler)])


def test_root_that_is_a_file(tmp_path: Path) -> None:
    """A root that is a file is an error that says what is needed; the file stays."""
    (tmp_path / "traces").write_text("mine")
    with pytest.raises(OSError, match="TRACECTRL_TRACE_DIR") as caught:
        SessionFileHandler(tmp_path / "traces")
    assert str(tmp_path / "traces") == caught.value.filename
    assert "mine" == (tmp_path / "traces").read_text()


def test_root_below_a_file(tmp_path: Path) -> None:
    """So is one below a file."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(NotADirectoryError):
        SessionFileHandler(tmp_path / "file" / "traces")


def test_symbolic_link_is_not_followed(
    root: Path, tmp_path: Path, logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    """A symbolic link at a file's place is not written through; the trouble is reported."""
    (tmp_path / "victim").write_text("mine")
    log_path("s1", root).symlink_to(tmp_path / "victim")
    with session("s1"):
        logger.info("hello")
    assert "mine" == (tmp_path / "victim").read_text()
    assert "symbolic link" in capsys.readouterr().err


# --- the application goes on ----------------------------------------------------------------------


def test_wrong_arguments_go_to_handle_error(
    logger: logging.Logger,
    handler: SessionFileHandler,
    lines: Lines,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """``%d`` with a string is reported as logging does, counted, and written as it is."""
    logger.info("%d", "x", extra={"y": 1})
    logger.info("after")
    assert ["%d", "after"] == messages(lines())
    assert {"args": ["x"], "y": 1} == {key: lines()[0][key] for key in list(lines()[0])[5:]}
    assert 1 == handler.lost
    assert "--- Logging error ---" in capsys.readouterr().err
    monkeypatch.setattr(logging, "raiseExceptions", False)
    logger.info("%d", "x")
    assert "" == capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "formatter"),
    [
        ({}, None),
        ({"background": True}, None),
        ({"redact": ["password"]}, None),
        ({"max_bytes": 2000, "backup_count": 100_000}, None),
        ({}, SessionJsonFormatter),
    ],
    ids=["plain", "background", "redact", "rotating", "formatter"],
)
def test_no_stack_left(
    root: Path,
    read_lines: Callable[[Path], list[Row]],
    until_no_stack_is_left: Callable[[Callable[[int], object]], set[int]],
    options: dict[str, Any],
    formatter: type[logging.Formatter] | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each call that returns near the recursion limit has written its line, or counted it once."""
    handler = SessionFileHandler(root, **options)
    handler.setFormatter(formatter() if formatter else None)
    logger = attach(handler)

    returned = until_no_stack_is_left(
        lambda number: logger.info("deep", extra={"number": number, "odd": {1}, "password": ""})
    )
    lost = handler.lost
    handler.close()

    rows = [row for path in root.iterdir() for row in read_lines(path)]
    written = {row["number"] for row in rows if "number" in row}
    assert len(returned - written) == lost > 0
    assert lost == sum(row.get("lost", 0) for row in rows)
    capsys.readouterr()


def test_filters(logger: logging.Logger, handler: SessionFileHandler, lines: Lines) -> None:
    """Filters of the handler and of the logger hold."""
    handler.addFilter(lambda record: "no" not in record.getMessage())
    logger.addFilter(lambda record: "never" not in record.getMessage())
    for message in ("yes", "no", "never"):
        logger.info(message)
    assert ["yes"] == messages(lines())


def test_filter_that_raises(
    logger: logging.Logger,
    handler: SessionFileHandler,
    lines: Lines,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A filter that raises, and may have been there to mask, is reported; the record is lost."""

    def broken(record: logging.LogRecord) -> bool:
        msg = f"cannot filter {record.getMessage()}"
        raise RuntimeError(msg)

    handler.addFilter(broken)
    logger.info("hello")
    assert "cannot filter hello" in capsys.readouterr().err
    handler.removeFilter(broken)
    logger.info("after")
    assert 1 == handler.lost
    assert ["after", "1 lines could not be written"] == messages(lines())


@pytest.mark.parametrize("form", [None, "%(message)s"])
def test_a_session_that_a_message_names(
    form: str | None,
    logger: logging.Logger,
    handler: SessionFileHandler,
    root: Path,
    lines: Lines,
) -> None:
    """Whoever can have JSON logged chooses no session by that; another object stays as it is."""
    handler.setFormatter(None if form is None else logging.Formatter(form))
    texts = [{"event": "x", "session_id": "victim"}, {"event": "y", "session_id": "mine", "a": 1}]
    with session("mine"):
        for text in texts:
            logger.info(json.dumps(text))
            logger.info("%s", json.dumps(text))
    handler.close()

    assert ["mine.logs.jsonl"] == os.listdir(root)
    rows = lines("mine")
    assert ["victim"] * 2 + [None] * 2 == [row.get("extra_session_id") for row in rows]
    assert {"mine"} == {row["session_id"] for row in rows}


def test_what_a_child_has_lost(logger: logging.Logger, handler: SessionFileHandler) -> None:
    """What its parent wrote raw counts in the parent."""
    logger.info("%d", "no number")
    pid = os.fork()
    if not pid:
        os._exit(handler.lost)
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert 1 == handler.lost


def test_filter_that_raises_in_a_child(
    logger: logging.Logger,
    handler: SessionFileHandler,
    lines: Lines,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A forked child counts what it has lost itself, from the first record on."""

    def broken(_: logging.LogRecord) -> bool:
        raise RuntimeError

    monkeypatch.setattr(handler, "handleError", lambda _: None)
    handler.addFilter(broken)
    logger.info("hello")
    pid = os.fork()
    if not pid:
        status = 100
        try:
            logger.info("hello")
            logger.info("hello")
            handler.close()
            status = handler.lost
        finally:
            os._exit(status)
    assert 2 == os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert 1 == handler.lost
    handler.close()

    assert [2, 1] == [row["lost"] for row in lines()]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="came with Python 3.12")
def test_filter_that_answers_with_another_record(
    logger: logging.Logger, handler: SessionFileHandler, lines: Lines
) -> None:
    """A filter may answer with another record; that one is written."""

    def instead(record: logging.LogRecord) -> logging.LogRecord:
        return logging.makeLogRecord({**record.__dict__, "msg": "instead", "session_id": "s2"})

    handler.addFilter(instead)  # type: ignore[arg-type]
    logger.info("hello")
    assert ["instead"] == messages(lines("s2"))


def test_formatter_that_raises(
    logger: logging.Logger, handler: SessionFileHandler, capsys: pytest.CaptureFixture[str]
) -> None:
    """A formatter that raises, or returns no text, is reported."""

    class Broken(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            raise RuntimeError(record.getMessage())

    class Wrong(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return [record]  # type: ignore[return-value]

    for formatter in (Broken(), Wrong()):
        handler.setFormatter(formatter)
        logger.info("hello")
        assert 1 == capsys.readouterr().err.count("--- Logging error ---")


def test_repr_that_logs(logger: logging.Logger, lines: Lines) -> None:
    """A value whose repr logs is logged, and so is what it logs."""

    class Chatty:
        def __repr__(self) -> str:
            logger.debug("looked at")
            return "Chatty"

    logger.info("as an argument: %s", Chatty())
    logger.info("as an extra", extra={"x": Chatty()})
    assert sorted(["as an argument: Chatty", "as an extra", "looked at", "looked at"]) == sorted(
        messages(lines())
    )


def test_endless_recursion(
    logger: logging.Logger, lines: Lines, capsys: pytest.CaptureFixture[str]
) -> None:
    """A value whose repr logs the value itself ends; the application goes on."""

    class Endless:
        def __repr__(self) -> str:
            logger.debug("again", extra={"x": self})
            return "Endless"

    logger.info("start", extra={"x": Endless()})
    logger.info("after")
    assert "after" in messages(lines())
    capsys.readouterr()


def test_logging_inside_a_span_lock(root: Path, lines: Lines) -> None:
    """A record that the SDK emits while it holds the span's lock does not wait for it."""
    provider = TracerProvider(span_limits=SpanLimits(max_span_attributes=4), shutdown_on_exit=False)
    handler = SessionFileHandler(root)
    sdk = logging.getLogger("opentelemetry")
    sdk.addHandler(handler)

    def work() -> None:
        set_session_id("s1")
        with provider.get_tracer("tests").start_as_current_span("work") as span:
            for number in range(20):
                span.set_attribute(f"key{number}", number)
            span.set_attribute("bad", object())  # type: ignore[arg-type]
            span.add_event("event", {"bad": object()})  # type: ignore[dict-item]
        span.set_attribute("late", 1)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    rows = lines("s1")
    assert {"WARNING"} == {row["level"] for row in rows}
    assert "trace_id" in rows[0]


# --- a failing disk -------------------------------------------------------------------------------


def test_full_disk(
    root: Path,
    disk: Disk,
    lines: Lines,
    capsys: pytest.CaptureFixture[str],
    in_contract_order: Callable[[Row], bool],
) -> None:
    """A full disk loses lines, says so once, counts, and says how many once it is back."""
    handler = SessionFileHandler(root)
    logger = attach(handler)
    with session("s1"):
        logger.info("before")
        disk.full = True
        for _ in range(5):
            logger.info("lost")
        disk.full = False
        assert 5 == handler.lost
        logger.info("after")
        logger.info("later")
    rows = lines("s1")
    assert ["before", "after", "later"] == [row["message"] for row in rows if "lost" not in row]
    (loss,) = (row for row in rows if "lost" in row)
    assert ("tracectrl", "ERROR", 5) == (loss["logger"], loss["level"], loss["lost"])
    assert in_contract_order(loss)
    assert 1 == capsys.readouterr().err.count("--- Logging error ---")
    assert 5 == handler.lost


def test_reported_once_a_minute(root: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """handleError hears of a failing disk once a minute."""
    now = [1000.0]
    monkeypatch.setattr("tracectrl.files.write.sink.time.monotonic", lambda: now[0])
    handler = SessionFileHandler(root)
    reported: list[logging.LogRecord] = []
    handler.handleError = reported.append  # type: ignore[method-assign,assignment]
    logger = attach(handler)
    disk.full = True
    for step in (0, 1, 58, 2, 1, 60):
        now[0] += step
        logger.info("lost")
    assert 3 == len(reported)
    assert 6 == handler.lost
    assert ["lost"] * 3 == [record.getMessage() for record in reported]


def test_half_a_line(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that ends in the middle does not swallow the next line."""
    logger = attach(SessionFileHandler(root))
    write = os.write
    torn = [True]

    def tear(fd: int, data: bytes) -> int:
        return write(fd, data[:20] if torn and torn.pop() else data)

    with monkeypatch.context() as patch:
        patch.setattr("tracectrl.files.write.appender.os.write", tear)
        logger.info("one")
        logger.info("two")
    rows = log_path("unknown", root).read_bytes().splitlines()
    assert ["one", "two"] == [json.loads(row)["message"] for row in rows[1:]]
    assert 20 == len(rows[0])


def test_root_that_vanishes(root: Path, logger: logging.Logger, lines: Lines) -> None:
    """A root that somebody removes is made again."""
    logger.info("one")
    log_path("unknown", root).unlink()
    root.rmdir()
    with session("s1"):
        logger.info("two")
    assert ["two"] == messages(lines("s1"))


# --- background mode ------------------------------------------------------------------------------


def test_background(root: Path, lines: Lines) -> None:
    """In background mode the lines are there after flush(); exceptions are kept apart."""
    handler = SessionFileHandler(root, background=True, queue_size=10)
    logger = attach(handler)
    for number in range(200):
        with session(f"s{number % 3}"):
            logger.info("hello %d", number)
    with session("s0"):
        try:
            raise ValueError("x")  # noqa: EM101, TRY301
        except ValueError:
            logger.exception("oops")
    handler.flush()
    assert [67 + 1, 67, 66] == [len(lines(f"s{number}")) for number in range(3)]
    assert ("oops", "ValueError") == (
        lines("s0")[-1]["message"],
        lines("s0")[-1]["exception"]["type"],
    )
    handler.close()
    logger.info("reopened")
    handler.close()
    assert ["reopened"] == messages(lines())


@pytest.mark.parametrize("overflow", ["drop_new", "drop_oldest"])
def test_background_overflow(
    root: Path, lines: Lines, disk: Disk, overflow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full queue drops what it is told to drop, counts it, and a line says how much."""
    entered, go_on = threading.Event(), threading.Event()
    write = disk.write

    def slow(fd: int, data: bytes) -> int:
        entered.set()
        assert go_on.wait(10)
        return write(fd, data)

    monkeypatch.setattr("tracectrl.files.write.appender.os.write", slow)
    handler = SessionFileHandler(root, background=True, queue_size=3, overflow=overflow)
    logger = attach(handler)
    logger.info("0")
    assert entered.wait(10)
    for number in range(1, 11):
        logger.info("%d", number)
    assert 7 == handler.lost
    go_on.set()
    handler.close()
    kept = ["1", "2", "3"] if overflow == "drop_new" else ["8", "9", "10"]
    rows = lines()
    assert ["0", *kept] == [row["message"] for row in rows if "lost" not in row]
    assert 7 == sum(row.get("lost", 0) for row in rows)


def test_background_is_flushed_at_exit(
    root: Path, lines: Lines, run_python: Callable[..., str]
) -> None:
    """What waits in the queue when the interpreter exits is written."""
    run_python(
        f"""
import logging
from tracectrl_logging import SessionFileHandler
logger = logging.getLogger("app")
logger.addHandler(SessionFileHandler({str(root)!r}, background=True))
for number in range(1000):
    logger.error("%d", number)
"""
    )
    assert [str(number) for number in range(1000)] == messages(lines())


# --- redaction ------------------------------------------------------------------------------------


def test_redact_names(root: Path, lines: Lines) -> None:
    """Named keys are left out of the extras, in any case, at any depth; the value stays."""
    logger = attach(SessionFileHandler(root, redact=["password", "token"]))
    value = {"Password": "p1", "list": [{"TOKEN": "t1", "x": 1}], "tuple": ({"password": "p2"},)}
    logger.info("hello", extra={"data": value, "password": "p3"})
    logger.info({"message": "hello", "token": "t2"})
    one, two = lines()
    assert {
        "Password": "[redacted]",
        "list": [{"TOKEN": "[redacted]", "x": 1}],
        "tuple": [{"password": "[redacted]"}],
    } == one["data"]
    assert ("[redacted]", "[redacted]") == (one["password"], two["token"])
    assert "p1" == value["Password"]


def test_redact_callable(root: Path, lines: Lines) -> None:
    """A callable sees key and value; one that raises redacts."""

    def secret(key: str, value: Any) -> bool:
        if key == "trouble":
            raise RuntimeError
        return isinstance(value, str) and value.startswith("sk-")

    logger = attach(SessionFileHandler(root, redact=secret))
    logger.info("hello", extra={"a": "sk-1", "b": "other", "trouble": "t", "c": {"d": "sk-2"}})
    (row,) = lines()
    assert {"a": "[redacted]", "b": "other", "trouble": "[redacted]", "c": {"d": "[redacted]"}} == {
        key: row[key] for key in ("a", "b", "trouble", "c")
    }


def test_redact_both(root: Path, lines: Lines) -> None:
    """Names and callables may be mixed; a single name needs no list."""
    attach(SessionFileHandler(root, redact=["a", lambda key, _: key == "b"])).info(
        "hello", extra={"a": 1, "b": 2, "c": 3}
    )
    attach(SessionFileHandler(root, redact="c")).info("hello", extra={"c": 3})
    assert [("[redacted]", "[redacted]", 3), (None, None, "[redacted]")] == [
        (row.get("a"), row.get("b"), row["c"]) for row in lines()
    ]


def test_redact_leaves_the_contracts_keys(root: Path, lines: Lines) -> None:
    """The keys of the contract are no extras: they are not redacted."""
    logger = attach(SessionFileHandler(root, redact=["message", "session_id", "level"]))
    with session("s1"):
        logger.info("hello")
    assert ["INFO", "app", "hello", "s1"] == list(lines("s1")[0].values())[1:]


def test_redact_cycles(root: Path, lines: Lines) -> None:
    """A value that contains itself several times is walked once a level, not twice a level."""
    calls = [0]

    def counting(key: str, _: object) -> bool:
        calls[0] += 1
        return key == "secret" or calls[0] > 10_000  # an end, where the walk has none

    cyclic: Row = {"secret": "s"}
    cyclic["a"], cyclic["b"] = cyclic, [cyclic]
    attach(SessionFileHandler(root, redact=counting)).info("hello", extra={"x": cyclic})
    assert "[redacted]" == lines()[0]["x"]["secret"]
    assert calls[0] < 1000


def test_redact_hostile_container(root: Path, lines: Lines) -> None:
    """A container that cannot be looked into is not shown, and loses no line."""

    class Hostile(dict[str, object]):
        def items(self) -> Any:
            raise RuntimeError

    logger = attach(SessionFileHandler(root, redact="password"))
    logger.info("hello", extra={"x": Hostile(password="p1"), "y": 1})  # noqa: S106
    (row,) = lines()
    assert ("hello", 1) == (row["message"], row["y"])
    assert "p1" not in str(row)


@pytest.mark.parametrize(
    "message",
    [
        {"message": {"password": "geheim", "a": 1}},
        {"event": [{"Password": "geheim"}], "deep": {"password": "geheim"}},
        [{"password": "geheim"}],
        {"a": {"b": {"password": "geheim"}}},
    ],
    ids=str,
)
def test_redact_a_message_that_is_no_text(message: Any, root: Path, lines: Lines) -> None:
    """Its text is made of what is left."""
    attach(SessionFileHandler(root, redact="password")).info(message)
    (row,) = lines()
    assert "geheim" not in str(row)
    assert "[redacted]" in str(row)


@pytest.mark.parametrize("indent", [None, 2])
def test_redact_what_a_formatter_renders(root: Path, lines: Lines, indent: int | None) -> None:
    """A JSON object of another formatter's is redacted as well; what has no secret stays."""

    class Mine(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return json.dumps(record.__dict__["row"], indent=indent)

    handler = SessionFileHandler(root, redact=["password", "message"])
    handler.setFormatter(Mine())
    logger = attach(handler)
    secret = {"message": "m", "password": "geheim", "deep": [{"PASSWORD": "geheim"}]}
    logger.info("", extra={"row": secret})
    logger.info("", extra={"row": {"message": "m", "a": 1}})
    one, two = lines()
    assert {"message": "m", "password": "[redacted]", "deep": [{"PASSWORD": "[redacted]"}]} == one
    assert {"message": "m", "a": 1} == two


# --- formatters -----------------------------------------------------------------------------------


def test_text_formatter(logger: logging.Logger, handler: SessionFileHandler, lines: Lines) -> None:
    """What a formatter makes text of is the message of a line, traceback and all."""
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    with session("s1"):
        logger.warning("hello", extra={"x": 1})
        logger.warning("oops", exc_info=ValueError("bad"))
    one, two = lines("s1")
    assert ["WARNING", "app", "WARNING: hello", "s1"] == list(one.values())[1:]
    assert "WARNING: oops\nValueError: bad" == two["message"]
    assert "exception" not in two


@pytest.mark.parametrize("indent", [None, 2])
def test_json_formatter(
    logger: logging.Logger, handler: SessionFileHandler, lines: Lines, indent: int | None
) -> None:
    """What a formatter makes a JSON object of is the line: one line, however it was laid out."""

    class Mine(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return json.dumps({"m": record.getMessage(), "deep": {"x": [1]}}, indent=indent)

    handler.setFormatter(Mine())
    with session("s1"):
        logger.info("hello")
    assert [{"m": "hello", "deep": {"x": [1]}}] == lines("s1")


def test_json_array_formatter(
    logger: logging.Logger, handler: SessionFileHandler, lines: Lines
) -> None:
    """Other JSON than an object is text."""
    handler.setFormatter(logging.Formatter("[1, %(levelno)d]"))
    logger.info("hello")
    assert ["[1, 20]"] == messages(lines())


def test_bytes_formatter(logger: logging.Logger, handler: SessionFileHandler, lines: Lines) -> None:
    """A formatter that returns bytes works, too."""

    class Mine(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return b'{"m": "%s"}' % record.getMessage().encode()  # type: ignore[return-value]

    handler.setFormatter(Mine())
    logger.info("hello")
    assert [{"m": "hello"}] == lines()


def test_prefixed_json_formatter(
    logger: logging.Logger, handler: SessionFileHandler, lines: Lines
) -> None:
    """JSON behind a prefix is text; the line stays strict JSON."""
    handler.setFormatter(SessionJsonFormatter(prefix="@cee: "))
    logger.info("hello")
    assert lines()[0]["message"].startswith('@cee: {"timestamp"')


def test_structlog_formatter_and_bound_session(
    logger: logging.Logger, handler: SessionFileHandler, lines: Lines
) -> None:
    """A session that is bound to a structlog logger says the file behind ProcessorFormatter, too."""
    del logger
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=[SessionJSONRenderer()]))
    structlog.configure(
        processors=[structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    with session("ambient"):
        structlog.get_logger("app").bind(session_id="bound").info("hello")
    assert ["bound"] == [row["session_id"] for row in lines("bound")]


# --- many at once ---------------------------------------------------------------------------------


def test_threads(root: Path, lines: Lines) -> None:
    """200 threads, a session each, into one handler: every file holds exactly its own lines."""
    logger = attach(SessionFileHandler(root, max_open_files=16))
    start = threading.Barrier(200)

    def work(number: int) -> None:
        start.wait(30)
        with session(f"s{number}"):
            for turn in range(5):
                logger.info("%d %d", number, turn)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 200 == len(os.listdir(root))
    for number in range(200):
        assert [f"{number} {turn}" for turn in range(5)] == messages(lines(f"s{number}"))


async def test_tasks(root: Path, lines: Lines) -> None:
    """1,000 tasks, a session each, into one handler: every file holds exactly its own lines."""
    logger = attach(SessionFileHandler(root, max_open_files=64))

    async def work(number: int) -> None:
        set_session_id(f"s{number}")
        for turn in range(3):
            logger.info("%d %d", number, turn)
            await asyncio.sleep(0)

    await asyncio.gather(*map(work, range(1000)))
    assert 1000 == len(os.listdir(root))
    for number in range(1000):
        assert [f"{number} {turn}" for turn in range(3)] == messages(lines(f"s{number}"))


def test_one_session_on_many_threads(root: Path, lines: Lines) -> None:
    """Many threads in one session: no line is lost or torn, each thread's are in order."""
    logger = attach(SessionFileHandler(root))

    def work(number: int) -> None:
        with session("s1"):
            for turn in range(50):
                logger.info("%s", "x" * 5000, extra={"by": number, "turn": turn})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    rows = lines("s1")
    assert 400 == len(rows)
    for number in range(8):
        assert list(range(50)) == [row["turn"] for row in rows if row["by"] == number]


def test_queue_handler(root: Path, lines: Lines) -> None:
    """Behind the standard queue, with the stamp on the QueueHandler, lines find their sessions."""
    from tracectrl_logging import SessionContextFilter  # noqa: PLC0415 - for this test alone

    records: queue.Queue[Any] = queue.Queue()
    before = logging.handlers.QueueHandler(records)
    before.addFilter(SessionContextFilter())
    logger = attach(before)
    listener = logging.handlers.QueueListener(records, SessionFileHandler(root))
    listener.start()
    for number in range(30):
        with session(f"s{number % 3}"):
            logger.info("hello %d", number)
    listener.stop()
    for number in range(3):
        assert [f"hello {n}" for n in range(number, 30, 3)] == messages(lines(f"s{number}"))


def test_shutdown_of_logging(root: Path, handler: SessionFileHandler) -> None:
    """``logging.shutdown`` and a lock that the handler does not have get on."""
    logger = attach(handler)
    handler.acquire()
    handler.release()
    logger.info("one")
    started = time.monotonic()
    logging.shutdown([lambda: handler])
    assert time.monotonic() - started < 5
    logger.info("two")
    assert 2 == len(log_path("unknown", root).read_bytes().splitlines())


def test_basic_config(root: Path, lines: Lines) -> None:
    """basicConfig's text format, which nobody asked for, does not bury the fields."""
    logging.basicConfig(handlers=[SessionFileHandler(root)], level="INFO", force=True)
    try:
        logging.getLogger("a").info("hello", extra={"x": 1})
    finally:
        logging.root.handlers.clear()
    (row,) = lines("unknown")
    assert ("hello", 1) == (row["message"], row["x"])


def test_a_report_that_logs(root: Path, lines: Callable[..., list[Row]]) -> None:
    """A record that is written raw counts once, also where what reports it logs itself."""

    class Telling(SessionFileHandler):
        def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
            assert record.msg == "%d"
            self.handle(logging.makeLogRecord({"name": "report", "msg": "trouble"}))

    handler = Telling(root)
    handler.handle(logging.makeLogRecord({"name": "app", "msg": "%d", "args": ("no number",)}))
    handler.close()
    assert 1 == handler.lost
    assert [["%d", "trouble"]] == [[row["message"] for row in lines()]]


# --- subclasses -----------------------------------------------------------------------------------


class MaskingFormat(SessionFileHandler):
    """Masks in what is written."""

    def format(self, record: logging.LogRecord) -> str:
        """Return what is written of *record*, less the card's number."""
        return super().format(record).replace("4111", "****")


class MaskingFilter(SessionFileHandler):
    """Masks on the record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask *record*, which passes."""
        record.msg = record.msg.replace("4111", "****")
        record.__dict__["card"] = "****"
        return True


@pytest.mark.parametrize("kind", [MaskingFormat, MaskingFilter])
@pytest.mark.parametrize("background", [False, True], ids=["at once", "background"])
def test_subclass_that_masks(
    root: Path,
    lines: Lines,
    kind: type[SessionFileHandler],
    background: bool,  # noqa: FBT001
) -> None:
    """What a subclass makes of a record in a method of ``logging.Handler`` is what is written."""
    handler = kind(root, background=background)
    with session("s1"):
        attach(handler).warning("card 4111", extra={"card": "4111", "count": 2})
    handler.close()
    (row,) = lines("s1")
    assert ("card ****", "****", 2) == (row["message"], row["card"], row["count"])


def test_format_is_what_is_written(root: Path) -> None:
    """``format()`` returns the line, and what the formatter renders where there is one."""
    handler = SessionFileHandler(root)
    record = logging.makeLogRecord({"msg": "one", "name": "app"})
    handler.handle(record)
    handler.close()
    assert (root / "unknown.logs.jsonl").read_text() == handler.format(record) + "\n"
    handler.setFormatter(logging.Formatter("<%(message)s>"))
    assert "<one>" == handler.format(record)

"""One call, or one dictionary, wires it all."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import logging.handlers
import os
import signal
import socket
import sys
import threading
import urllib.request
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import structlog
import uvicorn
import yaml
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tracectrl.files import span_path
from tracectrl.session import current_session_id, session, set_session_id
from tracectrl_logging import SessionFileHandler, configure, dict_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Row = dict[str, Any]
    Lines = Callable[..., list[Row]]
    Capsys = pytest.CaptureFixture[str]


def ours() -> list[logging.Handler]:
    """Return the handlers on the root logger."""
    return list(logging.root.handlers)


# --- configure() ----------------------------------------------------------------------------------


def test_everything(root: Path, lines: Lines, read_lines: Callable[..., list[Row]]) -> None:
    """stdlib, structlog and spans end in one session's files, with the same IDs."""
    configure(root, service_name="shop", console=None)
    with session("s1"), trace.get_tracer("tests").start_as_current_span("work"):
        logging.getLogger("a").info("stdlib", extra={"x": 1})
        structlog.get_logger("b").info("structlog", x=1)
    one, two = lines("s1")
    (span,) = read_lines(span_path("s1", root))
    assert list(one) == list(two)
    assert [("a", "stdlib"), ("b", "structlog")] == [
        (r["logger"], r["message"]) for r in (one, two)
    ]
    for key in ("session_id", "trace_id", "span_id", "service"):
        assert [span[key]] * 2 == [one[key], two[key]]
    assert ("shop", "s1") == (one["service"], span["session_id"])


@pytest.mark.parametrize("answer", [True, None])
def test_handlers_of_others_are_not_compared(root: Path, lines: Lines, answer: bool | None) -> None:  # noqa: FBT001
    """A handler that is equal to any, or raises when it is compared, stays, and so does ours."""

    class Foreign(logging.NullHandler):
        __hash__ = logging.NullHandler.__hash__

        def __eq__(self, other: object) -> bool:
            if answer is None:
                raise RuntimeError
            return answer

    foreign = Foreign()
    logging.root.handlers.insert(0, foreign)
    try:
        configuration = configure(root, console="text")
        with session("s1"):
            logging.getLogger("a").info("once")
        configuration.shutdown()
        assert foreign is logging.root.handlers[0]
        assert not any(isinstance(each, SessionFileHandler) for each in logging.root.handlers)
    finally:
        del logging.root.handlers[0]
    assert ["once"] == [row["message"] for row in lines("s1")]


def test_twice_is_once(root: Path, tmp_path: Path, lines: Lines) -> None:
    """Called again it replaces what it set up."""
    before = ours()
    configure(tmp_path / "first", console="text")
    configure(root, console=None)
    assert 1 == len(ours()) - len(before)
    with session("s1"), trace.get_tracer("tests").start_as_current_span("work"):
        logging.getLogger("a").info("hello")
        structlog.get_logger("b").info("hello")
    assert ["a", "b"] == [row["logger"] for row in lines("s1")]
    assert ["s1.logs.jsonl", "s1.spans.jsonl"] == sorted(os.listdir(root))
    assert [] == os.listdir(tmp_path / "first")


def test_same_root_twice(root: Path, lines: Lines, read_lines: Callable[..., list[Row]]) -> None:
    """Neither a line nor a span is doubled."""
    for _ in range(3):
        configure(root, console=None)
    with session("s1"), trace.get_tracer("tests").start_as_current_span("work"):
        logging.getLogger("a").info("hello")
    assert (1, 1) == (len(lines("s1")), len(read_lines(span_path("s1", root))))


@pytest.mark.parametrize("face", [logging.getLogger, structlog.get_logger])
def test_again_while_others_log(
    root: Path, lines: Lines, face: Callable[[str], Any], capsys: Capsys
) -> None:
    """Each line of another thread passes by one of the two set-ups, never by both, never by none."""
    configure(root, console=None, spans=False)
    over = threading.Event()
    counts = [0, 0]

    def work(thread: int) -> None:
        logger = face(f"thread-{thread}")
        while not over.is_set():
            logger.info(str(counts[thread]))
            counts[thread] += 1

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(2)]
    for each in threads:
        each.start()
    for number in range(40):
        configure(root, console=None if number % 3 else "json", spans=False)
    over.set()
    for each in threads:
        each.join()
    configure(root, console=None, spans=False).shutdown()

    found = [(row["logger"], row["message"]) for row in lines()]
    expected = [(f"thread-{t}", str(n)) for t in range(2) for n in range(counts[t])]
    assert sorted(expected) == sorted(found)
    assert "" == capsys.readouterr().out


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_the_level_after_several_calls(root: Path, level: str) -> None:
    """shutdown() puts back what was there before the first; what others set in between stays."""
    logging.root.setLevel(logging.ERROR)
    configure(root, console=None, spans=False)
    configure(root, console=None, spans=False, level=level).shutdown()
    assert logging.ERROR == logging.root.level
    configure(root, console=None, spans=False)
    logging.root.setLevel(logging.CRITICAL)
    configure(root, console=None, spans=False, level=level).shutdown()
    assert logging.CRITICAL == logging.root.level


def test_structlog_after_several_calls(root: Path) -> None:
    """shutdown() puts back the processors from before the first call."""
    structlog.configure(processors=[structlog.processors.KeyValueRenderer()])
    before = structlog.get_config()
    for _ in range(2):
        configure(root, console=None, spans=False)
    configure(root, console=None, spans=False).shutdown()
    assert before == structlog.get_config()


def test_in_a_child_that_is_forked_meanwhile(root: Path, tmp_path: Path) -> None:
    """A call that is under way in another thread of the parent keeps no child waiting."""
    inside, done = threading.Event(), threading.Event()

    class Slow(logging.Handler):
        def close(self) -> None:
            inside.set()
            done.wait(10)

    configuration = configure(root, console=None, spans=False)
    configuration.handlers.append(Slow())
    thread = threading.Thread(target=configuration.shutdown)
    thread.start()
    assert inside.wait(10)
    pid = os.fork()
    if not pid:
        status = 1
        try:
            signal.alarm(10)
            configure(tmp_path / "child", console=None, spans=False)
            logging.getLogger("a").info("hello")
            status = 0
        finally:
            os._exit(status)
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    done.set()
    thread.join()
    assert ["unknown.logs.jsonl"] == os.listdir(tmp_path / "child")


def test_foreign_handlers_stay(root: Path) -> None:
    """Handlers of others are neither removed nor closed."""
    foreign = logging.NullHandler()
    logging.root.addHandler(foreign)
    configure(root, console=None).shutdown()
    configure(root, console=None)
    configure(root, console=None)
    assert foreign in ours()


def test_existing_provider_stays(root: Path, read_lines: Callable[..., list[Row]]) -> None:
    """A provider that is set stays, its exporters too; session.id is on their spans."""
    provider = TracerProvider(shutdown_on_exit=False)
    theirs = InMemorySpanExporter()
    trace.set_tracer_provider(provider)
    configure(root, console=None)
    provider.add_span_processor(SimpleSpanProcessor(theirs))
    assert provider is trace.get_tracer_provider()
    with session("s1"), trace.get_tracer("tests").start_as_current_span("work"):
        pass
    assert ["work"] == [row["name"] for row in read_lines(span_path("s1", root))]
    assert ["s1"] == [(span.attributes or {})["session.id"] for span in theirs.get_finished_spans()]


def test_no_spans(root: Path) -> None:
    """spans=False leaves the tracer provider alone."""
    before = trace.get_tracer_provider()
    configure(root, console=None, spans=False)
    assert type(before) is type(trace.get_tracer_provider())


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"level": "LOUD"}, ValueError),
        ({"console": "html"}, ValueError),
        ({"max_bytes": -1}, ValueError),
        ({"redact": 5}, TypeError),
        ({"background": True, "overflow": "explode"}, ValueError),
        ({"root": "file"}, OSError),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_failure_leaves_the_first_in_place(
    root: Path, tmp_path: Path, lines: Lines, options: dict[str, Any], error: type[Exception]
) -> None:
    """A second call that fails changes nothing."""
    first = configure(root, console=None)
    before = ours()
    (tmp_path / "file").write_text("")
    with pytest.raises(error):
        configure(
            **{
                "root": tmp_path / "other",
                **options,
                **({"root": tmp_path / "file"} if "root" in options else {}),
            }
        )
    assert before == ours()
    with session("s1"), trace.get_tracer("tests").start_as_current_span("work"):
        logging.getLogger("a").info("hello")
        structlog.get_logger("b").info("hello")
    assert 2 == len(lines("s1"))
    first.shutdown()
    assert 1 == len(before) - len(ours())


@pytest.mark.parametrize("level", [15, 25, "NOTICE", 5, 1000, "NOTSET", 0])
def test_level_of_ones_own(root: Path, lines: Lines, level: int | str) -> None:
    """Any number is a level, and any name that logging knows."""
    logging.addLevelName(25, "NOTICE")
    with configure(root, level=level, console=None, spans=False):
        number = logging.getLevelName(level) if isinstance(level, str) else level
        assert number == logging.root.level
        logging.getLogger("a").log(2000, "yes")
    assert ["yes"] == [row["message"] for row in lines()]


def test_level_holds_for_both(root: Path, lines: Lines) -> None:
    """What is below the level is in neither world's lines; what is not, is."""
    configure(root, level="WARNING", console=None, spans=False)
    for log in (logging.getLogger("a"), structlog.get_logger("b")):
        log.info("no")
        log.warning("yes")
    assert [("a", "yes"), ("b", "yes")] == [(row["logger"], row["message"]) for row in lines()]


def test_level_of_one_logger(root: Path, lines: Lines) -> None:
    """A stdlib logger that is set to a lower level of its own is heard."""
    configure(root, level="WARNING", console=None, spans=False)
    logging.getLogger("a").setLevel(logging.DEBUG)
    logging.getLogger("a").debug("yes")
    assert ["yes"] == [row["message"] for row in lines()]


@pytest.mark.parametrize("level", ["info", "LOUD", "", None, 1.5, True], ids=repr)
def test_bad_level(root: Path, level: Any) -> None:
    """What is no level is an error that says what is one."""
    with pytest.raises(ValueError, match="level must be a number or one of DEBUG"):
        configure(root, level=level)
    with pytest.raises(ValueError, match="level must be a number or one of DEBUG"):
        dict_config(root, level=level)


def test_shutdown(root: Path, lines: Lines) -> None:
    """shutdown() puts back handlers, the root level and structlog's configuration; twice is once."""
    processors = [structlog.processors.KeyValueRenderer()]
    structlog.configure(processors=processors)
    logging.root.setLevel(logging.ERROR)
    before, logger_class = ours(), logging.getLoggerClass()
    configuration = configure(root, level="DEBUG", console="text")
    assert before != ours()
    configuration.shutdown()
    configuration.shutdown()
    assert (before, logging.ERROR) == (ours(), logging.root.level)
    assert processors == structlog.get_config()["processors"]
    assert logger_class is logging.getLoggerClass()
    logging.getLogger("a").error("not in a file")
    assert [] == os.listdir(root)
    del lines


def test_shutdown_of_unconfigured_structlog(root: Path) -> None:
    """Where structlog was not configured, it is not afterwards."""
    configure(root, console=None, spans=False).shutdown()
    assert not structlog.is_configured()


def test_shutdown_of_a_replaced_one(root: Path, tmp_path: Path, lines: Lines) -> None:
    """Shutting down what was replaced already leaves the present one in place."""
    old = configure(tmp_path / "old", console=None)
    configure(root, console=None)
    old.shutdown()
    logging.getLogger("a").info("hello")
    assert 1 == len(lines())


def test_shutdown_stops_the_span_files(root: Path) -> None:
    """After shutdown() spans are in no file, though the provider stays."""
    configure(root, console=None).shutdown()
    with session("s1"), trace.get_tracer("tests").start_as_current_span("work"):
        pass
    assert [] == os.listdir(root)
    configure(root, console=None)
    with session("s1"), trace.get_tracer("tests").start_as_current_span("work"):
        pass
    assert ["s1.spans.jsonl"] == os.listdir(root)


@pytest.mark.parametrize("ending", ["shutdown", "configure"])
def test_a_session_inside_that_of_the_environment(
    root: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    """Whoever is in a session or a span of its own stays there; outside, the environment's is left."""
    monkeypatch.setenv("TRACECTRL_SESSION_ID", "parents")
    monkeypatch.setenv("TRACEPARENT", f"00-{'a' * 32}-{'b' * 16}-01")
    configuration = configure(root, console=None)

    def end() -> None:
        nonlocal configuration
        if ending == "configure":
            configuration = configure(root, console=None, level="DEBUG")
        else:
            configuration.shutdown()

    tracer = trace.get_tracer("tests")
    with session("mine"), tracer.start_as_current_span("work") as span:
        end()
        assert ("mine", span) == (current_session_id(), trace.get_current_span())
    assert "parents" == current_session_id()
    with tracer.start_as_current_span("work") as span:
        end()
        assert ("parents", span) == (current_session_id(), trace.get_current_span())
    configuration.shutdown()
    assert current_session_id() is None
    assert not trace.get_current_span().get_span_context().is_valid


def test_a_session_set_inside_that_of_the_environment(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """set_session_id() replaces the session of the environment for good."""
    monkeypatch.setenv("TRACECTRL_SESSION_ID", "parents")
    configuration = configure(root, console=None)
    assert "parents" == current_session_id()
    set_session_id("mine")
    configuration.shutdown()
    assert "mine" == current_session_id()


def test_context_manager(root: Path, lines: Lines) -> None:
    """In a with statement it is undone at the end."""
    before = ours()
    with configure(root, console=None, background=True, spans=False):
        logging.getLogger("a").info("hello")
    assert before == ours()
    assert 1 == len(lines())


def test_logger_made_before(root: Path, lines: Lines) -> None:
    """A structlog logger that a module made before the call follows it."""
    log = structlog.get_logger("early")
    configure(root, console=None, spans=False)
    log.info("hello")
    assert ["early"] == [row["logger"] for row in lines()]


def test_bound_variables(root: Path, lines: Lines) -> None:
    """structlog's context variables and bound values are extras."""
    configure(root, console=None, spans=False)
    with structlog.contextvars.bound_contextvars(request="r1"):
        structlog.get_logger("a").bind(user="u1").info("hello", x=1)
    assert {"request": "r1", "user": "u1", "x": 1} == dict(list(lines()[0].items())[5:])


async def test_async_methods(root: Path, lines: Lines) -> None:
    """``ainfo`` and ``aexception`` end in the session's file, exception and all."""
    configure(root, console=None, spans=False)
    with session("s1"):
        await structlog.get_logger("a").ainfo("one", x=1)
        try:
            raise KeyError("x")  # noqa: EM101, TRY301
        except KeyError:
            await structlog.get_logger("a").aexception("two")
    one, two = lines("s1")
    assert (1, "KeyError") == (one["x"], two["exception"]["type"])


def test_capture_logs(root: Path) -> None:
    """``structlog.testing.capture_logs`` works, and undoes itself."""
    configure(root, console=None, spans=False)
    with structlog.testing.capture_logs() as captured:
        structlog.get_logger("a").info("hello", x=1)
    assert [{"event": "hello", "x": 1, "log_level": "info"}] == captured
    assert [] == os.listdir(root)


def test_foreign_handler_of_structlog_events(root: Path) -> None:
    """A handler of somebody else reads a structlog event as text, whatever is in it."""

    class Bad:
        def __repr__(self) -> str:
            raise RuntimeError

    texts: list[str] = []
    foreign = logging.Handler()
    foreign.emit = lambda record: texts.append(record.getMessage())  # type: ignore[method-assign]
    logging.root.addHandler(foreign)
    configure(root, console=None, spans=False)
    structlog.get_logger("a").info("hello", x=1)
    structlog.get_logger("a").info("hello", x=Bad())
    assert ["hello", "hello"] == texts


def test_warnings(root: Path, lines: Lines) -> None:
    """``logging.captureWarnings`` ends in the session's file."""
    configure(root, console=None, spans=False)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        with session("s1"):
            warnings.warn("beware", UserWarning, stacklevel=1)
        logging.captureWarnings(capture=False)
    (row,) = lines("s1")
    assert ("py.warnings", "WARNING") == (row["logger"], row["level"])
    assert "UserWarning: beware" in row["message"]


def test_redact_and_rotation(root: Path, lines: Lines) -> None:
    """Redaction holds for lines and spans, and on the console."""
    configure(root, console=None, redact=["password"], max_bytes=100_000, backup_count=1)
    with session("s1"), trace.get_tracer("tests").start_as_current_span("work") as span:
        span.set_attribute("password", "p1")
        structlog.get_logger("a").info("hello", password="p1")  # noqa: S106
        logging.getLogger("b").info("hello", extra={"password": "p1"})
    assert ["[redacted]"] * 2 == [row["password"] for row in lines("s1")]
    assert "p1" not in span_path("s1", root).read_text()


# --- the console ----------------------------------------------------------------------------------


def test_console_text(root: Path, capsys: Capsys) -> None:
    """Text for people goes to stderr, escapes shown; nothing goes to stdout."""
    configure(root, spans=False)
    with session("0123456789"):
        logging.getLogger("a").info("hello \x1b[31m", extra={"x": 1})
        structlog.get_logger("b").error("oops", exc_info=ValueError("bad"))
    out, err = capsys.readouterr()
    assert "" == out
    assert "INFO     a [01234567] hello \\x1b[31m x=1\n" in err
    assert "ERROR    b [01234567] oops\nValueError: bad\n" in err
    assert "\x1b" not in err


def test_console_json(root: Path, capsys: Capsys, parse_line: Callable[[str], Row]) -> None:
    """JSON for machines goes to stderr, the same lines as in the file."""
    configure(root, console="json", service_name="shop", spans=False)
    with session("s1"):
        logging.getLogger("a").info("hello", extra={"x": 1})
        structlog.get_logger("b").info("hello", x=1)
    out, err = capsys.readouterr()
    assert "" == out
    assert (root / "s1.logs.jsonl").read_text() == err
    assert ["a", "b"] == [parse_line(line)["logger"] for line in err.splitlines()]


def test_console_none(root: Path, capsys: Capsys) -> None:
    """None leaves the terminal alone."""
    configure(root, console=None)
    logging.getLogger("a").critical("hello")
    structlog.get_logger("b").critical("hello")
    assert ("", "") == capsys.readouterr()


@pytest.mark.parametrize("call", [configure, dict_config])
def test_bad_console(root: Path, call: Callable[..., object]) -> None:
    """Another console is an error that says what there is."""
    with pytest.raises(ValueError, match="'text', 'json' or None"):
        call(root, console="html")
    with pytest.raises(ValueError, match="'text', 'json' or None"):
        call(root, console=False)


# --- dictConfig -----------------------------------------------------------------------------------


def handler_config(root: Path, **options: Any) -> dict[str, Any]:
    """Return a configuration with a handler by its class path."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {
            "files": {
                "class": "tracectrl_logging.SessionFileHandler",
                "root": str(root),
                **options,
            }
        },
        "root": {"level": "INFO", "handlers": ["files"]},
    }


def as_is(config: dict[str, Any]) -> dict[str, Any]:
    """Return *config*."""
    return config


def through_json(config: dict[str, Any]) -> Any:
    """Return *config* as JSON brings it back."""
    return json.loads(json.dumps(config))


def through_yaml(config: dict[str, Any]) -> Any:
    """Return *config* as YAML brings it back."""
    return yaml.safe_load(yaml.safe_dump(config))


WAYS = pytest.mark.parametrize("way", [as_is, through_json, through_yaml])


@WAYS
@pytest.mark.parametrize("key", ["class", "()"])
def test_class_path(root: Path, lines: Lines, way: Callable[..., Any], key: str) -> None:
    """The handler works by its dotted name, as a class and as a factory, with its options."""
    config = handler_config(root, level="WARNING", max_bytes=100_000, backup_count=2, redact=["pw"])
    handler = config["handlers"]["files"]
    config["handlers"]["files"] = {key: handler.pop("class"), **handler}
    logging.config.dictConfig(way(config))
    logging.getLogger("a").info("no")
    logging.getLogger("a").warning("yes", extra={"pw": "secret"})
    assert [("yes", "[redacted]")] == [(row["message"], row["pw"]) for row in lines()]


@WAYS
def test_everything_by_name(root: Path, lines: Lines, way: Callable[..., Any]) -> None:
    """Filter, formatter and handler by name, and stdlib's own around them."""
    config = handler_config(root)
    config["filters"] = {"stamp": {"()": "tracectrl_logging.SessionContextFilter", "default": "-"}}
    config["formatters"] = {
        "json": {
            "()": "tracectrl_logging.SessionJsonFormatter",
            "rename_fields": {"level": "severity"},
            "static_fields": {"env": "prod"},
        },
        "by class": {"class": "tracectrl_logging.SessionJsonFormatter", "format": "%(message)s"},
    }
    config["handlers"]["files"] |= {"filters": ["stamp"], "formatter": "json"}
    config["handlers"]["other"] = {
        "class": "tracectrl_logging.SessionFileHandler",
        "root": str(root / "other"),
        "formatter": "by class",
    }
    config["root"]["handlers"].append("other")
    logging.config.dictConfig(way(config))
    with session("s1"):
        logging.getLogger("a").info("hello")
    (row,) = lines("s1")
    assert ["timestamp", "severity", "logger", "message", "session_id", "env"] == list(row)
    assert ["s1.logs.jsonl"] == os.listdir(root / "other")


@pytest.mark.parametrize("key", ["class", "()"])
def test_unknown_option(root: Path, key: str) -> None:
    """An unknown option is an error that names the handler and the option; nothing is lost."""
    config = handler_config(root, colour="blue")
    handler = config["handlers"]["files"]
    config["handlers"]["files"] = {key: handler.pop("class"), **handler}
    with pytest.raises(ValueError, match="files") as caught:
        logging.config.dictConfig(config)
    assert "colour" in str(caught.value.__cause__)


def test_bad_option(root: Path) -> None:
    """An option with a bad value is an error that says what it takes."""
    with pytest.raises(ValueError, match="files") as caught:
        logging.config.dictConfig(handler_config(root, max_open_files=0))
    assert "max_open_files must be at least 1" in str(caught.value.__cause__)


def test_root_that_is_a_file(tmp_path: Path) -> None:
    """A root that is a file is an error that says so."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="files") as caught:
        logging.config.dictConfig(handler_config(tmp_path / "file"))
    assert isinstance(caught.value.__cause__, OSError)


def test_incremental(root: Path, lines: Lines) -> None:
    """An incremental configuration changes the handler's level."""
    logging.config.dictConfig(handler_config(root))
    config = {"version": 1, "incremental": True, "handlers": {"files": {"level": "ERROR"}}}
    logging.config.dictConfig(config)
    logging.getLogger("a").warning("no")
    logging.getLogger("a").error("yes")
    assert ["yes"] == [row["message"] for row in lines()]


def test_configured_again(root: Path, tmp_path: Path, lines: Lines) -> None:
    """A second dictConfig closes the first's handlers; lines go to the second's."""
    logging.config.dictConfig(handler_config(tmp_path / "first", background=True))
    logging.getLogger("a").info("one")
    logging.config.dictConfig(handler_config(root))
    logging.getLogger("a").info("two")
    assert ["two"] == [row["message"] for row in lines()]
    assert 1 == len((tmp_path / "first" / "unknown.logs.jsonl").read_bytes().splitlines())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="came with Python 3.12")
def test_queue_handler(root: Path, lines: Lines) -> None:
    """dictConfig's own QueueHandler and QueueListener, with the filter before the queue."""
    config = handler_config(root)
    config["filters"] = {"stamp": {"()": "tracectrl_logging.SessionContextFilter"}}
    config["handlers"]["queue"] = {
        "class": "logging.handlers.QueueHandler",
        "handlers": ["files"],
        "filters": ["stamp"],
    }
    config["root"]["handlers"] = ["queue"]
    logging.config.dictConfig(config)
    queue_handler: Any = logging.root.handlers[-1]
    queue_handler.listener.start()
    with session("s1"):
        logging.getLogger("a").info("hello", extra={"x": 1})
    queue_handler.listener.stop()
    assert [("hello", 1)] == [(row["message"], row["x"]) for row in lines("s1")]


@WAYS
@pytest.mark.parametrize("console", ["text", "json", None])
def test_dict_config(
    root: Path, lines: Lines, capsys: Capsys, way: Callable[..., Any], console: Any
) -> None:
    """What dict_config() returns, JSON and YAML can hold, and dictConfig takes."""
    config = dict_config(root, service_name="shop", level="DEBUG", console=console, redact=["pw"])
    logging.config.dictConfig(way(config))
    with session("s1"):
        logging.getLogger("a").debug("hello", extra={"pw": "secret"})
    (row,) = lines("s1")
    assert ("DEBUG", "shop", "[redacted]") == (row["level"], row["service"], row["pw"])
    out, err = capsys.readouterr()
    assert ("", console is not None) == (out, "hello" in err)
    assert "secret" not in err


def test_dict_config_says_what_differs(root: Path) -> None:
    """It holds what differs from the defaults; every option of a handler is passed on."""
    assert {"class": "tracectrl_logging.SessionFileHandler"} == dict_config()["handlers"]["session"]
    options: Row = {
        "max_bytes": 9,
        "backup_count": 2,
        "max_open_files": 3,
        "max_sessions_per_minute": 4,
        "max_value_bytes": 64,
        "background": True,
        "queue_size": 5,
        "overflow": "drop_new",
    }
    config = dict_config(root, **options)
    assert options == {key: config["handlers"]["session"][key] for key in options}
    handler = SessionFileHandler(root, **options)
    handler.close()


def test_logger_adapter(root: Path, lines: Lines) -> None:
    """A LoggerAdapter's extras are extras; its session_id is the session."""
    logging.config.dictConfig(handler_config(root))
    logging.LoggerAdapter(logging.getLogger("a"), {"session_id": "s1", "x": 1}).info("hello")
    assert [1] == [row["x"] for row in lines("s1")]


# --- uvicorn --------------------------------------------------------------------------------------


async def application(_: Any, __: Any, send: Any) -> None:
    """Answer everything with 200."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def serve() -> Iterator[Callable[..., None]]:
    """Return the function that serves one request with uvicorn on a free loopback port."""

    def run(**options: Any) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            config = uvicorn.Config(application, lifespan="off", ws="none", **options)
            server = uvicorn.Server(config)
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
            thread.start()
            try:
                url = f"http://127.0.0.1:{listening.getsockname()[1]}/path?x=1"
                with urllib.request.urlopen(url, timeout=10) as answer:
                    assert b"ok" == answer.read()
            finally:
                server.should_exit = True
                thread.join(10)
        assert not thread.is_alive()

    yield run
    for name in ("uvicorn", "uvicorn.access", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def check_uvicorn(rows: list[Row]) -> None:
    """Check that the lines of uvicorn's loggers are the contract's."""
    access = [row for row in rows if row["logger"] == "uvicorn.access"]
    errors = [row["message"] for row in rows if row["logger"] == "uvicorn.error"]
    assert 1 == len(access)
    assert '"GET /path?x=1 HTTP/1.1" 200' in access[0]["message"]
    assert any(message.startswith("Started server process [") for message in errors)
    assert all(len(row) == 5 for row in rows if row["logger"].startswith("uvicorn"))


def test_uvicorn_without_a_configuration(
    root: Path, lines: Lines, serve: Callable[..., None]
) -> None:
    """uvicorn's own loggers reach the files where it is told log_config=None."""
    configure(root, console=None, spans=False)
    serve(log_config=None)
    check_uvicorn(lines())


def test_uvicorn_with_our_configuration(
    root: Path, lines: Lines, serve: Callable[..., None], capsys: Capsys
) -> None:
    """So they do where it is given what dict_config() returns."""
    serve(log_config=dict_config(root, console="json"))
    check_uvicorn(lines())
    assert "" == capsys.readouterr().out


def test_many_at_once(root: Path) -> None:
    """Calls in several threads leave one set-up behind, which one shutdown takes away."""
    before = len(logging.root.handlers)
    threads = [
        threading.Thread(target=configure, args=(root,), kwargs={"console": None, "spans": False})
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert before + 1 == len(logging.root.handlers)
    configure(root, console=None, spans=False).shutdown()
    assert before == len(logging.root.handlers)


def test_structlog_exception_reaches_foreign_handlers(root: Path) -> None:
    """A handler of somebody else shows the traceback of a structlog event, too."""
    stream = io.StringIO()
    foreign = logging.StreamHandler(stream)
    logging.root.addHandler(foreign)
    with configure(root, console=None, spans=False):
        try:
            raise LookupError  # noqa: TRY301
        except LookupError:
            structlog.get_logger("a").exception("boom", x=1)
    logging.root.removeHandler(foreign)
    assert "boom" == stream.getvalue().splitlines()[0]
    assert "LookupError" == stream.getvalue().splitlines()[-1]

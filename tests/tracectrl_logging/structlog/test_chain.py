"""structlog's part of configure(): the application's chain in front, a record at its end."""

from __future__ import annotations

import copy
import json
import logging
import logging.handlers
import pickle
import re
import subprocess
import sys
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, cast

import pytest
import structlog
from pythonjsonlogger.json import JsonFormatter
from structlog.stdlib import ProcessorFormatter

from tracectrl.session import session
from tracectrl_logging import (
    SessionContextFilter,
    SessionFileHandler,
    SessionFileLoggerFactory,
    SessionJSONRenderer,
    add_session_context,
    configure,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Row = dict[str, Any]
    Lines = Callable[..., list[Row]]

OWN = {*vars(logging.makeLogRecord({})), "message", "asctime"}
CARD = "4111111111111111"


class Seen(logging.Handler):
    """A handler of somebody else: keeps the records that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep *record*."""
        self.records.append(record)


@pytest.fixture
def seen() -> Iterator[Seen]:
    """Return a foreign handler on the root logger."""
    handler = Seen()
    logging.root.addHandler(handler)
    yield handler
    logging.root.removeHandler(handler)


def set_up(root: Path) -> None:
    """Configure without a console and without spans."""
    configure(root, console=None, spans=False)


def mask(_: Any, __: str, event: Any) -> Any:
    """Mask the card's number."""
    if "card" in event:
        event["card"] = "****"
    return event


def scrub(_: Any, __: str, rendered: Any) -> Any:
    """Mask the card's number in what was rendered."""
    return rendered.replace(CARD, "****")


def as_json(_: Any, __: str, event: Any) -> str:
    """Render as an application may do it itself."""
    return json.dumps(event, default=str)


def as_text(_: Any, __: str, event: Any) -> str:
    """Render as text."""
    return " ".join(f"{key}:{event.pop(key)}" for key in list(event))


def as_bytes(_: Any, __: str, rendered: str) -> bytes:
    """Encode what was rendered."""
    return rendered.encode()


def as_arguments(_: Any, __: str, event: Any) -> Any:
    """Render as the arguments of the wrapped logger."""
    return (event.pop("event"),), {"extra": event}


# --- the application's chain ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "end",
    [
        [structlog.processors.JSONRenderer()],
        [structlog.processors.KeyValueRenderer()],
        [structlog.processors.LogfmtRenderer()],
        [structlog.dev.ConsoleRenderer()],
        [ProcessorFormatter.wrap_for_formatter],
        [structlog.stdlib.render_to_log_kwargs],
        [structlog.stdlib.render_to_log_args_and_kwargs],
        [SessionJSONRenderer()],
        [as_json],
        [as_text],
        [as_arguments],
        [as_json, as_bytes],
        [structlog.processors.JSONRenderer(), as_bytes],
        [structlog.processors.EventRenamer("msg"), structlog.processors.JSONRenderer()],
        [],
    ],
    ids=lambda end: "+".join(getattr(it, "__name__", type(it).__name__) for it in end),
)
@pytest.mark.parametrize("kind", [list, tuple])
def test_all_but_the_renderer(root: Path, lines: Lines, seen: Seen, end: Any, kind: Any) -> None:
    """Whatever renders at the end, what was masked before is masked in files and for others."""
    structlog.configure(processors=kind([structlog.contextvars.merge_contextvars, mask, *end]))
    set_up(root)
    with session("s1"), structlog.contextvars.bound_contextvars(request=7):
        structlog.get_logger("shop").info("paid", card=CARD)
    (row,) = lines("s1")
    assert {"level": "INFO", "logger": "shop", "message": "paid", "session_id": "s1"} == {
        key: row[key] for key in list(row)[1:5]
    }
    assert {"request": 7, "card": "****"} == {key: row[key] for key in list(row)[5:]}
    assert CARD not in repr([vars(record) for record in seen.records])


@pytest.mark.parametrize("last", [mask, as_json], ids=["a processor", "while it renders"])
def test_mask_at_the_very_end(root: Path, lines: Lines, last: Any) -> None:
    """What the last processor masks is masked, whether it renders or not."""

    def masking(logger: Any, method: str, event: Any) -> Any:
        return last(logger, method, mask(logger, method, event))

    structlog.configure(processors=[structlog.contextvars.merge_contextvars, masking])
    set_up(root)
    structlog.get_logger("shop").info("paid", card=CARD, count=2)
    (row,) = lines()
    assert ("paid", "****", 2) == (row["message"], row["card"], row["count"])


@pytest.mark.parametrize(
    "renderer",
    [structlog.processors.JSONRenderer(), structlog.dev.ConsoleRenderer(colors=False)],
    ids=["json", "text"],
)
def test_mask_behind_the_renderer(root: Path, lines: Lines, renderer: Any) -> None:
    """What is masked in the rendered text is masked in the line."""
    structlog.configure(processors=[renderer, scrub])
    set_up(root)
    structlog.get_logger("shop").info("paid", card=CARD)
    (row,) = lines()
    assert CARD not in json.dumps(row)
    assert "paid" in row["message"]


@pytest.mark.parametrize(
    "end",
    [
        structlog.processors.JSONRenderer(
            serializer=lambda event, **_: json.dumps(mask(0, "", event))
        ),
        SessionJSONRenderer(redact=["card"]),
        lambda _, __, event: "card=**** event=" + event["event"],
        lambda _, __, event: ((event["event"],), {"extra": {"card": "****"}}),
    ],
    ids=["serializer", "redact", "text", "arguments"],
)
def test_mask_while_it_renders(root: Path, lines: Lines, end: Any) -> None:
    """What a renderer of any kind leaves out of what it makes of an event is not in the line."""
    structlog.configure(processors=[end])
    set_up(root)
    structlog.get_logger("shop").info("paid", card=CARD)
    (row,) = lines()
    assert CARD not in json.dumps(row)
    assert "paid" in row["message"]


def test_dropped_events(root: Path, lines: Lines) -> None:
    """What the application's processors drop is in no file."""

    def drop(_: Any, __: str, event: Any) -> Any:
        if event["event"] == "health":
            raise structlog.DropEvent
        return event

    structlog.configure(processors=[drop, structlog.processors.JSONRenderer()])
    set_up(root)
    structlog.get_logger("shop").info("health")
    structlog.get_logger("shop").info("paid")
    assert ["paid"] == [row["message"] for row in lines()]


def test_processors_that_need_a_stdlib_logger(root: Path, lines: Lines, seen: Seen) -> None:
    """filter_by_level, names, positional arguments and the call site are the application's."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.CallsiteParameterAdder(
                [structlog.processors.CallsiteParameter.FUNC_NAME]
            ),
            structlog.processors.UnicodeDecoder(),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    set_up(root)
    log = structlog.get_logger("shop")
    log.debug("no")
    log.info("%d of %d", 1, 2, x=1)
    (row,) = lines()
    assert {"x": 1, "func_name": "test_processors_that_need_a_stdlib_logger"} == {
        key: row[key] for key in list(row)[5:]
    }
    assert ("INFO", "shop", "1 of 2") == (row["level"], row["logger"], row["message"])
    (record,) = seen.records
    assert (__file__, "test_processors_that_need_a_stdlib_logger") == (
        record.pathname,
        record.funcName,
    )


@pytest.mark.parametrize(
    "renderer",
    [
        structlog.processors.format_exc_info,
        structlog.processors.dict_tracebacks,
        structlog.processors.CallsiteParameterAdder([]),
    ],
    ids=["text", "dicts", "as it is"],
)
def test_exception_in_any_form(root: Path, lines: Lines, seen: Seen, renderer: Any) -> None:
    """The exception has its type and message, whatever a processor has made of it."""
    structlog.configure(processors=[renderer, structlog.processors.JSONRenderer()])
    set_up(root)
    try:
        raise LookupError("gone")  # noqa: EM101, TRY301
    except LookupError:
        structlog.get_logger("a").exception("failed", x=1)
    (row,) = lines()
    assert ("LookupError", "gone") == (row["exception"]["type"], row["exception"]["message"])
    assert ["exception", "x"] == list(row)[5:]
    shown = logging.Formatter().format(seen.records[0]).splitlines()
    assert ("failed", "LookupError: gone") == (shown[0], shown[-1])


def test_wrapper_class_stays(root: Path, lines: Lines) -> None:
    """Methods of the application's own wrapper class are there, and its logger's are not needed."""

    class Wrapper(structlog.BoundLogger):
        def success(self, event: str, **fields: Any) -> Any:
            return self._proxy_to_logger("success", event, **fields)

    structlog.configure(
        processors=[structlog.processors.JSONRenderer()],
        wrapper_class=Wrapper,
        logger_factory=structlog.PrintLoggerFactory(),
    )
    set_up(root)
    structlog.get_logger("a").success("packed", x=1)
    assert [("INFO", "packed", 1)] == [(r["level"], r["message"], r["x"]) for r in lines()]


async def test_async_wrapper(root: Path, lines: Lines, seen: Seen) -> None:
    """structlog's asynchronous logger keeps session, exception and call site."""
    structlog.configure(
        processors=[structlog.processors.JSONRenderer()],
        wrapper_class=structlog.stdlib.AsyncBoundLogger,
    )
    set_up(root)
    with session("s1"):
        await structlog.get_logger("a").info("one")
    assert ["one"] == [row["message"] for row in lines("s1")]
    assert "test_async_wrapper" == seen.records[0].funcName


async def test_async_methods_call_site(root: Path, seen: Seen) -> None:
    """The call site of ``ainfo`` is the coroutine that awaits it."""
    set_up(root)
    await structlog.get_logger("a").ainfo("one")
    assert "test_async_methods_call_site" == seen.records[0].funcName


def test_cached_loggers(root: Path, tmp_path: Path, lines: Lines) -> None:
    """With loggers that structlog caches, what is logged goes where the present set-up says."""
    structlog.configure(
        processors=[mask, structlog.processors.JSONRenderer()], cache_logger_on_first_use=True
    )
    log = structlog.get_logger("a")
    with configure(tmp_path / "first", console=None, spans=False):
        log.info("one")
    set_up(root)
    log.info("two", card=CARD)
    (row,) = lines()
    assert ("two", "****") == (row["message"], row["card"])


def test_wrapped_logger_of_ones_own(root: Path, lines: Lines) -> None:
    """wrap_logger() around any logger takes part, and raises nothing."""
    set_up(root)
    structlog.wrap_logger(structlog.PrintLogger()).info("one")
    structlog.wrap_logger(logging.getLogger("std")).info("two")
    adapter = logging.LoggerAdapter(logging.getLogger("std"), {"tenant": "acme"})
    structlog.wrap_logger(adapter).info("three")
    assert ["root", "std", "std"] == [row["logger"] for row in lines()]
    assert "acme" == lines()[2]["tenant"]


def test_factory_of_stdlib_loggers_stays(root: Path, lines: Lines) -> None:
    """A factory that makes the standard library's loggers is asked for them."""
    structlog.configure(
        processors=[structlog.processors.JSONRenderer()],
        logger_factory=lambda *args: logging.getLogger(f"prefix.{args[0]}"),
    )
    set_up(root)
    structlog.get_logger("a").info("one")
    assert ["prefix.a"] == [row["logger"] for row in lines()]


def test_name_of_the_module(root: Path, lines: Lines) -> None:
    """Without a name the logger is that of the calling module."""
    set_up(root)
    structlog.get_logger().info("one")
    assert [__name__] == [row["logger"] for row in lines()]


def test_logger_class(root: Path) -> None:
    """The application's Logger class is in force all the time."""

    class Verbose(logging.getLoggerClass()):  # type: ignore[misc]
        def success(self, text: str) -> None:
            self.info(text)

    before = logging.getLoggerClass()
    logging.setLoggerClass(Verbose)
    try:
        with configure(root, console=None, spans=False):
            structlog.get_logger("verbose.a").info("one")
            assert Verbose is logging.getLoggerClass()
            assert isinstance(logging.getLogger("verbose.a"), Verbose)
        assert Verbose is logging.getLoggerClass()
    finally:
        logging.setLoggerClass(before)


def test_shutdown_puts_back_exactly(root: Path) -> None:
    """Every part of structlog's configuration is the application's own object again."""
    processors = (mask, structlog.processors.JSONRenderer())
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.PrintLoggerFactory(),
        context_class=dict,
        cache_logger_on_first_use=True,
    )
    before = structlog.get_config()
    set_up(root)
    set_up(root)
    configure(root, console=None, spans=False).shutdown()
    after = structlog.get_config()
    assert all(before[key] is after[key] for key in before)


def test_shutdown_leaves_what_others_configured_since(root: Path) -> None:
    """What the application configures behind configure() is its own, and stays."""
    processors = [structlog.processors.JSONRenderer()]
    configuration = configure(root, console=None, spans=False)
    structlog.configure(processors=processors)
    logging.root.setLevel(logging.ERROR)
    configuration.shutdown()
    assert processors is structlog.get_config()["processors"]
    assert logging.ERROR == logging.root.level


def test_second_call_doubles_nothing(root: Path, lines: Lines) -> None:
    """Each processor runs once, however often configure() is called."""
    counted: list[str] = []

    def count(_: Any, method: str, event: Any) -> Any:
        counted.append(method)
        return event

    structlog.configure(processors=[count, as_json])
    for _ in range(3):
        set_up(root)
    structlog.get_logger("a").info("one")
    assert (["info"], 1) == (counted, len(lines()))


# --- loggers of the application's own -------------------------------------------------------------


class Out:
    """An output logger of the application's own."""

    tenant = "acme"

    def __init__(self, *_: Any) -> None:
        self.texts: list[str] = []

    def audit(self, text: str) -> None:
        """Keep *text*."""
        self.texts.append(text)

    info = error = audit


def by_stdlib(*args: Any) -> Any:
    """Return the standard library's logger, by a factory of the application's own."""
    return logging.getLogger(*args)


@pytest.mark.parametrize("factory", [structlog.stdlib.LoggerFactory(), by_stdlib])
@pytest.mark.parametrize(
    ("end", "shown"),
    [
        (structlog.processors.JSONRenderer(), '{"card": "****", "event": "paid"}'),
        (structlog.processors.KeyValueRenderer(), "card='****' event='paid'"),
        (structlog.processors.LogfmtRenderer(), "card=**** event=paid"),
        (structlog.stdlib.render_to_log_kwargs, "paid"),
    ],
    ids=["json", "key-value", "logfmt", "arguments"],
)
def test_records_stay_what_they_were(
    root: Path, lines: Lines, seen: Seen, factory: Any, end: Any, shown: str
) -> None:
    """Where the application logs by logging, handlers of its own see what it has rendered."""
    structlog.configure(
        processors=[mask, end],
        logger_factory=factory,
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    log = logging.getLogger("stays")
    log.setLevel("INFO")
    structlog.get_logger("stays").info("paid", card=CARD)
    set_up(root)
    with session("s1"):
        structlog.get_logger("stays").info("paid", card=CARD)
    before, after = (logging.Formatter("%(message)s").format(it) for it in seen.records)
    assert [shown, shown] == [before, after]
    assert "test_records_stay_what_they_were" == seen.records[1].funcName
    (row,) = lines("s1")
    assert ("stays", "paid", "****") == (row["logger"], row["message"], row["card"])


def test_method_that_logging_does_not_have(root: Path, lines: Lines) -> None:
    """A wrapper class may have methods that its logger lacks; arguments are in the message."""

    class Wrapper(structlog.stdlib.BoundLogger):
        def success(self, event: str, *args: Any, **fields: Any) -> Any:
            return self._proxy_to_logger("success", event, *args, **fields)

    structlog.configure(
        processors=[structlog.processors.JSONRenderer()],
        logger_factory=by_stdlib,
        wrapper_class=Wrapper,
    )
    set_up(root)
    structlog.get_logger("a").success("packed %d", 2, x=1)
    structlog.get_logger("a").info("packed %d", 3, x=1)
    assert ["packed 2", "packed 3"] == [row["message"] for row in lines()]
    assert all(["x"] == list(row)[5:] for row in lines())


def test_own_processor_formatter_beside_us(root: Path, lines: Lines, seen: Seen) -> None:
    """A ProcessorFormatter of the application's has the event that it always had."""
    structlog.configure(
        processors=[structlog.stdlib.add_log_level, ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    set_up(root)
    structlog.get_logger("shop").info("paid", amount=3)
    formatter = ProcessorFormatter(
        processors=[
            ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(sort_keys=True),
        ]
    )
    shown = '{"amount": 3, "event": "paid", "level": "info"}'
    assert shown == formatter.format(seen.records[0])
    assert [("paid", 3)] == [(row["message"], row["amount"]) for row in lines()]


@pytest.mark.parametrize("where", ["filter", "class", "factory of records"])
def test_masked_on_the_way_to_logging(
    root: Path, lines: Lines, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """What masks the rendered text of an event masks its fields, too."""

    class Masking(logging.Logger):
        def _log(self, level: int, msg: object, args: Any, **options: Any) -> None:  # type: ignore[override]
            super()._log(level, str(msg).replace(CARD, "****"), args, **options)

    class Record(logging.LogRecord):
        def __init__(
            self, name: str, level: int, path: str, line: int, msg: Any, *rest: Any
        ) -> None:
            super().__init__(name, level, path, line, str(msg).replace(CARD, "****"), *rest)

    def masking(record: logging.LogRecord) -> bool:
        record.msg = record.msg.replace(CARD, "****")
        return True

    structlog.configure(processors=[structlog.processors.JSONRenderer()], logger_factory=by_stdlib)
    set_up(root)
    log: logging.Logger = logging.getLogger(f"masked by a {where}")
    if where == "filter":
        log.addFilter(masking)
    elif where == "class":
        monkeypatch.setattr(log, "__class__", Masking)
    else:
        logging.setLogRecordFactory(Record)
    try:
        structlog.get_logger(log.name).info("paid", card=CARD)
    finally:
        log.removeFilter(masking)
        logging.setLogRecordFactory(logging.LogRecord)
    assert [("paid", "****")] == [(row["message"], row["card"]) for row in lines()]


@pytest.mark.parametrize("exc_info", [None, ValueError("no")])
def test_logger_class_that_masks(
    root: Path, lines: Lines, monkeypatch: pytest.MonkeyPatch, exc_info: Any
) -> None:
    """A Logger class masks the text of events, whatever structlog was configured to be."""

    class Masking(logging.Logger):
        def _log(self, level: int, msg: object, args: Any, **options: Any) -> None:  # type: ignore[override]
            super()._log(level, str(msg).replace(CARD, "****"), args, **options)

        def makeRecord(self, name: str, lvl: int, *rest: Any) -> logging.LogRecord:  # noqa: N802
            return super().makeRecord(name, lvl, *rest)

    set_up(root)
    monkeypatch.setattr(logging.getLogger("masking"), "__class__", Masking)
    structlog.get_logger("masking").info(f"paid {CARD}", count=2, exc_info=exc_info)
    (row,) = lines()
    assert ("paid ****", 2) == (row["message"], row["count"])
    assert (exc_info is not None) == ("exception" in row)


def test_held_back_text(root: Path, tmp_path: Path) -> None:
    """An event that the application logs by logging keeps its session where a handler holds it back."""
    target = SessionFileHandler(tmp_path / "held")
    memory = logging.handlers.MemoryHandler(10, flushLevel=logging.ERROR, target=target)
    structlog.configure(
        processors=[structlog.processors.KeyValueRenderer()], logger_factory=by_stdlib
    )
    set_up(root)
    logging.root.addHandler(memory)
    with session("s1"):
        try:
            raise LookupError("gone")  # noqa: EM101, TRY301
        except LookupError:
            structlog.get_logger("a").info("one", x=1, exc_info=True)
    memory.flush()
    target.close()
    logging.root.removeHandler(memory)
    (row,) = map(json.loads, (tmp_path / "held" / "s1.logs.jsonl").read_text().splitlines())
    assert ("one", 1, "gone") == (row["message"], row["x"], row["exception"]["message"])


def test_output_logger_of_ones_own(root: Path, lines: Lines) -> None:
    """It gets what it got before, processors see it, and the line is there, under its name."""
    out = Out()

    def tenant(logger: Any, _: str, event: Any) -> Any:
        return {**event, "tenant": logger.tenant}

    structlog.configure(
        processors=[tenant, structlog.processors.JSONRenderer()],
        logger_factory=lambda *_: out,
        wrapper_class=structlog.BoundLogger,
    )
    set_up(root)
    structlog.get_logger("shop").audit("paid", card=1)
    assert ['{"card": 1, "event": "paid", "tenant": "acme"}'] == out.texts
    (row,) = lines()
    assert ("shop", "paid", "acme") == (row["logger"], row["message"], row["tenant"])


def test_output_logger_that_logs(root: Path, lines: Lines) -> None:
    """What it hands on to logging is no second line, on the console neither."""

    class Forward(Out):
        def info(self, text: str) -> None:
            logging.getLogger("forward").info(text)

    structlog.configure(
        processors=[structlog.processors.JSONRenderer()],
        logger_factory=Forward,
        wrapper_class=structlog.BoundLogger,
    )
    configure(root, spans=False)
    structlog.get_logger("shop").info("paid", card=1)
    assert [("shop", "paid")] == [(row["logger"], row["message"]) for row in lines()]


def test_output_to_a_file(root: Path, tmp_path: Path, lines: Lines) -> None:
    """A file that the application writes its events to is written on."""
    with (tmp_path / "app.log").open("w") as file:
        structlog.configure(
            processors=[structlog.processors.JSONRenderer()],
            logger_factory=structlog.WriteLoggerFactory(file=file),
        )
        set_up(root)
        structlog.get_logger("shop").info("paid")
    assert '{"event": "paid"}\n' == (tmp_path / "app.log").read_text()
    assert [("shop", "paid")] == [(row["logger"], row["message"]) for row in lines()]


def test_wrapper_class_with_a_way_of_its_own(root: Path, lines: Lines) -> None:
    """A class that runs the processors itself gets what they return, and nothing is raised."""

    class Wrapper(structlog.BoundLoggerBase):
        def info(self, event: str, **fields: Any) -> Any:
            args, options = self._process_event("info", event, fields)
            return self._logger.info(*args, **options)

    structlog.configure(processors=[structlog.processors.JSONRenderer()], wrapper_class=Wrapper)
    set_up(root)
    structlog.get_logger("shop").info("paid", card=1)
    assert [("paid", 1)] == [(row["message"], row["card"]) for row in lines()]


@pytest.mark.parametrize("again", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])  # noqa: S301
@pytest.mark.parametrize("is_configured", [True, False])
def test_copies_of_bound_loggers(root: Path, lines: Lines, again: Any, is_configured: bool) -> None:  # noqa: FBT001
    """A bound logger may be copied and pickled, as structlog's own may."""
    if is_configured:
        structlog.configure(
            processors=[structlog.processors.JSONRenderer()],
            logger_factory=structlog.stdlib.LoggerFactory(),
            wrapper_class=structlog.stdlib.BoundLogger,
        )
    set_up(root)
    again(structlog.get_logger("shop").bind(x=1)).info("one")
    assert [("shop", "one", 1)] == [(r["logger"], r["message"], r["x"]) for r in lines()]


def test_values_that_cannot_be_compared(root: Path, lines: Lines) -> None:
    """What an event's values do when they are compared is nobody's concern."""

    class Foreign:
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            raise RuntimeError

    set_up(root)
    for key in ("logger", "level", "timestamp", "stacklevel", "stack", "exception", "session_id"):
        structlog.get_logger("shop").info("one", **{key: Foreign()})
    assert 6 == len(lines())


@pytest.mark.parametrize("to", ["message", "text"])
def test_renamed_event(root: Path, lines: Lines, to: str) -> None:
    """EventRenamer's text is the message, and what takes the place of the event a field."""
    structlog.configure(
        processors=[
            structlog.processors.EventRenamer(to, replace_by="_event"),
            structlog.processors.JSONRenderer(),
        ]
    )
    set_up(root)
    structlog.get_logger("shop").info("signed up", _event="user.signup")
    (row,) = lines()
    assert ("signed up", "user.signup") == (row["message"], row["event"])


@pytest.mark.parametrize(
    "end",
    [
        [structlog.processors.JSONRenderer(), scrub],
        [structlog.dev.ConsoleRenderer(colors=False, exception_formatter=lambda *_: None)],
        [lambda _, __, event: f"{event['event']}"],
    ],
    ids=["behind json", "console", "text"],
)
def test_exception_that_is_not_shown(root: Path, lines: Lines, end: Any) -> None:
    """What an exception says is in no line where the end of the chain may mask it; its type is."""
    structlog.configure(processors=end)
    set_up(root)
    structlog.get_logger("shop").error("failed", exc_info=ValueError(CARD))
    (row,) = lines()
    assert CARD not in str(row)
    assert ("failed", "ValueError") == (row["message"], row["exception"]["type"])


def test_group_by_dict_tracebacks(root: Path, lines: Lines) -> None:
    """The exception of the line is the group, its members are in the stack trace."""
    structlog.configure(
        processors=[structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
    )
    set_up(root)
    group = {"exc_type": "G", "exc_value": "many", "frames": []}
    inner = {"exc_type": "ValueError", "exc_value": "reason", "frames": []}
    structlog.get_logger("a").error("failed", exception=[{**group, "exceptions": [[inner]]}])
    (row,) = lines()
    assert ("G", "many") == (row["exception"]["type"], row["exception"]["message"])
    assert "  | ValueError: reason" in row["exception"]["stacktrace"]


@pytest.mark.parametrize("end", [[], [structlog.processors.JSONRenderer()]])
@pytest.mark.parametrize("factory", [structlog.PrintLoggerFactory(), by_stdlib])
def test_time_of_an_event(root: Path, lines: Lines, seen: Seen, end: Any, factory: Any) -> None:
    """A time that the event brings is the line's, as it is straight to the files."""
    if end:
        structlog.configure(processors=end, logger_factory=factory)
    set_up(root)
    structlog.get_logger("a").info("measured", timestamp=1700000000)
    (row,) = lines()
    assert ("measured", "2023-11-14T22:13:20.000000Z") == (row["message"], row["timestamp"])
    assert ["session_id"] == list(row)[4:]
    assert 1 == len(seen.records)


def test_keys_that_are_told_apart(root: Path, lines: Lines) -> None:
    """What only looks like a flag or another tool's attribute is a key."""
    set_up(root)
    structlog.get_logger("a").info("one", stacklevel="high", color_message="red", stack_info=[1])
    (row,) = lines()
    assert {"stacklevel": "high", "color_message": "red"} == {
        key: row[key] for key in list(row)[5:]
    }


# --- bridges --------------------------------------------------------------------------------------


class Bridge(logging.Handler):
    """Hands the standard library's records to structlog."""

    def __init__(self, prefix: str = "") -> None:
        super().__init__()
        self.prefix = prefix

    def emit(self, record: logging.LogRecord) -> None:
        """Log *record* as an event."""
        text = self.prefix + record.getMessage()
        structlog.get_logger(record.name).log(record.levelno, text)


@pytest.mark.parametrize("before", [True, False], ids=["before", "behind"])
def test_bridge_to_structlog(root: Path, lines: Lines, before: bool) -> None:  # noqa: FBT001
    """A root handler that makes events of records neither recurses nor doubles a line."""
    bridge = Bridge()
    if before:
        logging.root.addHandler(bridge)
    set_up(root)
    if not before:
        logging.root.addHandler(bridge)
    logging.getLogger("lib").info("from %s", "stdlib")
    structlog.get_logger("app").info("from structlog")
    assert ["from stdlib", "from structlog"] == [row["message"] for row in lines()]


async def test_bridge_of_asynchronous_events(root: Path, lines: Lines) -> None:
    """An event of ``ainfo``, whose call site is on no stack, does not recurse either."""
    logging.root.addHandler(Bridge())
    set_up(root)
    await structlog.get_logger("app").ainfo("one")
    assert ["one"] == [row["message"] for row in lines()]


def test_bridge_that_changes_the_text(root: Path, lines: Lines) -> None:
    """A bridge with a text of its own is heard once for each record."""
    logging.root.addHandler(Bridge("bridged: "))
    set_up(root)
    logging.getLogger("lib").info("one")
    structlog.get_logger("app").info("two")
    assert ["bridged: one", "bridged: two", "one", "two"] == sorted(
        row["message"] for row in lines()
    )


@pytest.mark.parametrize("prefix", ["", "bridged: "])
def test_bridge_behind_a_queue(root: Path, lines: Lines, prefix: str) -> None:
    """A bridge on a listener's thread does not go round for ever."""
    queue: SimpleQueue[Any] = SimpleQueue()
    logging.root.addHandler(logging.handlers.QueueHandler(queue))
    set_up(root)
    listener = logging.handlers.QueueListener(queue, Bridge(prefix))
    logging.getLogger("lib").info("one")
    for _ in range(5):  # by hand, so that it ends
        if queue.empty():
            break
        listener.handle(queue.get())
    assert queue.empty()
    assert 1 + bool(prefix) == len(lines())


@pytest.mark.parametrize("name", ["same", "app"])
def test_bridge_of_a_logger_that_does_not_propagate(root: Path, lines: Lines, name: str) -> None:
    """What only a bridge hears is a line, once."""

    class Once(Bridge):
        def emit(self, record: logging.LogRecord) -> None:
            structlog.get_logger(name).info(record.getMessage(), source=record.name)

    log, bridge = logging.getLogger("same"), Once()
    log.addHandler(bridge)
    log.setLevel("INFO")
    log.propagate = False
    try:
        set_up(root)
        log.info("started")
    finally:
        log.removeHandler(bridge)
        log.propagate = True
    assert [(name, "started", "same")] == [
        (row["logger"], row["message"], row["source"]) for row in lines()
    ]


def test_bridge_beside_structlog_through_logging(root: Path, lines: Lines) -> None:
    """A bridge on the root logger of an application whose events are records goes round no more."""
    structlog.configure(
        processors=[structlog.processors.JSONRenderer()],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    set_up(root)
    logging.root.addHandler(Bridge())
    logging.getLogger("lib").info("from stdlib")
    structlog.get_logger("app").info("from structlog", x=1)
    assert ["from stdlib", "from structlog"] == [row["message"] for row in lines()]


def test_handler_that_tells_of_itself(root: Path, lines: Lines) -> None:
    """An event that a handler logs of its own accord is a line."""

    class Failing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.name != "shipper":
                structlog.get_logger("shipper").error("cannot ship", text=record.getMessage())

    logging.root.addHandler(Failing())
    set_up(root)
    structlog.get_logger("app").info("one")
    assert {"one", "cannot ship"} == {row["message"] for row in lines()}


# --- what others see ------------------------------------------------------------------------------


def extras(record: logging.LogRecord) -> Row:
    """Return the attributes that a record has beyond its own, less those with an underscore."""
    return {key: value for key, value in vars(record).items() if key not in OWN and key[:1] != "_"}


def test_record(root: Path, seen: Seen) -> None:
    """The text is the message, the keys are attributes; nothing else is there."""
    set_up(root)
    with session("s1"):
        structlog.get_logger("shop").error("100 % declined", attempt=3, tags=["a"])
    (record,) = seen.records
    assert ("shop", logging.ERROR, "100 % declined", ()) == (
        record.name,
        record.levelno,
        record.getMessage(),
        record.args,
    )
    assert {"attempt": 3, "tags": ["a"]} == extras(record)
    assert ("test_record", "test_chain.py") == (record.funcName, record.filename)


def test_keys_that_a_record_has_itself(root: Path, lines: Lines, seen: Seen) -> None:
    """A key that is called like a record's own attribute breaks no formatter, and is in the line."""
    keys: Row = {"name": "bob", "args": (1,), "msg": "m", "levelno": "x", "exc_text": 5, "_own": 6}
    set_up(root)
    structlog.get_logger("shop").info("hello", message="text", **keys)
    (record,) = seen.records
    shown = logging.Formatter("%(name)s %(levelno)d %(message)s %(asctime)s").format(record)
    assert shown.startswith("shop 20 hello ")
    assert {"bob", "m", "x", "text"} <= {str(value) for value in extras(record).values()}
    (row,) = lines()
    assert {"extra_message": "text", **keys, "args": [1]} == {
        key: row[key] for key in list(row)[5:]
    }


def test_record_factory_that_sets_a_key(root: Path, lines: Lines) -> None:
    """A key that a record factory sets, too, raises nothing; the event's is the line's."""
    inner = logging.getLogRecordFactory()

    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = inner(*args, **kwargs)
        record.request = "factory"
        return record

    logging.setLogRecordFactory(factory)
    set_up(root)
    structlog.get_logger("a").info("one", request="event")
    structlog.get_logger("a").info("two")
    assert ["event", "factory"] == [row["request"] for row in lines()]


def test_python_json_logger(root: Path, seen: Seen) -> None:
    """python-json-logger's formatter has the message and the keys, and no more."""
    set_up(root)
    structlog.get_logger("shop").info("packed", parcels=3)
    row = json.loads(JsonFormatter().format(seen.records[0]))
    assert {"message": "packed", "parcels": 3} == {
        key: value for key, value in row.items() if key != "taskName"
    }


def there_and_back(record: logging.LogRecord, way: str) -> logging.LogRecord:
    """Return *record* as it comes out at the other end."""
    if way == "queue":
        queue: SimpleQueue[Any] = SimpleQueue()
        logging.handlers.QueueHandler(queue).handle(record)
        record = queue.get()
        return cast("logging.LogRecord", pickle.loads(pickle.dumps(record)))  # noqa: S301 - as mp
    if way == "socket":
        data = logging.handlers.SocketHandler("localhost", 0).makePickle(record)
        return logging.makeLogRecord(pickle.loads(data[4:]))  # noqa: S301
    return copy.copy(record)


@pytest.mark.parametrize("way", ["copy", "queue", "socket"])
def test_the_same_line_elsewhere(root: Path, tmp_path: Path, way: str, lines: Lines) -> None:
    """Behind a queue, a socket or a copy an event makes the line that it makes here."""
    seen = Seen()
    logging.root.addHandler(seen)
    set_up(root)
    with session("s1"):
        try:
            json.loads("{}")["x"]
        except KeyError:
            structlog.get_logger("a").exception("failed", name="n", x=[1], message="m")
        structlog.get_logger("a").warning("plain", y=2)
    there = SessionFileHandler(tmp_path / "there")
    for record in seen.records:
        there.handle(there_and_back(record, way))
    there.close()
    logging.root.removeHandler(seen)
    here = (root / "s1.logs.jsonl").read_text()
    away = (tmp_path / "there" / "s1.logs.jsonl").read_text()
    assert [json.loads(line) for line in here.splitlines()] == [
        json.loads(line) for line in away.splitlines()
    ]
    assert "KeyError" == lines("s1")[0]["exception"]["type"]


def test_pickle_needs_nothing_of_ours(root: Path, seen: Seen, tmp_path: Path) -> None:
    """A server that does not know this package can read the records that a socket brings."""
    set_up(root)
    with session("s1"):
        structlog.get_logger("a").info("one", x=1)
    data = logging.handlers.SocketHandler("localhost", 0).makePickle(seen.records[0])[4:]
    (tmp_path / "record").write_bytes(data)
    code = (
        "import pickle, sys; row = pickle.load(open(sys.argv[1], 'rb'));"
        "print(row['msg'], row['x'], [m for m in sys.modules if m.startswith('tracectrl')])"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, tmp_path / "record"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "one 1 []\n" == done.stdout


def test_held_back(root: Path, tmp_path: Path) -> None:
    """An event that a MemoryHandler holds back goes to the session that it was logged in."""
    target = SessionFileHandler(tmp_path / "held")
    memory = logging.handlers.MemoryHandler(10, flushLevel=logging.ERROR, target=target)
    logging.root.addHandler(memory)
    set_up(root)
    structlog.get_logger("a").info("outside")
    with session("s1"):
        structlog.get_logger("a").info("one")
    with session("s2"):
        structlog.get_logger("a").error("two")
    names = sorted(path.name for path in (tmp_path / "held").iterdir())
    assert ["s1.logs.jsonl", "s2.logs.jsonl", "unknown.logs.jsonl"] == names
    target.close()


def test_masking_filter_of_a_handler(root: Path, lines: Lines) -> None:
    """What a filter takes off a record, exception included, does not come back."""

    def without(record: logging.LogRecord) -> bool:
        record.exc_info = record.exc_text = None
        record.msg = "masked"
        record.__dict__.pop("card", None)
        return True

    configure(root, console=None, spans=False)
    logging.root.handlers[-1].addFilter(without)
    structlog.get_logger("a").error("paid", card=CARD, exc_info=ValueError(CARD))
    assert CARD not in (root / "unknown.logs.jsonl").read_text()
    assert ["masked"] == [row["message"] for row in lines()]


@pytest.mark.parametrize("keeps", [True, False])
def test_exception_behind_the_json_of_a_formatter(root: Path, lines: Lines, keeps: bool) -> None:  # noqa: FBT001
    """Where a formatter puts the traceback behind the JSON, the line is what the JSON says, and that."""
    structlog.configure(
        processors=[ProcessorFormatter.wrap_for_formatter], logger_factory=by_stdlib
    )
    handler = SessionFileHandler(root)
    renderer: Any = SessionJSONRenderer() if keeps else structlog.processors.JSONRenderer()
    meta = [] if keeps else [ProcessorFormatter.remove_processors_meta]
    handler.setFormatter(ProcessorFormatter(keep_exc_info=True, processors=[*meta, renderer]))
    logging.root.addHandler(handler)
    try:
        raise LookupError("gone")  # noqa: EM101, TRY301
    except LookupError:
        logging.getLogger("lib").exception("failed")
    handler.close()
    (row,) = lines()
    assert "failed" == row["message" if keeps else "event"]
    assert ("LookupError", "gone") == (row["exception"]["type"], row["exception"]["message"])


@pytest.mark.parametrize("renders", [True, False], ids=["ProcessorFormatter", "plain handler"])
def test_chain_by_hand_behind_a_queue(root: Path, lines: Lines, renders: bool) -> None:  # noqa: FBT001
    """wrap_for_formatter and the standard QueueHandler keep fields, session and exception."""
    shared: list[Any] = [structlog.contextvars.merge_contextvars, add_session_context]
    structlog.configure(
        processors=[*shared, ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = SessionFileHandler(root)
    if renders:
        handler.setFormatter(
            ProcessorFormatter(foreign_pre_chain=shared, processors=[SessionJSONRenderer()])
        )
    queue: SimpleQueue[Any] = SimpleQueue()
    queue_handler = logging.handlers.QueueHandler(queue)
    queue_handler.addFilter(SessionContextFilter())
    logging.root.addHandler(queue_handler)
    logging.root.setLevel("INFO")
    listener = logging.handlers.QueueListener(queue, handler)
    listener.start()
    with session("s1"):
        structlog.get_logger("a").info("packed", parcels=3)
        try:
            json.loads("{}")["x"]
        except KeyError:
            structlog.get_logger("a").exception("failed", big=10**30)
        logging.getLogger("b").info("sent", extra={"parcels": 3})
    listener.stop()
    handler.close()
    one, two, three = lines("s1")
    assert ["packed", "failed", "sent"] == [row["message"] for row in (one, two, three)]
    assert [["parcels"], ["exception", "big"], ["parcels"]] == [
        list(row)[5:] for row in (one, two, three)
    ]
    assert ("KeyError", "'x'") == (two["exception"]["type"], two["exception"]["message"])


# --- straight to the files ------------------------------------------------------------------------


def test_filter_by_level_without_stdlib(root: Path, lines: Lines) -> None:
    """structlog's filter_by_level works with our own loggers, which hold nothing back."""
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, SessionJSONRenderer()],
        logger_factory=SessionFileLoggerFactory(root),
    )
    structlog.get_logger("a").debug("one")
    assert ["one"] == [row["message"] for row in lines()]


def test_no_ids_in_texts(root: Path, seen: Seen) -> None:
    """No text that a record makes holds an ID: tools that group by text would see no two alike."""
    set_up(root)
    with session("order-1"):
        structlog.get_logger("shop").error("card declined", attempt=3)
    assert not re.search("order-1", logging.Formatter().format(seen.records[0]))

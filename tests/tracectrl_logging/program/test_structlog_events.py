"""structlog in a captured program is as it configured it, and its events are in the session's file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.tracectrl_logging.conftest import Twins


def test_structlog_as_it_comes_prints_and_is_captured(twins: Twins) -> None:
    """Unconfigured structlog prints to stdout as ever; its events are in the file, keys and all."""
    source = """
        import asyncio, structlog
        structlog.configure(processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.dev.ConsoleRenderer(
                colors=False, exception_formatter=structlog.dev.plain_traceback),
        ])
        log = structlog.get_logger()
        structlog.contextvars.bind_contextvars(tenant="t")
        log.debug("one")
        log.bind(a=1).info("two %s", "words", b=[1])
        asyncio.run(log.ainfo("three"))
        try: 1 / 0
        except ZeroDivisionError: log.exception("four")
        print(structlog.get_config()["processors"])
    """
    source = source.replace('print(structlog.get_config()["processors"])', "print(len(repr(log)))")
    twins.same(source)
    rows = twins.logs()
    assert [
        ("DEBUG", "one", "t"),
        ("INFO", "two words", "t"),
        ("INFO", "three", "t"),
        ("ERROR", "four", "t"),
    ] == [(row["level"], row["message"], row["tenant"]) for row in rows]
    assert (1, [1]) == (rows[1]["a"], rows[1]["b"])
    assert "ZeroDivisionError" == rows[3]["exception"]["type"]


STRUCTLOG_STDLIB = """
    import logging, sys, structlog
    logging.basicConfig(format="%(message)s", stream=sys.stdout)
    structlog.configure(
        processors=[
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.processors.CallsiteParameterAdder(
                [structlog.processors.CallsiteParameter.FUNC_NAME]
            ),
            {last},
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    log = structlog.get_logger("app")
    log.info("not shown", n=1)
    log.warning("shown", n=2)
    logging.getLogger("plain").warning("plain")
"""


@pytest.mark.parametrize(
    "last",
    [
        "structlog.processors.JSONRenderer()",
        "structlog.processors.KeyValueRenderer()",
        "structlog.stdlib.render_to_log_kwargs",
        "structlog.stdlib.ProcessorFormatter.wrap_for_formatter",
    ],
)
def test_structlog_through_logging_is_one_line_with_its_keys(twins: Twins, last: str) -> None:
    """Whatever renders it, an event that goes through logging is captured once, as an event."""
    twins.same(STRUCTLOG_STDLIB.format(last=last))
    rows = [(row["level"], row["logger"], row["message"], row.get("n")) for row in twins.logs()]
    assert [
        ("INFO", "app", "not shown", 1),
        ("WARNING", "app", "shown", 2),
        ("WARNING", "plain", "plain", None),
    ] == rows


@pytest.mark.parametrize("way", ["logger", "stdout"])
def test_event_that_another_logger_passes_to_logging_is_one_line(twins: Twins, way: str) -> None:
    """What structlog's logger, or a stream in place of stdout, logs of an event is no second line."""
    source = f"""
        import logging, sys, structlog
        class Forward:
            def info(self, text): logging.getLogger("app").info(text)
            def write(self, text):
                if text.strip(): logging.getLogger("stdout").warning(text.rstrip())
            def flush(self): pass
        logging.basicConfig(level="INFO", format="%(message)s")
        if {way!r} == "stdout": sys.stdout = Forward()
        factory = structlog.WriteLoggerFactory() if {way!r} == "stdout" else Forward
        structlog.configure([structlog.processors.KeyValueRenderer()], logger_factory=factory)
        structlog.get_logger().info("paid", amount=3)
        structlog.get_logger().info("paid", amount=3)
        logging.info("event='paid' amount=3")
    """
    twins.same(source)
    assert [*[("INFO", "root", "paid")] * 2, ("INFO", "root", "event='paid' amount=3")] == (
        twins.messages()
    )


def test_processors_of_the_program_have_the_last_word(twins: Twins) -> None:
    """What they drop is not in the file, what they mask is masked there; tests capture as ever."""
    source = """
        import structlog
        from structlog.testing import capture_logs
        def mask(logger, method, event):
            if event.get("drop"): raise structlog.DropEvent
            event["password"] = "***"
            return event
        structlog.configure(
            processors=[mask, structlog.processors.JSONRenderer(), lambda _, __, text: text + ' '],
            logger_factory=structlog.WriteLoggerFactory(), cache_logger_on_first_use=True)
        log = structlog.get_logger()
        log.info("kept", password="secret")
        log.info("dropped", drop=True)
        with capture_logs() as events:
            log.info("captured")
        print(events)
    """
    twins.same(source)
    [row] = twins.logs()
    assert ("kept", "***") == (row["message"], row["password"])
    assert b"secret" not in b"".join(path.read_bytes() for path in twins.root.iterdir())


EVENT_OF_EACH_SESSION = """
    import copy, logging, pickle, structlog
    from tracectrl.session import session
    logging.basicConfig(level="WARNING")
    {configured}
    log = structlog.get_logger("shop").bind()
    {prepared}
    with session("alice"):
        log.info("paid", card="4111")
    with session("bob"):
        logging.getLogger("shop").warning("paid")
        log.info("help")
        log.warning("help")
"""


TO_A_FILE = """structlog.configure(processors=[structlog.processors.JSONRenderer()])"""


TO_LOGGING = """structlog.configure(
        processors=[lambda logger, method, event: " ".join(
            [event.pop("event"), *(f"{key}={value}" for key, value in event.items())])],
        logger_factory=structlog.stdlib.LoggerFactory())"""


@pytest.mark.parametrize("configured", [TO_A_FILE, TO_LOGGING])
@pytest.mark.parametrize(
    "prepared",
    [
        "log._processors = list(log._processors)",
        "log._processors = [lambda _, __, event: event, *log._processors]",
        "log._processors.insert(0, lambda _, __, event: event)",
        "log = type(log)(log._logger, copy.copy(log._processors), log._context)",
        "log = copy.copy(log)",
        "log._processors = tuple(log._processors)",
    ],
)
def test_fields_of_an_event_are_in_no_other(twins: Twins, configured: str, prepared: str) -> None:
    """Whoever copies a logger's processors, or changes them: each run sees its own event alone."""
    twins.same(EVENT_OF_EACH_SESSION.format(configured=configured, prepared=prepared))
    assert [("paid", "4111")] == [(row["message"], row["card"]) for row in twins.logs("alice")]
    rows = twins.logs("bob")
    assert ["paid", "help", "help"] == [row["message"] for row in rows]
    assert not any("card" in row for row in rows)


@pytest.mark.parametrize("kind", ["list", "tuple", "dict.fromkeys", "iter", "Foreign"])
def test_processors_are_what_the_program_made_them(twins: Twins, kind: str) -> None:
    """Any iterable of processors runs, and is the very object that the program finds again."""
    source = f"""
        import structlog
        class Foreign:
            __hash__ = None
            def __init__(self, items): self.items = items
            def __iter__(self): return iter(self.items)
            def __eq__(self, other): raise RuntimeError("compared")
        given = {kind}([
            structlog.processors.add_log_level, structlog.processors.KeyValueRenderer()])
        logger = structlog.BoundLogger(structlog.PrintLogger(), given, {{}})
        logger.info("one", n=1)
        print(logger._processors is given, vars(logger)["_processors"] is given)
        print(hasattr(structlog.BoundLogger, "_processors"))
        other = logger.bind(a=1)
        print(other._processors is given, sorted(vars(other)))
        def caller(logger, method, event):
            import sys
            event["caller"] = sys._getframe(1).f_code.co_name + sys._getframe(2).f_code.co_name
            return event
        structlog.BoundLogger(structlog.PrintLogger(), [caller, str], {{}})._processors.pop()
        deep = structlog.BoundLogger(structlog.PrintLogger(), (caller, lambda *a: str(a[2])), {{}})
        deep.info("two")
        try:
            structlog.BoundLogger(structlog.PrintLogger(), None, {{}}).info("three")
        except TypeError as error:
            print(error)
        structlog.BoundLogger(structlog.PrintLogger(), [], {{}}).msg
    """
    twins.same(source)
    assert ["one", "two"] == [row["message"] for row in twins.logs()]
    assert 1 == twins.logs()[0]["n"]


def test_what_foreign_loggers_raise_stays_away_from_the_program(twins: Twins) -> None:
    """A logger that raises when it is looked at, and an event that has no text, print as ever."""
    source = """
        import structlog
        class Logger:
            @property
            def name(self): raise RuntimeError("name")
            def info(self, text): print("shown", text)
        class Silent:
            def __repr__(self): raise RuntimeError("repr")
        structlog.BoundLogger(Logger(), [lambda *_: "text"], {}).info("one")
        structlog.BoundLogger(Logger(), [lambda *_: Silent(), lambda *_: "text"], {}).info("two")
    """
    done = twins.same(source)
    assert (0, "shown text\n" * 2) == (done.returncode, done.stdout)


@pytest.mark.parametrize(
    ("behind", "expected"),
    [
        ("lambda _, __, text: text", ("paid", "4111")),
        (
            "lambda _, __, text: text.replace('4111', '***'), lambda _, __, text: text",
            ("card='***' event='paid'", None),
        ),
    ],
)
def test_processors_behind_the_renderer(
    twins: Twins, behind: str, expected: tuple[str, str | None]
) -> None:
    """One that hands the text on, as an agent's, hides no field; what one masks in it is masked."""
    source = f"""
        import structlog
        structlog.configure(processors=[
            structlog.processors.KeyValueRenderer(sort_keys=True), {behind}])
        structlog.get_logger().info("paid", card="4111")
    """
    twins.same(source)
    [row] = twins.logs()
    assert expected == (row["message"], row.get("card"))


MASKING = """
    import logging, structlog
    from structlog.processors import JSONRenderer, KeyValueRenderer
    class Masking(JSONRenderer):
        def __call__(self, logger, method, event):
            return super().__call__(logger, method, {{**event, "card": "****"}})
    def dumps(event, **options):
        return '{{"event": "paid", "card": "****"}}'
    def masked(logger, method, text):
        return text.replace("4111", "****")
    def masked_dict(logger, method, event):
        return {{**event, "card": "****"}}
    def in_words(logger, method, event):
        return f"{{event['event']}} count={{event['count']}} card=****"
    class Keywords:
        def info(self, **fields): print(fields)
    logging.basicConfig(level="INFO", format="%(message)s")
    structlog.configure(processors=[{end}], logger_factory={factory})
    structlog.get_logger("shop").info("paid", card="4111", count=2)
"""


@pytest.mark.one_python
@pytest.mark.parametrize(
    "factory", ["structlog.PrintLoggerFactory()", "structlog.stdlib.LoggerFactory()"]
)
@pytest.mark.parametrize(
    "end",
    [
        "JSONRenderer(), masked",
        "KeyValueRenderer(), masked",
        "Masking()",
        "JSONRenderer(serializer=dumps)",
        "in_words",
    ],
)
def test_what_the_end_of_a_chain_masks_is_in_no_line(twins: Twins, end: str, factory: str) -> None:
    """A line holds no more of an event than what the program shows of it."""
    twins.same(MASKING.format(end=end, factory=factory))
    [row] = twins.logs()
    assert "4111" not in str(row)
    assert "paid" in row["message"]
    assert "****" in str(row)


def test_a_dict_that_the_last_processor_returns_is_the_event(twins: Twins) -> None:
    """A wrapped logger that takes keywords gets a dict: the line says what is in that."""
    twins.same(MASKING.format(end="masked_dict", factory="lambda *_: Keywords()"))
    [row] = twins.logs()
    assert ("paid", "****", 2) == (row["message"], row["card"], row["count"])


EXCEPTION = """
    import logging, structlog
    from structlog.processors import JSONRenderer, KeyValueRenderer, format_exc_info
    from structlog.dev import Column, ConsoleRenderer, KeyValueColumnFormatter, plain_traceback
    def masked(logger, method, text):
        return text.replace("4111", "****")
    def stars(value):
        return str(value).replace("4111", "****")
    def in_words(logger, method, event):
        return f"{{event['event']}}"
    class Encoder(__import__("json").JSONEncoder):
        def encode(self, event):
            return super().encode(event).replace("4111", "****")
    columns = [Column("", KeyValueColumnFormatter("", "", "", value_repr=stars))]
    def told(out, _):
        out.write("ValueError: ****")
    console = ConsoleRenderer(colors=False, exception_formatter=told)
    structlog.configure(processors=[{end}])
    try: raise ValueError("no 4111")
    except ValueError: structlog.get_logger("shop").{call}
"""


@pytest.mark.one_python
@pytest.mark.parametrize("call", ["exception('failed')", "error('failed', exc_info=True, n=4111)"])
@pytest.mark.parametrize(
    "end",
    [
        "JSONRenderer(), masked",
        "format_exc_info, JSONRenderer(), masked",
        "KeyValueRenderer(), masked",
        "ConsoleRenderer(colors=False, exception_formatter=plain_traceback), masked",
        "JSONRenderer(cls=Encoder)",
        "ConsoleRenderer(columns=columns, exception_formatter=told)",
        "console, masked",
        "in_words",
    ],
)
def test_exception_that_the_end_of_a_chain_masks(twins: Twins, end: str, call: str) -> None:
    """What the program does not show of an exception is in no line; its type is."""
    twins.same(EXCEPTION.format(end=end, call=call))
    [row] = twins.logs()
    assert "4111" not in str({**row, "timestamp": ""})
    assert "failed" in row["message"]
    assert "ValueError" in str(row)


def test_text_that_is_no_event_any_more(twins: Twins) -> None:
    """Of JSON that has no text of the event in it, all is the message."""
    source = """
        import structlog
        structlog.configure(
            processors=[structlog.processors.JSONRenderer(), lambda _, __, text: text.upper()])
        structlog.get_logger().info("kept", count=2)
    """
    twins.same(source)
    [row] = twins.logs()
    assert ('{"COUNT": 2, "EVENT": "KEPT"}', 2) == (row["message"], row["COUNT"])


def test_event_that_was_renamed(twins: Twins) -> None:
    """The text stays the message, whatever stands under its usual name."""
    source = """
        import structlog
        structlog.configure(processors=[
            structlog.processors.EventRenamer("text", replace_by="_event"),
            structlog.processors.JSONRenderer()])
        structlog.get_logger().info("signed up", _event="user.signup")
    """
    twins.same(source)
    [row] = twins.logs()
    assert ("signed up", "user.signup") == (row["message"], row["event"])

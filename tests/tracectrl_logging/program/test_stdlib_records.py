"""A captured program's logging is its own, and its records are in the session's file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.tracectrl_logging.conftest import Twins


BASIC = """
    import logging
    logging.basicConfig({options})
    log = logging.getLogger("app")
    log.debug("debug"); log.info("info"); log.warning("warning")
"""


@pytest.mark.parametrize(
    "options",
    [
        "",
        "level=logging.INFO, format='%(levelname)s %(filename)s:%(lineno)d %(funcName)s'",
        "level=logging.ERROR",
        "force=True, stream=__import__('sys').stdout",
    ],
)
def test_basic_config_does_what_it_does(twins: Twins, options: str) -> None:
    """``basicConfig`` finds no handler in its way; the file has INFO and above in any case."""
    twins.same(BASIC.format(options=options))
    assert [("INFO", "app", "info"), ("WARNING", "app", "warning")] == twins.messages()


def test_debug_lines_that_the_program_lets_through_are_captured(twins: Twins) -> None:
    """A program that asks for DEBUG itself has DEBUG in its file."""
    twins.same(BASIC.format(options="level=logging.DEBUG"))
    assert ["DEBUG", "INFO", "WARNING"] == [row["level"] for row in twins.logs()]


@pytest.mark.parametrize(
    ("level", "expected"), [("DEBUG", ["DEBUG", "INFO", "WARNING"]), ("WARNING", ["WARNING"])]
)
def test_level_is_that_of_the_file_alone(twins: Twins, level: str, expected: list[str]) -> None:
    """``--level`` says what is in the file, and changes nothing of what the program prints."""
    source = BASIC.format(options="level=logging.INFO")
    twins.same(source, level=level)
    assert expected == [row["level"] for row in twins.logs()]


def test_unconfigured_program_has_its_last_resort(twins: Twins) -> None:
    """Without any set-up, warnings go to stderr, nothing else does, and the file has INFO too."""
    source = """
        import logging
        log = logging.getLogger("app")
        log.info("info")
        log.warning("warning")
        print(log.getEffectiveLevel(), log.hasHandlers())
        logging.error("this one calls basicConfig")
    """
    done = twins.same(source)
    assert "warning\nERROR:root:this one calls basicConfig\n" == done.stderr
    assert ["info", "warning", "this one calls basicConfig"] == [
        row["message"] for row in twins.logs()
    ]


def test_loggers_with_levels_of_their_own_keep_them(twins: Twins) -> None:
    """What the program quiets by name stays quiet, and so does what it disables."""
    source = """
        import logging
        logging.getLogger("noisy").setLevel(logging.WARNING)
        logging.getLogger("noisy.part").info("no")
        logging.getLogger("off").disabled = True
        logging.getLogger("off").error("no")
        logging.getLogger("apart").propagate = False
        logging.getLogger("apart").info("apart")
        logging.getLogger("filtered").addFilter(lambda record: "secret" not in record.msg)
        logging.getLogger("filtered").info("secret")
        logging.getLogger("filtered").info("public")
        logging.disable(logging.INFO)
        logging.getLogger("app").info("no")
    """
    twins.same(source)
    assert ["apart", "public"] == [row["message"] for row in twins.logs()]


@pytest.mark.parametrize("kind", ["dict", "file"])
def test_config_of_the_program_neither_meets_nor_removes_us(twins: Twins, kind: str) -> None:
    """``dictConfig`` and ``fileConfig`` replace all handlers: the file goes on as before."""
    twins.write(
        """
        [loggers]
        keys=root
        [handlers]
        keys=out
        [formatters]
        keys=
        [logger_root]
        level=WARNING
        handlers=out
        [handler_out]
        class=StreamHandler
        args=(sys.stdout,)
        """,
        "logging.ini",
    )
    call = {
        "dict": """logging.config.dictConfig({
            "version": 1, "disable_existing_loggers": False,
            "handlers": {"out": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}},
            "root": {"level": "WARNING", "handlers": ["out"]}})""",
        "file": 'logging.config.fileConfig("logging.ini", disable_existing_loggers=False)',
    }[kind]
    source = f"""
        import logging, logging.config
        log = logging.getLogger("app")
        log.info("before")
        {call}
        log.info("after")
        log.error("shown")
    """
    done = twins.same(source)
    assert "shown\n" == done.stdout
    assert ["before", "after", "shown"] == [row["message"] for row in twins.logs()]


def test_records_keep_their_attributes(twins: Twins) -> None:
    """Nothing is put on a record that a formatter of the program's could show."""
    source = """
        import logging
        class Show(logging.Handler):
            def emit(self, record): print(sorted(vars(record)))
        logging.getLogger().addHandler(Show())
        logging.getLogger("app").warning("x", extra={"user": 1})
        logging.getLogger().setLevel(0)
        logging.getLogger("app").handle(logging.makeLogRecord({"levelno": 5, "msg": "ready-made"}))
    """
    twins.same(source)
    assert ["x", "ready-made"] == [row["message"] for row in twins.logs()]
    assert 1 == twins.logs()[0]["user"]


def test_records_that_are_held_back_run_none_of_the_program(twins: Twins) -> None:
    """Logging's answers, arguments that it would refuse, and filters that raise stay without effect."""
    source = """
        import logging
        log = logging.getLogger("app")
        print(log.isEnabledFor(logging.INFO), log.isEnabledFor(logging.WARNING))
        adapter = logging.LoggerAdapter(logging.LoggerAdapter(log, {"inner": 1}), {"outer": 2})
        print(adapter.isEnabledFor(logging.INFO))
        adapter.info("by an adapter %d", 1)
        log.info("refused", extra={"message": 1})
        log.info("refused", unknown=1)
        log.info("refused", extra=5)
        class Record(logging.LogRecord):
            pass
        def make(*args, **kwargs):
            record = Record(*args, **kwargs)
            if record.levelno < logging.WARNING and record.msg == "factory":
                raise RuntimeError("factory")
            return record
        logging.setLogRecordFactory(make)
        log.info("factory")
        def passes(record):
            log.info("of a filter")
            if record.msg == "filter":
                raise RuntimeError("filter")
            return record.msg != "dropped"
        log.addFilter(passes)
        log.info("filter")
        log.info("dropped")
        def f():
            try: 1 / 0
            except ZeroDivisionError: log.info("with %s", "all", exc_info=True, stack_info=True)
        f()
        log.info("object", exc_info=ValueError("one"), stacklevel=2)
        logging.getLogger("named").setLevel(logging.WARNING)
        logging.getLogger("named").info("no")
        log.log(25, "by number")
    """
    twins.same(source)
    rows = {row["message"]: row for row in twins.logs()}
    assert ["by an adapter 1", "with all", "object", "by number"] == list(rows)
    assert "ZeroDivisionError" == rows["with all"]["exception"]["type"]
    assert rows["with all"]["stack"].endswith(
        'log.info("with %s", "all", exc_info=True, stack_info=True)'
    )
    assert ("ValueError", "one") == tuple(
        rows["object"]["exception"][key] for key in ("type", "message")
    )


@pytest.mark.parametrize("level", ["INFO", "WARNING"])
def test_arguments_that_do_not_fit_are_reported_by_the_program_alone(
    twins: Twins, level: str
) -> None:
    """A message that cannot be formatted is a raw line, and as quiet or as loud as without us."""
    source = f"""
        import logging
        class Odd:
            def __str__(self): raise RuntimeError("odd")
            def __repr__(self): return "odd"
        logging.basicConfig(level="{level}", format="%(message)s")
        logging.info("n = %d", "three")
        logging.info("%s", Odd())
    """
    done = twins.same(source)
    assert (2 if level == "INFO" else 0) == done.stderr.count("--- Logging error ---")
    assert ["n = %d", "%s"] == [row["message"] for row in twins.logs()]


def test_foreign_loggers_and_records_raise_nothing_of_ours(twins: Twins) -> None:
    """A level, a name or a record that raises when it is compared is met as without us."""
    source = """
        import logging
        class Odd(int):
            def __eq__(self, other): raise RuntimeError("compared")
            __hash__ = int.__hash__
        class Logger(logging.Logger):
            def isEnabledFor(self, level): return super().isEnabledFor(level)
            @property
            def parent(self): raise RuntimeError("parent")
            @parent.setter
            def parent(self, value): pass
            level = 40
            def getEffectiveLevel(self): return 40
            def setLevel(self, level): pass
        logger = Logger("odd")
        logger.manager = logging.root.manager
        logger.info("not shown")
        record = logging.makeLogRecord({"msg": "shown", "levelno": 30, "process": Odd(1)})
        logging.getLogger("app").callHandlers(record)
        del record.levelno
        record.levelno = 40
        record.name = None
        logging.getLogger("app").callHandlers(record)
    """
    done = twins.same(source)
    assert "shown\nshown\n" == done.stderr


@pytest.mark.parametrize("wrap", ["", "wrap()"])
def test_handlers_find_the_stack_that_they_find_without_us(twins: Twins, wrap: str) -> None:
    """No frame of ours is between a call and what handles it, and a wrapper's record is written once."""
    source = f"""
        import logging, sys
        class Tracing(logging.Handler):
            def emit(self, record):
                frame = sys._getframe()
                while frame:
                    if "tracectrl" not in frame.f_code.co_filename or not {wrap!r}:
                        print(frame.f_code.co_name)
                    frame = frame.f_back
        def wrap():
            call_handlers = logging.Logger.callHandlers
            def wrapped(self, record): return call_handlers(self, record=record)
            logging.Logger.callHandlers = wrapped
        class Own(logging.Logger):
            def handle(self, record): self.callHandlers(record)
        logging.basicConfig(level="INFO", handlers=[Tracing()])
        {wrap}
        logging.getLogger("app").info("one")
        logging.getLogger("app").handle(logging.makeLogRecord({{"msg": "two", "levelno": 20}}))
        if {wrap!r}:
            logging.setLoggerClass(Own)
            logging.getLogger("own").info("three")
    """
    twins.same(source)
    assert ["one", "two", "three"][: 3 if wrap else 2] == [row["message"] for row in twins.logs()]


def test_record_that_passes_several_loggers_is_one_line(twins: Twins) -> None:
    """A handler that hands a record to another logger adds no line; the next record is one again."""
    source = """
        import logging, sys
        class Forward(logging.Handler):
            def emit(self, record):
                logging.getLogger("forward").info("forwarding")
                logging.getLogger("central").handle(record)
        logger = logging.getLogger("app")
        logger.propagate = False
        logger.addHandler(Forward())
        logging.basicConfig(stream=sys.stdout, level="INFO")
        logger.warning("same")
        logger.warning("same")
    """
    twins.same(source)
    assert [("WARNING", "app", "same"), ("INFO", "forward", "forwarding")] * 2 == twins.messages()


def test_queue_between_processes_writes_a_record_once(twins: Twins) -> None:
    """A worker's record that its parent hands to a logger again is one line."""
    source = """
        import logging, logging.handlers, multiprocessing
        def work(queue):
            logging.getLogger().handlers[:] = [logging.handlers.QueueHandler(queue)]
            logging.getLogger("pool").warning("once")
        if __name__ == "__main__":
            context = multiprocessing.get_context("spawn")
            queue = context.Queue()
            process = context.Process(target=work, args=(queue,))
            process.start()
            record = queue.get(timeout=60)
            logging.getLogger(record.name).handle(record)
            process.join()
    """
    done = twins.same(source)
    assert "once\n" == done.stderr
    assert [("WARNING", "pool", "once")] == twins.messages()


@pytest.mark.parametrize("calls_super", [True, False])
def test_logger_class_that_calls_handlers_itself(twins: Twins, calls_super: bool) -> None:  # noqa: FBT001
    """Its records are lines, once, as its filters leave them."""
    source = f"""
        import logging
        class Own(logging.Logger):
            def callHandlers(self, record):
                if {calls_super}: return super().callHandlers(record)
                for handler in logging.getLogger().handlers: handler.handle(record)
        def masks(record):
            record.msg = record.msg.replace("4111", "****")
            return "drop" not in record.msg
        logging.basicConfig(level="INFO")
        logging.setLoggerClass(Own)
        log = logging.getLogger("own")
        log.addFilter(masks)
        log.info("paid 4111")
        log.info("drop")
        logging.getLogger("other").disabled = True
        logging.getLogger("other").info("disabled")
        print(logging.Logger.handle.__name__, log.handle == log.handle)
    """
    twins.same(source)
    assert [("INFO", "own", "paid ****")] == twins.messages()


def test_record_of_another_host(twins: Twins) -> None:
    """What a log server hands on is a line, whatever the process was called that it comes from."""
    source = """
        import logging
        logging.basicConfig(level="INFO")
        for pid in (4194304, 2**31, 2**70, -1):
            record = logging.makeLogRecord({"name": "remote", "levelno": 30, "msg": "from b",
                "levelname": "WARNING", "process": pid, "processName": "Process-1"})
            logging.getLogger(record.name).handle(record)
    """
    twins.same(source)
    assert [("WARNING", "remote", "from b")] * 4 == twins.messages()

"""``tracectrl-logs run``: the program is its own, and its lines are in the session's files.

Most tests run a program twice, alone and captured, and compare.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from opentelemetry import trace

from tracectrl.files.appender import Appender
from tracectrl_logging import SessionFileHandler, SessionFileLoggerFactory
from tracectrl_logging.capture import Capture, environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RUN = [sys.executable, "-m", "tracectrl_logging.cli", "run"]
SID = "session-1"
TIMEOUT_S = 120


class Twins:
    """Runs a program alone and captured."""

    def __init__(self, directory: Path, read_lines: Callable[[Any], list[dict[str, Any]]]) -> None:
        self.directory = directory
        self.root = directory / "traces"
        self._read_lines = read_lines

    def write(self, source: str, name: str = "program.py") -> Path:
        """Write a file of the program."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source), encoding="utf-8")
        return path

    def start(self, *command: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the directory of the program."""
        return subprocess.run(
            command,
            cwd=self.directory,
            input=stdin,
            env={**os.environ, "COLUMNS": "80", **env},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )

    def run(self, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run ``tracectrl-logs run`` with *options*, in the session SID."""
        return self.start(*RUN, "--session", SID, *options, **env)

    def same(
        self, source: str, *args: str, level: str | None = None, stdin: str = "", **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run *source* both ways, and return what they agree on: status, stdout and stderr.

        With arguments or input by the command itself, else in the environment that it makes: that
        takes half the time.
        """
        self.write(source)
        alone = self.start(sys.executable, "program.py", *args, stdin=stdin, **env)
        if args or stdin:
            command = [*RUN, "--session", SID, "program.py", *args]
        else:
            command = [sys.executable, "program.py"]
            env = environment({**os.environ, **env}, SID, root=self.root, level=level)
        captured = self.start(*command, stdin=stdin, **env)
        outcome = (alone.returncode, alone.stdout, alone.stderr)
        assert outcome == (captured.returncode, captured.stdout, captured.stderr)
        return captured

    def logs(self, sid: str = SID) -> list[dict[str, Any]]:
        """Return the log lines of the session."""
        path = self.root / f"{sid}.logs.jsonl"
        return self._read_lines(path) if path.exists() else []

    def messages(self) -> list[tuple[str, str, str]]:
        """Return level, logger and message of each log line of the session."""
        return [(row["level"], row["logger"], row["message"]) for row in self.logs()]

    def spans(self) -> list[dict[str, Any]]:
        """Return the spans of the session."""
        path = self.root / f"{SID}.spans.jsonl"
        return self._read_lines(path) if path.exists() else []


@pytest.fixture
def twins(tmp_path: Path, read_lines: Callable[[Any], list[dict[str, Any]]]) -> Twins:
    """Return what runs a program both ways."""
    return Twins(tmp_path, read_lines)


# --- the program is its own -----------------------------------------------------------------------


def test_program_sees_what_python_shows_it(twins: Twins) -> None:
    """Arguments, ``__main__``, the import path, standard input and loggers are python's."""
    source = """
        import json, logging, sys
        import helper
        main = sys.modules["__main__"]
        print(json.dumps({
            "name": __name__, "file": __file__, "argv": sys.argv, "orig": sys.orig_argv[1:],
            "spec": repr(__spec__), "path": sys.path, "same": main.__dict__ is globals(),
            "stdin": sys.stdin.read(), "helper": helper.__file__,
            "handlers": repr(logging.getLogger().handlers), "level": logging.getLogger().level,
            "site": "sitecustomize" in sys.modules, "hook": sys.excepthook is sys.__excepthook__,
        }))
    """
    twins.write("", "helper.py")
    done = twins.same(source, "--level", "-m", "--", "--root", "x", stdin="typed\n")
    seen = json.loads(done.stdout)
    assert ["program.py", "--level", "-m", "--", "--root", "x"] == seen["argv"]
    assert ("__main__", True, "typed\n") == (seen["name"], seen["same"], seen["stdin"])


@pytest.mark.parametrize(
    ("statement", "status"),
    [
        ("pass", 0),
        ("raise SystemExit", 0),
        ("sys.exit(3)", 3),
        ("sys.exit('a reason')", 1),
        ("sys.exit(None)", 0),
        ("os._exit(7)", 7),
        ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    ],
)
def test_exit_status_is_the_programs(twins: Twins, statement: str, status: int) -> None:
    """However a program ends, whoever started it sees the same status and output."""
    done = twins.same(f"import os, signal, sys\n{statement}\n", "argument")
    assert status == done.returncode
    assert [] == twins.logs()


def test_crash_prints_the_programs_traceback_and_is_logged(twins: Twins) -> None:
    """An uncaught exception looks as under python, and is one line in the session's file."""
    done = twins.same("def f():\n    return 1 / 0\n\nf()\n")
    assert 1 == done.returncode
    assert "tracectrl" not in done.stderr
    [row] = twins.logs()
    assert ("CRITICAL", "tracectrl.run") == (row["level"], row["logger"])
    assert "uncaught ZeroDivisionError" == row["message"]
    assert ("ZeroDivisionError", "division by zero") == (
        row["exception"]["type"],
        row["exception"]["message"],
    )
    assert done.stderr.rstrip("\n") == row["exception"]["stacktrace"]


def test_crash_is_logged_where_the_program_has_its_own_hook(twins: Twins) -> None:
    """A hook that does not call the one before it does not hide the crash from the file."""
    source = """
        import sys
        sys.excepthook = lambda kind, error, traceback: print("mine:", error)
        raise ValueError("boom")
    """
    done = twins.same(source)
    assert ("mine: boom\n", 1) == (done.stdout, done.returncode)
    assert [("CRITICAL", "tracectrl.run", "uncaught ValueError")] == twins.messages()


def test_ctrl_c_is_pythons(twins: Twins) -> None:
    """A KeyboardInterrupt kills the program by SIGINT, as python does, and is a WARNING line."""
    source = """
        import os, signal, time
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(30)
    """
    done = twins.same(source)
    assert -signal.SIGINT == done.returncode
    assert [("WARNING", "tracectrl.run", "interrupted")] == twins.messages()


def test_threads_are_awaited_and_exit_handlers_run(twins: Twins) -> None:
    """Lines of threads, and of atexit handlers after the last thread, belong to the session."""
    source = """
        import atexit, logging, threading
        log = logging.getLogger("app")
        main_is_done = threading.Event()
        def work():
            main_is_done.wait()
            log.warning("from the thread")
            raise RuntimeError("in the thread")
        atexit.register(lambda: log.warning("at exit"))
        threading.Thread(target=work, name="worker").start()
        threading.current_thread().join = None
        main_is_done.set()
    """
    done = twins.same(source)
    assert 0 == done.returncode
    assert [
        ("WARNING", "app", "from the thread"),
        ("CRITICAL", "tracectrl.run", "uncaught RuntimeError in thread worker"),
        ("WARNING", "app", "at exit"),
    ] == twins.messages()


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_process_pools_find_main_and_are_captured(twins: Twins, method: str) -> None:
    """What ``__main__`` defines can be pickled to worker processes, and their lines are here."""
    source = f"""
        import logging, multiprocessing
        class Point:
            def __init__(self, x): self.x = x
        def work(point):
            logging.getLogger("pool").warning("point %d", point.x)
            return Point(point.x * 2)
        if __name__ == "__main__":
            with multiprocessing.get_context("{method}").Pool(1) as pool:
                print([point.x for point in pool.map(work, [Point(1), Point(2)])])
    """
    done = twins.same(source)
    assert "[2, 4]\n" == done.stdout
    assert ["point 1", "point 2"] == [row["message"] for row in twins.logs()]


def test_children_continue_the_session(twins: Twins) -> None:
    """A program started by the program finds the session's ID, and is captured."""
    twins.write("import logging; logging.getLogger('child').warning('hi')", "child.py")
    source = """
        import os, subprocess, sys
        print(os.environ["TRACECTRL_SESSION_ID"])
        subprocess.run([sys.executable, "child.py"], check=True, cwd=os.getcwd())
    """
    twins.write(source)
    done = twins.run("program.py")
    assert (0, f"{SID}\n", "hi\n") == (done.returncode, done.stdout, done.stderr)
    assert [("WARNING", "child", "hi")] == twins.messages()


def test_sitecustomize_of_the_users_own_runs(twins: Twins) -> None:
    """A ``sitecustomize`` that is on the path is imported as without us."""
    twins.write("import sys; sys.customized = __name__", "mine/sitecustomize.py")
    mine = str(twins.directory / "mine")
    source = "import sitecustomize, sys; print(sitecustomize.__file__, sys.customized)"
    done = twins.same(source, PYTHONPATH=mine)
    assert f"{mine}/sitecustomize.py sitecustomize\n" == done.stdout


def test_module_runs_as_with_python_m(twins: Twins) -> None:
    """``-m`` runs a module of a package: its spec, its relative imports, its path and arguments."""
    twins.write("", "package/__init__.py")
    twins.write("VALUE = 5", "package/other.py")
    source = """
        import logging, sys
        from .other import VALUE
        logging.getLogger(__package__).warning("value %d", VALUE)
        print(__name__, __spec__.name, sys.argv[1:], sys.path[0])
        if "crash" in sys.argv: raise KeyError(VALUE)
    """
    twins.write(source, "package/tool.py")
    for args in ([], ["-m", "--level", "x"], ["crash"]):
        alone = twins.start(sys.executable, "-m", "package.tool", *args)
        done = twins.run("-m", "package.tool", *args)
        assert (alone.returncode, alone.stdout, alone.stderr) == (
            done.returncode,
            done.stdout,
            done.stderr,
        )
    assert ("WARNING", "package", "value 5") == twins.messages()[0]
    assert ("CRITICAL", "tracectrl.run", "uncaught KeyError") == twins.messages()[-1]


# --- the program's logging is its own -------------------------------------------------------------

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


# --- structlog ------------------------------------------------------------------------------------


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
            processors=[mask, structlog.processors.JSONRenderer(), lambda _, __, text: text.upper()],
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
        processors=[lambda logger, method, event: event["event"]],
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


# --- spans ----------------------------------------------------------------------------------------


def test_spans_of_a_program_without_a_provider(twins: Twins) -> None:
    """The API alone is enough; lines carry the span's IDs, threads the program's session."""
    source = """
        import logging, threading
        from opentelemetry import trace
        tracer = trace.get_tracer("app")
        def work():
            with tracer.start_as_current_span("in a thread"):
                logging.getLogger("app").warning("x")
        thread = threading.Thread(target=work); thread.start(); thread.join()
        print(type(trace.get_tracer_provider()).__name__)
    """
    twins.same(source, OTEL_SERVICE_NAME="shop")
    [span], [row] = twins.spans(), twins.logs()
    assert ("in a thread", SID, "shop") == (span["name"], span["session_id"], span["service"])
    assert (span["trace_id"], span["span_id"], "shop") == (
        row["trace_id"],
        row["span_id"],
        row["service"],
    )


def test_provider_of_the_program_is_in_force(twins: Twins) -> None:
    """A provider that is set late serves the tracers made before, and its spans are captured."""
    source = """
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
        early = trace.get_tracer("early")
        provider = TracerProvider()
        show = lambda span: f"{span.name} of {span.instrumentation_scope.name}\\n"
        provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=show)))
        trace.set_tracer_provider(provider)
        trace.set_tracer_provider(TracerProvider())
        for tracer in (early, trace.get_tracer("late")):
            with tracer.start_as_current_span("work"): pass
        print(trace.get_tracer_provider() is provider)
    """
    done = twins.same(source)
    assert "work of early\nwork of late\nTrue\n" == done.stdout
    assert "Overriding of current TracerProvider is not allowed\n" == done.stderr
    assert ["early", "late"] == [span["scope"] for span in twins.spans()]
    assert {SID} == {span["attributes"]["session.id"] for span in twins.spans()}


def test_providers_of_others_are_told_by_identity(twins: Twins) -> None:
    """One without a hash, that stands before another, or that raises: each runs as without us."""
    source = """
        import logging
        from dataclasses import dataclass
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        @dataclass
        class Before(trace.TracerProvider):
            provider: TracerProvider
            def set_provider(self, provider): self.provider = provider
            def get_tracer(self, *args, **kwargs): return self.provider.get_tracer(*args, **kwargs)
            def add_span_processor(self, processor): self.provider.add_span_processor(processor)
        before = Before(TracerProvider())
        trace.set_tracer_provider(before)
        with before.get_tracer("t").start_as_current_span("one"): pass
        before.set_provider(TracerProvider())
        with before.get_tracer("t").start_as_current_span("two"): pass
    """
    twins.same(source)
    assert ["one", "two"] == [span["name"] for span in twins.spans()]


def test_provider_that_takes_no_processor_is_said_in_a_line(twins: Twins) -> None:
    """The program runs on; the line names the provider and what it raised."""
    source = """
        from opentelemetry import trace
        class Refuses(trace.NoOpTracerProvider):
            def add_span_processor(self, processor): raise RuntimeError("no")
        trace.set_tracer_provider(Refuses())
        with trace.get_tracer("t").start_as_current_span("one"): print("ran")
    """
    twins.write(source)
    done = twins.run("program.py")
    assert (0, "ran\n") == (done.returncode, done.stdout)
    assert (
        "tracectrl-logs run: the spans of the tracer provider Refuses are not captured:"
        " RuntimeError('no')\n"
    ) == done.stderr


# --- programs that use this package ---------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        "tracectrl_logging.configure(console=None)",
        "logging.config.dictConfig(tracectrl_logging.dict_config(console=None))",
        "logging.getLogger().addHandler(tracectrl_logging.SessionFileHandler(redact=['n']))",
    ],
)
def test_program_that_writes_session_files_itself_is_left_alone(twins: Twins, call: str) -> None:
    """Each line is in the file once, as the program's own set-up writes it."""
    source = f"""
        import logging, logging.config, tracectrl_logging
        from opentelemetry import trace
        {call}
        with trace.get_tracer("app").start_as_current_span("work"):
            logging.getLogger("app").warning("once", extra={{"n": 1}})
    """
    twins.same(source)
    assert [("WARNING", "app", "once")] == twins.messages()
    assert ["[redacted]" if "redact" in call else 1] == [row["n"] for row in twins.logs()]
    assert ["work"] == [span["name"] for span in twins.spans()]


def test_crash_is_logged_where_the_program_has_a_handler_of_ours(twins: Twins) -> None:
    """Nobody logs the exception that ends the program: the line is there, once."""
    source = """
        import logging, tracectrl_logging
        logging.getLogger().addHandler(tracectrl_logging.SessionFileHandler())
        logging.getLogger("app").warning("once")
        raise ValueError("boom")
    """
    twins.same(source)
    assert [
        ("WARNING", "app", "once"),
        ("CRITICAL", "tracectrl.run", "uncaught ValueError"),
    ] == twins.messages()


def test_program_with_files_of_its_own_elsewhere_is_captured(twins: Twins) -> None:
    """Another trace directory of the program's own is none of ours."""
    source = """
        import logging, tracectrl_logging
        logging.getLogger().addHandler(tracectrl_logging.SessionFileHandler("elsewhere"))
        logging.getLogger("app").warning("both")
    """
    twins.same(source)
    assert [("WARNING", "app", "both")] == twins.messages()
    assert 1 == len((twins.directory / "elsewhere" / f"{SID}.logs.jsonl").read_bytes().splitlines())


def test_uninstall_puts_everything_back(
    root: Path, read_lines: Callable[[Any], list[dict[str, Any]]]
) -> None:
    """What a capture replaced is there again, save what somebody has put on top since."""
    owners = {
        logging.Logger: ["isEnabledFor", "callHandlers"],
        structlog.BoundLoggerBase: ["_processors"],
        trace: ["_set_tracer_provider"],
        trace.ProxyTracer: ["__init__"],
        sys: ["excepthook", "__excepthook__"],
        threading: ["excepthook", "__excepthook__"],
        SessionFileHandler: ["__init__"],
        SessionFileLoggerFactory: ["__init__"],
        Appender: ["__init__"],
    }
    names = [(owner, name) for owner, some in owners.items() for name in some]
    before = [vars(owner).get(name) for owner, name in names]
    hook = sys.excepthook
    capture = Capture(SID, root)
    capture.install()
    try:
        assert not any(
            vars(owner).get(name) is was for (owner, name), was in zip(names, before, strict=True)
        )
        logging.getLogger("app").info("captured")
        mine = sys.excepthook = lambda *_: None
    finally:
        capture.uninstall()
    assert mine is sys.excepthook
    sys.excepthook = hook
    assert before == [vars(owner).get(name) for owner, name in names]
    logging.getLogger("app").warning("not captured")
    assert ["captured"] == [row["message"] for row in read_lines(root / f"{SID}.logs.jsonl")]


# --- the command ----------------------------------------------------------------------------------


def test_options_before_the_program_are_ours(twins: Twins) -> None:
    """The session, the root and the service are what the options say; -v says so on stderr."""
    twins.write("import logging; logging.getLogger('app').info('x')")
    options = ["--root", "deep/er", "--service", "shop", "--level", "info", "-v"]
    done = twins.run(*options, "program.py")
    assert (0, "") == (done.returncode, done.stdout)
    assert f"session {SID}: deep/er/{SID}.logs.jsonl\n" == done.stderr
    twins.root = twins.directory / "deep" / "er"
    assert [("x", "shop")] == [(row["message"], row["service"]) for row in twins.logs()]


def test_session_is_minted_or_taken_from_the_environment(twins: Twins) -> None:
    """Without --session each run is a new one, unless TRACECTRL_SESSION_ID names it."""
    twins.write("import logging; logging.getLogger('app').info('x')")
    for _ in range(2):
        assert 0 == twins.start(*RUN, "program.py").returncode
    assert 2 == len(list(twins.root.iterdir()))
    assert 0 == twins.start(*RUN, "program.py", TRACECTRL_SESSION_ID="given").returncode
    assert ["x"] == [row["message"] for row in twins.logs("given")]


def test_script_that_is_not_there(twins: Twins) -> None:
    """The message and the status are python's."""
    alone = twins.start(sys.executable, "nope.py")
    done = twins.run("nope.py")
    assert (2, alone.stderr) == (done.returncode, done.stderr)
    assert "can't open file" in done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--session", "", "program.py"], "a session ID cannot be empty"),
        (["--level", "LOUD", "program.py"], "'LOUD' is not one of"),
        (["--root", "program.py", "program.py"], "program.py"),
        ([], "Missing argument"),
    ],
)
def test_wrong_use_is_said_before_anything_runs(
    twins: Twins, options: list[str], said: str
) -> None:
    """Wrong options and an unusable root end with status 2 and a reason, and run nothing."""
    twins.write("print('ran')")
    done = twins.start(*RUN, *options)
    assert (2, "") == (done.returncode, done.stdout)
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_process_that_cannot_be_captured_runs_on(twins: Twins) -> None:
    """A child whose trace directory has become a file runs, and says that it is not captured."""
    source = """
        import os, pathlib, shutil, subprocess, sys
        root = os.environ["TRACECTRL_TRACE_DIR"]
        shutil.rmtree(root)
        pathlib.Path(root).touch()
        subprocess.run([sys.executable, "-c", "print('ran')"], check=True)
    """
    twins.write(source)
    done = twins.run("program.py")
    assert (0, "ran\n") == (done.returncode, done.stdout)
    assert "nothing is captured: [Errno 20] Not a directory" in done.stderr


def test_interpreter_without_this_package_is_not_disturbed(twins: Twins) -> None:
    """A child that cannot import this package runs as if nothing were there."""
    source = """
        import subprocess, sys
        child = [sys.executable, "-S", "-c", "import sys; print([p for p in sys.path if 'site' in p])"]
        sys.exit(subprocess.run(child).returncode)
    """
    twins.write(source)
    done = twins.run("program.py")
    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.parametrize("given", ["option", "environment"])
def test_a_session_that_is_no_text(given: str, tmp_path: Path) -> None:
    """Bytes that are no UTF-8 would be another ID in the program: nothing is run."""
    (tmp_path / "program.py").write_text("print('run')")
    option: list[str | bytes] = ["--session", b"\xff"] if given == "option" else []
    called: list[str | bytes] = [*RUN, *option, "program.py"]
    env = {**os.environb, **({b"TRACECTRL_SESSION_ID": b"\xff"} if not option else {})}
    done = subprocess.run(called, cwd=tmp_path, env=env, capture_output=True, check=False)
    assert (2, b"") == (done.returncode, done.stdout)
    assert b"the session ID '\\udcff' is not UTF-8 text; give one that is" in done.stderr

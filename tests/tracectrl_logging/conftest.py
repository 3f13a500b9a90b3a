"""Fixtures for the tests of tracectrl_logging.

- ``lines``: the lines in a session's log file.
- ``handler``, ``logger``: a :class:`SessionFileHandler` on ``root``, and a logger that has it.
- ``until_no_stack_is_left``: calls a function up to the recursion limit.
- ``twins``: runs a program alone and by ``tracectrl-logs run``, and compares.
- ``world``: one way from a logging call to a line; a test that takes it runs once for each way.
- ``in_contract_order``: whether the keys of a line stand as the contract says.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import textwrap
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from structlog.stdlib import ProcessorFormatter

import tracectrl_logging
from tracectrl.files import log_path, session_id_of
from tracectrl_logging.program.run import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    ParseLine = Callable[[bytes | str], dict[str, Any]]
    ReadLines = Callable[[str | os.PathLike[str]], list[dict[str, Any]]]

CONTRACT_KEYS = (
    "timestamp",
    "level",
    "logger",
    "message",
    "session_id",
    "trace_id",
    "span_id",
    "trace_flags",
    "service",
    "exception",
    "stack",
)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Generator[None, Any, Any]:
    """Run a test without pytest's own handlers: they raise where logging would not."""
    for logger in (logging.root, *logging.root.manager.loggerDict.values()):
        for handler in list(getattr(logger, "handlers", ())):
            if type(handler).__module__.startswith("_pytest."):
                logger.removeHandler(handler)  # type: ignore[union-attr]
    return (yield)


@pytest.fixture
def lines(root: Path, read_lines: ReadLines) -> Callable[..., list[dict[str, Any]]]:
    """Return the function that reads the lines of a session."""

    def of(sid: str = "unknown") -> list[dict[str, Any]]:
        return read_lines(log_path(sid, root))

    return of


@pytest.fixture
def until_no_stack_is_left() -> Callable[[Callable[[int], object]], set[int]]:
    """Return the function that calls a function one frame deeper each time, to the limit.

    The function gets a number each time; which of its calls returned is the result.
    """

    def call(fn: Callable[[int], object]) -> set[int]:
        returned: set[int] = set()

        def dive(number: int) -> None:
            fn(number)
            returned.add(number)
            dive(number + 1)

        with unwatched(), contextlib.suppress(RecursionError):
            dive(0)
        return returned

    return call


@contextlib.contextmanager
def unwatched() -> Iterator[None]:
    """Keep coverage from calling functions of its own in between, by ``sys.monitoring``: they need a stack, too."""
    monitoring: Any = getattr(sys, "monitoring", None)  # since Python 3.12
    if monitoring is None or monitoring.get_tool(monitoring.COVERAGE_ID) is None:
        yield
        return
    exchange = partial(monitoring.register_callback, monitoring.COVERAGE_ID)
    events = {event for name, event in vars(monitoring.events).items() if name.isupper() and event}
    before = {event: exchange(event, None) for event in events}
    try:
        yield
    finally:
        for event, callback in before.items():
            exchange(event, callback)


@pytest.fixture
def handler(root: Path) -> Iterator[tracectrl_logging.SessionFileHandler]:
    """Return a handler with no options, on ``root``."""
    handler = tracectrl_logging.SessionFileHandler(root)
    yield handler
    handler.close()


@pytest.fixture
def logger(handler: tracectrl_logging.SessionFileHandler) -> logging.Logger:
    """Return the logger ``app``, whose one handler is ``handler``."""
    logger = logging.getLogger("app")
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    return logger


@pytest.fixture
def in_contract_order() -> Callable[[dict[str, Any]], bool]:
    """Return the function that tells whether a line's keys are in order, the extras behind."""

    def check(row: dict[str, Any]) -> bool:
        known = [key for key in CONTRACT_KEYS if key in row]
        return {*CONTRACT_KEYS[:5]} <= {*row} and list(row)[: len(known)] == known

    return check


class World:
    """One way from a logging call to a line; all use the logger ``app``."""

    def __init__(self, name: str, root: Path, parse_line: ParseLine) -> None:
        self.name = name
        self._root = root
        self._parse_line = parse_line
        self._sizes: dict[str, int] = {}
        self.is_structlog = name.startswith("structlog")
        root.mkdir(parents=True)
        {
            "stdlib": self._stdlib,
            "stdlib, configure()": self._configure,
            "stdlib, ProcessorFormatter": self._processor_formatter,
            "structlog, files": self._structlog_files,
            "structlog, configure()": self._configure,
            "structlog, ProcessorFormatter": self._processor_formatter,
        }[name]()
        self._log: Any
        self._log = structlog.get_logger("app") if self.is_structlog else logging.getLogger("app")

    def __call__(self, event: object, *args: object, method: str = "info", **fields: Any) -> Any:
        """Log *event* with *fields* as extras, and return the line that it became."""
        if not self.is_structlog:
            options: dict[str, Any]
            options = {key: fields.pop(key) for key in ("exc_info", "stack_info") if key in fields}
            fields = {**options, "extra": fields or None}
        getattr(self._log, method)(event, *args, **fields)
        (row,) = (row for row in self.new_lines() if row["logger"] == "app")
        return row

    def new_lines(self) -> list[dict[str, Any]]:
        """Return the lines that were written since; each is in the file of its session."""
        rows = []
        for name in sorted(os.listdir(self._root)):
            path = self._root / name
            with path.open("rb") as file:
                file.seek(self._sizes.get(name, 0))
                data = file.read()
            self._sizes[name] = self._sizes.get(name, 0) + len(data)
            for line in data.splitlines(keepends=True):
                assert line.endswith(b"\n")
                row = self._parse_line(line)
                assert session_id_of(path) == row["session_id"]
                rows.append(row)
        return rows

    def _handler(self) -> logging.Handler:
        logger = logging.getLogger("app")
        logger.propagate = False
        logger.setLevel(logging.DEBUG)
        handler = tracectrl_logging.SessionFileHandler(self._root)
        logger.addHandler(handler)
        return handler

    def _stdlib(self) -> None:
        self._handler()

    def _configure(self) -> None:
        tracectrl_logging.configure(self._root, level="DEBUG", console=None, spans=False)

    def _structlog_files(self) -> None:
        structlog.configure(
            processors=[
                structlog.contextvars.merge_contextvars,
                tracectrl_logging.add_session_context,
                tracectrl_logging.SessionJSONRenderer(),
            ],
            logger_factory=tracectrl_logging.SessionFileLoggerFactory(self._root),
        )

    def _processor_formatter(self) -> None:
        self._handler().setFormatter(
            ProcessorFormatter(
                foreign_pre_chain=[tracectrl_logging.add_session_context],
                processors=[tracectrl_logging.SessionJSONRenderer()],
            )
        )
        structlog.configure(
            processors=[
                structlog.contextvars.merge_contextvars,
                tracectrl_logging.add_session_context,
                ProcessorFormatter.wrap_for_formatter,
            ],
            logger_factory=structlog.stdlib.LoggerFactory(),
        )


@pytest.fixture(
    params=[
        "stdlib",
        "stdlib, configure()",
        "stdlib, ProcessorFormatter",
        "structlog, files",
        "structlog, configure()",
        "structlog, ProcessorFormatter",
    ]
)
def make_world(
    request: pytest.FixtureRequest, root: Path, parse_line: ParseLine
) -> Callable[[], World]:
    """Return what makes ``world``, for a test that sets the environment first."""
    return lambda: World(request.param, root, parse_line)


@pytest.fixture
def world(make_world: Callable[[], World]) -> World:
    """Return one way from a logging call to a line: ``world("event", extra=1)``."""
    return make_world()


# --- programs that are run --------------------------------------------------------------------------

RUN = [sys.executable, "-m", "tracectrl_logging.cli", "run"]

SID = "session-1"

TIMEOUT_S = 120


class Twins:
    """Runs a program alone and captured."""

    def __init__(self, directory: Path, read_lines: ReadLines) -> None:
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
def twins(tmp_path: Path, read_lines: ReadLines) -> Twins:
    """Return what runs a program both ways."""
    return Twins(tmp_path, read_lines)

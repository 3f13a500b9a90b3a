"""The core works without any extra: these tests pass on the bare install and on a full one.

Where an extra is installed, the tests of its absence hide it from a process of their own.
"""

from __future__ import annotations

import asyncio
import json
import logging
import logging.config
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import structlog

import tracectrl_logging
from tracectrl import context
from tracectrl.files import log_path, session_id_of, span_path
from tracectrl.propagation import SESSION_HEADER
from tracectrl.session import current_session_id, detached, new_session, session
from tracectrl.workers import ThreadPoolExecutor, carry, pack, unpack

if TYPE_CHECKING:
    from pathlib import Path

EXTRAS = ("click", "rich", "starlette", "fastapi", "uvicorn", "httpx", "opentelemetry.exporter")


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Return the lines of the file at *path*."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def python(source: str) -> subprocess.CompletedProcess[str]:
    """Run *source* in a new process in which no extra can be imported."""
    hide = f"import sys; sys.modules.update(dict.fromkeys({EXTRAS!r}))\n"
    return subprocess.run(
        [sys.executable, "-c", hide + source], capture_output=True, text=True, check=False
    )


def test_import_is_light() -> None:
    """``import tracectrl_logging`` loads neither the OpenTelemetry SDK nor any extra."""
    heavy = ("opentelemetry.sdk", *EXTRAS)
    source = f"import sys, tracectrl_logging; print([n for n in {heavy!r} if sys.modules.get(n)])"

    done = python(source)

    assert ("", "[]\n") == (done.stderr, done.stdout)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["sessions"]])
def test_command_without_its_extra(arguments: list[str]) -> None:
    """Without click and rich the command ends in one line that says what to install."""
    source = (
        "import sys\n"
        f"sys.argv = ['tracectrl-logs', *{arguments!r}]\n"
        "from tracectrl_logging.cli import main\n"
        "main()\n"
    )

    done = python(source)

    assert done.returncode == 2
    assert "run: pip install 'click>=" in done.stderr
    assert "Traceback" not in done.stderr


def test_otlp_without_its_extra() -> None:
    """``format="otlp"`` without its package raises an ImportError with the pip line."""
    source = (
        "from tracectrl.exporter import FileSpanExporter\n"
        "try:\n"
        "    FileSpanExporter(format='otlp')\n"
        "except ImportError as error:\n"
        "    print(type(error).__name__, error)\n"
    )

    done = python(source)

    assert done.stderr == ""
    assert done.stdout.startswith("MissingExtraError ")
    assert "run: pip install 'opentelemetry-api>=" in done.stdout


def test_sending_without_its_extra() -> None:
    """``configure(otlp=True)`` without its package says the same, and sets nothing up."""
    source = (
        "import logging, tracectrl_logging\n"
        "try:\n"
        "    tracectrl_logging.configure(otlp=True)\n"
        "except ImportError as error:\n"
        "    print(type(error).__name__, error, logging.root.handlers)\n"
    )

    done = python(source)

    assert done.stderr == ""
    assert done.stdout.startswith("MissingExtraError configure(otlp=True) needs the package ")
    assert "run: pip install 'opentelemetry-api>=" in done.stdout
    assert done.stdout.endswith(" []\n")


def test_page_without_its_extra() -> None:
    """The page says which packages it needs, and how to install them."""
    program = """
from tracectrl_logging import viewer
for name in ("app", "session_events", "write_html"):
    try:
        getattr(viewer, name)
    except ImportError as error:
        print(type(error).__name__, error)
"""
    done = python(program)

    said = done.stdout.splitlines()
    assert 3 == len(said), done.stdout
    for line in said:
        assert line.startswith("MissingExtraError tracectrl_logging.viewer needs the package ")
        assert "; run: pip install '" in line
        assert "'uvicorn>=" in line


def test_configure_writes_logs_and_spans(tmp_path: Path) -> None:
    """stdlib records, structlog events and spans land in the session's two files."""
    source = (
        "import logging, structlog, tracectrl_logging\n"
        "from opentelemetry import trace\n"
        "from tracectrl.session import session\n"
        f"with tracectrl_logging.configure({str(tmp_path)!r}, console=None), session('s-1'):\n"
        "    with trace.get_tracer('t').start_as_current_span('work'):\n"
        "        logging.getLogger('stdlib').info('one')\n"
        "        structlog.get_logger('struct').info('two', n=2)\n"
    )

    done = python(source)

    assert (0, "") == (done.returncode, done.stderr)
    one, two = lines_of(log_path("s-1", tmp_path))
    (span,) = lines_of(span_path("s-1", tmp_path))
    assert ("one", "two", 2) == (one["message"], two["message"], two["n"])
    assert [span["trace_id"]] * 2 == [one["trace_id"], two["trace_id"]]
    assert [span["span_id"]] * 2 == [one["span_id"], two["span_id"]]


def test_dict_config(tmp_path: Path) -> None:
    """``dict_config`` is a dictionary that ``logging.config.dictConfig`` takes."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        logging.config.dictConfig(tracectrl_logging.dict_config(tmp_path, console=None))
        with session("s-2"):
            logging.getLogger("app").info("hello")
    finally:
        for handler in root.handlers[:]:
            root.removeHandler(handler)
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)

    (line,) = lines_of(log_path("s-2", tmp_path))

    assert ("app", "hello", "s-2") == (line["logger"], line["message"], line["session_id"])


def test_structlog_chain(tmp_path: Path) -> None:
    """structlog writes to the session files without stdlib logging between."""
    factory = tracectrl_logging.SessionFileLoggerFactory(tmp_path)
    log = structlog.wrap_logger(
        factory("app"),
        processors=[
            tracectrl_logging.add_session_context,
            tracectrl_logging.SessionJSONRenderer(),
        ],
        wrapper_class=structlog.BoundLogger,
    )
    with session("s-3"):
        log.warning("careful", why="bare")
    factory.close()

    (line,) = lines_of(log_path("s-3", tmp_path))

    assert ("WARNING", "careful", "bare") == (line["level"], line["message"], line["why"])


def test_formatter_and_filter() -> None:
    """The formatter and the filter need no more than the core."""
    record = logging.LogRecord("app", logging.INFO, __file__, 1, "hi %s", ("you",), None)
    with session("s-4"):
        tracectrl_logging.SessionContextFilter().filter(record)

    line = json.loads(tracectrl_logging.SessionJsonFormatter().format(record))

    assert ("hi you", "s-4") == (line["message"], line["session_id"])


def test_session_follows_work() -> None:
    """Tasks, pools, callbacks, queue items and headers carry the session; detached() drops it."""

    async def child() -> str | None:
        return current_session_id()

    async def main() -> str | None:
        return await asyncio.create_task(child())

    with session("s-5"):
        assert asyncio.run(main()) == "s-5"
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(current_session_id).result() == "s-5"
        later = carry(current_session_id)
        message = pack({"task": 1})
        headers: dict[str, str] = context.inject_trace_headers()
        with detached():
            assert current_session_id() is None

    assert later() == "s-5"
    with unpack(message):
        assert current_session_id() == "s-5"
    with context.remote_session({SESSION_HEADER.lower(): headers[SESSION_HEADER]}):
        assert context.get() == "s-5"
    assert current_session_id() is None


def test_new_session_and_names(tmp_path: Path) -> None:
    """A new session has an ID; any ID has a file name and comes back from it."""

    def body() -> str:
        return new_session()

    sid = carry(body)()  # in a context of its own

    assert len(sid) == 36
    for name in (sid, "user@example.com", "../up"):
        assert session_id_of(log_path(name, tmp_path)) == name
        assert log_path(name, tmp_path).parent == tmp_path

"""``doctor -- PROGRAM``: each broken set-up has its finding, a healthy one has none."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Doctor = Callable[..., list[dict[str, Any]]]

SESSION = "from tracectrl.session import session\n"
CONFIGURED = "import logging, tracectrl_logging\nconfiguration = tracectrl_logging.configure()\n"
IN_SESSION = f"{SESSION}with session(): logging.getLogger('app').warning('x')\n"
PROVIDER = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import {processor}
from tracectrl.exporter import FileSpanExporter
from tracectrl.processor import SessionSpanProcessor
provider = TracerProvider()
trace.set_tracer_provider(provider)
"""


@pytest.fixture
def doctor(tmp_path: Path, root: Path) -> Doctor:
    """Return the function that has a program observed: its source, or a command; the findings."""

    def run(source: str, *command: str, **environment: str) -> list[dict[str, Any]]:
        path = tmp_path / "app.py"
        path.write_text(textwrap.dedent(source))
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tracectrl_logging.cli", "doctor", "--json", "--"),
                *(command or (sys.executable, str(path))),
            ],
            env={**os.environ, "TRACECTRL_TRACE_DIR": str(root), **environment},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"sev')]
        assert rows, done.stderr
        problems = [row for row in rows if row["severity"] in ("error", "warning")]
        assert (1 if problems else 0) == done.returncode
        return rows

    return run


BROKEN = {
    "no-session-handler": "import logging\nlogging.basicConfig(level='INFO')\n" + IN_SESSION,
    "propagate": CONFIGURED
    + SESSION
    + """
logger = logging.getLogger("pkg")
logger.propagate = False
logger.addHandler(logging.NullHandler())
with session():
    logging.getLogger("pkg.below").warning("x")
    logging.warning("y")
""",
    "unstamped-handlers": "import logging, tracectrl_logging\n"
    + SESSION
    + """
logging.getLogger("ours").addHandler(tracectrl_logging.SessionFileHandler())
logging.getLogger().addHandler(logging.StreamHandler())
with session():
    logging.getLogger("ours").warning("x")
    logging.getLogger("others").warning("x")
""",
    "disabled-loggers": """
import logging.config
logger = logging.getLogger("early")
import tracectrl_logging
config = tracectrl_logging.dict_config()
logging.config.dictConfig({**config, "disable_existing_loggers": True})
"""
    + IN_SESSION,
    "unknown-session": CONFIGURED + "logging.warning('x')\n",
    "queue-handler": """
import logging, logging.handlers, queue
import tracectrl_logging
records = queue.SimpleQueue()
logging.getLogger().addHandler(logging.handlers.QueueHandler(records))
listener = logging.handlers.QueueListener(records, tracectrl_logging.SessionFileHandler())
listener.start()
"""
    + IN_SESSION
    + "listener.stop()\n",
    "handler-filters": CONFIGURED
    + """
class Suppress(logging.Filter):  # as Powertools puts on each handler of the root logger
    def filter(self, record):
        return not record.name.startswith("pay")
for handler in logging.getLogger().handlers:
    handler.addFilter(Suppress())
logging.getLogger("pay.card").error("x")
"""
    + IN_SESSION,
    "late-records": """
import logging, logging.handlers, tracectrl_logging
file = tracectrl_logging.SessionFileHandler()
logging.getLogger().addHandler(logging.handlers.MemoryHandler(100, target=file))
"""
    + IN_SESSION,
    "held-records": CONFIGURED
    + """
import logging.handlers
memory = logging.handlers.MemoryHandler(100, flushOnClose=False)
logging.getLogger().addHandler(memory)
"""
    + IN_SESSION,
    "provider-replaced": CONFIGURED
    + IN_SESSION
    + """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
trace._TRACER_PROVIDER = TracerProvider()
""",
    "root-level": "import logging, tracectrl_logging\n"
    "logging.getLogger().addHandler(tracectrl_logging.SessionFileHandler())\n"
    + IN_SESSION
    + "logging.getLogger('app').info('held back')\n",
    "lost-lines": """
import logging, shutil, tracectrl_logging
logging.raiseExceptions = False
handler = tracectrl_logging.SessionFileHandler()
logging.getLogger().addHandler(handler)
shutil.rmtree(handler._writer._appender.root)
open(handler._writer._appender.root, "w").close()
"""
    + IN_SESSION,
    "structlog": "import structlog\nstructlog.get_logger().info('x')\n",
    "span-processor": PROVIDER.format(processor="SimpleSpanProcessor")
    + "provider.add_span_processor(SimpleSpanProcessor(FileSpanExporter()))\n",
    "span-exporter": PROVIDER.format(processor="SimpleSpanProcessor")
    + "provider.add_span_processor(SessionSpanProcessor())\n",
}


@pytest.mark.parametrize("check", BROKEN)
def test_broken(check: str, doctor: Doctor) -> None:
    """The finding names what is wrong, with its mend, and there is no other problem."""
    rows = doctor(BROKEN[check])
    problems = [row for row in rows if row["severity"] in ("error", "warning")]
    assert [check] == [row["check"] for row in problems]
    assert problems[0]["mend"]
    assert problems[0]["message"]
    assert 1 <= problems[0]["count"]


@pytest.mark.parametrize(
    ("check", "environment"),
    [
        ("otel-sdk-disabled", {"OTEL_SDK_DISABLED": "true"}),
        ("propagators", {"OTEL_PROPAGATORS": "tracecontext,baggage"}),
    ],
)
def test_broken_environment(check: str, environment: dict[str, str], doctor: Doctor) -> None:
    """What the environment does to OpenTelemetry is found."""
    rows = doctor(CONFIGURED + IN_SESSION, **environment)
    assert check in [row["check"] for row in rows if row["severity"] == "warning"]


@pytest.mark.parametrize(("level", "severity"), [("NOTSET", "info"), ("INFO", "warning")])
def test_root_level_that_is_meant(level: str, severity: str, doctor: Doctor) -> None:
    """A level that the program has set is no problem, unless its handler asks for more."""
    rows = doctor(
        "import logging, tracectrl_logging\n"
        f"handler = tracectrl_logging.SessionFileHandler(level={level!r})\n"
        "logging.basicConfig(level='WARNING', handlers=[handler])\n"
        f"{IN_SESSION}logging.info('held back')\n"
    )
    assert [severity] == [row["severity"] for row in rows if row["check"] == "root-level"]


def test_provider_that_nobody_set(doctor: Doctor) -> None:
    """A provider with our processors that is not the global one is worth knowing."""
    source = PROVIDER.replace("trace.set_tracer_provider(provider)", "").format(
        processor="SimpleSpanProcessor"
    )
    rows = doctor(source + "provider.add_span_processor(SessionSpanProcessor())\n")
    assert ["info"] == [row["severity"] for row in rows if row["check"] == "provider-replaced"]


def test_filter_is_named(doctor: Doctor) -> None:
    """Filters are named by their classes, and the loggers whose records they hold back."""
    (found,) = (row for row in doctor(BROKEN["handler-filters"]) if row["severity"] == "warning")
    assert ("SessionFileHandler", ["pay.card"]) == (found["subject"], found["positions"])
    assert "(Suppress)" in found["message"]


def test_otlp_that_nobody_takes(doctor: Doctor) -> None:
    """What was not sent is counted, each kind of its own; a second exporter of spans is told of."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra otlp")
    source = """
import tracectrl_logging
tracectrl_logging.configure(otlp=True, console=None)
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
import logging
"""
    twice = (
        "trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))\n"
    )
    span = "with trace.get_tracer('t').start_as_current_span('span'):\n    logging.warning('x')\n"
    nobody = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "0.2",
    }
    rows = doctor(
        f"{source}{twice}{SESSION}with session():\n {span.replace(chr(10), chr(10) + ' ')}",
        **nobody,
    )

    assert {
        ("otlp-unsent", "log records"),
        ("otlp-unsent", "spans"),
        ("otlp-twice", "OTLPSpanExporter"),
    } == {(row["check"], row["subject"]) for row in rows if row["mend"]}


def test_full_queue(doctor: Doctor) -> None:
    """A background handler whose queue is full is found."""
    source = (
        "import logging, tracectrl_logging\n"
        "tracectrl_logging.configure(background=True, queue_size=1, console=None)\n"
        f"{SESSION}with session():\n    for number in range(5000): logging.warning(number)\n"
    )
    assert "full-queue" in [row["check"] for row in doctor(source)]


HEALTHY = {
    "configure": CONFIGURED + IN_SESSION + "configuration.shutdown()\n",
    "configure in a with statement": "import logging, tracectrl_logging\n"
    + SESSION
    + """
import structlog
with tracectrl_logging.configure(background=True), session():
    logging.info("x")
    structlog.get_logger("s").info("event")
""",
    "dictConfig": "import logging.config, tracectrl_logging\n"
    "logging.config.dictConfig(tracectrl_logging.dict_config())\n" + IN_SESSION,
    "dictConfig with a filter on the console": """
import logging.config
logging.config.dictConfig({
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"session": {"()": "tracectrl_logging.SessionContextFilter", "default": "-"}},
    "formatters": {"text": {"format": "%(session_id)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "filters": ["session"],
                             "formatter": "text"}},
    "root": {"level": "INFO", "handlers": ["console"]},
})
"""
    + IN_SESSION,
    "record factory": "import logging, tracectrl_logging\nlogging.basicConfig(level='INFO')\n"
    "tracectrl_logging.install_record_factory()\n" + IN_SESSION,
    "structlog": """
import structlog, tracectrl_logging
from tracectrl.session import session
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        tracectrl_logging.add_session_context,
        tracectrl_logging.SessionJSONRenderer(),
    ],
    logger_factory=tracectrl_logging.SessionFileLoggerFactory(),
)
with session():
    structlog.get_logger().info("event")
""",
    "queue": """
import logging, logging.handlers, queue
import tracectrl_logging
records = queue.SimpleQueue()
handler = logging.handlers.QueueHandler(records)
handler.addFilter(tracectrl_logging.SessionContextFilter())
logging.getLogger().addHandler(handler)
listener = logging.handlers.QueueListener(records, tracectrl_logging.SessionFileHandler())
listener.start()
"""
    + IN_SESSION
    + "listener.stop()\n",
    "filter that lets pass": CONFIGURED
    + "logging.root.handlers[0].addFilter(lambda record: True)\n"
    + IN_SESSION,
    "memory": """
import logging, logging.handlers
import tracectrl_logging
handler = logging.handlers.MemoryHandler(100, target=tracectrl_logging.SessionFileHandler())
handler.addFilter(tracectrl_logging.SessionContextFilter())
logging.getLogger().addHandler(handler)
"""
    + IN_SESSION,
    "memory, structlog": CONFIGURED
    + SESSION
    + """
import logging.handlers, structlog
file = logging.root.handlers[0]
logging.root.handlers[:] = [logging.handlers.MemoryHandler(100, target=file)]
with session():
    structlog.get_logger("app").info("x")
""",
    "handler that hands on": """
import logging, tracectrl_logging
class Handler(logging.Handler):
    def __init__(self):
        super().__init__()
        self.inner = tracectrl_logging.SessionFileHandler()
    def emit(self, record):
        self.inner.handle(logging.makeLogRecord(vars(record)))
logging.getLogger().addHandler(Handler())
"""
    + IN_SESSION,
    "provider that was replaced in good time": CONFIGURED
    + IN_SESSION
    + """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
trace.set_tracer_provider(TracerProvider())
""",
    "batched spans": CONFIGURED
    + IN_SESSION
    + PROVIDER.format(processor="BatchSpanProcessor")
    + "provider.add_span_processor(SessionSpanProcessor())\n"
    "provider.add_span_processor(BatchSpanProcessor(FileSpanExporter()))\n",
    "propagators": CONFIGURED + IN_SESSION,
    "nothing": "print('hello')\n",
}


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy(name: str, doctor: Doctor) -> None:
    """A set-up that works has no finding but the one that says so."""
    rows = doctor(HEALTHY[name], OTEL_PROPAGATORS="tracecontext,baggage,tracectrl")
    assert [("ok", "program")] == [(row["severity"], row["check"]) for row in rows]


UVICORN = """
import logging, socket, threading, time, urllib.request
import tracectrl_logging, uvicorn
from tracectrl.middleware import SessionMiddleware

tracectrl_logging.configure()

async def app(scope, receive, send):
    if scope["type"] == "http":
        logging.getLogger("app").info("hello")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

sock = socket.socket()
sock.bind(("127.0.0.1", 0))
server = uvicorn.Server(uvicorn.Config(SessionMiddleware(app), lifespan="off"))

def ask():
    while not server.started:
        time.sleep(0.01)
    urllib.request.urlopen(f"http://127.0.0.1:{sock.getsockname()[1]}/").read()
    server.should_exit = True

threading.Thread(target=ask).start()
server.run(sockets=[sock])
"""


def test_uvicorn(doctor: Doctor) -> None:
    """A server's own loggers, which do not propagate, are worth knowing but no problem."""
    rows = doctor(UVICORN)
    assert {"ok", "info"} >= {row["severity"] for row in rows}


def test_terminated(tmp_path: Path, root: Path) -> None:
    """A program that never ends by itself is looked at when doctor gets SIGTERM."""
    path = tmp_path / "app.py"
    path.write_text(BROKEN["root-level"] + "print('on', flush=True)\nimport time\ntime.sleep(60)\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "tracectrl_logging.cli", "doctor", "--", sys.executable, str(path)],
        env={**os.environ, "TRACECTRL_TRACE_DIR": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "on\n" == process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    output, said = process.communicate(timeout=30)
    assert (1, True) == (process.returncode, "root-level" in output)
    assert f"exit status -{int(signal.SIGTERM)}" in said


def test_processes(doctor: Doctor) -> None:
    """Child processes are looked at, too; what is found in several is one finding."""
    rows = doctor(
        "import subprocess, sys\n"
        "for _ in range(2):\n"
        "    subprocess.run([sys.executable, '-c', 'import logging; logging.warning(1)'])\n"
    )
    (found,) = (row for row in rows if row["check"] == "no-session-handler")
    assert 2 == found["count"]


MIDDLEWARE = """
import logging
import tracectrl_logging
from tracectrl.middleware import SessionWSGIMiddleware

configuration = tracectrl_logging.configure({options})

def hello(environ, start_response):
    logging.getLogger("app").info("hello")
    start_response("200 OK", [])
    return [b""]

app = SessionWSGIMiddleware(hello)
for part in app({{"HTTP_X_TRACECTRL_SESSION": "made-up"}}, lambda *_: None):
    pass
"""


@pytest.mark.parametrize("options", ["", "max_sessions_per_minute=100"])
def test_unbounded_sessions(options: str, doctor: Doctor) -> None:
    """Where requests open sessions, a bound on how many is asked for, unless there is one."""
    found = [
        row
        for row in doctor(MIDDLEWARE.format(options=options))
        if row["check"] == "unbounded-sessions"
    ]
    assert ([] if options else [("info", "SessionWSGIMiddleware")]) == [
        (row["severity"], row["subject"]) for row in found
    ]
    assert all("max_sessions_per_minute" in row["mend"] for row in found)


def test_sessions_without_requests(doctor: Doctor) -> None:
    """A program that opens its sessions itself is not asked for a bound."""
    assert "unbounded-sessions" not in [row["check"] for row in doctor(CONFIGURED + IN_SESSION)]

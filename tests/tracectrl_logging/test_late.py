"""Lines at the interpreter's very end, and in another root: nothing can be imported there."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Row = dict[str, Any]

SET_UP = """
import builtins, dataclasses, decimal, logging, os, sys, time
import structlog
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from tracectrl.exporter import FileSpanExporter
from tracectrl.processor import SessionSpanProcessor
from tracectrl.session import set_session_id
from tracectrl_logging import (
    SessionFileHandler, SessionFileLoggerFactory, SessionJsonFormatter, SessionJSONRenderer,
)
handler = SessionFileHandler("traces", **OPTIONS)
handler.setFormatter(FORMATTER)
log = logging.getLogger("late")
log.addHandler(handler)
log.setLevel("INFO")
factory = SessionFileLoggerFactory("traces")
structured = structlog.wrap_logger(factory(), processors=[SessionJSONRenderer()])
provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(SessionSpanProcessor())
provider.add_span_processor(SimpleSpanProcessor(FileSpanExporter("traces")))
tracer = provider.get_tracer("late")
@dataclasses.dataclass
class Point:
    x: int
odd = {"a": Point(1), "b": {1}, "c": decimal.Decimal(1), "d": "\\ud800", "e": {1: 2}, "key": "x"}
log.info("first")
structured.info("first")
"""

FINALIZER = """
class Late:
    names = {key: value for key, value in globals().items() if key[:1] != "_"}
    call = compile(CALLS, "call", "exec")
    exec = exec
    def __del__(self):
        self.exec(self.call, self.names)
builtins.late = Late()
second = int(time.time())
while int(time.time()) == second:
    time.sleep(0.01)
"""

CHROOT = """
os.mkdir("root")
os.chdir("root")
os.chroot(".")
sys.path_importer_cache.clear()
second = int(time.time())
while int(time.time()) == second:
    time.sleep(0.01)
exec(CALLS)
"""

FAILS = "try:\n    {}['x']\nexcept KeyError:\n    "
KINDS = {
    "plain": "log.info('late')",
    "arguments": "log.info('%s', 'late')",
    "odd values": "log.info('late', extra=odd)",
    "exception": FAILS + "log.exception('late')",
    "new session": "set_session_id('another'); log.info('late')",
    "encoded session": "set_session_id('a@b'); log.info('late')",
    "base32 session": "set_session_id(chr(228) * 64); log.info('late')",
    "long session": "set_session_id('x' * 300); log.info('late')",
    "structlog": "structured.info('late', a={1})",
    "structlog exception": FAILS + "structured.exception('late')",
    "structlog stack": "structured.info('late', stack_info=True)",
    "text": "factory().info('late')",
    "span": "tracer.start_span('late').end()",
}
HANDLERS = [
    ("", "None"),
    ("background=True", "None"),
    ("redact=['key']", "None"),
    ("max_bytes=100, backup_count=30", "None"),
    ("max_sessions_per_minute=1", "None"),
    ("", "SessionJsonFormatter()"),
]


def rows_of(
    options: str, formatter: str, end: str, directory: Path, read_lines: Callable[[Path], list[Row]]
) -> list[Row]:
    """Run a program with all kinds of calls at its *end*, and return the rows of these."""
    source = SET_UP.replace("**OPTIONS", options).replace("FORMATTER", formatter)
    source += end.replace("CALLS", repr("\n".join(KINDS.values())))
    # Not measured: what measures writes its own file at the end, which it cannot behind a chroot.
    env = {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-c", source],
        cwd=directory,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
    rows = [row for path in directory.rglob("*.jsonl*") for row in read_lines(path)]
    return [
        row for row in rows if str(row.get("message", row.get("name"))).split("\n")[0] == "late"
    ]


@pytest.mark.parametrize(("options", "formatter"), HANDLERS)
@pytest.mark.parametrize(
    "end",
    [
        FINALIZER,
        pytest.param(
            CHROOT,
            marks=pytest.mark.skipif(
                not hasattr(os, "geteuid") or os.geteuid() != 0, reason="for the superuser alone"
            ),
        ),
    ],
    ids=["finalizer", "chroot"],
)
def test_lines_where_nothing_can_be_imported(
    options: str,
    formatter: str,
    end: str,
    tmp_path: Path,
    read_lines: Callable[[Path], list[Row]],
) -> None:
    """Of the last finalizer, and in another root: each is there, in another second too."""
    rows = rows_of(options, formatter, end, tmp_path, read_lines)

    traces = [row["exception"]["stacktrace"] for row in rows if "exception" in row]
    assert len(KINDS) == len(rows)
    assert all(trace.endswith("KeyError: 'x'") and ", in <module>" in trace for trace in traces)
    assert 2 == len(traces)

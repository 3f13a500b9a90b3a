"""A real collector, rotel, behind the SDK's own exporters and behind ``configure(otlp=True)``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

START_S = 30.0

PLAIN = """
import logging, sys
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
import time

resource = Resource.create({"service.name": "plain"})
spans, logs = TracerProvider(resource=resource), LoggerProvider(resource=resource)
spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
for sid in ("one", "two"):
    with spans.get_tracer("t").start_as_current_span("work " + sid, attributes={"session.id": sid}):
        now = time.time_ns()
        logs.get_logger("app").emit(
            LogRecord(timestamp=now, observed_timestamp=now, severity_number=SeverityNumber.WARN,
                      severity_text="WARN", body="said in " + sid, attributes={"session.id": sid, "n": 1})
        )
spans.shutdown()
logs.shutdown()
"""

OURS = """
import logging, sys
from opentelemetry import trace
from tracectrl.session import session
from tracectrl_logging import configure

with configure(sys.argv[1], console=None, otlp=True):
    for sid in ("one", "three"):
        with session(sid), trace.get_tracer("t").start_as_current_span("ours " + sid):
            logging.getLogger("app").error("ours in %s", sid, extra={"n": 2})
"""


@pytest.fixture
def collector(rotel: Callable[..., Any], otel: str) -> str:
    """Run the collector, which writes into the tables; return where it listens."""
    address, _, name = otel.removeprefix("clickhouse://").partition("/")
    url: str = rotel(
        *("--exporter", "clickhouse", "--clickhouse-exporter-endpoint", f"http://{address}"),
        *("--clickhouse-exporter-database", name, "--clickhouse-exporter-compression", "none"),
    ).url
    return url


def run(program: str, collector: str, *args: str) -> None:
    """Run a program that sends to the collector."""
    env = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": collector}
    subprocess.run([sys.executable, "-c", program, *args], env=env, check=True)


def test_a_collector(collector: str, otel: str, root: Path, command: Callable[..., Result]) -> None:
    """Sessions of a program that knows nothing of us, and of one that does, are told as one."""
    run(PLAIN, collector)
    run(OURS, collector, str(root))

    def rows(sid: str) -> list[dict[str, Any]]:
        result = command("show", sid, "--json", "--root", otel)
        return (
            [json.loads(line) for line in result.output.splitlines()]
            if not result.exit_code
            else []
        )

    deadline = time.monotonic() + START_S
    while (len(rows("one")), len(rows("two")), len(rows("three"))) != (4, 2, 2):
        assert time.monotonic() < deadline, [rows(sid) for sid in ("one", "two", "three")]
        time.sleep(0.2)
    said = [row.get("message") or row["name"] for row in rows("one")]
    assert ["work one", "said in one", "ours one", "ours in one"] == said
    plain, ours = (row for row in rows("one") if "message" in row)
    assert ("WARNING", "plain", 1) == (plain["level"], plain["service"], plain["n"])
    assert ("ERROR", 2) == (ours["level"], ours["n"])
    assert ours["span_id"] == rows("one")[2]["span_id"]
    # What was sent is in the files, too.
    result = command("show", "three", "--json", "--root", str(root))
    files = [json.loads(line) for line in result.output.splitlines()]
    assert [row.get("message") or row["name"] for row in rows("three")] == [
        row.get("message") or row["name"] for row in files
    ]

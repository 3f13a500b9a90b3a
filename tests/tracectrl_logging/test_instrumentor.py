"""OpenTelemetry's bootstraps: by variables, by its file, by the instrumentor, files where a root is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl_logging.program.run import environment as program_environment

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.one_python

START = """
    import sys
    from opentelemetry.sdk._configuration import _OTelSDKConfigurator
    _OTelSDKConfigurator().configure()
"""
WORK = """
    import logging
    from opentelemetry import trace
    from opentelemetry._logs import LogRecord, get_logger
    from tracectrl.session import session

    class Show(logging.Handler):
        def emit(self, record):
            print(getattr(record, "session_id", "none"), record.getMessage())

    logging.root.addHandler(Show())
    for sid in ("a", "b"):
        with session(sid), trace.get_tracer("t").start_as_current_span("work"):
            logging.warning("logged")
            get_logger("lib").emit(LogRecord(event_name="lib.event", body="emitted"))
    for provider in (trace.get_tracer_provider(),):
        getattr(provider, "shutdown", lambda: None)()
    from opentelemetry._logs import get_logger_provider
    getattr(get_logger_provider(), "shutdown", lambda: None)()
"""


def run(directory: Path, source: str, **env: str) -> str:
    """Run *source* in *directory* with *env*; return what it prints."""
    (directory / "app.py").write_text(textwrap.dedent(source))
    clean = {key: value for key, value in os.environ.items() if key[:5] not in ("OTEL_", "TRACE")}
    done = subprocess.run(
        [sys.executable, "app.py"],
        cwd=directory,
        env={**clean, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout


def rows(directory: Path, name: str) -> list[dict[str, Any]]:
    """Return the lines of a file in the trace directory."""
    path = directory / "traces" / name
    lines = path.read_text().splitlines() if path.exists() else []
    return [row for row in map(json.loads, lines) if row.get("state") != "open"]


def test_exporters_by_variables(tmp_path: Path) -> None:
    """``OTEL_TRACES_EXPORTER`` and ``OTEL_LOGS_EXPORTER``: spans and log records are in their session's files."""
    run(
        tmp_path,
        START + WORK,
        OTEL_TRACES_EXPORTER="tracectrl_file",
        OTEL_LOGS_EXPORTER="tracectrl_file",
        OTEL_METRICS_EXPORTER="none",
    )
    for sid in ("a", "b"):
        (span,) = rows(tmp_path, f"{sid}.spans.jsonl")
        (line,) = rows(tmp_path, f"{sid}.logs.jsonl")
        assert ("work", "emitted", "lib") == (span["name"], line["message"], line["logger"])
        assert (sid, span["span_id"]) == (line["session_id"], line["span_id"])
    assert [] == rows(tmp_path, "unknown.spans.jsonl") + rows(tmp_path, "unknown.logs.jsonl")


@pytest.mark.parametrize("kind", ["simple", "batch"])
def test_the_declarative_file(tmp_path: Path, kind: str) -> None:
    """Exporters with options, the propagator and the instrumentor in one file; each line once."""
    pytest.importorskip("opentelemetry.configuration", exc_type=ImportError)
    (tmp_path / "otel.yaml").write_text(f"""
file_format: "1.0"
propagator: {{composite: [{{tracecontext: {{}}}}, {{tracectrl: {{}}}}]}}
tracer_provider:
  processors: [{{{kind}: {{exporter: {{tracectrl_file: {{root: traces}}}}}}}}]
logger_provider:
  processors: [{{{kind}: {{exporter: {{tracectrl_file: {{root: traces}}}}}}}}]
instrumentation/development: {{python: {{tracectrl: {{root: traces}}}}}}
""")
    check = """
    from opentelemetry import propagate
    with session("a"):
        propagate.inject(carrier := {})
    assert "a" == carrier["X-TraceCtrl-Session"], carrier
    """
    printed = run(tmp_path, START + WORK + check, OTEL_CONFIG_FILE="otel.yaml")

    assert ["a logged", "b logged"] == printed.splitlines()
    for sid in ("a", "b"):
        assert ["work"] == [row["name"] for row in rows(tmp_path, f"{sid}.spans.jsonl")]
        assert ["emitted"] == [row["message"] for row in rows(tmp_path, f"{sid}.logs.jsonl")]
    assert 4 == len(os.listdir(tmp_path / "traces"))


INSTRUMENT = """
    from importlib.metadata import entry_points
    (found,) = entry_points(group="opentelemetry_instrumentor", name="tracectrl")
    instrumentor = found.load()()
    assert not instrumentor.is_instrumented_by_opentelemetry
    instrumentor.instrument(skip_dep_check=True)
    found.load()().instrument(skip_dep_check=True)
    assert instrumentor.is_instrumented_by_opentelemetry
"""
PROVIDER = """
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    trace.set_tracer_provider(TracerProvider())
"""


@pytest.mark.parametrize("source", [PROVIDER + INSTRUMENT, INSTRUMENT + PROVIDER])
def test_the_instrumentor_stamps(tmp_path: Path, source: str) -> None:
    """Without a root records and spans have their session, whatever comes first, and no file is written."""
    show = """
    with session("a"):
        span = trace.get_tracer("t").start_span("x")
    print(span.attributes["session.id"])
    instrumentor.uninstrument()
    with session("c"):
        logging.warning("after the end")
    """
    printed = run(tmp_path, source + WORK + show)

    assert ["a logged", "b logged", "a", "none after the end"] == printed.splitlines()
    assert not (tmp_path / "traces").exists()


def test_log_records_say_it_once(tmp_path: Path) -> None:
    """What makes log records of the standard library's does not repeat the stamp among their attributes."""
    handed_on = """
    from opentelemetry import _logs
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
    import logging
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    _logs.set_logger_provider(provider)
    class HandOn(logging.Handler):
        def emit(self, record):
            extras = {key: vars(record)[key] for key in ("session_id", "trace_id", "n")}
            provider.get_logger("app").emit(body=record.getMessage(), attributes=extras)
    logging.root.addHandler(HandOn())
    from tracectrl.session import session
    with session("a"):
        logging.warning("x", extra={"n": 1})
    logging.warning("x", extra={"n": 2})
    print([dict(it.log_record.attributes) for it in exporter.get_finished_logs()])
    """
    printed = run(tmp_path, PROVIDER + INSTRUMENT + handed_on)
    assert "[{'n': 1, 'session.id': 'a'}, {'n': 2}]\n" == printed


def test_the_instrumentor_beside_configure(tmp_path: Path) -> None:
    """A program that calls configure() has each line and span once."""
    configure = """
    from tracectrl_logging import configure
    configure(console=None)
    """
    run(tmp_path, PROVIDER + INSTRUMENT + configure + WORK, TRACECTRL_TRACE_DIR="traces")
    for sid in ("a", "b"):
        assert ["logged"] == [row["message"] for row in rows(tmp_path, f"{sid}.logs.jsonl")]
        assert ["work"] == [row["name"] for row in rows(tmp_path, f"{sid}.spans.jsonl")]


def test_the_instrumentor_under_run(tmp_path: Path) -> None:
    """A program that ``run`` has started is captured by that, each line and span once."""
    environment = program_environment(dict(os.environ), "s1", root=tmp_path / "traces", level=None)
    printed = run(tmp_path, PROVIDER + INSTRUMENT + WORK, **environment)

    assert ["a logged", "b logged"] == printed.splitlines()
    for sid in ("a", "b"):
        assert ["logged"] == [row["message"] for row in rows(tmp_path, f"{sid}.logs.jsonl")]
        assert ["work"] == [row["name"] for row in rows(tmp_path, f"{sid}.spans.jsonl")]


@pytest.mark.parametrize("source", [PROVIDER + INSTRUMENT, INSTRUMENT + PROVIDER])
def test_the_instrumentor_writes(tmp_path: Path, source: str) -> None:
    """With a root in the environment lines and spans are written, each once."""
    run(tmp_path, source + WORK, TRACECTRL_TRACE_DIR="traces")
    for sid in ("a", "b"):
        assert ["logged"] == [row["message"] for row in rows(tmp_path, f"{sid}.logs.jsonl")]
        assert ["work"] == [row["name"] for row in rows(tmp_path, f"{sid}.spans.jsonl")]

"""``tracectrl-logs run`` and ``configure()`` beside the agents that come in the same way, offline."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

APPS = Path(__file__).parent / "apps"
RUN = [sys.executable, "-m", "tracectrl_logging.cli", "run", "--session", "s1"]
BIN = os.path.dirname(sys.executable)
LAUNCHERS = {
    "newrelic-admin": ["newrelic-admin", "run-program"],
    "ddtrace-run": ["ddtrace-run"],
    "opentelemetry-instrument": ["opentelemetry-instrument"],
}
OFFLINE = {
    "NEW_RELIC_DEVELOPER_MODE": "true",
    "DD_TRACE_AGENT_URL": "http://127.0.0.1:9",
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    "DD_TRACE_STARTUP_LOGS": "false",
    "OTEL_TRACES_EXPORTER": "none",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
}
TIMEOUT_S = 360


def start(directory: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run *command*, which reaches nothing outside."""
    return subprocess.run(
        command,
        cwd=directory,
        env={**os.environ, **OFFLINE, "PATH": os.pathsep.join([BIN, os.environ["PATH"]])},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def rows(directory: Path, kind: str) -> list[dict[str, Any]]:
    """Return the lines of the session."""
    text = (directory / "traces" / f"s1.{kind}.jsonl").read_text()
    found = [json.loads(line) for line in text.splitlines()]
    return [row for row in found if row.get("state") != "open"]  # each of them ends


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_run_inside_and_outside(launcher: str, tmp_path: Path) -> None:
    """The program is the same three times, the agent runs, and every line is the session's."""
    launch = [os.path.join(BIN, LAUNCHERS[launcher][0]), *LAUNCHERS[launcher][1:]]
    program = str(APPS / "bootstrapped.py")
    alone = start(tmp_path, *launch, sys.executable, program)
    assert (3, "['" in alone.stdout) == (alone.returncode, True), alone.stderr
    for command in ([*RUN, *launch, sys.executable, program], [*launch, *RUN, program]):
        shutil.rmtree(tmp_path / "traces", ignore_errors=True)
        done = start(tmp_path, *command)
        assert alone.returncode == done.returncode, done.stderr
        assert alone.stdout == done.stdout
        logs = [row for row in rows(tmp_path, "logs") if row["logger"] in ("app", "root")]
        assert {"std", "event", "in a span"} <= {row["message"] for row in logs}
        assert [1] == [row["n"] for row in logs if row["message"] == "event"]
        assert "work" in {row["name"] for row in rows(tmp_path, "spans")}


@pytest.mark.parametrize(
    "order",
    [
        ["logfire", "ours"],
        ["ours", "logfire"],
        ["logfire", "ours", "logfire"],
        ["ours", "logfire", "logfire"],
        ["run", "logfire"],
        ["run", "logfire", "logfire"],
    ],
)
def test_logfire(order: list[str], tmp_path: Path) -> None:
    """Before, after and again: its provider is in force, and each span is written once."""
    program = str(APPS / "logfire_app.py")
    if order[0] == "run":
        done = start(tmp_path, *RUN, program, *order[1:])
    else:
        done = start(tmp_path, sys.executable, program, *order)
    assert (0, "ProxyTracerProvider\n", "") == (
        done.returncode,
        done.stdout,
        done.stderr if order[0] != "run" else "",
    )
    assert ["by logfire", "by the API"] == [row["name"] for row in rows(tmp_path, "spans")]
    lines = [row for row in rows(tmp_path, "logs") if row["logger"] == "app"]
    assert ["one", "two"] == [row["message"] for row in lines]

"""Three services in a row, asked over HTTP: one session, one trace, one timeline."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

for needed in ("aiohttp", "fastapi", "flask", "httpx", "requests", "uvicorn"):
    pytest.importorskip(needed, reason="one of the services needs it")

if TYPE_CHECKING:
    from collections.abc import Callable

SERVICES = ["front", "middle", "back"]
STORY = ["front asks middle", "middle asks back", "back asks front", "front is asked by back"]
PROPAGATORS = {"OTEL_PROPAGATORS": "tracecontext,baggage,tracectrl"}


@pytest.fixture
def row(
    start: Callable[..., Any], free_port: Callable[[], int], wait_for: Any, tmp_path: Path
) -> Callable[..., tuple[int, Path]]:
    """Return the function that starts the three; answers with front's port and the directory."""

    def run(mode: str, *command: str, **environment: str) -> tuple[int, Path]:
        ports = {service: free_port() for service in SERVICES}
        urls = {name.upper(): f"http://127.0.0.1:{port}/" for name, port in ports.items()}
        programs = {
            service: start(
                *(*command, "row.py", service, str(port)),
                root=tmp_path / "traces",
                MODE=mode,
                OTEL_SERVICE_NAME=service,
                **urls,
                **environment,
            )
            for service, port in ports.items()
        }
        for service, program in programs.items():
            listens = lambda port=ports[service]: accepts(port)  # noqa: E731
            wait_for(listens, f"{service} does not listen")
            assert program.process.poll() is None, program.text()
        return ports["front"], tmp_path / "traces"

    return run


def accepts(port: int) -> bool:
    """Tell whether somebody listens on *port*."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def assert_story(found: Any, ids: list[str]) -> None:
    """Assert one session, one trace, three services and the whole story, for each session."""
    for sid in ids:
        logs = [row for row in found.logs if row["session_id"] == sid and row["logger"] == "row"]
        spans = [row for row in found.spans if row["session_id"] == sid]
        assert STORY == [row["message"] for row in sorted(logs, key=lambda row: row["timestamp"])]
        assert [*SERVICES, "front"] == [
            row["service"] for row in sorted(logs, key=lambda row: row["timestamp"])
        ]
        assert set(SERVICES) == {row["service"] for row in spans}
        assert 1 == len({row["trace_id"] for row in spans})


async def test_with_our_middlewares(row: Any, new_ids: Any, fetch_all: Any, traces: Any) -> None:
    """By ``SessionMiddleware``, ``SessionWSGIMiddleware`` and ``inject_trace_headers``."""
    port, root = row("ours")
    ids = new_ids(10)

    answers = await fetch_all(port, "/", ids)

    assert [(b'["leaf"]', [sid]) for sid in ids] == [(each.body, each.sessions) for each in answers]
    assert_story(traces(root, ids), ids)
    assert_shown(root, ids[0])


async def test_with_stock_instrumentations(
    row: Any, new_ids: Any, fetch_all: Any, traces: Any
) -> None:
    """By the propagator alone: no middleware of ours, and no headers by hand."""
    for name in ("requests", "httpx", "aiohttp_client", "fastapi", "flask"):
        pytest.importorskip(f"opentelemetry.instrumentation.{name}", reason="it is what is tested")
    port, root = row("stock", **PROPAGATORS)
    ids = new_ids(10)

    answers = await fetch_all(port, "/", ids)

    assert [b'["leaf"]'] * len(ids) == [each.body for each in answers]
    assert_story(traces(root, ids), ids)
    assert_shown(root, ids[0])


async def test_without_a_line_of_code(row: Any, new_ids: Any, fetch_all: Any, traces: Any) -> None:
    """By ``opentelemetry-instrument`` and two environment variables: span files for each session."""
    for name in ("requests", "httpx", "aiohttp_client", "fastapi", "flask"):
        pytest.importorskip(f"opentelemetry.instrumentation.{name}", reason="it is what is tested")
    pytest.importorskip("opentelemetry.distro", reason="it is what is tested")
    port, root = row(
        "auto",
        sys.executable,
        program=str(Path(sys.executable).with_name("opentelemetry-instrument")),
        OTEL_TRACES_EXPORTER="tracectrl_file",
        OTEL_METRICS_EXPORTER="none",
        OTEL_LOGS_EXPORTER="none",
        OTEL_BSP_SCHEDULE_DELAY="100",
        **PROPAGATORS,
    )
    ids = new_ids(10)

    answers = await fetch_all(port, "/", ids)

    assert [b'["leaf"]'] * len(ids) == [each.body for each in answers]
    for _ in range(300):
        found = traces(root, ids)
        if sum(row["name"] in SERVICES for row in found.spans) == 3 * len(ids):
            break
        await asyncio.sleep(0.1)
    for sid in ids:
        spans = [row for row in found.spans if row["session_id"] == sid]
        assert set(SERVICES) == {row["service"] for row in spans}
        assert set(SERVICES) <= {row["name"] for row in spans}
        assert 1 == len({row["trace_id"] for row in spans})


def assert_shown(root: Path, sid: str) -> None:
    """Assert that the command shows one timeline of the three, where its extra is installed."""
    if importlib.util.find_spec("click") is None or importlib.util.find_spec("rich") is None:
        return
    done = subprocess.run(
        [sys.executable, "-m", "tracectrl_logging.cli", "show", sid, "--json", "--root", str(root)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert STORY == [row["message"] for row in rows if row.get("logger") == "row"]
    assert set(SERVICES) == {row["service"] for row in rows}
    assert {"log", "span"} == {row["type"] for row in rows}

"""The matrix, Celery: real workers on a real Redis, started here on a free port."""

from __future__ import annotations

import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("celery", reason="it is what is tested")
pytest.importorskip("redis", reason="Celery needs it for its broker")
pytest.importorskip("opentelemetry.instrumentation.celery", reason="it makes spans of tasks")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SESSIONS = 200


@pytest.fixture(scope="session")
def broker(serve: Callable[..., Any]) -> str:
    """Return the URL of a Redis server."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    server = serve(
        *("--port", "{port}", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"),
        program=program,
    )
    return f"redis://127.0.0.1:{server.port}"


@pytest.fixture(scope="session")
def databases() -> Iterator[int]:
    """Return the numbers of the databases that a Redis server has."""
    return iter(range(16))


@pytest.fixture
def run(
    start: Callable[..., Any], broker: str, databases: Iterator[int], tmp_path: Path
) -> Callable[..., Path]:
    """Return the function that starts a worker, sends tasks, and returns the trace directory."""

    def in_worker(names: str, ids: list[str], *options: str, **environment: str) -> Path:
        root = tmp_path / "traces"
        more = {"BROKER": f"{broker}/{next(databases)}", "root": root, **environment}
        worker = start(
            *("-m", "celery", "-A", "celery_app", "worker", "--without-mingle"),
            *("--without-gossip", *options),
            **more,
        )
        sender = start("celery_app.py", names, *ids, **more)
        sender.process.wait(90)
        assert 0 == sender.process.returncode, sender.text() + worker.text()
        worker.stop()
        return root

    return in_worker


PREFORK = ("--pool", "prefork", "--concurrency", "2")


def test_prefork(run: Any, new_ids: Any, assert_cell: Any, traces: Any) -> None:
    """Two hundred tasks of as many sessions in two processes: one session, one trace."""
    ids = new_ids(SESSIONS)

    root = run("once", ids, *PREFORK)

    assert_cell(root, "celery", ids, 1)
    assert_spans(
        traces(root).spans, ids, {"apply_async/celery_app.once": 1, "run/celery_app.once": 1}
    )


@pytest.mark.parametrize(
    ("options", "environment"),
    [
        ((*PREFORK, "--max-tasks-per-child", "1"), {"MATRIX_DELAYED": "1"}),
        (("--pool", "solo"), {"MATRIX_DELAYED": "1"}),
        (PREFORK, {"INSTRUMENTED_FIRST": "1"}),
        (PREFORK, {"STOCK": "1", "OTEL_PROPAGATORS": "tracecontext,baggage,tracectrl"}),
    ],
    ids=[
        "one task a process, delayed",
        "solo, delayed",
        "instrumented first",
        "stock instrumentation",
    ],
)
def test_retries_chains_and_failures(
    run: Any,
    new_ids: Any,
    assert_cell: Any,
    traces: Any,
    options: tuple[str, ...],
    environment: dict[str, str],
) -> None:
    """What follows from a task is in the session that sent it, and nothing is lost."""
    ids = new_ids(2)

    root = run("retried,chain,fails", ids, *options, **environment)

    assert_cell(root, "celery-retried", ids, 3)
    assert_cell(root, "celery-chain", ids, 2)
    assert_cell(root, "celery", ids, 1)
    assert_cell(root, "celery-fails", ids, 1)
    assert_cell(root, "celery-failure-signal", ids, 1, 0)
    assert_spans(
        traces(root).spans,
        ids,
        {
            "run/celery_app.retried": 3,
            "run/celery_app.first": 1,
            "run/celery_app.then": 1,
            "run/celery_app.once": 1,
            "run/celery_app.fails": 1,
        },
    )


def assert_spans(spans: list[dict[str, Any]], ids: list[str], expected: dict[str, int]) -> None:
    """Assert that each session has these spans."""
    found = Counter((row["session_id"], row["name"]) for row in spans)
    assert {(sid, name): number for sid in ids for name, number in expected.items()} == {
        (sid, name): found[sid, name] for sid in ids for name in expected
    }

"""The matrix, Celery: real workers on a real Redis, started here on a free port."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("celery", reason="it is what is tested")
pytest.importorskip("redis", reason="Celery needs it for its broker")
pytest.importorskip("opentelemetry.instrumentation.celery", reason="it makes spans of tasks")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PREFORK = ("--pool", "prefork", "--concurrency", "2")
SOLO = ("--pool", "solo")
THREADS = ("--pool", "threads", "--concurrency", "4")
STOCK = {"STOCK": "1", "OTEL_PROPAGATORS": "tracecontext,baggage,tracectrl"}

# What is sent, the lines and spans of each cell that come of it, and how often which task runs.
SENT = {
    "once": ({"celery": 1}, {"once": 1}),
    "later": ({"celery": 1}, {"once": 1}),
    "retried": ({"celery-retried": 3}, {"retried": 3}),
    "retried_by_itself": ({"celery-retried-by-itself": 3}, {"retried_by_itself": 3}),
    "chain": ({"celery-chain": 2, "celery": 1}, {"first": 1, "then": 1, "once": 1}),
    "group": ({"celery-part": 3}, {"part": 3}),
    "chord": ({"celery-part": 3, "celery-whole": 1}, {"part": 3, "whole": 1}),
    "fails": ({"celery-fails": 1}, {"fails": 1}),
}


@pytest.fixture(scope="session")
def databases() -> Iterator[int]:
    """Return the numbers of the databases that a Redis server has."""
    return iter(range(16))


@pytest.fixture
def celery(
    start: Callable[..., Any], broker: str, databases: Iterator[int], tmp_path: Path
) -> Callable[..., Any]:
    """Return the function that starts a program with one more database and trace directory.

    ``celery("-m", "celery", ...)``: all programs of a test have the same two.
    """
    more = {"BROKER": f"{broker}/{next(databases)}", "root": tmp_path / "traces"}

    def run(*args: str, **environment: str) -> Any:
        return start(*args, **more, **environment)

    return run


@pytest.fixture
def worker(celery: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that starts a worker."""

    def run(*options: str, **environment: str) -> Any:
        return celery(
            *("-m", "celery", "-A", "celery_app", "worker", "--without-mingle"),
            *("--without-gossip", "--loglevel", "INFO", *options),
            **environment,
        )

    return run


@pytest.fixture
def run(celery: Callable[..., Any], worker: Callable[..., Any]) -> Callable[..., Path]:
    """Return the function that starts a worker, sends tasks, and returns the trace directory."""

    def in_worker(names: str, ids: list[str], *options: str, **environment: str) -> Path:
        program = worker(*options, **environment)
        sender = celery("celery_app.py", names, *ids, **environment)
        text = sender.wait()
        assert 0 == sender.process.returncode, text + program.text()
        program.stop()
        root: Path = program.root
        return root

    return in_worker


def test_prefork(run: Any, new_ids: Any, assert_cell: Any, traces: Any) -> None:
    """Two hundred tasks of as many sessions in two processes: one session, one trace."""
    ids = new_ids(200)

    root = run("once", ids, *PREFORK)

    assert_cell(root, "celery", ids, 1)
    assert_spans(
        traces(root).spans, ids, {"apply_async/celery_app.once": 1, "run/celery_app.once": 1}
    )
    assert_users(traces(root), ids)
    assert_one_trace_each(traces(root).spans, ids)


@pytest.mark.parametrize(
    ("sessions", "names", "options", "environment"),
    [
        (50, list(SENT), PREFORK, {}),
        (20, list(SENT), SOLO, {}),
        (20, list(SENT), THREADS, {}),
        (20, list(SENT), PREFORK, {"INSTRUMENTED_FIRST": "1"}),
        (20, list(SENT), PREFORK, STOCK),
        (20, ["once"], (*PREFORK, "--max-tasks-per-child", "1"), {"MATRIX_DELAYED": "1"}),
        (2, list(SENT), (*PREFORK, "--max-tasks-per-child", "1"), {"MATRIX_DELAYED": "1"}),
        (20, list(SENT), SOLO, {"MATRIX_DELAYED": "1"}),
    ],
    ids=[
        "prefork",
        "solo",
        "threads",
        "instrumented first",
        "stock instrumentation",
        "one task a process, delayed",
        "one task a process, delayed, all there is",
        "solo, delayed",
    ],
)
def test_what_follows_from_a_task(
    run: Any,
    new_ids: Any,
    assert_cell: Any,
    traces: Any,
    sessions: int,
    names: list[str],
    options: tuple[str, ...],
    environment: dict[str, str],
) -> None:
    """Retries, chains, groups, chords, delays and failures: in the sender's session, none lost.

    Celery's own lines about the outcome of a task are there, too: it leaves logging alone, and says
    them before the task has ended.
    """
    ids = new_ids(sessions)
    cells: Counter[str] = Counter()
    runs: Counter[str] = Counter()
    for name in names:
        cells.update(SENT[name][0])
        runs.update(SENT[name][1])

    root = run(",".join(names), ids, *options, **environment)

    for cell, number in cells.items():
        assert_cell(root, cell, ids, number)
    assert_cell(root, "celery-failure-signal", ids, runs["fails"], 0)
    found = traces(root)
    assert_spans(
        found.spans, ids, {f"run/celery_app.{name}": number for name, number in runs.items()}
    )
    assert_spans(
        found.spans,
        ids,
        {f"apply_async/celery_app.{name}": number for name, number in runs.items()},
    )
    retries = 4 * ("retried" in names)  # two of each of two tasks
    told = Counter(row["session_id"] for row in found.logs if row["logger"] == "celery.app.trace")
    assert dict.fromkeys(ids, runs.total()) == told
    assert retries * sessions == sum(" retry: " in row["message"] for row in found.logs)
    received = {
        row["session_id"] for row in found.logs if row["logger"] == "celery.worker.strategy"
    }
    assert {"unknown"} == received, "what a worker says between tasks is of no session"
    if "STOCK" not in environment:
        assert_users(found, ids)


def assert_users(found: Any, ids: list[str]) -> None:
    """Assert that all that was said in the sessions says what these know of themselves."""
    users = {(row["session_id"], row.get("user.id")) for row in found.logs}
    users |= {(row["session_id"], row["attributes"].get("user.id")) for row in found.spans}
    told = {(sid, user) for sid, user in users if sid in ids}
    assert {(sid, f"user of {sid}") for sid in ids} == told


@pytest.mark.parametrize(
    ("options", "environment"),
    [
        (SOLO, {}),
        (THREADS, {}),
        (PREFORK, {}),
        (SOLO, {"INSTRUMENTED_FIRST": "1"}),
    ],
    ids=["solo", "threads", "prefork", "solo, instrumented first"],
)
def test_a_task_of_nobodys_session(
    run: Any,
    new_ids: Any,
    assert_cell: Any,
    traces: Any,
    options: tuple[str, ...],
    environment: dict[str, str],
) -> None:
    """It has one of its own, also right after another's; its retries and what it sends have that."""
    ids = new_ids(20)

    root = run("once,nobodys", ids, *options, **environment)

    assert_cell(root, "celery", ids, 1)
    assert_own_sessions(traces(root), 20, ids)


def test_beat(celery: Any, worker: Any, wait_for: Any, traces: Any, tmp_path: Path) -> None:
    """Each task that a real ``celery beat`` sends has a session of its own."""
    program = worker(*SOLO)
    beat = celery(
        *("-m", "celery", "-A", "celery_app", "beat", "--schedule", str(tmp_path / "schedule")),
    )

    wait_for(
        lambda: traces(program.root).of("celery")["log"].total() >= 3, "beat has not sent three"
    )
    beat.stop()
    program.stop()

    found = traces(program.root)
    complete = found.of("celery")["log"]
    assert_own_sessions(found, len(complete), [])


def assert_own_sessions(found: Any, number: int, others: list[str]) -> None:
    """Assert so many sessions of nobody's, each with all that comes of one task."""
    once = found.of("celery")
    for kind, counts in found.of("celery-nobodys").items():
        assert set() == set(counts) & set(others)
        own = {sid: count for sid, count in counts.items() if once["log"][sid]}
        assert number == len(own)
        assert {2} == set(own.values()), kind
        assert list(own) == [str(uuid.UUID(sid)) for sid in own]
        assert dict.fromkeys(own, 1) == {sid: once[kind][sid] for sid in own}


def assert_spans(spans: list[dict[str, Any]], ids: list[str], expected: dict[str, int]) -> None:
    """Assert that each session has these spans."""
    found = Counter((row["session_id"], row["name"]) for row in spans)
    assert {(sid, name): number for sid in ids for name, number in expected.items()} == {
        (sid, name): found[sid, name] for sid in ids for name in expected
    }


def assert_one_trace_each(spans: list[dict[str, Any]], ids: list[str]) -> None:
    """Assert that the spans of each session are of one trace, and no two sessions share one."""
    pairs = {(row["session_id"], row["trace_id"]) for row in spans}
    assert sorted(ids) == sorted(sid for sid, _ in pairs)
    assert len(ids) == len({trace_id for _, trace_id in pairs})

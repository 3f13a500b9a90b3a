"""The matrix, queues: real workers on a real Redis; jobs, their retries, those of nobody's, and killed workers."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("redis", reason="the broker needs it")

from tracectrl_logging import reader

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# The worker of each, as a program and its arguments.
WORKERS = {
    "dramatiq": ("dramatiq", "queue_jobs", "--processes", "1", "--threads", "8"),
    "rq": ("rq", "worker", "--url", "{url}", "--job-class", "tracectrl.workers.rq.SessionJob"),
    "huey": ("huey_consumer", "queue_jobs.huey", "-w", "8", "-d", "0.01"),
    "taskiq": ("taskiq", "worker", "queue_jobs:taskiq_broker", "--workers", "1"),
    "arq": ("arq", "queue_jobs.Settings"),
}
CELERY = ("celery", "-A", "queue_jobs", "worker", "--concurrency", "1", "--loglevel", "warning")
JOBS = {"rq": 30}  # a process for each attempt; of the others 200


@pytest.mark.parametrize("library", [*WORKERS])
def test_jobs(
    library: str,
    start: Callable[..., Any],
    broker: str,
    new_ids: Callable[..., list[str]],
    wait_for: Callable[..., None],
    traces: Callable[..., Any],
    tmp_path: Path,
) -> None:
    """Each job is in the session that sent it, at each attempt; one that nobody sent is in its own."""
    pytest.importorskip(library, reason="it is what is tested")
    root = tmp_path / "traces"
    url = f"{broker}/{100 + [*WORKERS].index(library)}"
    more = {"root": root, "BROKER": url, "LIBRARY": library, "PYTHONPATH": "."}
    ids = new_ids(JOBS.get(library, 200))
    sender = start("queue_jobs.py", *ids, **more)
    sender.wait()
    assert 0 == sender.process.returncode, sender.text()
    name, *args = WORKERS[library]
    program = shutil.which(name, path=os.path.dirname(sys.executable))
    worker = start(*(each.replace("{url}", url) for each in args), program=program, **more)
    attempts = {sid: 1 + number % 2 for number, sid in enumerate(ids)}

    def are_done() -> bool:
        if worker.process.poll() is not None:
            pytest.fail(worker.text())
        if not root.is_dir():
            return False
        return len(list(root.glob("*.logs.jsonl"))) > len(ids) and all(
            (root / f"{sid}.logs.jsonl").read_bytes().count(b"at work") == count
            for sid, count in attempts.items()
        )

    wait_for(are_done, "not all jobs have been done")
    worker.stop()
    found = traces(root)
    assert {"log": attempts, "span": attempts} == found.of(library)
    assert [1] == [*found.of(f"{library}-nobodys")["log"].values()]


@pytest.mark.parametrize("library", [*WORKERS, "celery"])
def test_a_killed_worker(
    library: str,
    start: Callable[..., Any],
    broker: str,
    new_ids: Callable[..., list[str]],
    wait_for: Callable[..., None],
    traces: Callable[..., Any],
    tmp_path: Path,
) -> None:
    """What a job did until its process was killed is in its session, which has crashed; another attempt goes on there."""
    pytest.importorskip(library, reason="it is what is tested")
    root, hanging = tmp_path / "traces", tmp_path / "hanging"
    place = 110 + [*WORKERS, "celery"].index(library)
    url = f"{broker}/{place}"
    more = {
        "root": root,
        "BROKER": url,
        "LIBRARY": library,
        "PYTHONPATH": ".",
        "HANG": str(hanging),
    }
    (sid,) = new_ids(1)
    sender = start("queue_jobs.py", sid, **more)
    sender.wait()
    assert 0 == sender.process.returncode, sender.text()
    name, *args = WORKERS.get(library, CELERY)
    program = shutil.which(name, path=os.path.dirname(sys.executable))
    worker = start(*(each.replace("{url}", url) for each in args), program=program, **more)

    def is_open() -> bool:
        if worker.process.poll() is not None:
            pytest.fail(worker.text())
        spans = root / f"{sid}.spans.jsonl"
        return spans.exists() and b'"hangs"' in spans.read_bytes() and bool(hanging.read_text())

    wait_for(is_open, "no job hangs")
    assert "running" == {row.session_id: row.state for row in reader.sessions(root)}[sid]
    os.kill(int(hanging.read_text()), signal.SIGKILL)

    def state() -> str:
        return {row.session_id: row.state for row in reader.sessions(root)}[sid]

    wait_for(lambda: state() == "crashed", "the session has not crashed")
    if library in (
        "rq",
        "celery",
    ):  # of the others, what a killed process held is gone, or comes after minutes
        wait_for(lambda: traces(root, [sid]).of(library)["log"], "there is no other attempt")
    worker.stop()
    found = traces(root)
    assert {sid: 1} == found.of(f"{library}-killed")["log"]
    assert "crashed" == state()

"""The matrix, queues: real workers on a real Redis; jobs, their retries, and those of nobody's."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("redis", reason="the broker needs it")

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

"""APScheduler 3: jobs of sessions, and jobs that have one for each run: ``scheduled.py SESSION...``."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from cell import work

from tracectrl.session import current_session_id, session
from tracectrl.workers import carry

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNS = 20
ids = sys.argv[1:]
left = threading.Semaphore(0)
seen: list[str | None] = []


@contextmanager
def counted() -> Iterator[None]:
    """Count a run."""
    try:
        yield
    finally:
        left.release()


def once(expected: str) -> None:
    """Work in the session that added the job."""
    with counted():
        work("scheduled", expected)


def tick() -> None:
    """Work in a session of its own, and fail now and then."""
    with counted():
        seen.append(current_session_id())
        work("ticks", str(current_session_id()))
        if len(seen) % 5 == 0:
            raise RuntimeError(seen[-1])


scheduler = BackgroundScheduler(
    executors={"default": ThreadPoolExecutor(8)},
    job_defaults={"misfire_grace_time": None, "max_instances": 8, "coalesce": False},
)
scheduler.start()
for number in range(RUNS):
    scheduler.add_job(session()(tick), id=str(number))
for sid in ids:
    with session(sid):
        scheduler.add_job(carry(once), args=[sid])
for _ in range(len(ids) + RUNS):
    assert left.acquire(timeout=120)
scheduler.shutdown()
assert len({*seen} - {None}) == RUNS, seen
assert current_session_id() is None

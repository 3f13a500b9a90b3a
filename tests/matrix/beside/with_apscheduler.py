"""Its ``BackgroundScheduler``, a job for each order; the session by ``carry()``."""

from __future__ import annotations

import threading
from typing import Any

import shop
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED
from apscheduler.schedulers.background import BackgroundScheduler


def carried(function: Any) -> Any:
    """Return *function* in the session of now, where something of ours is there."""
    if not shop.BESIDE:
        return function
    from tracectrl.workers import carry  # noqa: PLC0415 - only where we are there

    return carry(function)


ended = threading.Semaphore(0)


def listen(event: Any) -> None:
    """Keep what the scheduler tells of a job."""
    shop.emit({"job": event.job_id, "exception": repr(event.exception)})
    ended.release()


shop.set_up()
scheduler = BackgroundScheduler()
scheduler.add_listener(listen, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
scheduler.start()
with shop.session():
    for number in shop.ORDERS:
        scheduler.add_job(carried(shop.work), args=[number], id=f"order-{number}", name="order")
        ended.acquire(timeout=300)
scheduler.shutdown()
shop.done()

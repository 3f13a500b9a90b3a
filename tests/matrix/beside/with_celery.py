"""A worker with the prefork pool, our handler or ``configure()`` and ``install()``; Redis between."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import shop
from celery import Celery, signals

if TYPE_CHECKING:
    from celery.result import AsyncResult

app = Celery("with_celery", broker=os.environ["BROKER"], backend=os.environ["BROKER"])
if shop.BESIDE:
    from tracectrl.workers.celery import install

    install()
else:
    signals.setup_logging.connect(lambda **_: None, weak=False)  # as install() does
shop.set_up()


@app.task(name="order")
def order(number: int) -> str:
    """Work."""
    shop.work(number)
    return f"done with {number}"


@signals.worker_ready.connect
def send(**_: Any) -> None:
    """Send a task for each order, and end the worker when their results are there."""
    import threading  # noqa: PLC0415

    with shop.session():
        results = [order.delay(number) for number in shop.ORDERS]
    threading.Thread(target=finish, args=(results,)).start()


def finish(results: list[AsyncResult]) -> None:
    """Keep the results."""
    for result in results:
        shop.emit({"result": result.get(timeout=300, disable_sync_subtasks=False)})
    app.control.shutdown()


app.worker_main(
    [
        *("--quiet", "worker", "--pool", "prefork", "--concurrency", "1", "--loglevel", "WARNING"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    ]
)
sys.exit(3)

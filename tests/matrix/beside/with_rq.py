"""A worker that forks for each job; the session in the job's argument by ``pack()``."""

from __future__ import annotations

import os
from typing import Any

import redis
import shop


def order(message: dict[str, Any]) -> str:
    """Work."""
    with shop.unpacked(message):
        shop.work(message["order"])
    return f"done with {message['order']}"


if __name__ == "__main__":
    import with_rq
    from rq import Queue, Worker

    shop.set_up()
    connection = redis.Redis.from_url(os.environ["BROKER"])
    queue = Queue(connection=connection)
    with shop.session():
        jobs = [queue.enqueue(with_rq.order, shop.packed(order=number)) for number in shop.ORDERS]
    Worker([queue], connection=connection).work(burst=True, logging_level="WARNING")
    for job in jobs:
        shop.emit({"result": job.return_value(refresh=True)})
    shop.done()

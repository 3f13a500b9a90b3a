"""A worker's threads and its broker in memory; the session in the message by ``pack()``."""

from __future__ import annotations

from typing import Any

import dramatiq
import shop
from dramatiq.brokers.stub import StubBroker

broker = StubBroker()
dramatiq.set_broker(broker)
shop.set_up()


@dramatiq.actor
def order(message: dict[str, Any]) -> None:
    """Work."""
    with shop.unpacked(message):
        shop.work(message["order"])
    shop.emit({"result": f"done with {message['order']}"})


worker = dramatiq.Worker(broker, worker_threads=2, worker_timeout=100)
worker.start()
with shop.session():
    for number in shop.ORDERS:
        order.send(shop.packed(order=number))
        broker.join(order.queue_name)
worker.stop()
shop.done()

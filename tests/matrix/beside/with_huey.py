"""A consumer's thread and its queue in memory; the session in the argument by ``pack()``."""

from __future__ import annotations

from typing import Any

import shop
from huey import MemoryHuey

huey = MemoryHuey("shop")
shop.set_up()


@huey.task()
def order(message: dict[str, Any]) -> str:
    """Work."""
    with shop.unpacked(message):
        shop.work(message["order"])
    return f"done with {message['order']}"


consumer = huey.create_consumer(workers=1, periodic=False, initial_delay=0.01, max_delay=0.05)
consumer.start()
with shop.session():
    for number in shop.ORDERS:
        shop.emit({"result": order(shop.packed(order=number)).get(blocking=True, timeout=300)})
consumer.stop(graceful=True)
shop.done()

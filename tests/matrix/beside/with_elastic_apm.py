"""``elasticapm.Client()`` and its ``LoggingHandler``; the transport keeps transactions and errors."""

from __future__ import annotations

from typing import Any

import elasticapm
import shop
from elasticapm.transport.base import Transport


class Kept(Transport):
    """Keeps what would be sent."""

    def queue(self, event_type: str, data: Any, *_: bool, **__: bool) -> None:
        """Keep it."""
        shop.emit({"type": event_type, **data})

    def start_thread(self, pid: int | None = None) -> None:
        """Start none."""

    def close(self) -> None:
        """Do nothing."""


client = elasticapm.Client(
    service_name="shop",
    transport_class="__main__.Kept",
    central_config=False,
    cloud_provider=False,
    metrics_interval="0s",
)
elasticapm.instrument()
shop.set_up(
    {"()": "elasticapm.handlers.logging.LoggingHandler", "client": client, "level": "ERROR"}
)
client.begin_transaction("job")
shop.all_orders()
client.end_transaction("orders")
client.close()
shop.done()

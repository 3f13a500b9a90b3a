"""Its ``StructuredLogHandler``, which prints JSON."""

from __future__ import annotations

import shop

shop.set_up(
    {
        "class": "google.cloud.logging.handlers.StructuredLogHandler",
        "project_id": "shop",
        "stream": "ext://sys.stdout",
    }
)
shop.all_orders()
shop.done()

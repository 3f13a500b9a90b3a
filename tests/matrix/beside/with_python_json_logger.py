"""Its ``JsonFormatter`` on a handler that prints."""

from __future__ import annotations

import shop

shop.set_up(
    formatter={
        "()": "pythonjsonlogger.json.JsonFormatter",
        "fmt": "%(asctime)s %(levelname)s %(name)s %(message)s",
    }
)
shop.all_orders()
shop.done()

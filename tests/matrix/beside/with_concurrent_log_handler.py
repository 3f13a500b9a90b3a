"""Its ``ConcurrentRotatingFileHandler``; what is in its file is kept."""

from __future__ import annotations

import logging

import shop

shop.set_up(
    {
        "class": "concurrent_log_handler.ConcurrentRotatingFileHandler",
        "filename": "shop.log",
        "maxBytes": 1_000_000,
        "backupCount": 2,
    }
)
shop.all_orders()
logging.shutdown()
with open("shop.log", encoding="utf-8") as file:
    for line in file:
        shop.emit({"line": line})
shop.done()

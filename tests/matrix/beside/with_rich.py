"""Its ``RichHandler``, tracebacks too; it prints."""

from __future__ import annotations

import shop
from rich.console import Console

shop.set_up(
    {
        "class": "rich.logging.RichHandler",
        "console": Console(width=100),
        "rich_tracebacks": True,
        "show_time": False,
    },
    {"format": "%(message)s"},
)
shop.all_orders()
shop.done()

"""The standard ``QueueHandler`` before a ``QueueListener``, whose handler prints."""

from __future__ import annotations

import logging
import logging.handlers
import queue
import sys

import shop

printing = logging.StreamHandler(sys.stdout)
printing.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
records: queue.Queue[logging.LogRecord] = queue.Queue()
shop.set_up({"class": "logging.handlers.QueueHandler", "queue": records})
with_listener = logging.handlers.QueueListener(records, printing)
with_listener.start()
shop.all_orders()
with_listener.stop()
shop.done()

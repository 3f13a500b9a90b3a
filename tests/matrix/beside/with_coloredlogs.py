"""``coloredlogs.install()``, which prints."""

from __future__ import annotations

import sys

import coloredlogs
import shop

shop.add_ours_first()
coloredlogs.install(level="INFO", stream=sys.stdout, fmt="%(levelname)s %(name)s %(message)s")
shop.add_ours_last()
shop.all_orders()
shop.done()

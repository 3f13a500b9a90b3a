"""Its ``RedirectLoggingHandler`` on the root logger; logbook writes to stdout."""

from __future__ import annotations

import sys

import logbook
import shop

shop.set_up({"class": "logbook.compat.RedirectLoggingHandler"})
form = "{record.level_name} {record.channel} {record.func_name} {record.message}"
with logbook.StreamHandler(sys.stdout, format_string=form).applicationbound():
    shop.all_orders()
shop.done()

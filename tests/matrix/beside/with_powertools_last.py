"""The same, made after that: it filters its lines out of each handler of the root logger."""

from __future__ import annotations

import shop
from aws_lambda_powertools import Logger

shop.set_up({"class": "logging.NullHandler"})
logger = Logger(service="shop")
shop.all_orders(logger, extra=lambda **fields: fields)
shop.done()

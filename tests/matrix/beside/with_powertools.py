"""AWS Lambda Powertools' ``Logger``, made before logging is set up, which prints JSON."""

from __future__ import annotations

import shop
from aws_lambda_powertools import Logger

logger = Logger(service="shop")
shop.set_up({"class": "logging.NullHandler"})
shop.all_orders(logger, extra=lambda **fields: fields)
shop.done()

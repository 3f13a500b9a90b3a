"""structlog on the standard library's loggers, its ``JSONRenderer`` last; a handler prints."""

from __future__ import annotations

import shop
import structlog

shop.set_up(formatter={"format": "%(message)s"})
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(),
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
)
shop.add_ours_last()  # configure() comes behind structlog's own
shop.all_orders(structlog.get_logger("shop"), extra=lambda **fields: fields)
shop.done()

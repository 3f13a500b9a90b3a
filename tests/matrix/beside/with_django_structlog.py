"""Its middleware, structlog on the standard library's loggers; a handler prints JSON."""

from __future__ import annotations

import django_shop
import shop
import structlog

shop.set_up(formatter={"format": "%(message)s"})
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.JSONRenderer(),
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
)
shop.add_ours_last()  # configure() comes behind structlog's own
django_shop.configure(
    apps=["django_structlog"], middleware=["django_structlog.middlewares.RequestMiddleware"]
)
django_shop.ask()
shop.done()

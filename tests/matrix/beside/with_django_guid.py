"""Its middleware and its filter on a handler that prints; requests by httpx."""

from __future__ import annotations

import django_shop
import shop

shop.set_up(
    formatter={"format": "%(levelname)s %(correlation_id)s %(name)s %(message)s"},
    filters={"id": {"()": "django_guid.log_filters.CorrelationId"}},
)
django_shop.configure(
    apps=["django_guid"],
    middleware=["django_guid.middleware.guid_middleware"],
    DJANGO_GUID={"GUID_HEADER_NAME": "X-Request-ID", "VALIDATE_GUID": False},
)
django_shop.ask()
shop.done()

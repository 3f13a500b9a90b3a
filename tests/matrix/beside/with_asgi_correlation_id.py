"""Its middleware around ours and its filter on a handler that prints; requests by httpx."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import shop
from asgi_correlation_id import CorrelationIdMiddleware
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

shop.set_up(
    formatter={"format": "%(levelname)s %(correlation_id)s %(name)s %(message)s"},
    filters={"id": {"()": "asgi_correlation_id.CorrelationIdFilter"}},
)


async def order(request: Any) -> JSONResponse:
    """Work."""
    shop.work(request.path_params["order"])
    return JSONResponse({})


application: Any = Starlette(routes=[Route("/{order:int}", order)])
application = CorrelationIdMiddleware(shop.middleware(application))


async def main() -> None:
    """Ask for each order."""
    here = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=here, base_url="http://shop") as web:
        for number in shop.ORDERS:
            answer = await web.get(f"/{number}", headers={**shop.HEADERS, "X-Request-ID": "r" * 32})
            shop.emit({"status": answer.status_code, "headers": dict(answer.headers)})


asyncio.run(main())
shop.done()

"""An application, in our middleware beside the first two; a request for each order."""

from __future__ import annotations

from typing import Any

import shop

shop.set_up()


async def _application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        shop.work(int(scope["path"][1:]))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})
    elif scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": message["type"] + ".complete"})
        await send({"type": "lifespan.shutdown.complete"})


def _wsgi_application(environ: Any, start_response: Any) -> list[bytes]:
    shop.work(int(environ["PATH_INFO"][1:]))
    start_response("204 No Content", [])
    return []


app = shop.middleware(_application)
wsgi = shop.middleware(_wsgi_application, wsgi=True)

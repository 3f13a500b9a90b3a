"""Three services in a row, which ask one another with three clients.

``front`` asks ``middle`` (requests), which asks ``back`` (httpx), which asks ``front`` (aiohttp).
``python row.py SERVICE PORT``, with ``FRONT``, ``MIDDLE`` and ``BACK`` for the URLs. ``MODE`` says
how the session travels: ``ours`` by the middlewares and ``inject_trace_headers``; ``stock`` by
OpenTelemetry's instrumentations; ``auto`` the same, and nothing of ours is imported.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
import requests
import uvicorn
from fastapi import FastAPI
from flask import Flask
from opentelemetry import trace
from werkzeug.serving import make_server

if TYPE_CHECKING:
    from collections.abc import Callable

mode = os.environ["MODE"]
service, port = sys.argv[1], int(sys.argv[2])
log = logging.getLogger("row")
tracer = trace.get_tracer("row")

headers: Callable[[], dict[str, str]] = dict
if mode != "auto":
    from tracectrl_logging import configure

    configure(console=None)
if mode == "ours":
    from tracectrl.context import inject_trace_headers as headers  # type: ignore[assignment]
if mode == "stock":
    from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
    from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
    from opentelemetry.instrumentation.requests import RequestsInstrumentor

    for instrumentor in (AioHttpClientInstrumentor, HTTPXClientInstrumentor, RequestsInstrumentor):
        instrumentor().instrument()


def front() -> FastAPI:
    """Return the first service."""
    app = FastAPI()

    @app.get("/")
    def begin() -> Any:
        with tracer.start_as_current_span("front"):
            log.info("front asks middle")
            return requests.get(os.environ["MIDDLE"], headers=headers(), timeout=120).json()

    @app.get("/leaf")
    async def leaf() -> list[str]:
        log.info("front is asked by back")
        return ["leaf"]

    return app


def middle() -> Flask:
    """Return the second service."""
    app = Flask("middle")

    @app.get("/")
    def begin() -> Any:
        with tracer.start_as_current_span("middle"):
            log.info("middle asks back")
            return httpx.get(
                os.environ["BACK"], headers=headers(), timeout=120, trust_env=False
            ).json()

    return app


def back() -> FastAPI:
    """Return the third service."""
    app = FastAPI()

    @app.get("/")
    async def begin() -> Any:
        with tracer.start_as_current_span("back"):
            log.info("back asks front")
            url = os.environ["FRONT"] + "leaf"
            async with aiohttp.ClientSession() as web, web.get(url, headers=headers()) as answer:
                return await answer.json()

    return app


def main() -> None:
    """Serve until the end."""
    app: Any = {"front": front, "middle": middle, "back": back}[service]()
    if mode == "ours":
        from tracectrl.middleware import SessionMiddleware, SessionWSGIMiddleware  # noqa: PLC0415

        if service == "middle":
            app.wsgi_app = SessionWSGIMiddleware(app.wsgi_app)
        else:
            app.add_middleware(SessionMiddleware)
    if mode == "stock":
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor  # noqa: PLC0415
        from opentelemetry.instrumentation.flask import FlaskInstrumentor  # noqa: PLC0415

        instrumentor = FlaskInstrumentor if service == "middle" else FastAPIInstrumentor
        instrumentor().instrument_app(app)
    if service == "middle":
        make_server("127.0.0.1", port, app, threaded=True).serve_forever()
    else:
        uvicorn.run(app, port=port, log_config=None)


main()

"""ASGI applications: a route for each way a request is served.

The first part of the path says how the session comes to the application: ``/added`` by
``add_middleware``, ``/around`` by wrapping, ``/beneath`` beneath a ``BaseHTTPMiddleware``.
"""

from __future__ import annotations

import asyncio
import gc
import os
from typing import TYPE_CHECKING, Any

from cell import Meeting, log, threads, work
from fastapi import BackgroundTasks, FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from tracectrl.middleware import SessionMiddleware
from tracectrl.workers import ThreadPoolExecutor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from starlette.requests import Request

SESSIONS = int(os.environ.get("MATRIX_SESSIONS", "1"))
meetings = {
    name: Meeting(SESSIONS)
    for name in ("async", "beneath", "websocket", "tasks", "to_thread", "executor", "stream")
}
executor = ThreadPoolExecutor(THREADS := 8)


def routes(app: FastAPI) -> FastAPI:  # noqa: C901 - one function for each route
    """Give *app* its routes."""

    @app.get("/async")
    async def in_async(expected: str, background: BackgroundTasks) -> dict[str, str]:
        work("async", expected)
        await meetings["async"].join()
        work("async", expected)
        background.add_task(work, "async", expected)
        return {}

    @app.get("/def")
    def in_def(expected: str) -> dict[str, str]:
        work("def", expected)
        threads.wait()
        work("def", expected)
        return {}

    @app.get("/tasks")
    async def in_tasks(expected: str) -> dict[str, str]:
        async def step() -> None:
            work("tasks", expected)
            await meetings["tasks"].join()
            work("tasks", expected)

        await asyncio.gather(asyncio.create_task(step()), return_exceptions=False)
        return {}

    @app.get("/to_thread")
    async def in_thread(expected: str) -> dict[str, str]:
        await meetings["to_thread"].join()
        await asyncio.to_thread(work, "to_thread", expected)
        return {}

    @app.get("/executor")
    async def in_executor(expected: str) -> dict[str, str]:
        def step() -> None:
            threads.wait()
            work("executor", expected)

        await meetings["executor"].join()
        await asyncio.wrap_future(executor.submit(step))
        return {}

    @app.get("/stream")
    async def stream(expected: str) -> StreamingResponse:
        return StreamingResponse(_chunks("stream", expected))

    @app.get("/stream-def")
    async def stream_def(expected: str) -> StreamingResponse:
        return StreamingResponse(_chunks_of_def("stream-def", expected))

    @app.websocket("/websocket")
    async def websocket(socket: WebSocket, expected: str) -> None:
        work("websocket", expected)
        await socket.accept()
        await meetings["websocket"].join()
        async for text in socket.iter_text():
            work("websocket", expected)
            await socket.send_text(text)
        work("websocket", expected)

    @app.get("/nothing")
    async def nothing() -> dict[str, str]:
        log.info("nothing")
        return {}

    @app.get("/collect")
    async def collect() -> dict[str, str]:
        gc.collect()
        return {}

    @app.get("/fail")
    async def fail(expected: str) -> None:
        work("fail", expected)
        msg = "on purpose"
        raise RuntimeError(msg)

    return app


async def _chunks(cell: str, expected: str, or_else: str | None = None) -> AsyncIterator[bytes]:
    try:
        work(cell, expected)
        await meetings["stream"].join()
        while True:
            yield b"x" * 10_000
            work(cell, expected)
            await asyncio.sleep(0.01)
    finally:
        _closed(cell, expected, or_else)


def _chunks_of_def(cell: str, expected: str) -> Iterator[bytes]:
    try:
        work(cell, expected)
        while True:
            yield b"x" * 10_000
            work(cell, expected)
    finally:
        # Starlette leaves this generator to the garbage collector, which is in nobody's session.
        _closed(cell, expected, "unknown")


def _closed(cell: str, expected: str, or_else: str | None) -> None:
    log.info("closed", extra={"cell": f"{cell}-closed", "expected": expected, "or_else": or_else})


class Base(BaseHTTPMiddleware):
    """Does what such middleware does: runs the rest in a task of its own."""

    async def dispatch(
        self, request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        """Pass *request* on."""
        return await call_next(request)


async def _beneath(request: Request) -> Response:
    expected = request.query_params["expected"]
    work("beneath", expected)
    await meetings["beneath"].join()
    work("beneath", expected)
    return JSONResponse({})


async def _beneath_stream(request: Request) -> Response:
    return StreamingResponse(_three("beneath-stream", request.query_params["expected"]))


async def _beneath_left(request: Request) -> Response:
    # BaseHTTPMiddleware leaves it to the garbage collector.
    chunks = _chunks("beneath-left", request.query_params["expected"], "unknown")
    return StreamingResponse(chunks)


async def _beneath_left_def(request: Request) -> Response:
    return StreamingResponse(_chunks_of_def("beneath-left-def", request.query_params["expected"]))


async def _three(cell: str, expected: str) -> AsyncIterator[bytes]:
    for _ in range(3):
        work(cell, expected)
        yield b"x"
        await asyncio.sleep(0)


async def _fail(request: Request) -> Response:
    work("fail", request.query_params["expected"])
    msg = "on purpose"
    raise RuntimeError(msg)


_ROUTES = [
    Route("/fail", _fail),
    Route("/beneath", _beneath),
    Route("/beneath-stream", _beneath_stream),
    Route("/beneath-left", _beneath_left),
    Route("/beneath-left-def", _beneath_left_def),
]


async def _own_error(request: Request, error: Exception) -> Response:
    log.info("handled", extra={"cell": "handler", "expected": request.query_params["expected"]})
    return PlainTextResponse(f"own page for {error}: {request.url.path}", 500)


def _added(**options: Any) -> FastAPI:
    application = routes(FastAPI(**options))
    application.add_middleware(SessionMiddleware)
    return application


_APPS: dict[str, Any] = {
    "added": _added(),
    "around": SessionMiddleware(routes(FastAPI())),
    "handled": _added(exception_handlers={Exception: _own_error}),
    "debug": _added(debug=True),
    "around-handled": SessionMiddleware(
        routes(FastAPI(exception_handlers={Exception: _own_error}))
    ),
    "outside": Starlette(
        routes=_ROUTES, middleware=[Middleware(SessionMiddleware), Middleware(Base)]
    ),
    "inside": Starlette(
        routes=_ROUTES, middleware=[Middleware(Base), Middleware(SessionMiddleware)]
    ),
    "reject": SessionMiddleware(routes(FastAPI()), policy="reject"),
    "accept": SessionMiddleware(routes(FastAPI()), policy="accept"),
    "untrusting": SessionMiddleware(routes(FastAPI()), trust_inbound=False),
    "own-check": SessionMiddleware(routes(FastAPI()), is_valid=lambda sid: sid.startswith("ok-")),
}


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Pass a request on to the application that the first part of its path names."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    _, name, rest = scope["path"].split("/", 2)
    await _APPS[name]({**scope, "path": f"/{rest}", "raw_path": f"/{rest}".encode()}, receive, send)

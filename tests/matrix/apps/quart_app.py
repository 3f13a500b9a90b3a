"""A Quart application, for hypercorn: the server that Quart comes with."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from cell import Meeting, log, work
from quart import Quart, Response, request, websocket

from tracectrl.middleware import SessionMiddleware

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

app = Quart(__name__)
app.asgi_app = SessionMiddleware(app.asgi_app)  # type: ignore[method-assign]
meetings = {
    name: Meeting(int(os.environ.get("MATRIX_SESSIONS", "1")))
    for name in ("async", "def", "stream", "websocket")
}


@app.get("/async")
async def in_async() -> str:
    """Answer on the event loop, and work on after the answer."""
    expected = request.args["expected"]
    work("quart-async", expected)
    await meetings["async"].join()
    work("quart-async", expected)

    async def later() -> None:
        work("quart-async", expected)

    app.add_background_task(later)
    return "x"


@app.get("/def")
def in_def() -> str:
    """Answer on a thread, to which Quart takes what is not async."""
    expected = request.args["expected"]
    work("quart-def", expected)
    return "x"


@app.get("/stream")
async def stream() -> Response:
    """Answer by and by."""
    expected = request.args["expected"]

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(3):
            work("quart-stream", expected)
            yield b"x"
            await asyncio.sleep(0)

    return Response(chunks())


@app.get("/endless")
async def endless() -> Response:
    """Answer for as long as somebody listens."""
    expected = request.args["expected"]

    async def chunks() -> AsyncIterator[bytes]:
        try:
            work("quart-endless", expected)
            await meetings["stream"].join()
            while True:
                yield b"x" * 10_000
                work("quart-endless", expected)
                await asyncio.sleep(0.01)
        finally:
            log.info("closed", extra={"cell": "quart-endless-closed", "expected": expected})

    return Response(chunks())


@app.get("/fail")
async def fail() -> str:
    """Raise."""
    work("quart-fail", request.args["expected"])
    msg = "on purpose"
    raise RuntimeError(msg)


@app.websocket("/websocket")
async def talk() -> None:
    """Say what is said."""
    expected = websocket.args["expected"]
    work("quart-websocket", expected)
    await websocket.accept()
    await meetings["websocket"].join()
    try:
        while True:
            text = await websocket.receive()
            work("quart-websocket", expected)
            await websocket.send(text)
    finally:
        work("quart-websocket", expected)

"""Applications of frameworks that are served by uvicorn or granian: ``FRAMEWORK`` says of which."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from cell import Meeting, threads, work

from tracectrl.middleware import SessionMiddleware, SessionWSGIMiddleware

FRAMEWORK = os.environ["FRAMEWORK"]
meeting = Meeting(int(os.environ.get("MATRIX_SESSIONS", "1")))


async def on_the_loop(expected: str) -> str:
    """Work twice, while all the others do."""
    work(FRAMEWORK, expected)
    await meeting.join()
    work(FRAMEWORK, expected)
    return "x"


app: Any = None
if FRAMEWORK == "litestar":
    from litestar import Litestar, get

    @get("/async")
    async def in_async(expected: str) -> str:
        """Answer on the event loop."""
        return await on_the_loop(expected)

    @get("/def", sync_to_thread=True)
    def in_def(expected: str) -> str:
        """Answer on a thread."""
        work(FRAMEWORK, expected)
        return "x"

    @get("/fail")
    async def fail(expected: str) -> None:
        """Raise."""
        work(FRAMEWORK, expected)
        raise RuntimeError(expected)

    # Its own set-up of logging would take the handlers of configure() away.
    app = Litestar([in_async, in_def, fail], logging_config=None, middleware=[SessionMiddleware])
elif FRAMEWORK == "sanic":
    from sanic import Request, Sanic, text

    sanic = Sanic("matrix", configure_logging=False)

    @sanic.get("/async")
    async def of_sanic(request: Request) -> Any:
        """Answer on the event loop."""
        return text(await on_the_loop(request.args.get("expected")))

    @sanic.get("/fail")
    async def fail_in_sanic(request: Request) -> Any:
        """Raise."""
        work(FRAMEWORK, request.args.get("expected"))
        raise RuntimeError

    app = SessionMiddleware(sanic)
else:

    async def plain(scope: Any, _: Any, send: Any) -> None:
        """Answer, by ASGI alone."""
        if scope["type"] == "http":
            await on_the_loop(scope["query_string"].decode().partition("=")[2])
            await asyncio.sleep(0)
            await send({"type": "http.response.start", "status": 201, "headers": []})
            await send({"type": "http.response.body", "body": b"x"})

    app = SessionMiddleware(plain)


def plain_wsgi(environ: dict[str, Any], start_response: Any) -> Any:
    """Answer, by WSGI alone, part by part."""
    expected = environ["QUERY_STRING"].partition("=")[2]
    work(FRAMEWORK, expected)
    threads.wait()
    start_response("201 Created", [])

    def parts() -> Any:
        work(FRAMEWORK, expected)
        yield b"x"

    return parts()


wsgi = SessionWSGIMiddleware(plain_wsgi)

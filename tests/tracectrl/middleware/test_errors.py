"""tracectrl.middleware.errors: Starlette's and FastAPI's own answers to exceptions, in the session."""

# ruff: noqa: ARG001, ARG002 - the signatures are the protocol's

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry import trace
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route

from tracectrl.middleware import SessionMiddleware
from tracectrl.session import current_session_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HEADER = "X-TraceCtrl-Session"
TRACE_ID = 0xAF7651916CD43DD8448EB211C80319C
TRACEPARENT = f"00-{TRACE_ID:032x}-b7ad6b7169203331-01"


async def fail(request: Any) -> Any:
    """Raise."""
    msg = "on purpose"
    raise RuntimeError(msg)


async def fail_midway(request: Any) -> Any:
    """Raise when part of the answer is sent."""

    async def parts() -> AsyncIterator[bytes]:
        yield b"begun"
        msg = "on purpose"
        raise RuntimeError(msg)

    return StreamingResponse(parts())


ROUTES = [Route("/", fail), Route("/midway", fail_midway)]


class Seen(list[tuple[str | None, int]]):
    """Handlers for exceptions, and the session and trace of each of their calls."""

    def see(self) -> None:
        """Keep the session and the trace of now."""
        self.append((current_session_id(), trace.get_current_span().get_span_context().trace_id))

    async def on_the_loop(self, request: Any, error: Exception) -> Any:
        """Answer."""
        self.see()
        return JSONResponse(str(error), 503, headers={HEADER: "another", "X-Own": "kept"})

    def on_a_thread(self, request: Any, error: Exception) -> Any:
        """Answer."""
        self.see()
        return JSONResponse(str(error), 503, headers={"X-Own": "kept"})

    async def __call__(self, request: Any, error: Exception) -> Any:
        """Answer."""
        return await self.on_the_loop(request, error)


async def get(app: Any, path: str = "/", **headers: str) -> httpx.Response:
    """Ask *app* in the session ``mine``; return the answer, whatever the server sees raised."""
    here = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=here, base_url="http://test") as web:
        answer = await web.get(path, headers={HEADER: "mine", **headers})
    assert current_session_id() is None
    return answer


@pytest.mark.parametrize("framework", [Starlette, FastAPI])
@pytest.mark.parametrize("kind", [500, Exception])
@pytest.mark.parametrize("how", ["on the loop", "on a thread", "object", "partial"])
async def test_a_handler_runs_once_and_in_the_session(framework: Any, kind: Any, how: str) -> None:
    """Of whatever kind it is: its answer is sent as it is, but for the session's header."""
    seen = Seen()
    handlers = {
        "on the loop": seen.on_the_loop,
        "on a thread": seen.on_a_thread,
        "object": seen,
        "partial": functools.partial(seen.on_the_loop),
    }
    app = framework(routes=ROUTES, exception_handlers={kind: handlers[how]})
    app.add_middleware(SessionMiddleware)

    for number in (1, 2):
        answer = await get(app)

        assert (503, '"on purpose"', "kept") == (
            *(answer.status_code, answer.text),
            answer.headers["X-Own"],
        )
        assert ["mine"] == answer.headers.get_list(HEADER)
        assert ["mine"] * number == [sid for sid, _ in seen]


async def test_a_handler_runs_in_the_callers_trace() -> None:
    """As the application does."""
    seen = Seen()
    app = Starlette(routes=ROUTES, exception_handlers={500: seen})
    app.add_middleware(SessionMiddleware)

    await get(app, traceparent=TRACEPARENT)

    assert [("mine", TRACE_ID)] == seen


async def test_a_handler_runs_in_the_session_when_the_answer_has_begun() -> None:
    """What it returns cannot be sent, but it may log."""
    seen = Seen()
    app = Starlette(routes=ROUTES, exception_handlers={500: seen})
    app.add_middleware(SessionMiddleware)

    answer = await get(app, "/midway")

    assert (200, ["mine"]) == (answer.status_code, answer.headers.get_list(HEADER))
    assert ["mine"] == [sid for sid, _ in seen]


async def test_all_of_a_handlers_answer_is_in_the_session() -> None:
    """A stream and a background task, too."""
    seen: list[str | None] = []

    async def parts() -> AsyncIterator[bytes]:
        seen.append(current_session_id())
        yield b"x"

    async def handler(request: Any, error: Exception) -> Any:
        task = BackgroundTask(lambda: seen.append(current_session_id()))
        return StreamingResponse(parts(), 500, background=task)

    app = Starlette(routes=ROUTES, exception_handlers={500: handler})
    app.add_middleware(SessionMiddleware)

    answer = await get(app)

    assert ("x", ["mine"]) == (answer.text, answer.headers.get_list(HEADER))
    assert ["mine"] * 2 == seen


@pytest.mark.parametrize(
    ("options", "text"), [({}, "Internal Server Error"), ({"debug": True}, "RuntimeError")]
)
@pytest.mark.parametrize("framework", [Starlette, FastAPI])
async def test_the_frameworks_own_answers(
    framework: Any, options: dict[str, Any], text: str
) -> None:
    """The plain one and the debug page carry the session."""
    app = framework(routes=ROUTES, **options)
    app.add_middleware(SessionMiddleware)

    answer = await get(app)

    assert (500, ["mine"]) == (answer.status_code, answer.headers.get_list(HEADER))
    assert text in answer.text


class CatchAll(BaseHTTPMiddleware):
    """Answers exceptions by itself."""

    async def dispatch(self, request: Any, call_next: Any) -> Any:
        """Pass *request* on."""
        try:
            return await call_next(request)
        except RuntimeError:
            return PlainTextResponse("caught", 418)


async def test_middleware_further_out_sees_the_exception() -> None:
    """What it makes of it is the answer, as without us."""
    seen = Seen()
    app = Starlette(
        routes=ROUTES,
        middleware=[Middleware(CatchAll), Middleware(SessionMiddleware)],
        exception_handlers={500: seen},
    )

    answer = await get(app)

    assert (418, "caught") == (answer.status_code, answer.text)
    assert [] == seen


@pytest.mark.parametrize(
    "routes",
    [
        [Mount("/sub", app=Starlette(routes=ROUTES, middleware=[Middleware(SessionMiddleware)]))],
        [Mount("/sub", routes=ROUTES, middleware=[Middleware(SessionMiddleware)])],
        [Route("/sub/", fail, middleware=[Middleware(SessionMiddleware)])],
    ],
    ids=["an application", "a mount", "a route"],
)
async def test_the_middleware_of_a_part(routes: Any) -> None:
    """Where the middleware is around a part of an application, that part's errors carry the session."""
    answer = await get(Starlette(routes=[*routes, Route("/", fail)]), "/sub/")

    assert (500, ["mine"]) == (answer.status_code, answer.headers.get_list(HEADER))


async def test_an_exception_that_comes_from_further_out() -> None:
    """It was raised in no session: its answer names none, also once others have."""

    class Outer:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if scope["path"] == "/early":
                raise KeyError
            await self.app(scope, receive, send)

    seen = Seen()
    app = Starlette(
        routes=ROUTES,
        middleware=[Middleware(Outer), Middleware(SessionMiddleware)],
        exception_handlers={500: seen.on_a_thread},
    )

    answers = [await get(app, path) for path in ("/", "/early")]

    assert [503, 503] == [answer.status_code for answer in answers]
    assert [["mine"], []] == [answer.headers.get_list(HEADER) for answer in answers]
    assert ["mine", None] == [sid for sid, _ in seen]


async def test_a_framework_that_we_do_not_know() -> None:
    """Where the scope names an application that answers no exceptions, the plain answer is ours."""

    class Own:
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await SessionMiddleware(fail_as_asgi)({**scope, "app": self}, receive, send)

    async def fail_as_asgi(scope: Any, receive: Any, send: Any) -> None:
        raise KeyError

    answer = await get(Own())

    assert (500, ["mine"]) == (answer.status_code, answer.headers.get_list(HEADER))
    assert "Internal Server Error" == answer.text

"""A FastAPI application whose middleware sets the session: from the request to the files."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import httpx
import pytest
import structlog
from fastapi import BackgroundTasks, FastAPI, Request
from opentelemetry import trace

from tracectrl import context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractContextManager

    from starlette.responses import Response

log = logging.getLogger("shop")
slog = structlog.get_logger("shop")


def make_app() -> FastAPI:
    """Return an application with coroutine and plain endpoints, and background tasks."""
    app = FastAPI()

    @app.middleware("http")
    async def set_session(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        context.set(request.headers.get("X-Session-Id", str(uuid4())))
        return await call_next(request)

    @app.get("/async/{item}")
    async def by_coroutine(item: str) -> dict[str, str]:
        with trace.get_tracer("shop").start_as_current_span("look up"):
            log.info("async %s", item)
            await asyncio.sleep(0)
            slog.info("structlog async", item=item)
        return {"session": context.get()}

    @app.get("/plain/{item}")
    def by_thread(item: str) -> dict[str, str]:
        with trace.get_tracer("shop").start_as_current_span("look up"):
            log.info("plain %s", item)
        return {"session": context.get()}

    def later(item: str) -> None:
        log.info("later %s", item)

    async def later_async(item: str) -> None:
        log.info("later async %s", item)

    @app.post("/tasks/{item}")
    async def with_tasks(item: str, tasks: BackgroundTasks) -> dict[str, str]:
        tasks.add_task(later, item)
        tasks.add_task(later_async, item)
        return {"session": context.get()}

    @app.get("/broken")
    async def broken() -> None:
        msg = "broken"
        raise RuntimeError(msg)

    return app


@pytest.fixture
async def client(configured: object) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of the application, in this process."""
    del configured
    transport = httpx.ASGITransport(app=make_app(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        yield client


async def test_coroutine_endpoint(client: httpx.AsyncClient, stored: Any) -> None:
    """An ``async def`` endpoint logs, and traces, in the request's session."""
    answer = await client.get("/async/a", headers={"X-Session-Id": "s1"})
    assert {"session": "s1"} == answer.json()
    one, two = stored.logs("shop")["s1"]
    (span,) = stored.spans("shop")["s1"]
    assert ("async a", "structlog async", "a") == (one["message"], two["message"], two["item"])
    assert {(span["trace_id"], span["span_id"])} == {
        (row["trace_id"], row["span_id"]) for row in (one, two)
    }


async def test_plain_endpoint(client: httpx.AsyncClient, stored: Any) -> None:
    """A ``def`` endpoint, on a thread of the pool, does as well."""
    answer = await client.get("/plain/a", headers={"X-Session-Id": "s1"})
    assert {"session": "s1"} == answer.json()
    assert {"s1": ["plain a"]} == stored.messages("shop")
    assert ["look up"] == [span["name"] for span in stored.spans("shop")["s1"]]


async def test_without_the_header(client: httpx.AsyncClient, stored: Any) -> None:
    """Without the header each request is a session of its own."""
    sids = {(await client.get("/async/a")).json()["session"] for _ in range(3)}
    assert 3 == len(sids)
    assert all(str(UUID(sid)) == sid for sid in sids)
    assert sids == set(stored.logs("shop")) == set(stored.spans("shop"))


async def test_background_tasks(client: httpx.AsyncClient, stored: Any) -> None:
    """Background tasks, plain and coroutine, belong to the request's session."""
    await client.post("/tasks/a", headers={"X-Session-Id": "s1"})
    assert {"s1": ["later a", "later async a"]} == stored.messages("shop")


async def test_request_that_fails(client: httpx.AsyncClient, stored: Any) -> None:
    """A request that fails leaves nothing behind for the next."""
    answer = await client.get("/broken", headers={"X-Session-Id": "s1"})
    assert 500 == answer.status_code
    await client.get("/plain/a", headers={"X-Session-Id": "s2"})
    assert {"s2": ["plain a"]} == stored.messages("shop")


async def test_many_at_once(client: httpx.AsyncClient, stored: Any) -> None:
    """100 requests at once, of 20 sessions: each session's file holds its own lines."""

    async def request(number: int) -> None:
        kind = "async" if number % 2 else "plain"
        headers = {"X-Session-Id": f"s{number % 20}"}
        answer = await client.get(f"/{kind}/{number}", headers=headers)
        assert {"session": f"s{number % 20}"} == answer.json()

    await asyncio.gather(*map(request, range(100)))
    expected = {
        f"s{number}": sorted(
            ["async " * (n % 2) + "plain " * (1 - n % 2) + str(n) for n in range(number, 100, 20)]
            + ["structlog async"] * (5 * (number % 2))
        )
        for number in range(20)
    }
    assert expected == {sid: sorted(rows) for sid, rows in stored.messages("shop").items()}


@pytest.mark.usefixtures("configured")
def test_served(serving: Callable[[Any], AbstractContextManager[str]], stored: Any) -> None:
    """The same over HTTP under uvicorn, whose own lines are of no session."""
    with serving(make_app()) as url, httpx.Client(base_url=url) as client:
        for number in range(6):
            kind = "async" if number % 2 else "plain"
            headers = {"X-Session-Id": f"s{number % 3}"}
            assert 200 == client.get(f"/{kind}/{number}", headers=headers).status_code
        client.post("/tasks/a", headers={"X-Session-Id": "s9"})
    assert {
        "s0": ["plain 0", "async 3", "structlog async"],
        "s1": ["async 1", "structlog async", "plain 4"],
        "s2": ["plain 2", "async 5", "structlog async"],
        "s9": ["later a", "later async a"],
    } == stored.messages("shop")
    assert 7 == sum(map(len, stored.logs("uvicorn.access").values()))
    assert {"s0": 2, "s1": 2, "s2": 2} == {
        sid: len(spans) for sid, spans in stored.spans("shop").items()
    }

"""The matrix, HTTP: 200 requests at a time, each in its session, on real ASGI servers."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

SESSIONS = 200
HEADER = "X-TraceCtrl-Session"


@pytest.mark.parametrize(
    ("path", "lines"),
    [
        ("added/async", 3),
        ("added/def", 2),
        ("added/tasks", 2),
        ("added/to_thread", 1),
        ("added/executor", 1),
        ("around/async", 3),
        ("outside/beneath", 2),
        ("outside/beneath-stream", 3),
        ("inside/beneath", 2),
    ],
)
async def test_each_request_in_its_session(
    uvicorn: Any, new_ids: Any, fetch_all: Any, assert_cell: Any, path: str, lines: int
) -> None:
    """Lines, spans and the answer's header are of the session that the request named."""
    ids = new_ids()
    cell = path.partition("/")[2]

    answers = await fetch_all(uvicorn.port, f"/{path}", ids)

    assert [(200, [sid]) for sid in ids] == [(each.status, each.sessions) for each in answers]
    assert_cell(uvicorn.root, cell, ids, lines)


async def test_a_stream_whose_client_leaves(
    uvicorn: Any, new_ids: Any, begin_all: Any, assert_cell: Any, traces: Any
) -> None:
    """The stream stays in its session to its end, which is the generator's own clean-up."""
    ids = new_ids()

    answers = await begin_all(uvicorn.port, "/added/stream", ids)

    assert [(200, [sid]) for sid in ids] == [(each.status, each.sessions) for each in answers]
    assert_cell(uvicorn.root, "stream-closed", ids, 1, 0)
    found = traces(uvicorn.root, ids).of("stream")
    assert set(ids) == set(found["log"]) == set(found["span"])


@pytest.mark.parametrize(
    "path",
    [
        "added/stream-def",
        "outside/beneath-left",
        "outside/beneath-left-def",
        "inside/beneath-left",
    ],
)
async def test_a_generator_that_nobody_closes(
    serve: Any, new_ids: Any, begin_all: Any, fetch: Any, traces: Any, path: str
) -> None:
    """When the client leaves: its clean-up is in its own session or in none, not in a stranger's.

    Starlette leaves a plain generator to the garbage collector, and ``BaseHTTPMiddleware`` any.
    """
    pytest.importorskip("fastapi", reason="the application needs it")
    pytest.importorskip("uvicorn", reason="it is the server")
    uvicorn = serve("-m", "uvicorn", "asgi:app", "--port", "{port}", "--lifespan", "off")
    ids, other = new_ids(), new_ids(1)
    cell = path.partition("/")[2]

    answers = await begin_all(uvicorn.port, f"/{path}", ids)

    assert [(200, [sid]) for sid in ids] == [(each.status, each.sessions) for each in answers]
    closed: Counter[str] = Counter()
    for _ in range(300):
        answer = await fetch(uvicorn.port, "/added/collect", (HEADER, other[0]))
        assert (200, other) == (answer.status, answer.sessions)
        found = traces(uvicorn.root, [*ids, *other, "unknown"])
        closed = found.of(f"{cell}-closed")["log"]
        if closed.total() == SESSIONS:
            break
        await asyncio.sleep(0.1)
    assert SESSIONS == closed.total()
    assert set() == set(closed) - {*ids, "unknown"}
    assert set(ids) == set(found.of(cell)["span"])


async def test_websockets(uvicorn: Any, new_ids: Any, assert_cell: Any) -> None:
    """From before the handshake to after the client has left."""
    websockets = pytest.importorskip("websockets", reason="uvicorn needs it for websockets")
    ids = new_ids()

    async def talk(sid: str) -> tuple[str, str]:
        url = f"ws://127.0.0.1:{uvicorn.port}/added/websocket?expected={sid}"
        async with websockets.connect(
            url, additional_headers={HEADER: sid}, proxy=None, open_timeout=120
        ) as socket:
            await socket.send("hello")
            return socket.response.headers[HEADER], await socket.recv()

    assert [(sid, "hello") for sid in ids] == await asyncio.gather(*map(talk, ids))
    assert_cell(uvicorn.root, "websocket", ids, 3)

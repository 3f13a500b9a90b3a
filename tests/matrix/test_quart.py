"""The matrix, Quart: 200 requests at a time, each in its session, on hypercorn."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("quart", reason="it is what is tested")
pytest.importorskip("hypercorn", reason="it is the server")

SESSIONS = 200
HEADER = "X-TraceCtrl-Session"


@pytest.fixture(scope="module")
def quart(serve: Any) -> Any:
    """Return a hypercorn with the application of ``apps/quart_app.py``."""
    return serve(
        *("-m", "hypercorn", "quart_app:app", "--bind", "127.0.0.1:{port}"),
        *("--config", "hypercorn_settings.toml"),
        MATRIX_SESSIONS=str(SESSIONS),
    )


@pytest.mark.parametrize(("path", "lines"), [("async", 3), ("def", 1), ("stream", 3)])
async def test_each_request_in_its_session(
    quart: Any, new_ids: Any, fetch_all: Any, assert_cell: Any, path: str, lines: int
) -> None:
    """Lines, spans and the answer's header, to the end of a stream and of a background task."""
    ids = new_ids()

    answers = await fetch_all(quart.port, f"/{path}", ids)

    assert [(200, [sid]) for sid in ids] == [(each.status, each.sessions) for each in answers]
    assert_cell(quart.root, f"quart-{path}", ids, lines)


async def test_a_stream_whose_client_leaves(
    quart: Any, new_ids: Any, begin_all: Any, assert_cell: Any, traces: Any
) -> None:
    """The stream stays in its session to its end, which is the generator's own clean-up."""
    ids = new_ids()

    answers = await begin_all(quart.port, "/endless", ids)

    assert [(200, [sid]) for sid in ids] == [(each.status, each.sessions) for each in answers]
    assert_cell(quart.root, "quart-endless-closed", ids, 1, 0)
    found = traces(quart.root, ids).of("quart-endless")
    assert set(ids) == set(found["log"]) == set(found["span"])


async def test_an_application_that_raises(
    quart: Any, new_ids: Any, fetch_all: Any, assert_cell: Any, traces: Any
) -> None:
    """Status 500 with the one header, and Quart's line with the traceback in the session."""
    ids = new_ids()

    answers = await fetch_all(quart.port, "/fail", ids)

    assert [(500, [sid]) for sid in ids] == [(each.status, each.sessions) for each in answers]
    assert_cell(quart.root, "quart-fail", ids, 1)
    errors = [row for row in traces(quart.root, ids).logs if row["level"] == "ERROR"]
    assert sorted(ids) == sorted(row["session_id"] for row in errors)
    assert {"on purpose"} == {row["exception"]["message"] for row in errors}


async def test_websockets(quart: Any, new_ids: Any, assert_cell: Any) -> None:
    """From before the handshake to after the client has left."""
    websockets = pytest.importorskip("websockets", reason="it is the client")
    ids = new_ids()

    async def talk(sid: str) -> tuple[str, str]:
        url = f"ws://127.0.0.1:{quart.port}/websocket?expected={sid}"
        async with websockets.connect(
            url, additional_headers={HEADER: sid}, proxy=None, open_timeout=120
        ) as socket:
            await socket.send("hello")
            return socket.response.headers[HEADER], await socket.recv()

    assert [(sid, "hello") for sid in ids] == await asyncio.gather(*map(talk, ids))
    assert_cell(quart.root, "quart-websocket", ids, 3)

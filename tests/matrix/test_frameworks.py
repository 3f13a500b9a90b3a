"""The matrix, more of frameworks and servers: Litestar, Sanic, uvloop and granian; 200 requests at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

UVICORN = ("-m", "uvicorn", "frameworks:app", "--port", "{port}", "--log-level", "warning")
GRANIAN = ("-m", "granian", "--port", "{port}", "--access-log", "--interface")
SERVERS = {
    "litestar": UVICORN,
    "sanic": UVICORN,
    "uvloop": (*UVICORN, "--loop", "uvloop"),
    "granian": (*GRANIAN, "asgi", "frameworks:app"),
    "granian-wsgi": (*GRANIAN, "wsgi", "frameworks:wsgi", "--blocking-threads", "8"),
}
PATHS = {"litestar": {"/async": 2, "/def": 1, "/fail": 1}, "sanic": {"/async": 2, "/fail": 1}}
STATUS = {"litestar": 200, "sanic": 200}


@pytest.mark.parametrize("name", [*SERVERS])
async def test_each_request_in_its_session(
    name: str,
    serve: Callable[..., Any],
    fetch_all: Callable[..., Any],
    new_ids: Callable[..., list[str]],
    assert_cell: Callable[..., None],
    traces: Callable[..., Any],
) -> None:
    """Lines, spans, the status and the answer's header; an access log that is late is of no session."""
    for package in (name.partition("-")[0], SERVERS[name][1]):
        pytest.importorskip(package, reason="it is what is tested")
    program = serve(*SERVERS[name], FRAMEWORK=name, MATRIX_SESSIONS="200")
    for path, lines in PATHS.get(name, {"/": 2}).items():
        ids = new_ids()
        answers = await fetch_all(program.port, path, ids)
        status = 500 if path == "/fail" else STATUS.get(name, 201)
        assert [(status, [sid]) for sid in ids] == [(it.status, it.sessions) for it in answers]
        assert_cell(program.root, name, ids, lines)
    access = [row for row in traces(program.root).logs if row["logger"] == "granian.access"]
    assert {"unknown"} >= {row["session_id"] for row in access}

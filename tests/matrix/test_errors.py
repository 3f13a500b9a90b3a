"""Unhandled exceptions: the answer carries the session, and looks as it would without us."""

from __future__ import annotations

from typing import Any

import pytest

PLAIN = "Internal Server Error"


@pytest.mark.parametrize("server", ["uvicorn", "hypercorn"])
@pytest.mark.parametrize(
    ("app", "body"),
    [
        ("added", PLAIN),
        ("around", PLAIN),
        ("handled", "own page for on purpose: /fail"),
        ("around-handled", "own page for on purpose: /fail"),
        ("debug", "RuntimeError: on purpose"),
        ("inside", PLAIN),
        ("outside", PLAIN),
    ],
)
async def test_an_asgi_application_raises(
    request: pytest.FixtureRequest,
    new_ids: Any,
    fetch: Any,
    assert_cell: Any,
    server: str,
    app: str,
    body: str,
) -> None:
    """Status 500 with the one header, from the handler, the debug page or the plain answer."""
    program = request.getfixturevalue(server)
    (sid,) = new_ids(1)

    answer = await fetch(program.port, f"/{app}/fail?expected={sid}", ("X-TraceCtrl-Session", sid))

    assert (500, [sid]) == (answer.status, answer.sessions)
    assert body in answer.body.decode()
    assert_cell(program.root, "fail", [sid], 1)


async def test_a_handler_for_exceptions_runs_in_the_session(
    uvicorn: Any, new_ids: Any, fetch: Any, assert_cell: Any
) -> None:
    """What it logs belongs to the request that failed."""
    (sid,) = new_ids(1)

    await fetch(uvicorn.port, f"/handled/fail?expected={sid}", ("X-TraceCtrl-Session", sid))

    assert_cell(uvicorn.root, "handler", [sid], 1, 0)


@pytest.mark.parametrize("app", ["flask/fail", "django/fail", "before", "after", "during"])
async def test_a_wsgi_application_raises(
    gunicorn: Any, new_ids: Any, fetch: Any, wait_for: Any, app: str
) -> None:
    """Status 500 with the one header, whenever it raises before anything was sent."""
    (sid,) = new_ids(1)

    answer = await fetch(gunicorn.port, f"/{app}?expected={sid}", ("X-TraceCtrl-Session", sid))

    assert (500, [sid]) == (answer.status, answer.sessions)
    assert PLAIN in answer.body.decode() or "Server Error (500)" in answer.body.decode()
    assert b"HTTP/1.1" not in answer.body
    if app in ("before", "after", "during"):
        wait_for(lambda: f"RuntimeError: /{app}" in gunicorn.text(), "the server has not seen it")


async def test_a_wsgi_body_raises_when_some_of_it_was_sent(
    gunicorn: Any, new_ids: Any, fetch: Any, wait_for: Any
) -> None:
    """The answer is cut short, not answered twice."""
    (sid,) = new_ids(1)

    answer = await fetch(gunicorn.port, "/midway", ("X-TraceCtrl-Session", sid))

    assert (200, [sid]) == (answer.status, answer.sessions)
    assert b"HTTP/1.1" not in answer.body
    assert b"begun" in answer.body
    wait_for(lambda: "RuntimeError: midway" in gunicorn.text(), "the server has not seen it")

"""The matrix, WSGI: 200 requests at a time over eight reused threads of a real gunicorn."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("path", "cell", "lines"),
    [
        ("flask/def", "flask", 2),
        ("flask/stream", "flask-stream", 3),
        ("django/def", "django-def", 2),
        ("django/stream", "django-stream", 3),
    ],
)
async def test_each_request_in_its_session(
    gunicorn: Any, new_ids: Any, fetch_all: Any, assert_cell: Any, path: str, cell: str, lines: int
) -> None:
    """Lines, spans and the answer's header are of the session that the request named."""
    ids = new_ids()

    answers = await fetch_all(gunicorn.port, f"/{path}", ids)

    assert [(200, [sid]) for sid in ids] == [(each.status, each.sessions) for each in answers]
    assert_cell(gunicorn.root, cell, ids, lines)


async def test_a_stream_whose_client_leaves(
    gunicorn: Any, new_ids: Any, begin_all: Any, assert_cell: Any
) -> None:
    """The server closes the body, and the generator's clean-up is in its session."""
    ids = new_ids()

    answers = await begin_all(gunicorn.port, "/flask/endless", ids)

    assert [(200, [sid]) for sid in ids] == [(each.status, each.sessions) for each in answers]
    assert_cell(gunicorn.root, "flask-endless-closed", ids, 1)


@pytest.mark.parametrize(
    ("path", "cell", "lines"), [("async", "django-async", 2), ("def", "django-def", 2)]
)
async def test_django_under_asgi(
    serve: Any, new_ids: Any, fetch_all: Any, assert_cell: Any, path: str, cell: str, lines: int
) -> None:
    """On the event loop, and on the one thread that Django keeps for code that is not async."""
    pytest.importorskip("django", reason="the application needs it")
    pytest.importorskip("uvicorn", reason="it is the server")
    ids = new_ids()
    server = serve(
        *("-m", "uvicorn", "django_app:asgi", "--port", "{port}", "--lifespan", "off"),
        MATRIX_SESSIONS=str(len(ids)),
    )

    answers = await fetch_all(server.port, f"/{path}", ids)

    assert [(200, [sid]) for sid in ids] == [(each.status, each.sessions) for each in answers]
    assert_cell(server.root, cell, ids, lines)

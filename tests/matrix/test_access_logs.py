"""The access logs of the servers: each line in the session of its request."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("server", "path"),
    [
        ("uvicorn", "/added/nothing"),
        ("uvicorn", "/around/nothing"),
        ("hypercorn", "/added/nothing"),
        ("hypercorn", "/around/nothing"),
        ("gunicorn", "/flask/nothing"),
        ("gunicorn", "/django/nothing"),
    ],
)
async def test_an_access_line_is_in_its_session(
    request: pytest.FixtureRequest,
    new_ids: Any,
    fetch_all: Any,
    traces: Any,
    wait_for: Any,
    server: str,
    path: str,
) -> None:
    """One for each of many requests at a time, with what was asked for."""
    program = request.getfixturevalue(server)
    ids = new_ids(40)

    def access() -> Counter[str]:
        rows = traces(program.root, ids).logs
        return Counter(
            row["session_id"]
            for row in rows
            if row["logger"] == f"{server}.access" and path in row["message"]
        )

    await fetch_all(program.port, path, ids)

    # Servers write it when the answer is already on its way.
    wait_for(lambda: access().total() >= len(ids), "access lines are missing", 5)
    assert Counter(ids) == access()

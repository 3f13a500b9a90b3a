"""The matrix, Flask, the server of aiohttp and that of Sanic: the programs of ``docs/how-to/flask-aiohttp.md``, read from there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = (Path(__file__).parents[2] / "docs/how-to/flask-aiohttp.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^```py title=\"([^\"]+)\"\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
SERVERS = {
    "flask": (
        *("-m", "gunicorn", "flask_shop:app", "--bind", "127.0.0.1:{port}", "--threads", "8"),
        "--no-control-socket",
    ),
    "gevent": (
        *("-m", "gunicorn", "flask_shop:app", "--bind", "127.0.0.1:{port}"),
        *("--worker-class", "gevent", "--no-control-socket"),
    ),
    "aiohttp": ("aiohttp_shop.py", "{port}"),
    "sanic": ("sanic_shop.py", "{port}"),
}
LINES = {
    "/orders/7": (200, ["asked for 7"]),
    "/export": (200, ["exporting 0", "exporting 1", "exporting 2"]),
    "/missing": (404, ["missing"]),
}


@pytest.fixture
def server(request: pytest.FixtureRequest, serve: Callable[..., Any], tmp_path: Path) -> Any:
    """Return the server of the page that a test asks for."""
    for library in ("flask", "gunicorn") if request.param == "flask" else (request.param,):
        pytest.importorskip(library, reason="it is what is tested")
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return serve(*SERVERS[request.param], cwd=tmp_path)


@pytest.mark.parametrize("server", [*SERVERS], indirect=True)
async def test_each_request_in_its_session(
    server: Any,
    fetch_all: Callable[..., Any],
    new_ids: Callable[..., list[str]],
    wait_for: Callable[..., None],
    traces: Callable[..., Any],
) -> None:
    """200 at a time: lines, streams, and the answer's header, of one that was found and one that was not."""
    for path, (status, messages) in LINES.items():
        ids = new_ids()
        answers = await fetch_all(server.port, path, ids)
        assert [(status, [sid]) for sid in ids] == [(it.status, it.sessions) for it in answers]

        def found(ids: list[str] = ids) -> dict[str, list[str]]:
            rows = [row for row in traces(server.root, ids).logs if row["logger"] == "shop"]
            return {sid: [it["message"] for it in rows if it["session_id"] == sid] for sid in ids}

        wait_for(
            lambda found=found, messages=messages: all(
                len(it) >= len(messages) for it in found().values()
            ),
            f"lines of {path} are missing",
        )
        assert dict.fromkeys(ids, messages) == found()


@pytest.mark.parametrize("server", ["flask", "aiohttp", "sanic"], indirect=True)
async def test_an_exception(
    server: Any, fetch: Callable[..., Any], traces: Callable[..., Any]
) -> None:
    """The answer carries the session, named or minted; Flask's and Sanic's own line is in it."""
    named = await fetch(server.port, "/broken", ("X-TraceCtrl-Session", "visit-1"))
    minted = await fetch(server.port, "/broken")

    assert (500, ["visit-1"]) == (named.status, named.sessions)
    assert 500 == minted.status
    rows = [row for row in traces(server.root).logs if "no such shelf" in str(row)]
    ids = ["visit-1", *minted.sessions]
    own = ["unknown"] * 2 if any(row["logger"] == "aiohttp.server" for row in rows) else ids
    assert sorted(own) == sorted(row["session_id"] for row in rows)


@pytest.mark.parametrize("server", ["aiohttp", "sanic"], indirect=True)
async def test_the_access_log(
    server: Any,
    fetch_all: Callable[..., Any],
    new_ids: Callable[..., list[str]],
    wait_for: Callable[..., None],
    traces: Callable[..., Any],
) -> None:
    """Each line of it is in the session of its request."""
    ids = new_ids()
    await fetch_all(server.port, "/orders/7", ids)

    def access() -> list[str]:
        rows = traces(server.root).logs
        return sorted(row["session_id"] for row in rows if row["logger"].endswith(".access"))

    wait_for(lambda: len(access()) >= len(ids), "access lines are missing")
    assert sorted(ids) == access()

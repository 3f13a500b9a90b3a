"""A session that a dependency of FastAPI chooses: the endpoint is in it, and the answer names it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import fastapi
import httpx
import pytest
from fastapi import Depends, FastAPI

from tracectrl.middleware import SessionMiddleware
from tracectrl.session import current_session_id, session, set_session_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def chosen(visit: str) -> str:
    """Choose one."""
    set_session_id(visit)
    return visit


async def entered(visit: str) -> AsyncIterator[str]:
    """Enter one for as long as the request takes."""
    with session(visit) as sid:
        yield sid


@pytest.mark.parametrize(
    "dependency",
    [
        chosen,
        pytest.param(
            entered,
            marks=pytest.mark.skipif(
                tuple(map(int, fastapi.__version__.split(".")[:2])) < (0, 118),
                reason="before 0.118 it is left before the answer begins",
            ),
        ),
    ],
)
@pytest.mark.parametrize("path", ["/async", "/def"])
async def test_a_dependency(dependency: Any, path: str) -> None:
    """Endpoints of both kinds, requests with a session of their own and without."""
    app = FastAPI()
    app.add_middleware(SessionMiddleware)
    made = Annotated[str, Depends(dependency)]

    async def of_loop(visit: Any) -> list[str | None]:
        return [visit, current_session_id()]

    def of_thread(visit: Any) -> list[str | None]:
        return [visit, current_session_id()]

    for where, endpoint in (("/async", of_loop), ("/def", of_thread)):
        endpoint.__annotations__["visit"] = made
        app.get(where)(endpoint)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://test"
    ) as client:
        for headers in ({}, {"X-TraceCtrl-Session": "of-the-caller"}):
            answer = await client.get(f"{path}?visit=v-1", headers=headers)
            assert ["v-1", "v-1"] == answer.json()
            assert "v-1" == answer.headers["X-TraceCtrl-Session"]

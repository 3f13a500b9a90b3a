"""Queues' jobs, without their brokers; the matrix has them with."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from tracectrl.errors import MissingExtraError
from tracectrl.session import current_session_id, session
from tracectrl.workers import pack
from tracectrl.workers.arq import enqueue_job, in_session
from tracectrl.workers.message import work_in


@pytest.mark.parametrize("library", ["dramatiq", "rq", "taskiq"])
def test_a_library_that_is_missing(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the package, and the line that installs it."""
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.setitem(sys.modules, f"{library}.job", None)
    monkeypatch.delitem(sys.modules, f"tracectrl.workers.{library}", raising=False)
    with pytest.raises(MissingExtraError, match=f"run: pip install {library}$"):
        __import__(f"tracectrl.workers.{library}")


@pytest.mark.parametrize("message", [{}, {"tracectrl": None}, {"tracectrl": {"x": 1}}, None, [1]])
def test_work_of_nobodys(message: Any) -> None:
    """Work that carries no session, or nonsense, is in one of its own, a new one each time."""
    with session("around"):
        with work_in(message) as first:
            assert first == current_session_id()
        with work_in(message) as second:
            pass
        assert "around" == current_session_id()
    assert 3 == len({first, second, "around"})


def test_arq() -> None:
    """A worker's function gets its own arguments, in the session of the job."""
    sent: list[tuple[Any, ...]] = []

    class Redis:
        async def enqueue_job(self, *args: Any, **kwargs: Any) -> None:
            sent.append((args, kwargs))

    @in_session
    async def job(ctx: dict[str, Any], number: int, *, more: int = 0) -> tuple[Any, ...]:
        await asyncio.sleep(0)
        return current_session_id(), ctx, number, more

    async def main() -> tuple[Any, ...]:
        with session("order-1"):
            await enqueue_job(Redis(), "job", 1, more=2)
        ((name, *args), kwargs) = sent[0]
        assert "job" == name
        return await job({}, *args, **kwargs)

    assert ("order-1", {}, 1, 2) == asyncio.run(main())
    assert "tracectrl" not in pack({})

"""The matrix, APScheduler 3: by the recipes of ``docs/how-to/workers.md``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("apscheduler", reason="it is what is tested")

if TYPE_CHECKING:
    from collections.abc import Callable


def test_jobs(
    start: Callable[..., Any], new_ids: Callable[..., list[str]], traces: Callable[..., Any]
) -> None:
    """A job that was added from a session by ``carry`` runs in it; one by ``session()`` has one for each run."""
    ids = new_ids()
    program = start("scheduled.py", *ids)
    text = program.wait()

    assert 0 == program.process.returncode, text
    found = traces(program.root)
    assert {"log": dict.fromkeys(ids, 1), "span": dict.fromkeys(ids, 1)} == found.of("scheduled")
    ticks = found.of("ticks")
    assert [1] * 20 == [*ticks["log"].values()]
    assert ticks["log"] == ticks["span"]
    assert not {*ids} & {*ticks["log"]}

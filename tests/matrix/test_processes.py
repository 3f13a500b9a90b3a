"""The matrix, processes: pools and processes, spawned and forked, and programs."""

from __future__ import annotations

import multiprocessing
import os
from typing import Any

import pytest

# Each of these costs the start of an interpreter; a gate may want fewer.
SUBPROCESSES = int(os.environ.get("MATRIX_SUBPROCESSES", "200"))


@pytest.mark.parametrize(
    ("how", "cell", "sessions"),
    [
        ("spawn-pool", "pool", 200),
        ("fork-pool", "pool", 200),
        ("spawn-own_pool", "own-pool", 200),
        ("fork-own_pool", "own-pool", 200),
        ("spawn-process", "process", min(40, SUBPROCESSES)),
        ("fork-process", "process", 200),
        ("subprocess", "subprocess", SUBPROCESSES),
    ],
)
def test_the_session_and_the_trace_go_on_in_another_process(
    start: Any, new_ids: Any, assert_cell: Any, traces: Any, how: str, cell: str, sessions: int
) -> None:
    """From all sessions at a time: lines and spans there are of the session and trace here."""
    if how.partition("-")[0] not in {"subprocess", *multiprocessing.get_all_start_methods()}:
        pytest.skip("this platform does not start processes that way")
    ids = new_ids(sessions)

    program = start("-W", "ignore::DeprecationWarning", "processes.py", how, *ids)
    text = program.wait()

    assert (0, "") == (program.process.returncode, text)
    assert_cell(program.root, cell, ids, 1)
    spans = traces(program.root).spans
    pairs = {(row["session_id"], row["trace_id"]) for row in spans}
    assert sorted(ids) == sorted(sid for sid, _ in pairs)
    assert 2 * sessions == len(spans)

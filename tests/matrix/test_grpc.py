"""The matrix, gRPC: the session in a call's metadata, on threads and on the event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("grpc", reason="it is what is tested")

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("how", ["sync", "aio"])
def test_each_call_in_its_session(
    how: str,
    start: Callable[..., Any],
    new_ids: Callable[..., list[str]],
    assert_cell: Callable[..., None],
    traces: Callable[..., Any],
) -> None:
    """200 calls at a time: the lines and spans of the server are of the caller's session and trace."""
    ids = new_ids()
    program = start("grpc_row.py", how, *ids)
    text = program.wait()

    assert 0 == program.process.returncode, text
    assert_cell(program.root, "grpc", ids, 2)
    pairs = {(row["session_id"], row["trace_id"]) for row in traces(program.root).spans}
    assert sorted(ids) == sorted(sid for sid, _ in pairs)

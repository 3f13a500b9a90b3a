"""``mcp``: what it needs, and what it says where that is missing."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    Command = Callable[..., Result]

MCP = [sys.executable, "-m", "tracectrl_logging.cli", "mcp"]


@pytest.mark.parametrize("missing", ["mcp", "mcp_types"])
def test_without_its_extra(command: Command, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """Without the package, or with one of before its second version, one line says what to install."""
    if missing == "mcp_types":
        pytest.importorskip("mcp", reason="it is of the extra mcp")
    monkeypatch.setitem(sys.modules, missing, None)
    result = command("mcp")

    assert (2, "", 1) == (result.exit_code, result.stdout, result.stderr.count("\n"))
    assert (
        f"tracectrl-logs mcp needs the package '{missing}', which is not installed; run: pip"
        in (result.stderr)
    )
    assert "'mcp>=2.0'" in result.stderr


def test_closed_stdin(tmp_path: Path) -> None:
    """A stdin that is closed is wrong use, and no traceback."""
    pytest.importorskip("mcp_types", reason="it is of the extra mcp")
    done = subprocess.run(
        ["sh", "-c", '"$@" <&-', "sh", *MCP],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (2, "", "Error: stdin, on which an agent asks, is closed\n") == (
        done.returncode,
        done.stdout,
        done.stderr,
    )


def test_terminal(tmp_path: Path) -> None:
    """Somebody who starts it by hand is told what it waits for, and how to end it."""
    pytest.importorskip("mcp_types", reason="it is of the extra mcp")
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        MCP, cwd=tmp_path, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        os.close(theirs)
        assert process.stderr is not None
        assert b"Waiting for an agent on stdin; Ctrl-D ends it.\n" == process.stderr.readline()
        os.write(ours, b"\x04")
        assert 0 == process.wait(60)
    os.close(ours)

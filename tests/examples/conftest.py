"""What the tests of the examples share: the examples are run as a user runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = Path(__file__).parents[2] / "examples"
TIMEOUT_S = 120

Files = dict[str, list[dict[str, Any]]]


@pytest.fixture
def run_example(
    root: Path, tmp_path: Path, read_lines: Callable[[Path], list[dict[str, Any]]]
) -> Callable[..., Files]:
    """Return the function that runs a script of an example and returns the files it wrote.

    ``run_example("NAME/SCRIPT.py", *args)``; it fails where the script does or writes to stderr.
    """

    def run(script: str, *args: str) -> Files:
        done = subprocess.run(
            [sys.executable, str(EXAMPLES / script), *args],
            cwd=tmp_path,
            env={**os.environ, "TRACECTRL_TRACE_DIR": str(root)},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
        return {path.name: read_lines(path) for path in sorted(root.iterdir())}

    return run

"""The benchmark of stores still runs; how fast anything is, no test says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "stores.py"


def test_smoke() -> None:
    """Each figure is measured; next to nothing is done."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), "--smoke"], capture_output=True, text=True, check=False
    )
    assert (0, "", 7) == (
        done.returncode,
        done.stderr,
        done.stdout.count("bar ") + done.stdout.count("above "),
    )

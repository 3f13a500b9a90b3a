"""benchmarks: that they still run. How fast anything is, no test says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def run(*args: str) -> str:
    """Return what the program prints; it fails where that does."""
    done = subprocess.run(
        [sys.executable, *args], capture_output=True, text=True, timeout=300, check=False
    )
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout


def test_smoke(tmp_path: Path) -> None:
    """Each measure runs, with the peers that are installed; next to nothing is done."""
    results = tmp_path / "results"

    out = run(str(BENCHMARKS), "--smoke", "--directory", str(tmp_path), "--results", str(results))

    measured = {line.split()[0] for line in out.splitlines() if " bar " in line}
    assert {str(number) for number in range(1, 19)} - {"5"} == measured - {"5"}
    assert not results.exists()
    assert [] == list(tmp_path.iterdir())


def test_profiled() -> None:
    """The loop that is made to be profiled, too."""
    few = ["--sessions", "3", "--open-files", "2", "--lines", "9", "--slowed"]

    out = run(str(BENCHMARKS / "profiled.py"), *few)

    assert ["in all", "in the kernel", "out of it"] == [
        line[:14].strip() for line in out.splitlines()
    ]

"""Each program of this directory, in its short form: it finds nothing wrong.

The programs are those files that can be run; a new one is found by itself. They take a few seconds
each, so `tox run -e stress` runs them, on one Python; `tox run -e stress-full` runs the full ones.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SKIPPED = 77
IS_FULL = os.environ.get("STRESS") == "full"
DEADLINE_S = 3600.0 if IS_FULL else 300.0

PROGRAMS = sorted(
    path.name
    for path in HERE.glob("*.py")
    if path.name != Path(__file__).name and 'if __name__ == "__main__":' in path.read_text("utf-8")
)


def test_there_are_programs() -> None:
    """The search finds what is there."""
    assert {"many_writers.py", "killed_writers.py", "prune_and_compress.py"} <= set(PROGRAMS)


@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_is_wrong(name: str, tmp_path: Path) -> None:
    """The program ends with 0; what it says is shown where it does not."""
    done = subprocess.run(
        [sys.executable, str(HERE / name), *(() if IS_FULL else ("--short",))],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    told = f"{done.stdout}\n{done.stderr}"
    if done.returncode == SKIPPED:
        pytest.skip(told)
    assert 0 == done.returncode, told

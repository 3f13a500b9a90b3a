"""tracectrl.files.write.here: a forked child is told from its parent."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("platform", [sys.platform, "elsewhere"])
def test_here(platform: str, run_python: Callable[..., str]) -> None:
    """A forked child is noticed without Python's hooks, with the kernel's help or without."""
    source = (
        "import os, sys\n"
        "from tracectrl.files.write.here import here as made\n"
        "sys.platform = sys.argv[1]\n"
        "here = made()\n"
        "child = os.fork()\n"
        "if child:\n"
        "    os.waitpid(child, 0)\n"
        "print(bool(here[0]), flush=True)\n"
    )
    assert "False\nTrue\n" == run_python(source, platform)

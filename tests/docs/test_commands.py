"""The two commands that the README promises, and the links between the pages."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
README = (TOP / "README.md").read_text(encoding="utf-8")
INSTALL, TEST = re.findall(r"^python -m pip install .+ && .+$", README, re.MULTILINE)


def test_gate_runs_the_test_command_of_the_readme() -> None:
    """``.ci/run`` passes the tests the way the README says."""
    gate = (TOP / ".ci" / "run").read_text(encoding="utf-8").splitlines()

    assert TEST in gate


def test_install_command_ends_in_a_demo_that_runs(tmp_path: Path) -> None:
    """What the README's first command runs after installing works, on an empty directory."""
    program, *arguments = INSTALL.partition(" && ")[2].split()
    command = os.path.join(os.path.dirname(sys.executable), program)

    done = subprocess.run(
        [command, *arguments],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "traces").glob("*.logs.jsonl"))) >= 20


@pytest.mark.parametrize(
    "page",
    [*sorted(TOP.glob("*.md")), *sorted((TOP / "docs").rglob("*.md"))],
    ids=lambda page: page.relative_to(TOP).as_posix(),
)
def test_what_is_installed_can_be_found(page: Path) -> None:
    """No page installs by name what no index has yet."""
    assert [] == re.findall(
        r"pip install[^\n`&]*\btracectrl[-_a-z]*", page.read_text(encoding="utf-8")
    )


@pytest.mark.parametrize("page", sorted(TOP.glob("*.md")), ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link of a page at the top names a file."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))

    assert [] == [link for link in links if not (TOP / link).exists()]

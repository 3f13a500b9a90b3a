"""The pages for who comes from another library: both programs of a page do what it shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGES = sorted((Path(__file__).parents[2] / "docs" / "coming-from").glob("*.md"))
NEEDED = {
    "asgi-correlation-id": ("asgi_correlation_id", "fastapi", "httpx"),
    "django-guid": ("django_guid",),
    "logfire": ("logfire",),
    "loguru": ("loguru",),
    "opentelemetry": (),
}
_BLOCK = re.compile(
    r"^```(?:py title=\"(?P<name>\w+\.py)\"|text)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+Z")


def run(command: list[str], directory: Path) -> subprocess.CompletedProcess[str]:
    """Run *command* as somebody who has just installed the package."""
    kept = {key: value for key, value in os.environ.items() if key.startswith("COVERAGE_")}
    done = subprocess.run(
        command,
        cwd=directory,
        env={**kept, "PATH": os.environ.get("PATH", os.defpath), "HOME": str(directory)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page(page: Path, tmp_path: Path) -> None:
    """The program before prints what is shown; the lines of the one after are found as shown."""
    for package in NEEDED[page.stem]:
        pytest.importorskip(package, reason="the environment matrix has it")
    blocks = [(it["name"], it["text"]) for it in _BLOCK.finditer(page.read_text(encoding="utf-8"))]
    (before, old), (_, printed), (after, new), (_, found) = blocks
    assert ("before.py", "after.py") == (before, after)
    (tmp_path / "before.py").write_text(old, encoding="utf-8")
    done = run([sys.executable, "before.py"], tmp_path)
    assert printed == done.stderr + done.stdout
    (tmp_path / "after.py").write_text(new, encoding="utf-8")
    run([sys.executable, "after.py"], tmp_path)
    done = run([sys.executable, "-m", "tracectrl_logging.cli", "grep", ""], tmp_path)
    assert _TIME.sub("TIME", found) == _TIME.sub("TIME", done.stdout)


def test_every_page_is_linked() -> None:
    """README's table of other libraries leads to each page."""
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert {page.stem for page in PAGES} == set(re.findall(r"docs/coming-from/(.+?)\.md", readme))

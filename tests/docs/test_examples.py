"""README and docs cannot drift: what they show is run.

A page is read from top to bottom. Each block of Python is a program that runs, in a process and a
directory of its own, after the files that blocks with a ``title="NAME"`` put there. The block of
``console`` after it runs its ``$`` lines in that same directory; where lines follow a command they
are its output. Times, durations and minted IDs, which differ from run to run, are compared by their
form; ``...`` stands for anything.
"""

from __future__ import annotations

import doctest
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
PAGES = [TOP / "README.md", *sorted((TOP / "docs").rglob("*.md"))]

_FENCE = re.compile(
    r"^```(?P<language>[a-z]+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
_READ = re.compile(r'"(docs/how-to/[^"]+)"\)\.read_text')
_TIMEOUT_S = 60

# What differs from run to run, or between releases of OpenTelemetry, and what stands for it.
_FORMS = [
    (re.compile(r"\d{4}-\d\d-\d\d([T ])\d\d:\d\d:\d\d(?:\.\d+)?"), r"DATE\1TIME"),
    (re.compile(r"\b\d+(?:\.\d+)? (?:ns|µs|ms|s)\b"), "DURATION"),
    (re.compile(r"\b\d+\.\d{3}\b"), "SECONDS"),
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "UUID"),
    (re.compile(r"\b(?:[0-9a-f]{32}|[0-9a-f]{16})\b"), "HEX"),
    (re.compile(r'("trace_flags":)"0[0-3]"'), r"\1FLAGS"),
    (re.compile(r" {2,}"), " "),
]


@dataclass
class Example:
    """A program, the files it needs and the commands that are shown after it."""

    name: str
    files: dict[str, str] = field(default_factory=dict)
    program: str | None = None
    commands: list[tuple[str, str]] = field(default_factory=list)


def examples_of(page: Path) -> list[Example]:
    """Return the examples of *page*; those without a program or command are left out."""
    text = page.read_text(encoding="utf-8")
    found: list[Example] = []
    example = None
    for match in _FENCE.finditer(text):
        language, title, body = match["language"], match["title"], match["text"]
        if title is None and language not in ("python", "console"):
            continue
        line = text.count("\n", 0, match.start()) + 1
        starts = language == "python" or (title is not None and example and example.program)
        if example is None or (starts and (example.program or example.commands)):
            example = Example(f"{page.relative_to(TOP)}:{line}")
            found.append(example)
        if title is not None:
            example.files[title] = body
        if language == "python":
            example.program = body
        elif language == "console":
            example.commands += _commands(body)
    return [example for example in found if example.program or example.commands]


def _commands(body: str) -> list[tuple[str, str]]:
    commands: list[tuple[str, str]] = []
    for row in body.splitlines(keepends=True):
        if row.startswith("$ "):
            commands.append((row[2:].strip(), ""))
        else:
            command, output = commands.pop()
            commands.append((command, output + row))
    return commands


def form_of(text: str) -> str:
    """Return *text* with what differs from run to run replaced by what it is."""
    for pattern, name in _FORMS:
        text = pattern.sub(name, text)
    return text


EXAMPLES = [example for page in PAGES for example in examples_of(page)]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a person who has just installed the package."""
    home = tmp_path / "home"
    home.mkdir()
    kept = {key: os.environ[key] for key in os.environ if key.startswith(("COVERAGE_", "LC_"))}
    path = [os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]
    return {**kept, "HOME": str(home), "NO_COLOR": "1", "PATH": os.pathsep.join(path)}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_example(example: Example, tmp_path: Path, environment: dict[str, str]) -> None:
    """The program runs to its end without an error, and the commands print what the page says."""
    work = tmp_path / "work"
    work.mkdir()
    for name, text in example.files.items():
        (work / name).write_text(text, encoding="utf-8")
    if example.program is not None:
        (work / "example.py").write_text(example.program, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-W", "error", "example.py"],
            cwd=work,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "--- Logging error ---" not in done.stderr, done.stderr
        assert "Traceback" not in done.stderr or "Traceback" in example.program, done.stderr
    for command, expected in example.commands:
        if "jq" in command.split() and shutil.which("jq") is None:
            continue  # the one tool here that a machine may lack
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        if expected:
            shown, printed = form_of(expected), form_of(done.stdout)
            same = doctest.OutputChecker().check_output(shown, printed, doctest.ELLIPSIS)
            assert same, f"{command}\nexpected:\n{expected}\nprinted:\n{done.stdout}"


def test_every_page_of_guides_has_an_example() -> None:
    """Each how-to shows at least one program that runs: here, or beside a framework in the matrix."""
    shown = {example.name.partition(":")[0] for example in EXAMPLES}
    for path in (TOP / "tests" / "matrix").glob("test_*.py"):
        shown.update(_READ.findall(path.read_text(encoding="utf-8")))

    missing = [
        str(page.relative_to(TOP))
        for page in PAGES
        if "how-to" in page.parts and str(page.relative_to(TOP)) not in shown
    ]

    assert [] == missing

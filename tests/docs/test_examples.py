"""README and docs cannot drift: each page is followed from top to bottom, in one directory.

What a page has is done in its order, as a reader would do it. A block with a ``title="NAME"`` is put
into that file. A block of ``python`` without one is put into ``example.py`` and run. The ``$`` lines of
a block of ``console`` are run; where lines follow a command they are its output. A block of ``sh`` is
run, too, but for what :data:`ELSEWHERE` says. Times, durations and minted IDs, which differ from run to
run, are compared by their form; ``...`` stands for anything.
"""

from __future__ import annotations

import doctest
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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


# The commands of blocks of ``sh`` that are not run here, by their beginnings: where they are, or why not.
ELSEWHERE: Mapping[str, str] = {
    "pip install": "tests/docs/test_commands.py",
    "python -m pip install": "tests/docs/test_commands.py, and the gate",
    "python manage.py test": "tests/matrix/test_django.py",
    "python aiohttp_shop.py": "tests/matrix/test_flask_aiohttp.py",
    "python sanic_shop.py": "tests/matrix/test_flask_aiohttp.py",
    "flask --app": "tests/matrix/test_flask_aiohttp.py",
    "uvicorn shop:app": "tests/matrix/test_access_logs.py",
    "hypercorn shop:app": "tests/matrix/test_access_logs.py",
    "gunicorn shop:wsgi": "tests/matrix/test_access_logs.py",
    "OTEL_LOGS_EXPORTER=otlp_proto_http opentelemetry-instrument": "tests/matrix/test_otlp_logs.py",
    "TRACECTRL_TRACE_DIR=traces opentelemetry-instrument": "tests/docs/test_set_ups.py",
    "ddtrace-run": "tests/matrix/test_beside.py",
    'tracectrl-logs run "$(command -v newrelic-admin)"': "tests/matrix/test_beside.py",
    "tracectrl-logs view": "tests/browser; it goes on until it is ended",
    "tracectrl-logs export order-4711 --format html": "tests/browser/test_export.py",
    "tail -f": "it goes on until it is ended",
}


class Block(NamedTuple):
    """A block of a page: its place, its language, the file that it is, and its text."""

    where: str
    language: str
    title: str | None
    text: str

    @property
    def is_program(self) -> bool:
        """Whether it is a program without a name of its own."""
        return self.language == "python" and self.title is None


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of *page*, from top to bottom."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            f"{page.relative_to(TOP)}:{1 + text[: match.start()].count(chr(10))}", *match.groups()
        )
        for match in _FENCE.finditer(text)
    ]


def commands_of(block: Block) -> Iterator[tuple[str, str]]:
    """Return the commands of a block of ``console`` or ``sh``, each with the output that is shown."""
    if block.language == "sh":
        for row in block.text.splitlines():
            if not row.startswith(tuple(ELSEWHERE)):
                yield row, ""
    elif block.language == "console":
        for shown in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
            command, _, output = shown.partition("\n")
            yield command, output


def form_of(text: str) -> str:
    """Return *text* with what differs from run to run replaced by what it is."""
    for pattern, name in _FORMS:
        text = pattern.sub(name, text)
    return text


FOLLOWED = [
    page
    for page in PAGES
    if any(block.is_program or block.language == "console" for block in blocks_of(page))
]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a person who has just installed the package."""
    home = tmp_path / "home"
    home.mkdir()
    kept = {key: os.environ[key] for key in os.environ if key.startswith(("COVERAGE_", "LC_"))}
    path = [os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]
    return {**kept, "HOME": str(home), "NO_COLOR": "1", "PATH": os.pathsep.join(path)}


def run(
    command: list[str], cwd: Path, environment: dict[str, str], where: str
) -> subprocess.CompletedProcess[str]:
    """Run *command* to its end, which must be a good one."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"{where}\n{command[-1]}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.mark.parametrize("page", FOLLOWED, ids=lambda page: str(page.relative_to(TOP)))
def test_page(page: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    """Each program runs to its end without an error, and each command prints what the page says."""
    work = tmp_path / "work"
    work.mkdir()
    for where, language, title, text in blocks_of(page):
        if title is not None:
            (work / title).parent.mkdir(parents=True, exist_ok=True)
            (work / title).write_text(text, encoding="utf-8")
        elif language == "python":
            (work / "example.py").write_text(text, encoding="utf-8")
            done = run([sys.executable, "-W", "error", "example.py"], work, environment, where)
            assert "--- Logging error ---" not in done.stderr, f"{where}\n{done.stderr}"
            assert "Traceback" not in done.stderr or "Traceback" in text, f"{where}\n{done.stderr}"
        for command, expected in commands_of(Block(where, language, title, text)):
            if "jq" in command.split() and shutil.which("jq") is None:
                continue  # the one tool here that a machine may lack
            done = run(["bash", "-o", "pipefail", "-c", command], work, environment, where)
            if expected:
                shown, printed = form_of(expected), form_of(done.stdout)
                same = doctest.OutputChecker().check_output(shown, printed, doctest.ELLIPSIS)
                assert same, f"{where}\n{command}\nexpected:\n{expected}\nprinted:\n{done.stdout}"


@pytest.mark.parametrize("page", FOLLOWED, ids=lambda page: str(page.relative_to(TOP)))
def test_files_are_used(page: Path) -> None:
    """A program that a page gives a name is run further down: a name alone runs nothing."""
    blocks = blocks_of(page)
    idle = [
        block.where
        for number, block in enumerate(blocks)
        if block.title is not None
        and block.title.endswith(".py")
        and not any(Path(block.title).stem in later.text for later in blocks[number + 1 :])
    ]

    assert [] == idle


def test_what_is_elsewhere_is_shown() -> None:
    """Each command that is tried elsewhere stands on some page."""
    rows = [
        row
        for page in PAGES
        for block in blocks_of(page)
        if block.language == "sh"
        for row in block.text.splitlines()
    ]

    assert [] == [start for start in ELSEWHERE if not any(row.startswith(start) for row in rows)]


def test_every_page_of_guides_has_an_example() -> None:
    """Each how-to shows at least one program that runs: here, or beside a framework in the matrix."""
    shown = {str(page.relative_to(TOP)) for page in FOLLOWED}
    for path in (TOP / "tests" / "matrix").glob("test_*.py"):
        shown.update(_READ.findall(path.read_text(encoding="utf-8")))

    missing = [
        str(page.relative_to(TOP))
        for page in PAGES
        if "how-to" in page.parts and str(page.relative_to(TOP)) not in shown
    ]

    assert [] == missing

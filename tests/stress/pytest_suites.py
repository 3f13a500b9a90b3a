# ruff: noqa: T201 - a program prints
"""The pytest plugin on other people's tests: the results are the same with it, and it costs little.

The suites of public packages are fetched as source distributions, and installed in front of what this
environment has: without and with ``--tracectrl``, in one process and under xdist, each test has the same
outcome. Then trivial tests are run under xdist, without and with it in turns, and what
that cost is compared: the time of the processors, which other work on the machine disturbs less than
that of the clock. The short form takes one small suite.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tarfile
import time
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from tests.stress import common
else:
    import common  # this file is a program: its directory is where it imports from

SUITES: dict[str, list[str]] = {
    "blinker": [],
    "itsdangerous": ["freezegun"],
    "structlog": ["freezegun", "pretend", "simplejson", "time-machine"],
    "python-json-logger": ["freezegun", "msgspec", "tzdata"],
}
"""Public packages, and what their tests need beside pytest."""

# Some suites make errors of warnings, and pytest-asyncio, which this environment has, warns where this is not said.
ASYNCIO = ["-o", "asyncio_default_fixture_loop_scope=function"]
WORKERS = "-n2"
MODULES = 20
TESTS, TURNS = 10_000, 5
TRIVIAL = """
import pytest

@pytest.mark.parametrize("number", range({count}))
def test_number(number):
    assert number >= 0
"""
BAR = 1.10
"""What trivial tests may cost with the plugin, by what they cost without."""


def run_pytest(directory: Path, *args: str, packages: str = "") -> tuple[float, str]:
    """Run pytest in *directory*, with *packages* in front of what is imported.

    Returns:
        The seconds of processors that it took, and its output.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith("TRACECTRL_")}
    env["PYTHONPATH"] = packages
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *args],
        cwd=directory,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, done.stdout


def outcomes(path: Path) -> dict[str, list[str]]:
    """Return the outcome of each test in the report at *path*."""
    found: dict[str, list[str]] = {}
    for case in ET.parse(path).getroot().iter("testcase"):  # noqa: S314 - pytest wrote it
        ended = sorted(each.tag for each in case if each.tag in ("failure", "error", "skipped"))
        found.setdefault(f"{case.get('classname')}::{case.get('name')}", []).extend(
            ended or ["passed"]
        )
    return {name: sorted(each) for name, each in found.items()}


def compare_suite(verdict: common.Verdict, base: Path, name: str) -> None:
    """Fetch the suite of the package *name*, and compare its results."""
    directory = base / name
    directory.mkdir()
    packages = str(directory / "packages")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    fetch = ["download", "--no-binary", name, "--no-deps", "--dest", str(directory), name]
    subprocess.run([*pip, *fetch], check=True)
    (archive,) = directory.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(directory / "source", filter="data")
    (source,) = (directory / "source").iterdir()
    subprocess.run([*pip, "install", "--target", packages, str(source), *SUITES[name]], check=True)
    found: dict[tuple[bool, bool], dict[str, list[str]]] = {}
    for with_xdist, with_plugin in product((False, True), repeat=2):
        report, root = directory / "report.xml", directory / "traces"
        args = [*ASYNCIO, "-p", "no:randomly", f"--junitxml={report}", "tests"]
        args += [WORKERS] if with_xdist else []
        args += [f"--tracectrl={root}"] if with_plugin else []
        _, output = run_pytest(source, *args, packages=packages)
        found[with_xdist, with_plugin] = outcomes(report) if report.exists() else {}
        if with_plugin:
            verdict.expect(True, root.is_dir(), f"{name}: there is a trace directory")  # noqa: FBT003
            shutil.rmtree(root, ignore_errors=True)
        report.unlink(missing_ok=True)
        tail = output.strip().splitlines()[-1]
        words = f"{'xdist' if with_xdist else 'plain'}, {'with' if with_plugin else 'without'}"
        verdict.done(f"{archive.name}, {words}: {tail}")
    for with_xdist in (False, True):
        without, with_it = found[with_xdist, False], found[with_xdist, True]
        verdict.expect(True, "passed" in str(without), f"{name}: its tests run: {output}")  # noqa: FBT003
        for test in without.keys() | with_it.keys():
            verdict.expect(without.get(test), with_it.get(test), f"{name}: {test}")


def compare_cost(verdict: common.Verdict, base: Path) -> None:
    """Run trivial tests under xdist without and with the plugin by turns, and compare what it cost."""
    directory = base / "trivial"
    directory.mkdir()
    for number in range(MODULES):
        text = TRIVIAL.format(count=TESTS // MODULES)
        (directory / f"test_{number}.py").write_text(text)
    costs: dict[bool, list[float]] = {False: [], True: []}
    for _, with_plugin in product(range(TURNS), (False, True)):
        begin = time.monotonic()
        args = ["--tracectrl=traces"] if with_plugin else []
        cost, output = run_pytest(directory, WORKERS, *args)
        verdict.expect(True, f"{TESTS} passed" in output, output)  # noqa: FBT003
        costs[with_plugin].append(cost)
        words = "with" if with_plugin else "without"
        wall = time.monotonic() - begin
        verdict.done(f"{TESTS} trivial tests, {words}: {cost:.2f} s of processors, {wall:.1f} s")
    ratio = min(costs[True]) / min(costs[False])
    verdict.done(f"the plugin costs {ratio:.3f} times what the tests cost without it")
    verdict.expect(True, ratio <= BAR, f"{ratio:.3f} <= {BAR}")  # noqa: FBT003


def main() -> int:
    """Return the exit status."""
    verdict = common.Verdict(__doc__ or "")
    with common.home() as path:
        names = [*SUITES][:1] if verdict.is_short else [*SUITES]
        try:
            for name in names:
                compare_suite(verdict, Path(path), name)
        except subprocess.CalledProcessError as error:
            print(f"nothing can be fetched here: {error}")
            return common.SKIPPED
        if not verdict.is_short:
            compare_cost(verdict, Path(path))
    return verdict.status()


if __name__ == "__main__":
    sys.exit(main())

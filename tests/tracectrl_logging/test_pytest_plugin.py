"""The pytest plugin: off by default; with it each test is a session, and nothing else changes."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.files import log_path, span_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    ReadLines = Callable[[str | os.PathLike[str]], list[dict[str, Any]]]

pytestmark = pytest.mark.one_python

PROGRAM = """
    import logging, pytest

    @pytest.fixture
    def till():
        logging.info("opened")
        yield
        logging.info("closed")

    def test_paid(till, caplog):
        logging.info("paid")
        logging.warning("slow")
        assert ["slow"] == caplog.messages

    def test_declined(till):
        from opentelemetry import trace
        with trace.get_tracer("shop").start_as_current_span("pay"):
            logging.error("declined", extra={"card": 7})
        assert 0

    @pytest.mark.parametrize("name", ["a/b", pytest.param("xxxx", id="x" * 140)])
    def test_names(name):
        logging.warning(name[:3])

    @pytest.mark.xfail
    def test_expected():
        logging.warning("expected")
        assert 0

    @pytest.mark.asyncio(loop_scope="module")
    async def test_one():
        logging.warning("one")

    @pytest.mark.asyncio(loop_scope="module")
    async def test_two():
        logging.warning("two")
"""
OUTCOME = "1 failed, 5 passed, 1 xfailed"
TWO = ["test_shop.py::test_one", "test_shop.py::test_two"]


class Run:
    """Runs pytest on the program in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "test_shop.py").write_text(textwrap.dedent(PROGRAM))
        (directory / "pytest.ini").write_text(
            "[pytest]\nasyncio_default_fixture_loop_scope=function\n"
        )

    def __call__(self, *args: str) -> str:
        """Return the output of pytest with *args*."""
        environment = {**os.environ, "PYTEST_ADDOPTS": "", "COLUMNS": "200"}
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *args]
        result = subprocess.run(
            command,
            cwd=self.directory,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return result.stdout + result.stderr

    def files(self, directory: str = "traces") -> list[str]:
        """Return the names in the trace directory."""
        path = self.directory / directory
        return sorted(os.listdir(path)) if path.exists() else []


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return the runner."""
    return Run(tmp_path)


def test_it_is_off_by_default(run: Run) -> None:
    """Without the option no test has a session, and nothing is written."""
    output = run()

    assert OUTCOME in output
    assert "tracectrl" not in output
    assert [] == run.files()


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["one process", "xdist"])
def test_a_session_per_test(run: Run, read_lines: ReadLines, workers: list[str]) -> None:
    """Lines and spans of a test, its fixtures' included, are in its session's files; reports tell failures."""
    output = run("--tracectrl", *workers, "test_shop.py")
    assert OUTCOME in output
    root = run.directory / "traces"

    def messages(sid: str) -> list[str]:
        return [row["message"] for row in read_lines(log_path(sid, root))]

    assert ["opened", "paid", "slow", "closed"] == messages("test_shop.py::test_paid")
    assert ["opened", "declined", "closed"] == messages("test_shop.py::test_declined")
    (span,) = read_lines(span_path("test_shop.py::test_declined", root))
    assert "pay" == span["name"]
    assert ["a/b"] == messages("test_shop.py::test_names[a/b]")
    assert ["xxx"] == messages(f"test_shop.py::test_names[{'x' * 140}]")
    assert [["one"], ["two"]] == [messages(sid) for sid in TWO]
    story = output.partition("tracectrl session call")[2]
    assert "declined  card=7" in story
    assert "test_shop.py::test_declined" in story
    assert 1 == output.count("- tracectrl session")


def test_the_latest_run_is_what_is_there(run: Run, read_lines: ReadLines) -> None:
    """A test's files are those of its latest run; files of others in the directory stay."""
    run("--tracectrl=traces")
    (run.directory / "traces" / "order-1.logs.jsonl").write_text("{}\n")
    run("--tracectrl=traces", "test_shop.py::test_paid")

    path = log_path("test_shop.py::test_paid", run.directory / "traces")
    assert 4 == len(read_lines(path))
    assert "order-1.logs.jsonl" in run.files()
    assert log_path("test_shop.py::test_declined", run.directory / "traces").exists()


def test_failed_alone(run: Run) -> None:
    """With keep=failed the files of tests that pass go; ini options do what the options do."""
    (run.directory / "pytest.ini").write_text(
        "[pytest]\nasyncio_default_fixture_loop_scope=function\n"
        "tracectrl = out/sessions\ntracectrl_keep = failed\n"
    )
    assert OUTCOME in run()
    names = run.files("out/sessions")
    assert 2 == len(names)
    assert all("test_declined" in name for name in names)

    run("--tracectrl-keep=all")
    assert 8 == len(run.files("out/sessions"))


def test_wrong_options(run: Run) -> None:
    """A directory that cannot be made, and a word that is none of the two, end the run with a clear error."""
    (run.directory / "file").write_text("")
    assert "--tracectrl=file/traces: " in run("--tracectrl=file/traces")
    (run.directory / "pytest.ini").write_text("[pytest]\ntracectrl = t\ntracectrl_keep = some\n")
    assert "tracectrl_keep must be 'all' or 'failed', got 'some'" in run()


def test_without_pytests_own_logging(run: Run) -> None:
    """The plugin works beside ``-p no:logging``."""
    output = run("--tracectrl", "-p", "no:logging", "test_shop.py", "-k", "not paid")
    assert "1 failed" in output
    assert "declined  card=7" in output

"""``tracectrl-logs run``: its options, and what it says before a program runs."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.tracectrl_logging.conftest import Twins

RUN = [sys.executable, "-m", "tracectrl_logging.cli", "run"]
SID = "session-1"


def test_options_before_the_program_are_ours(twins: Twins) -> None:
    """The session, the root and the service are what the options say; -v says so on stderr."""
    twins.write("import logging; logging.getLogger('app').info('x')")
    options = ["--root", "deep/er", "--service", "shop", "--level", "info", "-v"]
    done = twins.run(*options, "program.py")
    assert (0, "") == (done.returncode, done.stdout)
    assert f"session {SID}: deep/er/{SID}.logs.jsonl\n" == done.stderr
    twins.root = twins.directory / "deep" / "er"
    assert [("x", "shop")] == [(row["message"], row["service"]) for row in twins.logs()]


def test_session_is_minted_or_taken_from_the_environment(twins: Twins) -> None:
    """Without --session each run is a new one, unless TRACECTRL_SESSION_ID names it."""
    twins.write("import logging; logging.getLogger('app').info('x')")
    for _ in range(2):
        assert 0 == twins.start(*RUN, "program.py").returncode
    assert 2 == len(list(twins.root.iterdir()))
    assert 0 == twins.start(*RUN, "program.py", TRACECTRL_SESSION_ID="given").returncode
    assert ["x"] == [row["message"] for row in twins.logs("given")]


def test_script_that_is_not_there(twins: Twins) -> None:
    """The message and the status are python's."""
    alone = twins.start(sys.executable, "nope.py")
    done = twins.run("nope.py")
    assert (2, alone.stderr) == (done.returncode, done.stderr)
    assert "can't open file" in done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--session", "", "program.py"], "a session ID cannot be empty"),
        (["--level", "LOUD", "program.py"], "'LOUD' is not one of"),
        (["--root", "program.py", "program.py"], "program.py"),
        ([], "Missing argument"),
    ],
)
def test_wrong_use_is_said_before_anything_runs(
    twins: Twins, options: list[str], said: str
) -> None:
    """Wrong options and an unusable root end with status 2 and a reason, and run nothing."""
    twins.write("print('ran')")
    done = twins.start(*RUN, *options)
    assert (2, "") == (done.returncode, done.stdout)
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("given", ["option", "environment"])
def test_a_session_that_is_no_text(given: str, tmp_path: Path) -> None:
    """Bytes that are no UTF-8 would be another ID in the program: nothing is run."""
    (tmp_path / "program.py").write_text("print('run')")
    option: list[str | bytes] = ["--session", b"\xff"] if given == "option" else []
    called: list[str | bytes] = [*RUN, *option, "program.py"]
    env = {**os.environb, **({b"TRACECTRL_SESSION_ID": b"\xff"} if not option else {})}
    done = subprocess.run(called, cwd=tmp_path, env=env, capture_output=True, check=False)
    assert (2, b"") == (done.returncode, done.stdout)
    assert b"the session ID '\\udcff' is not UTF-8 text; give one that is" in done.stderr

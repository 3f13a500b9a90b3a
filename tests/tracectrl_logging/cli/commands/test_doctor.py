"""``doctor``: the command around the checks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tracectrl.session import session

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable
    from pathlib import Path

    import pytest
    from click.testing import Result

    Command = Callable[..., Result]


def test_healthy(command: Command, logger: logging.Logger) -> None:
    """Nothing wrong is 0, and said."""
    with session("a"):
        logger.info("hello")
    result = command("doctor")
    assert (0, "") == (result.exit_code, result.stderr)
    assert "nothing wrong found" in result.stdout


def test_problems(command: Command, logger: logging.Logger, root: Path) -> None:
    """Problems are 1; a row has the keys that are promised, a text its mend."""
    with session("a"):
        logger.info("hello")
    with (root / "a.logs.jsonl").open("ab") as file:
        file.write(b"\x1b[2Jnonsense\n")
    result = command("doctor", "--json")
    row = next(row for row in map(json.loads, result.stdout.splitlines()) if row["count"] == 1)
    keys = ["severity", "check", "subject", "message", "mend", "count", "positions"]
    assert (1, keys) == (result.exit_code, list(row))
    text = command("doctor")
    assert (1, True) == (text.exit_code, "mend: " in text.stdout)


def test_no_program(command: Command) -> None:
    """A program that cannot be started is wrong use."""
    result = command("doctor", "--", "/nowhere/at-all")
    assert (2, "") == (result.exit_code, result.stdout)
    assert "cannot start '/nowhere/at-all'" in result.stderr


def test_not_observed(command: Command) -> None:
    """A program in which nothing could be looked at is a problem, not a healthy one."""
    result = command("doctor", "--json", "--", "/bin/true")
    assert 1 == result.exit_code
    assert "not-observed" == json.loads(result.stdout.splitlines()[-1])["check"]


def test_terminated_while_the_program_starts(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A SIGTERM that comes before there is a process ends the program, and not doctor alone."""
    start = subprocess.Popen

    def slow(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
        os.kill(os.getpid(), signal.SIGTERM)
        return start(*args, **options)

    monkeypatch.setattr(subprocess, "Popen", slow)
    source = "import time; time.sleep(30)"
    result = command("doctor", "--", sys.executable, "-c", source)
    assert f"exit status {-signal.SIGTERM}" in result.stderr

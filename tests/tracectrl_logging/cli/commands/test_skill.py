"""``skill``: the file for coding agents; each command in it runs on the demo."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    Command = Callable[..., Result]

TIMEOUT_S = 120


def test_front_matter(command: Command) -> None:
    """The file begins with a name and a description, within the bounds that agents have for them."""
    result = command("skill")
    assert 0 == result.exit_code
    empty, head, body = result.stdout.split("---\n", 2)
    fields = yaml.safe_load(head)

    assert "" == empty
    assert {"name", "description"} == fields.keys()
    assert re.fullmatch("[a-z0-9-]{1,64}", fields["name"])
    assert 100 < len(fields["description"]) <= 1024
    assert len(body.splitlines()) < 500


@pytest.mark.one_python
def test_commands_run_on_the_demo(command: Command, root: Path) -> None:
    """Each command finds something, or says that nothing is there where it allows for that."""
    for package in ("fastapi", "httpx", "uvicorn", "duckdb"):
        pytest.importorskip(package, reason="it is of the extras demo and sql")
    environment = {**os.environ, "TRACECTRL_TRACE_DIR": str(root), "NO_COLOR": "1"}
    environment["PATH"] = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"

    def shell(line: str) -> str:
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=root.parent,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert 0 == done.returncode, f"{line}\n{done.stderr}"
        return done.stdout

    root.parent.joinpath("app.py").write_text("import logging; logging.warning('hello')\n")
    shell("tracectrl-logs demo")
    rows = map(json.loads, shell("tracectrl-logs sessions --errors --json").splitlines())
    failed, other, *_ = [row["session_id"] for row in rows]
    blocks = re.findall(r"^```sh\n(.+?)^```$", command("skill").stdout, re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).splitlines()
    assert len(lines) > 15
    for line in lines:
        assert line.startswith("tracectrl-logs ")
        said = shell(line.replace("SESSION", failed).replace("OTHER", other))
        assert said or line.endswith("|| true") or " run " in line

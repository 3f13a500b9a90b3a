"""What ``doctor`` finds beside tools that change logging: the real ones."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

BEGIN = """
import logging
from tracectrl.session import session
from tracectrl_logging import SessionFileHandler, configure
configure(console=None)
"""

POWERTOOLS = """
from aws_lambda_powertools import Logger
logger = Logger(service="pay")
{mend}
with session("s"):
    logger.info("card declined")
    logging.getLogger("shop").info("reserved")
"""

SENTRY = """
import sentry_sdk
sentry_sdk.init(dsn="http://key@127.0.0.1:1/1")
with session("s"):
    logging.getLogger("shop").error("reserved")
"""


@pytest.mark.parametrize(
    ("source", "checks"),
    [
        (POWERTOOLS.format(mend=""), ["handler-filters"]),
        (POWERTOOLS.format(mend="logger.addHandler(SessionFileHandler())"), []),
        (SENTRY, []),
    ],
    ids=["powertools", "powertools, mended", "sentry"],
)
def test_other_tools(source: str, checks: list[str], tmp_path: Path) -> None:
    """Powertools' filter is found, with the loggers that it keeps away; Sentry does nothing wrong."""
    program = tmp_path / "program.py"
    program.write_text(BEGIN + source, encoding="utf-8")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tracectrl_logging.cli", "doctor", "--json"),
            *("--", sys.executable, str(program)),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    rows = [json.loads(row) for row in done.stdout.splitlines() if '"severity"' in row]
    problems = [row for row in rows if row["severity"] in ("error", "warning")]
    assert checks == [row["check"] for row in problems], done.stderr
    if checks:
        assert "SuppressFilter" in problems[0]["message"]
        assert ["pay"] == problems[0]["positions"]
    if "addHandler" in source:
        lines = (tmp_path / "traces" / "s.logs.jsonl").read_text(encoding="utf-8")
        assert ["pay", "shop"] == [json.loads(line)["logger"] for line in lines.splitlines()]

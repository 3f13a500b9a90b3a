"""Crashes beside tools that have hooks of their own: each tells of one once, and so do we."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

CONFIGURE = "from tracectrl_logging import configure\nconfigure(console=None)\n"

CRASHES = """
import threading
from tracectrl.session import session

def work():
    with session("thread"):
        raise KeyError("x")

thread = threading.Thread(target=work)
thread.start()
thread.join()
with session("main"):
    raise ValueError("boom")
"""

SENTRY = """
import sentry_sdk
from sentry_sdk.transport import Transport

class Printing(Transport):
    def capture_envelope(self, envelope):
        for item in envelope.items:
            for found in (item.payload.json or {}).get("exception", {}).get("values", ()):
                print(found["type"], found["mechanism"]["type"], flush=True)

sentry_sdk.init(dsn="http://key@127.0.0.1:1/1", transport=Printing)
"""

POWERTOOLS = """
import sys
from aws_lambda_powertools import Logger
Logger(service="pay", log_uncaught_exceptions=True, stream=sys.stdout)
"""


@pytest.mark.parametrize("is_first", [True, False], ids=["configured before", "configured after"])
@pytest.mark.parametrize(
    ("tool", "told"),
    [(SENTRY, "KeyError threading\nValueError excepthook\n"), (POWERTOOLS, '"message":"boom"')],
    ids=["sentry", "powertools"],
)
def test_hooks(tool: str, told: str, is_first: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """The tool has what it has without us, and each crash is one line, in its session."""
    parts = [CONFIGURE, tool] if is_first else [tool, CONFIGURE]
    alone, both = (
        subprocess.run(
            [sys.executable, "-c", source],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        for source in (tool + CRASHES, "".join(parts) + CRASHES)
    )
    assert told in both.stdout
    assert (alone.returncode, alone.stdout.count("\n")) == (
        both.returncode,
        both.stdout.count("\n"),
    )
    for sid, kind in (("thread", "KeyError"), ("main", "ValueError")):
        [line] = (tmp_path / "traces" / f"{sid}.logs.jsonl").read_text("utf-8").splitlines()
        assert ("CRITICAL", kind) == (
            json.loads(line)["level"],
            json.loads(line)["exception"]["type"],
        )

"""The client of the docs, as Node.js runs it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.tracectrl_logging.viewer.conftest import TOKEN, served, write_sessions

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "streams.md"

pytestmark = [
    pytest.mark.one_python,
    pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed"),
]


def test_documented_client(tmp_path: Path) -> None:
    """It prints each line once, those that come later and those behind a restart of the server, too."""
    root = write_sessions(tmp_path / "traces")
    match = re.search(
        r'```js title="watch.mjs"\n(.*?)```', PAGE.read_text(encoding="utf-8"), re.DOTALL
    )
    assert match is not None
    program = tmp_path / "watch.mjs"
    program.write_text(match[1], encoding="utf-8")
    with served(root) as server:
        port = server.port
        client = subprocess.Popen(
            ["node", str(program), f"http://127.0.0.1:{port}/", TOKEN, "a"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert client.stdout is not None
        try:
            assert ["m1", "m2", "work"] == [client.stdout.readline().split()[-1] for _ in range(3)]
            with (root / "a.logs.jsonl").open("a") as file:
                file.write(
                    json.dumps({"timestamp": "2026-11-30T10:01:00Z", "message": "m4"}) + "\n"
                )
            assert "m4" == client.stdout.readline().split()[-1]
            server.process.kill()
            server.process.wait()
            with (root / "a.logs.jsonl").open("a") as file:
                file.write(
                    json.dumps({"timestamp": "2026-11-30T10:02:00Z", "message": "m5"}) + "\n"
                )
            with served(root, port=port):
                assert "m5" == client.stdout.readline().split()[-1]
        finally:
            client.kill()
            client.communicate()

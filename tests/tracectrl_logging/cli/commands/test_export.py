"""``export``: one session as one file."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from tracectrl.session import session

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    Command = Callable[..., Result]
    Write = Callable[..., Path]


def test_default_name(
    command: Command,
    logger: logging.Logger,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The file is named after the session, whatever its ID, and its name is printed."""
    monkeypatch.chdir(tmp_path)
    with session("../a b"):
        logger.info("hello")
    for form, end in (("zip", ".zip"), ("otlp", ".otlp.jsonl")):
        result = command("export", "../a", "--format", form)
        assert (0, f"%2E.%2Fa%20b{end}\n", "") == (result.exit_code, result.stdout, result.stderr)
        assert (tmp_path / f"%2E.%2Fa%20b{end}").stat().st_size
    assert {"traces", "%2E.%2Fa%20b.zip", "%2E.%2Fa%20b.otlp.jsonl"} == {
        path.name for path in tmp_path.iterdir()
    }


def test_stdout(command: Command, write: Write) -> None:
    """``-o -`` writes to stdout, and nothing else goes there."""
    write("s.logs.jsonl", b'{"message":"m","level":"INFO","logger":"l","x":[1]}')
    result = command("export", "s", "-o", "-")
    with zipfile.ZipFile(io.BytesIO(result.stdout_bytes)) as archive:
        row = json.loads(archive.read("timeline.jsonl"))
        text = archive.read("timeline.txt").decode()
    assert {"type": "log", "message": "m", "level": "INFO", "logger": "l", "x": [1]} == row
    assert ["-", "INFO", "l:", "m", "x=[1]"] == text.split()
    otlp = command("export", "s", "--format", "otlp", "-o", "-").stdout_bytes
    assert ["resourceLogs"] == list(json.loads(otlp))


def test_timeline_text(command: Command, write: Write) -> None:
    """The text has everything, escaped, what follows a line's first below it."""
    write(
        "s.logs.jsonl",
        b'{"timestamp":"2026-01-01T00:00:01Z","level":"ERROR","logger":"l","message":"\\u001b[2Jm\\nn",'
        b'"exception":{"type":"E","stacktrace":"Traceback\\nE: no"},"stack":"Stack"}',
    )
    write("s.spans.jsonl", b'{"name":"s\\n","start_time":"2026-01-01T00:00:00Z","duration_ns":5}')
    result = command("export", "s", "-o", "-")
    with zipfile.ZipFile(io.BytesIO(result.stdout_bytes)) as archive:
        text = archive.read("timeline.txt").decode()
    assert text == (
        "2026-01-01T00:00:00.000000Z  SPAN      s\\n  5 ns\n"
        "2026-01-01T00:00:01.000000Z  ERROR     l: \\x1b[2Jm\n    n\n    Traceback\n    E: no\n    Stack\n"
    )


def test_nothing_to_export(command: Command, write: Write, tmp_path: Path) -> None:
    """An unknown session, or one without lines, is 1; one with nothing but damage is 2."""
    write("s.logs.jsonl")
    write("bad.logs.jsonl", b"bad")
    target = tmp_path / "x"
    for sid, status in (("nope", 1), ("s", 1), ("bad", 2)):
        for form in ("zip", "otlp"):
            result = command("export", sid, "--format", form, "-o", str(target))
            assert (status, "") == (result.exit_code, result.stdout)
            assert result.stderr
    assert not target.exists()
    assert 2 == command("export", "bad", "-o", str(tmp_path / "no" / "directory")).exit_code


def test_what_only_otlp_says(command: Command, write: Write) -> None:
    """What a stored record says beyond a line's keys is in JSON and in OTLP, and in no text for people."""
    write(
        "s.logs.jsonl",
        b'{"resourceLogs":[{"scopeLogs":[{"scope":{"name":"l","version":"1.2"},'
        b'"logRecords":[{"timeUnixNano":"1767225600000000001","body":{"stringValue":"m"}}]}]}]}',
    )
    more = {"scope": {"scope": {"name": "l", "version": "1.2"}}}
    (row,) = map(json.loads, command("show", "s", "--json").stdout.splitlines())
    assert more["scope"] == row["_otlp"]["scope"]
    for text in (command("show", "s", "--full").stdout, timeline(command)):
        assert "m" in text
        assert "1.2" not in text
    otlp = command("export", "s", "--format", "otlp", "-o", "-").stdout
    (scope,) = json.loads(otlp)["resourceLogs"][0]["scopeLogs"]
    assert more["scope"]["scope"] == scope["scope"]
    assert "1767225600000000001" == scope["logRecords"][0]["timeUnixNano"]


def test_otlp_needs_no_extra(
    command: Command, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OTLP/JSON is written without OpenTelemetry's encoder, which is in no core dependency."""
    write("s.logs.jsonl", b"{}")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.json.common", None)
    assert 0 == command("export", "s", "--format", "otlp", "-o", "-").exit_code


def timeline(command: Command) -> str:
    """Return the text for people of the session s."""
    result = command("export", "s", "-o", "-")
    with zipfile.ZipFile(io.BytesIO(result.stdout_bytes)) as archive:
        return archive.read("timeline.txt").decode()


def test_stdout_that_is_closed(write: Write, root: Path) -> None:
    """``>&-`` loses the file, and nothing else happens."""
    write("s.logs.jsonl", b'{"message":"m"}')
    source = '"$0" -m tracectrl_logging.cli export s -o - --root "$1" >&-'
    done = subprocess.run(
        ["sh", "-c", source, sys.executable, root], capture_output=True, check=False
    )
    assert (0, b"") == (done.returncode, done.stderr)


def test_html(command: Command, write: Write, tmp_path: Path) -> None:
    """The format html is one page with the session in it, less what is redacted; no other format redacts."""
    pytest.importorskip("jinja2")
    pytest.importorskip("starlette")
    write("s.logs.jsonl", b'{"message":"m","level":"INFO","logger":"l","token":"abc"}')
    target = tmp_path / "s.html"
    result = command("export", "s", "--format", "html", "-o", str(target), "--redact", "Token")
    assert (0, f"{target}\n", "") == (result.exit_code, result.stdout, result.stderr)
    assert target.read_bytes().startswith(b"<!doctype html>")
    assert 2 == command("export", "s", "--format", "html", "-o", str(target)).exit_code
    result = command("export", "s", "--redact", "token", "-o", "-")
    assert (2, b"") == (result.exit_code, result.stdout_bytes)
    assert "--redact needs --format html" in result.stderr

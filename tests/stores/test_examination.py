"""``doctor --root URL`` says what a store lacks, and how far behind its senders are."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.files.names import log_path
from tracectrl_logging.reader import Line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result


def line_of(message: str, *, age_s: float = 0, sid: str = "order-1") -> Line:
    """Return a log line of so many seconds ago."""
    us = time.time_ns() // 1000 - int(age_s * 1e6)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(us // 10**6)) + f".{us % 10**6:06d}Z"
    row = {"timestamp": stamp, "level": "INFO", "message": message, "session_id": sid}
    return Line("log", row, json.dumps(row).encode(), stamp, "", 0, sid)


@pytest.fixture
def doctor(command: Callable[..., Result]) -> Callable[..., dict[tuple[str, str], dict[str, Any]]]:
    """Return what gives the findings of an examination, by severity and check."""

    def findings(*args: str, status: int = 0) -> dict[tuple[str, str], dict[str, Any]]:
        result = command("doctor", "--json", *args)
        assert status == result.exit_code, result.output
        rows = [json.loads(row) for row in result.stdout.splitlines()]
        return {(row["severity"], row["check"]): row for row in rows}

    return findings


def test_healthy(set_up: str, client: Any, put: Callable[..., None], doctor: Any) -> None:
    """A store that is set up, and whose sender is on time, has nothing wrong; the last sending is told."""
    put(client, [line_of("now")], seen_ns=time.time_ns())
    found = doctor("--root", set_up)
    assert {("ok", "store"), ("ok", "setup"), ("info", "lag")} == set(found)
    assert "h1" == found["info", "lag"]["subject"]
    assert re.match(r"sent last \d+ s ago, \d+\.\d s after", found["info", "lag"]["message"])


def test_without_setup(otel: str, client: Any, put: Callable[..., None], doctor: Any) -> None:
    """Tables of the exporter's alone are said to lack columns, indexes and a window; rows from before setup, too."""
    put(client, [line_of("one"), line_of("two")], as_written=False)
    found = doctor("--root", otel, status=1)
    assert {("ok", "store"), ("warning", "not-set-up"), ("error", "deduplication")} == set(found)
    said = found["warning", "not-set-up"]
    assert "lacks 8 columns, 4 indexes of setup's" in said["message"]
    assert "reads all of 2 rows" in said["message"]
    assert (
        "ALTER TABLE otel_logs ADD COLUMN IF NOT EXISTS SessionId String MATERIALIZED LogAttributes['session.id'] CODEC"
        in said["positions"]
    )


def test_rows_from_before(
    otel: str, client: Any, put: Callable[..., None], command: Callable[..., Result], doctor: Any
) -> None:
    """Rows from before setup are without an index until the statement that the finding names has run."""
    put(client, [line_of("one"), line_of("two")], as_written=False)
    command("setup", "--to", otel)
    put(client, [line_of("three")], seen_ns=time.time_ns())
    said = doctor("--root", otel, status=1)["warning", "not-indexed"]
    assert ("otel_logs", True) == (said["subject"], said["message"].startswith("2 rows, "))
    client.command(f"{said['mend'].partition(',')[0]} SETTINGS mutations_sync = 2")
    assert ("warning", "not-indexed") not in doctor("--root", otel)


def test_late_and_ahead(set_up: str, client: Any, put: Callable[..., None], doctor: Any) -> None:
    """A sender that is behind, and a machine whose lines come from the future, are named."""
    put(client, [line_of("late", age_s=500)], seen_ns=time.time_ns() - 100 * 10**9)
    late = doctor("--root", set_up, status=1)["warning", "lag"]
    assert "h1" == late["subject"]
    assert re.match(r"sent last 1\d\d s ago, 40\d\.\d s after", late["message"])
    put(client, [line_of("early", age_s=-30)], seen_ns=time.time_ns(), first=2)
    ahead = doctor("--root", set_up, status=1)["warning", "clock-skew"]
    assert "h1" == ahead["subject"]
    assert re.search(r"up to (30|2\d) s after they were sent", ahead["message"])


def test_clock(set_up: str, doctor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock of this machine's that differs from the server's is told."""
    now = time.time
    monkeypatch.setattr("tracectrl_logging.shipping.examination.time.time", lambda: now() + 90)
    said = doctor("--root", set_up, status=1)["warning", "clock-skew"]
    assert "this machine's clock is 90 s ahead of the server's" in said["message"]


def test_compared(
    root: Path, set_up: str, load: Callable[..., None], client: Any, doctor: Any
) -> None:
    """Sessions of a directory are compared with those of the store: a line that is missing there is found."""
    root.mkdir()
    for sid in ("same", "other", "later"):
        lines = [line_of(f"{sid} {number}", age_s=600 - number, sid=sid).raw for number in range(3)]
        log_path(sid, root).write_bytes(b"\n".join([*lines, b""]))
        if sid == "other":
            load(root)
    healthy = doctor("--root", set_up, "--compare", str(root), status=1)
    assert (
        "of its latest 3 sessions that are a minute old 1 are not in"
        in healthy["info", "sessions-compared"]["message"]
    )
    assert ("error", "sessions-differ") not in healthy
    client.command("DELETE FROM otel_logs WHERE Body = 'other 1' SETTINGS mutations_sync = 2")
    found = doctor("--root", set_up, "--compare", str(root), status=1)
    assert ["other: 1"] == found["error", "sessions-differ"]["positions"]


def test_away_and_wrong(database: str, doctor: Any, command: Callable[..., Result]) -> None:
    """A store that cannot be reached, or has no tables, is a finding; what cannot be understood is an error."""
    away = doctor("--root", "clickhouse://me:s3cr3t@127.0.0.1:1/otel", status=1)["error", "store"]
    assert ("clickhouse://me@127.0.0.1:1/otel", "cannot be reached: Connection refused") == (
        away["subject"],
        away["message"],
    )
    empty = doctor("--root", database, status=1)["error", "tables"]
    assert ("tracectrl-logs setup --to URL", True) == (
        empty["mend"],
        "has no tables" in empty["message"],
    )
    for args in (
        ("--root", "s3://bucket"),
        ("--root", database, "--", "true"),
        ("--root", "traces", "--compare", "x"),
        ("--root", database, "--compare", database),
    ):
        assert (args, 2) == (args, command("doctor", *args).exit_code)

"""The same random lines, nasty ones among them, give the same rows as files and in ClickHouse."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl._time import ns_of
from tracectrl.files.names import log_path, span_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

IDS = [
    "plain",
    "o'); DROP TABLE otel_logs; --",
    "100% {sid:String} \\' \\\\",
    "größe/日本\t\n\x00",
    "x" * 300,
    "unknown",
]
TEXTS = [
    "refused",
    "",
    "a 'quote' and \"another\"",
    "back\\slash \\n \\' {x:String} %s %",
    "line\nbreak\r\ttab\x00nul\x1b[31m",
    "ünïcode 日本 \U0001f600 \u202e",
    "NaN",
    "007",
    '{"json": [1, 2.50, null]}',
    "word " * 5000,
    "WARNING: refused again",
]
VALUES: list[Any] = [
    *TEXTS,
    None,
    True,
    0,
    -1,
    1.0,
    1e300,
    2**70,
    [],
    {},
    [1, {"a": "refused"}],
    {"b": {"c": 1}},
]
LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "AUDIT", "warn", "Fatal", 40, "", None]
KEYS = [
    "n",
    "tool",
    "type",
    "user id",
    "a.b",
    "'quoted'",
    "_x",
    "extra_n",
    "größe",
    "exception.type",
]
YEARS = ["0001", "1850", "1960", "2150", "2262", "9999"]


class Writer:
    """Writes random lines as several programs would."""

    def __init__(self, root: Path, seed: int, *, is_orderly: bool = False) -> None:
        self.root = root
        self.is_orderly = is_orderly
        self.random = random.Random(seed)  # noqa: S311 - the same each time
        self.us = 0

    def time(self) -> str:
        """Return a time that is later than those before."""
        self.us += self.random.choice([1, 7, 1_000, 2_500_000, 60_000_000])
        minutes, us = divmod(self.us, 60_000_000)
        return f"2026-02-{1 + minutes // 1440:02}T{minutes // 60 % 24:02}:{minutes % 60:02}:{us / 1e6:09.6f}Z"

    def ns_between(self, start: str, end: str) -> int:
        """Return the nanoseconds between two times, and a few."""
        return (ns_of(end) or 0) - (ns_of(start) or 0) - self.random.randrange(1000)

    def log(self, sid: str) -> dict[str, Any]:
        """Return a log line."""
        choose = self.random.choice
        keys = (
            KEYS[:-1] if self.is_orderly else KEYS
        )  # an attribute with the name of a column's is that
        row = {
            "timestamp": self.time(),
            "level": choose(LEVELS),
            "logger": choose(["app", "app.db", "o'clock", ""]),
            "message": choose(VALUES if self.random.random() < 0.2 else TEXTS),
            "session_id": sid,
            "trace_id": f"{self.random.getrandbits(128):032x}",
            "span_id": f"{self.random.getrandbits(64):016x}",
            "service": choose(["api", "db", "o'clock"]),
            **{choose(keys): choose(VALUES) for _ in range(self.random.randrange(4))},
        }
        if self.is_orderly:  # a text that is empty is null in the SQL of ClickHouse's tables
            row |= {key: row[key] or "none" for key in ("level", "logger", "message")}
        odd = 0.1 + self.random.random() * 0.9 if self.is_orderly else self.random.random()
        if odd < 0.05:
            row["timestamp"] = f"{choose(YEARS)}{row['timestamp'][4:]}"
        elif odd < 0.1:
            row.pop(choose(["timestamp", "level", "message", "session_id", "trace_id", "logger"]))
        elif odd < 0.15:
            row["event"], row["levelname"] = row.pop("message"), row.pop("level")
        elif odd < 0.2:
            row["exception"] = choose(
                [{"type": "E", "message": "no", "stacktrace": "T\n  E"}, "text", 5, {"type": 1}]
            )
        return row

    def span(self, sid: str) -> dict[str, Any]:
        """Return the line of a span."""
        choose = self.random.choice
        service = choose(["api", "db"])
        times = self.time(), self.time()
        return {
            "name": choose(["GET /", "pay", "o'clock", "ünï"]),
            "kind": choose(["INTERNAL", "SERVER", "CLIENT"]),
            "session_id": sid,
            "trace_id": f"{self.random.getrandbits(128):032x}",
            "span_id": f"{self.random.getrandbits(64):016x}",
            "trace_flags": "03",
            "start_time": times[0],
            "end_time": times[1],
            "duration_ns": self.ns_between(*times),
            "status": choose(["UNSET", "OK", "ERROR"]),
            "status_message": choose([None, "no", "'"]),
            "service": service,
            "scope": "tests",
            "attributes": {
                "gen_ai.operation.name": choose(["chat", "execute_tool", "other"]),
                **{choose(KEYS): choose(VALUES) for _ in range(self.random.randrange(4))},
            },
            "events": [],
            "links": [],
            "resource": {"service.name": service},
        }

    def write(self, lines: int) -> None:
        """Write so many log lines, and half as many spans."""
        self.root.mkdir()
        for number in range(lines):
            sid = self.random.choice(IDS)
            row = self.log(sid)
            text = json.dumps(row, ensure_ascii=self.random.random() < 0.2)
            if number % 17 == 0:
                text = text[:-1] + ',"odd":[NaN,Infinity,"\\ud800"],"n":1,"n":2}'
            with open(log_path(sid, self.root), "a", encoding="utf-8") as file:
                file.write(text + "\n")
            if number % 2:
                with open(span_path(sid, self.root), "a", encoding="utf-8") as file:
                    span = self.span(sid)
                    if number % 7 == 0:
                        begun = {key: span[key] for key in list(span)[:7]} | {"state": "open"}
                        file.write(json.dumps(begun | {"observed_time": span["end_time"]}) + "\n")
                    if number % 21:
                        file.write(json.dumps(span) + "\n")


def asked(seed: int) -> list[tuple[str, ...]]:
    """Return commands with a few random choices in them."""
    choose = random.Random(-seed - 1).choice  # noqa: S311 - as above
    ids = [sid for sid in IDS if sid != "unknown"]
    return [
        ("sessions",),
        ("sessions", "--limit", "3"),
        ("sessions", "--errors", "--where", "n>=0"),
        (
            "sessions",
            "--since",
            "2026-02-01T01:00",
            "--until",
            "2026-02-01T02:00",
            "--service",
            "db",
        ),
        *(("show", sid) for sid in ids),
        ("show", choose(ids), "--level", choose(["INFO", "WARNING", "45"])),
        ("show", choose(ids), "--logger", "app", "--where", "tool!=x"),
        *(("grep", "-F", text) for text in TEXTS if len(text) < 100),
        ("grep", "-i", "REFUSED", "--level", "ERROR"),
        ("grep", "-C", "2", "tool", "--since", "2026-02-01T01:00"),
        ("grep", "-v", "refused", "--session", choose(ids)),
        ("grep", "-c", "[0-9]{3}"),
        ("grep", "-m", "2", "app"),
    ]


@pytest.mark.parametrize("seed", range(2))
def test_same_rows(
    seed: int,
    command: Callable[..., Result],
    root: Path,
    set_up: str,
    load: Callable[..., None],
) -> None:
    """Whatever is asked, the rows are the same, byte for byte."""
    Writer(root, seed).write(150)
    load(root)
    for args in asked(seed):
        files = command(*args, "--json", "--root", str(root))
        store = command(*args, "--json", "--root", set_up)
        assert (args, files.stdout, files.exit_code) == (args, store.stdout, store.exit_code), (
            store.stderr
        )


ORDERLY = [
    ("tail", "-n", "20"),
    ("tail", "-n", "5", "plain", "--level", "WARNING"),
    ("tail", "--since", "2026-02-01T01:00", "--where", "level>=ERROR"),
    ("query", "errors"),
    ("query", "slow"),
    ("query", "tools"),
    ("query", "SELECT level, count(*) AS n FROM logs GROUP BY level ORDER BY 2, 1"),
    ("query", "SELECT session_id, severity_number, logger FROM logs ORDER BY timestamp, 1, 2, 3"),
    (
        "query",
        "SELECT session_id, logs, spans, errors, error_spans, services FROM sessions ORDER BY 1",
    ),
    ("query", "SELECT name, state, duration_ns, start_time FROM spans ORDER BY start_time"),
]


@pytest.mark.parametrize("seed", range(1))
def test_in_order_of_time(
    seed: int,
    command: Callable[..., Result],
    root: Path,
    set_up: str,
    load: Callable[..., None],
) -> None:
    """The last lines are the same where each session's times go up, and so are the answers of SQL."""
    Writer(root, seed, is_orderly=True).write(150)
    load(root)
    for args in ORDERLY:
        files = command(*args, "--json", "--root", str(root))
        store = command(*args, "--json", "--root", set_up)
        assert (args, files.stdout, files.exit_code) == (args, store.stdout, store.exit_code), (
            store.stderr
        )

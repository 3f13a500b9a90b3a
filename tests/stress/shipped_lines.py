"""200 kills of shippers and of the server, while three roots are written: each line is in the store once.

    python tests/stress/shipped_lines.py [--short]

Three processes ship three roots into one ClickHouse database, its real engine (chdb, which the environment
``stores`` has) behind its HTTP interface. At random moments one of them or the server is killed, and started
again. Meanwhile log lines and spans are written. At the end each is there once, under one number of its machine.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracectrl._json import timestamp_ns
from tracectrl.files.names import log_path, span_path

if TYPE_CHECKING:
    from tests.stress import common
else:
    import common  # this file is a program: its directory is where it imports from

KILLS, KILLS_SHORT = 200, 8
LINES, LINES_SHORT = 200_000, 6_000
HOSTS = 3
SESSIONS = 20
ENGINE = Path(__file__).parents[1] / "stores" / "engine.py"
CLI = [sys.executable, "-m", "tracectrl_logging.cli"]


class Process:
    """A process that is killed and started again; the server keeps its port."""

    def __init__(self, command: list[str], *, is_server: bool = False) -> None:
        self._command, self._is_server = command, is_server
        self.port = 0
        self.start()

    def start(self) -> None:
        """Start it."""
        port = ["--port", str(self.port)] if self._is_server else []
        self._process = subprocess.Popen(
            [*self._command, *port],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if self._is_server else None,
            stderr=subprocess.DEVNULL,
        )
        if self._process.stdout is not None:
            self.port = int(self._process.stdout.readline())

    def kill(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.communicate()


def write(root: Path, first: int, count: int, pause_s: float) -> None:
    """Write *count* log lines and half as many spans, with numbers from *first* on."""
    root.mkdir()
    for number in range(first, first + count):
        sid = f"s{number % SESSIONS}"
        now = timestamp_ns(time.time_ns())
        log = {"timestamp": now, "level": "INFO", "message": f"log {number}", "session_id": sid}
        rows: list[tuple[Path, dict[str, Any]]] = [(log_path(sid, root), log)]
        if number % 2:
            ids = {"trace_id": f"{number:032x}", "span_id": f"{number:016x}"}
            times = {"start_time": now, "end_time": now, "duration_ns": 0}
            span = {"name": f"span {number}", "session_id": sid, **ids, **times, "status": "OK"}
            rows.append((span_path(sid, root), span))
        for path, row in rows:
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        if number % 10 == 0:
            time.sleep(pause_s)


def main() -> int:
    """Run it all; return the exit status."""
    verdict = common.Verdict(__doc__ or "")
    if importlib.util.find_spec("chdb") is None:
        return common.skip("the engine, chdb, is not installed here")
    kills = KILLS_SHORT if verdict.is_short else KILLS
    lines = (LINES_SHORT if verdict.is_short else LINES) // HOSTS
    chance = random.Random(7)  # noqa: S311 - the same each time
    with common.home() as directory, contextlib.ExitStack() as stack:
        place = Path(directory)
        server = Process([sys.executable, str(ENGINE), str(place / "data")], is_server=True)
        stack.callback(server.kill)
        url = f"clickhouse://127.0.0.1:{server.port}/default"
        subprocess.run([*CLI, "setup", "--to", url], check=True, capture_output=True)
        args = [
            [
                *("--to", url, "--root", str(place / f"r{n}"), "--host", f"h{n}"),
                *("--state", str(place / f"{n}.state")),
            ]
            for n in range(HOSTS)
        ]
        pause_s = kills * 1.6 / lines * 10
        writers = [
            threading.Thread(target=write, args=(place / f"r{n}", n * lines, lines, pause_s))
            for n in range(HOSTS)
        ]
        for writer in writers:
            writer.start()
        shippers = [Process([*CLI, "ship", *own]) for own in args]
        for shipper in shippers:
            stack.callback(shipper.kill)
        for _ in range(kills):
            time.sleep(chance.uniform(0.4, 2.2))
            one = chance.choice([server, *shippers])
            one.kill()
            one.start()
        for writer in writers:
            writer.join()
        verdict.done(f"{kills} kills, {HOSTS * lines} log lines")
        for shipper, own in zip(shippers, args, strict=True):
            shipper.kill()
            subprocess.run([*CLI, "ship", *own, "--once"], check=True, capture_output=True)
        check(verdict, server.port, HOSTS * lines)
    return verdict.status()


def check(verdict: common.Verdict, port: int, lines: int) -> None:
    """Look at what is in the store."""
    import clickhouse_connect  # noqa: PLC0415 - where there is an engine

    client = clickhouse_connect.get_client(host="127.0.0.1", port=port)
    uid = "(ResourceAttributes['host.name'], TracectrlUid)"
    for table, text, expected in (
        ("otel_logs", "Body", lines),
        ("otel_traces", "SpanName", lines // 2),
    ):
        counts = f"count(), uniqExact({text}), uniqExact({uid})"
        found = client.query(f"SELECT {counts} FROM {table}").result_rows[0]  # noqa: S608 - our own
        verdict.expect((expected,) * 3, tuple(found), table)
    client.close()


if __name__ == "__main__":
    sys.exit(main())

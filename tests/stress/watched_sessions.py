"""Sessions that are watched while they are written, by a server that is killed: each line once, in order.

    python tests/stress/watched_sessions.py [--short]

Five processes write about 1,000 log lines and spans a second into twenty sessions, with rotation;
``compress`` and ``prune`` run beside them. Ten clients watch a session each, as tabs of the page do, and
come back behind the last event that they have seen. The server is killed three times.

How late a line comes is counted for lines that no kill has held up, from when it was made.
"""

from __future__ import annotations

import http.client
import json
import multiprocessing
import os
import random
import re
import subprocess
import sys
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tracectrl.exporter import FileSpanExporter
from tracectrl_logging import SessionFileHandler
from tracectrl_logging.reader import read

if TYPE_CHECKING:
    from tests.stress import common
else:
    import common  # this file is a program: its directory is where it imports from

PROCESSES = 5
SESSIONS = 20
CLIENTS = 10
KILLS = 3
PER_SECOND = 1000
WINDOW_S = 0.25
"""How long a line waits for those that were written before it."""
LATE_S = 0.1
"""How much later than that 95 of 100 lines may come."""
TOKEN = "0123456789abcdef0123456789abcdef0123456789a"  # noqa: S105 - of this program


def main() -> int:
    """Run it all; return the exit status."""
    verdict = common.Verdict(__doc__ or "")
    seconds = 8 if verdict.is_short else 120
    with common.home() as home:
        root = os.path.join(home, "traces")
        os.mkdir(root, 0o700)
        watch(root, seconds, verdict)
    return verdict.status()


def watch(root: str, seconds: int, verdict: common.Verdict) -> None:
    """Write for so many *seconds*, and watch; note what is wrong."""
    context = multiprocessing.get_context("spawn")
    server = Server(root)
    clients = [Client(server, f"work-{number}") for number in range(CLIENTS)]
    writers = [context.Process(target=write, args=(root, it, seconds)) for it in range(PROCESSES)]
    over = threading.Event()
    keeping = threading.Thread(target=keep_in_bounds, args=(root, over))
    for process in writers:
        process.start()
    for thread in (*clients, keeping):
        thread.start()
    for _ in range(KILLS):
        time.sleep(seconds / (KILLS + 1))
        server.kill()
        server.start()
    for process in writers:
        process.join()
        verdict.expect(0, process.exitcode, "exit status of a writer")
    over.set()
    keeping.join()
    expected = {client.sid: rows_of(client.sid, root) for client in clients}
    for client in clients:
        client.wait(len(expected[client.sid]))
    time.sleep(1)  # for lines that should not be
    server.stop()
    for client in clients:
        client.join()
    lines = sum(map(len, expected.values()))
    verdict.done(f"{lines} lines watched by {CLIENTS} clients, the server killed {KILLS} times")
    for client in clients:
        compare(client, expected[client.sid], verdict)
    tell_late(sorted(late_s for client in clients for late_s in client.late), verdict)


def compare(client: Client, expected: list[tuple[int, int]], verdict: common.Verdict) -> None:
    """Note what a client has not, twice, or out of order."""
    found = [(row["writer"], row["number"]) for row in client.rows]
    verdict.expect(sorted(expected), sorted(found), f"the lines of {client.sid}")
    by_process: dict[Any, list[int]] = defaultdict(list)
    for row in client.rows:
        by_process[row["writer"], row["type"]].append(row["number"])
    for (writer, kind), numbers in by_process.items():
        verdict.expect(sorted(numbers), numbers, f"order of {kind}s of {writer} in {client.sid}")


def tell_late(late: list[float], verdict: common.Verdict) -> None:
    """Print how late lines have come, in seconds; other programs may load the machine, so nothing is judged."""
    if not late:
        return
    of_100 = [late[len(late) * part // 100] for part in (50, 95, 99)]
    shown = ", ".join(f"{late_s:.3f} s" for late_s in of_100)
    verdict.done(f"{len(late)} lines have come after (50 %, 95 %, 99 %): {shown}")
    if of_100[1] > WINDOW_S + LATE_S:
        verdict.done(f"late: 95 % have not come within {WINDOW_S + LATE_S:.2f} s")


def rows_of(sid: str, root: str) -> list[tuple[int, int]]:
    """Return who wrote which lines of the session."""
    rows = [line.row for line in read(sid, root)]
    return [(it["writer"], it["number"]) for it in map(own, rows)]


def own(row: dict[str, Any]) -> dict[str, Any]:
    """Return the values of the writer's own: a log line's extras, a span's attributes."""
    found: dict[str, Any] = row.get("attributes", row)
    return found


def write(root: str, number: int, seconds: int) -> None:
    """Be a process that writes for so many *seconds*."""
    rng = random.Random(number)  # noqa: S311 - no secret
    handler = SessionFileHandler(root, max_bytes=50_000, backup_count=5_000)
    exporter = FileSpanExporter(root, max_bytes=50_000, backup_count=5_000)
    start = time.monotonic()
    pause_s = PROCESSES / PER_SECOND
    for count in range(int(seconds / pause_s)):
        sid = f"work-{rng.randrange(SESSIONS)}"
        values = {"writer": number, "number": count, "made_at": time.time_ns()}
        if not count % 5:
            exporter.export([common.span(sid, **values)])
        else:
            handler.emit(common.record(sid, "x" * rng.randrange(200), **values))
        time.sleep(max(0.0, start + count * pause_s - time.monotonic()))
    handler.close()
    exporter.shutdown()


def keep_in_bounds(root: str, over: threading.Event) -> None:
    """Compress and prune again and again; nothing is old enough to be removed."""
    command = [sys.executable, "-m", "tracectrl_logging.cli", "--root", root]
    while not over.wait(2):
        subprocess.run([*command, "compress"], stdout=subprocess.DEVNULL, check=False)
        prune = [*command, "prune", "--older-than", "1d"]
        subprocess.run(prune, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


class Server:
    """The command ``view``, always at the same port."""

    def __init__(self, root: str) -> None:
        self._root = root
        self.port = 0
        self.is_over = False
        self._process: subprocess.Popen[str]
        self.start()

    def start(self) -> None:
        """Start it."""
        command = [sys.executable, "-m", "tracectrl_logging.cli", "--root", self._root, "view"]
        self._process = subprocess.Popen(
            [*command, "--no-browser", "--port", str(self.port)],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TRACECTRL_VIEWER_TOKEN": TOKEN},
        )
        assert self._process.stderr is not None
        said = self._process.stderr.readline()
        found = re.search(r":(\d+)/#", said)
        assert found is not None, said
        self.port = int(found[1])

    def kill(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.communicate()

    def stop(self) -> None:
        """Tell it, and the clients, to stop."""
        self.is_over = True
        self._process.terminate()
        self._process.communicate()


class Client(threading.Thread):
    """Watches one session, and comes back where the server has gone."""

    def __init__(self, server: Server, sid: str) -> None:
        super().__init__()
        self._server = server
        self.sid = sid
        self.rows: list[dict[str, Any]] = []
        self.late: list[float] = []
        self._cursor = ""
        self._is_caught_up = False

    def run(self) -> None:
        """Watch until it is over."""
        while not self._server.is_over:
            try:
                self._watch()
            except (OSError, http.client.HTTPException):
                time.sleep(0.1)

    def wait(self, count: int) -> None:
        """Wait for so many rows, a minute at most."""
        deadline = time.monotonic() + 60
        while len(self.rows) < count and time.monotonic() < deadline:
            time.sleep(0.05)

    def _watch(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=60)
        headers = {"Authorization": f"Bearer {TOKEN}", "Last-Event-ID": self._cursor}
        connection.request(
            "GET", f"/api/sessions/{quote(self.sid, safe='')}/stream", headers=headers
        )
        answer = connection.getresponse()
        self._is_caught_up = False
        fields: dict[str, str] = {}
        while line := answer.readline():
            key, _, value = line.decode().rstrip("\n").partition(": ")
            if key:
                fields[key] = value
            elif fields:
                self._take(fields.pop("event", ""), fields)
                fields = {}
        connection.close()

    def _take(self, name: str, fields: dict[str, str]) -> None:
        now = time.time_ns()
        if name == "reset":
            self.rows.clear()
        elif name == "caught-up":
            self._is_caught_up = True
        elif name == "lines":
            rows = json.loads(fields["data"])
            self.rows += [{**own(row), "type": row["type"]} for row in rows]
            self._cursor = fields["id"]
            if self._is_caught_up:
                self.late += [(now - own(row)["made_at"]) / 1e9 for row in rows]


if __name__ == "__main__":
    sys.exit(main())

"""``ship`` puts each line and span into the store, exactly once, whatever is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.files.names import log_path, span_path
from tracectrl_logging import reader

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

SHIP = """
import os, signal, sys
point, count = os.environ.get("KILL", "none:1").rsplit(":", 1)
left = int(count)

def hook(event, args):
    global left
    if event == "tracectrl.ship" and args[0] == point:
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(hook)
from tracectrl_logging.cli import main
main()
"""
POINTS = [
    "intent half",
    "intent new",
    "intent there",
    "block 0 to go",
    "block 0 there",
    "block 1 to go",
    "block 1 there",
    "checkpoint half",
    "checkpoint new",
    "checkpoint there",
    "committed",
    "forgotten",
]
CA = """
[ca]
default_ca = own
[own]
database = {directory}/index
new_certs_dir = {directory}
rand_serial = yes
default_md = sha256
policy = any
x509_extensions = extensions
[any]
commonName = supplied
[extensions]
subjectAltName = IP:127.0.0.1
basicConstraints = CA:TRUE
"""


def write(root: Path, start: int, end: int) -> None:
    """Write log lines and spans with these numbers, of several sessions and of three days."""
    root.mkdir(exist_ok=True)
    for number in range(start, end):
        sid = f"order-{number % 3}"
        stamp = f"2026-02-0{1 + number % 3}T10:{number // 60 % 60:02}:{number % 60:02}.000000Z"
        log = {
            "timestamp": stamp,
            "level": "INFO",
            "logger": "app",
            "message": f"log {number}",
            "session_id": sid,
        }
        span = {
            "name": f"span {number}",
            "kind": "INTERNAL",
            "session_id": sid,
            "trace_id": f"{number:032x}",
            "span_id": f"{number:016x}",
            "start_time": stamp,
            "end_time": stamp,
            "duration_ns": 0,
            "status": "UNSET",
            "attributes": {},
        }
        for path, row in ((log_path(sid, root), log), (span_path(sid, root), span)):
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


class Ship:
    """Runs the command in a process of its own."""

    def __init__(self, root: Path, url: str) -> None:
        self.args = [
            "ship",
            "--root",
            str(root),
            "--to",
            url,
            "--state",
            f"{root}.state",
            "--host",
            "h1",
        ]

    def start(self, *args: str, kill: str = "none:1") -> subprocess.Popen[str]:
        """Start it, to be killed at a point."""
        return subprocess.Popen(
            [sys.executable, "-c", SHIP, *self.args, *args],
            env={**os.environ, "KILL": kill},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def once(self, kill: str = "none:1") -> int:
        """Run it to its end, or to its death; return its status."""
        process = self.start("--once", kill=kill)
        _, said = process.communicate(timeout=60)
        assert process.returncode in {0, -signal.SIGKILL}, said
        return process.returncode


def there(client: Any) -> tuple[list[str], list[str]]:
    """Return the messages and the names of spans that the store has."""
    logs = client.query("SELECT Body FROM otel_logs ORDER BY Body").result_rows
    spans = client.query("SELECT SpanName FROM otel_traces ORDER BY SpanName").result_rows
    return [row[0] for row in logs], [row[0] for row in spans]


def expected(end: int) -> tuple[list[str], list[str]]:
    """Return those that are to be there."""
    return sorted(f"log {n}" for n in range(end)), sorted(f"span {n}" for n in range(end))


@pytest.mark.parametrize("points", [POINTS, POINTS[::-1]])
def test_killed_at_each_point(points: list[str], root: Path, set_up: str, client: Any) -> None:
    """Whatever it was doing when it was killed, also what it was killed at before, each line is there once."""
    ship, end = Ship(root, set_up), 0
    for point in points:
        write(root, end, end + 6)
        end += 6
        assert -signal.SIGKILL == ship.once(f"{point}:1"), point
    assert 0 == ship.once()
    assert expected(end) == there(client)


def test_killed_at_random(tmp_path: Path) -> None:
    """Three roots, shippers and a server that are killed at random: the program finds nothing wrong."""
    program = Path(__file__).parents[1] / "stress" / "shipped_lines.py"
    done = subprocess.run(
        [sys.executable, str(program), "--short"],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert 0 == done.returncode, f"{done.stdout}{done.stderr}"


def test_server_killed(
    root: Path, own_engine: Callable[..., Any], command: Callable[..., Result]
) -> None:
    """While the server is away lines wait; when it is there again, they come, once, and it was said once."""
    engine, url, client = own_engine()
    write(root, 0, 6)
    process = Ship(root, url).start()
    try:
        wait_for(lambda: expected(6) == there(client))
        engine.kill()
        write(root, 6, 12)
        wait_for(lambda: "cannot be reached" in (status(root, url, command)["error"] or ""))
        engine.start()
        wait_for(lambda: expected(12) == there(client))
        wait_for(lambda: status(root, url, command)["logs"] == 12)
    finally:
        process.terminate()
        _, said = process.communicate(timeout=30)
    assert (1, 1) == (said.count("cannot be reached"), said.count("there again"))
    assert status(root, url, command)["error"] is None


def status(root: Path, url: str, command: Callable[..., Result]) -> dict[str, Any]:
    """Return what ``--status`` says."""
    result = command(*Ship(root, url).args, "--status")
    row: dict[str, Any] = json.loads(result.stdout)
    return row


def test_minutes(
    root: Path, set_up: str, command: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was sent in each minute is a log line, with how late it was; ``--status`` has the same figures."""
    monkeypatch.setattr("tracectrl_logging.shipping.ship.EVERY_S", 0.0)
    write(root, 0, 3)
    rows = [
        json.loads(row) for row in command(*Ship(root, set_up).args, "--once").stdout.splitlines()
    ]
    (sent,) = [row for row in rows if row["logs"]]
    assert ("INFO", "sent 3 log lines and 3 spans", 3, 3, None) == tuple(
        sent[key] for key in ("level", "message", "logs", "spans", "error")
    )
    assert sent["lag_s"] > 10**6  # the lines are of February
    said = status(root, set_up, command)
    assert (sent["lag_s"], False) == (said["lag_s"], said["running"])


def test_prune_shipped(
    root: Path, set_up: str, client: Any, command: Callable[..., Result]
) -> None:
    """What the store has not acknowledged stays, whatever the limits say; the rest goes, and is in the store."""
    ship = Ship(root, set_up)
    prune = ("prune", "--keep", "0", "--json", "--root", str(root), "--shipped")
    write(root, 0, 3)
    at_first = command(*prune, "--state", f"{root}.state")
    assert (2, True) == (at_first.exit_code, "nothing of" in at_first.stderr)
    assert 0 == ship.once()
    write(root, 3, 4)  # one more of order-0
    for path in root.iterdir():
        os.utime(path, ns=(0, 0))

    def removed(*args: str) -> list[str]:
        done = command(*prune, "--state", f"{root}.state", *args)
        return sorted(json.loads(row)["session_id"] for row in done.stdout.splitlines())

    assert -signal.SIGKILL == ship.once("block 1 there:1")  # what may be there is not acknowledged
    assert ["order-1", "order-2"] == removed("--dry-run")
    assert ["order-1", "order-2"] == removed()
    assert [] == removed()
    left = command(*prune, "--state", f"{root}.state")
    assert (1, True) == (
        left.exit_code,
        "1 session past a limit, not all sent yet: left" in left.stderr,
    )
    assert 0 == ship.once()
    assert ["order-0"] == removed("--to", set_up)
    assert expected(4) == there(client)
    for args in ((), ("--to", "clickhouse://h/other", "--state", f"{root}.state")):
        wrong = command(*prune, *args)
        assert (args, 2, 1) == (args, wrong.exit_code, wrong.stderr.count("\n"))


def test_full_disk(root: Path, set_up: str, client: Any) -> None:
    """Where the state cannot be written nothing is sent and one line says so; with room again all comes, once."""
    ship = Ship(root, set_up)
    write(root, 0, 6)
    program = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))\n"
        "from tracectrl_logging.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *ship.args, "--once"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (2, 1) == (done.returncode, done.stderr.count("\n")), done.stderr
    assert "File too large" in done.stderr
    assert ([], []) == there(client)
    assert 0 == ship.once()
    assert expected(6) == there(client)


def test_refused_password(
    root: Path,
    own_engine: Callable[..., Any],
    command: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A password that is refused is one line without it; with the right one, which a file has by now, all comes."""
    _, url, client = own_engine(
        *("--user", "me", "--password", "s3cr3t"),
        url="clickhouse://me:s3cr3t@{at}/default",
        username="me",
        password="s3cr3t",  # noqa: S106 - of nobody
    )
    kept = root.parent / "password"
    kept.write_text("0ld\n")
    monkeypatch.setenv("TRACECTRL_STORE_PASSWORD_FILE", str(kept))
    ship = Ship(root, url.replace(":s3cr3t@", "@"))
    write(root, 0, 3)
    refused = command(*ship.args)  # which else goes on without end
    assert (2, 1) == (refused.exit_code, refused.stderr.count("\n"))
    assert "refuses the user or the password" in refused.stderr
    assert "0ld" not in refused.stderr
    kept.write_text("s3cr3t\n")
    assert 0 == ship.once()
    assert expected(3) == there(client)


def test_expired_certificate(root: Path, tmp_path: Path, own_engine: Callable[..., Any]) -> None:
    """While the server's certificate has expired lines wait, which is said once; with a new one they come."""
    files = {name: tmp_path / f"{name}.pem" for name in ("cert", "key", "request")}
    (tmp_path / "ca.conf").write_text(CA.format(directory=tmp_path))

    def certify(until: str) -> None:
        (tmp_path / "index").write_text("")
        key, request = files["key"], files["request"]
        made = f"req -new -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -keyout {key} -out {request}"
        signed = f"ca -batch -selfsign -config {tmp_path}/ca.conf -keyfile {key} -notext -in {request} -out {files['cert']}"
        for said in (made, f"{signed} -startdate 20200101000000Z -enddate {until}0101000000Z"):
            subprocess.run(["openssl", *said.split()], check=True, capture_output=True)

    certify("2049")
    engine, url, _ = own_engine(
        *("--cert", str(files["cert"]), "--key", str(files["key"])),
        url=f"clickhouses://{{at}}/default?ca={files['cert']}",
        interface="https",
        ca_cert=str(files["cert"]),
    )
    engine.kill()
    certify("2021")
    engine.start()
    write(root, 0, 3)
    process = Ship(root, url).start()
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        assert "certificate: certificate has expired; lines wait in their files" in said
        engine.kill()
        certify("2049")
        engine.start()
        asked = "SELECT message FROM logs ORDER BY message"
        wait_for(lambda: [(name,) for name in expected(3)[0]] == list(reader.query(asked, url)))
    finally:
        process.terminate()
        _, rest = process.communicate(timeout=30)
    assert rest.count("certificate") == 0


def wait_for(holds: Callable[[], bool]) -> None:
    """Wait until *holds* does, for half a minute at most."""
    until = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_same_answers(root: Path, set_up: str, command: Callable[..., Result]) -> None:
    """What was shipped gives the rows that the files give."""
    write(root, 0, 30)
    assert 0 == Ship(root, set_up).once()
    for args in (
        ("sessions",),
        ("show", "order-1"),
        ("grep", "log 1"),
        ("tail", "-n", "5"),
        ("query", "slow"),
        ("query", "FROM logs SELECT session_id, message, timestamp ORDER BY timestamp, message"),
    ):
        files = command(*args, "--json", "--root", str(root))
        store = command(*args, "--json", "--root", set_up)
        assert (args, files.exit_code, files.stdout) == (args, store.exit_code, store.stdout), (
            store.output
        )


def test_not_ready(root: Path, otel: str, command: Callable[..., Result]) -> None:
    """A database that nobody has set up is not shipped to: what is sent twice would be there twice."""
    write(root, 0, 1)
    result = command(*Ship(root, otel).args, "--once")
    assert (2, 1) == (result.exit_code, result.stderr.count("\n"))
    assert "is not ready for lines; tracectrl-logs setup --to URL makes it so" in result.stderr


def test_one_at_a_time(root: Path, set_up: str, command: Callable[..., Result]) -> None:
    """A second process with the same state, and one of another store, are refused."""
    write(root, 0, 1)
    ship = Ship(root, set_up)
    process = ship.start()
    try:
        wait_for(lambda: status(root, set_up, command)["logs"] == 1)
        second = command(*ship.args, "--once")
        assert (2, True) == (
            second.exit_code,
            "another process ships with the state" in second.stderr,
        )
    finally:
        process.terminate()
        process.communicate(timeout=30)
    other = [*ship.args, "--host", "h2", "--once"]
    refused = command(*other)
    assert (2, True) == (refused.exit_code, "is of" in refused.stderr)

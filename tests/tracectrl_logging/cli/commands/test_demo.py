"""``tracectrl-logs demo``: two processes, twenty sessions, and every line where it belongs."""

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

if TYPE_CHECKING:
    from collections.abc import Callable

DEMO = [sys.executable, "-m", "tracectrl_logging.cli", "demo"]
SESSIONS = 20
TIMEOUT_S = 120
POLL_S = 0.05

Lines = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Run the demo; return its trace directory and what it printed."""
    root = tmp_path_factory.mktemp("demo") / "traces"
    done = subprocess.run(
        [*DEMO, "--root", str(root)],
        # What the user's shell sets does not lead the agents astray.
        env={**os.environ, "TRACECTRL_SESSION_ID": "one", "OTEL_TRACES_SAMPLER": "always_off"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (0, "Two agents are serving 20 sessions ...\n") == (done.returncode, done.stderr)
    return root, done.stdout


def _sessions(root: Path) -> list[str]:
    return sorted(
        path.name.removesuffix(".logs.jsonl")
        for path in root.glob("*.logs.jsonl")
        if path.name != "unknown.logs.jsonl"
    )


def _agents(root: Path) -> list[int]:
    """Return the processes that serve agents with this trace directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it ended this moment
            continue
        if os.fsencode(root) in arguments and b"tracectrl_logging.demo.agents" in arguments:
            found.append(int(process.name))
    return found


def _wait_for(condition: Callable[[], object]) -> bool:
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(POLL_S)
    return False


def test_each_session_has_two_files_and_one_trace(
    demo: tuple[Path, str], read_lines: Callable[[Path], list[dict[str, Any]]]
) -> None:
    """Logs and spans of both processes share session and trace; no line is another session's."""
    root, _ = demo
    sessions = _sessions(root)
    assert SESSIONS == len(sessions)
    for sid in sessions:
        logs = read_lines(root / f"{sid}.logs.jsonl")
        spans = read_lines(root / f"{sid}.spans.jsonl")
        assert {sid} == {row["session_id"] for row in [*logs, *spans]}
        assert 1 == len({row["trace_id"] for row in logs})
        assert {row["trace_id"] for row in logs} == {row["trace_id"] for row in spans}
        assert {"planner", "researcher"} == {row["service"] for row in logs}
        assert {"planner", "researcher"} == {row["service"] for row in spans}
        assert {row["span_id"] for row in logs} <= {row["span_id"] for row in spans}
        assert sum(row["level"] == "ERROR" for row in logs) in (1, 2)


def test_why_names_what_the_agents_ran_into(
    demo: tuple[Path, str], read_lines: Callable[[Path], list[dict[str, Any]]]
) -> None:
    """The researcher was busy, which comes first; else its search was too slow."""
    root, _ = demo
    for sid in _sessions(root):
        command = [*DEMO[:-1], "why", sid, "--root", str(root), "--json"]
        done = subprocess.run(command, capture_output=True, check=True, timeout=TIMEOUT_S)
        told = json.loads(done.stdout.splitlines()[0])
        said = {row["message"] for row in read_lines(root / f"{sid}.logs.jsonl")}
        busy = "too many questions at once"
        words = busy if busy in said else "search did not answer"
        assert words in told["cause"]["message"], sid


def test_sessions_ran_at_once(
    demo: tuple[Path, str], read_lines: Callable[[Path], list[dict[str, Any]]]
) -> None:
    """At some moment most of the sessions were under way."""
    root, _ = demo
    moments = []
    for sid in _sessions(root):
        times = [row["timestamp"] for row in read_lines(root / f"{sid}.logs.jsonl")]
        moments += [(min(times), 1), (max(times), -1)]
    most = running = 0
    for _, change in sorted(moments):
        running += change
        most = max(most, running)
    assert most > SESSIONS / 2


def test_grep_finds_exactly_the_sessions_files(demo: tuple[Path, str]) -> None:
    """``grep -l SESSION traces/*`` is enough to find a session again."""
    root, _ = demo
    for sid in _sessions(root):
        found = subprocess.run(
            ["grep", "-l", sid, *map(str, root.iterdir())],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        assert [str(root / f"{sid}.{kind}.jsonl") for kind in ("logs", "spans")] == sorted(found)


def test_lines_of_uvicorn_are_in_files_too(
    demo: tuple[Path, str], read_lines: Callable[[Path], list[dict[str, Any]]]
) -> None:
    """Start-up lines belong to no session; no other file than the sessions' and that is made."""
    root, _ = demo
    rows = read_lines(root / "unknown.logs.jsonl")
    assert {"planner", "researcher"} == {row["service"] for row in rows}
    assert any(row["message"] == "Application startup complete." for row in rows)
    assert 2 * SESSIONS + 1 == len(list(root.iterdir()))


def test_output_is_one_timeline_and_the_next_commands(
    demo: tuple[Path, str], read_lines: Callable[[Path], list[dict[str, Any]]]
) -> None:
    """The timeline is what ``show`` prints, and the commands are about the same session."""
    root, output = demo
    [sid] = [sid for sid in _sessions(root) if sid in output]
    shown = subprocess.run(
        [sys.executable, "-m", "tracectrl_logging.cli", "show", sid, "--root", str(root)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    ).stdout
    assert shown in output
    for row in read_lines(root / f"{sid}.spans.jsonl"):
        assert row["name"] in shown
    assert "[planner]" in shown
    assert "[researcher]" in shown
    assert f"  grep -l {sid} {root}/*\n" in output
    assert f"  tracectrl-logs show {sid} --root {root}\n" in output


def test_agents_end_with_the_demo(demo: tuple[Path, str]) -> None:
    """No process is left behind."""
    root, _ = demo
    assert [] == _agents(root)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_agents_end_however_the_demo_ends(tmp_path: Path, sent: signal.Signals) -> None:
    """Neither Ctrl-C nor a kill leaves an agent behind."""
    root = tmp_path / "traces"
    with subprocess.Popen(
        [*DEMO, "--root", str(root)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        assert _wait_for(lambda: _agents(root))
        process.send_signal(sent)
        _, said = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode != 0
    assert b"Traceback" not in said
    assert _wait_for(lambda: not _agents(root))


def test_missing_extra_is_one_line(tmp_path: Path) -> None:
    """Without FastAPI the command says what to install, and ends with status 2."""
    source = (
        "import sys; sys.modules['fastapi'] = None;"
        "from tracectrl_logging.cli import main; sys.argv[:] = ['tracectrl-logs', 'demo']; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", source],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (2, "") == (done.returncode, done.stdout)
    assert "run: pip install 'click>=" in done.stderr
    assert "Traceback" not in done.stderr


def test_agent_that_does_not_start_is_named(tmp_path: Path) -> None:
    """What an agent said before it ended is shown."""
    (tmp_path / "uvicorn.py").write_text("raise RuntimeError('not today')\n", encoding="utf-8")
    source = (
        "import tracectrl_logging.demo.agents, sys; from tracectrl_logging.cli import main;"
        f"import os; os.environ['PYTHONPATH'] = {str(tmp_path)!r};"
        "sys.argv[:] = ['tracectrl-logs', 'demo']; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", source],
        cwd=tmp_path / "..",
        env={**os.environ, "TRACECTRL_TRACE_DIR": str(tmp_path / "traces")},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (1, "") == (done.returncode, done.stdout)
    assert "the agent 'researcher' did not start: Traceback" in done.stderr
    assert "RuntimeError: not today" in done.stderr
    assert [] == _agents(tmp_path / "traces")

"""What people see: the commands' text in a real terminal, which is tmux's."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import click
import pytest
from rich.cells import cell_len

from tracectrl_logging.cli.group import group

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Write = Callable[..., Path]

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")

HOSTILE = "\x1b[31mred\x1b]0;title\x07\x1b[2J [bold]m[/bold] \u202e \x9b1m \r end"
SHOWN = r"\x1b[31mred\x1b]0;title\x07\x1b[2J [bold]m[/bold] \u202e \x9b1m \r end"
COMMANDS = [
    "sessions",
    "show s",
    "show s --full",
    "show s --flat",
    "show s other --flat --tz Europe/Berlin",
    "show s --level ERROR --fields n",
    "grep end",
    "grep -c end",
    "grep -l end",
    "tail s",
    "query errors",
    "query slow",
    "compress --idle 0s --dry-run",
    "prune --keep 0 --dry-run",
    "completion fish",
    "--help",
    "show --help",
]
ENDED = "command-has-ended"
SGR = re.compile(r"\x1b\[[0-9;:]*m")


class Terminal:
    """A terminal of *width* columns in which commands run."""

    def __init__(self, tmp_path: Path, root: Path, width: int) -> None:
        self._socket = str(tmp_path / "tmux")
        self._tmux("-f", os.devnull, "new-session", "-d", "-x", str(width), "-y", "50", "cat")
        self._tmux("set-option", "-g", "remain-on-exit", "on")
        self._tmux("set-option", "-g", "history-limit", "5000")
        self._raw = tmp_path / "raw"
        self._root = root
        self.width = width

    def run(self, command: str, **environment: str) -> tuple[str, list[str]]:
        """Return what *command* wrote to the terminal, byte for byte, and the lines to be seen."""
        self._raw.unlink(missing_ok=True)
        given = {
            "TERM": "tmux-256color",
            "TRACECTRL_TRACE_DIR": str(self._root),
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            "PAGER": "cat",
            **environment,
        }
        program = [sys.executable, "-m", "tracectrl_logging.cli", *shlex.split(command)]
        script = f"sleep 0.3; {shlex.join(program)}; printf '%s' {ENDED}; sleep 100"
        start = ["env", "-i", *(f"{name}={value}" for name, value in given.items())]
        # The pane is started anew for each command, and what is written to it is kept as well.
        self._tmux("respawn-pane", "-k", shlex.join([*start, "sh", "-c", script]))
        self._tmux("clear-history")
        self._tmux("pipe-pane", f"cat > {shlex.quote(str(self._raw))}")
        deadline = time.monotonic() + 60
        while ENDED not in (raw := self._written()):
            assert time.monotonic() < deadline, raw
            time.sleep(0.05)
        seen = self._tmux("capture-pane", "-p", "-J", "-S", "-")
        before = raw.partition(ENDED)[0].replace("\r\n", "\n")
        return before, seen.partition(ENDED)[0].splitlines()

    def close(self) -> None:
        """End the terminal."""
        self._tmux("kill-server")

    def _written(self) -> str:
        return self._raw.read_bytes().decode() if self._raw.exists() else ""

    def _tmux(self, *args: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", self._socket, *args],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        return done.stdout


@pytest.fixture(params=[80, 200])
def terminal(request: pytest.FixtureRequest, tmp_path: Path, root: Path) -> Iterator[Terminal]:
    """Return a terminal of 80, or of 200, columns."""
    opened = Terminal(tmp_path, root, request.param)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def _stored(write: Write) -> None:
    """Have a session of long, wide, deep and hostile lines, and another."""
    rows: list[dict[str, Any]] = [
        {"message": "word " * 60},
        {"message": HOSTILE, "logger": HOSTILE, "level": HOSTILE, HOSTILE: HOSTILE},
        {"message": "漢字" * 150, "span_id": "1"},
        {"message": "x" * 1000, "span_id": "30", "n": 1, "list": [1] * 200},
        {"message": "failed\nhere\tend", "level": "ERROR", "exception": HOSTILE},
        {"message": "\u0301" * 10 + "e\u0301🙂👩‍👩‍👧" * 40},
    ]
    exception = {"type": "E", "message": "end" * 100, "stacktrace": "Traceback\n  " + "y" * 300}
    rows.append({"message": "", "level": "CRITICAL", "exception": exception, "stack": "z" * 300})
    base = {"timestamp": "2025-01-01T00:00:00.000000Z", "level": "INFO", "logger": "app"}
    write("s.logs.jsonl", *[json.dumps({**base, "service": "api", **row}).encode() for row in rows])
    write("other.logs.jsonl", json.dumps({**base, "message": "end", "service": "db" * 50}).encode())
    spans = [
        {
            "name": HOSTILE if n == 1 else f"span {n} " + "w" * 100,
            "span_id": str(n),
            "parent_span_id": str(n - 1),
            "start_time": base["timestamp"],
            "duration_ns": 5,
            "status": "ERROR",
            "status_message": HOSTILE,
            "attributes": {HOSTILE: "a" * 200},
        }
        for n in range(40)
    ]
    write("s.spans.jsonl", *[json.dumps(row).encode() for row in spans])


@pytest.mark.one_python
@pytest.mark.parametrize("colour", [True, False])
def test_text(terminal: Terminal, colour: bool) -> None:  # noqa: FBT001 - a parameter
    """No line is wider than the terminal, nothing but colours drives it, and NO_COLOR leaves none."""
    environment = {} if colour else {"NO_COLOR": "1"}
    seen_colours = False
    there = group.list_commands(click.Context(group))
    for command in COMMANDS:
        if command[:2] != "--" and command.split()[0] not in there:
            continue
        written, seen = terminal.run(command, **environment)
        text = SGR.sub("", written)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text), command
        assert colour or text == written, command
        seen_colours = seen_colours or text != written
        if command.partition(" ")[0] != "completion":  # which is for a shell
            widest = max(text.splitlines(), key=cell_len)
            assert cell_len(widest) <= terminal.width, (command, widest)
            assert len(text.rstrip("\n").splitlines()) == len(
                "\n".join(seen).rstrip("\n").split("\n")
            )
        assert text.strip(), command
    assert colour is seen_colours


def test_escaped(terminal: Terminal) -> None:
    """A hostile message is shown, not obeyed."""
    for command in ("show s", "grep end"):
        written, _ = terminal.run(command, NO_COLOR="1")
        assert SHOWN in re.sub(r"\n +(?:│ )*", " ", written)


def test_pager(terminal: Terminal) -> None:
    """The pager gets lines no wider than the terminal, coloured as without it."""
    paged, _ = terminal.run("show s", PAGER="cat -")
    plain, _ = terminal.run("show s --no-pager")
    assert plain == paged
    assert SGR.search(paged)

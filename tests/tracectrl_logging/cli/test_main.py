"""The entry point: what it needs, what it loads, how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tracectrl_logging import cli

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[..., Path]

BLOCK = "import sys; sys.modules[{!r}] = None; from tracectrl_logging.cli import main; main()"
LOADED = """
import sys
from tracectrl_logging.cli import main
sys.argv[1:] = {!r}
try:
    main()
except SystemExit as end:
    assert end.code == 0, end.code
print(sorted(set(sys.modules) & set({!r})), file=sys.stderr)
"""
COMMAND = [sys.executable, "-m", "tracectrl_logging.cli"]


@pytest.mark.parametrize("package", ["click", "rich"])
def test_missing_extra(package: str) -> None:
    """Without the extra the command says in one line how to install it, and ends with 2."""
    done = subprocess.run(
        [sys.executable, "-c", BLOCK.format(package)], capture_output=True, text=True, check=False
    )
    assert (2, "", 1) == (done.returncode, done.stdout, done.stderr.count("\n"))
    assert f"needs the package '{package}'" in done.stderr
    assert "run: pip install 'click>=" in done.stderr


@pytest.mark.parametrize("args", [["sessions"], ["show", "s"], ["grep", "x"]])
def test_json_loads_little(args: list[str], write: Write, root: Path) -> None:
    """With ``--json`` neither rich nor the OpenTelemetry SDK nor another command is loaded."""
    write("s.logs.jsonl", b'{"message":"x"}')
    modules = [
        "rich.console",
        "opentelemetry.sdk",
        "tracectrl_logging.cli.render.screen",
        "tracectrl_logging.cli.commands.run",
        "tracectrl_logging.cli.commands.demo",
    ]
    source = LOADED.format([*args, "--json", "--root", str(root)], modules)
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=False
    )
    # structlog loads rich where it is installed; whether it is loaded before is not ours to say.
    before = "import sys, tracectrl_logging; print(*set(sys.modules) & {'rich.console'})"
    there = subprocess.run(
        [sys.executable, "-c", before], capture_output=True, text=True, check=True
    )
    assert (0, f"{there.stdout.split()}\n") == (done.returncode, done.stderr)


def test_closed_pipe(write: Write, root: Path) -> None:
    """``| head -1`` ends the command without a word."""
    write("s.logs.jsonl", *[b'{"message":"%d"}' % number for number in range(50_000)])
    for args in (["show", "s"], ["show", "s", "--json"], ["grep", "."], ["grep", ".", "--json"]):
        with subprocess.Popen(
            [*COMMAND, *args, "--root", str(root)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline()
            process.stdout.close()
            said = process.stderr.read()
        assert (0, b"") == (process.returncode, said)


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_outputs_that_are_closed(closed: str, write: Write, root: Path) -> None:
    """A caller that has closed an output gets nothing there, and no traceback."""
    write("a.logs.jsonl", b'{"message":"m","session_id":"a"}', b"nonsense")
    for args in ("sessions", "show a", "grep m", "tail", "doctor"):
        done = subprocess.run(
            [
                "sh",
                "-c",
                f'"$0" -m tracectrl_logging.cli {args} --root "$1" {closed}',
                sys.executable,
                root,
            ],
            check=False,
            capture_output=True,
            text=True,
        )
        assert (int(args == "doctor"), False) == (done.returncode, "Traceback" in done.stderr)


def test_closed_at_the_end(write: Write, root: Path) -> None:
    """A pipe that nobody reads is no error either when all output fits into the buffer."""
    write("s.logs.jsonl", b'{"message":"x"}')
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*COMMAND, "show", "s", "--json", "--root", str(root)],
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert (0, b"") == (done.returncode, done.stderr)


def test_ascii_terminal(write: Write, root: Path) -> None:
    """Where the output cannot hold a letter it is spelt out; the command does not fail."""
    write("s.logs.jsonl", '{"message":"ünïcode"}'.encode())
    done = subprocess.run(
        [*COMMAND, "show", "s", "--root", str(root)],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (0, True) == (done.returncode, r"\xfcn\xefcode" in done.stdout)


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["show", "--help"], ["sessions"]])
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no such device")
def test_full_output(args: list[str], write: Write, root: Path) -> None:
    """An output that takes nothing is one line on stderr and the status 2."""
    write("s.logs.jsonl", b"{}")
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, "--root", str(root), *args], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert (2, b"Error: No space left on device\n") == (done.returncode, done.stderr)


def test_interrupt_of_an_import() -> None:
    """Ctrl-C among the imports ends the command as one later does, without a traceback."""
    source = (
        "import sys, tracectrl_logging.cli as cli\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'tracectrl_logging.cli.options': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "cli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, check=False)
    assert (130, b"", b"") == (done.returncode, done.stdout, done.stderr)


def test_interrupt_of_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """So does Ctrl-C while the command line is read."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("click.Group.parse_args", interrupt)
    monkeypatch.setattr(sys, "argv", ["tracectrl-logs", "sessions"])
    with pytest.raises(SystemExit) as raised:
        cli.main()
    assert 130 == raised.value.code

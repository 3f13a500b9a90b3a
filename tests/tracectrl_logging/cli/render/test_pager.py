"""The pager: when there is one, and how it ends."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[..., Path]

COMMAND = [sys.executable, "-m", "tracectrl_logging.cli", "show", "s"]


def on_terminal(root: Path, *args: str, **environment: str | None) -> tuple[int, str, str]:
    """Return how ``show`` ends on a terminal, what it prints there, and its stderr."""
    given = {"TERM": "xterm", "PAGER": None, "NO_COLOR": "1", "LESS": None, **environment}
    env = {**os.environ, **given, "TRACECTRL_TRACE_DIR": str(root), "COLUMNS": "80"}
    main, other = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, *args],
        stdin=subprocess.DEVNULL,
        stdout=other,
        stderr=subprocess.PIPE,
        env={name: value for name, value in env.items() if value is not None},
    ) as process:
        os.close(other)
        printed = b""
        while True:
            try:
                chunk = os.read(main, 65536)
            except OSError:  # Linux's end of file here
                break
            if not chunk:
                break
            printed += chunk
        os.close(main)
        assert process.stderr is not None
        said = process.stderr.read().decode()
    return process.returncode, printed.decode().replace("\r\n", "\n"), said


@pytest.fixture(autouse=True)
def _session(write: Write) -> None:
    """Have a session ``s`` of two messages and a damaged line."""
    write("s.logs.jsonl", b'{"message":"first"}', b"bad", b'{"message":"second"}')


@pytest.mark.parametrize(
    "pager", ["sed s/^/PAGED/", "sed -e 's/^/PAGED/' | cat", "LC_ALL=C sed s/^/PAGED/"]
)
def test_pager(pager: str, root: Path) -> None:
    """What is printed goes through ``$PAGER``, a program or a line for the shell."""
    status, printed, said = on_terminal(root, PAGER=pager)
    assert 0 == status
    assert printed.startswith("PAGEDs\n")
    assert "bad" not in said
    assert 1 == said.count("Warning: ")


@pytest.mark.parametrize(
    ("args", "environment"),
    [
        (("--no-pager",), {"PAGER": "sed s/^/PAGED/"}),
        (("--json",), {"PAGER": "sed s/^/PAGED/"}),
        ((), {"PAGER": ""}),
        ((), {"PAGER": "cat"}),
        ((), {"PAGER": "not-installed-anywhere"}),
        ((), {"PAGER": "not-installed-anywhere -x"}),
        ((), {"PAGER": "'"}),
        ((), {"PAGER": "sed s/^/PAGED/", "TERM": "dumb"}),
        ((), {"PATH": "/nowhere"}),
    ],
)
def test_no_pager(args: tuple[str, ...], environment: dict[str, str], root: Path) -> None:
    """There is none where it is not wanted, or not installed."""
    status, printed, _ = on_terminal(root, *args, **environment)
    assert 0 == status
    assert "PAGED" not in printed
    assert "second" in printed


def test_warnings_come_after_it(root: Path) -> None:
    """What is wrong is said once the pager has left the screen."""
    env = {"PAGER": "sh -c 'cat >/dev/null; sleep 0.2; echo pager-ends >&2'"}
    _, _, said = on_terminal(root, **env)
    assert said.index("pager-ends") < said.index("Warning: ")


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"NO_COLOR": ""}])
def test_quit_early(environment: dict[str, str], write: Write, root: Path) -> None:
    """Whoever quits the pager has seen enough: no word, and the status 0."""
    write("s.logs.jsonl", *[b'{"message":"%d"}' % number for number in range(15_000)])
    status, printed, said = on_terminal(root, PAGER="head -3", **environment)
    assert (0, "", True) == (status, said, len(printed.splitlines()) <= 3)


def test_less_keeps_colours(root: Path, tmp_path: Path) -> None:
    """``less`` is told to keep colours, to end where all fits, and whatever the user tells it."""
    less = tmp_path / "less"
    less.write_text('#!/bin/sh\necho "LESS=$LESS"\ncat >/dev/null\n')
    less.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    for given, expected in ((None, "FRX"), ("", "-R "), ("-i", "-R -i"), ("-Pr", "-R -Pr")):
        _, printed, _ = on_terminal(root, PATH=path, LESS=given)
        assert f"LESS={expected}\n" == printed

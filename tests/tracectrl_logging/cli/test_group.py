"""The commands by name, and what they have in problems."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl._json import encode_line
from tracectrl.files.write.appender import Appender
from tracectrl_logging import cli
from tracectrl_logging.cli.problems import Problems
from tracectrl_logging.reader import Damage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    Command = Callable[..., Result]
    Write = Callable[..., Path]

ALL = [("sessions",), ("show", "s"), ("grep", "x")]
TAIL = ("tail",)  # which reads backwards, and so counts no lines
CHANGING = [("prune", "--keep", "0"), ("compress", "--idle", "0s")]


@pytest.mark.parametrize(
    "args",
    [
        ("sessions",),
        ("show", "s"),
        ("show", "s", "--flat", "--full"),
        ("grep", "told"),
        ("tail",),
        ("query", "FROM logs"),
        ("doctor",),
        ("prune", "--keep", "0", "--dry-run"),
        ("compress", "--idle", "0s", "--dry-run"),
    ],
    ids=" ".join,
)
def test_colours(args: tuple[str, ...], command: Command, write: Write) -> None:
    """In a pipe each command is plain, and coloured with FORCE_COLOR; NO_COLOR is the stronger."""
    write("s.logs.jsonl", b'{"level":"ERROR","logger":"a","message":"told\\nmore","n":1}')
    colours = {"FORCE_COLOR": "1", "TERM": "xterm-256color"}
    plain = command(*args).stdout
    coloured = command(*args, **colours).stdout
    assert "\x1b" not in plain + command(*args, NO_COLOR="1", **colours).stdout
    assert "\x1b[" in coloured
    assert plain == SGR.sub("", coloured)


SGR = re.compile(r"\x1b\[[0-9;]*m")


def test_help(command: Command) -> None:
    """Every command is named in the help, and has its own."""
    result = command("--help")
    assert 0 == result.exit_code
    for name in (
        "sessions",
        "show",
        "grep",
        "tail",
        "query",
        "export",
        "doctor",
        "prune",
        "compress",
        "run",
        "demo",
        "completion",
    ):
        assert f"\n  {name} " in result.stdout
        assert 0 == command(name, "--help").exit_code
    assert callable(cli.main)


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("nonsense",),
        ("show",),
        ("grep",),
        ("sessions", "--limit", "0"),
        ("sessions", "--root", ""),
    ],
)
def test_wrong_use(args: tuple[str, ...], command: Command) -> None:
    """Wrong use ends with 2 and leaves stdout empty."""
    result = command(*args)
    assert (2, "") == (result.exit_code, result.stdout)


@pytest.mark.parametrize("args", [*ALL, TAIL, *CHANGING])
def test_missing_root(args: tuple[str, ...], command: Command, root: Path) -> None:
    """A trace directory that is not there is named in one line, with what to do; the status is 2."""
    expected = f"Error: cannot read the trace directory '{root}': No such file or directory; --root DIR or $TRACECTRL_TRACE_DIR names another\n"
    result = command(*args)
    assert (2, "", expected) == (result.exit_code, result.stdout, result.stderr)
    root.write_bytes(b"")
    assert (2, "") == (command(*args).exit_code, command(*args).stdout)


@pytest.mark.parametrize("args", [*ALL, TAIL])
def test_empty_root(args: tuple[str, ...], command: Command, root: Path) -> None:
    """A trace directory without files has nothing to show: the status is 1."""
    root.mkdir()
    assert (1, "") == (command(*args).exit_code, command(*args).stdout)


def test_root(command: Command, write: Write, root: Path, tmp_path: Path) -> None:
    """``--root`` stands before or after the command's name, the later one wins, and both beat the environment."""
    write("s.logs.jsonl", b'{"message":"x"}')
    elsewhere = {"TRACECTRL_TRACE_DIR": str(tmp_path / "gone")}
    for args in ALL:
        assert 2 == command(*args, **elsewhere).exit_code
        assert 0 == command("--root", str(root), *args, **elsewhere).exit_code
        assert 0 == command(*args, "--root", str(root), **elsewhere).exit_code
        assert 0 == command("--root", "gone", *args, "--root", str(root), **elsewhere).exit_code


def test_default_root(
    command: Command, write: Write, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any of them the trace directory is ``traces`` in the working directory."""
    write("s.logs.jsonl", b'{"message":"x"}')
    monkeypatch.chdir(root.parent)
    assert 0 == command("show", "s", TRACECTRL_TRACE_DIR="").exit_code


@pytest.mark.parametrize("args", ALL)
def test_damage(args: tuple[str, ...], command: Command, write: Write) -> None:
    """Damaged lines are named on stderr, neighbours together, and do not change the status."""
    path = write("s.logs.jsonl", b"bad", b"bad", b'{"message":"x"}', b"[]", b"bad")
    expected = (
        f"Warning: {path}: lines 1-2: not JSON\n"
        f"Warning: {path}: line 4: not a JSON object\n"
        f"Warning: {path}: line 5: not JSON\n"
    )
    for more in ((), ("--json",)):
        result = command(*args, *more)
        assert (0, expected) == (result.exit_code, result.stderr)
        assert result.stdout


@pytest.mark.parametrize("args", [*ALL[1:], TAIL])
def test_nothing_but_damage(args: tuple[str, ...], command: Command, write: Write) -> None:
    """Where damage leaves nothing, the input is unreadable: the status is 2."""
    write("s.logs.jsonl", b"bad")
    for more in ((), ("--json",)):
        result = command(*args, *more)
        assert (2, "") == (result.exit_code, result.stdout)


def test_warnings_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    """A path in a warning cannot drive the terminal."""
    problems = Problems()
    problems(Damage("\x1b[2J/s.logs.jsonl", None, "why\n"))
    problems.flush()
    assert "Warning: \\x1b[2J/s.logs.jsonl: why\\n\n" == capsys.readouterr().err


EVIL = "\x1b[31m\x9b31m\x07\x7f\u202e"


@pytest.mark.parametrize(
    "args",
    [
        (EVIL,),
        (f"--{EVIL}",),
        ("sessions", EVIL),
        ("sessions", f"--limit={EVIL}"),
        ("sessions", f"--{EVIL}"),
        ("show", EVIL),
        ("grep", f"{EVIL}("),
        ("grep", "x", "--session", EVIL),
        ("prune", "--older-than", EVIL),
        ("prune", "--max-total", EVIL),
        ("compress", "--format", EVIL),
        ("run", "--session", "", EVIL),
        ("run", "--root", f"/dev/null/{EVIL}", "x.py"),
        ("sessions", "--root", EVIL),
    ],
)
def test_mistakes_are_escaped(args: tuple[str, ...], command: Command, write: Write) -> None:
    """What is said of an argument is fit for a terminal, whoever says it."""
    write("s.logs.jsonl", b'{"message":"x"}')
    result = command(*args)
    assert result.exit_code in (1, 2)
    assert [] == [char for char in EVIL[:1] + "\x9b\x07\x7f\u202e" if char in result.output]


@pytest.mark.parametrize(
    "args",
    [
        ("sessions",),
        ("sessions", "--json"),
        ("show", "s"),
        ("show", "s", "--full"),
        ("show", "s", "--json"),
        ("grep", "e"),
        ("grep", "-l", "e"),
        ("grep", "--json", "e"),
        ("grep", "--json", "-l", "e"),
        ("prune", "--keep", "0", "--dry-run"),
        ("prune", "--keep", "0", "--dry-run", "--json"),
        ("compress", "--idle", "0s", "--dry-run", "--json"),
        ("query", "FROM logs", "--json"),
        ("query", "FROM spans"),
        ("export", "s", "--format", "otlp", "-o", "-"),
    ],
)
def test_what_is_stored_is_escaped(
    args: tuple[str, ...], command: Command, root: Path, parse_line: Callable[[str], dict[str, Any]]
) -> None:
    """In every text, and in JSON, too, which a terminal shows as well; there it stays the same."""
    for sid in ("s", EVIL):
        row = {"level": EVIL, "logger": EVIL, "message": EVIL, "session_id": sid, EVIL: [EVIL]}
        Appender(root, ".logs.jsonl").append(sid, encode_line({**row, "service": EVIL}))
        span = {"name": EVIL, "kind": EVIL, "attributes": {EVIL: EVIL}, "session_id": sid}
        Appender(root, ".spans.jsonl").append(sid, encode_line({**span, "service": EVIL}))
    result = command(*args, NO_COLOR="1")
    assert 0 == result.exit_code
    assert [] == [char for char in EVIL[:1] + "\x9b\x07\x7f\u202e" if char in result.output]
    if "--json" in args:
        rows = [parse_line(row) for row in result.stdout.splitlines()]
        assert EVIL in [value for row in rows for value in row.values() if isinstance(value, str)]


def test_interrupt(command: Command, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends the command as the shell expects, without a traceback."""
    write("s.logs.jsonl", b"{}")

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tracectrl_logging.cli.commands.sessions.opened", interrupt)
    assert (130, "") == (command("sessions").exit_code, command("sessions").stdout)


def test_disk_trouble(command: Command, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system refuses is one line and the status 2."""
    write("s.logs.jsonl", b"{}")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "/tmp/x")  # noqa: S108 - a name in an error

    monkeypatch.setattr("tracectrl_logging.cli.commands.sessions.opened", refuse)
    result = command("sessions")
    assert (2, "Error: No space left on device: /tmp/x\n") == (result.exit_code, result.stderr)

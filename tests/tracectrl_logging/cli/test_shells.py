"""Real interactive shells complete what a stranger has chosen: nothing runs, and it arrives as it is.

``COMPLETED_IDS=1000`` in the environment has each shell complete a thousand IDs instead of a few.
"""

from __future__ import annotations

import contextlib
import os
import random
import select
import shutil
import subprocess
import sys
import sysconfig
import time
from typing import TYPE_CHECKING

import pytest

from tracectrl.files import log_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from click.testing import Result

    Command = Callable[..., Result]
    Open = Callable[..., "Shell"]
    Write = Callable[..., Path]

IDS = int(os.environ.get("COMPLETED_IDS", "30"))
SHELLS = ["bash", "zsh", "fish"]
PATIENCE_S = 60
BASH_COMPLETION = "/usr/share/bash-completion/bash_completion"
READY = "\x1b]9;ready\x07"  # no text that is typed or shown holds it
SHOWN = r"""
;touch P
 && touch P;
|touch P|
&touch P&
$(touch P)
`touch P`
<(touch P)
>P
 2>P
{touch,P}
'$(touch P)'
"$(touch P)"
';touch P;'
";touch P;"
\";touch P;\"
\';touch P;\'
'$'\
!!
!touch
!$
^a^b
*
**
?
[a-z]*
~
~root
=ls
a=~
${x:=1}
$HOME
\$HOME
$((1))
$'\x41'
$"a"
#
#x
%
%s
%(x)s
:
::
a:b
@
user@host
=
'
''
"
""
\
\\
\n
a\
$
|
||
&
;
\;
(x)
(
)
<
<<EOF
{}
{
}
[]
]
,
.
/
//
../
é
漢字
🙂
…
-
--
--json
é
""".strip("\n").split("\n")
UNSHOWN = [
    "\n",
    "\ntouch P\n",
    "\t",
    "\r",
    "\x1b[31m",
    "\x07",
    "\x7f",
    "\x03",
    "\x85",
    "\u202e",
    "\u200b",
]
SPACES = [" ", "  "]

# The terminal becomes that of the new session, as a login's is.
LEADER = """\
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
# It completes as the real one does, and notes what it is given instead of reading files.
NOTING = """\
#!/bin/sh
if [ -n "$_TRACECTRL_LOGS_COMPLETE" ]; then exec "$REAL" "$@"; fi
printf '%s\\0' "$@" >>"$NOTES"
"""
START = {
    "bash": (
        "PS1=$'\\001{0}\\002> ' PS2=$'{0}'\n",
        ["bash", "--noprofile", "--rcfile", "{}", "-i"],
    ),
    "zsh": (
        "PS1=$'%{{{0}%}}> ' PS2=$'{0}'\nautoload -Uz compinit; compinit -D -u\n",
        ["zsh", "-d", "-i"],
    ),
    "fish": (
        "function fish_prompt; printf '{}> '; end\nfunction fish_greeting; end\n",
        ["fish", "--no-config", "-i", "-C", "source {}"],
    ),
}


class Shell:
    """An interactive shell in a terminal of its own, in an empty directory."""

    def __init__(self, name: str, home: Path, root: Path, extra: str) -> None:
        real = shutil.which("tracectrl-logs", path=sysconfig.get_path("scripts"))
        assert real is not None
        self.name = name
        self.notes = home / "notes"
        self.canary = home / "empty"
        self.canary.mkdir(parents=True)
        program = home / "bin" / "tracectrl-logs"
        program.parent.mkdir()
        program.write_text(NOTING)
        program.chmod(0o755)
        script = subprocess.run([real, "completion", name], capture_output=True, check=True)
        start, argv = START[name]
        rc = home / ".zshrc"
        ready = READY.replace("\x1b", "\\033").replace("\x07", "\\007")
        rc.write_text(start.format(ready) + extra + script.stdout.decode())
        self._terminal, inside = os.openpty()
        self._seen = b""
        self._process = subprocess.Popen(
            [sys.executable, "-c", LEADER, *(word.format(rc) for word in argv)],
            stdin=inside,
            stdout=inside,
            stderr=inside,
            cwd=self.canary,
            env={
                "PATH": f"{program.parent}:{os.environ['PATH']}",
                "HOME": str(home),
                "ZDOTDIR": str(home),
                "TERM": "xterm-256color",
                "LC_ALL": "C.UTF-8",
                "TRACECTRL_TRACE_DIR": str(root),
                "REAL": real,
                "NOTES": str(self.notes),
            },
        )
        os.close(inside)
        self._wait()

    def enter(self, keys: str) -> list[str]:
        """Type *keys* and Enter; return the arguments that ``tracectrl-logs`` got, empty for none."""
        self.notes.unlink(missing_ok=True)
        self._seen = b""
        os.write(self._terminal, keys.encode() + b"\r")
        self._wait()
        if not self.notes.exists():
            return []
        return self.notes.read_bytes().decode(errors="surrogateescape").split("\0")[:-1]

    def close(self) -> None:
        """End the shell."""
        self._process.kill()
        self._process.wait(PATIENCE_S)
        os.close(self._terminal)

    def _wait(self) -> None:
        """Read until the prompt is there."""
        deadline = time.monotonic() + PATIENCE_S
        while READY.encode() not in self._seen:
            assert time.monotonic() < deadline, (self.name, self._seen)
            if select.select([self._terminal], [], [], 0.5)[0]:
                with contextlib.suppress(OSError):  # the shell has ended: the deadline says so
                    self._seen += os.read(self._terminal, 1 << 16)


@pytest.fixture
def open_shell(tmp_path: Path, root: Path) -> Iterator[Open]:
    """Return the function that starts a shell whose command reads ``root``."""
    opened: list[Shell] = []

    def start(name: str, extra: str = "") -> Shell:
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")
        shell = Shell(name, tmp_path / f"home-{len(opened)}", root, extra)
        opened.append(shell)
        return shell

    yield start
    for shell in opened:
        shell.close()


def hostile_ids(count: int, seed: int) -> list[tuple[str, str]]:
    """Return *count* IDs, each with a start of it that no other has."""
    chosen = random.Random(seed)  # noqa: S311 - the same each time
    made: list[tuple[str, str]] = []
    while len(made) < count:
        before = "".join(chosen.choices(SHOWN + SPACES, k=chosen.choice([0, 0, 1, 2])))
        pieces = SHOWN + SPACES + (UNSHOWN if chosen.random() < 0.1 else [])
        behind = "".join(chosen.choices(pieces, k=chosen.randint(1, 6)))
        start = f"{before}k{len(made):04}"
        if len((start + behind).encode()) <= 128 and start.isprintable():  # else it is in no name
            made.append((start + behind, start))
    return made


def typed(text: str, style: str, shell: str) -> str:
    """Return the keys that give *text* as the start of an argument, in one way to quote."""
    if shell == "fish" and "/" in text and ("*" in text or "?" in text):
        style = ""  # fish 3.6 takes such a word for a pattern of files, quoted or not
    if style == "'":
        return "'" + (
            text.replace("\\", "\\\\").replace("'", "\\'")
            if shell == "fish"
            else text.replace("'", "'\\''")
        )
    if style == '"' and "!" not in text:
        special = '"$\\' if shell == "fish" else '"$\\`'
        return '"' + "".join("\\" * (char in special) + char for char in text)
    plain = ":@,./=" if text[0] != "=" else ":@,./"  # bash breaks words at them; zsh expands =ls
    return "".join("\\" * (not char.isalnum() and char not in plain) + char for char in text)


@pytest.mark.one_python
@pytest.mark.parametrize("name", SHELLS)
def test_hostile_ids(name: str, open_shell: Open, root: Path) -> None:
    """A start, a tabulator and Enter give the command the whole ID, however the start was quoted.

    An ID that a terminal cannot show as it is, or that would be an option, is left as it was typed.
    """
    root.mkdir()
    ids = hostile_ids(IDS, seed=7)
    for sid, _ in ids:
        log_path(sid, root).touch()
    shell = open_shell(name)
    for number, (sid, start) in enumerate(ids):
        keys = typed(start, ("", "'", '"')[number % 3], name)
        offered = sid.isprintable() and not sid.startswith("-")
        # Behind some characters fish waits for more, and leaves the quote open.
        is_open = not offered or (name == "fish" and sid[-1] in "/=@:.,-")
        close = keys[0] if is_open and keys[0] in "'\"" else ""
        got = shell.enter(f"tracectrl-logs show -- {keys}\t{close}")
        expected = ["show", "--", sid if offered else start]
        assert expected == got, keys
        assert [] == os.listdir(shell.canary), keys


def test_bash_completion(open_shell: Open, root: Path) -> None:
    """With the package bash-completion loaded, too, which most distributions do."""
    if not os.path.exists(BASH_COMPLETION):
        pytest.skip("bash-completion is not installed")
    root.mkdir()
    shell = open_shell("bash", f"source {BASH_COMPLETION}\n")
    for sid, keys in [("a:b@c;touch P", "a:b"), ("k'$(touch P)", "'k"), ("user=~", "user=")]:
        log_path(sid, root).touch()
        assert ["show", sid] == shell.enter(f"tracectrl-logs show {keys}\t")
    assert [] == os.listdir(shell.canary)


@pytest.mark.parametrize("name", SHELLS)
def test_common_start(name: str, open_shell: Open, root: Path) -> None:
    """What several IDs have in common is completed first; the text typed behind it goes on with them."""
    root.mkdir()
    for end in "12":
        log_path(f"job;touch P{end}", root).touch()
    shell = open_shell(name)
    assert ["show", "job;touch P2"] == shell.enter("tracectrl-logs show jo\t2\t")
    assert [] == shell.enter("tracectrl-logs sho\x15")
    assert [] == os.listdir(shell.canary)


WORDS = [
    ("sho\t x", ["show", "x"]),
    ("tail --follo\t", ["tail", "--follow"]),
    ("export --format otl\t", ["export", "--format", "otlp"]),
    ("export --format=otl\t", ["export", "--format=otlp"]),
    ("export k\t", ["export", "k;touch P"]),
    ("grep x --session k\t", ["grep", "x", "--session", "k;touch P"]),
    ("grep x --session=k\t", ["grep", "x", "--session=k;touch P"]),
    ("grep 'a b;' --session=k\t", ["grep", "a b;", "--session=k;touch P"]),
    ("tail k\t", ["tail", "k;touch P"]),
    ("show -\tk", ["show", "-k"]),
    ("show -- -\tk", ["show", "--", "-k"]),
]


@pytest.mark.parametrize("name", SHELLS)
def test_words(name: str, open_shell: Open, root: Path) -> None:
    """Commands, options and their values are completed, and IDs wherever one is asked for."""
    root.mkdir()
    log_path("k;touch P", root).touch()
    log_path("-k;touch P", root).touch()
    shell = open_shell(name)
    for keys, expected in WORDS:
        assert expected == shell.enter(f"tracectrl-logs {keys}"), keys
    assert [] == os.listdir(shell.canary)


@pytest.mark.parametrize("name", SHELLS)
def test_substitution(name: str, open_shell: Open, root: Path) -> None:
    """Within a command substitution nothing runs either."""
    root.mkdir()
    log_path("k`touch P`$(touch P);touch P", root).touch()
    shell = open_shell(name)
    command = "tracectrl-logs show k\t"
    inner = [f"$({command})", f'"$({command})"', f"`{command}`"]
    for keys in [f"({command})"] if name == "fish" else inner:
        shell.enter(f"echo {keys}")
        assert [] == os.listdir(shell.canary), keys


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(shell: str, command: Command) -> None:
    """The command prints what a shell needs, for each shell."""
    result = command("completion", shell)
    assert 0 == result.exit_code
    assert "_TRACECTRL_LOGS_COMPLETE" in result.stdout
    assert 2 == command("completion", "csh").exit_code


@pytest.mark.parametrize("asked", ["powershell_complete", "powershell_source", "x"])
def test_other_shells(asked: str, command: Command, write: Write) -> None:
    """A shell for which nothing is quoted here is not answered."""
    write("s.logs.jsonl", b"{}")
    result = command(
        _TRACECTRL_LOGS_COMPLETE=asked, COMP_WORDS="tracectrl-logs show s", COMP_CWORD="2"
    )
    assert (1, "") == (result.exit_code, result.stdout)


def test_descriptions(command: Command) -> None:
    """A candidate is one line, with its description behind a tabulator; a bash has no use for it."""
    line = {"COMP_LINE": "tracectrl-logs sho", "COMP_REPLACED": "sho", "COMP_BEHIND": ""}
    words = {"COMP_WORDS": "tracectrl-logs", "COMP_INCOMPLETE": "sho"}
    described = "show\tShow what happened in sessions, in time order.\n"
    expected = {"bash": "show\n", "zsh": described, "fish": described}
    for shell, text in expected.items():
        asked = {"_TRACECTRL_LOGS_COMPLETE": f"{shell}_complete"}
        assert text == command(**line, **words, **asked).stdout

"""Which session is meant, in roots of any size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tracectrl.session import session
from tracectrl_logging.cli import meant
from tracectrl_logging.cli.common import NotFoundError, UnusableError, session_meant

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    Command = Callable[..., Result]
    Write = Callable[..., Path]


@pytest.fixture
def many(root: Path) -> list[str]:
    """Return the IDs of five thousand sessions in the root."""
    root.mkdir()
    sids = [f"{n * 7919 % 99991:05}-{n * 104_729 % 999_983:06}-{n:04}" for n in range(5000)]
    for sid in sids:
        (root / f"{sid}.logs.jsonl").touch()
    return sids


def test_did_you_mean(many: list[str], root: Path) -> None:
    """Among many sessions the one is named that a slip of the finger was meant for."""
    sid = many[4321]
    last = "0" if sid[-1] != "0" else "1"
    slips = [sid[:-1] + last, sid[:3] + sid[4:], sid[:7] + "x" + sid[7:], sid[1] + sid[0] + sid[2:]]
    for slip in slips:
        with pytest.raises(NotFoundError, match=f"did you mean.* {sid}"):
            session_meant(slip, str(root))
    with pytest.raises(NotFoundError) as caught:
        session_meant("?" * 30, str(root))
    assert "did you mean" not in caught.value.message


def test_start(many: list[str], root: Path) -> None:
    """The start of one ID among many is enough; of several it is not."""
    sid = many[17]
    assert sid == session_meant(sid[:-2], str(root))[0]
    with pytest.raises(UnusableError, match=r"sessions start with '0': .*, \.\.\."):
        session_meant("0", str(root))


@pytest.mark.parametrize("sid", ["a b", "übung", "x" * 300, "é" * 60, "con", "s"])
def test_encoded(sid: str, root: Path, logger: logging.Logger) -> None:
    """A session whose name is encoded is found by its start, too, rotated or packed."""
    with session(sid):
        logger.info("hello")
    (path,) = root.iterdir()
    path.rename(f"{path}.1")
    assert sid == session_meant(sid[:-1] or sid, str(root))[0]
    if len(sid) < 300:  # a longer one is in no name
        assert [sid] == meant.starting_with(sid[:1], str(root), 10)


def test_among_others(write: Write, root: Path) -> None:
    """A session whose lines are among those of others is found by its start."""
    write("%overflow.logs.jsonl", b'{"message":"x","session_id":"abc"}')
    assert "abc" == session_meant("ab", str(root))[0]


def test_completion(many: list[str], command: Command, root: Path) -> None:
    """A shell gets the IDs that start with what is typed, and not too many of them."""
    complete = {"_TRACECTRL_LOGS_COMPLETE": "bash_complete"}
    for typed, words in (("show", 2), ("--root " + str(root) + " show", 4)):
        environment = {"TRACECTRL_TRACE_DIR": str(root)} if words == 2 else {}
        result = command(
            COMP_WORDS=f"tracectrl-logs {typed} {many[5][:4]}",
            COMP_CWORD=str(words),
            **complete,
            **environment,
        )
        expected = sorted(sid for sid in many if sid.startswith(many[5][:4]))
        assert [f"plain,{sid}" for sid in expected] == result.stdout.splitlines()
    result = command(COMP_WORDS="tracectrl-logs show ", COMP_CWORD="2", **complete)
    assert 100 == len(result.stdout.splitlines())
    result = command(
        COMP_WORDS="tracectrl-logs show ", COMP_CWORD="2", TRACECTRL_TRACE_DIR="/gone", **complete
    )
    assert "" == result.stdout.strip()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(shell: str, command: Command) -> None:
    """The command prints what a shell needs, for each shell."""
    result = command("completion", shell)
    assert 0 == result.exit_code
    assert "_TRACECTRL_LOGS_COMPLETE" in result.stdout
    assert 2 == command("completion", "csh").exit_code

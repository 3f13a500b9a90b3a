"""Which session is meant, in roots of any size."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from tracectrl.files import log_path
from tracectrl.session import session
from tracectrl_logging.cli import lookup
from tracectrl_logging.cli.errors import NotFoundError, UnusableError
from tracectrl_logging.cli.lookup import session_meant
from tracectrl_logging.reader import open_store

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    Command = Callable[..., Result]
    Write = Callable[..., Path]


ELSEWHERE = {"TRACECTRL_TRACE_DIR": "/gone"}


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
            session_meant(slip, open_store(root))
    with pytest.raises(NotFoundError) as caught:
        session_meant("?" * 30, open_store(root))
    assert "did you mean" not in caught.value.message


def test_start(many: list[str], root: Path) -> None:
    """The start of one ID among many is enough; of several it is not."""
    sid = many[17]
    assert sid == session_meant(sid[:-2], open_store(root))
    with pytest.raises(UnusableError, match=r"sessions start with '0': .*, \.\.\."):
        session_meant("0", open_store(root))


@pytest.mark.parametrize("sid", ["order-1", "a b", "x" * 300])
@pytest.mark.parametrize("end", ["", ".1", ".2.gz"])
def test_path_of_a_file(
    sid: str, end: str, root: Path, logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path, as ``grep -l`` prints it, names the session; an ID of that very text goes first."""
    with session(sid):
        logger.info("hello")
    (path,) = root.iterdir()
    data = path.read_bytes()
    path = path.rename(f"{path}{end}")
    path.write_bytes(gzip.compress(data) if end.endswith(".gz") else data)
    monkeypatch.chdir(root.parent)
    for given in (str(path), f"traces/{path.name}", f"./traces/../traces/{path.name}"):
        assert sid == session_meant(given, open_store(root))
    with session(f"traces/{path.name}"):
        logger.info("hello")
    assert f"traces/{path.name}" == session_meant(f"traces/{path.name}", open_store(root))


def test_path_of_a_file_elsewhere(root: Path, tmp_path: Path, write: Write) -> None:
    """A session's file in another directory is an error that names that; any other file is none."""
    write("s.logs.jsonl", b"{}")
    other = tmp_path / "other"
    other.mkdir()
    for name in ("s.logs.jsonl", "notes.txt"):
        (other / name).touch()
    with pytest.raises(UnusableError, match=f"--root {other} reads it"):
        session_meant(str(other / "s.logs.jsonl"), open_store(root))
    for name in (str(other / "notes.txt"), str(root / "gone.logs.jsonl")):
        with pytest.raises(NotFoundError, match="no session"):
            session_meant(name, open_store(root))


@pytest.mark.parametrize("sid", ["a b", "übung", "x" * 300, "é" * 60, "con", "s"])
def test_encoded(sid: str, root: Path, logger: logging.Logger) -> None:
    """A session whose name is encoded is found by its start, too, rotated or packed."""
    with session(sid):
        logger.info("hello")
    (path,) = root.iterdir()
    path.rename(f"{path}.1")
    assert sid == session_meant(sid[:-1] or sid, open_store(root))
    if len(sid) < 300:  # a longer one is in no name
        assert [sid] == lookup.starting_with(sid[:1], open_store(root), 10)


def test_among_others(write: Write, root: Path) -> None:
    """A session whose lines are among those of others is found by its start."""
    write("%overflow.logs.jsonl", b'{"message":"x","session_id":"abc"}')
    assert "abc" == session_meant("ab", open_store(root))


def test_completion(many: list[str], command: Command, root: Path) -> None:
    """A shell gets the IDs that start with what is typed."""
    start = many[5][:4]
    expected = sorted(sid for sid in many if sid.startswith(start))
    for line, environment in (
        (f"tracectrl-logs show {start}", {"TRACECTRL_TRACE_DIR": str(root)}),
        (f"tracectrl-logs --root {root} show {start}", {}),
        (f"tracectrl-logs show --root={root} {start}", {}),
        (f"tracectrl-logs --root ~/{root.name} show {start}", {"HOME": str(root.parent)}),
    ):
        result = command(
            COMP_LINE=line, _TRACECTRL_LOGS_COMPLETE="zsh_complete", **{**ELSEWHERE, **environment}
        )
        assert expected == result.stdout.splitlines(), line
    result = command(
        COMP_LINE="tracectrl-logs show ", _TRACECTRL_LOGS_COMPLETE="zsh_complete", **ELSEWHERE
    )
    assert "" == result.stdout.strip()


def test_completion_of_many(many: list[str], root: Path) -> None:
    """Of many IDs some are offered; they have no more in common than all of them have."""
    some = lookup.starting_with("", open_store(root), 100)
    assert 100 == len(some)
    assert [min(many), max(many)] == [some[0], some[-1]]


@pytest.mark.parametrize("sid", ["-x", "--json", "a\nb", "\x1b[31m", "a\u202eb", "a\u200bb"])
def test_not_offered(sid: str, root: Path) -> None:
    """An ID that would be an option, or that a terminal cannot show as it is, is not offered."""
    root.mkdir()
    for each in (sid, "other"):
        log_path(each, root).touch()
    assert ["other"] == lookup.starting_with("", open_store(root), 2)

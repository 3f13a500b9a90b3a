"""The file of ``-o``, which ``query`` and ``export`` have in common."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    Command = Callable[..., Result]
    Write = Callable[..., Path]

ALL = [
    ("query", "FROM logs"),
    ("query", "FROM logs", "--json"),
    ("query", "FROM logs", "--format", "csv"),
    ("query", "FROM logs", "--format", "parquet"),
    ("export", "s"),
    ("export", "s", "--format", "otlp"),
]


@pytest.fixture(autouse=True)
def _stored(write: Write) -> None:
    """Have a session of one line."""
    write("s.logs.jsonl", b'{"message":"m"}')


@pytest.mark.parametrize("args", ALL)
def test_no_overwriting(args: tuple[str, ...], command: Command, tmp_path: Path) -> None:
    """A file that is there stays, as a link does, unless ``--force`` says otherwise."""
    target, link = tmp_path / "x", tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    target.write_bytes(b"mine")
    for path in (target, link):
        result = command(*args, "-o", str(path))
        assert (2, "") == (result.exit_code, result.stdout)
        assert f"Error: '{path}' is there already; --force replaces it" in result.stderr
    assert (b"mine", True) == (target.read_bytes(), link.is_symlink())
    assert 0 == command(*args, "-o", str(target), "--force").exit_code
    assert b"mine" != target.read_bytes()
    assert {target, link, tmp_path / "traces"} == {*tmp_path.iterdir()}


@pytest.mark.parametrize("args", ALL)
def test_bad_places(args: tuple[str, ...], command: Command, tmp_path: Path) -> None:
    """What cannot be written is called as it was given, and nothing is left behind."""
    (tmp_path / "x").mkdir()
    (tmp_path / "y").write_bytes(b"")
    for name, why in (
        ("x", "Is a directory"),
        ("no/x", "No such file or directory"),
        ("y/z", "Not a directory"),
        ("n" * 300, "File name too long"),
    ):
        for force in ((), ("--force",)):
            result = command(*args, "-o", str(tmp_path / name), *force)
            assert (2, "") == (result.exit_code, result.stdout)
            assert f"Error: {why}: {tmp_path / name}\n" == result.stderr
    assert {"x", "y", "traces"} == {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("args", ALL)
def test_names(
    args: tuple[str, ...], command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``-`` is stdout, a bare name is in the working directory, and no name is none."""
    monkeypatch.chdir(tmp_path)
    result = command(*args, "-o", "")
    assert (2, "") == (result.exit_code, result.stdout)
    assert "the file's name is empty" in result.stderr
    printed = command(*args, "-o", "-").stdout_bytes
    assert printed
    assert [tmp_path / "traces"] == [*tmp_path.iterdir()]
    assert 0 == command(*args, "-o", "x").exit_code
    assert (tmp_path / "x").stat().st_size


@pytest.mark.parametrize("args", ALL)
def test_pipes_and_devices(args: tuple[str, ...], command: Command, tmp_path: Path) -> None:
    """What is no file is written to, and stays what it is."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    read: list[bytes] = []
    thread = threading.Thread(target=lambda: read.append(fifo.read_bytes()), daemon=True)
    thread.start()
    assert 0 == command(*args, "-o", str(fifo)).exit_code
    thread.join(30)
    assert [True] == [bool(data) for data in read]
    assert fifo.is_fifo()
    assert 0 == command(*args, "-o", os.devnull).exit_code


def test_wrong_sql(command: Command, tmp_path: Path) -> None:
    """Where the query fails nothing is made, and a file that is there stays."""
    target = tmp_path / "x"
    assert 2 == command("query", "SELECT nope FROM logs", "-o", str(target)).exit_code
    assert not target.exists()
    target.write_bytes(b"mine")
    assert 2 == command("query", "FROM nope", "-o", str(target), "--force").exit_code
    assert b"mine" == target.read_bytes()


@pytest.mark.parametrize("args", [ALL[3], ALL[4]])
def test_no_bytes_on_a_terminal(args: tuple[str, ...], root: Path) -> None:
    """What is no text does not go to a terminal."""
    main, other = os.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "tracectrl_logging.cli", "--root", str(root), *args, "-o", "-"],
        stdout=other,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.set_blocking(main, False)
    with pytest.raises(BlockingIOError):
        os.read(main, 1)
    os.close(other)
    os.close(main)
    assert 2 == done.returncode
    assert b"needs -o FILE on a terminal\n" in done.stderr

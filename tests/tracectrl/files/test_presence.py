"""tracectrl.files.presence: which processes live."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tracectrl.files.presence import PRESENCE_DIRECTORY, announce, is_present, remove_left

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs record locks")

ANNOUNCES = """
import os, sys, time
from tracectrl.files.presence import announce
print(announce(sys.argv[1]), flush=True)
"""


def until(holds: Callable[[], bool]) -> bool:
    """Wait for *holds* to hold, for ten seconds at most; tell whether it does."""
    deadline = time.monotonic() + 10
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.005)
    return holds()


@pytest.fixture
def place(tmp_path: Path) -> str:
    """Return a directory that is there."""
    return str(tmp_path)


@pytest.fixture
def other(place: str) -> Iterator[Callable[[str], tuple[subprocess.Popen[str], str]]]:
    """Return the function that starts a process which announces itself, and goes on as told."""
    started = []

    def start(more: str) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "-c", ANNOUNCES + more, place],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.communicate()


def in_child(act: Callable[[], int]) -> int:
    """Return the exit status of a forked child that ends with what *act* returns."""
    child = os.fork()
    if not child:
        signal.alarm(10)
        status = 99
        try:
            status = act()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_process_is_present_to_itself_and_keeps_its_id(place: str) -> None:
    """The first call makes an ID, the next ones return it; asking does not end it."""
    own = announce(place)
    assert own is not None
    assert is_present(place, own)
    assert own == announce(place)
    assert 1 == in_child(lambda: is_present(place, own))


@pytest.mark.parametrize("wrong", ["", "..", "0" * 16, "../../etc/passwd", "0123456789ABCDEF\n"])
def test_what_is_no_id_is_nobody(place: str, wrong: str) -> None:
    """An ID that no process has, or none can have, is of no process."""
    announce(place)
    assert not is_present(place, wrong)


@pytest.mark.parametrize(
    "end",
    [
        "os.kill(os.getpid(), 9)",
        "os.kill(os.getpid(), 15)",
        "os.abort()",
        "os._exit(3)",
        "os.execv('/bin/sleep', ['sleep', '60'])",
        "",
    ],
)
def test_a_process_is_gone_however_it_goes(
    place: str, other: Callable[[str], tuple[subprocess.Popen[str], str]], end: str
) -> None:
    """A process is present until it ends or becomes another program, and not any longer."""
    process, its = other(f"sys.stdin.readline()\n{end}")
    assert is_present(place, its)
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    assert until(lambda: not is_present(place, its))
    if "exec" in end:
        assert process.poll() is None
    else:
        process.wait(10)


def test_a_child_does_not_stand_for_its_parent(
    place: str, other: Callable[[str], tuple[subprocess.Popen[str], str]]
) -> None:
    """A forked child that lives on does not keep its killed parent present; it has an ID of its own."""
    process, its = other(
        "if os.fork():\n    time.sleep(60)\n"
        "else:\n    print(announce(sys.argv[1]), os.getpid(), flush=True)\n    time.sleep(60)"
    )
    assert process.stdout is not None
    child, pid = process.stdout.readline().split()
    try:
        assert child != its
        assert is_present(place, its)
        process.kill()
        assert until(lambda: not is_present(place, its))
        assert is_present(place, child)
    finally:
        os.kill(int(pid), signal.SIGKILL)


def test_what_was_left_goes_with_the_next_process(
    place: str, other: Callable[[str], tuple[subprocess.Popen[str], str]]
) -> None:
    """The file of a killed process is removed by the next that comes, those of living ones stay."""
    living, its = other("time.sleep(60)")
    killed, _ = other("os.kill(os.getpid(), 9)")
    killed.wait()
    own = announce(place)
    assert living.poll() is None
    assert {its, own} == set(os.listdir(os.path.join(place, PRESENCE_DIRECTORY)))


def test_removing_what_was_left_touches_nothing_else(
    place: str, other: Callable[[str], tuple[subprocess.Popen[str], str]]
) -> None:
    """Files of living processes and files of other names stay; a directory that is missing is none."""
    remove_left(place)
    _, its = other("time.sleep(60)")
    directory = os.path.join(place, PRESENCE_DIRECTORY)
    for name in ("f" * 16, "mine.txt"):
        with open(os.path.join(directory, name), "x", encoding="ascii"):
            pass
    remove_left(place)
    assert [its, "mine.txt"] == sorted(os.listdir(directory))
    assert is_present(place, its)


def test_the_last_process_that_ends_tidies_up(
    place: str, other: Callable[[str], tuple[subprocess.Popen[str], str]]
) -> None:
    """Nothing is left under the root when all processes have ended by themselves."""
    process, _ = other("")
    process.wait()
    assert [] == os.listdir(place)


def test_a_closed_or_removed_file_is_made_anew(
    place: str, other: Callable[[str], tuple[subprocess.Popen[str], str]]
) -> None:
    """A process whose file somebody has closed or taken away is present again with the next line."""
    process, its = other(
        f"again = 'print(announce(sys.argv[1]), flush=True), sys.stdin.readline()'\n"
        f"os.remove(os.path.join(sys.argv[1], '{PRESENCE_DIRECTORY}', os.listdir(sys.argv[1] + '/{PRESENCE_DIRECTORY}')[0]))\n"
        "eval(again)\nos.closerange(3, 256)\neval(again)"
    )
    assert process.stdin is not None
    assert process.stdout is not None
    for _ in range(2):
        assert its == process.stdout.readline().strip()
        assert is_present(place, its)
        process.stdin.write("\n")
        process.stdin.flush()


def test_a_process_has_one_id_under_all_roots(tmp_path: Path) -> None:
    """What names a process in one root names it in another."""
    places = [tmp_path / "a", tmp_path / "b"]
    for each in places:
        each.mkdir()
    first, second = map(announce, map(str, places))
    assert first == second
    assert 1 == in_child(lambda: is_present(str(places[1]), str(first)))


def test_a_root_that_cannot_hold_it_gives_no_id(tmp_path: Path) -> None:
    """Where no file can be made there is no ID, and no error."""
    assert announce(str(tmp_path / "missing")) is None

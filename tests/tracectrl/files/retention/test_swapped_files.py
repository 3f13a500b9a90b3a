"""Pruning and compressing where another user may write: who swaps files leads nobody astray."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import gzip
import itertools
import json
import multiprocessing
import os
import random
import shutil
import stat
import time
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl.files.listing import TEMPORARY_PREFIX
from tracectrl.files.names import log_path
from tracectrl.files.retention.compress import compress
from tracectrl.files.retention.prune import prune

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.synchronize import Event
    from pathlib import Path

SECRET = b'{"secret":"nobody else may have this"}\n' * 20
SECONDS = 1_000_000_000
SESSIONS = 2
LINES = 5
STEPS = ("open", "stat", "unlink", "replace", "utime", "fstat", "fsync", "scandir", "pread")
STOLEN = ".stolen-"
NOBODY = 65534

_made = iter(range(10**9))


def _a_link(path: Path, foreign: Path) -> None:
    path.symlink_to(foreign / "secret")


def _a_hard_link(path: Path, foreign: Path) -> None:
    path.hardlink_to(foreign / "secret")


def _a_pipe(path: Path, _: Path) -> None:
    os.mkfifo(path)


PLANTS = (_a_link, _a_hard_link, _a_pipe)


class Place:
    """A root that anybody may write to, with sessions in it; and what is foreign, beside it."""

    def __init__(self, home: Path) -> None:
        self.root = home / "traces"
        self.foreign = home / "foreign"
        self.root.mkdir()
        self.foreign.mkdir()
        self.root.chmod(0o777)
        for number in range(SESSIONS):
            path = self.root / f"s{number}.logs.jsonl"
            # With a backup of each kind, and what a killed run has left.
            for suffix in ("", ".1", ".2.gz") if number == 0 else ("",):
                data = self.lines(f"s{number}{suffix}")
                packed = gzip.compress(data) if suffix.endswith(".gz") else data
                self.made(path.with_name(path.name + suffix), packed)
        self.made(self.root / f"{TEMPORARY_PREFIX}0123", b"left")
        digest = log_path("x" * 300, self.root)
        self.made(digest, b'{"session_id":"%s","of":"x","n":0}\n' % (b"x" * 300))
        self.made(self.foreign / "secret", SECRET)
        for number in range(SESSIONS):  # where a root that is a link leads to
            self.made(self.foreign / f"s{number}.logs.jsonl", SECRET)
        self.before = self.foreign_state()
        self.all_lines = self.lines_found()

    @staticmethod
    def lines(of: str) -> bytes:
        """Return the lines of one file."""
        return b"".join(b'{"of":"%s","n":%d}\n' % (of.encode(), n) for n in range(LINES))

    @staticmethod
    def made(path: Path, data: bytes) -> None:
        """Make a file of long ago."""
        path.write_bytes(data)
        os.utime(path, (SECONDS, SECONDS))

    def foreign_state(self) -> dict[str, tuple[Any, ...]]:
        """Return all that can be told of what is foreign, but for how many links lead there."""
        found = {}
        for path in sorted(self.foreign.iterdir()):
            it = path.stat()
            found[path.name] = (it.st_ino, it.st_mode, it.st_uid, it.st_mtime_ns, path.read_bytes())
        return found

    def own_files(self) -> Iterator[Path]:
        """Yield the regular files of the root, wherever it is by now, but for hard links out of it."""
        foreign = {path.stat().st_ino for path in self.foreign.iterdir()}
        for root in self.root.parent.glob("traces*"):
            if not root.is_symlink():
                for path in sorted(root.iterdir()):
                    status = path.lstat()
                    if stat.S_ISREG(status.st_mode) and status.st_ino not in foreign:
                        yield path

    def contents(self) -> Iterator[bytes]:
        """Yield what the files hold, unpacked."""
        for path in self.own_files():
            data = path.read_bytes()
            if data.startswith(b"\x1f\x8b"):
                with contextlib.suppress(EOFError, zlib.error):  # not complete: a temporary file
                    data = gzip.decompress(data)
            yield data

    def lines_found(self) -> set[tuple[str, int]]:
        """Return which lines are there, under whatever name."""
        found = set()
        for data in self.contents():
            for line in data.splitlines():
                with contextlib.suppress(ValueError, KeyError):
                    row = json.loads(line)
                    found.add((row["of"], row["n"]))
        return found

    def check(self, *, lost: bool = False) -> None:
        """Hold that nothing foreign was touched or copied, and no line is *lost*."""
        assert self.before == self.foreign_state()
        assert [] == [data for data in self.contents() if b"secret" in data]
        assert lost or self.all_lines == self.lines_found()


class Attacker:
    """Whoever may write to the root, at one moment."""

    def __init__(self, place: Place, plant: Callable[[Path, Path], None]) -> None:
        self.place = place
        self._plant = plant

    def swap(self, names: Callable[[str], bool], *, removing: bool = False) -> None:
        """Move the files of these *names* aside, or remove them; plant something in their places."""
        root = self.place.root
        for name in os.listdir(root):
            if names(name) and not name.startswith(STOLEN):
                path = root / name
                with contextlib.suppress(
                    OSError
                ):  # somebody else was quicker, or it is not allowed
                    if removing:
                        path.unlink()
                    else:
                        path.rename(root / f"{STOLEN}{next(_made)}")
                    self._plant(path, self.place.foreign)

    def plant_targets(self) -> None:
        """Plant something where a compressed file is to go."""
        root = self.place.root
        for number in range(SESSIONS):
            with contextlib.suppress(OSError):
                self._plant(root / f"s{number}.logs.jsonl.1.gz", self.place.foreign)

    def replace_root(self) -> None:
        """Put a link at the root's path that leads to a foreign directory with files so named."""
        root = self.place.root
        if not root.is_symlink():
            root.rename(root.with_name("traces-moved"))
            root.symlink_to(self.place.foreign)


ATTACKS: dict[str, Callable[[Attacker], None]] = {
    "all files": lambda it: it.swap(lambda _: True),
    "live files": lambda it: it.swap(lambda name: name.endswith(".jsonl")),
    "backups": lambda it: it.swap(lambda name: name.endswith((".1", ".gz"))),
    "the new file": lambda it: it.swap(
        lambda name: name.startswith(TEMPORARY_PREFIX), removing=True
    ),
    "the target": Attacker.plant_targets,
    "the root": Attacker.replace_root,
}


@contextlib.contextmanager
def before_step(number: int, do: Callable[[], None]) -> Iterator[list[str]]:
    """Do something before the system call *number*; the calls are what is yielded."""
    calls: list[str] = []

    def watched(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **kwargs: Any) -> Any:
            calls.append(name)
            if len(calls) == number + 1:
                undo()
                do()
            return call(*args, **kwargs)

        return step

    patch = pytest.MonkeyPatch()
    undo = patch.undo
    patch.setattr(os, "fsync", lambda _: None)  # which takes longer than all else
    for name in STEPS:
        patch.setattr(os, name, watched(name, getattr(os, name)))
    patch.setattr(fcntl, "flock", watched("flock", fcntl.flock))
    try:
        yield calls
    finally:
        undo()


def run_compress(root: Path) -> None:
    """Compress; what cannot be done is said by session."""
    compress(root)


def run_prune(root: Path) -> None:
    """Remove what is old: all of it."""
    prune(root, older_than_s=1)


@pytest.mark.parametrize(
    ("attack", "plant", "first", "stride"),
    [  # between them each step has its turn, under most attacks
        ("the new file", _a_link, 0, 1),
        ("the new file", _a_hard_link, 1, 3),
        ("all files", _a_link, 0, 2),
        ("all files", _a_hard_link, 1, 3),
        ("all files", _a_pipe, 2, 4),
        ("live files", _a_link, 1, 3),
        ("backups", _a_link, 2, 3),
        ("the target", _a_link, 0, 3),
        ("the root", _a_link, 1, 3),  # not 0: which directory is meant is settled by opening it
    ],
)
@pytest.mark.parametrize("run", [run_compress, run_prune])
def test_at_every_step(
    run: Callable[[Path], None],
    attack: str,
    plant: Callable[[Path, Path], None],
    first: int,
    stride: int,
    tmp_path: Path,
) -> None:
    """Whatever is swapped before whichever system call: what is foreign stays as it is, unread."""
    for number in itertools.count(first, stride):
        home = tmp_path / str(number)
        home.mkdir()
        place = Place(home)
        do = functools.partial(ATTACKS[attack], Attacker(place, plant))
        with before_step(number, do) as calls:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                run(place.root)
            is_over = len(calls) <= number
        place.check(lost=run is run_prune)
        shutil.rmtree(home)
        if is_over:
            break
    assert number > 50


def test_a_swapped_file_is_said(tmp_path: Path) -> None:
    """What was swapped while it was compressed is a failure that is reported, never a success."""
    place = Place(tmp_path)
    attacker = Attacker(place, _a_link)
    utime = os.utime

    def swap_first(*args: Any, **kwargs: Any) -> None:
        ATTACKS["the new file"](attacker)
        utime(*args, **kwargs)

    reported: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "utime", swap_first)
        totals = compress(place.root, report=reported.append)
    place.check()
    assert (0, SESSIONS + 1) == (totals.compressed, totals.failed)
    assert {"replaced by another file meanwhile"} == {it.error.strerror for it in reported}


def test_a_file_of_two_names(tmp_path: Path) -> None:
    """A file with another name is not compressed, and that is said; pruning takes this name alone."""
    place = Place(tmp_path)
    path = place.root / "linked.logs.jsonl"
    path.hardlink_to(place.foreign / "secret")
    reported: list[Any] = []
    compress(place.root, report=reported.append)
    (it,) = [it for it in reported if it.session_id == "linked"]
    assert ("failed", "has another name (a hard link)") == (it.action, it.error.strerror)
    assert path.exists()
    place.check()
    prune(place.root, older_than_s=1)
    assert not path.exists()
    place.check(lost=True)


def attack(place: Place, over: Event, seed: int) -> None:
    """Be another user, where one may become one, who swaps files as fast as can be."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    rng = random.Random(seed)  # noqa: S311 - no secret
    kinds = [kind for name, kind in ATTACKS.items() if name != "the root"]
    while not over.is_set():
        rng.choice(kinds)(Attacker(place, rng.choice(PLANTS)))
        time.sleep(rng.random() / 500)
        for name in os.listdir(place.root):  # and takes away what was planted
            path = place.root / name
            with contextlib.suppress(OSError):
                if not stat.S_ISREG(path.lstat().st_mode):
                    path.unlink()


@pytest.mark.parametrize("seed", range(3))
def test_a_race(seed: int, tmp_path: Path) -> None:
    """Another process that swaps files all the time gets at nothing foreign, and loses no line."""
    for directory in (tmp_path, *list(tmp_path.parents)[:3]):
        directory.chmod(directory.stat().st_mode | 0o011)  # pytest's are for their owner alone
    place = Place(tmp_path)
    context = multiprocessing.get_context("fork")
    over = context.Event()
    attacker = context.Process(target=attack, args=(place, over, seed))
    attacker.start()
    try:
        end = time.monotonic() + 1
        number = 0
        while time.monotonic() < end:
            number += 1
            name = f"more{number}.logs.jsonl"
            new = tmp_path / name  # not in the root: there the test itself would be led astray
            place.made(new, place.lines(name))
            new.rename(place.root / name)
            place.all_lines |= {(name, n) for n in range(LINES)}
            compress(place.root)
    finally:
        over.set()
        attacker.join(10)
        attacker.kill()
    assert 0 == attacker.exitcode
    place.check()
    prune(place.root, older_than_s=1)
    place.check(lost=True)

"""Walking: every file is met, whatever a rotation renames between any two steps."""

from __future__ import annotations

import json
import os
import random
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl_logging.reader import Follower
from tracectrl_logging.reader.files.following import contents
from tracectrl_logging.reader.files.following.content import File
from tracectrl_logging.reader.files.following.contents import Contents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.one_python
LINES = 60


class Writer:
    """A process that writes numbered lines and rotates, one system call at a time.

    Args:
        root: where the session lies.
        chance: decides what happens, and when.
        often: how probable a call is where there may be one.
    """

    def __init__(self, root: Path, chance: random.Random, often: float) -> None:
        self._path = root / "a.logs.jsonl"
        self._chance = chance
        self._often = often
        self._steps = self._calls()
        self.written = 0

    def step(self) -> None:
        """Make the next call, if there is one."""
        next(self._steps, None)

    def interrupting(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return *call* with steps before and behind it."""

        def interrupted(*args: Any) -> Any:
            self._maybe()
            result = call(*args)
            self._maybe()
            return result

        return interrupted

    def _maybe(self) -> None:
        while self._chance.random() < self._often:
            self.step()

    def _calls(self) -> Iterator[None]:
        while self.written < LINES:
            for _ in range(min(self._chance.randint(1, 4), LINES - self.written)):
                line = {"timestamp": f"2026-01-01T00:00:{self.written:02}Z", "number": self.written}
                with self._path.open("ab") as file:
                    file.write(json.dumps(line).encode() + b"\n")
                self.written += 1
                yield
            if self._chance.random() < 0.4:
                continue
            names = [self._path]
            while names[-1].exists():
                names.append(self._path.with_name(f"{self._path.name}.{len(names)}"))
            for number in range(len(names) - 1, 0, -1):
                os.replace(names[number - 1], names[number])
                if self._chance.random() < 0.5:
                    yield


@pytest.mark.parametrize("seed", range(60))
def test_a_rotation_between_any_two_steps(
    seed: int, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers that take turns by their cursors find each line once: none is held for an old one."""
    root.mkdir()
    monkeypatch.setattr(contents, "MAX_OPEN", 2)  # what is closed may be elsewhere by then
    chance = random.Random(seed)  # noqa: S311 - to be the same again
    writer = Writer(root, chance, chance.choice([0.05, 0.2, 0.5, 0.7]))
    found: list[int] = []
    cursor = ""
    with monkeypatch.context() as interrupted:
        for owner, name in ((Contents, "stat"), (File, "open"), (File, "at")):
            interrupted.setattr(owner, name, writer.interrupting(getattr(owner, name)))
        while writer.written < LINES:
            writer.step()
            with Follower(root=root, after=cursor) as follower:
                for _ in range(chance.randint(1, 4)):
                    found += [line.row["number"] for line in follower.poll()]
                cursor = follower.cursor
    for _ in range(LINES):
        writer.step()
    with Follower(root=root, after=cursor) as follower:
        for _ in range(5):
            found += [line.row["number"] for line in follower.poll()]
    assert list(range(LINES)) == sorted(found)

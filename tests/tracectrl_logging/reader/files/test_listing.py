"""The names under a root, while others change them."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from tracectrl_logging.reader.files import listing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[..., Path]


def count_listings(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return what grows with each listing."""
    seen: list[object] = []
    scandir = os.scandir

    def counted(path: Any) -> Any:
        seen.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counted)
    return seen


def test_a_root_at_rest(write: Write, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A root in which nothing happens is listed once."""
    write("s.logs.jsonl", b"{}")
    write("t.logs.jsonl", b"{}")
    os.utime(root, (time.time() - 1,) * 2)
    seen = count_listings(monkeypatch)
    assert {"s", "t"} == set(listing.listed(str(root)))
    assert ["s.logs.jsonl"] == [
        it.name for names in listing.listed(str(root), ("s.",)).values() for it in names
    ]
    assert 2 == len(seen)


def test_missed_by_a_listing(write: Write, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was renamed behind a listing's back is found by the next one; none twice."""
    write("s.logs.jsonl", b"{}")
    write("t.logs.jsonl", b"{}")
    scandir = os.scandir
    first: list[object] = []

    class Blind:
        """A listing that does not see the file under either name."""

        def __enter__(self) -> Any:
            self.inner = scandir(root)
            return (entry for entry in self.inner if not entry.name.startswith("s."))

        def __exit__(self, *_: object) -> None:
            self.inner.close()
            os.rename(root / "s.logs.jsonl", root / "s.logs.jsonl.1")

    def blind_at_first(path: Any) -> Any:
        if not first:
            first.append(path)
            return Blind()
        return scandir(path)

    os.utime(root, (time.time() - 1,) * 2)
    monkeypatch.setattr(os, "scandir", blind_at_first)
    assert {"s": ["s.logs.jsonl.1"], "t": ["t.logs.jsonl"]} == {
        stem: [it.name for it in names] for stem, names in listing.listed(str(root)).items()
    }


@pytest.mark.parametrize("seconds", [0, 1])
def test_a_root_that_changes_all_the_time(
    seconds: float, write: Write, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is an end to listing it again."""
    write("s.logs.jsonl", b"{}")
    os.utime(root, (time.time() - seconds,) * 2)
    stat = os.stat

    def change_and_stat(path: str) -> os.stat_result:
        os.utime(root)
        return stat(path)

    monkeypatch.setattr(os, "stat", change_and_stat)
    seen = count_listings(monkeypatch)
    assert ["s"] == list(listing.listed(str(root)))
    assert 3 == len(seen)

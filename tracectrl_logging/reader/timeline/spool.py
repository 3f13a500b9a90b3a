"""Many things in order, on disk but for what they are sorted by."""

from __future__ import annotations

import pickle
import tempfile
from array import array
from operator import itemgetter
from typing import IO, TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")

_IN_MEMORY = 4096


class Spool(Generic[T]):
    """Takes *items*, and gives them back in the order of their *key*, as often as asked."""

    def __init__(self, items: Iterable[T], key: Callable[[T], Any]) -> None:
        self._file: IO[bytes] | None = None
        self._kept: list[T] = []
        self._starts = array("Q")
        keys: list[tuple[Any, int]] = []
        for item in items:
            keys.append((key(item), len(keys)))
            self._kept.append(item)
            if len(self._kept) > _IN_MEMORY:
                self._spill()
        if self._file is not None:
            self._spill()
        keys.sort(key=itemgetter(0))
        self._places = array("Q", map(itemgetter(1), keys))

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[T]:
        for place in self._places:
            if self._file is None:
                yield self._kept[place]
            else:
                self._file.seek(self._starts[place])
                item: T = pickle.load(self._file)  # noqa: S301 - our own file
                yield item

    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="tracectrl-logs-")  # noqa: SIM115 - until the end
        for item in self._kept:
            self._starts.append(self._file.tell())
            pickle.dump(item, self._file, pickle.HIGHEST_PROTOCOL)
        self._kept.clear()

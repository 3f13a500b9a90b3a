"""What waits on disk, in a temporary file without a name: long lines, sorted runs, many results."""

from __future__ import annotations

import os
import pickle
from array import array
from operator import itemgetter
from typing import IO, TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Final, TypeAlias

    Handle: TypeAlias = bytes | tuple[int, int]

T = TypeVar("T")

_LONG_BYTES: Final = 1024 * 1024
_IN_MEMORY: Final = 4096


class SpillFile:
    """A file that only grows; it is made with the first bytes, and goes with this object."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self.size = 0
        """How many bytes are in it."""

    def append(self, *parts: bytes) -> int:
        """Write *parts* at the end; return where the first of them starts.

        Raises:
            OSError: there is no temporary directory, or no room in it.
        """
        if self._file is None:
            import tempfile  # noqa: PLC0415 - for what does not fit into memory

            self._file = tempfile.TemporaryFile(prefix="tracectrl-logs-", buffering=0)  # noqa: SIM115 - as long as this
        start = self.size
        for part in parts:
            view = memoryview(part)
            while view:
                written = os.pwrite(self._file.fileno(), view, self.size)
                self.size += written
                view = view[written:]
        return start

    def read(self, start: int, size: int) -> bytes:
        """Return *size* bytes from *start* on, as far as they are there."""
        if self._file is None:
            return b""
        parts: list[bytes] = []
        while size and (part := os.pread(self._file.fileno(), size, start)):
            parts.append(part)
            start, size = start + len(part), size - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()


class Shelf:
    """Keeps lines, the long ones, of megabytes each, out of memory."""

    def __init__(self) -> None:
        self._file = SpillFile()

    def put(self, line: bytes) -> Handle:
        """Store *line* and return a handle for :meth:`get`: the bytes if short, else (offset, size)."""
        return line if len(line) < _LONG_BYTES else (self._file.append(line), len(line))

    def get(self, handle: Handle) -> bytes:
        """Return the line that *handle* was given for."""
        return handle if isinstance(handle, bytes) else self._file.read(*handle)


class Spool(Generic[T]):
    """Takes *items*, and gives them back in the order of their *key*, as often as asked."""

    def __init__(self, items: Iterable[T], key: Callable[[T], Any]) -> None:
        self._file = SpillFile()
        self._kept: list[T] = []
        self._starts = array("Q", [0])
        keys: list[tuple[Any, int]] = []
        for item in items:
            keys.append((key(item), len(keys)))
            self._kept.append(item)
            if len(self._kept) > _IN_MEMORY:
                self._spill()
        if self._file.size:
            self._spill()
        keys.sort(key=itemgetter(0))
        self._places = array("Q", map(itemgetter(1), keys))

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[T]:
        for place in self._places:
            if not self._file.size:
                yield self._kept[place]
            else:
                start, end = self._starts[place], self._starts[place + 1]
                item: T = pickle.loads(self._file.read(start, end - start))  # noqa: S301 - our own file
                yield item

    def _spill(self) -> None:
        pickled = [pickle.dumps(item, pickle.HIGHEST_PROTOCOL) for item in self._kept]
        end = self._file.append(b"".join(pickled))
        for data in pickled:
            end += len(data)
            self._starts.append(end)
        self._kept.clear()

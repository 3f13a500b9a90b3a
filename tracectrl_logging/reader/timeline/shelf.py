"""Lines that wait: the long ones, of megabytes each, in a temporary file."""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final, TypeAlias

    Kept: TypeAlias = bytes | tuple[int, int]

_LONG_BYTES: Final = 1024 * 1024


class Shelf:
    """Keeps lines, the long ones out of memory; it is as good as its own file, which has no name."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._size = 0

    def put(self, line: bytes) -> Kept:
        """Return what :meth:`get` returns *line* for: itself, or where it is."""
        if len(line) < _LONG_BYTES:
            return line
        if self._file is None:
            import tempfile  # noqa: PLC0415 - for long lines only

            self._file = tempfile.TemporaryFile(prefix="tracectrl-logs-", buffering=0)  # noqa: SIM115 - as long as this
        start, view = self._size, memoryview(line)
        while view:
            written = os.pwrite(self._file.fileno(), view, self._size)
            self._size += written
            view = view[written:]
        return start, len(line)

    def get(self, kept: Kept) -> bytes:
        """Return the line that *kept* stands for."""
        if isinstance(kept, bytes):
            return kept
        start, size = kept
        parts: list[bytes] = []
        while size and self._file is not None:
            parts.append(os.pread(self._file.fileno(), size, start))
            start, size = start + len(parts[-1]), size - len(parts[-1])
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()

"""One file that is being followed: how far it has been read, and what comes next.

A file is known by its number (inode), not by its name, which changes. Its descriptor is no more than
a help: it can be closed at any time, and what has been read stays known. What a file began with and
what stood before the place that was reached tell whether the number is somebody else's by now, and
whether a compressed file is a copy of this one.
"""

from __future__ import annotations

import os
import stat
from typing import IO, TYPE_CHECKING, Any

from tracectrl._json import timestamp_ns
from tracectrl._time import time_of
from tracectrl.schema import as_own
from tracectrl_logging.reader.files.lines import MAX_LINE_BYTES
from tracectrl_logging.reader.files.opening import FLAGS, UNREADABLE
from tracectrl_logging.reader.parsing import CUT_OFF, NOT_JSON, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracectrl.files.names import ParsedName

HEAD_BYTES = 64 * 1024
"""How much of a first line is kept."""

TAIL_BYTES = 256
"""How much is kept of what stands before the place that was reached."""

CHUNK_BYTES = 256 * 1024
"""How much is read at once."""

_PART_BYTES = 64 * 1024  # what is asked for in one piece is lost where the file breaks off in it
# The kernel's clock for files lags behind the one that lines are stamped with.
_LAG_NS = 50_000_000


class Followed:
    """A log file, and how far it has been read."""

    __slots__ = (
        "changed_at",
        "ctime_ns",
        "drained",
        "error",
        "fd",
        "head",
        "ino",
        "mtime_ns",
        "name",
        "offset",
        "parsed",
        "pending",
        "pending_bytes",
        "reached",
        "size",
        "skipping",
        "stream",
        "tail",
        "was_open",
    )

    def __init__(
        self,
        name: str,
        parsed: ParsedName,
        ino: int,
        *,
        offset: int = 0,
        mtime_ns: int = 0,
        ctime_ns: int = 0,
    ) -> None:
        self.name = name
        self.parsed = parsed
        self.ino = ino
        self.offset = offset
        """Where the next line starts: all before it has been read."""
        self.size = offset
        """How large the file was when it was read last."""
        self.mtime_ns = mtime_ns
        self.ctime_ns = ctime_ns
        """When the file was last known to be this one; unlike the other time nobody can set it."""
        self.head: bytes | None = None
        """The first line, ``None`` where nobody has looked."""
        self.tail: bytes | None = None
        """What stands before :attr:`offset`, ``None`` where nobody has looked."""
        self.fd = -1
        self.was_open = False
        self.stream: IO[bytes] | None = None
        self.drained = True
        self.error: Exception | None = None
        self.skipping = False
        self.changed_at = 0.0
        self.pending: list[tuple[str, str, bytes]] = []
        """Lines that were read and are still to be handed out: by what to sort, the time, the line."""
        self.pending_bytes = 0
        self.reached = ""
        """The earliest time in what was read last."""

    def open(self, directory: str) -> bool:
        """Open the file; ``False`` where the name is another file's by now, or nobody's.

        Raises:
            OSError: it cannot be opened.
            ImportError: nothing that is installed can read it.
        """
        if self.fd >= 0:
            return True
        try:
            fd = os.open(os.path.join(directory, self.name), FLAGS)
        except FileNotFoundError:
            return False
        status = os.fstat(fd)
        if status.st_ino != self.ino or not stat.S_ISREG(status.st_mode):
            os.close(fd)
            return False
        self.fd, self.was_open = fd, True
        if self.parsed.packed is None:
            self._recognise(status)
        else:
            self._unpack(self.parsed.packed)
        return True

    def close(self) -> None:
        """Close the descriptor; what has been read stays known."""
        if self.fd < 0:
            return
        if self.parsed.packed is None:
            start = max(0, self.offset - TAIL_BYTES)
            self.tail = os.pread(self.fd, self.offset - start, start)
        if self.stream is not None:
            self.stream.close()
        else:
            os.close(self.fd)
        self.fd, self.stream = -1, None

    def status(self) -> os.stat_result:
        """Return the status of the open file."""
        status = os.fstat(self.fd)
        if self.parsed.packed is None and status.st_size < self.offset:  # somebody has emptied it
            self.offset, self.head, self.tail, self.skipping = 0, None, None, False
        return status

    def read(
        self, budget_bytes: int, report: Callable[[str], object], end: int | None = None
    ) -> list[bytes]:
        """Return the next complete lines; :attr:`drained` says whether these are all.

        Args:
            budget_bytes: about how much of the file.
            report: is told what is wrong with it.
            end: the place in the file up to which it is meant; ``None`` for all of it.
        """
        size = budget_bytes
        while True:
            wanted = size if end is None else max(0, min(size, end - self.offset))
            data = self.at(self.offset, wanted)
            self.drained = len(data) < size
            if self.error is not None:
                report(f"the file cannot be read from here on: {self.error}")
                self.error, self.drained = None, True
            complete = data.rfind(b"\n") + 1
            if complete or self.drained or size >= MAX_LINE_BYTES or self.skipping:
                break
            size = min(size * 4, MAX_LINE_BYTES)
        if not complete and (self.skipping or not self.drained):
            if not self.skipping:
                report(f"a line longer than {MAX_LINE_BYTES} bytes, at byte {self.offset}")
            self.skipping = True
            self.offset += len(data)
            return []
        if self.head is None:
            self.head = self._first_line()
        self.offset += complete
        lines = data.split(b"\n")  # in one copy: a line may be long
        del data, lines[-1]
        if lines and self.skipping:  # the rest of the overlong one
            self.skipping = False
            del lines[0]
        return lines

    def rest(self, end: int | None = None) -> bytes:
        """Return what stands after the last newline, up to *end*: of a file nobody writes any more."""
        if self.skipping:
            return b""
        size = MAX_LINE_BYTES
        data = self.at(self.offset, size if end is None else max(0, min(size, end - self.offset)))
        self.offset += len(data)
        return data

    def at(self, offset: int, size: int) -> bytes:
        """Return what stands there, at most *size* bytes; :attr:`error` says why it is less."""
        parts: list[bytes] = []
        try:
            if self.stream is None:
                return os.pread(self.fd, size, offset)
            self.stream.seek(offset)
            while size and (part := self.stream.read1(min(size, _PART_BYTES))):  # type: ignore[attr-defined]
                parts.append(part)
                size -= len(part)
        except UNREADABLE as error:
            self.error = error
        return b"".join(parts)

    def _first_line(self) -> bytes | None:
        line, newline, _ = self.at(0, HEAD_BYTES).partition(b"\n")
        return line if newline or len(line) == HEAD_BYTES else None

    def _recognise(self, status: os.stat_result) -> None:
        """Look whether this is the file that was read up to :attr:`offset`, and at a line's start."""
        if not self.offset:
            return
        if self.head is None:
            self.head = self._first_line()
        if status.st_size < self.offset or not self._is_read_up_to(self.offset):
            self.offset, self.head, self.tail = 0, None, None
            return
        while self.offset and os.pread(self.fd, 1, self.offset - 1) != b"\n":
            # Noted in the middle of a line, which is not complete before its newline is there.
            start = max(0, self.offset - CHUNK_BYTES)
            before = os.pread(self.fd, self.offset - start, start)
            self.offset = start + before.rfind(b"\n") + 1

    def _is_read_up_to(self, offset: int) -> bool:
        if self.tail is not None:
            return self.at(offset - len(self.tail), len(self.tail)) == self.tail
        return began_by(self.head, self.ctime_ns)

    def _unpack(self, packed: str) -> None:
        from tracectrl.files.compression import unpacked  # noqa: PLC0415 - only for such a file

        raw = open(self.fd, "rb")  # noqa: SIM115 - closed with the stream
        try:
            self.stream = unpacked(raw, packed)
        except BaseException:
            raw.close()
            self.fd = -1
            raise


def parse_whole(line: bytes) -> tuple[dict[str, Any], bytes]:
    """Return what a log line that had its newline says under our keys, and its bytes.

    Raises:
        ValueError: as there.
    """
    try:
        row, raw = parse(line)
    except ValueError as damage:
        if str(damage) == CUT_OFF:
            raise ValueError(NOT_JSON) from None
        raise
    return as_own(row), raw


def damaged_lines(count: int, what: str) -> str:
    """Return how a reader that does not count lines says that *count* of them are damaged."""
    return f"a line: {what}" if count == 1 else f"{count} lines: {what}"


def began_by(head: bytes | None, ctime_ns: int) -> bool:
    """Tell whether a file whose first line is *head* can be one that was there at *ctime_ns*."""
    row: dict[str, Any]
    try:
        row = as_own(parse(head or b"")[0])
    except ValueError:
        return True
    time = time_of(row.get("timestamp"))
    return time is None or time <= timestamp_ns(ctime_ns + _LAG_NS)

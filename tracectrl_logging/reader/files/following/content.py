"""What is followed: contents, and the files that hold them.

A content is known by what it says, not by the name or the number (inode) of a file, both of which
change: by its first line, and by what stands before the place up to which it was read. So a rotated
file, a copy, a compressed one and a restored one are the content that they hold.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from hashlib import blake2b
from typing import IO, TYPE_CHECKING, NamedTuple

from tracectrl_logging.reader.files.lines import MAX_LINE_BYTES
from tracectrl_logging.reader.files.opening import FLAGS, UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracectrl.files.names import ParsedName
    from tracectrl.schema import Kind
    from tracectrl_logging.reader.model import Line

MARK_SIZE = 6
"""How many bytes a mark has."""

ALL = -1
"""The place behind the last line of a content, wherever that is."""

_HEAD_BYTES = 64 * 1024  # how much of a first line tells contents apart
_MARK_BYTES = 256  # how much of what stands before a place tells whether a file holds the same
_CHUNK_BYTES = 256 * 1024
_PART_BYTES = 64 * 1024  # what is asked for in one piece is lost where the file breaks off in it


def mark_of(data: bytes) -> bytes:
    """Return a short mark that is the same for the same *data* alone."""
    return blake2b(data, digest_size=MARK_SIZE).digest()


_NOTHING = mark_of(b"")


class Stored:
    """A stored line that was read and is not handed out: one line, or several where it is OTLP."""

    __slots__ = ("before", "content", "given", "key", "lines", "read_at", "round", "size", "start")

    def __init__(self, content: Content, start: int, before: bytes, size: int) -> None:
        self.content = content
        self.start = start
        self.before = before
        """What stands before :attr:`start`, of which a mark is made."""
        self.size = size
        self.lines: list[Line] = []
        self.key = ""
        """The time to sort by."""
        self.read_at = 0.0
        self.round = 0
        self.given = 0
        """How many of the lines were handed out."""


class Content:
    """The lines of one file, whatever is its name, and how far they have been read."""

    __slots__ = (
        "before",
        "drained",
        "file",
        "first",
        "head",
        "is_backup_since",
        "is_placed",
        "kind",
        "latest",
        "mark",
        "noted",
        "offset",
        "pending_bytes",
        "seen",
        "skip",
        "skipping",
        "stem",
        "stored",
        "time",
    )

    def __init__(self, stem: str, kind: Kind, head: bytes | None = None, offset: int = 0) -> None:
        self.stem = stem
        self.kind = kind
        self.head = head
        """The mark of the first line; ``None`` where that is not known, or not complete."""
        self.offset = offset
        """Where the next line starts: all before it has been read. ``ALL`` for no next line."""
        self.before: bytes | None = b""
        """What stands before :attr:`offset`, as much of it as a mark is made of, if that is known."""
        self.mark = _NOTHING
        """The mark of that."""
        self.file: File | None = None
        """A file that holds it."""
        self.seen = (-1, -1)
        """The size and the time of that file up to which it has been read."""
        self.drained = False
        """Whether it has been read to its end, as far as that is known."""
        self.noted: Noted | None = None
        """A file that counts as read, as long as nobody had to know what it holds."""
        self.is_backup_since: float | None = None
        self.is_placed = False
        """Whether names stood still when it was met: what is found behind it is older than all known."""
        self.first: str | None = None
        """The time of the first line, where that is known."""
        self.latest = ""
        """The latest time in it so far, before which the next line is not sorted."""
        self.time: str | None = None
        """The time of the line before, or of the last before that has one; ``None``: not looked for."""
        self.skipping = False
        self.skip: dict[int, int] = {}
        """How many lines were handed out before of what starts where; what a cursor says."""
        self.stored: deque[Stored] = deque()
        """What was read and is not handed out."""
        self.pending_bytes = 0
        """How much of that waits to be."""

    def advance(self, offset: int, before: bytes) -> None:
        """Take all up to *offset* as read; *before* is what stands before that."""
        self.offset, self.before, self.mark = offset, before, mark_of(before)

    def take_as_read(self, file: File, head: bytes | None, size: int) -> None:
        """Take what stands before *size* in *file*, which is open, as read; what is packed, all of it."""
        self.noted, self.head, self.drained, self.is_placed = None, head, True, True
        if file.is_packed:
            self.offset = ALL
        else:
            offset = file.line_start(size)
            self.advance(offset, file.before(offset))

    def is_all_given(self) -> bool:
        """Tell whether all of it, as far as that is known, was handed out."""
        return self.drained and not self.stored

    def forget(self) -> None:
        """Forget what was handed out, as far as all before it was."""
        while self.stored and self.stored[0].given == len(self.stored[0].lines):
            self.stored.popleft()

    def position(self) -> tuple[int, bytes, dict[int, int]]:
        """Return up to where its lines were handed out, and a mark to know that place by.

        And how many lines were handed out of what starts at so many bytes from there.
        """
        if not self.stored:
            skip = {start - self.offset: given for start, given in self.skip.items()}
            return self.offset, self.mark, skip
        first = self.stored[0]
        given = {it.start - first.start: it.given for it in self.stored if it.given}
        given |= {start - first.start: number for start, number in self.skip.items()}
        return first.start, mark_of(first.before), given


class Noted(NamedTuple):
    """A file as it was when somebody began to follow."""

    name: str
    parsed: ParsedName
    ino: int
    size: int
    mtime_ns: int


class File:
    """A file, under the name that it has."""

    __slots__ = (
        "_window",
        "drained",
        "error",
        "fd",
        "first_line",
        "ino",
        "mtime_ns",
        "name",
        "parsed",
        "size",
        "stream",
    )

    def __init__(self, name: str, parsed: ParsedName, ino: int) -> None:
        self.name = name
        self.parsed = parsed
        self.ino = ino
        self.size = -1
        self.mtime_ns = 0
        self.fd = -1
        self.stream: IO[bytes] | None = None
        self._window = 0, b""
        self.first_line = b""
        """What :meth:`head` has seen."""
        self.drained = True
        self.error: Exception | None = None

    @property
    def is_packed(self) -> bool:
        """Whether it is compressed."""
        return self.parsed.packed is not None

    @property
    def status(self) -> tuple[int, int]:
        """Its size and its time."""
        return self.size, self.mtime_ns

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
        self.fd = fd
        self.take(status)
        if self.parsed.packed is not None:
            self._unpack(self.parsed.packed)
        return True

    def take(self, status: os.stat_result) -> None:
        """Take *status* as its own."""
        self.size, self.mtime_ns = status.st_size, status.st_mtime_ns

    def close(self) -> None:
        """Close the descriptor."""
        if self.fd < 0:
            return
        if self.stream is not None:
            self.stream.close()
        else:
            os.close(self.fd)
        self.fd, self.stream, self._window = -1, None, (0, b"")

    def at(self, offset: int, size: int) -> bytes:
        """Return what stands there, at most *size* bytes; :attr:`error` says why it is less."""
        if self.stream is None:
            try:
                return os.pread(self.fd, size, offset)
            except OSError as error:
                self.error = error
                return b""
        start, window = self._window
        parts = [window[offset - start :]] if start <= offset <= start + len(window) else []
        left = size - sum(map(len, parts))
        try:
            self.stream.seek(offset + size - left)
            while left > 0 and (part := self.stream.read1(min(left, _PART_BYTES))):  # type: ignore[attr-defined]
                parts.append(part)
                left -= len(part)
        except UNREADABLE as error:
            self.error = error
        data = b"".join(parts)
        end = offset + len(data)
        last = data[-_CHUNK_BYTES:]
        self._window = end - len(last), last  # to go back costs reading all again
        return data[:size]

    def before(self, offset: int) -> bytes:
        """Return the bytes before *offset* that its mark is made of."""
        start = max(0, offset - _MARK_BYTES)
        return self.at(start, offset - start)

    def head(self) -> bytes | None:
        """Return the mark of the first line; ``None`` where it is not complete."""
        for size in (_HEAD_BYTES // 16, _HEAD_BYTES):
            line, newline, _ = self.at(0, size).partition(b"\n")
            is_all = self.is_packed and line and self.error is None and len(line) < size
            if newline or is_all or len(line) == _HEAD_BYTES:
                self.first_line = line
                return mark_of(line)
        return None

    def line_start(self, offset: int) -> int:
        """Return where the line starts that the byte before *offset* is of; itself behind a newline."""
        while offset:
            start = max(0, offset - _CHUNK_BYTES)
            newline = self.at(start, offset - start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            offset = start
        return 0

    def has(self, content: Content) -> bool:
        """Tell whether it holds *content*, whose first line it has, up to where that was read."""
        if content.offset == ALL:
            return True
        before = self.before(content.offset)
        is_long_enough = len(before) == min(content.offset, _MARK_BYTES)
        return is_long_enough and mark_of(before) == content.mark

    def is_part_of(self, other: File) -> bool:
        """Tell whether it is a beginning of what *other* holds: a copy that is being made."""
        size, last = self.end()
        return bool(last) and other.at(size - len(last), len(last)) == last

    def end(self) -> tuple[int, bytes]:
        """Return how much it holds, and the bytes before its end that a mark is made of."""
        if self.stream is None:
            size = os.fstat(self.fd).st_size
            return size, self.before(size)
        size, last = 0, b""
        while chunk := self.at(size, _CHUNK_BYTES):
            size += len(chunk)
            last = (last + chunk)[-_MARK_BYTES:]
        return size, last

    def read(
        self,
        content: Content,
        budget_bytes: int,
        report: Callable[[str], object],
        end: int | None = None,
    ) -> list[tuple[int, bytes, bytes]]:
        """Return the next complete lines of *content*: where each starts, what is before it, its bytes.

        :attr:`drained` says whether these are all.

        Args:
            content: what it holds.
            budget_bytes: about how much of the file.
            report: is told what is wrong with it.
            end: the place up to which the file is meant; ``None`` for all of it.
        """
        self.error = None
        size, offset = budget_bytes, content.offset
        before = self.before(offset) if content.before is None else content.before
        while True:
            data = self.at(offset, size if end is None else min(size, end - offset))
            self.drained = len(data) < size
            if self.error is not None:
                report(f"the file cannot be read from here on: {self.error}")
                self.drained = True
            complete = data.rfind(b"\n") + 1
            if complete or self.drained or size >= MAX_LINE_BYTES or content.skipping:
                break
            size = min(size * 4, MAX_LINE_BYTES)
        if not complete and (content.skipping or not self.drained):
            if not content.skipping:
                report(f"a line longer than {MAX_LINE_BYTES} bytes, at byte {offset}")
            content.skipping = True
            content.advance(offset + len(data), (before + data[-_MARK_BYTES:])[-_MARK_BYTES:])
            return []
        if not complete:
            return []
        lines = data.split(b"\n")  # in one copy: a line may be long
        del data, lines[-1]
        lines.reverse()
        found = []
        while lines:
            line = lines.pop()
            if content.skipping:  # the rest of the overlong one
                content.skipping = False
            else:
                found.append((offset, before, line))
            offset += len(line) + 1
            before = (before + line[-_MARK_BYTES:] + b"\n")[-_MARK_BYTES:]
        content.advance(offset, before)
        return found

    def rest(self, content: Content) -> list[tuple[int, bytes, bytes]]:
        """Return what stands after the last newline: of a file nobody writes any more."""
        if content.skipping or content.offset == ALL:
            return []
        offset = content.offset
        before = self.before(offset) if content.before is None else content.before
        data = self.at(offset, MAX_LINE_BYTES)
        if self.error is not None or not data:
            return []
        content.advance(offset + len(data), (before + data[-_MARK_BYTES:])[-_MARK_BYTES:])
        return [(offset, before, data)]

    def _unpack(self, packed: str) -> None:
        from tracectrl.files.compression import unpacked  # noqa: PLC0415 - only for such a file

        raw = open(self.fd, "rb")  # noqa: SIM115 - closed with the stream
        try:
            self.stream = unpacked(raw, packed)
        except BaseException:
            raw.close()
            self.fd = -1
            raise

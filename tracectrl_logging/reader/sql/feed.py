"""The lines of a whole root as one stream, for a database that reads JSON Lines.

What the database is not good at happens here: names and links, compressed and damaged files, lines
of others. Lines that look like our own are passed on as they are, unparsed; all others go one by one,
as every other command reads them (:mod:`tracectrl_logging.reader.files.lines`).
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import math
import os
import stat
import threading
from typing import TYPE_CHECKING, NamedTuple

import orjson

from tracectrl._json import well_formed
from tracectrl.files.listing import StoredSession, scan_names
from tracectrl.files.names import LOG_SUFFIX, OVERFLOW_STEM, SPAN_SUFFIX
from tracectrl.schema import UNKNOWN
from tracectrl_logging.reader.files.lines import MAX_LINE_BYTES, flat_rows
from tracectrl_logging.reader.files.opening import UNREADABLE, OpenFile, close_all, open_chain
from tracectrl_logging.reader.files.root import id_of, session_named, tell_unread
from tracectrl_logging.reader.model import Damage
from tracectrl_logging.reader.sql.passing import SEPARATOR, Passing, normal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from typing import Final

    from tracectrl.schema import Kind
    from tracectrl_logging.reader.model import Report

_SUFFIX: Final[dict[Kind, str]] = {"log": LOG_SUFFIX, "span": SPAN_SUFFIX}
_BLOCK_BYTES: Final = 1024 * 1024
_SMALL_BYTES: Final = 32 * 1024
_LARGE_BYTES: Final = 2 * 1024 * 1024
_WRITE_BYTES: Final = 256 * 1024
_PIPE_BYTES: Final = 1024 * 1024
_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PART_BYTES: Final = 16 * 1024
_MEGABYTE: Final = 1_000_000
_SHARE: Final = 32
_VALUE_BYTES: Final = 150
"""The memory that a value on a line takes while the line is parsed, more or less."""


class Limits(NamedTuple):
    """How large a line may be such that the memory of a query holds it."""

    line_bytes: int
    values: int

    @classmethod
    def of_memory(cls, memory_mb: int) -> Limits:
        """Return the limits for *memory_mb*: a small part of it for a line, all of it for its values.

        The database holds several buffers, in each of which the longest line has to fit.
        """
        size = memory_mb * _MEGABYTE
        line_bytes = min(max(size // _SHARE, _BLOCK_BYTES + 2), MAX_LINE_BYTES)
        return cls(line_bytes, size // _VALUE_BYTES)

    @property
    def sent_bytes(self) -> int:
        """The longest line in the form in which it is passed on, without its file in front."""
        return self.line_bytes + self.line_bytes // _SHARE

    def excess(self, size: int, line: bytes) -> str | None:
        """Say by what a line of *size* bytes, of which *line* are known, is too large, if it is."""
        if size > self.line_bytes:
            return f"longer than {self.line_bytes} bytes"
        if size > _BLOCK_BYTES and line.count(b",") > self.values:
            return f"more than {self.values} values"
        return None


class Feed:
    """Writes the lines of one *kind* into a pipe, on a thread of its own.

    Args:
        root: the trace directory.
        kind: log lines or spans.
        report: hears of damage, on the thread.
        limits: a larger line is damage.
    """

    def __init__(self, root: str, kind: Kind, report: Report, limits: Limits) -> None:
        self.failure: Exception | None = None
        """Why what was written is not all."""
        self._root, self._kind, self._limits = root, kind, limits
        self._on_damage, self._reported = report, set[Damage]()
        self.with_place = False
        """Whether the file's name and the session's ID, as JSON, stand in front of each line."""
        self._passing = Passing(kind, ())
        self.fd, self._target = os.pipe()
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with contextlib.suppress(OSError):  # more than this user may have
                fcntl.fcntl(self._target, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._thread: threading.Thread | None = None

    def start(self, keys: Collection[str]) -> None:
        """Begin to write lines, of which *keys* are read."""
        self._passing = Passing(self._kind, keys)
        self._thread = threading.Thread(target=self._run, name="tracectrl-feed", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it; whoever reads the pipe must have ended."""
        os.close(self.fd)
        if self._thread is None:
            os.close(self._target)
        else:
            self._thread.join()

    def measured(self) -> int:
        """Return the length of the longest line that is passed on, without its file in front."""
        if not self._has_long_lines():
            self._limits = self._limits._replace(line_bytes=2 * _BLOCK_BYTES)
        return self._limits.sent_bytes

    def _has_long_lines(self) -> bool:
        """Tell whether a line may be longer than two blocks: one block then has no newline."""
        live = _SUFFIX[self._kind]
        for stem, all_suffixes in scan_names(self._root).items():
            suffixes = [suffix for suffix in all_suffixes if suffix.startswith(live)]
            if suffixes not in ([], [live]):  # rotated or compressed files
                return True
            path = os.path.join(self._root, stem + live)
            with contextlib.suppress(OSError):
                if os.lstat(path).st_size > _BLOCK_BYTES and _has_block_without_newline(path):
                    return True
        return False

    def report_all(self) -> None:
        """Report each line that cannot be read, once, also those that look like our own."""
        self._passing = Passing(self._kind, (), passes_none=True)
        for _ in self.blocks():
            pass

    def _report(self, damage: Damage) -> None:
        if damage not in self._reported:
            self._reported.add(damage)
            self._on_damage(damage)

    def _run(self) -> None:
        waiting: list[bytes] = []
        size = 0
        try:
            for block in self.blocks():
                if len(block) > _LARGE_BYTES:
                    self._write(b"".join(waiting))
                    waiting.clear()
                    size = 0
                    self._write(block)
                    continue
                waiting.append(block)
                size += len(block)
                if size >= _WRITE_BYTES:
                    self._write(b"".join(waiting))
                    waiting.clear()
                    size = 0
            self._write(b"".join(waiting))
        except BrokenPipeError:  # the database has seen enough
            pass
        except Exception as error:  # noqa: BLE001 - raised where the result is used
            self.failure = error
        finally:
            os.close(self._target)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._target, view) :]

    def blocks(self) -> Iterator[bytes]:
        """Yield whole lines, any number in one block."""
        live = _SUFFIX[self._kind]
        unread: list[str] = []
        found = scan_names(self._root, unread=unread)
        tell_unread(self._root, (name for name in unread if live in name), self._report)
        for stem in sorted(found):
            suffixes = [suffix for suffix in found[stem] if suffix.startswith(live)]
            if not suffixes:
                continue
            listed = StoredSession(self._root, stem, found[stem])
            session: StoredSession | None = listed
            sid = None if stem == OVERFLOW_STEM else id_of(listed, self._report)
            if suffixes == [live]:
                try:
                    yield from self._plain(os.path.join(self._root, stem + live), sid)
                    continue
                except FileNotFoundError:  # rotated, compressed or removed just now
                    session = session_named(self._root, stem)
            if session is not None:
                yield from self._chain(session, sid)

    def _plain(self, path: str, sid: str | None) -> Iterator[bytes]:
        """Yield the lines of the one file of a session, which is not compressed."""
        try:
            fd = os.open(path, _FLAGS)
        except FileNotFoundError:
            raise
        except OSError as error:
            self._report(Damage(path, None, error.strerror or str(error)))
            return
        with open(fd, "rb", buffering=0) as stream:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                self._report(Damage(path, None, "not a regular file"))
                return
            yield from self._lines(OpenFile(path, stream, status.st_size), sid, status.st_size)

    def _chain(self, found: StoredSession, sid: str | None) -> Iterator[bytes]:
        files = open_chain(found, self._kind, self._report)
        try:
            for file in files:
                yield from self._lines(file, sid, _BLOCK_BYTES)
        finally:
            close_all(files)

    def _lines(self, file: OpenFile, sid: str | None, size: int) -> Iterator[bytes]:
        """Yield the lines of *file*, of the session *sid*, or of many where that is ``None``."""
        blocks = self._blocks_of(file, sid, size)
        if not self.with_place:
            yield from blocks
            return
        name = os.path.basename(file.path).encode()
        own = None if sid is None else well_formed(sid)
        place = SEPARATOR.join((name, orjson.dumps(own), b""))
        for block in blocks:
            if len(block) > _LARGE_BYTES and block.find(b"\n") == len(block) - 1:
                yield place
                yield block  # one line, of which there should be no further copies
                continue
            yield place + block.replace(b"\n", b"\n" + place)[: -len(place)]

    def _blocks_of(self, file: OpenFile, sid: str | None, size: int) -> Iterator[bytes]:
        """Yield whole lines of *file*, any number in one block."""
        path, stream, present_bytes = file
        end_bytes = math.inf if present_bytes is None else present_bytes
        at = 0
        read, block_bytes, next_bytes = stream.read, min(size, _BLOCK_BYTES) + 1, _BLOCK_BYTES
        if hasattr(stream, "read1"):  # a block of a damaged file is lost as a whole: small ones
            read, block_bytes, next_bytes = stream.read1, _SMALL_BYTES, _SMALL_BYTES
        rest: list[bytes] = []  # the start of a line whose end has not been read yet
        rest_bytes = number = 0
        while at < end_bytes:  # what is written faster than it is read has no end of its own
            try:
                data = read(block_bytes)
            except UNREADABLE as error:
                reason = f"the file cannot be read from here on: {error}"
                self._report(Damage(path, number + 1, reason))
                data = b""
            if not data:
                break
            at += len(data)
            end = data.rfind(b"\n") + 1
            if end:
                block = data[:end] if end < len(data) else data
                if rest_bytes:
                    line, block = self._joined(path, number + 1, (rest, rest_bytes), block)
                    yield from self._checked(path, sid, line, number)
                    number += 1
                    rest.clear()
                    rest_bytes = 0
                yield from self._checked(path, sid, block, number)
                number += block.count(b"\n")
                data = data[end:]
            if data:
                rest_bytes += len(data)
                if rest_bytes <= self._limits.line_bytes:
                    rest.append(data)
            block_bytes = next_bytes
        if rest_bytes:
            line, _ = self._joined(path, number + 1, (rest, rest_bytes), b"\n")
            yield from self._checked(path, sid, line, number)

    def _joined(
        self, path: str, number: int, begun: tuple[list[bytes], int], block: bytes
    ) -> tuple[bytes, bytes]:
        """Return the line that has *begun* and ends in *block*, and the lines behind it.

        Nothing is returned of a line that is too large.
        """
        rest, size = begun
        end = block.index(b"\n") + 1
        size += end
        line = b"".join((*rest, block[:end])) if size <= self._limits.line_bytes else b""
        excess = self._limits.excess(size, line)
        if excess is not None:
            self._report(Damage(path, number, excess))
            line = b""
        return line, block[end:]

    def _checked(self, path: str, sid: str | None, block: bytes, before: int) -> Iterator[bytes]:
        """Yield the lines of *block*, of whose file *before* lines were read already."""
        end_of = self._passing.end
        start = 0
        while start < len(block):
            end = end_of(block, start)
            is_own = end > start
            while not is_own and end < len(block):
                end = block.index(b"\n", end) + 1
                if end_of(block, end) > end:
                    break
            lines = block if end - start == len(block) else block[start:end]
            yield from self._sent(path, sid, lines, before, is_own=is_own)
            if end < len(block):
                before += lines.count(b"\n")
            start = end

    def _sent(
        self, path: str, sid: str | None, lines: bytes, before: int, *, is_own: bool
    ) -> Iterator[bytes]:
        """Yield *lines*, which look like our own or do not; where these do not pass, in parts."""
        if is_own and self._passing.passes(lines):
            yield lines
            return
        middle = lines.find(b"\n", len(lines) // 2) + 1
        if not is_own or len(lines) < _PART_BYTES or middle == len(lines):
            yield from self._parsed(path, sid, lines, before)
            return
        first = lines[:middle]
        yield from self._sent(path, sid, first, before, is_own=True)
        before += first.count(b"\n")
        yield from self._sent(path, sid, lines[middle:], before, is_own=True)

    def _parsed(self, path: str, sid: str | None, lines: bytes, before: int) -> Iterator[bytes]:
        """Yield *lines* one by one, each in the form that the database takes."""

        def report(damage: Damage) -> None:
            line = None if damage.line is None else damage.line + before
            self._report(Damage(damage.path, line, damage.reason))

        most = self._limits.sent_bytes
        file = OpenFile(path, io.BytesIO(lines))
        for number, raw, row in flat_rows(file, self._kind, sid or UNKNOWN, report):
            line = normal(self._kind, raw, row)
            if len(line) <= most:
                yield line + b"\n"
            else:
                report(Damage(path, number, f"longer than {self._limits.line_bytes} bytes"))


def _has_block_without_newline(path: str) -> bool:
    """Tell whether the file at *path* has one, by looking at as little as that takes."""
    with open(os.open(path, _FLAGS), "rb", buffering=0) as stream:
        for at in range(0, os.fstat(stream.fileno()).st_size, _BLOCK_BYTES):
            data = os.pread(stream.fileno(), _SMALL_BYTES, at)
            if b"\n" not in data and b"\n" not in os.pread(stream.fileno(), _BLOCK_BYTES, at):
                return True
    return False

"""The last lines of many log files, read from the ends backwards."""

from __future__ import annotations

import contextlib
import heapq
import os
from collections import Counter, deque
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from tracectrl._json import timestamp_ns
from tracectrl._time import time_of
from tracectrl.files.names import OVERFLOW_STEM, session_id_of, stem_of
from tracectrl.schema import UNKNOWN
from tracectrl_logging.reader.files.followed import Followed, damaged_lines, parse_whole
from tracectrl_logging.reader.files.lines import MAX_LINE_BYTES, flat_rows
from tracectrl_logging.reader.files.opening import OpenFile
from tracectrl_logging.reader.model import Damage, Line
from tracectrl_logging.reader.parsing import row_of
from tracectrl_logging.reader.timeline.order import in_time_order
from tracectrl_logging.reader.timeline.spill import Shelf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from tracectrl_logging.reader.model import Report
    from tracectrl_logging.reader.timeline.spill import Handle

    Predicate = Callable[[Mapping[str, Any]], bool]

_BLOCK_BYTES = 64 * 1024
_CHUNK_BYTES = 256 * 1024
_MOST_BLOCK_BYTES = 4 * 1024 * 1024
_RUN_BYTES = 8 * 1024 * 1024
_SURE_AFTER = 64
# So many files are all looked into: the times in their lines need not fit those of the files.
_FEW_FILES = 2000
_SLACK_NS = 2_000_000_000


class MovedError(Exception):
    """A file is not under its name any more."""


class Wanted(NamedTuple):
    """Which lines are meant."""

    predicate: Predicate | None
    stems: frozenset[str] | None
    """The sessions meant, by the stems of their files; ``None`` for all."""

    def means(self, file: Followed, row: dict[str, Any]) -> bool:
        """Tell whether *row*, a line of *file*, is meant."""
        if self.predicate is not None and not self.predicate(row):
            return False
        if self.stems is None or file.parsed.stem != OVERFLOW_STEM:
            return True
        sid = row.get("session_id")
        return stem_of(sid if isinstance(sid, str) and sid else UNKNOWN) in self.stems


class Backlog:
    """Reads the last lines of files.

    Args:
        directory: the root.
        wanted: which lines are meant.
        report: called for each line or file that cannot be read.
        complete: only lines whose newline is there.
    """

    def __init__(self, directory: str, wanted: Wanted, report: Report, *, complete: bool) -> None:
        self._directory = directory
        self._wanted = wanted
        self._report = report
        self._complete = complete
        self._damaged: Counter[str] = Counter()
        self._shelf = Shelf()

    def last(self, files: list[Followed], count: int | None) -> Iterator[Line]:
        """Yield the last *count* lines of *files* (``None``: all) in time order.

        A file is meant as far as it has been noted.

        Raises:
            MovedError: a file has another name by now; nothing was yielded yet.
        """
        if count is None:
            files = sorted(files, key=lambda file: (file.parsed.stem, -file.parsed.backup))
            lines = chain.from_iterable(map(self._all_of, files))
            yield from in_time_order(lines, _RUN_BYTES)
            return
        best: list[tuple[str, int, int, Handle, str]] = []
        files = sorted(files, key=lambda file: -file.mtime_ns)
        for turn, file in enumerate(files if count else ()):
            least = best[0][0] if len(best) == count else ""
            if turn >= _FEW_FILES and timestamp_ns(file.mtime_ns + _SLACK_NS) < least:
                break
            for number, (reached, kept) in enumerate(self._last_of(file, count, least)):
                item = (reached, -turn, number, kept, self._path(file))
                if len(best) < count:
                    heapq.heappush(best, item)
                else:
                    heapq.heappushpop(best, item)
        best.sort()
        for reached, _, _, kept, path in best:
            yield _line(self._shelf.get(kept), reached, path)

    def _last_of(self, file: Followed, count: int, least: str) -> list[tuple[str, Handle]]:
        """Return the last *count* lines of *file*, fewer where the others are before *least*.

        Each has the latest time up to it in the file, so that their order is kept by their times.
        """
        found: deque[tuple[str, Handle]] = deque(maxlen=count)
        means, keep = self._wanted.means, self._shelf.put
        with self._opened(file) as opened:
            if opened is None:
                return []
            early = 0
            is_forward = opened.stream is not None
            lines = self._rows(file, opened) if is_forward else self._backwards(file, opened.fd)
            for raw, row in lines:
                time = time_of(row.get("timestamp")) or ""
                kept = keep(raw) if means(file, row) else None
                del raw, row  # they may be long, and so may the next
                if is_forward:
                    if kept is not None:
                        found.append((time, kept))
                    continue
                early = early + 1 if time < least else 0
                if kept is not None:
                    found.appendleft((time, kept))
                if len(found) == count or early > _SURE_AFTER:
                    break
        reached = ""
        ordered = []
        for time, kept in found:
            reached = max(reached, time)
            ordered.append((reached, kept))
        return ordered

    def _all_of(self, file: Followed) -> Iterator[Line]:
        """Yield the lines of *file* in the order of writing."""
        path = self._path(file)
        reached = ""
        with self._opened(file) as opened:
            if opened is None:
                return
            packed = opened.stream is not None
            for raw, row in self._rows(file, opened) if packed else self._forwards(file, opened):
                if self._wanted.means(file, row):
                    reached = time_of(row.get("timestamp")) or reached
                    yield log_line(row, raw, reached, path)
                del raw, row  # it may be long, and so may the next

    @contextlib.contextmanager
    def _opened(self, file: Followed) -> Iterator[Followed | None]:
        opened = Followed(file.name, file.parsed, file.ino)
        try:
            is_there = opened.open(self._directory)
        except (OSError, ImportError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            self._tell(file, reason or str(error))
            yield None
            return
        if not is_there:
            raise MovedError(file.name)
        try:
            yield opened
        finally:
            opened.close()
            for what, count in self._damaged.items():
                self._tell(file, damaged_lines(count, what))
            self._damaged.clear()

    def _rows(self, file: Followed, opened: Followed) -> Iterator[tuple[bytes, dict[str, Any]]]:
        """Yield the lines of a compressed file."""
        if opened.stream is not None:
            stored = OpenFile(self._path(file), opened.stream)
            for _, raw, row in flat_rows(stored, "log", UNKNOWN, self._report):
                yield raw, row

    def _backwards(self, file: Followed, fd: int) -> Iterator[tuple[bytes, dict[str, Any]]]:
        """Yield the lines of *file*, the last one first."""
        position, size, is_torn = file.offset, _BLOCK_BYTES, self._complete
        parts: list[bytes] = []  # of a line whose start is further on, the last one first
        length = 0
        while position:
            size = min(size, position)
            position -= size
            first, *lines = os.pread(fd, size, position).split(b"\n")
            if not lines:
                size = min(size * 4, _MOST_BLOCK_BYTES)
            else:
                size = _BLOCK_BYTES
                parts.append(lines.pop())
                if not is_torn:  # else that is what follows the last newline
                    yield from self._joined(parts, length + len(parts[-1]))
                is_torn = False
                while lines:
                    yield from self._parsed(lines.pop())
                parts.clear()
                length = 0
            length += len(first)
            if is_torn or length >= MAX_LINE_BYTES:
                parts.clear()
            else:
                parts.append(first)
        if not is_torn:
            yield from self._joined(parts, length)

    def _joined(self, parts: list[bytes], length: int) -> Iterator[tuple[bytes, dict[str, Any]]]:
        if length >= MAX_LINE_BYTES:
            self._damaged[f"longer than {MAX_LINE_BYTES} bytes"] += 1
            return
        line = b"".join(reversed(parts))
        parts.clear()
        yield from self._parsed(line)

    def _forwards(self, file: Followed, opened: Followed) -> Iterator[tuple[bytes, dict[str, Any]]]:
        opened.drained = False
        while not opened.drained:
            lines = opened.read(_CHUNK_BYTES, partial(self._tell, file), file.offset)
            lines.reverse()
            while lines:
                yield from self._parsed(lines.pop())
        if not self._complete:
            yield from self._parsed(opened.rest(file.offset))

    def _parsed(self, line: bytes) -> Iterator[tuple[bytes, dict[str, Any]]]:
        if not line or line.isspace():
            return
        try:
            row, raw = parse_whole(line)
        except ValueError as damage:
            self._damaged[str(damage)] += 1
        else:
            yield raw, row

    def _path(self, file: Followed) -> str:
        return os.path.join(self._directory, file.name)

    def _tell(self, file: Followed, what: str) -> None:
        self._report(Damage(self._path(file), None, what))


def _line(raw: bytes, reached: str, path: str) -> Line:
    row = row_of("log", raw)
    return log_line(row, raw, time_of(row.get("timestamp")) or reached, path)


def log_line(row: dict[str, Any], raw: bytes, time: str, path: str) -> Line:
    """Return a log line of the file at *path*, whose session is the one that it names, or its file's."""
    own = row.get("session_id")
    sid = own if isinstance(own, str) and own else None
    if sid is None:
        try:
            sid = session_id_of(path)
        except (OSError, ValueError, ImportError):
            sid = UNKNOWN
    return Line("log", row, raw, time, path, 0, sid)

"""The last lines of many log files, read from the ends backwards.

The module is long, for one walk backwards finds lines, open spans and the bound at which to stop.
"""

from __future__ import annotations

import contextlib
import heapq
import os
from collections import Counter, deque
from functools import partial
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from tracectrl._json import timestamp_ns
from tracectrl._time import time_of
from tracectrl.files.names import OVERFLOW_STEM, session_id_of, stem_of
from tracectrl.schema import TIME_KEY, UNKNOWN
from tracectrl_logging.reader.files.following.content import Content, File
from tracectrl_logging.reader.files.lines import MAX_LINE_BYTES, flat, flat_rows, session_of
from tracectrl_logging.reader.files.opening import KIND_OF, OpenFile
from tracectrl_logging.reader.model import Damage, Line
from tracectrl_logging.reader.parsing import CUT_OFF, NOT_JSON, parse, row_of
from tracectrl_logging.reader.timeline.open_spans import (
    Held,
    end_of,
    is_open,
    is_unsettled,
    settled,
    span_key,
)
from tracectrl_logging.reader.timeline.order import in_time_order
from tracectrl_logging.reader.timeline.spill import Shelf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from tracectrl.schema import Kind
    from tracectrl_logging.reader.files.following.content import Noted
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
_MOST_ENDED = 1_000_000  # beyond these, a span that was open long before its end is shown twice


class MovedError(Exception):
    """A file is not under its name any more."""


class Wanted(NamedTuple):
    """Which lines are meant."""

    predicates: dict[Kind, Predicate | None]
    stems: frozenset[str] | None
    """The sessions meant, by the stems of their files; ``None`` for all."""

    def means(self, kind: Kind, stem: str, row: dict[str, Any]) -> bool:
        """Tell whether *row*, a line of a file of *stem*, is meant."""
        predicate = self.predicates[kind]
        if predicate is not None and not predicate(row):
            return False
        if self.stems is None or stem != OVERFLOW_STEM or stem in self.stems:
            return True
        return stem_of(session_of(row, UNKNOWN)) in self.stems


class _Kept(NamedTuple):
    """A line that may be one of the last."""

    end: str
    """The time to sort by."""
    handle: Handle
    time: str


class Backlog:
    """Reads the last lines of files, log lines and spans.

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
        self._ended: set[int] = set()  # hashes of spans whose last lines were met
        self._sids: dict[str, str] = {}
        self._files: list[Noted] = []
        self._times: dict[tuple[str, Kind], str] = {}

    def last(self, files: list[Noted], count: int | None) -> Iterator[Line]:
        """Yield the last *count* lines of *files* (``None``: all) in time order, a span where it ends.

        A file is meant as far as it has been noted.

        Raises:
            MovedError: a file has another name by now; nothing was yielded yet.
        """
        self._files = files = sorted(files, key=lambda it: (it.parsed.stem, -it.parsed.backup))
        if count is None:
            streams = [self._of_kind(files, kind) for kind in ("logs", "spans")]
            yield from heapq.merge(*streams, key=_end)
            return
        best: list[tuple[str, int, int, _Kept, Noted]] = []
        files = sorted(files, key=lambda file: -file.mtime_ns)
        for turn, file in enumerate(files if count else ()):
            least = best[0][0] if len(best) == count else ""
            if turn >= _FEW_FILES and timestamp_ns(file.mtime_ns + _SLACK_NS) < least:
                break
            reached = ""
            for number, kept in enumerate(self._last_of(file, count, least)):
                reached = max(reached, kept.end)  # so that the order in the file stands
                item = (reached, -turn, number, kept, file)
                if len(best) < count:
                    heapq.heappush(best, item)
                else:
                    heapq.heappushpop(best, item)
        best.sort(key=itemgetter(0, 1, 2))
        for _, _, _, kept, file in best:
            raw = self._shelf.get(kept.handle)
            yield self._line(file, raw, row_of(kind_of(file), raw), kept.time)
            del raw  # it may be long, and so may the next

    def _of_kind(self, files: list[Noted], kind: str) -> Iterator[Line]:
        held: Held[tuple[str, Line]] = Held()
        lines = chain.from_iterable(
            self._all_of(it, held) for it in files if it.parsed.kind == kind
        )
        return in_time_order(chain(lines, self._still_open(held)), _RUN_BYTES)

    def _still_open(self, held: Held[tuple[str, Line]]) -> Iterator[Line]:
        """Yield the lines of spans whose ends have not come, now that all was read."""
        for stem, line in held.rest():
            if self._wanted.means(line.kind, stem, line.row):
                yield line

    def _last_of(self, file: Noted, count: int, least: str) -> list[_Kept]:
        """Return the last *count* lines of *file*, fewer where the others are before *least*."""
        found: deque[_Kept] = deque(maxlen=count)
        stem, kind, keep = file.parsed.stem, kind_of(file), self._shelf.put
        time = ""
        untimed = 0  # the first ones, in a file that is read backwards
        with self._opened(file) as opened:
            if opened is None:
                return []
            early = 0
            is_forward = opened.stream is not None
            lines = self._rows(file, opened) if is_forward else self._backwards(file, opened.fd)
            for raw, row in lines if kind == "log" else self._spans(lines, is_forward=is_forward):
                own = time_of(row.get(TIME_KEY[kind])) or ""
                end = end_of(kind, row) or own
                is_full = not is_forward and len(found) == count
                is_meant = not is_full and self._wanted.means(kind, stem, row)
                handle = keep(raw) if is_meant else None
                del raw, row  # they may be long, and so may the next
                time = own or time
                if is_forward:
                    if handle is not None:
                        found.append(_Kept(end or time, handle, time))
                    continue
                if handle is not None:
                    found.appendleft(_Kept(end, handle, own))
                    untimed += 1
                if own:
                    _give_time(found, untimed, own)
                    untimed = 0
                early = early + 1 if end < least else 0
                if not untimed and (len(found) == count or early > _SURE_AFTER):
                    break
        if is_forward:
            untimed = next((n for n, kept in enumerate(found) if kept.time), len(found))
        if untimed:
            _give_time(found, untimed, self._time_before(file))
        return list(found)

    def _time_before(self, file: Noted) -> str:
        """Return the last time in the files that are older than *file*."""
        key = file.parsed._replace(backup=0, packed=None)
        time = ""
        for older in reversed(self._files):
            is_older = older.parsed.backup > file.parsed.backup
            if not is_older or older.parsed._replace(backup=0, packed=None) != key:
                continue
            with self._opened(older) as opened:
                is_forward = opened is not None and opened.stream is not None
                lines = iter(()) if opened is None else self._backwards(older, opened.fd)
                for _, row in self._rows(older, opened) if opened and is_forward else lines:
                    time = time_of(row.get(TIME_KEY[kind_of(older)])) or time
                    if time and not is_forward:
                        break
            if time:
                break
        return time

    def _spans(
        self, lines: Iterator[tuple[bytes, dict[str, Any]]], *, is_forward: bool
    ) -> Iterator[tuple[bytes, dict[str, Any]]]:
        """Yield *lines* without those of open spans that have ended since."""
        for raw, row in settled(lines, itemgetter(1)) if is_forward else lines:
            if not self._has_ended(row):
                yield raw, row
            del raw, row  # they may be long, and so may the next

    def _has_ended(self, row: Mapping[str, Any]) -> bool:
        """Tell whether *row* is of an open span whose end was met; lines are met from the last one on."""
        key = span_key(row)
        if key is None:
            return False
        if is_unsettled(row) and (hash(key) in self._ended or not is_open(row)):
            self._ended.add(hash(key))
            return True
        if len(self._ended) < _MOST_ENDED:
            self._ended.add(hash(key))
        return False

    def _all_of(self, file: Noted, held: Held[tuple[str, Line]]) -> Iterator[Line]:
        """Yield the lines of *file* in the order of writing."""
        stem, kind = file.parsed.stem, kind_of(file)
        time = self._times.get((stem, kind), "")
        with self._opened(file) as opened:
            if opened is None:
                return
            packed = opened.stream is not None
            for raw, row in self._rows(file, opened) if packed else self._forwards(file, opened):
                self._times[stem, kind] = time = time_of(row.get(TIME_KEY[kind])) or time
                if kind == "span" and is_unsettled(row):
                    held.passes(row, (stem, self._line(file, raw, row, time)))
                    continue
                held.forget(row)
                if self._wanted.means(kind, stem, row):
                    yield self._line(file, raw, row, time)
                del raw, row  # it may be long, and so may the next

    def _line(self, file: Noted, raw: bytes, row: dict[str, Any], reached: str) -> Line:
        kind = kind_of(file)
        sid = session_of(row, self._sid_of(file))
        return Line(
            kind, row, raw, time_of(row.get(TIME_KEY[kind])) or reached, self._path(file), 0, sid
        )

    @contextlib.contextmanager
    def _opened(self, file: Noted) -> Iterator[File | None]:
        opened = File(file.name, file.parsed, file.ino)
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

    def _rows(self, file: Noted, opened: File) -> Iterator[tuple[bytes, dict[str, Any]]]:
        """Yield the lines of a compressed file."""
        if opened.stream is not None:
            stored = OpenFile(self._path(file), opened.stream)
            sid = self._sid_of(file)
            for _, raw, row in flat_rows(stored, kind_of(file), sid, self._report):
                yield raw, row

    def _backwards(self, file: Noted, fd: int) -> Iterator[tuple[bytes, dict[str, Any]]]:
        """Yield the lines of *file*, the last one first."""
        position, size, is_torn = file.size, _BLOCK_BYTES, self._complete
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
                    yield from self._joined(file, parts, length + len(parts[-1]))
                is_torn = False
                while lines:
                    yield from self._parsed(file, lines.pop(), -1)
                parts.clear()
                length = 0
            length += len(first)
            if is_torn or length >= MAX_LINE_BYTES:
                parts.clear()
            else:
                parts.append(first)
        if not is_torn:
            yield from self._joined(file, parts, length)

    def _joined(
        self, file: Noted, parts: list[bytes], length: int
    ) -> Iterator[tuple[bytes, dict[str, Any]]]:
        if length >= MAX_LINE_BYTES:
            self._damaged[f"longer than {MAX_LINE_BYTES} bytes"] += 1
            return
        line = b"".join(reversed(parts))
        parts.clear()
        yield from self._parsed(file, line, -1)

    def _forwards(self, file: Noted, opened: File) -> Iterator[tuple[bytes, dict[str, Any]]]:
        content = Content(file.parsed.stem, kind_of(file))
        opened.drained = False
        while not opened.drained and content.offset < file.size:
            size = min(_CHUNK_BYTES, file.size - content.offset)
            lines = opened.read(content, size, partial(self._tell, file), file.size)
            lines.reverse()
            while lines:
                yield from self._parsed(file, lines.pop()[2])
        if not self._complete:
            for start, _, rest in opened.rest(content):
                yield from self._parsed(file, rest[: file.size - start])

    def _parsed(
        self, file: Noted, line: bytes, at: int = 0
    ) -> Iterator[tuple[bytes, dict[str, Any]]]:
        if not line or line.isspace():
            return
        kind = kind_of(file)
        whose = kind, self._sid_of(file)
        try:
            found = list(flat(self._path(file), 0, parse_whole(line), whose, self._report))
        except ValueError as damage:
            self._damaged[str(damage)] += 1
            return
        while found:
            yield found.pop(at)  # and kept by nobody else

    def _sid_of(self, file: Noted) -> str:
        if file.name not in self._sids:
            self._sids[file.name] = sid_of(self._path(file))
        return self._sids[file.name]

    def _path(self, file: Noted) -> str:
        return os.path.join(self._directory, file.name)

    def _tell(self, file: Noted, what: str) -> None:
        self._report(Damage(self._path(file), None, what))


def _give_time(found: deque[_Kept], count: int, time: str) -> None:
    """Let the first *count* lines of *found* have *time* where they name none."""
    for number in range(count):
        kept = found[number]
        found[number] = _Kept(kept.end or time, kept.handle, kept.time or time)


def kind_of(file: Noted | File) -> Kind:
    """Return what the lines of *file* are of."""
    return KIND_OF[file.parsed.kind]


def sid_of(path: str) -> str:
    """Return the session ID of a line that names none, in the file at *path*."""
    try:
        return session_id_of(path)
    except (OSError, ValueError, ImportError):
        return UNKNOWN


def parse_whole(line: bytes) -> tuple[dict[str, Any], bytes]:
    """Return what a line that had its newline says, and its bytes.

    Raises:
        ValueError: as there.
    """
    try:
        return parse(line)
    except ValueError as damage:
        if str(damage) == CUT_OFF:
            raise ValueError(NOT_JSON) from None
        raise


def damaged_lines(count: int, what: str) -> str:
    """Return how a reader that does not count lines says that *count* of them are damaged."""
    return f"a line: {what}" if count == 1 else f"{count} lines: {what}"


def _end(line: Line) -> str:
    return end_of(line.kind, line.row) or line.time

"""The lines of a session in the order of their times, in bounded memory.

A file's order is the order of writing: nearly that of the times for log lines, and that of the ends
for spans, while they are shown by their starts. So each kind is sorted by itself, in memory while
it is small, else in sorted runs that wait in a temporary file; then both are merged. Lines of equal
time keep the order of writing, spans come before log lines.
"""

from __future__ import annotations

import heapq
import itertools
import os
from operator import attrgetter, itemgetter
from typing import IO, TYPE_CHECKING, Any

from tracectrl_logging.reader.files.lines import lines, parse
from tracectrl_logging.reader.model import Line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tracectrl_logging.reader.files.listing import SessionFiles
    from tracectrl_logging.reader.model import Kind, Report

    # A line's time, the number of its file, its number there, and its bytes or where they are.
    _Entry = tuple[str, int, int, bytes | tuple[int, int]]

RUN_BYTES = 16 * 1024 * 1024
"""How many bytes of lines are sorted in memory at once."""

# What a line takes beside its bytes, with what it says as a dictionary and without.
_ROW_BYTES = 500
_PLACE_BYTES = 250

# Of what was sorted, each run has a piece in memory. Long lines wait in the file.
_LONG_BYTES = 32 * 1024
_LEAST_CHUNK_BYTES = 2 * _LONG_BYTES

_NO_ROW: dict[str, Any] = {}

_time = attrgetter("time")


def merged(found: SessionFiles, sid: str, report: Report) -> Iterator[Line]:
    """Yield the spans and log lines of the session *sid* in time order."""
    return merge(in_time_order(lines(found, kind, sid, report)) for kind in ("span", "log"))


def merge(streams: Iterable[Iterable[Line]]) -> Iterator[Line]:
    """Merge *streams* that are in time order; at equal times the earlier stream goes first."""
    return heapq.merge(*streams, key=_time)


def in_time_order(unordered: Iterable[Line], run_bytes: int | None = None) -> Iterator[Line]:
    """Yield lines of one kind in time order; those of equal time stay as they are.

    Of *run_bytes* of lines, :data:`RUN_BYTES` where it is ``None``, a run is made.
    """
    run_bytes = RUN_BYTES if run_bytes is None else run_bytes
    stream = iter(unordered)
    run: list[Line] = []
    _fill(run, stream, _ROW_BYTES, run_bytes)
    following = next(stream, None)
    if following is None:
        yield from map(_with_row, run) if any(line.row is _NO_ROW for line in run) else run
        return
    import tempfile  # noqa: PLC0415 - for large sessions only

    with tempfile.TemporaryFile(prefix="tracectrl-logs-") as spilled:
        paths: dict[str, int] = {}
        kind = run[0].kind
        runs = [_spill(run, spilled, paths)]
        run[:] = [_without_row(following)]
        del following
        bare = map(_without_row, stream)
        while run:
            _fill(run, bare, _PLACE_BYTES, run_bytes)
            runs.append(_spill(run, spilled, paths))
            run.clear()  # before the next is read
            run.extend(itertools.islice(bare, 1))
        spilled.flush()
        fd = spilled.fileno()
        chunk_bytes = max(_LEAST_CHUNK_BYTES, run_bytes // len(runs))
        entries = (_entries(fd, start, end, chunk_bytes) for start, end in runs)
        yield from _lines(fd, kind, list(paths), heapq.merge(*entries, key=itemgetter(0)))


def _fill(run: list[Line], stream: Iterator[Line], each_bytes: int, run_bytes: int) -> None:
    """Add lines of *stream* to *run*, until it is as large as a run is to be, and sort it."""
    size_bytes = sum(len(line.raw) + each_bytes for line in run)
    if size_bytes >= run_bytes:
        return
    for line in stream:
        run.append(line)
        size_bytes += len(line.raw) + each_bytes
        if size_bytes >= run_bytes:
            if len(line.raw) > _LONG_BYTES:  # the next may be as long
                run[-1] = _without_row(line)
                del line
            break
    run.sort(key=_time)


def _without_row(line: Line) -> Line:
    return line._replace(row=_NO_ROW)


def _with_row(line: Line) -> Line:
    return line._replace(row=parse(line.raw)[0]) if line.row is _NO_ROW else line


def _spill(run: list[Line], spilled: IO[bytes], paths: dict[str, int]) -> tuple[int, int]:
    """Write *run* at the end of *spilled*; return where it starts and ends."""
    start = spilled.tell()
    for line in run:
        place = paths.setdefault(line.path, len(paths))
        head = (line.time, place, line.number, len(line.raw))
        spilled.write(b"%s\n" % "\t".join(map(str, head)).encode())
        spilled.write(line.raw)
    return start, spilled.tell()


def _entries(fd: int, start: int, end: int, chunk_bytes: int) -> Iterator[_Entry]:
    """Yield what was spilled from *start* to *end*, the bytes of long lines left where they are."""
    while start < end:
        chunk = os.pread(fd, min(chunk_bytes, end - start), start)
        at = 0
        while (newline := chunk.find(b"\n", at)) >= 0:
            time, place, number, size = chunk[at:newline].decode().split("\t")
            first, after = newline + 1, newline + 1 + int(size)
            if after <= len(chunk):
                raw: bytes | tuple[int, int] = chunk[first:after]
            elif int(size) > _LONG_BYTES:
                raw = start + first, int(size)
            else:
                break
            yield time, int(place), int(number), raw
            at = after
        start += at


def _lines(fd: int, kind: Kind, paths: list[str], entries: Iterable[_Entry]) -> Iterator[Line]:
    for time, place, number, stored in entries:
        raw = stored if isinstance(stored, bytes) else _read(fd, *stored)
        yield Line(kind, parse(raw)[0], raw, time, paths[place], number)
        del raw, stored  # it may be long, and so may the next


def _read(fd: int, start: int, size: int) -> bytes:
    parts = []
    while size:
        parts.append(os.pread(fd, size, start))
        start, size = start + len(parts[-1]), size - len(parts[-1])
    return b"".join(parts)

"""The lines of a session in the order of their times, in bounded memory.

A file's order is the order of writing: nearly that of the times for log lines, and that of the ends
for spans, while they are shown by their starts. So each kind is sorted by itself, in memory while
it is small, else in sorted runs that wait in a temporary file; then both are merged. Lines of equal
time keep the order of writing, spans come before log lines.
"""

from __future__ import annotations

import heapq
import itertools
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any

from tracectrl_logging.reader.model import Line
from tracectrl_logging.reader.parsing import row_of
from tracectrl_logging.reader.timeline.spill import SpillFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tracectrl.schema import Kind

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
_WRITE_BYTES = 256 * 1024

_NO_ROW: dict[str, Any] = {}

_time = attrgetter("time")


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
    spilled = SpillFile()
    places: dict[tuple[str, str], int] = {}
    kind = run[0].kind
    runs = [_spill(run, spilled, places)]
    run[:] = [_without_row(following)]
    del following
    bare = map(_without_row, stream)
    while run:
        _fill(run, bare, _PLACE_BYTES, run_bytes)
        runs.append(_spill(run, spilled, places))
        run.clear()  # before the next is read
        run.extend(itertools.islice(bare, 1))
    chunk_bytes = max(_LEAST_CHUNK_BYTES, run_bytes // len(runs))
    entries = (_entries(spilled, start, end, chunk_bytes) for start, end in runs)
    yield from _lines(spilled, kind, list(places), heapq.merge(*entries, key=itemgetter(0)))


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
    return line._replace(row=row_of(line.kind, line.raw)) if line.row is _NO_ROW else line


def _spill(
    run: list[Line], spilled: SpillFile, places: dict[tuple[str, str], int]
) -> tuple[int, int]:
    """Write *run* at the end of *spilled*; return where it starts and ends."""
    start = spilled.size
    waiting: list[bytes] = []
    waiting_bytes = 0
    for line in run:
        place = places.setdefault((line.path, line.session_id), len(places))
        head = (line.time, place, line.number, len(line.raw))
        waiting += (b"%s\n" % "\t".join(map(str, head)).encode(), line.raw)
        waiting_bytes += len(line.raw)
        if waiting_bytes >= _WRITE_BYTES:
            spilled.append(*([b"".join(waiting)] if len(line.raw) < _LONG_BYTES else waiting))
            waiting.clear()
            waiting_bytes = 0
    spilled.append(b"".join(waiting))
    return start, spilled.size


def _entries(spilled: SpillFile, start: int, end: int, chunk_bytes: int) -> Iterator[_Entry]:
    """Yield what was spilled from *start* to *end*, the bytes of long lines left where they are."""
    while start < end:
        chunk = spilled.read(start, min(chunk_bytes, end - start))
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


def _lines(
    spilled: SpillFile, kind: Kind, places: list[tuple[str, str]], entries: Iterable[_Entry]
) -> Iterator[Line]:
    for time, place, number, stored in entries:
        raw = stored if isinstance(stored, bytes) else spilled.read(*stored)
        path, sid = places[place]
        yield Line(kind, row_of(kind, raw), raw, time, path, number, sid)
        del raw, stored  # it may be long, and so may the next

"""The lines of a session in the order of their times, in bounded memory.

A file's order is the order of writing: nearly that of the times for log lines, and that of the ends
for spans, while they are shown by their starts. So each kind is sorted by itself, in memory while
it is small, else in sorted runs that wait in a temporary file; then both are merged. Lines of equal
time keep the order of writing, spans come before log lines.
"""

from __future__ import annotations

import heapq
import itertools
from operator import attrgetter
from typing import IO, TYPE_CHECKING

from tracectrl_logging.reader.lines import lines, parse
from tracectrl_logging.reader.records import Line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tracectrl_logging.reader.listing import SessionFiles
    from tracectrl_logging.reader.records import Kind, Report

RUN_BYTES = 16 * 1024 * 1024
"""How many bytes of lines are sorted in memory at once."""

_BATCH_BYTES = 256 * 1024

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
    run = _run(stream, run_bytes)
    following = next(stream, None)
    if following is None:
        yield from run
        return
    import tempfile  # noqa: PLC0415 - for large sessions only

    with tempfile.TemporaryFile(prefix="tracectrl-logs-") as spilled:
        paths: dict[str, int] = {}
        runs = [_spill(run, spilled, paths)]
        while following is not None:
            run = _run(itertools.chain((following,), stream), run_bytes)
            runs.append(_spill(run, spilled, paths))
            following = next(stream, None)
        kind = run[0].kind
        del run
        yield from merge(_spilled(spilled, start, end, kind, list(paths)) for start, end in runs)


def _run(stream: Iterator[Line], run_bytes: int) -> list[Line]:
    run: list[Line] = []
    size_bytes = 0
    for line in stream:
        run.append(line)
        size_bytes += len(line.raw)
        if size_bytes >= run_bytes:
            break
    run.sort(key=_time)
    return run


def _spill(run: list[Line], spilled: IO[bytes], paths: dict[str, int]) -> tuple[int, int]:
    """Write *run* at the end of *spilled*, a line each; return where it starts and ends."""
    start = spilled.tell()
    for line in run:
        place = paths.setdefault(line.path, len(paths))
        spilled.write(b"%s\t%d\t%d\t%s\n" % (line.time.encode(), place, line.number, line.raw))
    return start, spilled.tell()


def _spilled(
    spilled: IO[bytes], start: int, end: int, kind: Kind, paths: list[str]
) -> Iterator[Line]:
    position = start
    while position < end:
        spilled.seek(position)
        # readlines() stops once it has more bytes than this.
        batch = spilled.readlines(min(_BATCH_BYTES, end - position - 1))
        position = spilled.tell()
        for stored in batch:
            time, place, number, raw = stored[:-1].split(b"\t", 3)
            yield Line(kind, parse(raw)[0], raw, time.decode(), paths[int(place)], int(number))

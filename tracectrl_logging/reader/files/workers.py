"""Work on many sessions, spread over the processor's cores, with the results in order.

The workers are forked, so they begin at once and know all that this process knows. Each takes every
n-th piece of the work and waits while nobody takes its results, so memory stays bounded.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import pickle
import signal
import threading
from typing import IO, TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import NoReturn, TypeAlias

    Step: TypeAlias = Callable[[int], object]

T = TypeVar("T")
R = TypeVar("R")

MUCH = 32 * 1024 * 1024
"""From so many bytes on workers are worth their start."""

_MOST_WORKERS = 8
_PIECE = 64
_BUFFER_BYTES = 256 * 1024
_END = None


def workers_for(size_bytes: int) -> int:
    """Return how many workers are worth their start for so many bytes to read; 1 for none.

    A process with threads is not forked: https://docs.python.org/3/library/os.html#os.fork
    """
    if size_bytes < MUCH or not hasattr(os, "fork") or threading.active_count() > 1:
        return 1
    with contextlib.suppress(AttributeError, OSError):
        return min(len(os.sched_getaffinity(0)), _MOST_WORKERS)
    return min(os.cpu_count() or 1, _MOST_WORKERS)


def spread(
    work: Callable[[T], Iterable[R]],
    items: Sequence[T],
    *,
    workers: int,
    step: Step | None = None,
    batch: int = 1,
) -> Iterator[R]:
    """Yield what *work* yields for each of *items*, in their order.

    Args:
        work: called for each item, in a worker; what it yields is not ``None`` and can be pickled.
        items: what there is to do.
        workers: how many processes; with one, it is this one.
        step: called with the number of items that have been done since the last call.
        batch: how many results a worker sends together: many of small ones, one of large ones.

    Raises:
        OSError: a worker has ended before its work was done.
    """
    if workers <= 1 or len(items) <= 1:
        for item in items:
            yield from work(item)
            if step is not None:
                step(1)
        return
    started: list[tuple[int, IO[bytes]]] = []
    try:
        for number in range(workers):
            others = [stream for _, stream in started]
            started.append(_start(_batches(work, items, number, workers, batch), others))
        for piece in range(-(-len(items) // _PIECE)):
            _, stream = started[piece % workers]
            while (results := _load(stream)) is not _END:
                yield from cast("list[R]", results)
            if step is not None:
                step(min(_PIECE, len(items) - piece * _PIECE))
    finally:
        _stop(started)


def _batches(
    work: Callable[[T], Iterable[R]], items: Sequence[T], number: int, workers: int, size: int
) -> Iterator[list[R] | None]:
    """Yield the results of the worker *number*, some together; ``None`` behind each piece."""
    for start in range(number * _PIECE, len(items), workers * _PIECE):
        results = itertools.chain.from_iterable(map(work, items[start : start + _PIECE]))
        while batch := list(itertools.islice(results, size)):
            yield batch
        yield _END


def _start(batches: Iterator[object], others: list[IO[bytes]]) -> tuple[int, IO[bytes]]:
    """Start a worker that sends *batches*; return its process ID and the stream of its results."""
    reading, writing = os.pipe()
    try:
        pid = os.fork()
    except BaseException:
        os.close(reading)
        os.close(writing)
        raise
    if pid == 0:
        for stream in others:
            os.close(stream.fileno())
        os.close(reading)
        _work(batches, writing)
    os.close(writing)
    return pid, open(reading, "rb", buffering=_BUFFER_BYTES)


def _work(batches: Iterator[object], fd: int) -> NoReturn:
    """Send *batches*, and end the process."""
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C goes to all; the first one speaks
        gc.freeze()  # what was there before is shared while nobody touches it
        with open(fd, "wb", buffering=_BUFFER_BYTES) as stream:
            for batch in batches:
                pickle.dump(batch, stream, pickle.HIGHEST_PROTOCOL)
                if batch is _END:
                    stream.flush()
        status = 0
    finally:
        os._exit(status)


def _load(stream: IO[bytes]) -> object:
    try:
        return pickle.load(stream)  # noqa: S301 - from a process that this one has forked
    except (EOFError, pickle.UnpicklingError) as error:
        msg = "a worker process ended before its work was done"
        raise OSError(msg) from error


def _stop(started: list[tuple[int, IO[bytes]]]) -> None:
    for pid, stream in started:
        stream.close()
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGTERM)
    for pid, _ in started:
        with contextlib.suppress(OSError):
            os.waitpid(pid, 0)

"""Standard error, which may be closed, replaced, or a logger itself.

Task runners and servers put an object in the place of ``sys.stderr`` that logs what is written to
it. What is being written, and by which thread, is remembered meanwhile: a record that says it again
is an echo, and is neither shown nor written.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

threads: dict[tuple[int, int], tuple[object, str | None]] = {}
"""What each thread is writing now, by process and thread: the stream, and the text; None for any."""


def is_writing() -> bool:
    """Tell whether this thread is writing to standard error."""
    return bool(threads) and _here() in threads


def _here() -> tuple[int, int]:
    """Return the process and the thread: a forked child has none of its parent's writers."""
    return os.getpid(), threading.get_ident()


@contextlib.contextmanager
def writing(text: str | None = None) -> Iterator[None]:
    """Have this thread's records that say a part of *text* known as echoes; all of them for None."""
    thread = _here()
    threads[thread] = sys.stderr, text
    try:
        yield
    finally:
        threads.pop(thread, None)


def is_echo(record: logging.LogRecord) -> bool:
    """Tell whether *record* says what this thread is writing to standard error now."""
    _, text = threads.get(_here(), (None, ""))
    if text is None:
        return True
    try:
        said = record.getMessage().strip()
    except Exception:  # noqa: BLE001 - its arguments do not fit: no echo
        return False
    return bool(said) and said in text


def show(text: str) -> None:
    """Write *text* to ``sys.stderr`` as it is now; never raises.

    Where that is closed, or raises, or hands it to a logger, the process's own standard error takes
    it, if it is there. Where ``sys.stderr`` is ``None`` nothing is shown.
    """
    stream = sys.stderr
    if stream is None or is_writing():
        return
    with writing(text):
        if not _logs(stream) and _written(stream, text) and not _logs(stream):
            return
        own = sys.__stderr__
        if own is not None and own is not stream:
            _written(own, text)


def report() -> None:
    """Print the exception being handled as ``logging.Handler.handleError`` does; never raises."""
    if logging.raiseExceptions:
        show("--- Logging error ---\n" + traceback.format_exc())


def remember_echo() -> None:
    """Remember that the stream that this thread is writing to hands its text to a logger."""
    stream, _ = threads[_here()]
    _logging_streams.append(stream)
    del _logging_streams[:-_MAX_STREAMS]


_logging_streams: list[Any] = []
"""The streams that were seen to log, compared by identity; the latest few."""

_MAX_STREAMS = 4


def _logs(stream: object) -> bool:
    return any(stream is it for it in _logging_streams)


def _written(stream: Any, text: str) -> bool:
    try:
        if getattr(stream, "closed", False) is True:
            return False
        stream.write(text)
        stream.flush()
    except Exception:  # noqa: BLE001 - closed meanwhile, too narrow for the text, somebody's own
        return False
    return True

"""Standard error, which may be closed, replaced, or a logger itself.

Task runners and servers put an object in the place of ``sys.stderr`` that logs what is written to
it. What is being written, and by which thread, is remembered meanwhile: a record that says it again
is an echo, and is neither shown nor written.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType, TracebackType

threads: dict[tuple[int, int], tuple[object, str]] = {}
"""What each thread is writing now, by process and thread: the stream, and the text."""


def is_writing() -> bool:
    """Tell whether this thread is writing to standard error."""
    return bool(threads) and _here() in threads


def _here() -> tuple[int, int]:
    """Return the process and the thread: a forked child has none of its parent's writers."""
    return os.getpid(), threading.get_ident()


def is_echo(record: logging.LogRecord) -> bool:
    """Tell whether *record* says what this thread is writing to standard error now: whole lines of it."""
    _, text = threads.get(_here(), (None, ""))
    try:
        said = _lines(record.getMessage())
    except Exception:  # noqa: BLE001 - its arguments do not fit: no echo
        return False
    return bool(said) and said <= _lines(text)


def _lines(text: str) -> set[str]:
    return {line.strip() for line in text.splitlines() if not line.isspace()} - {""}


def show(text: str) -> None:
    """Write *text* to ``sys.stderr`` as it is now; never raises.

    Where that is closed, or raises, or hands it to a logger, the process's own standard error takes
    it, if it is there. Where ``sys.stderr`` is ``None`` nothing is shown.
    """
    stream = sys.stderr
    if stream is None or is_writing():
        return
    thread = _here()
    try:
        threads[thread] = stream, text
        if not _logs(stream) and _written(stream, text) and not _logs(stream):
            return
        own = sys.__stderr__
        if own is not None and own is not stream:
            _written(own, text)
    finally:
        threads.pop(thread, None)


def report(record: logging.LogRecord | None = None) -> None:
    """Print the exception being handled, and about *record*, as ``logging.Handler.handleError`` does.

    Raises:
        RecursionError: no stack is left for it.
    """
    if not logging.raiseExceptions or sys.stderr is None:
        return
    text = "--- Logging error ---\n" + traceback.format_exc()
    if record is not None:
        frame = _caller(sys.exc_info()[2])
        if frame is not None:
            text += "Call stack:\n" + "".join(traceback.format_stack(frame))
        else:
            text += f"Logged from file {record.filename}, line {record.lineno}\n"
        try:
            text += f"Message: {record.msg!r}\nArguments: {record.args}\n"
        except RecursionError:
            raise
        except Exception:  # noqa: BLE001 - a repr of the user's
            text += "Unable to print the message and arguments.\n"
    show(text)


_NOT_THE_PROGRAMS = ("logging", "structlog", "threading", "tracectrl", "tracectrl_logging")


def _caller(trouble: TracebackType | None) -> FrameType | None:
    """Return the frame outside of logging in which the record was logged that *trouble* is about."""
    frame = None if trouble is None else trouble.tb_frame
    while frame is not None:
        package = str(frame.f_globals.get("__name__")).partition(".")[0]
        if package not in _NOT_THE_PROGRAMS:
            break
        frame = frame.f_back
    return frame


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
        if hasattr(stream, "flush"):  # all that is asked of a stream is to write
            stream.flush()
    except Exception:  # noqa: BLE001 - closed meanwhile, too narrow for the text, somebody's own
        return False
    return True

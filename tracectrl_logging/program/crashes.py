"""What ends the program, or a thread of it, as a line in the session's file."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from tracectrl_logging.program.capture import Capture
    from tracectrl_logging.program.patches import Patches

CRASH_LOGGER = "tracectrl.run"
"""The logger that lines about uncaught exceptions name."""


def tap(capture: Capture, patches: Patches) -> None:
    """Read what goes to ``sys.excepthook`` and to ``threading.excepthook``."""
    excepthook, thread_excepthook = sys.excepthook, threading.excepthook

    def tapped_excepthook(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        with contextlib.suppress(Exception):
            _write(capture, error)
        excepthook(kind, error, traceback)

    def tapped_thread_excepthook(args: threading.ExceptHookArgs) -> None:
        with contextlib.suppress(Exception):
            if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
                name = args.thread.name if args.thread is not None else "?"
                _write(capture, args.exc_value, f" in thread {name}")
        thread_excepthook(args)

    for owner, hook in ((sys, tapped_excepthook), (threading, tapped_thread_excepthook)):
        # Under both names: a program may ask whether the hook is the default, or go back to it.
        patches.replace(owner, "excepthook", hook)
        patches.replace(owner, "__excepthook__", hook)


def at_exit(capture: Capture) -> None:
    """Write the exception that ends the program where a hook of the program's own had it."""
    error = getattr(sys, "last_value", None)
    if sys.excepthook is not sys.__excepthook__ and isinstance(error, BaseException):
        with contextlib.suppress(Exception):
            _write(capture, error)


def _write(capture: Capture, error: BaseException, where: str = "") -> None:
    # Where the program has a handler of ours, too: that sees records, and nobody logs this one.
    if capture.crash is error:
        return
    capture.crash = error
    interrupted = isinstance(error, KeyboardInterrupt)
    frame, line = "", 0
    traceback = error.__traceback__
    while traceback is not None:
        frame, line = traceback.tb_frame.f_code.co_filename, traceback.tb_lineno
        traceback = traceback.tb_next
    capture.write_record(
        logging.LogRecord(
            CRASH_LOGGER,
            logging.WARNING if interrupted else logging.CRITICAL,
            frame,
            line,
            f"interrupted{where}" if interrupted else f"uncaught {type(error).__name__}{where}",
            None,
            (type(error), error, error.__traceback__),
        )
    )

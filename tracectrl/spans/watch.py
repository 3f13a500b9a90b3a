"""Spans that have been open for a while: each is written once before it ends.

The start of a span puts it into a set, and its end takes it out: that is all that a short one
costs. A daemon thread looks for those that stay. It begins with the first span, sleeps where none is
open, and ends where none comes; a forked child has its own. A span that has been written costs nothing.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import time
import weakref
from queue import Empty, SimpleQueue
from threading import Thread, get_ident
from typing import TYPE_CHECKING, Any

from tracectrl.files.write.here import here
from tracectrl.files.write.position import sleepers
from tracectrl.files.write.reentrant import ReentrantLock, start
from tracectrl.files.write.within import is_within

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from opentelemetry.sdk.trace import ReadableSpan, Span

_NS: Final = 1_000_000_000
_LOOKS: Final = 4  # how often it looks, at most, in the time that a span may be open
_LEAST_PAUSE_S: Final = 0.005
_IDLE_S: Final = 60.0
_PATIENCE_S: Final = 1.0
_LOOK: Final = "look"
_END: Final = "end"

_watches: Final[list[weakref.ref[Watch]]] = []


class OpenSpans:
    """The spans of one exporter that are open.

    Args:
        after_s: how many seconds a span is open before it is written; 0 for none.
        write: writes the line of an open span and returns the session that it is written to,
            ``None`` where it is not written.
    """

    def __init__(self, after_s: float, write: Callable[[Span], str | None]) -> None:
        self._after_s = after_s
        self._write = write
        self._of_process: dict[int, Watch] = {}
        self.watch = self._own()
        """What is of this process; or of its parent, where its ``awake[0]`` is 0."""

    def started(self, span: Span) -> None:
        """Take note of *span*, which has started and is stamped.

        Where ``watch.awake[0]`` is not 0, to put it into ``watch.young`` is the same, and quicker.
        """
        watch = self._own()
        if not self._after_s:
            watch.write(span)  # nobody else can end it yet
            return
        watch.young.add(span)
        if not watch.awake[0]:
            watch.wake()

    def closed(self, span: ReadableSpan) -> str | None:
        """Return the session that *span*, which has ended, was written to while it was open, if it was.

        It is not written as open any more when this returns.
        """
        watch = self.watch
        context = span.get_span_context()
        if context is None:
            return None
        span_id = context.span_id
        if watch.writing == span_id:
            watch.wait_for_line()
        return watch.written.pop(span_id, None)

    def stop(self) -> None:
        """Forget the spans that are open, and end the thread; with a span that starts later it begins anew."""
        self.watch.stop()

    def _own(self) -> Watch:
        """Return what is of this process."""
        pid = os.getpid()
        watch = self._of_process.get(pid)
        if watch is None:
            watch = self._of_process.setdefault(pid, Watch(self._after_s, self._write))
            for other in list(self._of_process):
                if other != pid:
                    self._of_process.pop(other, None)
            self.watch = watch
        return watch


class Watch:
    """The open spans of one process, and the thread that looks at them."""

    def __init__(self, after_s: float, write: Callable[[Span], str | None]) -> None:
        self.awake = here()
        """Not 0 in ``[0]`` while the thread looks at what is young; 0 in a forked child."""
        self.awake[0] = 0
        self.young: set[Span] = set()
        """Spans that are open and not written, as far as is known: whoever ends one takes it out."""
        self.writing: int | None = None
        """The ID of the span whose line is being written."""
        self.written: dict[int, str] = {}
        """The sessions of open spans whose lines are written, by their IDs."""
        self._after_s = after_s
        self._write = write
        self._bell: SimpleQueue[str] = SimpleQueue()
        self._lock = ReentrantLock()  # of the thread's beginning and end
        self._write_lock = ReentrantLock()
        self._thread: Thread | None = None
        self._is_over = False
        _end_at_exit(self)

    def wake(self) -> None:
        """Have the thread look."""
        self.awake[0] = 1
        with contextlib.suppress(RuntimeError), self._lock:  # at the end no thread can begin
            if self._is_over:
                return
            if self._thread is None:
                thread = Thread(target=self._run, name="tracectrl-open-spans", daemon=True)
                start(thread)
                self._thread = thread
            else:
                self._bell.put(_LOOK)

    def stop(self) -> None:
        """Forget the young spans and end the thread; wait for the line that it is writing."""
        self.young.clear()
        if self._thread is not None:
            self._bell.put(_END)
        self.wait_for_line()

    def end(self) -> None:
        """End the thread for good, and wait for it.

        A thread that is left when the interpreter ends is killed; the C library loads a part of itself for
        that, and where it cannot, in another root for one, it ends the process.
        """
        self._is_over = True
        thread = self._thread
        self.stop()
        if thread is not None:
            with contextlib.suppress(RuntimeError):  # it never ran
                thread.join(_PATIENCE_S)

    def write(self, span: Span) -> None:
        """Write the line of *span*, unless it has ended, or is written already."""
        try:
            context: Any = span.get_span_context()
            span_id = context.span_id
            if context.trace_flags.sampled and span_id not in self.written:
                sid = self._write(span)
                if sid is not None:
                    self.written[span_id] = sid
        except Exception:  # noqa: BLE001, S110 - it is of use while the span is open, and no loss
            pass

    def _write_if_open(self, span: Span) -> None:
        with self._write_lock:
            # First, so that whoever ends the span now either is seen here or waits.
            self.writing = span.context.span_id if span.context else None
            if span.end_time is None:
                self.write(span)
            self.writing = None

    def wait_for_line(self) -> None:
        """Wait for the line that is being written, but not where that might wait for this thread."""
        if not is_within() and self._write_lock.acquire(timeout=_PATIENCE_S):
            self._write_lock.release()

    def _run(self) -> None:
        pause_s: float | None = self._after_s
        sleepers.add(get_ident())
        try:
            while self._goes_on(pause_s):
                # A span that has just come is not due before.
                pause_s = self._look() if pause_s is not None else self._after_s
        finally:
            sleepers.discard(get_ident())

    def _goes_on(self, pause_s: float | None) -> bool:
        """Wait for *pause_s* seconds, or where that is ``None`` for a span; tell whether to go on."""
        if pause_s is not None:
            deadline = time.monotonic() + pause_s
            with contextlib.suppress(Empty):
                while (left := deadline - time.monotonic()) > 0:
                    if self._bell.get(timeout=left) == _END:
                        return not self._ends()
            return True
        self.awake[0] = 0
        if self.young:  # it has come in this very moment
            self.awake[0] = 1
            return True
        with contextlib.suppress(Empty):
            if self._bell.get(timeout=_IDLE_S) == _LOOK:
                return True
        return not self._ends()

    def _ends(self) -> bool:
        """End the thread, unless a span has come meanwhile; tell whether it ends."""
        with self._lock:
            goes_on = bool(self.young) and not self._is_over
            self.awake[0] = goes_on
            if not goes_on:
                self._thread = None
                self._bell = SimpleQueue()
        return not goes_on

    def _look(self) -> float | None:
        """Write what has been open for long enough; return the pause to the next look, if there is one."""
        after_ns = self._after_s * _NS
        now_ns = time.time_ns()
        earliest_ns = None
        for span in sorted(list(self.young), key=_start_ns):  # noqa: C414 - others add meanwhile
            start_ns = span.start_time or now_ns
            if now_ns - start_ns >= after_ns:
                self.young.discard(span)
                self._write_if_open(span)
            elif span.end_time is not None:
                self.young.discard(span)
            elif earliest_ns is None or start_ns < earliest_ns:
                earliest_ns = start_ns
        if earliest_ns is None:
            return None
        pause_s = self._after_s - (now_ns - earliest_ns) / _NS
        return max(min(pause_s, self._after_s), self._after_s / _LOOKS, _LEAST_PAUSE_S)


def _start_ns(span: Span) -> int:
    return span.start_time or 0


def _end_at_exit(watch: Watch) -> None:
    """Have *watch* end before the interpreter does: later, no thread may begin either."""
    if not _watches:
        atexit.register(_end_all)
    _watches[:] = [it for it in _watches if it() is not None]
    _watches.append(weakref.ref(watch))


def _end_all() -> None:
    for reference in _watches:
        watch = reference()
        if watch is not None:
            watch.end()

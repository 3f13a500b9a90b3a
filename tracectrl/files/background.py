"""Background mode: the caller enqueues, one thread writes, whatever the number of sessions."""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from tracectrl.files.appender import whole_number

if TYPE_CHECKING:
    from tracectrl.files.sink import Sink

Overflow: TypeAlias = Literal["block", "drop_oldest", "drop_new"]

DEFAULT_QUEUE_SIZE = 10_000
_POLL_S = 0.001
_ALIVE_S = 0.1

_Item: TypeAlias = "tuple[str, bytes, Any] | threading.Event | None"


def check_options(queue_size: int, overflow: str) -> None:
    """Raise what says why :class:`Background` cannot take these options."""
    whole_number("queue_size", queue_size, 1)
    if overflow not in ("block", "drop_oldest", "drop_new"):
        msg = f"overflow must be 'block', 'drop_oldest' or 'drop_new', not {overflow!r}"
        raise ValueError(msg)


class Background:
    """Hands lines to a :class:`~tracectrl.files.sink.Sink` on a thread of its own.

    The thread starts with the first line, so a server may fork after the set-up; a forked child
    starts a thread, and a queue, of its own.

    Args:
        sink: who writes.
        queue_size: lines that may wait; about so many, since threads do not queue to be counted.
        overflow: what a full queue does: ``"block"`` the caller, ``"drop_oldest"`` or
            ``"drop_new"``; what is dropped is counted, and a line says how much.

    Raises:
        ValueError: an option is out of range.
    """

    def __init__(
        self, sink: Sink, *, queue_size: int = DEFAULT_QUEUE_SIZE, overflow: Overflow = "block"
    ) -> None:
        check_options(queue_size, overflow)
        self._sink = sink
        self._size = queue_size
        self._overflow = overflow
        self._lock = threading.RLock()
        self._queue: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        # logging.shutdown() flushes handlers; a structlog logger has nobody to do it.
        atexit.register(_flush_if_alive, weakref.ref(self))

    @property
    def lost(self) -> int:
        """How many lines were dropped or could not be written."""
        return self._sink.lost

    def append(self, sid: str, line: bytes, context: Any = None) -> bool:
        """Enqueue *line* for the session *sid*; return whether it was taken."""
        if self._thread is None or self._pid != os.getpid():
            self._start()
        items = self._queue
        if items.qsize() >= self._size and not self._make_room(items):
            return False
        items.put((sid, line, context))
        if items is not self._queue:  # closed meanwhile: nobody may be there to write it
            self._drain(items)
        return True

    def flush(self) -> None:
        """Wait until everything that was enqueued before is written."""
        thread = self._thread
        if thread is None or thread is threading.current_thread() or self._pid != os.getpid():
            return
        done = threading.Event()
        self._queue.put(done)
        while not done.wait(_ALIVE_S):
            if not thread.is_alive():
                self._drain(self._queue)

    def close(self) -> None:
        """Write what is enqueued, end the thread and close the files; a later line starts again."""
        if self._pid == os.getpid():
            with self._lock:
                items, self._queue = self._queue, queue.SimpleQueue()
                thread, self._thread = self._thread, None
            if thread is not None and thread is not threading.current_thread():
                items.put(None)
                thread.join()
                self._drain(items)
        self._sink.close()

    def _start(self) -> None:
        if self._pid != os.getpid():
            # A forked child: the lines in the queue are its parent's, the lock may be held by a
            # thread that is not here.
            self._lock = threading.RLock()
            self._queue, self._thread = queue.SimpleQueue(), None
            self._pid = os.getpid()  # last: who sees it sees the rest
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._write, args=(self._queue,), name="tracectrl-writer", daemon=True
                )
                self._thread.start()

    def _make_room(self, items: queue.SimpleQueue[_Item]) -> bool:
        """Do what the overflow option says; return whether there is room for one more."""
        if self._overflow == "drop_new":
            self._sink.lose(1)
            return False
        if self._overflow == "drop_oldest":
            try:
                oldest = items.get_nowait()
            except queue.Empty:
                return True
            if isinstance(oldest, tuple):
                self._sink.lose(1)
            else:
                items.put(oldest)  # somebody waits for it
            return True
        if threading.current_thread() is not self._thread:
            while items.qsize() >= self._size and items is self._queue:
                time.sleep(_POLL_S)
        return True

    def _write(self, items: queue.SimpleQueue[_Item]) -> None:
        """Be the writer thread: until ``None`` is the last item."""
        while True:
            item = items.get()
            if item is not None:
                self._handle(item)
            elif items.empty():
                return
            else:
                items.put(None)

    def _drain(self, items: queue.SimpleQueue[_Item]) -> None:
        """Write what no thread is left to write; what a thread takes meanwhile is its own."""
        stop = False
        with contextlib.suppress(queue.Empty):
            while True:
                item = items.get_nowait()
                if item is None:
                    stop = True
                else:
                    self._handle(item)
        if stop:
            items.put(None)

    def _handle(self, item: tuple[str, bytes, Any] | threading.Event) -> None:
        if isinstance(item, threading.Event):
            item.set()
        else:
            self._sink.append(*item)


def _flush_if_alive(reference: weakref.ref[Background]) -> None:
    background = reference()
    if background is not None:
        background.flush()

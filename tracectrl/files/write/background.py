"""Background mode: the caller enqueues, one thread writes, whatever the number of sessions.

Nothing enqueued is lost when the process ends in an orderly way. Once the exit has begun the caller
writes for itself: nobody is sure to come after it. A thread that cannot be started, or that has
died, is no loss either: whoever has a line then writes it.

Locks. A signal handler, or what the garbage collector finalizes, may log, flush and close in the
middle of anything, on a thread that has a lock of a writer's: the one of a state, of the sink, of the
table of open files, of a file. Such a thread takes no other lock, and never waits for another thread
to write: neither for room in the queue (it holds one more line then), nor for a flush, nor for the
thread's end (see :mod:`tracectrl.files.write.within`). Besides that, nobody waits for the lock of a state, of
the sink or of the table while holding another one, and nothing is waited for under it. Under the lock
of a file there are the write, the look at its path and the rotation, which waits for other processes
for a second at most. The module is long, since who takes which lock has to be read in one place.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from tracectrl.files.write.appender import whole_number
from tracectrl.files.write.here import here
from tracectrl.files.write.reentrant import ReentrantLock, start
from tracectrl.files.write.sink import tally
from tracectrl.files.write.within import R, Threads, marked, threads_within, under

if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Callable

    from tracectrl.files.write.sink import Losses, Sink

Overflow: TypeAlias = Literal["block", "drop_oldest", "drop_new"]

DEFAULT_QUEUE_SIZE = 10_000
_POLL_S = 0.001
_NAP_S = 0.001
_MANY = 1000  # more than callers enqueue during a nap
_ALIVE_S = 0.1
_SAY_EVERY_S = 1.0
_LAST_OF_ALL = -1_000_000  # among the finalizers of multiprocessing

_Item: TypeAlias = "tuple[str | None, Any, Any] | LockType | None"

if TYPE_CHECKING:
    _Queue = queue.SimpleQueue[_Item]
else:
    _Queue = queue.SimpleQueue


class _Items(_Queue):
    """What waits to be written, how much has been taken out, and whether a thread is at it.

    ``Thread.is_alive`` and ``Thread.join`` do not tell: where a signal handler raises in one of them,
    Python before 3.13 takes the thread for ended from then on, whoever asks.
    """

    taken = 0
    has_begun = False
    has_ended = False

    def __init__(self) -> None:
        self.ended = threading.Lock()  # no Event: see Background.flush
        self.ended.acquire()

    def are_written_by(self, thread: threading.Thread) -> bool:
        """Tell whether *thread* is at it: it may hold a line that it has taken out.

        Where the interpreter is at its end, threads stand still for ever.
        """
        if self.has_ended or sys.is_finalizing():
            return False
        return self.has_begun or thread.is_alive()


def check_options(queue_size: int, overflow: str) -> None:
    """Raise what says why :class:`Background` cannot take these options."""
    whole_number("queue_size", queue_size, 1)
    if overflow not in ("block", "drop_oldest", "drop_new"):
        msg = f"overflow must be 'block', 'drop_oldest' or 'drop_new', got {overflow!r}"
        raise ValueError(msg)


def _as_it_is(line: Any) -> tuple[str, bytes]:
    return line  # type: ignore[no-any-return]


class _State:
    """The queue, the thread and the counts of one process."""

    __slots__ = (
        "dropped",
        "dropped_of",
        "ends_with_child",
        "here",
        "inside",
        "items",
        "lock",
        "pid",
        "retired",
        "say_at",
        "thread",
        "within",
        "writes_itself",
    )

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.here = here()
        self.lock = ReentrantLock()
        self.inside: Threads = {}  # threads in the middle of our code
        self.within = threads_within()
        self.items = _Items()
        self.thread: threading.Thread | None = None
        self.retired: list[tuple[threading.Thread, _Items]] = []  # told to end, not ended yet
        self.dropped = 0  # and not handed to the sink yet
        self.dropped_of: Losses = {}
        self.say_at = float("-inf")
        self.ends_with_child = False  # that is seen to
        self.writes_itself = False  # the process is at its end

    def is_inside(self) -> bool:
        """Tell whether this thread is in the middle of our code: it may have locks that others need."""
        thread = threading.get_ident()
        return thread in self.inside or thread in self.within

    def locked(self, act: Callable[..., R], *args: Any) -> R:
        """Return what *act* returns, called under the lock."""
        return under(self.lock, self.within, act, *args)

    def new_thread(self, write: Callable[[_State, _Items], None]) -> threading.Thread | None:
        """Return a thread to be started, which calls *write*; ``None`` where there is to be no new one."""
        if self.thread is not None or self.writes_itself:
            return None
        self.thread = threading.Thread(
            target=write, args=(self, self.items), name="tracectrl-writer", daemon=True
        )
        return self.thread

    def drop(self, thread: threading.Thread | None) -> None:
        """Let go of *thread*, which could not be started."""
        if self.thread is thread:
            self.thread = None

    def writers(self) -> list[tuple[threading.Thread, _Items]]:
        """Return the threads that write, and what."""
        writers = list(self.retired)
        if self.thread is not None:
            writers.append((self.thread, self.items))
        return writers

    def retire(self) -> list[tuple[threading.Thread, _Items]]:
        """Tell the thread to end; return those that have been told."""
        thread, items = self.thread, self.items
        if thread is not None:
            # First, so that a signal handler that ends the process here does not lose it.
            self.retired.append((thread, items))
            self.items, self.thread = _Items(), None
            items.put(None)
        return list(self.retired)

    def forget(self, writer: tuple[threading.Thread, _Items]) -> None:
        """Take out *writer*, which has ended."""
        with contextlib.suppress(ValueError):
            self.retired.remove(writer)

    def count_dropped(self, sid: str) -> None:
        """Count a line of *sid*."""
        tally(self.dropped_of, sid, 1)
        self.dropped += 1

    def take_dropped(self) -> Losses:
        """Return what was dropped since the last time."""
        losses, self.dropped, self.dropped_of = self.dropped_of, 0, {}
        return losses


class Background:
    """Hands lines to a :class:`~tracectrl.files.write.sink.Sink` on a thread of its own.

    The thread starts with the first line, so a server may fork after the set-up; a forked child
    starts a thread, and a queue, of its own.

    Args:
        sink: who writes.
        make: makes a line, on the writer's thread, of what comes without a session ID; never raises.
        queue_size: lines that may wait; about so many, since threads do not queue to be counted.
        overflow: what a full queue does: ``"block"`` the caller, ``"drop_oldest"`` or
            ``"drop_new"``; what is dropped is counted, and a line says how much, once a second at
            most: a slow disk has enough to do.

    Raises:
        ValueError: an option is out of range.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        make: Callable[[Any], tuple[str, bytes]] = _as_it_is,
        queue_size: int = DEFAULT_QUEUE_SIZE,
        overflow: Overflow = "block",
    ) -> None:
        check_options(queue_size, overflow)
        self._sink = sink
        self._make = make
        self._size = queue_size
        self._overflow = overflow
        self._state = _State()
        # By process: setdefault is atomic, so the threads of a forked child agree on one.
        self._states = {self._state.pid: self._state}
        # logging.shutdown() flushes handlers; a structlog logger has nobody to do it.
        atexit.register(_end_if_alive, weakref.ref(self))

    @property
    def lost(self) -> int:
        """How many lines were dropped or could not be written."""
        return self._own().dropped + self._sink.lost

    @property
    def missed(self) -> list[str | None]:
        """See :attr:`tracectrl.files.write.sink.Sink.missed`."""
        return self._sink.missed

    def lose(self, count: int, sid: str | None = None) -> None:
        """See :meth:`tracectrl.files.write.sink.Sink.lose`."""
        self._sink.lose(count, sid)

    @property
    def is_full(self) -> bool:
        """Whether as many lines wait as may; the next one meets the overflow option."""
        return self._own().items.qsize() >= self._size

    def append(self, sid: str | None, line: Any, context: Any = None) -> bool:
        """Enqueue *line* for the session *sid*; return whether it was taken.

        Where *sid* is ``None``, *line* is what a line is made of later, by *make*, and whose it is.
        """
        state = self._state
        items = state.items  # before the thread: where it is this still, the thread is there
        if state.thread is None or not state.here[0]:
            state = self._own()
            items = state.items
            if not self._start(state):
                self._drain(state, items)
                return marked(state.inside, self._append, sid, line, context)
        if items.qsize() >= self._size and not self._make_room(state, items, sid, line):
            return False
        items.put((sid, line, context))
        if items is not state.items:  # closed meanwhile: nobody may be there to write it
            self._drain(state, items)
        return True

    def flush(self) -> None:
        """Wait until everything that was enqueued before is written.

        In the middle of this module's code, in a signal handler for one, nobody waits.
        """
        state = self._own()
        if state.is_inside():
            return
        for thread, items in state.locked(state.writers):
            # No Event: its own lock stays taken where a signal handler raises (see ReentrantLock), and
            # the thread would wait for that.
            done = threading.Lock()
            done.acquire()
            items.put(done)
            if not _waited(done, thread, items):
                self._drain(state, items)
        if state.thread is None:  # it could not be started
            self._drain(state, state.items)
        self._tell(state)

    def close(self) -> None:
        """Write what is enqueued, end the thread and close the files; a later line starts again.

        In the middle of this module's code the thread is told to end, and is not waited for.
        """
        state = self._own()
        if threading.get_ident() in state.within:
            return
        is_outermost = not state.is_inside()
        retired = state.locked(state.retire)
        if not is_outermost:
            return
        for writer in retired:
            thread, items = writer
            _waited(items.ended, thread, items)
            self._drain(state, items)
            state.locked(state.forget, writer)
        if state.thread is None:  # it could not be started
            self._drain(state, state.items)
        self._tell(state)
        marked(state.inside, self._sink.close)

    def end(self) -> None:
        """Write what is enqueued; from now on callers write for themselves."""
        self._own().writes_itself = True
        self.close()

    def _own(self) -> _State:
        """Return the state of this process; a forked child must not touch its parent's.

        The lines in the queue are the parent's to write, and so are the losses so far to tell; the
        lock may be held by a thread that is not here.
        """
        state = self._state
        if state.pid != os.getpid():
            fresh = _State()
            state = self._states.setdefault(fresh.pid, fresh)
            self._state = state
        return state

    def _start(self, state: _State) -> bool:
        """See to it that there is a thread; return whether there is.

        None is started in the middle of our code, which may be starting one.
        """
        if not state.is_inside():
            marked(state.inside, self._start_new, state)
        return state.thread is not None

    def _start_new(self, state: _State) -> None:
        thread = None
        try:
            thread = state.locked(state.new_thread, self._write)
            if thread is not None:
                # Under no lock: it is waited for, and garbage may log where it begins.
                start(thread)
                self._end_with_child(state)
        except RuntimeError:  # no more threads, or the interpreter is at its end
            state.locked(state.drop, thread)
        except BaseException:  # a signal handler's: nobody knows whether there is a thread
            state.locked(state.retire)
            raise

    def _end_with_child(self, state: _State) -> None:
        """Have a child of multiprocessing, which ends without ``atexit``, write what is enqueued.

        billiard's, and so Celery's, come by here, too. Nothing is imported: in such a child it is there.
        Where another thread is importing it now, this is no such child.
        """
        finalize = getattr(sys.modules.get("multiprocessing.util"), "Finalize", None)
        if finalize is not None and not state.ends_with_child:
            finalize(self, _end_if_alive, (weakref.ref(self),), exitpriority=_LAST_OF_ALL)
            state.ends_with_child = True

    def _make_room(self, state: _State, items: _Items, sid: str | None, line: Any) -> bool:
        """Do what the overflow option says; return whether there is room for one more."""
        if self._overflow == "drop_new":
            self._drop(state, self._whose(sid, line))
            return False
        if self._overflow == "drop_oldest":
            try:
                oldest = items.get_nowait()
                items.taken += 1
            except queue.Empty:
                return True
            if isinstance(oldest, tuple):
                self._drop(state, self._whose(oldest[0], oldest[1]))
            else:
                items.put(oldest)  # somebody waits for it
            return True
        writer = state.thread  # which may be at its very beginning or end, where garbage logs, too
        if state.is_inside() or (writer is not None and writer.ident == threading.get_ident()):
            return True
        # Who has waited for those in front of it has its turn, whoever has come meanwhile.
        turn = items.taken + items.qsize() - self._size
        while items.qsize() >= self._size and items.taken <= turn and items is state.items:
            thread = state.thread
            if thread is None or not items.are_written_by(thread):
                self._drain(state, items)
            time.sleep(_POLL_S)
        return True

    def _whose(self, sid: str | None, line: Any) -> str:
        return self._make(line)[0] if sid is None else sid

    def _drop(self, state: _State, sid: str) -> None:
        if threading.get_ident() in state.within:
            self._sink.lose(1, sid)
        else:
            state.locked(state.count_dropped, sid)

    def _tell(self, state: _State) -> None:
        """Hand what was dropped to the sink, which counts it and says so in a line."""
        marked(state.inside, self._tell_now, state)

    def _tell_now(self, state: _State) -> None:
        for sid, count in state.locked(state.take_dropped).items():
            self._sink.lose(count, sid)
        state.say_at = time.monotonic() + _SAY_EVERY_S
        self._sink.flush()

    def _write(self, state: _State, items: _Items) -> None:
        """Be the writer thread: until ``None`` is the last item."""
        try:
            items.has_begun = True
            marked(state.inside, self._write_all, state, items)
        finally:
            items.has_ended = True
            items.ended.release()

    def _write_all(self, state: _State, items: _Items) -> None:
        while True:
            item = items.get()
            items.taken += 1
            if item is not None:
                self._handle(item)
                if self._size >= _MANY and items.empty():
                    # To wake a thread costs the caller more than all else: so it is not waiting yet.
                    time.sleep(_NAP_S)
                if state.dropped and (items.empty() or time.monotonic() >= state.say_at):
                    self._tell(state)
            elif items.empty():
                return
            else:
                items.put(None)

    def _drain(self, state: _State, items: _Items) -> None:
        """Write what no thread is left to write; what a thread takes meanwhile is its own."""
        marked(state.inside, self._drain_all, items)

    def _drain_all(self, items: _Items) -> None:
        stop = False
        try:
            while True:
                item = items.get_nowait()
                items.taken += 1
                if item is None:
                    stop = True
                else:
                    self._handle(item)
        except queue.Empty:
            pass
        if stop:
            items.put(None)

    def _handle(self, item: tuple[str | None, Any, Any] | LockType) -> None:
        if isinstance(item, tuple):
            self._append(*item)
        else:
            item.release()

    def _append(self, sid: str | None, line: Any, context: Any) -> bool:
        if sid is None:
            sid, line = self._make(line)
        return self._sink.append(sid, line, context)


def _waited(done: LockType, thread: threading.Thread, items: _Items) -> bool:
    """Wait until somebody lets go of *done*; return whether: not where *thread* is not there to do it."""
    while items.are_written_by(thread):
        if done.acquire(timeout=_ALIVE_S):
            return True
    return False


def _end_if_alive(reference: weakref.ref[Background]) -> None:
    background = reference()
    if background is not None:
        background.end()

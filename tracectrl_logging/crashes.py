"""Uncaught exceptions as lines in their sessions: of the main thread, of threads, of tasks.

One hook stands before ``sys.excepthook`` and one before ``threading.excepthook``, for all writers
together; the previous hooks are called after them, so output and exit status stay. The hooks run when
the ``with`` blocks of sessions are left already: a note about the exception names its session. asyncio
logs the exception of a task that nobody awaited when the task is collected, in whatever context that
happens; the event loops are made to log it in the task's own context.

An exception that Python ignores (``sys.unraisablehook``, in a ``__del__`` mostly) ends nothing, and
is no crash.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import contextvars
import functools
import gc
import logging
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

from tracectrl._exception_notes import ExceptionNotes, is_raised_anew
from tracectrl.files.names import root_path
from tracectrl.session import run_where_raised, where_raised
from tracectrl_logging.patches import Patches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextvars import Context
    from types import TracebackType


class CrashWriter:
    """Writes a line for each exception that nobody caught, from :meth:`start` to :meth:`stop`.

    Args:
        write: gets the record, in the context of the crash.
        root: the trace directory that *write* writes to; of several writers for one, the latest
            has the line.
        logger: the logger that the lines name.
        with_interrupts: whether ``KeyboardInterrupt`` is a line, too, at WARNING.
    """

    def __init__(
        self,
        write: Callable[[logging.LogRecord], object],
        root: str | os.PathLike[str] | None,
        *,
        logger: str,
        with_interrupts: bool = False,
    ) -> None:
        self.root = os.path.abspath(root_path(root))
        self._write = write
        self._logger = logger
        self._with_interrupts = with_interrupts
        self.last: int | None = None
        """The ID of the one exception that is still written, after :meth:`stop_after`."""

    def start(self) -> None:
        """Write from here on."""
        _keep([*(it for it in _writers if it.last is None), self])

    def stop(self) -> None:
        """Write no more; the hooks are as they were, but for those that others put before them."""
        if self.last is None:
            _keep([it for it in _writers if it is not self])

    def stop_after(self, error: BaseException) -> None:
        """Write no more but *error*, should nobody catch it, until another writer starts."""
        with contextlib.suppress(Exception):
            _passed.put(error, self)
            self.last = id(error)

    def wants(self, error: BaseException) -> bool:
        """Tell whether *error* is a line for this writer."""
        if isinstance(error, KeyboardInterrupt) and not self._with_interrupts:
            return False
        return self.last is None or (self.last == id(error) and _passed.get(error) is self)

    def tell(self, error: BaseException, where: str) -> None:
        """Write the line of *error*, in the current context."""
        interrupted = isinstance(error, KeyboardInterrupt)
        path, line = "", 0
        traceback = error.__traceback__
        while traceback is not None:
            path, line = traceback.tb_frame.f_code.co_filename, traceback.tb_lineno
            traceback = traceback.tb_next
        self._write(
            logging.LogRecord(
                self._logger,
                logging.WARNING if interrupted else logging.CRITICAL,
                path,
                line,
                f"interrupted{where}" if interrupted else f"uncaught {type(error).__name__}{where}",
                None,
                (type(error), error, error.__traceback__),
            )
        )


# The exceptions that have left the program's set-up: by its ID alone one might be a later one.
_passed: ExceptionNotes[CrashWriter] = ExceptionNotes()

_writers: list[CrashWriter] = []
_patches = Patches()
_told: list[int] = []  # the IDs of exceptions whose line is written, for as long as they live


def _keep(writers: list[CrashWriter]) -> None:
    """Set the list of writers, and install the hooks while it is not empty."""
    were = bool(_writers)
    _writers[:] = writers
    if writers and not were:
        _install()
    elif were and not writers:
        _patches.undo()
        atexit.unregister(at_exit)


def _tap_threads() -> None:
    """Write the crash of a thread though a hook that does not call ours be put in its place later."""
    make_invoke = threading._make_invoke_excepthook  # type: ignore[attr-defined] # noqa: SLF001

    def tapped_make_invoke() -> Callable[[threading.Thread], None]:
        invoke = make_invoke()

        def tapped_invoke(thread: threading.Thread) -> None:
            # Here, since a hook that is put in the place of ours need not call it.
            _tell_and(sys.exc_info()[1], (f" in thread {thread.name}", thread), invoke, thread)

        return tapped_invoke

    _patches.replace(threading, "_make_invoke_excepthook", tapped_make_invoke)


def _install() -> None:
    excepthook, thread_excepthook = sys.excepthook, threading.excepthook

    def tapped_excepthook(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        _tell_and(error, (), excepthook, kind, error, traceback)

    def tapped_thread_excepthook(args: threading.ExceptHookArgs) -> None:
        name = args.thread.name if args.thread else "?"
        _tell_and(args.exc_value, (f" in thread {name}", args.thread), thread_excepthook, args)

    for owner, hook in ((sys, tapped_excepthook), (threading, tapped_thread_excepthook)):
        # Under both names: a program may ask whether the hook is the default, or go back to it.
        _patches.replace(owner, "excepthook", hook)
        _patches.replace(owner, "__excepthook__", hook)
    _tap_threads()
    loops = asyncio.AbstractEventLoop
    for kind in loops.__subclasses__():
        _watch_loop(kind)
    initialise = loops.__init_subclass__

    def watch_subclass(cls: type[Any], /, **options: Any) -> None:
        initialise(**options)
        if loops in cls.__bases__:  # uvloop's, say, which is imported later
            _watch_loop(cls)

    _patches.replace(loops, "__init_subclass__", classmethod(watch_subclass))
    atexit.register(at_exit)


def at_exit() -> None:
    """Write the exception that ended the program, if a foreign hook kept it from ours."""
    error = getattr(sys, "last_value", None)
    if sys.excepthook is not sys.__excepthook__ and isinstance(error, BaseException):
        outermost = error.__traceback__
        # What a test runner or a shell caught, and left there for a debugger, came less far.
        if outermost is not None and outermost.tb_frame.f_back is None:
            _tell(error)


def _tell_and(
    error: BaseException | None, place: tuple[Any, ...], hook: Callable[..., object], *args: Any
) -> None:
    """Write *error* with its *place*, and call *hook*; what that hands on to another hook is written."""
    is_first = _tell(error, *place)
    try:
        hook(*args)
    finally:
        if is_first and getattr(sys, "last_value", None) is not error:  # else at_exit() meets it
            _told.remove(id(error))


def _tell(error: BaseException | None, where: str = "", thread: object = None) -> bool:
    """Write *error* once for each root; return whether this call did so."""
    if (
        not isinstance(error, BaseException)
        or isinstance(error, SystemExit)
        or id(error) in _told
        or hasattr(sys, "ps1")  # somebody types it in, and sees what is wrong
    ):
        return False
    _told.append(id(error))
    roots = set()
    for writer in reversed(_writers):
        with contextlib.suppress(Exception):
            if writer.root not in roots and writer.wants(error):
                roots.add(writer.root)
                # Since Python 3.14 a thread's hook runs outside of the thread's context.
                context = _task_context(error) or _context_of(thread) or contextvars.copy_context()
                _write_lines(writer, error, where, context)
    return True


def _write_lines(writer: CrashWriter, error: BaseException, where: str, context: Context) -> None:
    """Write *error*, and the members of a group that were raised in other sessions there."""
    sid = context.copy().run(where_raised, error)
    leaves = [(leaf, context.copy().run(where_raised, leaf)) for leaf in _leaves(error)]
    sessions = {own for _, own in leaves}
    if sid is None and len(sessions) == 1:
        run_where_raised(leaves[0][0], context, writer.tell, error, where)
        return
    run_where_raised(error, context, writer.tell, error, where)
    for leaf, own in leaves:
        if own not in (None, sid):
            run_where_raised(leaf, context, writer.tell, leaf, where)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions in the group *error*, at any depth; nothing where it is none."""
    members = [error] if hasattr(type(error), "exceptions") else []
    while members:
        each = members.pop()
        if hasattr(type(each), "exceptions"):  # of Python 3.11, or of a package
            members.extend(reversed(each.exceptions))  # type: ignore[attr-defined]
        else:
            yield each


def _task_context(error: BaseException) -> Context | None:
    """Return the context of the task that *error* ended and that ``asyncio.run`` awaited."""
    traceback = error.__traceback__
    while traceback is not None and not is_raised_anew(traceback):
        frame = traceback.tb_frame
        if str(frame.f_globals.get("__name__")).startswith("asyncio."):
            for name in ("task", "future"):
                if isinstance(task := frame.f_locals.get(name), asyncio.Future):
                    return _context_of(task)
        traceback = traceback.tb_next
    return None


def _watch_loop(kind: type[asyncio.AbstractEventLoop]) -> None:
    """Make loops of this *kind* handle a failure in the context of the task or handle that failed."""
    handle = kind.call_exception_handler

    @functools.wraps(handle)
    def call_exception_handler(self: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        try:
            error = context.get("exception")
            where = next(
                (
                    found
                    for name in ("task", "future", "handle")
                    if (found := _context_of(context.get(name))) is not None
                ),
                None,
            )
        except Exception:  # noqa: BLE001 - the dict of whoever calls
            error = where = None
        if error is None and where is None:
            handle(self, context)
        else:
            where = contextvars.copy_context() if where is None else where
            run_where_raised(error, where, handle, self, context)

    _patches.replace(kind, "call_exception_handler", call_exception_handler)


def _context_of(thing: object) -> Context | None:
    """Return the context of a task, a handle or a thread."""
    if thing is None:
        return None
    get = getattr(thing, "get_context", None)  # since Python 3.12
    found = get() if get is not None else getattr(thing, "_context", None)
    if found is None and isinstance(thing, asyncio.Task):
        # That of C, which shows it to the garbage collector alone.
        found = next(
            (it for it in gc.get_referents(thing) if type(it) is contextvars.Context), None
        )
    return found if isinstance(found, contextvars.Context) else None

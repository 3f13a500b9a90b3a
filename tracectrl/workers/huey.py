"""Huey: a task belongs to the session, and to the trace, that enqueued it.

Needs the package ``huey``, which is not imported here.
"""

from __future__ import annotations

from threading import local
from typing import TYPE_CHECKING, Any

from tracectrl.workers.message import MESSAGE_KEY, pack, work_in

if TYPE_CHECKING:
    from collections.abc import Callable


def install(huey: Any) -> Callable[[], None]:
    """Carry session and trace through the tasks of *huey*, a ``huey.Huey``; return what undoes it.

    Call it in producers and consumers, where the instance is made. A task that was enqueued from a session, its
    retries and its pipeline are in it; one that was enqueued from none, and a periodic one, is in one of its own. The
    correlation is a keyword argument of the task, ``tracectrl``, which is taken away before it runs.
    """
    enqueue, execute = huey.enqueue, huey._execute  # noqa: SLF001 - hooks of Huey's know no arguments
    here = local()

    def enqueued(task: Any) -> Any:
        kwargs = getattr(task, "kwargs", None)
        if isinstance(kwargs, dict):
            retried = getattr(here, "carried", None)
            if retried is not None and getattr(here, "id", None) == task.id:
                kwargs[MESSAGE_KEY] = retried
            else:
                pack(kwargs)
        return enqueue(task)

    def executed(task: Any, timestamp: Any) -> Any:
        kwargs = task.kwargs if isinstance(task.kwargs, dict) else {}
        carried = kwargs.pop(MESSAGE_KEY, None)
        before = dict(here.__dict__)
        here.id, here.carried = task.id, carried
        try:
            with work_in({MESSAGE_KEY: carried}):
                return execute(task, timestamp)
        finally:
            here.__dict__.clear()
            here.__dict__.update(before)

    huey.enqueue, huey._execute = enqueued, executed  # noqa: SLF001

    def undo() -> None:
        huey.enqueue, huey._execute = enqueue, execute  # noqa: SLF001

    return undo

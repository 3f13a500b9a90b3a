"""arq: a job belongs to the session, and to the trace, that enqueued it.

Needs the package ``arq``, which is not imported here.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from tracectrl.workers.message import MESSAGE_KEY, pack, work_in

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    P = ParamSpec("P")
    R = TypeVar("R")


async def enqueue_job(redis: Any, function: str, *args: Any, **kwargs: Any) -> Any:
    """Enqueue a job with the correlation; return what ``redis.enqueue_job`` returns.

    Args:
        redis: an ``arq.ArqRedis``.
        function: the name of one that :func:`in_session` has wrapped.
        args: of the job.
        kwargs: of the job, and of ``enqueue_job``.
    """
    return await redis.enqueue_job(function, *args, **pack(kwargs))


def in_session(coroutine: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Return *coroutine*, a function of a worker, that runs in the session of the job.

    A job that was enqueued from a session by :func:`enqueue_job`, and its retries, run in it; any other, a
    ``cron`` job too, is in one of its own.
    """

    @wraps(coroutine)
    async def job(*args: P.args, **kwargs: P.kwargs) -> R:
        carried = kwargs.pop(MESSAGE_KEY, None)
        with work_in({MESSAGE_KEY: carried}):
            return await coroutine(*args, **kwargs)

    return job

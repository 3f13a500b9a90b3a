"""Jobs of six queues; run as a program it sends them: ``queue_jobs.py LIBRARY SESSION...``.

From each session goes one job, which fails at its first attempt where its number is odd; and one comes from none.
Where ``HANG`` names a file, the first attempt of a session's job makes it, says there which process it is, and
goes on until it is killed.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from typing import Any

from cell import log, tracer, work

from tracectrl.session import current_session_id, session

URL = os.environ["BROKER"]
LIBRARY = os.environ["LIBRARY"]
NOBODYS = "nobodys"


def attempt(expected: str, number: int, tries: int) -> None:
    """Work, and fail where that is the plan; what nobody sent is in some session of its own."""
    is_nobodys = expected == NOBODYS
    sid = current_session_id()
    assert sid
    if "HANG" in os.environ and not is_nobodys:
        hang(os.environ["HANG"], expected)
    work(f"{LIBRARY}-{NOBODYS}" if is_nobodys else LIBRARY, sid if is_nobodys else expected)
    if number % 2 and not tries:
        msg = "the first attempt"
        raise RuntimeError(msg)


def hang(path: str, expected: str) -> None:
    """Hang in a span, the first time."""
    extra = {"cell": f"{LIBRARY}-killed", "expected": expected}
    try:
        with open(path, "x", encoding="ascii") as file, tracer.start_as_current_span("hangs"):
            log.info("hanging", extra=extra)
            file.write(str(os.getpid()))
            file.flush()
            time.sleep(600)
    except FileExistsError:
        pass


_seen: set[str] = set()
_lock = threading.Lock()


def tries_of(key: str) -> int:
    """Return 0 the first time that this process is asked about *key*, 1 from then on."""
    with _lock:
        is_known = key in _seen
        _seen.add(key)
    return int(is_known)


if LIBRARY == "dramatiq":
    import dramatiq
    from dramatiq.brokers.redis import RedisBroker

    from tracectrl.workers.dramatiq import SessionMiddleware

    dramatiq_broker = RedisBroker(url=URL)
    dramatiq_broker.add_middleware(SessionMiddleware())
    dramatiq.set_broker(dramatiq_broker)

    @dramatiq.actor(max_retries=3, min_backoff=1, max_backoff=10)
    def dramatiq_job(expected: str, number: int) -> None:
        """Do the job."""
        attempt(expected, number, tries_of(f"{expected}{number}"))

    def send(expected: str, number: int) -> None:
        """Send one."""
        dramatiq_job.send(expected, number)

elif LIBRARY == "celery":
    from celery import Celery

    from tracectrl.workers.celery import install as install_celery

    celery = Celery("matrix", broker=URL)
    celery.conf.update(task_acks_late=True, task_reject_on_worker_lost=True)
    install_celery()

    @celery.task
    def celery_job(expected: str, number: int) -> None:
        """Do the job."""
        attempt(expected, number, 1)

    def send(expected: str, number: int) -> None:
        """Send one."""
        celery_job.delay(expected, number)

elif LIBRARY == "rq":
    from redis import Redis
    from rq import Queue, Retry, get_current_job

    from tracectrl.workers.rq import SessionJob

    rq_queue = Queue(connection=Redis.from_url(URL), job_class=SessionJob)

    def rq_job(expected: str, number: int) -> None:
        """Do the job."""
        job = get_current_job()
        attempt(expected, number, 0 if job is None or job.retries_left == 2 else 1)

    def send(expected: str, number: int) -> None:
        """Send one."""
        rq_queue.enqueue("queue_jobs.rq_job", expected, number, retry=Retry(max=2))

elif LIBRARY == "huey":
    from huey import RedisHuey

    from tracectrl.workers.huey import install

    huey = RedisHuey("matrix", url=URL)
    install(huey)

    @huey.task(retries=2)
    def huey_job(expected: str, number: int) -> None:
        """Do the job."""
        attempt(expected, number, tries_of(f"{expected}{number}"))

    def send(expected: str, number: int) -> None:
        """Send one."""
        huey_job(expected, number)

elif LIBRARY == "taskiq":
    from taskiq import SimpleRetryMiddleware
    from taskiq_redis import ListQueueBroker

    from tracectrl.workers.taskiq import SessionMiddleware as TaskiqSessionMiddleware

    taskiq_broker = ListQueueBroker(URL).with_middlewares(
        SimpleRetryMiddleware(default_retry_count=3), TaskiqSessionMiddleware()
    )

    @taskiq_broker.task(retry_on_error=True)
    async def taskiq_job(expected: str, number: int) -> None:
        """Do the job."""
        await asyncio.sleep(0.01)
        attempt(expected, number, tries_of(f"{expected}{number}"))

    def send(expected: str, number: int) -> Any:
        """Send one."""
        return taskiq_job.kiq(expected, number)

elif LIBRARY == "arq":
    from arq import Retry as ArqRetry
    from arq import create_pool
    from arq.connections import RedisSettings

    from tracectrl.workers.arq import enqueue_job, in_session

    async def arq_job(ctx: dict[str, Any], expected: str, number: int) -> None:
        """Do the job."""
        await asyncio.sleep(0.01)
        try:
            attempt(expected, number, ctx["job_try"] - 1)
        except RuntimeError as error:
            raise ArqRetry(defer=0) from error

    class Settings:
        """The worker's."""

        functions = (in_session(arq_job),)
        redis_settings = RedisSettings.from_dsn(URL)

    _pool: Any = None

    async def send(expected: str, number: int) -> None:
        """Send one."""
        global _pool  # noqa: PLW0603 - one for all
        _pool = _pool or await create_pool(Settings.redis_settings)
        await enqueue_job(_pool, "arq_job", expected, number)


async def main(ids: list[str]) -> None:
    """Send a job from each of the sessions *ids*, and one from none."""
    for number, sid in enumerate(ids):
        with session(sid):
            sent = send(sid, number)
            if asyncio.iscoroutine(sent):
                await sent
    sent = send(NOBODYS, 0)
    if asyncio.iscoroutine(sent):
        await sent


if __name__ == "__main__":
    import queue_jobs  # the module that workers know

    send = queue_jobs.send
    asyncio.run(main(sys.argv[1:]))

"""Work that outlives the request: pools, threads and queues, each line in the right session."""

import json
import logging
import queue
import threading

from opentelemetry import trace

from tracectrl.session import current_session_id, detached, session
from tracectrl.workers import ThreadPoolExecutor, carry, pack, unpack
from tracectrl_logging import configure

log = logging.getLogger("worker")
tracer = trace.get_tracer("worker")
jobs: "queue.SimpleQueue[str | None]" = queue.SimpleQueue()


def work() -> None:
    """Do the jobs in the queue, each in the session of the request that put it there."""
    log.info("worker started")
    while (item := jobs.get()) is not None:
        job = json.loads(item)
        with unpack(job), tracer.start_as_current_span("job"):
            log.info("job done", extra={"job": job["job"]})
    log.info("worker stopped")


def start_worker() -> threading.Thread:
    """Start the long-lived worker: in nobody's session, although a request starts it."""
    with detached():
        worker = threading.Thread(target=carry(work))
        worker.start()
    return worker


def resize(page: int) -> str | None:
    """Do a part of a request, in a pool."""
    with tracer.start_as_current_span("resize"):
        log.info("resized page %d", page)
    return current_session_id()


def handle(number: int, pool: ThreadPoolExecutor) -> None:
    """Handle a request, in a session of its own."""
    with session(f"request-{number}"), tracer.start_as_current_span("request"):
        log.info("request received")
        pages = list(pool.map(resize, range(3)))
        notify = threading.Thread(
            target=carry(log.info), args=("notified after %d pages", len(pages))
        )
        notify.start()
        jobs.put(json.dumps(pack({"job": number})))  # as a message to another process would be
        notify.join()


def main() -> None:
    """Handle five requests in threads, and wait for the worker."""
    with session("the-first"):
        worker = start_worker()
    with ThreadPoolExecutor(max_workers=2) as pool:
        requests = [threading.Thread(target=handle, args=(n, pool)) for n in range(5)]
        for request in requests:
            request.start()
        for request in requests:
            request.join()
    jobs.put(None)
    worker.join()


if __name__ == "__main__":
    configure(service_name="pages", console=None)
    main()

"""A Celery application; run as a program it sends tasks, each from a session of its own."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from celery import Celery, chain, signals
from cell import log, work
from opentelemetry.instrumentation.celery import CeleryInstrumentor

from tracectrl.session import current_session_id, session
from tracectrl.workers import celery as tracectrl_celery

if TYPE_CHECKING:
    from collections.abc import Callable

app = Celery("celery_app", broker=os.environ["BROKER"], backend=os.environ["BROKER"])
app.conf.update(broker_connection_retry_on_startup=False, worker_max_tasks_per_child=None)

if "STOCK" in os.environ:
    # Nothing of ours but the propagator; setup_logging leaves the handlers where they are.
    signals.setup_logging.connect(lambda **_: None, weak=False)
    CeleryInstrumentor().instrument()
elif "INSTRUMENTED_FIRST" in os.environ:
    CeleryInstrumentor().instrument()
    tracectrl_celery.install()
else:
    tracectrl_celery.install()
    CeleryInstrumentor().instrument()


@app.task
def once(expected: str) -> str | None:
    """Work, and say in which session."""
    work("celery", expected)
    return current_session_id()


@app.task(bind=True, max_retries=2)
def retried(self: Any, expected: str) -> str | None:
    """Fail twice, then work."""
    work("celery-retried", expected)
    if self.request.retries < 2:
        raise self.retry(countdown=0)
    return current_session_id()


@app.task
def first(expected: str) -> str:
    """Work, and let the next one work."""
    work("celery-chain", expected)
    return expected


@app.task
def then(expected: str) -> list[str | None]:
    """Work, and send a task of one's own."""
    work("celery-chain", expected)
    return [current_session_id(), once.delay(expected).id]


@app.task
def fails(expected: str) -> None:
    """Raise."""
    work("celery-fails", expected)
    msg = "on purpose"
    raise RuntimeError(msg)


@signals.task_failure.connect(weak=False)
def _failed(args: tuple[str], **_: Any) -> None:
    log.info("failed", extra={"cell": "celery-failure-signal", "expected": args[0]})


_SENDERS: dict[str, Callable[[str], Any]] = {
    "once": once.delay,
    "retried": retried.delay,
    "chain": lambda sid: chain(first.s(sid), then.s())(),
    "fails": fails.delay,
}


def main(names: str, *ids: str) -> None:
    """Send one task of each name from each session, then wait for all of them."""
    results: dict[str, list[Any]] = {name: [] for name in names.split(",")}
    for sid in ids:
        with session(sid):
            for name, sent in results.items():
                sent.append(_SENDERS[name](sid))
    for name, sent in results.items():
        if name == "fails":
            errors = [str(result.get(timeout=60, propagate=False)) for result in sent]
            assert ["on purpose"] * len(ids) == errors
            continue
        values = [result.get(timeout=60) for result in sent]
        if name == "chain":
            assert list(ids) == [app.AsyncResult(value[1]).get(timeout=60) for value in values]
            values = [value[0] for value in values]
        assert list(ids) == values


if __name__ == "__main__":
    sys.modules["celery_app"] = sys.modules["__main__"]
    main(*sys.argv[1:])

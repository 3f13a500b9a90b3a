"""A Celery application; run as a program it sends tasks, each from a session of its own.

``celery_app.py NAMES SESSION...`` sends, from each session, a task of each of the names.
"""

from __future__ import annotations

import os
import sys
import uuid
from typing import TYPE_CHECKING, Any

from celery import Celery, chain, chord, group, signals
from cell import log, work
from opentelemetry.instrumentation.celery import CeleryInstrumentor

from tracectrl.session import current_session_id, detached, session
from tracectrl.workers import celery as tracectrl_celery

if TYPE_CHECKING:
    from collections.abc import Callable

app = Celery("celery_app", broker=os.environ["BROKER"], backend=os.environ["BROKER"])
app.conf.update(
    broker_connection_retry_on_startup=False,
    worker_max_tasks_per_child=None,
    beat_schedule={"often": {"task": "celery_app.nobodys", "schedule": 0.2}},
)

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


@app.task(autoretry_for=(ValueError,), max_retries=2, default_retry_delay=0, bind=True)
def retried_by_itself(self: Any, expected: str) -> str | None:
    """Raise twice, then work."""
    work("celery-retried-by-itself", expected)
    if self.request.retries < 2:
        raise ValueError
    return current_session_id()


@app.task
def part(expected: str, number: int) -> int:
    """Work on a part."""
    work("celery-part", expected)
    return number


@app.task
def whole(numbers: list[int], expected: str) -> str | None:
    """Work on what has become of the parts."""
    work("celery-whole", expected)
    assert [0, 1, 2] == sorted(numbers)
    return current_session_id()


@app.task(bind=True, max_retries=1)
def nobodys(self: Any, expected: str | None = None) -> list[str | None]:
    """Work in whichever session this is, twice, and send a task from it."""
    expected = expected or str(current_session_id())
    work("celery-nobodys", expected)
    if self.request.retries < 1:
        raise self.retry(args=(expected,), countdown=0)
    once.delay(expected)
    return [expected, current_session_id()]


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


def _nobodys(_: str) -> Any:
    with detached():
        return nobodys.delay()


_SENDERS: dict[str, Callable[[str], Any]] = {
    "once": once.delay,
    "later": lambda sid: once.apply_async((sid,), countdown=0.5),
    "retried": retried.delay,
    "retried_by_itself": retried_by_itself.delay,
    "chain": lambda sid: chain(first.s(sid), then.s())(),
    "group": lambda sid: group(part.s(sid, number) for number in range(3))(),
    "chord": lambda sid: chord((part.s(sid, number) for number in range(3)), whole.s(sid))(),
    "fails": fails.delay,
    "nobodys": _nobodys,
}


def _result(name: str, result: Any) -> str | None:
    """Wait for what was sent; return the session that it says it was in."""
    if name == "fails":
        assert "on purpose" == str(result.get(timeout=120, propagate=False))
        return None
    value = result.get(timeout=120)
    if name == "chain":
        assert value[0] == app.AsyncResult(value[1]).get(timeout=120)
        return str(value[0])
    if name == "nobodys":
        assert value == [str(uuid.UUID(value[0]))] * 2
        return None
    if name == "group":
        assert [0, 1, 2] == value
        return None
    return str(value)


def main(names: str, *ids: str) -> None:
    """Send one task of each name from each session, then wait for all of them."""
    sent = []
    for sid in ids:
        with session(sid, user_id=f"user of {sid}"):
            sent.extend((name, sid, _SENDERS[name](sid)) for name in names.split(","))
    for name, sid, result in sent:
        assert _result(name, result) in (None, sid)


if __name__ == "__main__":
    sys.modules["celery_app"] = sys.modules["__main__"]
    main(*sys.argv[1:])

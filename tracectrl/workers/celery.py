"""Celery: a task belongs to the session, and to the trace, that sent it.

Needs the package ``celery``, which is not imported before :func:`install` is called.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from opentelemetry import _logs, trace

from tracectrl.attributes import state_for
from tracectrl.context import inject_trace_headers
from tracectrl.errors import MissingExtraError
from tracectrl.propagation import SESSION_HEADER, first_session
from tracectrl.remote import carried_attributes, continued, normalised
from tracectrl.session import begun, current_session_id, state_now

if TYPE_CHECKING:
    from collections.abc import Callable

# The tasks that run in this context, the innermost last: a task that is applied eagerly runs inside
# of another, with the same ID where it is a retry; a task that is delivered twice may run in two
# threads at once.
_running: ContextVar[tuple[tuple[str, continued], ...]] = ContextVar("running", default=())


def install() -> Callable[[], None]:
    """Carry session and trace through Celery, in producers and workers; return what undoes it.

    Call it once per process that sends or runs tasks, where the Celery application is made. Tasks
    that are sent from a session, their retries and the rest of their chains run in it; a task that
    was sent from none (by ``celery beat``, say) runs in one of its own. Spans for tasks come from
    ``opentelemetry-instrumentation-celery``, which works beside this.

    Celery then leaves logging as the program has set it up, which is what it does where anything is
    connected to its ``setup_logging`` signal: call :func:`tracectrl_logging.configure` yourself.

    Raises:
        MissingExtraError: Celery is not installed.
    """
    try:
        from celery import signals  # noqa: PLC0415 - an optional integration
    except ImportError as error:
        feature, package = "tracectrl.workers.celery", "celery"
        raise MissingExtraError(feature, package, "celery") from error
    receivers = [
        (signals.setup_logging, _leave_logging_alone),
        (signals.before_task_publish, _sent),
        (signals.task_prerun, _started),
        (signals.task_postrun, _ended),
        (signals.worker_process_shutdown, _flush),
    ]
    for signal, receiver in receivers:
        signal.connect(receiver, weak=False, dispatch_uid=f"tracectrl.{receiver.__name__}")
    _be_outermost(signals)

    def undo() -> None:
        for signal, receiver in receivers:
            signal.disconnect(receiver, dispatch_uid=f"tracectrl.{receiver.__name__}")

    return undo


def _leave_logging_alone(**_: Any) -> None:
    """Be connected: https://docs.celeryq.dev/en/stable/userguide/signals.html#setup-logging."""


def _sent(headers: dict[str, Any] | None = None, **_: Any) -> None:
    if headers is not None:
        inject_trace_headers(headers, attributes=True)


def _be_outermost(signals: Any) -> None:
    """Have a task begun here before anything else hears of it, and ended after all have.

    Receivers are called in the order in which they were connected, at the end of a task too. What
    an instrumentation that began later ends later puts back the context that it found: ours.
    """
    for signal, is_in_place in (
        (signals.task_prerun, lambda entry: entry[1] is not _started),
        (signals.task_postrun, lambda entry: entry[1] is _ended),
    ):
        with signal.lock:  # in one step, for a task may end on another thread
            signal.receivers[:] = sorted(signal.receivers, key=is_in_place)
            signal.sender_receivers_cache.clear()


def _started(task_id: str, task: Any, **_: Any) -> None:
    from celery import signals  # noqa: PLC0415 - an optional integration

    if signals.task_postrun.receivers[-1][1] is not _ended:
        _be_outermost(signals)
    carried = {name: value for name, value in vars(task.request).items() if isinstance(value, str)}
    headers = normalised(carried)
    sid = first_session(headers.get(SESSION_HEADER.lower(), ()))
    if sid is not None:
        state = state_for(sid, carried_attributes(headers, sid))
    else:
        sid = current_session_id()
        state = begun() if sid is None else state_now(sid)
    scope = continued(headers, state)
    _running.set((*_running.get(), (task_id, scope)))
    scope.__enter__()


def _ended(task_id: str, **_: Any) -> None:
    running = _running.get()
    if running and running[-1][0] == task_id:
        _running.set(running[:-1])
        running[-1][1].__exit__(None, None, None)


def _flush(**_: Any) -> None:
    """Write what is still in a queue: the process ends without the interpreter's exit handlers."""
    for handler in logging.getLogger().handlers:
        handler.flush()
    for provider in (trace.get_tracer_provider(), _logs.get_logger_provider()):
        if hasattr(provider, "force_flush"):
            provider.force_flush()

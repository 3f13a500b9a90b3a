"""Celery: a task belongs to the session, and to the trace, that sent it.

Needs the package ``celery``, which is not imported before :func:`install` is called.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from tracectrl.context import inject_trace_headers
from tracectrl.errors import MissingExtraError
from tracectrl.propagation import SESSION_HEADER, first_session
from tracectrl.remote import continued, normalised
from tracectrl.session import current_session_id, mint

if TYPE_CHECKING:
    from collections.abc import Callable

_running: dict[str, continued] = {}


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

    def undo() -> None:
        for signal, receiver in receivers:
            signal.disconnect(receiver, dispatch_uid=f"tracectrl.{receiver.__name__}")

    return undo


def _leave_logging_alone(**_: Any) -> None:
    """Be connected: https://docs.celeryq.dev/en/stable/userguide/signals.html#setup-logging."""


def _sent(headers: dict[str, Any] | None = None, **_: Any) -> None:
    if headers is not None:
        inject_trace_headers(headers)


def _started(task_id: str, task: Any, **_: Any) -> None:
    carried = {name: value for name, value in vars(task.request).items() if isinstance(value, str)}
    headers = normalised(carried)
    sid = first_session(headers.get(SESSION_HEADER.lower(), ())) or current_session_id() or mint()
    scope = _running[task_id] = continued(headers, sid)
    scope.__enter__()


def _ended(task_id: str, **_: Any) -> None:
    scope = _running.pop(task_id, None)
    if scope is not None:
        scope.__exit__(None, None, None)


def _flush(**_: Any) -> None:
    """Write what is still in a queue: the process ends without the interpreter's exit handlers."""
    for handler in logging.getLogger().handlers:
        handler.flush()
    provider = trace.get_tracer_provider()
    if hasattr(provider, "force_flush"):
        provider.force_flush()

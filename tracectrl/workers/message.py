"""The correlation in a message, and in the environment of a child process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from opentelemetry import trace

from tracectrl.attributes import state_for, text_of
from tracectrl.context import inject_trace_headers, remote_session
from tracectrl.propagation import SESSION_HEADER, first_session
from tracectrl.remote import ENVIRONMENT_KEYS, carried_attributes, continued, normalised
from tracectrl.session import (
    ATTRIBUTES_ENV,
    SESSION_ID_ENV,
    attributes_of,
    begun,
    current_session_id,
)

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    M = TypeVar("M", bound=MutableMapping[str, Any])

MESSAGE_KEY = "tracectrl"
"""Where :func:`pack` writes the correlation in a message."""


def pack(message: M, *, attributes: bool = True) -> M:
    """Write the current session and span into *message*, under the key ``tracectrl``; return it.

    What is written is a dict of strings: JSON can hold it. Good for a queue item, a JSON message,
    an MCP ``_meta``. Where neither a session nor a span is current, *message* stays as it is: a
    retry that is put back from outside keeps its session.

    What the session knows of itself (see :func:`tracectrl.session.set_session_attributes`) goes along,
    up to 8 KiB of it; without *attributes*, for a message to somebody else, it stays.
    """
    carried: dict[str, str] = inject_trace_headers({}, attributes=attributes)
    is_current = trace.get_current_span().get_span_context().is_valid or current_session_id()
    if is_current or (carried and MESSAGE_KEY not in message):
        message[MESSAGE_KEY] = carried
    return message


def unpack(message: object, *, attributes: bool = True) -> remote_session:
    """Return the context manager that continues what :func:`pack` wrote into *message*.

    What was current before comes back on exit. A message without a correlation, or with a
    malformed one, continues nothing. Without *attributes*, for a message of somebody else's, what it
    says of the session's attributes is left out.
    """
    carried = message.get(MESSAGE_KEY) if isinstance(message, Mapping) else None
    return remote_session(carried if isinstance(carried, dict) else {}, attributes=attributes)


def work_in(message: object) -> continued:
    """Return the context manager in which a worker does the work of *message*, which :func:`pack` wrote into.

    Work that was sent from no session is in one of its own.
    """
    carried = message.get(MESSAGE_KEY) if isinstance(message, Mapping) else None
    headers = normalised(carried if isinstance(carried, dict) else {})
    sid = first_session(headers.get(SESSION_HEADER.lower(), ()))
    return continued(
        headers, begun() if sid is None else state_for(sid, carried_attributes(headers, sid))
    )


def child_environment(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for a child process that continues the session and the trace.

    For ``subprocess.run(..., env=child_environment())``. In the child
    :func:`tracectrl.session.new_session` and :func:`tracectrl_logging.configure` pick up
    ``TRACECTRL_SESSION_ID`` and the session's attributes in ``TRACECTRL_SESSION_ATTRIBUTES``, and the
    latter ``TRACEPARENT``, ``TRACESTATE`` and ``BAGGAGE``.

    Args:
        env: what to start from; ``None`` for a copy of this process's environment. What it says of
            another session or trace is left out.
    """
    child = dict(os.environ if env is None else env)
    carried: dict[str, str] = inject_trace_headers({})
    for name in ENVIRONMENT_KEYS:
        child.pop(name.upper(), None)
        if name in carried:
            child[name.upper()] = carried[name]
    child.pop(SESSION_ID_ENV, None)
    child.pop(ATTRIBUTES_ENV, None)
    sid = current_session_id()
    if sid is not None and "\0" not in sid:  # no environment can hold a NUL
        child[SESSION_ID_ENV] = sid
        if (text := text_of(sid, attributes_of(sid))) is not None:
            child[ATTRIBUTES_ENV] = text
    return child

"""Taskiq: a task belongs to the session, and to the trace, that sent it.

Needs the package ``taskiq``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tracectrl.errors import MissingExtraError
from tracectrl.workers.message import MESSAGE_KEY, pack, work_in

try:
    from taskiq import TaskiqMiddleware
except ImportError as error:
    raise MissingExtraError("tracectrl.workers.taskiq", "taskiq", None) from error  # noqa: EM101 - a name

if TYPE_CHECKING:
    from taskiq import TaskiqMessage


class SessionMiddleware(TaskiqMiddleware):
    """Carries session and trace with each task: ``broker.with_middlewares(SessionMiddleware())``.

    On both sides. A task that was sent from a session, and its retries, run in it; one that was sent from none is in
    one of its own. Each runs in an asyncio task, and so in a context, of its own: nothing is to be left.
    """

    def pre_send(self, message: TaskiqMessage) -> TaskiqMessage:
        """Write the correlation into the labels of *message*, as JSON: labels are scalars."""
        carried: dict[str, Any] = {}
        if pack(carried):
            message.labels[MESSAGE_KEY] = json.dumps(carried[MESSAGE_KEY])
        return message

    def pre_execute(self, message: TaskiqMessage) -> TaskiqMessage:
        """Enter the session of *message*."""
        try:
            carried = json.loads(message.labels.get(MESSAGE_KEY, "null"))
        except (TypeError, ValueError):
            carried = None
        work_in({MESSAGE_KEY: carried}).__enter__()
        return message

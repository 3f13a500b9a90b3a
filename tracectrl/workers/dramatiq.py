"""Dramatiq: a message belongs to the session, and to the trace, that sent it.

Needs the package ``dramatiq``.
"""

from __future__ import annotations

from threading import local
from typing import TYPE_CHECKING, Any

from tracectrl.errors import MissingExtraError
from tracectrl.workers.message import pack, work_in

try:
    from dramatiq import Middleware
except ImportError as error:
    raise MissingExtraError("tracectrl.workers.dramatiq", "dramatiq", None) from error  # noqa: EM101 - a name

if TYPE_CHECKING:
    from dramatiq import Broker, Message, MessageProxy


class SessionMiddleware(Middleware):
    """Carries session and trace with each message: ``broker.add_middleware(SessionMiddleware())``.

    On both sides, and behind the middlewares that come with Dramatiq. A message that was sent from a
    session, and its retries, are processed in it; one that was sent from none is in one of its own. An ``async``
    actor runs on another thread, in no session: ``tracectrl.workers.carry`` takes it there.
    """

    def __init__(self) -> None:
        self._here = local()

    def before_enqueue(self, broker: Broker, message: Message[Any], delay: int) -> None:
        """Write the correlation into the options of *message*."""
        del broker, delay
        pack(message.options)

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        """Enter the session of *message*."""
        del broker
        self._leave()
        self._here.scope = scope = work_in(message.options)
        scope.__enter__()

    def after_process_message(
        self,
        broker: Broker,
        message: MessageProxy,
        *,
        result: Any | None = None,
        exception: BaseException | None = None,
    ) -> None:
        """Leave it."""
        del broker, message, result, exception
        self._leave()

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        """Leave it, too."""
        del broker, message
        self._leave()

    def _leave(self) -> None:
        scope = self._here.__dict__.pop("scope", None)
        if scope is not None:
            scope.__exit__(None, None, None)
